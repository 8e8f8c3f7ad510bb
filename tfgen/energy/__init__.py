"""Models of p(x) proportional to exp(-E(x))."""

from tfgen.energy.boltzmann_machine import BoltzmannMachine
from tfgen.energy.gaussian_rbm import GaussianBernoulliRBM
from tfgen.energy.rbm import RBM

__all__ = ["RBM", "BoltzmannMachine", "GaussianBernoulliRBM"]
