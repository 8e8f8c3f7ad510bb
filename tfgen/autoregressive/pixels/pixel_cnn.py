"""PixelCNN: exact likelihood by masked convolutions, and a sampler that computes each pixel once."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.pixels.pixel_model import PixelModel, Walk
from tfgen.distributions.laws import Levels
from tfgen.keras_model import Layer
from tfgen.layers.masked import ByPixel, MaskedConv2D, Readout, affine, convolve_above
from tfgen.space import label_or_vector


@keras.saving.register_keras_serializable("tfgen")
class PixelCNN(PixelModel):
    """PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016).

    p(x) = prod_i p(x_i | x_<i), rows from above, pixels from the left, within a pixel R, then G given R, then
    B given both. A masked 7x7 convolution is followed by residual blocks

      h <- h + conv1x1(relu(conv3x3(relu(conv1x1(relu(h))))))

    and two 1x1 convolutions, which give a Bernoulli logit for two levels and a softmax for more. A condition,
    and a bias for each row and column, add to the outputs of the first and of each 3x3 convolution.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      filters: Features of the residual stream.
      num_blocks: Number of residual blocks.
      hidden: Features inside a residual block.
      kernel_size: Odd kernel size of the residual blocks.
      head: Features of the hidden layer before the logits.
      first_kernel_size: Odd kernel size of the first convolution.
      num_values: Number of levels of an entry; 2 for binary images.
      one_hot: Read each level as a one-hot vector instead of a number.
      condition: What c is: "none", "label" or "vector".
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector.
      position: Add a learned bias for each row and each column wherever a condition adds.
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
        kernel_size=3,
        head=32,
        first_kernel_size=7,
        num_values=2,
        one_hot=False,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        position=True,
        **kwargs,
    ):
        law = Levels(num_values, one_hot)
        super().__init__(event_shape, law, label_or_vector(condition, num_classes, condition_size), **kwargs)
        channels = self.event_shape[-1]
        checks.whole("filters", filters, at_least=channels)
        checks.whole("num_blocks", num_blocks)
        checks.whole("hidden", hidden, at_least=channels)
        checks.whole("kernel_size", kernel_size, at_least=3, odd=True)
        checks.whole("head", head, at_least=channels)
        checks.whole("first_kernel_size", first_kernel_size, at_least=3, odd=True)
        told = {
            "condition_size": self.condition_width,
            "image_size": self.event_shape[:2] if position else None,
        }
        told |= {"channels": channels, "dtype": self.dtype_policy}
        self.first = MaskedConv2D(filters, first_kernel_size, "A", **told)
        self.blocks = [ResidualBlock(hidden, kernel_size, **told) for _ in range(num_blocks)]
        self.readout = Readout(head, channels, law.size, dtype=self.dtype_policy)
        self.first.build((None, None, None, law.features(channels)))
        for layer in (self.readout, *self.blocks):
            layer.build((None, None, None, filters))

    def raw(self, x, condition=None, seed=None):
        """Logits of all entries of `x` `[batch, *event_shape]`, each given those before it.

        Returns:
          float32 `[batch, *event_shape, law.size]`: one logit for two levels, `num_values` for more.
        """
        del seed
        condition = self.condition_features(condition)
        h = self.first(self.law.read(x), condition)  # [batch, rows, columns, filters]
        for block in self.blocks:
            h = block(h, condition)
        return tf.reshape(tf.cast(self.readout(h), tf.float32), (-1, *self.event_shape, self.law.size))

    def walk(self, num, condition=None):
        """The network one pixel at a time: rows and pixels of what the 3x3 convolutions read are kept."""
        condition = self.condition_features(condition)
        first, raw = self.first.by_pixel(condition), self.readout.by_pixel()
        middles, steps = zip(*(block.by_pixel(condition) for block in self.blocks), strict=True)
        depth, hidden = len(self.blocks), self.blocks[0].hidden
        reach, first_reach = self.blocks[0].kernel_size // 2, self.first.kernel_size[0] // 2
        middle = ByPixel.together(middles)  # All blocks' rows above in one product.

        def begin_row(rows, above, row):
            entered = convolve_above(rows[None], first.above[None])[:, 0] + first.bias_of(row)
            return above, (entered, convolve_above(above, middle.above) + middle.bias_of(row))

        def conditional(context, taps, left, channel):
            entered, above = context
            # Channels not yet drawn are absent from the taps, and their kernel rows are left out.
            h = taps @ first.beside[: taps.shape[-1]] + entered  # [n, filters]
            kept = []
            for step, *around in zip(steps, tf.unstack(above), tf.unstack(left), strict=True):
                h, read = step(h, *around)
                kept.append(read)
            return raw(h, channel), tf.stack(kept)

        def include(left, kept):
            return tf.concat([left[..., hidden:], kept], axis=-1)

        def end_row(above, kept, row):
            del row
            return tf.concat([above[:, 1:], tf.transpose(kept, (1, 0, 2, 3))[:, None]], axis=1)

        return Walk(
            reach=(first_reach, first_reach),
            above=tf.zeros((depth, reach, self.event_shape[1], num, hidden), self.compute_dtype),
            left=tf.zeros((depth, num, reach * hidden), self.compute_dtype),
            kept=tf.TensorSpec((depth, num if isinstance(num, int) else None, hidden), self.compute_dtype),
            begin_row=begin_row,
            conditional=conditional,
            include=include,
            end_row=end_row,
        )


class ResidualBlock(Layer):
    """h + conv1x1(relu(conv3x3(relu(conv1x1(relu(h)))))), masked, `[B, H, W, filters]` in and out.

    Args:
      hidden: Features inside the block.
      kernel_size: Odd size of the middle kernel.
      channels: Number of color channels that the features are split into.
      condition_size: Length of a condition, which adds to the middle convolution; None without.
      image_size: (rows, columns), for a location-dependent bias there; None without.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, hidden, kernel_size=3, channels=1, condition_size=None, image_size=None, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.kernel_size, self.channels = hidden, kernel_size, channels
        self.condition_size, self.image_size = condition_size, image_size

    def build(self, input_shape):
        """Creates the three convolutions."""
        common = {"channels": self.channels, "dtype": self.dtype_policy}
        self.squeeze = MaskedConv2D(self.hidden, 1, **common)
        told = {"condition_size": self.condition_size, "image_size": self.image_size}
        self.middle = MaskedConv2D(self.hidden, self.kernel_size, **common, **told)
        self.expand = MaskedConv2D(input_shape[-1], 1, **common)
        self.squeeze.build(input_shape)
        self.middle.build((*input_shape[:-1], self.hidden))
        self.expand.build((*input_shape[:-1], self.hidden))
        self.built = True

    def call(self, h, condition=None):
        """The block's output; `condition` is float32 `[B, condition_size]`, or None."""
        a = tf.nn.relu(self.squeeze(tf.nn.relu(h)))
        return h + self.expand(tf.nn.relu(self.middle(a, condition)))

    def by_pixel(self, condition=None):
        """The block one pixel at a time.

        Returns:
          `ByPixel` of the middle convolution, and `f(h, above, left) -> (h, read)`: h `[n, filters]` goes
          through the block, above `[n, hidden]` being what the middle convolution makes of the rows above and
          left `[n, pixels * hidden]` what it reads of the pixels to the left; read `[n, hidden]` of this one.
        """
        squeeze, expand = self.squeeze.by_pixel(), self.expand.by_pixel()
        middle = self.middle.by_pixel(condition)

        def step(h, above, left):
            read = tf.nn.relu(affine(tf.nn.relu(h), squeeze))
            a = tf.nn.relu(tf.concat([left, read], axis=1) @ middle.beside + above)
            return h + affine(a, expand), read

        return middle, step
