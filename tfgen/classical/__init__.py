"""Models that the deep ones are compared with."""

from tfgen.classical.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
