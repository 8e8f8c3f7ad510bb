"""What PixelCNN and PixelRNN share: a masked convolution, residual blocks, two 1x1 convolutions."""

import abc

import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.levels import features_read, outputs_per_entry, read_levels, shape_logits
from tfgen.autoregressive.pixels.pixel_model import PixelModel
from tfgen.layers.conditioning import condition_bias, shifted
from tfgen.layers.masked import MaskedConv2D


class MaskedStack(PixelModel):
    """logits = conv1x1(relu(conv1x1(relu(block_n(... block_1(conv(x))))))), every convolution masked.

    The network reads levels scaled to [-1, 1], so that black differs from the zeros outside the image, or as
    one-hot vectors where levels have no order. Two levels have one Bernoulli logit, more a softmax over all
    of them. A subclass calls `build_stack` at the end of its constructor and gives the `walk`.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      head: Features of the hidden layer before the logits.
      first_kernel_size: Odd kernel size of the first convolution.
      num_values: Number of levels of an entry; 2 for binary images.
      one_hot: Read each level as a one-hot vector instead of a number.
      **kwargs: Passed on to `PixelModel`: `condition` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016,
      arXiv:1601.06759, table 1.
    """

    def __init__(
        self, event_shape, head=32, first_kernel_size=7, num_values=2, one_hot=False, **kwargs
    ):  # fmt: skip
        super().__init__(event_shape, num_values, **kwargs)
        self.head_size = checks.whole("head", head, at_least=self.event_shape[-1])
        self.first_kernel_size = checks.whole("first_kernel_size", first_kernel_size, at_least=3, odd=True)
        self.one_hot = bool(one_hot)

    def build_stack(self, filters, blocks, shift_size):
        """Creates all weights.

        Args:
          filters: Features of the residual stream.
          blocks: Layers called as `block(h, shift)`, `[batch, H, W, filters]` in and out.
          shift_size: Length of the shift that a condition is to each of them.
        """
        channels = self.event_shape[-1]
        common = {"channels": channels, "dtype": self.dtype_policy}
        self.first = MaskedConv2D(filters, self.first_kernel_size, "A", **common)
        self.blocks = blocks
        self.head = MaskedConv2D(self.head_size, 1, **common)
        self.last = MaskedConv2D(channels * outputs_per_entry(self.num_values), 1, **common)
        self.first.build((None, None, None, features_read(channels, self.num_values, self.one_hot)))
        for layer in (*self.blocks, self.head):
            layer.build((None, None, None, filters))
        self.last.build((None, None, None, self.head_size))
        self.biases = []
        if self.condition is not None:
            sizes, policy = [filters] + [shift_size] * len(blocks), self.dtype_policy
            self.biases = [condition_bias(size, self.condition, dtype=policy) for size in sizes]

    @abc.abstractmethod
    def walk(self, draw, num, shifts, with_logits):
        """What computes the pixels for `raster_scan`."""

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
        """What is added to the first convolution `[n, filters]`, and in each block `[n, shift_size]`."""
        first, *blocks = (bias(condition) for bias in self.biases)
        return first, blocks
