"""Markov chains learned from corruption, and chains in the code space of a generator."""

from tfgen.denoising.chain import ChainModel
from tfgen.denoising.gsn import GenerativeStochasticNetwork
from tfgen.denoising.plug_and_play import PlugAndPlay

__all__ = ["ChainModel", "GenerativeStochasticNetwork", "PlugAndPlay"]
