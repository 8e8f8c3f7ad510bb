"""Gated PixelCNN: two stacks of convolutions that together see every earlier pixel, and gates for ReLUs."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.pixels.pixel_model import PixelModel, Walk
from tfgen.distributions.laws import Levels
from tfgen.keras_model import Layer
from tfgen.layers.masked import ByPixel, MaskedConv2D, Readout, RowsAboveConv2D, affine, convolve_above
from tfgen.layers.pixel_attention import PixelAttention
from tfgen.space import Condition, label_or_vector


@keras.saving.register_keras_serializable("tfgen")
class GatedPixelCNN(PixelModel):
    """Gated PixelCNN (van den Oord et al. 2016), p(x | c) = prod_i p(x_i | x_<i, c).

    The vertical stack v reads the rows above a pixel, the horizontal stack h what stands to its left and, by
    a link, v. So there is no blind spot: a stack of masked 3x3 kernels never reads the pixels above that lie
    far to the right. A layer is, with gate(a, b) = tanh(a) * sigmoid(b) and * convolution by n x n and 1 x n,

      a = W_v * v + V_v c + s_v,            v <- gate(a)
      b = W_h * h + L a + V_h c + s_h,      h <- h + R gate(b),      skip <- skip + S gate(b)

    where s is a bias by row and column (section 2.3: it depends on the location). Two 1x1 convolutions make
    the logits of relu(skip): a Bernoulli's for two levels, a softmax's for more.
    Within a pixel R comes first, then G given R, then B given both: the horizontal convolutions are masked by
    color channel. The network reads levels scaled to [-1, 1], or as one-hot vectors where levels have no
    order.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      filters: Features of each stack.
      num_layers: Number of layers.
      head: Features of the skip connections and of the hidden layer before the logits.
      kernel_size: Odd kernel size n of all layers but the first.
      first_kernel_size: Odd kernel size n of the first layer.
      num_values: Number of levels of an entry; 2 for binary images.
      one_hot: Read each level as a one-hot vector instead of a number.
      condition: What c is: "none", "label", "vector", or "image": features of each pixel, of which c in the
        formulas is the pixel's own.
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector, or number of features of a pixel.
      position: Add a learned bias for each row and each column wherever a condition adds.
      attention_heads: Heads of causal self-attention after the layer in the middle of the horizontal stack,
        for images of one channel; 0 for none.
      **kwargs: Passed on to `GenerativeModel`.

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
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        position=True,
        attention_heads=0,
        **kwargs,
    ):
        law = Levels(num_values, one_hot)
        if condition == "image":
            size = checks.whole("condition_size", condition_size)
            told = Condition("image", (*checks.image_shape(event_shape)[:2], size))
        else:
            told = label_or_vector(condition, num_classes, condition_size)
        super().__init__(event_shape, law, told, **kwargs)
        channels = self.event_shape[-1]
        checks.whole("filters", filters, at_least=channels)
        checks.whole("num_layers", num_layers, at_least=2)
        checks.whole("head", head, at_least=channels)
        checks.whole("kernel_size", kernel_size, at_least=3, odd=True)
        checks.whole("first_kernel_size", first_kernel_size, at_least=3, odd=True)
        self.stack = [
            TwoStackLayer(
                filters,
                head,
                kernel_size if i else first_kernel_size,
                first=i == 0,
                last=i == num_layers - 1,
                channels=channels,
                condition_size=self.condition_width,
                image_size=self.event_shape[:2] if position else None,
                dtype=self.dtype_policy,
            )
            for i in range(num_layers)
        ]
        self.attention, self.attended = None, (num_layers - 1) // 2
        if checks.whole("attention_heads", attention_heads, at_least=0):
            if channels > 1:
                raise ValueError(
                    f"attention_heads={attention_heads} needs images of one channel, got event_shape "
                    f"{self.event_shape}: leave it at 0."
                )
            self.attention = PixelAttention(attention_heads, self.event_shape[:2], dtype=self.dtype_policy)
            self.attention.build((None, None, None, filters))
        self.readout = Readout(head, channels, law.size, dtype=self.dtype_policy)
        self.readout.build((None, None, None, head))
        for i, layer in enumerate(self.stack):
            layer.build((None, None, None, filters if i else law.features(channels)))

    def raw(self, x, condition=None, seed=None):
        """Logits of all entries of `x` `[batch, *event_shape]`, each given those before it.

        Returns:
          float32 `[batch, *event_shape, law.size]`: one logit for two levels, `num_values` for more.
        """
        del seed
        condition = self.condition_features(condition)
        v = h = self.law.read(x)  # [batch, rows, columns, features]
        skip = 0.0
        for i, layer in enumerate(self.stack):
            v, h, more = layer((v, h), condition)  # [..., filters] twice, [..., head]
            skip += more
            if self.attention is not None and i == self.attended:
                h = self.attention(h)
        return tf.reshape(tf.cast(self.readout(skip), tf.float32), (-1, *self.event_shape, self.law.size))

    def walk(self, num, condition=None):
        """The network one pixel at a time.

        The vertical stack knows the rows above only: all its layers are computed for a whole row when the row
        begins. A pixel costs the horizontal stack alone, which only attention reads in other rows: keys and
        values of all earlier pixels are remembered.
        """
        condition = self.condition_features(condition)
        rows_of, pixels_of = zip(*(layer.by_pixel(condition) for layer in self.stack), strict=True)
        raw, dtype = self.readout.by_pixel(), self.compute_dtype
        first, later = (self.stack[i].kernel_size // 2 for i in (0, 1))
        filters, depth, attention = self.stack[0].filters, len(self.stack) - 1, self.attention
        rows_count, columns, _ = self.event_shape

        def begin_row(rows, above, row):
            """The vertical stack of a row, and what it adds to each layer of the horizontal one."""
            read, kept, links = rows, [], []
            for row_of, before in zip(rows_of, [*tf.unstack(above["stack"]), None], strict=True):
                v, link = row_of(read, row)
                links.append(link)
                if before is not None:
                    read = tf.concat([before, v[None]], axis=0)
                    kept.append(read[1:])
            context = {"links": tf.stack(links, axis=1)}
            if attention is not None:
                # Of the pixels before it as many are remembered as there are: the last ones.
                size, place = rows_count * columns, tf.range(columns)
                told = (tf.range(size) >= size - row * columns, tf.range(columns) >= columns - place[:, None])
                valid = tf.concat([tf.tile(told[0][None], (columns, 1)), told[1]], axis=1)
                memory = tf.tile(above["memory"][None], (columns, 1, 1, 1))
                context |= {"valid": valid, "memory": memory}
            return above | {"stack": tf.stack(kept)}, context

        def conditional(context, taps, left, channel):
            """The sum of the pixel's skip connections, and what its later layers' convolutions read."""
            kept, skip, h, remembered = [], 0.0, None, {}
            links, before = tf.unstack(context["links"]), [*tf.unstack(left["stack"]), None]
            for i, (pixel_of, link, earlier) in enumerate(zip(pixels_of, links, before, strict=True)):
                h, more = pixel_of(taps, link, h)
                skip += more
                if attention is not None and i == self.attended:
                    memory = tf.concat([context["memory"], left["memory"]], axis=0)
                    h, remembered["memory"] = attention.step(h, memory, context["valid"])
                if earlier is not None:
                    kept.append(h)
                    taps = tf.concat([earlier, h], axis=1)
            return raw(skip, channel), {"stack": tf.stack(kept)} | remembered

        def include(left, kept):
            left = left | {"stack": tf.concat([left["stack"][..., filters:], kept["stack"]], axis=-1)}
            if attention is not None:
                left["memory"] = tf.concat([left["memory"][1:], kept["memory"][None]], axis=0)
            return left

        def end_row(above, kept, row):
            del row
            if attention is not None:
                above = above | {"memory": tf.concat([above["memory"][columns:], kept["memory"]], axis=0)}
            return above

        known = num if isinstance(num, int) else None
        above = {"stack": tf.zeros((depth, later, columns, num, filters), dtype)}
        left = {"stack": tf.zeros((depth, num, later * filters), dtype)}
        kept = {"stack": tf.TensorSpec((depth, known, filters), dtype)}
        if attention is not None:
            above["memory"] = tf.zeros((rows_count * columns, num, 2 * filters), dtype)
            left["memory"] = tf.zeros((columns, num, 2 * filters), dtype)
            kept["memory"] = tf.TensorSpec((known, 2 * filters), dtype)
        return Walk((first, first), above, left, kept, begin_row, conditional, include, end_row)


class TwoStackLayer(Layer):
    """One layer of both stacks (figure 2 of the paper, with a skip connection).

    Args:
      filters: Features of each stack.
      head: Features of the skip connection.
      kernel_size: Odd size n of the kernels, n x n and 1 x n.
      first: Reads the image: hides the pixel itself, and has no residual connection.
      last: Nothing follows but the skip connection: the stacks end.
      channels: Number of color channels that the features are split into.
      condition_size: Length of a condition, which adds to both convolutions; None without.
      image_size: (rows, columns), for a location-dependent bias there; None without.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord et al., 2016, arXiv:1606.05328.
    """

    def __init__(
        self,
        filters,
        head,
        kernel_size,
        first=False,
        last=False,
        channels=1,
        condition_size=None,
        image_size=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.head_size, self.kernel_size = filters, head, kernel_size
        self.first, self.last = first, last
        self.channels, self.condition_size, self.image_size = channels, condition_size, image_size

    def build(self, input_shape):
        """Creates the convolutions of a layer that reads `[..., features]` in both stacks."""
        policy, mask, gates = self.dtype_policy, "A" if self.first else "B", 2 * self.filters
        common = {"channels": self.channels, "dtype": policy}
        told = {"condition_size": self.condition_size, "image_size": self.image_size}
        self.vertical = RowsAboveConv2D(gates, self.kernel_size, mask, dtype=policy, **told)
        self.link = keras.layers.Dense(gates, use_bias=False, dtype=policy)
        self.horizontal = MaskedConv2D(gates, (1, self.kernel_size), mask, runs=2, **common, **told)
        self.skip = MaskedConv2D(self.head_size, 1, **common)
        self.link.build((*input_shape[:-1], gates))
        self.horizontal.build(input_shape)
        self.skip.build((*input_shape[:-1], self.filters))
        self.vertical.build(input_shape)
        if not self.last:
            self.residual = MaskedConv2D(self.filters, 1, **common)
            self.residual.build((*input_shape[:-1], self.filters))
        self.built = True

    def call(self, stacks, condition=None):
        """The vertical stack, the horizontal stack and the skip connection after the layer.

        Args:
          stacks: Vertical and horizontal stack, each `[B, H, W, features]`.
          condition: float32 `[B, condition_size]` or `[B, H, W, condition_size]`; or None.
        """
        v, h = stacks
        above = self.vertical(v, condition)
        out = gated(self.horizontal(h, condition) + self.link(above))
        if self.last:
            return None, None, self.skip(out)
        return gated(above), self.residual(out) + (0.0 if self.first else h), self.skip(out)

    def by_pixel(self, condition=None):
        """The layer by rows and pixels.

        Returns:
          `f(rows, number) -> (v, link)`: from the rows that the vertical convolution reads for the row of
          that number, `[height, columns, n, features]`, the vertical stack's row `[columns, n, filters]` and
          what it adds to the horizontal one, `[columns, n, 2 filters]`;
          `f(taps, link, h) -> (h, skip)`: from what the horizontal convolution reads, `[n, pixels *
          features]`, where channels not yet drawn may be absent, the pixel's link and horizontal stack.
        """
        vertical, horizontal = self.vertical.by_pixel(condition), self.horizontal.by_pixel(condition)
        link = tf.cast(self.link.kernel, self.compute_dtype)
        # Both 1x1 convolutions as one.
        heads = [layer.by_pixel() for layer in ([self.skip] if self.last else [self.skip, self.residual])]
        kernel = tf.concat([head.beside for head in heads], axis=1)
        both = ByPixel(kernel[:0], kernel, tf.concat([head.bias for head in heads], axis=0))

        def row(rows, number):
            features = convolve_above(rows[None], vertical.above[None])[:, 0] + vertical.bias_of(number)
            return gated(features), tf.tensordot(features, link, 1) + horizontal.bias_of(number)

        def pixel(taps, link, h):
            out = affine(gated(taps @ horizontal.beside[: taps.shape[-1]] + link), both)
            skip, residual = out[:, : self.head_size], out[:, self.head_size :]
            if self.last:
                return None, skip
            return residual if self.first else residual + h, skip

        return row, pixel


def gated(features):
    """Gated activation tanh(a) * sigmoid(b), `[..., n]`, of features `[..., 2 n]`, a their first half."""
    a, b = tf.split(features, 2, axis=-1)
    return tf.tanh(a) * tf.sigmoid(b)
