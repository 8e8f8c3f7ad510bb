"""Layered Bernoulli nets: chains of binary layers, each given its neighbor, and their joint distributions."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.laws import Bernoulli
from tfgen.keras_model import Layer

_property = tfp.util.ParameterProperties


@keras.saving.register_keras_serializable("tfgen")
class BeliefLayers(Layer):
    """Chain of binary layers h_0, ..., h_L, each drawn given its neighbor: a directed net of Bernoulli units.

    "down", as a sigmoid belief net generates: p(h_0, ..., h_{L-1} | h_L) = prod_l p(h_l | h_{l+1}), with
    p(h_lj = 1 | h_{l+1}) = sigmoid(b_l + h_{l+1} W_l)_j.
    "up", as it is recognized: q(h_1, ..., h_L | h_0) = prod_l q(h_{l+1} | h_l), with
    q(h_{l+1, j} = 1 | h_l) = sigmoid(b_l + h_l W_l)_j.

    Layers are counted and listed from the visible one, h_0, on; link l joins h_l and h_{l+1}. The weights
    exist when the constructor returns, and all is float32 under every dtype policy.

    Args:
      sizes: Units of h_0, ..., h_L, at least two layers.
      direction: "down" or "up".
      **kwargs: Passed on to `keras.layers.Layer`.

    Attributes:
      kernels: W_l of each link, from the given layer to the drawn one.
      biases: b_l of each link, of the drawn layer.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Neal, "Connectionist learning of belief networks", Artificial Intelligence 56, 1992. Saul, Jaakkola &
      Jordan, "Mean field theory for sigmoid belief networks", 1996, arXiv:cs/9603102.
    """

    def __init__(self, sizes, direction="down", **kwargs):
        super().__init__(**kwargs)
        self.sizes = checks.sizes("sizes", sizes)
        if len(self.sizes) < 2:
            raise ValueError(f"sizes must hold two layers or more, got {self.sizes}.")
        self.upward = checks.one_of("direction", direction, ("down", "up")) == "up"
        self.kernels, self.biases = [], []
        for link, pair in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            shape = pair if self.upward else pair[::-1]
            # autocast=False: a sum of log probabilities means nothing in bfloat16.
            options = {"autocast": False}
            self.kernels.append(self.add_weight(shape, "glorot_uniform", name=f"kernel_{link}", **options))
            self.biases.append(self.add_weight(shape[1:], "zeros", name=f"bias_{link}", **options))
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build: the constructor made every weight."""

    def log_odds(self, link, given):
        """b_l + h W_l: log odds of the layer that a link draws, `[..., n]`, given the other, `[..., m]`."""
        return self.biases[link].value + tf.tensordot(given, self.kernels[link].value, 1)

    def log_probs(self, states):
        """log p of each drawn layer given its neighbor, from the lowest on: a list of L `[...]`, in nats.

        Args:
          states: All layers h_0, ..., h_L, `[..., n_l]` each.
        """
        found = []
        for link, pair in enumerate(zip(states[:-1], states[1:], strict=True)):
            given, drawn = pair if self.upward else pair[::-1]
            found.append(tf.reduce_sum(Bernoulli(self.log_odds(link, given)).log_prob(drawn), axis=-1))
        return found

    def call(self, *states):
        """log p of all drawn layers given the one at the end, float32 `[...]`; `log_probs` added up."""
        return sum(self.log_probs(states))

    def following(self, given):
        """Joint distribution of all other layers given the first: a `BeliefChain`.

        Args:
          given: h_0 `[..., n_0]` of a chain upwards, h_L `[..., n_L]` of one downwards.
        """
        first, *rest = self._links()
        return BeliefChain(self.log_odds(first, given), [(self, link) for link in rest], self.upward)

    def beginning(self, logits):
        """Joint distribution of the hidden layers h_1, ..., h_L of a chain downwards: a `BeliefChain`.

        Args:
          logits: Log odds of h_L, `[..., n_L]`.

        Raises:
          ValueError: If the chain goes upwards.
        """
        if self.upward:
            raise ValueError("a chain upwards begins with what is seen: take following(x).")
        return BeliefChain(logits, [(self, link) for link in self._links()[:-1]], upward=False)

    def means(self, given):
        """Probabilities of 1 of each layer, those of its neighbor put in the place of states.

        Args:
          given: As for `following`.

        Returns:
          List of all layers, h_0 first, `given` among them.
        """
        found = [given]
        for link in self._links():
            found.append(tf.sigmoid(self.log_odds(link, found[-1])))
        return found if self.upward else found[::-1]

    def _links(self):
        """The links in the order in which they are drawn."""
        links = list(range(len(self.kernels)))
        return links if self.upward else links[::-1]


class BeliefChain(tfp.distributions.Distribution):
    """Joint distribution of binary layers, each Bernoulli given the one drawn before it.

    A value holds the layers side by side, `[..., sum_l n_l]`, the lowest first, whichever is drawn first.

    Args:
      logits: Log odds of the layer that is drawn first, `[..., n]`.
      links: Of each further layer, in the order of drawing, `(BeliefLayers, link)`.
      upward: Whether the lowest layer is drawn first.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.
    """

    def __init__(
        self,
        logits,
        links=(),
        upward=True,
        validate_args=False,
        allow_nan_stats=True,
        name="BeliefChain",
    ):
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self.logits = tf.convert_to_tensor(logits, tf.float32)
            self.links, self.upward = tuple(links), bool(upward)
            drawn = [self.logits.shape[-1], *(layers.kernels[link].shape[1] for layers, link in self.links)]
            self.sizes = tuple(drawn if self.upward else drawn[::-1])
            super().__init__(
                dtype=tf.float32,
                reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "logits": _property(event_ndims=1),
            "links": _property(event_ndims=None),
            "upward": _property(event_ndims=None),
        }

    def _event_shape(self):
        return tf.TensorShape([sum(self.sizes)])

    def _event_shape_tensor(self):
        return tf.constant([sum(self.sizes)], tf.int32)

    def _default_event_space_bijector(self):
        return None

    def layers(self, value):
        """A value `[..., sum_l n_l]` as the list of its layers `[..., n_l]`, the lowest first."""
        return tf.split(value, self.sizes, axis=-1)

    def layer_log_probs(self, value):
        """log p of each layer given the one drawn before it, the lowest first: a list of `[...]`."""
        states = self._in_order(self.layers(tf.cast(value, tf.float32)))
        odds = [self.logits]
        odds += [layers.log_odds(link, h) for (layers, link), h in zip(self.links, states, strict=False)]
        found = [Bernoulli(o).log_prob(h) for o, h in zip(odds, states, strict=True)]
        return self._in_order([tf.reduce_sum(each, axis=-1) for each in found])

    def _log_prob(self, value):
        return sum(self.layer_log_probs(value))

    @property
    def uniforms(self):
        """Shape of the uniform numbers of one draw."""
        return (sum(self.sizes),)

    def drawn(self, uniform, temperature=1.0):
        """As `draw.DrawnFromUniforms`: each unit is 1 where its log odds exceed `temperature` times noise."""
        noise = self._in_order(self.layers(uniform))
        states = [Bernoulli(self.logits).drawn(noise[0], temperature)]
        for (layers, link), mine in zip(self.links, noise[1:], strict=True):
            states.append(Bernoulli(layers.log_odds(link, states[-1])).drawn(mine, temperature))
        return tf.concat(self._in_order(states), axis=-1)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor(), self.uniforms], axis=0)
        return self.drawn(random.uniform(tfp.random.sanitize_seed(seed), shape))

    def _in_order(self, layers):
        """Layers from the lowest on in the order of drawing, or back."""
        return list(layers) if self.upward else list(layers)[::-1]
