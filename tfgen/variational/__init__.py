"""Latent variables and a lower bound of log p(x)."""

from tfgen.variational.align_draw import AlignDRAW
from tfgen.variational.autoencoder import Autoencoder
from tfgen.variational.categorical_vae import CategoricalVAE
from tfgen.variational.conditional_vae import ConditionalVAE
from tfgen.variational.convolutional_generator import ConvolutionalGenerator
from tfgen.variational.dc_ign import DCIGN
from tfgen.variational.draw import DRAW
from tfgen.variational.helmholtz_machine import HelmholtzMachine
from tfgen.variational.iaf_vae import IAFVAE
from tfgen.variational.learned_priors import (
    AutoregressivePrior,
    CouplingFlowPrior,
    GaussianMixturePrior,
    VampPrior,
)
from tfgen.variational.mixture_posterior_vae import MixturePosteriorVAE
from tfgen.variational.pixel_vae import PixelVAE
from tfgen.variational.posterior_flows import InverseAutoregressiveFlows
from tfgen.variational.semi_amortized_vae import SemiAmortizedVAE
from tfgen.variational.semi_supervised_vae import SemiSupervisedVAE
from tfgen.variational.sigmoid_belief_net import SigmoidBeliefNet
from tfgen.variational.vae import VAE
from tfgen.variational.vq_vae import VQVAE
from tfgen.variational.vq_vae_2 import VQVAE2
from tfgen.variational.world_model import WorldModel

__all__ = [
    "DCIGN",
    "DRAW",
    "AlignDRAW",
    "Autoencoder",
    "AutoregressivePrior",
    "CategoricalVAE",
    "ConditionalVAE",
    "ConvolutionalGenerator",
    "CouplingFlowPrior",
    "GaussianMixturePrior",
    "HelmholtzMachine",
    "IAFVAE",
    "InverseAutoregressiveFlows",
    "MixturePosteriorVAE",
    "PixelVAE",
    "SemiAmortizedVAE",
    "SemiSupervisedVAE",
    "SigmoidBeliefNet",
    "VAE",
    "VQVAE",
    "VQVAE2",
    "VampPrior",
    "WorldModel",
]
