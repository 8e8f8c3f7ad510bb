"""Mixture of discretized logistics over the color channels of a pixel."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.discretized_logistic import DiscretizedLogistic, level_log_mass, level_quantile

_property = tfp.util.ParameterProperties
# Temperature 0 stands for this: it leaves one component and its location, and nothing overflows.
_COLDEST = 1e-20


class DiscretizedLogisticMixture(tfp.distributions.Distribution):
    """Mixture over the C integer levels of one pixel, whose components draw one channel after the other.

    With m = (L - 1) / 2, the middle of the levels, and the masses P_L of `DiscretizedLogistic`,

      P(x) = sum_k softmax(logits)_k prod_c P_L(x_c; loc_ck + sum_{b<c} a_cbk (x_b - m), scale_ck).

    The channels share the component, and the location of each is shifted by the levels of those before it.
    P(x_c | x_<c) is again a mixture, whose components weigh softmax(logits)_k prod_{b<c} P_L(x_b; ...).

    Args:
      logits: `[..., K]`: log weights of the components, up to a constant.
      loc: `[..., C, K]`: locations in levels.
      scale: `[..., C, K]`: scales in levels, positive.
      coefficients: `[..., C (C - 1) / 2, K]`: a_10, a_20, a_21, a_30 ...; None for channels that are
        independent given the component.
      num_values: Number of levels L, at least 2; each x_c is one of 0. ... L - 1.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.

    Raises:
      ValueError: If `num_values` is below 2, or the number of coefficients does not fit.

    References:
      Salimans, Karpathy, Chen & Kingma, "PixelCNN++: improving the PixelCNN with discretized logistic mixture
      likelihood and other modifications", ICLR 2017, arXiv:1701.05517.
    """

    def __init__(
        self,
        logits,
        loc,
        scale,
        coefficients=None,
        num_values=256,
        validate_args=False,
        allow_nan_stats=True,
        name="DiscretizedLogisticMixture",
    ):
        parameters = dict(locals())
        checks.whole("num_values", num_values, at_least=2)
        with tf.name_scope(name) as name:
            self.logits = tf.convert_to_tensor(logits, tf.float32)
            self.loc = tf.convert_to_tensor(loc, tf.float32)
            self.scale = tf.convert_to_tensor(scale, tf.float32)
            given = coefficients is not None
            self.coefficients = tf.convert_to_tensor(coefficients, tf.float32) if given else None
            self.num_values, self.channels = int(num_values), self.loc.shape[-2]
            pairs = self.channels * (self.channels - 1) // 2
            if given and self.coefficients.shape[-2] != pairs:
                raise ValueError(
                    f"coefficients must have shape [..., {pairs}, K] for {self.channels} channels, got "
                    f"{self.coefficients.shape}."
                )
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
            "coefficients": _property(event_ndims=2),
            "num_values": _property(event_ndims=None),
        }

    def _event_shape(self):
        return tf.TensorShape([self.channels])

    def _event_shape_tensor(self):
        return tf.constant([self.channels], tf.int32)

    def tempered(self, temperature):
        """The mixture with logits divided, and scales multiplied, by `temperature`; 0 leaves the mode."""
        heat = tf.maximum(tf.cast(temperature, tf.float32), _COLDEST)
        highest = tf.reduce_max(self.logits, axis=-1, keepdims=True)
        return self.copy(logits=(self.logits - highest) / heat, scale=self.scale * heat)

    def _component_loc(self, channel, earlier):
        """Locations `[..., K]` of a channel, given the list of the levels `[...]` of those before it."""
        loc = self.loc[..., channel, :]
        if self.coefficients is None:
            return loc
        first = channel * (channel - 1) // 2
        middle = (self.num_values - 1) / 2.0
        for before, level in enumerate(earlier):
            loc += self.coefficients[..., first + before, :] * (level - middle)[..., None]
        return loc

    def _log_weights(self, x):
        """log P(component, x_<c) for c = 0 ... C: a list of `[..., K]`, up to the same constant."""
        levels = tf.unstack(tf.cast(x, tf.float32), axis=-1)
        weights = [self.logits]
        for c, level in enumerate(levels):
            loc, scale = self._component_loc(c, levels[:c]), self.scale[..., c, :]
            weights.append(weights[-1] + level_log_mass(level[..., None], loc, scale, self.num_values))
        return weights

    def _log_prob(self, x):
        first, *_, last = self._log_weights(x)
        return tf.reduce_logsumexp(last, axis=-1) - tf.reduce_logsumexp(first, axis=-1)

    def channel_log_probs(self, x):
        """log P(x_c | x_<c) of each channel, `[..., C]`: they add up to `log_prob(x)`."""
        sums = [tf.reduce_logsumexp(weights, axis=-1) for weights in self._log_weights(x)]
        return tf.stack([after - before for before, after in zip(sums[:-1], sums[1:], strict=True)], axis=-1)

    def from_uniform(self, uniform, known=None):
        """A draw that is a function of uniform numbers, in which some channels may be known.

        Each channel is drawn from its conditional: a component from the weights that the channels before it
        leave, drawn or known, then that component's level.

        Args:
          uniform: Floats in (0, 1), `[..., C, 2]`.
          known: Levels `[..., C]`, negative where they are to be drawn; None draws all.

        Returns:
          Levels `[..., C]`.
        """
        weights = self.logits
        levels = []
        for c in range(self.channels):
            loc, scale = self._component_loc(c, levels), self.scale[..., c, :]
            component = random.pick(uniform[..., c, 0], tf.nn.softmax(weights))
            chosen = tf.one_hot(component, self.logits.shape[-1])
            mine = [tf.reduce_sum(p * chosen, axis=-1) for p in (loc, scale)]
            level = level_quantile(uniform[..., c, 1], *mine, self.num_values)
            if known is not None:
                level = tf.where(known[..., c] < 0.0, level, known[..., c])
            levels.append(level)
            weights += level_log_mass(level[..., None], loc, scale, self.num_values)
        return tf.stack(levels, axis=-1)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor(), [self.channels, 2]], axis=0)
        return self.from_uniform(random.uniform(tfp.random.sanitize_seed(seed), shape))

    def _mean(self):
        if self.channels > 1:
            raise NotImplementedError(
                "the mean of several channels, each shifted by those before, has no formula"
            )
        each = DiscretizedLogistic(self.loc, self.scale, self.num_values).mean()  # [..., 1, K]
        return tf.reduce_sum(tf.nn.softmax(self.logits)[..., None, :] * each, axis=-1)

    @property
    def uniforms(self):
        """Shape of the uniform numbers of one draw."""
        return (self.channels, 2)

    def drawn(self, uniform, temperature):
        """As `draw.DrawnFromUniforms`, of the mixture `tempered`."""
        return self.tempered(temperature).from_uniform(uniform)

    def _default_event_space_bijector(self):
        return None
