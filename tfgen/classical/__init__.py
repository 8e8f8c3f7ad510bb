"""Models that the deep ones are compared with."""

from tfgen.classical.gaussian_mixture import GaussianMixture
from tfgen.classical.hidden_markov_model import HiddenMarkovModel

__all__ = ["GaussianMixture", "HiddenMarkovModel"]
