"""Autoregressive models: exact densities as products of conditionals."""

from tfgen.autoregressive.pixel_cnn import PixelCNN

__all__ = ["PixelCNN"]
