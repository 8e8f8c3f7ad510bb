"""From a network's raw outputs to TFP distributions."""

import functools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.bernoulli import Bernoulli
from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from tfgen.distributions.stroke_mixture import StrokeMixture

tfd = tfp.distributions

_UNIT = math.log(math.e - 1.0)  # softplus(_UNIT) = 1: a network that puts out 0 starts at scale 1.
_SMALLEST = 1e-4  # A scale of 0 would make a density infinite.
_LOG_RANGE = 7.0


def positive_scale(raw):
    """softplus(raw + log(e - 1)) + 1e-4: positive, 1 at 0."""
    return tf.math.softplus(raw + _UNIT) + _SMALLEST


def diagonal_normal(raw):
    """Multivariate normal with diagonal covariance.

    Args:
      raw: `[..., 2 d]`: locations, then raw scales.
    """
    loc, scale = tf.split(raw, 2, axis=-1)
    return tfd.MultivariateNormalDiag(loc, positive_scale(scale))


def full_normal(raw):
    """Multivariate normal with a full covariance L L'.

    Args:
      raw: `[..., d + d (d + 1) / 2]`: locations, then the entries of L, its diagonal raw.
    """
    size = (math.isqrt(9 + 8 * raw.shape[-1]) - 3) // 2
    lower = tfp.math.fill_triangular(raw[..., size:])
    diagonal = tf.linalg.diag_part(lower)
    # Not set_diag: XLA does not compile its gradient where the batch size is not known.
    lower += tf.linalg.diag(positive_scale(diagonal) - diagonal)
    return tfd.MultivariateNormalTriL(raw[..., :size], lower)


def bernoulli(raw, num_values=2):
    """Independent bits.

    Args:
      raw: `[..., *event_shape, 1]`: logits.
      num_values: 2, as `likelihood_head` hands it to every head.
    """
    del num_values
    return Bernoulli(raw[..., 0])


def normal(raw):
    """Independent real values, each with a standard deviation of its own.

    Args:
      raw: `[..., *event_shape, 2]`: locations and raw scales.
    """
    return tfd.Normal(raw[..., 0], positive_scale(raw[..., 1]))


def discretized_logistic(raw, num_values):
    """Independent levels, each a discretized logistic.

    Args:
      raw: `[..., *event_shape, 2]`: locations and log scales, both as if the levels were spread
        over [-1, 1]; log scales are kept within 7 of 0.
      num_values: Number of levels.
    """
    half = (num_values - 1) / 2.0
    log_scale = tf.clip_by_value(raw[..., 1], -_LOG_RANGE, _LOG_RANGE)
    return DiscretizedLogistic(half * (raw[..., 0] + 1.0), half * tf.exp(log_scale), num_values)


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


# Name -> (distribution of raw outputs, raw outputs for each entry of x, number of levels).
_LIKELIHOODS = {
    "bernoulli": (bernoulli, 1, 2),
    "gaussian": (normal, 2, None),
    "discretized_logistic": (discretized_logistic, 2, 256),
}
# Name -> (distribution of raw outputs, raw outputs for d latent variables).
_POSTERIORS = {
    "diagonal": (diagonal_normal, lambda d: 2 * d),
    "full": (full_normal, lambda d: d + d * (d + 1) // 2),
}


def likelihood_head(likelihood, num_values=None, size=None):
    """What a decoder needs for a likelihood named, or given as a function of raw outputs.

    Args:
      likelihood: "bernoulli", "gaussian", "discretized_logistic" or a function.
      num_values: Number of levels of the data, None for the named likelihood's own; "gaussian" takes any
        data as real.
      size: Raw outputs for each entry of x, for a function; 1 by default.

    Returns:
      Function of raw outputs, raw outputs for each entry, number of levels (None for real x).

    Raises:
      ValueError: If the arguments do not fit.
    """
    if num_values is not None and num_values < 2:
        raise ValueError(f"num_values must be at least 2, got {num_values}.")
    if callable(likelihood):
        return likelihood, _positive("likelihood_size", 1 if size is None else size), num_values
    _check_named("likelihood", likelihood, _LIKELIHOODS, "likelihood_size", size)
    head, size, levels = _LIKELIHOODS[likelihood]
    if levels is None:
        return head, size, None
    if likelihood == "bernoulli" and num_values not in (None, 2):
        raise ValueError(
            f"likelihood='bernoulli' takes 2 levels, got num_values={num_values}: binarize the data, or take "
            "likelihood='discretized_logistic'."
        )
    levels = num_values or levels
    return functools.partial(head, num_values=levels), size, levels


def posterior_head(posterior, latent_size, size=None):
    """What an encoder needs for a posterior named, or given as a function of raw outputs.

    Args:
      posterior: "diagonal", "full" or a function.
      latent_size: Number of latent variables.
      size: Raw outputs, for a function; twice `latent_size` by default.

    Returns:
      Function of raw outputs, number of raw outputs.

    Raises:
      ValueError: If the arguments do not fit.
    """
    if callable(posterior):
        return posterior, _positive("posterior_size", 2 * latent_size if size is None else size)
    _check_named("posterior", posterior, _POSTERIORS, "posterior_size", size)
    head, count = _POSTERIORS[posterior]
    return head, count(latent_size)


def _check_named(argument, value, known, size_argument, size):
    if not isinstance(value, str) or value not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(f"{argument} must be one of {names} or a function, got {value!r}.")
    if size is not None:
        raise ValueError(
            f"{size_argument}={size} is for a {argument} of your own, and {argument} is {value!r}: "
            "leave it out."
        )


def _positive(name, value):
    if value < 1:
        raise ValueError(f"{name} must be positive, got {value}.")
    return value
