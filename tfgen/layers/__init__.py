"""Keras layers that Keras does not have."""

from tfgen.layers.masked import MaskedConv2D, RowsAboveConv2D

__all__ = ["MaskedConv2D", "RowsAboveConv2D"]
