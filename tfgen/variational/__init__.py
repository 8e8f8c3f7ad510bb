"""Latent variables and a lower bound of log p(x)."""

from tfgen.variational.priors import CouplingFlowPrior, GaussianMixturePrior
from tfgen.variational.vae import VAE

__all__ = ["VAE", "CouplingFlowPrior", "GaussianMixturePrior"]
