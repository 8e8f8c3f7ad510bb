"""TFP distributions of our own, and draws from any TFP distribution by tfgen's random numbers."""

from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from tfgen.distributions.draw import draw, draws_are_ours
from tfgen.distributions.laws import Bernoulli
from tfgen.distributions.model_distribution import ModelDistribution
from tfgen.distributions.relaxed import relaxed
from tfgen.distributions.stroke_mixture import StrokeMixture

__all__ = [
    "Bernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "ModelDistribution",
    "StrokeMixture",
    "draw",
    "draws_are_ours",
    "relaxed",
]
