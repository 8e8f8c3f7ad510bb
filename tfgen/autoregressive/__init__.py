"""Autoregressive models: exact densities as products of conditionals."""

from tfgen.autoregressive.char_rnn import CharRNN
from tfgen.autoregressive.dialogue import DialogueModel
from tfgen.autoregressive.fvbn import FVBN
from tfgen.autoregressive.gated_pixel_cnn import GatedPixelCNN
from tfgen.autoregressive.handwriting import HandwritingRNN
from tfgen.autoregressive.made import MADE
from tfgen.autoregressive.mixture_of_rnns import MixtureOfRNNs
from tfgen.autoregressive.multiscale_pixel_cnn import MultiScalePixelCNN
from tfgen.autoregressive.nade import NADE
from tfgen.autoregressive.pixel_cnn import PixelCNN
from tfgen.autoregressive.pixel_cnn_pp import PixelCNNPlusPlus
from tfgen.autoregressive.pixel_rnn import PixelRNN
from tfgen.autoregressive.wavenet import WaveNet

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
