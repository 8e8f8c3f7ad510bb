"""Generative adversarial networks: a generator that is trained by a discriminator or critic."""

from tfgen.adversarial.dcgan import DCGAN
from tfgen.adversarial.gan import GAN
from tfgen.adversarial.players import AdversarialModel

__all__ = ["DCGAN", "GAN", "AdversarialModel"]
