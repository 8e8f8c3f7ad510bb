"""MixtureOfRNNs: several recurrent language models and a latent variable that chooses among them."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.autoregressive.autoregressive_model import sum_entries
from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.autoregressive.sequences.token_rnn import TokenRNN
from tfgen.distributions.laws import Levels
from tfgen.estimators.matching import matched
from tfgen.media.text import tokens_of

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
class MixtureOfRNNs(SequenceModel):
    """p(x) = sum_k pi_k prod_t p_k(x_t | x_<t), each p_k a recurrent language model.

    The latent component is summed out exactly, in the density and in the sampler, whose next step has
    p(x_t | x_<t) = sum_k p(k | x_<t) p_k(x_t | x_<t): a prompt decides among the components by its posterior.
    Training ascends the marginal; its gradient is that of expectation maximization, the components' gradients
    weighed by the posterior. Early in training a component that is a little better for all x would take them
    all, so the posterior may be flattened first: the loss is -T log sum_k (pi_k p_k(x))^(1/T) with T falling
    geometrically from `flatness` to 1.

    Args:
      event_shape: (None,): tokens as floats, any number of them.
      num_components: Number of recurrent networks.
      cell: "lstm" or "gru".
      units: Size of each layer's state.
      layers: Number of recurrent layers of a component.
      embedding: Features that a token is read as.
      flatness: T of the first step; 1 trains the marginal from the start.
      flat_steps: Steps in which T falls to 1.
      length: How many tokens a sample has, unless `sample` is told.
      vocabulary: The symbols, or None for bare numbers.
      unit: What a token is: "character" or "word".
      num_values: Number of tokens; None for the vocabulary's, or for 2 without one.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Jacobs, Jordan, Nowlan & Hinton, "Adaptive mixtures of local experts", 1991. Ueda & Nakano,
      "Deterministic annealing EM algorithm", 1998.
    """

    def __init__(
        self,
        event_shape=(None,),
        num_components=2,
        cell="lstm",
        units=64,
        layers=1,
        embedding=32,
        flatness=20.0,
        flat_steps=200,
        length=100,
        vocabulary=None,
        unit="character",
        num_values=None,
        **kwargs,
    ):
        codec, num_values = tokens_of(vocabulary, unit, num_values)
        super().__init__(event_shape, Levels(num_values), length, codec, **kwargs)
        checks.whole("num_components", num_components)
        self.flatness = checks.number("flatness", flatness, at_least=1)
        self.flat_steps = checks.whole("flat_steps", flat_steps, at_least=0)
        self.networks = [
            TokenRNN(num_values, cell, units, layers, embedding, dtype=self.dtype_policy)
            for _ in range(num_components)
        ]
        for network in self.networks:
            network.build()
        self.mixture = self.add_weight((num_components,), initializer="zeros", name="mixture")

    def prior(self):
        """p(k): a `Categorical` over the components."""
        return tfd.Categorical(logits=self.mixture.value)

    def posterior(self, x, lengths=None):
        """p(k | x): a `Categorical` over the components, of batch shape `[batch]`.

        Args:
          x: Tokens `[batch, T]`.
          lengths: int `[batch]`: how many steps count; None for all.
        """
        x = self.space.check(x)
        return tfd.Categorical(logits=self.log_joint(x, lengths))

    def log_joint(self, x, lengths=None):
        """log p(k, x) of unchecked tokens x `[batch, T]`: float32 `[batch, components]`."""
        each = [sum_entries(self.law.log_prob(network(x), x), lengths) for network in self.networks]
        return tf.nn.log_softmax(self.mixture.value) + tf.stack(each, axis=1)

    def score(self, x, lengths=None, condition=None, seed=None):
        """log p(x) of unchecked tokens x `[batch, T]`: float32 `[batch]`, in nats."""
        del condition, seed
        return tf.reduce_logsumexp(self.log_joint(x, lengths), axis=1)

    def objective(self, batch, seed, step):
        """Mean of -T log sum_k (pi_k p_k(x))^(1/T), divided by the steps of the longest; as `Update`."""
        del seed
        progress = tf.minimum(tf.cast(step, tf.float32) / max(self.flat_steps, 1), 1.0)
        flat = self.flatness ** (1.0 - progress) if self.flat_steps else 1.0
        joint = self.log_joint(batch["x"], batch.get("lengths"))
        loss = -flat * tf.reduce_mean(tf.reduce_logsumexp(joint / flat, axis=1))
        return loss / tf.cast(tf.shape(batch["x"])[1], tf.float32), {}

    def raw(self, x, condition=None, seed=None):
        """Raw outputs of the mixture, the components weighed by their posterior before each step of x."""
        del condition, seed
        each = tf.stack([self.law.log_probs(network(x)) for network in self.networks], axis=2)  # [B, T, K, V]
        taken = tf.gather(each, tf.cast(x, tf.int32), axis=3, batch_dims=2)  # [B, T, K]
        weights = tf.nn.log_softmax(self.mixture.value) + tf.cumsum(taken, axis=1, exclusive=True)
        return self._marginal(each, weights)

    def start(self, num, condition=None):
        """The components' states, log p(k, x_<t), and the components' last predictions (none yet)."""
        del condition
        weights = tf.repeat(tf.nn.log_softmax(self.mixture.value)[None], num, axis=0)
        predicted = tf.zeros((num, len(self.networks), self.num_values))
        return tuple(network.start(num) for network in self.networks), weights, predicted

    def advance(self, state, before):
        """Weighs the components by the token `before`, and lets each predict the next."""
        states, weights, predicted = state
        # Before the first step there is no token, and all predictions are 0.
        weights += tf.gather(predicted, tf.cast(tf.maximum(before, 0.0), tf.int32), axis=2, batch_dims=1)
        after, each = [], []
        for network, inner in zip(self.networks, states, strict=True):
            inner, raw = network.advance(inner, before)
            after.append(inner)
            each.append(self.law.log_probs(raw))
        predicted = tf.stack(each, axis=1)  # [n, K, V]
        return (tuple(after), weights, predicted), self._marginal(predicted, weights)

    def _marginal(self, each, weights):
        """Raw outputs of the mixture of log p `each` `[..., K, V]` under log weights `[..., K]`."""
        mixed = tf.reduce_logsumexp(each + tf.nn.log_softmax(weights)[..., None], axis=-2)
        return self.law.from_log_probs(mixed)

    def test_metrics(self, data, seed):
        """How well the posterior's mode tells the data's classes, one component to each class."""
        if data.test.label is None or data.num_classes != len(self.networks):
            return {}
        fields = self.fields(data.test)
        x = self.space.from_data(fields["x"], data, seed)
        found = tf.argmax(self.log_joint(x, fields.get("lengths")), axis=1).numpy()
        counts = tf.math.confusion_matrix(data.test.label, found, data.num_classes).numpy()
        return {"component_accuracy": {"value": matched(counts)[0], "kind": "share of the test split"}}
