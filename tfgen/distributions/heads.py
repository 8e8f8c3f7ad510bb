"""Mixtures from a network's raw outputs: laws as functions."""

from tfgen.distributions.laws import LogisticMixture, Strokes

STROKE_OUTPUTS = 6


def mixture_outputs(channels):
    """Number of raw outputs for each component of a pixel."""
    return LogisticMixture(channels, 1).size


def discretized_logistic_mixture(raw, channels, num_values):
    """`LogisticMixture` of raw outputs."""
    return LogisticMixture(channels, raw.shape[-1] // mixture_outputs(channels), num_values)(raw)


def stroke_mixture(raw, bias=0.0):
    """`Strokes` of raw outputs."""
    return Strokes(raw.shape[-1] // STROKE_OUTPUTS, bias)(raw)
