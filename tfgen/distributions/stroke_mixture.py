"""Mixture of correlated Gaussians and a bit: one step of a pen."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random

_property = tfp.util.ParameterProperties
# Temperature 0 stands for this: it leaves one component and its location, and nothing overflows.
_COLDEST = 1e-20


class StrokeMixture(tfp.distributions.Distribution):
    """Mixture density of steps (dx, dy, pen): two real numbers, and 1 where the pen lifts.

      p(dx, dy, pen) = sum_k softmax(logits)_k N(dx, dy; loc_k, scale_k, correlation_k) Bernoulli(pen)

    Everything is computed in log space, each Gaussian as p(dx) p(dy | dx).

    Args:
      logits: `[..., K]`: log weights of the components, up to a constant.
      loc: `[..., 2, K]`.
      scale: `[..., 2, K]`: standard deviations, positive.
      correlation: `[..., K]`, strictly between -1 and 1.
      pen: `[...]`: log odds of a lift.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.

    References:
      Bishop, "Mixture density networks", 1994. Graves, "Generating sequences with recurrent neural networks",
      2013, arXiv:1308.0850, section 4.
    """

    uniforms = (4,)

    def __init__(
        self,
        logits,
        loc,
        scale,
        correlation,
        pen,
        validate_args=False,
        allow_nan_stats=True,
        name="StrokeMixture",
    ):
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self.logits = tf.convert_to_tensor(logits, tf.float32)
            self.loc = tf.convert_to_tensor(loc, tf.float32)
            self.scale = tf.convert_to_tensor(scale, tf.float32)
            self.correlation = tf.convert_to_tensor(correlation, tf.float32)
            self.pen = tf.convert_to_tensor(pen, tf.float32)
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
            "loc": _property(event_ndims=2),
            "scale": _property(event_ndims=2),
            "correlation": _property(event_ndims=1),
            "pen": _property(event_ndims=0),
        }

    def _event_shape(self):
        return tf.TensorShape([3])

    def _event_shape_tensor(self):
        return tf.constant([3], tf.int32)

    def tempered(self, temperature):
        """The mixture with both kinds of logits divided, and scales multiplied, by `temperature`.

        0 leaves the location of the most probable component, and the more probable pen.
        """
        heat = tf.maximum(tf.cast(temperature, tf.float32), _COLDEST)
        highest = tf.reduce_max(self.logits, axis=-1, keepdims=True)
        return self.copy(
            logits=(self.logits - highest) / heat,
            scale=self.scale * heat,
            pen=tf.clip_by_value(self.pen / heat, -1e9, 1e9),
        )

    def offset_log_prob(self, x):
        """log p(dx, dy) of x `[..., 2 or more]`, without the pen."""
        first, second = (
            (x[..., i, None] - self.loc[..., i, :]) / self.scale[..., i, :] for i in (0, 1)
        )  # [..., K]
        unexplained = 1.0 - tf.square(self.correlation)
        second = tf.square(second - self.correlation * first) / unexplained
        log_scale = tf.reduce_sum(tf.math.log(self.scale), axis=-2) + 0.5 * tf.math.log(unexplained)
        each = -0.5 * (tf.square(first) + second) - log_scale - math.log(2.0 * math.pi)
        return tf.reduce_logsumexp(tf.nn.log_softmax(self.logits) + each, axis=-1)

    def _log_prob(self, x):
        shape = tf.broadcast_dynamic_shape(tf.shape(x[..., 2]), tf.shape(self.pen))
        pens = tf.broadcast_to(x[..., 2], shape)
        odds = tf.broadcast_to(self.pen, shape)
        lifts = -tf.nn.sigmoid_cross_entropy_with_logits(labels=pens, logits=odds)
        return self.offset_log_prob(x) + lifts

    def from_uniform(self, uniform):
        """A draw that is a function of uniform numbers.

        Args:
          uniform: Floats in (0, 1), `[..., 4]`: for the component, the pen, and the two offsets.

        Returns:
          Steps `[..., 3]`.
        """
        component = random.pick(uniform[..., 0], tf.nn.softmax(self.logits))
        chosen = tf.one_hot(component, self.logits.shape[-1])
        loc, scale = (tf.reduce_sum(p * chosen[..., None, :], axis=-1) for p in (self.loc, self.scale))
        correlation = tf.reduce_sum(self.correlation * chosen, axis=-1)
        first, own = tf.unstack(tf.math.ndtri(uniform[..., 2:]), axis=-1)
        second = correlation * first + tf.sqrt(1.0 - tf.square(correlation)) * own
        offset = loc + scale * tf.stack([first, second], axis=-1)
        pen = tf.cast(uniform[..., 1] < tf.sigmoid(self.pen), tf.float32)
        return tf.concat([offset, pen[..., None]], axis=-1)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor(), [4]], axis=0)
        return self.from_uniform(random.uniform(tfp.random.sanitize_seed(seed), shape))

    def drawn(self, uniform, temperature):
        """As `draw.DrawnFromUniforms`, of the mixture `tempered`."""
        return self.tempered(temperature).from_uniform(uniform)

    def _default_event_space_bijector(self):
        return None
