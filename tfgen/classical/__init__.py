"""Models that the deep ones are compared with."""

from tfgen.classical.bayesian_gaussian_mixture import BayesianGaussianMixture
from tfgen.classical.gaussian_mixture import GaussianMixture
from tfgen.classical.hidden_markov_model import HiddenMarkovModel
from tfgen.classical.kmeans import KMeans
from tfgen.classical.latent_dirichlet_allocation import LatentDirichletAllocation
from tfgen.classical.probabilistic_pca import ProbabilisticPCA

__all__ = [
    "BayesianGaussianMixture",
    "GaussianMixture",
    "HiddenMarkovModel",
    "KMeans",
    "LatentDirichletAllocation",
    "ProbabilisticPCA",
]
