"""Latent variables and a lower bound of log p(x)."""

from tfgen.variational.autoencoder import Autoencoder
from tfgen.variational.categorical_vae import CategoricalVAE
from tfgen.variational.distributions import CouplingFlowPrior, GaussianMixturePrior
from tfgen.variational.helmholtz_machine import HelmholtzMachine
from tfgen.variational.pixel_vae import PixelVAE
from tfgen.variational.semi_supervised_vae import SemiSupervisedVAE
from tfgen.variational.sigmoid_belief_net import SigmoidBeliefNet
from tfgen.variational.vae import VAE
from tfgen.variational.vq_vae import VQVAE
from tfgen.variational.vq_vae_2 import VQVAE2

__all__ = [
    "VAE",
    "VQVAE",
    "VQVAE2",
    "Autoencoder",
    "CategoricalVAE",
    "CouplingFlowPrior",
    "GaussianMixturePrior",
    "HelmholtzMachine",
    "PixelVAE",
    "SemiSupervisedVAE",
    "SigmoidBeliefNet",
]
