"""Continuous Bernoulli: an exponential density, rising or falling, on [0, 1]."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random

# Below this natural parameter formulas that divide by it give way to series.
_SMALL = 0.01


class ContinuousBernoulli(tfp.distributions.Distribution):
    """p(x) = l exp(l x) / (exp(l) - 1) on [0, 1], in terms of the natural parameter l of any size.

    TFP's distribution of this name takes the log odds through their probability, and its quantiles and
    gradients break off where that rounds to 0 or 1.

    Args:
      logits: l, any shape.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.

    References:
      Loaiza-Ganem & Cunningham, 2019, arXiv:1907.06845.
    """

    uniforms = ()

    def __init__(self, logits, validate_args=False, allow_nan_stats=True, name="ContinuousBernoulli"):
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self.logits = tf.convert_to_tensor(logits, tf.float32)
            super().__init__(
                dtype=tf.float32,
                reparameterization_type=tfp.distributions.FULLY_REPARAMETERIZED,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"logits": tfp.util.ParameterProperties()}

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _apart(self):
        """Where |l| is small, and |l| with a 1 there."""
        size = tf.abs(self.logits)
        small = size < _SMALL
        return small, tf.where(small, 1.0, size)

    def _log_prob(self, x):
        # log (exp(l) - 1) / l = max(l, 0) + log((1 - exp(-|l|)) / |l|), of small l: l / 2 + l^2 / 24.
        small, size = self._apart()
        exact = tf.nn.relu(self.logits) + tf.math.log(-tf.math.expm1(-size) / size)
        normalizer = tf.where(small, self.logits / 2.0 + self.logits**2 / 24.0, exact)
        return tf.cast(x, tf.float32) * self.logits - normalizer

    def _mean(self):
        # Of rising densities 1 / (1 - exp(-l)) - 1 / l, of falling ones the mirror image.
        small, size = self._apart()
        rising = -1.0 / tf.math.expm1(-size) - 1.0 / size
        exact = tf.where(self.logits > 0.0, rising, 1.0 - rising)
        return tf.where(small, 0.5 + self.logits / 12.0, exact)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor()], axis=0)
        return self._quantile(random.uniform(tfp.random.sanitize_seed(seed), shape))

    def _quantile(self, p):
        # Of rising densities 1 + log(1 + (1 - p) (exp(-l) - 1)) / l, of falling ones the mirror image.
        small, size = self._apart()
        rises = self.logits > 0.0
        up = 1.0 + tf.math.log1p(tf.where(rises, 1.0 - p, p) * tf.math.expm1(-size)) / size
        exact = tf.where(rises, up, 1.0 - up)
        x = tf.where(small, p + 0.5 * self.logits * p * (1.0 - p), exact)
        return tf.clip_by_value(x, 0.0, 1.0)

    def drawn(self, uniform, temperature):
        """As `draw.DrawnFromUniforms`: the quantile, l divided by the temperature; 0 leaves the mode."""
        heat = tf.maximum(tf.cast(temperature, tf.float32), 1e-20)
        tempered = tf.clip_by_value(self.logits / heat, -1e30, 1e30)
        return ContinuousBernoulli(tempered)._quantile(uniform)

    def _default_event_space_bijector(self):
        return tfp.bijectors.Sigmoid()
