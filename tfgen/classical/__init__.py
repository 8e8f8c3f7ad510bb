"""Models that the deep ones are compared with."""

from tfgen.classical.bayesian_gaussian_mixture import BayesianGaussianMixture
from tfgen.classical.gaussian_mixture import GaussianMixture
from tfgen.classical.latent_dirichlet_allocation import LatentDirichletAllocation

__all__ = ["BayesianGaussianMixture", "GaussianMixture", "LatentDirichletAllocation"]
