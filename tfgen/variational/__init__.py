"""Latent variables and a lower bound of log p(x)."""

from tfgen.variational.distributions import CouplingFlowPrior, GaussianMixturePrior
from tfgen.variational.vae import VAE

__all__ = ["VAE", "CouplingFlowPrior", "GaussianMixturePrior"]
