"""Latent variables and a lower bound of log p(x)."""

from tfgen.variational.autoencoder import Autoencoder
from tfgen.variational.categorical_vae import CategoricalVAE
from tfgen.variational.distributions import CouplingFlowPrior, GaussianMixturePrior
from tfgen.variational.helmholtz_machine import HelmholtzMachine
from tfgen.variational.semi_supervised_vae import SemiSupervisedVAE
from tfgen.variational.sigmoid_belief_net import SigmoidBeliefNet
from tfgen.variational.vae import VAE

__all__ = [
    "VAE",
    "Autoencoder",
    "CategoricalVAE",
    "CouplingFlowPrior",
    "GaussianMixturePrior",
    "HelmholtzMachine",
    "SemiSupervisedVAE",
    "SigmoidBeliefNet",
]
