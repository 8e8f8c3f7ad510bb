"""Mixture-density LSTM: what comes next in a world, after codes of what was seen and actions."""

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.keras_model import Layer
from tfgen.layers.recurrent import RecurrentLayer
from tfgen.layers.scan import scan
from tfgen.variational.distributions import MixtureOfNormals

# Temperature 0 stands for this: it leaves the middle of the most probable component.
_COLDEST = 1e-20


@keras.saving.register_keras_serializable("tfgen")
class TransitionNetwork(Layer):
    """Mixture-density RNN: p(z_(t+1) | z_1 ... z_t, a_1 ... a_t), and the mean of the reward of a_t.

      h_0 = LSTM(0),  h_t = LSTM(z_t, a_t; h_(t-1)),  (pi_k, mu_k, sigma_k, m) = W h_t + b
      z_(t+1) ~ sum_k pi_k N(mu_k, diag sigma_k^2),  E r_t = m

    h_0 has seen nothing and gives p(z_1).

    Args:
      latent_size: Size of a code z.
      num_actions: Number of actions.
      units: Size of h.
      num_components: Number of Gaussians K.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Bishop, "Mixture density networks", 1994. Ha & Schmidhuber, "World models", 2018, arXiv:1803.10122,
      section 2.2 and appendix A.2.
    """

    def __init__(self, latent_size, num_actions, units=128, num_components=5, **kwargs):
        # Codes stay float32 whatever the layers compute in.
        super().__init__(autocast=False, **kwargs)
        self.latent_size = checks.whole("latent_size", latent_size)
        self.num_actions = checks.whole("num_actions", num_actions, at_least=2)
        self.mixture = MixtureOfNormals(checks.whole("num_components", num_components))
        self.cell = RecurrentLayer("lstm", units, dtype=self.dtype_policy)
        self.head = keras.layers.Dense(self.mixture.size(latent_size) + 1, dtype=self.dtype_policy)
        # Kept so that a configuration has them.
        self.units, self.num_components = units, num_components

    def build(self, input_shape=None):
        """Creates the weights."""
        self.cell.build((None, self.latent_size + self.num_actions))
        self.head.build((None, self.units))
        self.built = True

    def codes(self, raw):
        """p(z_(t+1) | ...), a TFP distribution over `[latent_size]`, of raw outputs `[..., size]`."""
        return self.mixture(raw[..., :-1])

    def rewards(self, raw):
        """E r_t, float32 `[...]`, of raw outputs `[..., size]`."""
        return raw[..., -1]

    def call(self, z, actions):
        """Raw outputs before the first step and behind each, float32 `[B, T + 1, size]`.

        Args:
          z: Codes, float32 `[B, T, latent_size]`.
          actions: int32 `[B, T]`: what is done after each.
        """
        read = tf.concat([z, tf.one_hot(actions, self.num_actions)], axis=-1)
        h, _ = self.cell.sequence(tf.pad(read, [[0, 0], [1, 0], [0, 0]]))
        return tf.cast(self.head(h), tf.float32)

    def start(self, num):
        """The state and the raw outputs before the first step, of `num` rows."""
        nothing = tf.zeros([num, self.latent_size + self.num_actions])
        state, h = self.cell.step(self.cell.start(num), nothing)
        return state, tf.cast(self.head(h), tf.float32)

    def advance(self, state, z, actions):
        """The state and the raw outputs behind a step: a code `[n, latent_size]` and an action int `[n]`."""
        read = tf.concat([z, tf.one_hot(actions, self.num_actions)], axis=-1)
        state, h = self.cell.step(state, read)
        return state, tf.cast(self.head(h), tf.float32)

    def noise(self, seeds, steps):
        """Uniform numbers of a path, `[n, steps, 1 + latent_size]`, that begin alike for any `steps`."""
        return random.uniform(random.fold_in(seeds[:, None], tf.range(steps)), [1 + self.latent_size])

    def draw(self, raw, uniform, temperature=1.0):
        """A code for each row, from p(z_(t+1) | ...) at a temperature.

        Weights are softmax(log pi / temperature), variances multiplied by it; 0 takes the middle of the most
        probable component.

        Args:
          raw: float32 `[n, size]`.
          uniform: Of `noise`, `[n, 1 + latent_size]`.
          temperature: Scalar.

        Returns:
          float32 `[n, latent_size]`.
        """
        mixture = self.codes(raw)
        heat = tf.maximum(tf.cast(temperature, tf.float32), _COLDEST)
        logits = mixture.mixture_distribution.logits_parameter()
        logits = (logits - tf.reduce_max(logits, axis=-1, keepdims=True)) / heat
        chosen = random.pick(uniform[:, 0], tf.nn.softmax(logits))
        parts = mixture.components_distribution
        loc, scale = (tf.gather(p, chosen, axis=1, batch_dims=1) for p in (parts.loc, parts.scale.diag))
        return loc + tf.sqrt(heat) * scale * tf.math.ndtri(uniform[:, 1:])

    def imagine(self, state, z, actions, noise, temperature=1.0):
        """A path of codes and rewards that the network dreams up.

        Args:
          state: Before the step from z on.
          z: The code that the path begins at, `[n, latent_size]`.
          actions: int32 `[n, steps]`: the first is what is done at z.
          noise: Of `noise`, `[n, steps, 1 + latent_size]`.
          temperature: As for `draw`.

        Returns:
          The codes after each action, float32 `[n, steps, latent_size]`, and the expected rewards of the
          actions, float32 `[n, steps]`.
        """
        rows = actions.shape[0]
        out = tf.TensorSpec([rows, self.latent_size]), tf.TensorSpec([rows])

        def step(carry, given):
            actions, uniform = given
            state, raw = self.advance(*carry, actions)
            z = self.draw(raw, uniform, temperature)
            return (state, z), (z, self.rewards(raw))

        given = tf.transpose(actions), tf.transpose(noise, (1, 0, 2))
        _, (codes, rewards) = scan(step, given, (state, z), out)
        return tf.transpose(codes, (1, 0, 2)), tf.transpose(rewards)
