"""Discretized logistic: a logistic distribution rounded to the integers 0 to num_values - 1."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random

_property = tfp.util.ParameterProperties


def level_log_mass(x, loc, scale, num_values):
    """log mass of the levels `x` under a logistic distribution rounded to 0 ... num_values - 1.

    With F(t) = sigmoid((t - loc) / scale) a level has mass F(x + 1/2) - F(x - 1/2); the lowest also takes all
    the mass below it and the highest all above. No difference of nearly equal numbers is taken: with b - a
    = 1 / scale, log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(-1 / scale)).

    Args:
      x: Levels as floats, any shape.
      loc: Location in levels, broadcasts against `x`.
      scale: Scale in levels, positive, broadcasts against `x`.
      num_values: Number of levels.

    Returns:
      Tensor of the broadcast shape, in nats.
    """
    above = (x + 0.5 - loc) / scale
    below = (x - 0.5 - loc) / scale
    inside = tf.math.log(-tf.math.expm1(-1.0 / scale))
    lowest, highest = x <= 0.0, x >= num_values - 1.0
    below_top = tf.where(highest, 0.0, tf.math.log_sigmoid(above))
    above_bottom = tf.where(lowest, 0.0, tf.math.log_sigmoid(-below))
    return below_top + above_bottom + tf.where(lowest | highest, 0.0, inside)


def level_quantile(uniform, loc, scale, num_values):
    """The level at the quantile `uniform` in (0, 1) of the distribution of `level_log_mass`."""
    logit = tf.math.log(uniform) - tf.math.log1p(-uniform)
    return tf.clip_by_value(tf.round(loc + scale * logit), 0.0, num_values - 1.0)


class DiscretizedLogistic(tfp.distributions.Distribution):
    """Logistic distribution rounded to levels: each has the mass around it.

    P(x) = F(x + 1/2) - F(x - 1/2) with F(t) = sigmoid((t - loc) / scale); the lowest level also
    takes all the mass below it and the highest all above, so the masses sum to one.

    Args:
      loc: Location in levels, any shape.
      scale: Scale in levels, positive, broadcasts against `loc`.
      num_values: Number of levels L, at least 2; x is one of 0. ... L - 1.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.

    Raises:
      ValueError: If `num_values` is below 2.

    References:
      Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016,
      arXiv:1606.04934. Salimans et al., "PixelCNN++", 2017, arXiv:1701.05517.
    """

    uniforms = ()

    def __init__(
        self,
        loc,
        scale,
        num_values=256,
        validate_args=False,
        allow_nan_stats=True,
        name="DiscretizedLogistic",
    ):
        parameters = dict(locals())
        checks.whole("num_values", num_values, at_least=2)
        with tf.name_scope(name) as name:
            self.loc = tf.convert_to_tensor(loc, tf.float32)
            self.scale = tf.convert_to_tensor(scale, tf.float32)
            self.num_values = int(num_values)
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
        return {"loc": _property(), "scale": _property(), "num_values": _property(event_ndims=None)}

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _log_prob(self, x):
        return level_log_mass(tf.cast(x, tf.float32), self.loc, self.scale, self.num_values)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor()], axis=0)
        return self.quantile_of(random.uniform(tfp.random.sanitize_seed(seed), shape))

    def quantile_of(self, uniform, temperature=1.0):
        """The level at the quantile `uniform` in (0, 1), its scale multiplied by `temperature`."""
        return level_quantile(uniform, self.loc, temperature * self.scale, self.num_values)

    def drawn(self, uniform, temperature):
        """As `draw.DrawnFromUniforms`: `quantile_of`."""
        return self.quantile_of(uniform, temperature)

    def _mean(self):
        # E x = sum over j >= 1 of P(x >= j), one level at a time: all at once would need
        # num_values times the memory.
        def add(j, total):
            return j + 1.0, total + tf.sigmoid((self.loc + 0.5 - j) / self.scale)

        return tf.while_loop(
            lambda j, _: j < self.num_values,
            add,
            (tf.constant(1.0), tf.zeros_like(self.loc + self.scale)),
            maximum_iterations=self.num_values - 1,
        )[1]

    def _mode(self):
        # The level nearest to loc, unless an edge with its tail outweighs it.
        top = self.num_values - 1.0
        nearest = tf.clip_by_value(tf.round(self.loc), 0.0, top) + tf.zeros_like(self.scale)
        best, mass = nearest, self._log_prob(nearest)
        for edge in (0.0, top):
            edge_mass = self._log_prob(edge)
            best = tf.where(edge_mass > mass, edge, best)
            mass = tf.maximum(edge_mass, mass)
        return best

    def _default_event_space_bijector(self):
        return None
