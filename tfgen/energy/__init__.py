"""Models of p(x) proportional to exp(-E(x))."""

from tfgen.energy.rbm import RBM

__all__ = ["RBM"]
