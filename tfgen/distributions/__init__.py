"""TFP distributions of our own, and draws from any TFP distribution by tfgen's random numbers."""

from tfgen.distributions.bernoulli import Bernoulli
from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from tfgen.distributions.draw import draw, draws_are_ours
from tfgen.distributions.model_distribution import ModelDistribution

__all__ = [
    "Bernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "ModelDistribution",
    "draw",
    "draws_are_ours",
]
