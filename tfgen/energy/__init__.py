"""Models of p(x) proportional to exp(-E(x))."""

from tfgen.energy.boltzmann_machine import BoltzmannMachine
from tfgen.energy.convolutional_rbm import ConvolutionalRBM
from tfgen.energy.deep_belief_net import DeepBeliefNet
from tfgen.energy.deep_boltzmann_machine import DeepBoltzmannMachine
from tfgen.energy.gaussian_rbm import GaussianBernoulliRBM
from tfgen.energy.rbm import RBM

__all__ = [
    "RBM",
    "BoltzmannMachine",
    "ConvolutionalRBM",
    "DeepBeliefNet",
    "DeepBoltzmannMachine",
    "GaussianBernoulliRBM",
]
