"""PixelCNN: exact likelihood by masked convolutions, and a sampler that computes each pixel once."""

import keras
import tensorflow as tf

from tfgen.autoregressive.incremental import PixelByPixel
from tfgen.autoregressive.pixel_model import PixelModel, require_whole
from tfgen.autoregressive.raster import LevelDraw, raster_scan
from tfgen.layers.masked import MaskedConv2D


@keras.saving.register_keras_serializable("tfgen")
class PixelCNN(PixelModel):
    """PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016).

    p(x) = prod_i p(x_i | x_<i), rows from above, pixels from the left, within a pixel R, then G given R, then
    B given both. A masked 7x7 convolution is followed by residual blocks

      h <- h + conv1x1(relu(conv3x3(relu(conv1x1(relu(h))))))

    and two 1x1 convolutions. The network reads levels scaled to [-1, 1], so that black differs from the zeros
    outside the image, or as one-hot vectors where levels have no order. Two levels have one Bernoulli logit,
    more a softmax over all of them.

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
      **kwargs: Passed on to `GenerativeModel`.

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
            require_whole(name, value, at_least=channels)
        require_whole("num_blocks", num_blocks)
        require_whole("kernel_size", kernel_size, at_least=3, odd=True)
        require_whole("first_kernel_size", first_kernel_size, at_least=3, odd=True)
        self.one_hot = bool(one_hot)
        self.outputs_per_entry = 1 if self.num_values == 2 else self.num_values
        common = {"channels": channels, "dtype": self.dtype_policy}
        self.first = MaskedConv2D(filters, first_kernel_size, "A", **common)
        self.blocks = [ResidualBlock(hidden, kernel_size, **common) for _ in range(num_blocks)]
        self.head = MaskedConv2D(head, 1, **common)
        self.last = MaskedConv2D(channels * self.outputs_per_entry, 1, **common)
        self.first.build((None, None, None, channels * (self.num_values if one_hot else 1)))
        for layer in (*self.blocks, self.head):
            layer.build((None, None, None, filters))
        self.last.build((None, None, None, head))

    def encode(self, x):
        """What the network reads of levels `[..., channels]`: `[..., features]`."""
        if self.one_hot:
            x = tf.one_hot(tf.cast(x, tf.int32), self.num_values)
            return tf.concat(tf.unstack(x, axis=-2), axis=-1)
        return x * (2.0 / (self.num_values - 1)) - 1.0

    def logits(self, x):
        """Logits of all entries of `x` `[batch, *event_shape]`, each given those before it.

        Returns:
          float32 `[batch, *event_shape]`, with more than two levels `[batch, *event_shape, num_values]`.
        """
        h = self.first(self.encode(x))  # [batch, H, W, filters]
        for block in self.blocks:
            h = block(h)
        out = tf.cast(self.last(tf.nn.relu(self.head(tf.nn.relu(h)))), tf.float32)
        return out if self.num_values == 2 else tf.reshape(out, (-1, *self.event_shape, self.num_values))

    def sample_rows(self, seeds, temperature=1.0, given=None, mask=None):
        """Draws one image for each seed.

        Args:
          seeds: int32 `[n, 2]`.
          temperature: Divides the logits; 0 takes the most probable value of each entry in turn.
          given: Levels to keep, float32 `[n, *event_shape]`, or None.
          mask: bool `[n, *event_shape]`, True where `given` is kept; None with `given`.

        Returns:
          float32 `[n, *event_shape]`.
        """
        return self.scan(seeds, temperature, given, mask)["x"]

    def scan(self, seeds, temperature=1.0, given=None, mask=None, with_logits=False):
        """`sample_rows` as {"x": images}, and {"logits": what they were drawn from} where asked.

        The logits are not divided by the temperature: they are `logits(images)`, computed pixel by pixel.
        """
        draw = LevelDraw(seeds, self.event_shape, self.num_values, temperature, given, mask)
        walk = PixelByPixel(self, draw, seeds.shape[0] or tf.shape(seeds)[0], with_logits)
        images = raster_scan(walk, draw.inputs)
        return {k: tf.transpose(v, (2, 0, 1, *range(3, v.shape.rank))) for k, v in images.items()}


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

    def call(self, h):
        """The block's output."""
        a = tf.nn.relu(self.squeeze(tf.nn.relu(h)))
        return h + self.expand(tf.nn.relu(self.middle(a)))

    def get_config(self):
        """The constructor's arguments."""
        mine = {"hidden": self.hidden, "kernel_size": self.kernel_size, "channels": self.channels}
        return super().get_config() | mine
