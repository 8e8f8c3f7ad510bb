"""Mixtures from a network's raw outputs."""

import tensorflow as tf

from tfgen.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from tfgen.distributions.stroke_mixture import StrokeMixture

_LOG_RANGE = 7.0


def mixture_outputs(channels):
    """How many raw outputs `discretized_logistic_mixture` reads for each component of a pixel."""
    return 1 + 2 * channels + channels * (channels - 1) // 2


def discretized_logistic_mixture(raw, channels, num_values):
    """Pixels whose channels share the component of a mixture of discretized logistics.

    Args:
      raw: `[..., mixture_outputs(channels) * K]`, one group of K after the other: logits; for each channel a
        location, then for each a log scale, as in `discretized_logistic`; for each pair of channels the
        coefficient, before tanh, by which the location of the one follows the level of the other.
      channels: Number of color channels.
      num_values: Number of levels.
    """
    count, half = mixture_outputs(channels), (num_values - 1) / 2.0
    raw = tf.reshape(raw, tf.concat([tf.shape(raw)[:-1], [count, raw.shape[-1] // count]], 0))
    loc, log_scale = raw[..., 1 : channels + 1, :], raw[..., channels + 1 : 2 * channels + 1, :]
    scale = half * tf.exp(tf.clip_by_value(log_scale, -_LOG_RANGE, _LOG_RANGE))
    coefficients = tf.tanh(raw[..., 2 * channels + 1 :, :]) if channels > 1 else None
    return DiscretizedLogisticMixture(raw[..., 0, :], half * (loc + 1.0), scale, coefficients, num_values)


# What `stroke_mixture` reads: so many raw outputs for each component, and one for the pen.
STROKE_OUTPUTS = 6
# Components thinner than this would follow the rounding of the data.
_THINNEST, _STRAIGHTEST = 0.01, 0.99


def stroke_mixture(raw, bias=0.0):
    """A step of a pen, with Graves' probability bias b.

    Weights softmax(pi (1 + b)), standard deviations exp(s - b) + 0.01, correlations 0.99 tanh(r): bounded, so
    that no component becomes a line or a point.

    Args:
      raw: `[..., 6 K + 1]`, one group of K after the other: pi, the locations of dx and of dy, s of dx and of
        dy, r; then the pen's log odds.
      bias: b, not negative: 0 is the distribution itself, more is neater.
    """
    components = tf.reshape(
        raw[..., :-1], tf.concat([tf.shape(raw)[:-1], [STROKE_OUTPUTS, raw.shape[-1] // STROKE_OUTPUTS]], 0)
    )
    return StrokeMixture(
        components[..., 0, :] * (1.0 + bias),
        components[..., 1:3, :],
        tf.exp(components[..., 3:5, :] - bias) + _THINNEST,
        _STRAIGHTEST * tf.tanh(components[..., 5, :]),
        raw[..., -1],
    )
