"""MixtureOfRNNs: several recurrent language models and a latent variable that chooses among them."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.autoregressive.levels import level_log_prob
from tfgen.autoregressive.sequences.sequence_model import sum_steps
from tfgen.autoregressive.sequences.text_model import TextModel
from tfgen.autoregressive.sequences.token_rnn import TokenRNN

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
class MixtureOfRNNs(TextModel):
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
      **kwargs: Passed on to `TextModel`: `length`, `vocabulary` and others.

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
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        checks.whole("num_components", num_components)
        if not flatness >= 1.0:
            raise ValueError(f"flatness must be at least 1, got {flatness!r}.")
        self.flatness, self.flat_steps = float(flatness), checks.whole("flat_steps", flat_steps, at_least=0)
        sizes = (self.num_values, cell, units, layers, embedding)
        self.networks = [TokenRNN(*sizes, dtype=self.dtype_policy) for _ in range(num_components)]
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
        return tfd.Categorical(logits=self._joint(x, lengths))

    def score(self, x, lengths=None, condition=None):
        """log p(x) of unchecked tokens x `[batch, T]`: float32 `[batch]`, in nats."""
        return tf.reduce_logsumexp(self._joint(x, lengths), axis=1)

    def _joint(self, x, lengths):
        """log p(k, x) `[batch, components]`."""
        each = [sum_steps(level_log_prob(net(x), x, self.num_values), lengths) for net in self.networks]
        return tf.nn.log_softmax(self.mixture.value) + tf.stack(each, axis=1)

    def _negative_log_likelihood(self, batch, seed, step):
        progress = tf.minimum(tf.cast(step, tf.float32) / max(self.flat_steps, 1), 1.0)
        flat = self.flatness ** (1.0 - progress) if self.flat_steps else 1.0
        joint = self._joint(batch["x"], batch.get("lengths"))
        loss = -flat * tf.reduce_mean(tf.reduce_logsumexp(joint / flat, axis=1))
        return loss / tf.cast(tf.shape(batch["x"])[1], tf.float32), {}

    def logits(self, x, condition=None):
        """Logits of all steps of x `[batch, T]`, the components weighed by their posterior before each."""
        each = tf.stack([self._level_log_probs(net(x)) for net in self.networks], axis=2)  # [B, T, K, V]
        taken = tf.gather(each, tf.cast(x, tf.int32), axis=3, batch_dims=2)  # [B, T, K]
        weights = tf.nn.log_softmax(self.mixture.value) + tf.cumsum(taken, axis=1, exclusive=True)
        return self._marginal(each, weights)

    def start(self, num, condition=None):
        """The components' states, log p(k, x_<t), and the components' last predictions (none yet)."""
        weights = tf.repeat(tf.nn.log_softmax(self.mixture.value)[None], num, axis=0)
        predicted = tf.zeros((num, len(self.networks), self.num_values))
        return tuple(net.start(num) for net in self.networks), weights, predicted

    def advance(self, state, before):
        """Weighs the components by the token `before`, and lets each predict the next."""
        states, weights, predicted = state
        # Before the first step there is no token, and all predictions are 0.
        weights += tf.gather(predicted, tf.cast(tf.maximum(before, 0.0), tf.int32), axis=2, batch_dims=1)
        states, logits = zip(
            *(n.advance(s, before) for n, s in zip(self.networks, states, strict=True)), strict=True
        )
        predicted = tf.stack([self._level_log_probs(each) for each in logits], axis=1)
        return (states, weights, predicted), self._marginal(predicted, weights)

    def _level_log_probs(self, logits):
        """log p of every level, `[..., num_values]`."""
        if self.num_values == 2:
            logits = tf.stack([tf.zeros_like(logits), logits], axis=-1)
        return tf.nn.log_softmax(logits)

    def _marginal(self, each, weights):
        """Logits of the mixture of `each` `[..., K, V]` under log weights `[..., K]`."""
        mixed = tf.reduce_logsumexp(each + tf.nn.log_softmax(weights)[..., None], axis=-2)
        return mixed[..., 1] - mixed[..., 0] if self.num_values == 2 else mixed

    def test_metrics(self, data, seed):
        """How well the posterior's mode tells the data's classes, one component to each class."""
        if data.test.label is None or data.num_classes != len(self.networks):
            return {}
        fields = self.fields(data.test)
        x = self.space.from_data(fields["x"], data, seed)
        found = tf.argmax(self._joint(x, fields.get("lengths")), axis=1).numpy()
        counts = tf.math.confusion_matrix(data.test.label, found, data.num_classes).numpy()
        return {"component_accuracy": {"value": _matched(counts), "kind": "share of the test split"}}


def _matched(counts):
    """Share of a table `[classes, components]` under the best one-to-one match."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / counts.sum())
