"""PixelCNN: exact likelihood by masked convolutions, and a sampler that computes each pixel once."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.incremental import PixelByPixel
from tfgen.autoregressive.levels import features_read, outputs_per_entry, read_levels, shape_logits
from tfgen.autoregressive.pixel_model import PixelModel
from tfgen.layers.conditioning import condition_bias
from tfgen.layers.masked import MaskedConv2D


@keras.saving.register_keras_serializable("tfgen")
class PixelCNN(PixelModel):
    """PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016).

    p(x) = prod_i p(x_i | x_<i), rows from above, pixels from the left, within a pixel R, then G given R, then
    B given both. A masked 7x7 convolution is followed by residual blocks

      h <- h + conv1x1(relu(conv3x3(relu(conv1x1(relu(h))))))

    and two 1x1 convolutions. The network reads levels scaled to [-1, 1], so that black differs from the zeros
    outside the image, or as one-hot vectors where levels have no order. Two levels have one Bernoulli logit,
    more a softmax over all of them. A condition adds to the outputs of the first and of each 3x3 convolution.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      filters: Features of the residual stream.
      num_blocks: Number of residual blocks.
      hidden: Features inside a residual block.
      head: Features of the hidden layer before the logits.
      kernel_size: Odd kernel size of the residual blocks.
      first_kernel_size: Odd kernel size of the first convolution.
      num_values: Number of levels of an entry; 2 for binary images.
      one_hot: Read each level as a one-hot vector instead of a number.
      **kwargs: Passed on to `PixelModel`: `condition` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016,
      arXiv:1601.06759.
    """

    def __init__(
        self,
        event_shape,
        filters=64,
        num_blocks=8,
        hidden=32,
        head=32,
        kernel_size=3,
        first_kernel_size=7,
        num_values=2,
        one_hot=False,
        **kwargs,
    ):
        super().__init__(event_shape, num_values, **kwargs)
        channels = self.event_shape[-1]
        for name, value in {"filters": filters, "hidden": hidden, "head": head}.items():
            checks.whole(name, value, at_least=channels)
        checks.whole("num_blocks", num_blocks)
        checks.whole("kernel_size", kernel_size, at_least=3, odd=True)
        checks.whole("first_kernel_size", first_kernel_size, at_least=3, odd=True)
        self.one_hot = bool(one_hot)
        common = {"channels": channels, "dtype": self.dtype_policy}
        self.first = MaskedConv2D(filters, first_kernel_size, "A", **common)
        self.blocks = [ResidualBlock(hidden, kernel_size, **common) for _ in range(num_blocks)]
        self.head = MaskedConv2D(head, 1, **common)
        self.last = MaskedConv2D(channels * outputs_per_entry(self.num_values), 1, **common)
        self.first.build((None, None, None, features_read(channels, self.num_values, one_hot)))
        for layer in (*self.blocks, self.head):
            layer.build((None, None, None, filters))
        self.last.build((None, None, None, head))
        self.biases = []
        if self.condition is not None:
            sizes, policy = [filters] + [hidden] * num_blocks, self.dtype_policy
            self.biases = [condition_bias(size, self.condition, dtype=policy) for size in sizes]

    def encode(self, x):
        """What the network reads of levels `[..., channels]`: `[..., features]`."""
        return read_levels(x, self.num_values, self.one_hot)

    def logits(self, x, condition=None):
        """Logits of all entries of `x` `[batch, *event_shape]`, each given those before it.

        Returns:
          float32 `[batch, *event_shape]`, with more than two levels `[batch, *event_shape, num_values]`.
        """
        shift, shifts = self.shifts(condition) or (None, [None] * len(self.blocks))
        h = shifted(self.first(self.encode(x)), shift)  # [batch, H, W, filters]
        for block, shift in zip(self.blocks, shifts, strict=True):
            h = block(h, shift)
        out = self.last(tf.nn.relu(self.head(tf.nn.relu(h))))
        return shape_logits(out, self.event_shape, self.num_values)

    def condition_shifts(self, condition):
        """What is added to the first convolution `[n, filters]`, and in each block `[n, hidden]`."""
        first, *blocks = (bias(condition) for bias in self.biases)
        return first, blocks

    def walk(self, draw, num, shifts, with_logits):
        """The network, one pixel at a time."""
        return PixelByPixel(self, draw, num, shifts, with_logits)


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


def shifted(h, shift):
    """`h` `[B, H, W, features]` with `shift` `[B, features]`, or None, added at every pixel."""
    return h if shift is None else h + shift[:, None, None]
