"""Gated PixelCNN: two stacks of convolutions that together see every earlier pixel, and gates for ReLUs."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.levels import features_read, outputs_per_entry, read_levels, shape_logits
from tfgen.autoregressive.pixels.gated_walk import GatedPixelByPixel
from tfgen.autoregressive.pixels.pixel_model import PixelModel
from tfgen.layers.conditioning import condition_bias
from tfgen.layers.gated import gated
from tfgen.layers.masked import MaskedConv2D, RowsAboveConv2D


@keras.saving.register_keras_serializable("tfgen")
class GatedPixelCNN(PixelModel):
    """Gated PixelCNN (van den Oord et al. 2016), p(x | c) = prod_i p(x_i | x_<i, c).

    The vertical stack v reads the rows above a pixel, the horizontal stack h what stands to its left and, by
    a link, v. So there is no blind spot: a stack of masked 3x3 kernels never reads the pixels above that lie
    far to the right. A layer is, with gate(a, b) = tanh(a) * sigmoid(b) and * convolution by n x n and 1 x n,

      a = W_v * v + V_v c,            v <- gate(a)
      b = W_h * h + L a + V_h c,      h <- h + R gate(b),      skip <- skip + S gate(b)

    Two 1x1 convolutions make the logits of relu(skip). Within a pixel R comes first, then G given R, then B
    given both: the horizontal convolutions are masked by color channel. The network reads levels scaled to
    [-1, 1], or as one-hot vectors where levels have no order.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      filters: Features of each stack.
      num_layers: Number of layers.
      head: Features of the skip connections and of the hidden layer before the logits.
      kernel_size: Odd kernel size n of all layers but the first.
      first_kernel_size: Odd kernel size n of the first layer.
      num_values: Number of levels of an entry; 2 for binary images.
      one_hot: Read each level as a one-hot vector instead of a number.
      **kwargs: Passed on to `PixelModel`: `condition` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves & Kavukcuoglu, "Conditional image generation with
      PixelCNN decoders", NIPS 2016, arXiv:1606.05328.
    """

    def __init__(
        self,
        event_shape,
        filters=32,
        num_layers=8,
        head=32,
        kernel_size=3,
        first_kernel_size=7,
        num_values=2,
        one_hot=False,
        **kwargs,
    ):
        super().__init__(event_shape, num_values, **kwargs)
        channels = self.event_shape[-1]
        for name, value in {"filters": filters, "head": head}.items():
            checks.whole(name, value, at_least=channels)
        checks.whole("num_layers", num_layers, at_least=2)
        checks.whole("kernel_size", kernel_size, at_least=3, odd=True)
        checks.whole("first_kernel_size", first_kernel_size, at_least=3, odd=True)
        self.one_hot = bool(one_hot)
        features = features_read(channels, self.num_values, one_hot)
        common = {"channels": channels, "dtype": self.dtype_policy}
        self.stack = [
            GatedLayer(
                filters, head, kernel_size if i else first_kernel_size, first=i == 0,
                last=i == num_layers - 1, **common,
            )
            for i in range(num_layers)
        ]  # fmt: skip
        self.head = MaskedConv2D(head, 1, **common)
        self.last = MaskedConv2D(channels * outputs_per_entry(self.num_values), 1, **common)
        for i, layer in enumerate(self.stack):
            layer.build((None, None, None, filters if i else features))
        self.head.build((None, None, None, head))
        self.last.build((None, None, None, head))
        self.biases = []
        if self.condition is not None:
            sizes = [2 * filters] * (2 * num_layers)
            self.biases = [condition_bias(size, self.condition, dtype=self.dtype_policy) for size in sizes]

    def encode(self, x):
        """What the network reads of levels `[..., channels]`: `[..., features]`."""
        return read_levels(x, self.num_values, self.one_hot)

    def logits(self, x, condition=None):
        """Logits of all entries of `x` `[batch, *event_shape]`, each given those before it.

        Returns:
          float32 `[batch, *event_shape]`, with more than two levels `[batch, *event_shape, num_values]`.
        """
        shifts = self.shifts(condition) or [None] * len(self.stack)
        v = h = self.encode(x)  # [batch, H, W, features]
        skip = 0.0
        for layer, shift in zip(self.stack, shifts, strict=True):
            v, h, more = layer((v, h), shift)  # [batch, H, W, filters] twice, [batch, H, W, head]
            skip += more
        out = self.last(tf.nn.relu(self.head(tf.nn.relu(skip))))
        return shape_logits(out, self.event_shape, self.num_values)

    def condition_shifts(self, condition):
        """What is added to the two stacks in each layer: pairs of `[n, 2 filters]`."""
        biases = [bias(condition) for bias in self.biases]
        return list(zip(biases[::2], biases[1::2], strict=True))

    def walk(self, draw, num, shifts, with_logits):
        """The network, one row of the vertical and one pixel of the horizontal stack at a time."""
        return GatedPixelByPixel(self, draw, num, shifts, with_logits)


@keras.saving.register_keras_serializable("tfgen")
class GatedLayer(keras.layers.Layer):
    """One layer of both stacks (figure 2 of the paper, with a skip connection).

    Args:
      filters: Features of each stack.
      head: Features of the skip connection.
      kernel_size: Odd size n of the kernels, n x n and 1 x n.
      first: Reads the image: hides the pixel itself, and has no residual connection.
      last: Nothing follows but the skip connection: the stacks end.
      channels: Number of color channels that the features are split into.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord et al., 2016, arXiv:1606.05328.
    """

    def __init__(self, filters, head, kernel_size, first=False, last=False, channels=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.head_size, self.kernel_size = filters, head, kernel_size
        self.first, self.last, self.channels = first, last, channels

    def build(self, input_shape):
        """Creates the convolutions of a layer that reads `[..., features]` in both stacks."""
        policy, mask, gates = self.dtype_policy, "A" if self.first else "B", 2 * self.filters
        common = {"channels": self.channels, "dtype": policy}
        self.vertical = RowsAboveConv2D(gates, self.kernel_size, mask, dtype=policy)
        self.link = keras.layers.Dense(gates, use_bias=False, dtype=policy)
        self.horizontal = MaskedConv2D(gates, (1, self.kernel_size), mask, runs=2, **common)
        self.skip = MaskedConv2D(self.head_size, 1, **common)
        self.vertical.build(input_shape)
        self.link.build((*input_shape[:-1], gates))
        self.horizontal.build(input_shape)
        self.skip.build((*input_shape[:-1], self.filters))
        if not self.last:
            self.residual = MaskedConv2D(self.filters, 1, **common)
            self.residual.build((*input_shape[:-1], self.filters))
        self.built = True

    def call(self, stacks, shift=None):
        """The vertical stack, the horizontal stack and the skip connection after the layer.

        Args:
          stacks: Vertical and horizontal stack, each `[B, H, W, features]`.
          shift: What a condition adds to each, `[B, 2 filters]` twice; or None.
        """
        v, h = stacks
        vertical, horizontal = (None, None) if shift is None else (s[:, None, None] for s in shift)
        above = self.vertical(v)
        above = above if vertical is None else above + vertical
        both = self.horizontal(h) + self.link(above)
        out = gated(both if horizontal is None else both + horizontal)
        if self.last:
            return None, None, self.skip(out)
        return gated(above), self.residual(out) + (0.0 if self.first else h), self.skip(out)

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "head": self.head_size,
            "kernel_size": self.kernel_size,
            "first": self.first,
            "last": self.last,
            "channels": self.channels,
        }
