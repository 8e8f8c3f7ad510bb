"""Autoregressive models: exact densities as products of conditionals."""

from tfgen.autoregressive.pixels.gated_pixel_cnn import GatedPixelCNN
from tfgen.autoregressive.pixels.multiscale_pixel_cnn import MultiScalePixelCNN
from tfgen.autoregressive.pixels.pixel_cnn import PixelCNN
from tfgen.autoregressive.pixels.pixel_cnn_pp import PixelCNNPlusPlus
from tfgen.autoregressive.pixels.pixel_rnn import PixelRNN
from tfgen.autoregressive.sequences.char_rnn import CharRNN
from tfgen.autoregressive.sequences.dialogue import DialogueModel
from tfgen.autoregressive.sequences.handwriting import HandwritingRNN
from tfgen.autoregressive.sequences.mixture_of_rnns import MixtureOfRNNs
from tfgen.autoregressive.sequences.wavenet import WaveNet
from tfgen.autoregressive.vectors.fvbn import FVBN
from tfgen.autoregressive.vectors.made import MADE
from tfgen.autoregressive.vectors.nade import NADE

__all__ = [
    "CharRNN",
    "DialogueModel",
    "FVBN",
    "GatedPixelCNN",
    "HandwritingRNN",
    "MADE",
    "MixtureOfRNNs",
    "MultiScalePixelCNN",
    "NADE",
    "PixelCNN",
    "PixelCNNPlusPlus",
    "PixelRNN",
    "WaveNet",
]
