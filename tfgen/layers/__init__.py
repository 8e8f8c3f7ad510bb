"""Keras layers that Keras does not have."""

from tfgen.layers.masked import MaskedConv2D

__all__ = ["MaskedConv2D"]
