"""PixelCNN: exact likelihood by masked convolutions, and a sampler that computes each pixel once."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.pixels.incremental import ConvolutionsByPixel
from tfgen.autoregressive.pixels.masked_stack import MaskedStack
from tfgen.layers.conditioning import shifted
from tfgen.layers.masked import MaskedConv2D


@keras.saving.register_keras_serializable("tfgen")
class PixelCNN(MaskedStack):
    """PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016).

    p(x) = prod_i p(x_i | x_<i), rows from above, pixels from the left, within a pixel R, then G given R, then
    B given both. A masked 7x7 convolution is followed by residual blocks

      h <- h + conv1x1(relu(conv3x3(relu(conv1x1(relu(h))))))

    and two 1x1 convolutions. A condition adds to the outputs of the first and of each 3x3 convolution.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      filters: Features of the residual stream.
      num_blocks: Number of residual blocks.
      hidden: Features inside a residual block.
      kernel_size: Odd kernel size of the residual blocks.
      **kwargs: Passed on to `MaskedStack`: `head`, `first_kernel_size`, `num_values` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016,
      arXiv:1601.06759.
    """

    def __init__(self, event_shape, filters=64, num_blocks=8, hidden=32, kernel_size=3, **kwargs):
        super().__init__(event_shape, **kwargs)
        channels = self.event_shape[-1]
        checks.whole("filters", filters, at_least=channels)
        checks.whole("hidden", hidden, at_least=channels)
        checks.whole("num_blocks", num_blocks)
        checks.whole("kernel_size", kernel_size, at_least=3, odd=True)
        common = {"channels": channels, "dtype": self.dtype_policy}
        blocks = [ResidualBlock(hidden, kernel_size, **common) for _ in range(num_blocks)]
        self.build_stack(filters, blocks, hidden)

    def walk(self, draw, num, shifts, with_logits):
        """The network, one pixel at a time."""
        return ConvolutionsByPixel(self, draw, num, shifts, with_logits)


@keras.saving.register_keras_serializable("tfgen")
class ResidualBlock(keras.layers.Layer):
    """h + conv1x1(relu(conv3x3(relu(conv1x1(relu(h)))))), masked, `[B, H, W, filters]` in and out.

    Args:
      hidden: Features inside the block.
      kernel_size: Odd size of the middle kernel.
      channels: Number of color channels that the features are split into.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, hidden, kernel_size=3, channels=1, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.kernel_size, self.channels = hidden, kernel_size, channels

    def build(self, input_shape):
        """Creates the three convolutions."""
        common = {"channels": self.channels, "dtype": self.dtype_policy}
        self.squeeze = MaskedConv2D(self.hidden, 1, **common)
        self.middle = MaskedConv2D(self.hidden, self.kernel_size, **common)
        self.expand = MaskedConv2D(input_shape[-1], 1, **common)
        self.squeeze.build(input_shape)
        self.middle.build((*input_shape[:-1], self.hidden))
        self.expand.build((*input_shape[:-1], self.hidden))
        self.built = True

    def call(self, h, shift=None):
        """The block's output; `shift` `[B, hidden]`, or None, is added to the middle convolution."""
        a = tf.nn.relu(self.squeeze(tf.nn.relu(h)))
        return h + self.expand(tf.nn.relu(shifted(self.middle(a), shift)))

    def get_config(self):
        """The constructor's arguments."""
        mine = {"hidden": self.hidden, "kernel_size": self.kernel_size, "channels": self.channels}
        return super().get_config() | mine
