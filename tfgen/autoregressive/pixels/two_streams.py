"""Gated blocks of PixelCNN++, in two streams and at one resolution after the other: for images, and by pixel.

A sampler computes the stream "down" of a whole row when the row begins, for it depends on finished rows only,
and with it everything that the stream "right" reads of it and of the row above. Pixel by pixel remains what
the right stream reads of the pixel to the left and of the pixel itself. Resolution k has a pixel only where
row and column are multiples of 2^k: a condition, so that nothing is computed elsewhere.
"""

import tensorflow as tf

from tfgen import random
from tfgen.keras_model import Layer
from tfgen.layers.masked import ByPixel, convolve_above
from tfgen.layers.streams import ShiftedConv2D, ShiftedUpsampling2D

KERNELS = {"down": (2, 3), "right": (2, 2)}


def concat_elu(h):
    """elu(h) and elu(-h), `[..., 2 n]`."""
    return tf.nn.elu(tf.concat([h, -h], axis=-1))


def gated_residual(h, first, second):
    """h + a * sigmoid(b) with (a, b) = second(f(first(f(h)))), f being `concat_elu`.

    Args:
      h: `[..., filters]`.
      first: The first convolution with everything that is added to it, `[..., 2 filters]` to
        `[..., filters]`.
      second: The second, to `[..., 2 filters]`.

    Returns:
      `[..., filters]`, and what the two convolutions read, each `[..., 2 filters]`.
    """
    read = concat_elu(h)
    again = concat_elu(first(read))
    a, b = tf.split(second(again), 2, axis=-1)
    return h + a * tf.sigmoid(b), (read, again)


class GatedBlock(Layer):
    """h + a * sigmoid(b) with (a, b) = conv(drop(f(conv(f(h)) + sum_s W_s f(side_s)))) + V condition + place.

    f(h) = elu(h, -h) is the paper's concat_elu.

    Args:
      stream: "down" or "right".
      num_sides: Number of other features that the block reads.
      filters: Features of h and of each side.
      dropout: Share of hidden features that training leaves out.
      condition_size: Length of a condition; None without.
      image_size: (rows, columns), for a location-dependent bias; None without.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(
        self, stream, num_sides, filters, dropout=0.0, condition_size=None, image_size=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_sides, self.filters, self.dropout = num_sides, filters, dropout
        size, policy = KERNELS[stream], self.dtype_policy
        self.first = ShiftedConv2D(filters, size, stream, dtype=policy)
        # A hundredth of the variance: a block is nearly the identity at first, as in the paper's code.
        told = {"condition_size": condition_size, "image_size": image_size}
        self.second = ShiftedConv2D(2 * filters, size, stream, gain=0.01, **told, dtype=policy)

    def build(self, input_shape):
        """Creates the convolutions and the matrices W_s."""
        wide = (*input_shape[:-1], 2 * self.filters)
        self.first.build(wide)
        self.second.build(wide)
        if self.num_sides:
            shape = (self.num_sides, 2 * self.filters, self.filters)
            self.side = self.add_weight(shape, initializer="glorot_uniform", name="side")
        self.built = True

    def call(self, h, sides=(), condition=None, seed=None):
        """The block's output, `[B, H, W, filters]` as `h` and `sides`; a seed makes it drop features."""

        def first(a):
            hidden = self.first(a)
            if not sides:
                return hidden
            read = tf.concat([concat_elu(side) for side in sides], axis=-1)
            kernel = tf.reshape(tf.cast(self.side, self.compute_dtype), (1, 1, -1, self.filters))
            return hidden + tf.nn.conv2d(read, kernel, strides=1, padding="VALID")

        def second(a):
            if self.dropout and seed is not None:
                kept = random.uniform(seed, tf.shape(a)) >= self.dropout
                a = tf.where(kept, a / (1.0 - self.dropout), 0.0)
            return self.second(a, condition)

        return gated_residual(h, first, second)[0]

    def by_row(self, condition=None):
        """The block of the stream "down" one row at a time.

        Returns:
          `f(h, number, before, side) -> (h, read)`: h `[columns, n, filters]` of that row goes through the
          block, before `[2, columns, n, 2 filters]` being what its convolutions read in the row above, read
          the same of this row, and side `[columns, n, filters]` or None.
        """
        first, second = self.first.by_pixel(), self.second.by_pixel(condition)
        side_kernel = self._side_kernels()[0] if self.num_sides else None

        def row(h, number, before, side=None):
            def convolve(convolution, above, a):
                rows = tf.stack([above, a])[None]
                return convolve_above(rows, convolution.above[None])[:, 0] + convolution.bias_of(number)

            def with_side(a):
                hidden = convolve(first, before[0], a)
                return hidden if side is None else hidden + tf.tensordot(concat_elu(side), side_kernel, 1)

            h, read = gated_residual(h, with_side, lambda a: convolve(second, before[1], a))
            return h, tf.stack(read)

        return row

    def by_pixel(self, condition=None):
        """The block of the stream "right" one pixel at a time.

        Returns:
          `ByPixel` of both convolutions; W of the first side `[2 filters, filters]`; and `f(h, above, before,
          side) -> (h, read)`: h `[n, filters]` goes through the block, above `[n, 3 filters]` being what both
          convolutions make of the rows above and of the first side, before `[2, n, 2 filters]` what they read
          of the pixel to the left, read the same of this one, and side the second side `[n, filters]`, or
          None.
        """
        first, second = self.first.by_pixel(), self.second.by_pixel(condition)
        side_kernels = self._side_kernels()

        def pixel(h, above, before, side=None):
            to_first, to_second = tf.split(above, [self.filters, 2 * self.filters], axis=-1)
            if side is not None:
                to_first += concat_elu(side) @ side_kernels[1]
            before_first, before_second = tf.unstack(before)
            h, read = gated_residual(
                h,
                lambda a: tf.concat([before_first, a], axis=1) @ first.beside + to_first,
                lambda a: tf.concat([before_second, a], axis=1) @ second.beside + to_second,
            )
            return h, tf.stack(read)

        return first, second, side_kernels[0], pixel

    def _side_kernels(self):
        return tf.unstack(tf.cast(self.side, self.compute_dtype))


class TwoStreams(Layer):
    """A gated block of each stream; the right one reads the down one's output.

    Args:
      shortcut: Whether there are short-cuts from the way down.
      index: Tells the dropout of this layer from that of others.
      filters: Features of each stream.
      dropout: Share of hidden features that training leaves out.
      condition_size: Length of a condition; None without.
      image_size: (rows, columns), for a location-dependent bias; None without.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, shortcut, index, filters, dropout, condition_size=None, image_size=None, **kwargs):
        super().__init__(**kwargs)
        self.index, block = index, (filters, dropout, condition_size, image_size)
        self.down = GatedBlock("down", int(shortcut), *block, dtype=self.dtype_policy)
        self.right = GatedBlock("right", 1 + shortcut, *block, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Creates the weights of both blocks."""
        self.down.build(input_shape)
        self.right.build(input_shape)
        self.built = True

    def call(self, streams, shortcuts=(), condition=None, seed=None):
        """Both streams, `[B, H, W, filters]` in and out; `shortcuts` are the two streams, or nothing."""
        seeds = (None, None) if seed is None else random.split(random.fold_in(seed, self.index))
        down = self.down(streams[0], shortcuts[:1], condition, seeds[0])
        return down, self.right(streams[1], (down, *shortcuts[1:]), condition, seeds[1])


class Resolution(Layer):
    """Layers that both streams pass at one resolution.

    Args:
      num_blocks: Blocks on the way down.
      lowest: Whether there is no lower resolution.
      index: Which resolution, from the top.
      filters: Features of each stream.
      dropout: Share of hidden features that training leaves out.
      condition_size: Length of a condition; None without.
      image_size: (rows, columns) of this resolution, for location-dependent biases; None without.
      **kwargs: Passed on to `keras.layers.Layer`.

    Attributes:
      encode: Blocks on the way down.
      decode: Blocks on the way up, with short-cuts.
      shrink: For each stream the convolution to the next lower resolution; empty in the lowest.
      grow: For each stream the convolution back.
    """

    def __init__(
        self, num_blocks, lowest, index, filters, dropout, condition_size=None, image_size=None, **kwargs
    ):
        super().__init__(**kwargs)
        policy, block = self.dtype_policy, (filters, dropout, condition_size, image_size)
        first, last = 1000 * index, num_blocks + (not lowest)
        self.encode = [TwoStreams(False, first + i, *block, dtype=policy) for i in range(num_blocks)]
        self.decode = [TwoStreams(True, first + 500 + i, *block, dtype=policy) for i in range(last)]
        streams = () if lowest else KERNELS.items()
        self.shrink = [ShiftedConv2D(filters, size, s, strides=2, dtype=policy) for s, size in streams]
        self.grow = [ShiftedUpsampling2D(filters, s, dtype=policy) for s, _ in streams]

    def build(self, input_shape):
        """Creates all weights."""
        for layer in (*self.encode, *self.shrink, *self.grow, *self.decode):
            layer.build(input_shape)
        self.built = True


class ResolutionsByPixel:
    """One resolution and, as its `lower`, those below it, computed one pixel at a time.

    What is kept of a pixel or a row is a dict: the inputs "reads" `[blocks, 2, ..., 2 filters]` of the gated
    blocks' two convolutions, the features "end" `[..., filters]` that the strided convolution reads, and the
    output "low" of the lower resolution.

    Args:
      resolutions: This `Resolution` and those below.
      columns: Columns of this one.
      filters: Features of a stream.
      num: Number of images.
      condition: float32 `[n, condition_size]`, or None.
    """

    def __init__(self, resolutions, columns, filters, num, condition):
        here, *below = resolutions
        self.columns, self.filters, self.num, self.encoders = columns, filters, num, len(here.encode)
        self.dtype, pairs = here.compute_dtype, (*here.encode, *here.decode)
        self.down = [pair.down.by_row(condition) for pair in pairs]
        firsts, seconds, sides, self.right = zip(
            *(pair.right.by_pixel(condition) for pair in pairs), strict=True
        )
        self.convolutions = [ByPixel.together(convolutions) for convolutions in (firsts, seconds)]
        self.sides = tf.stack(sides)
        self.lower = None
        if below:
            self.lower = ResolutionsByPixel(below, -(-columns // 2), filters, num, condition)
            self.shrink_down, self.shrink_right = (layer.by_pixel() for layer in here.shrink)
            self.grow_down, self.grow_right = here.grow[0].by_row(), here.grow[1].by_pixel()

    def left(self):
        """State to the left of the first pixel of a row: zeros."""
        return self._nothing() | ({"lower": self.lower.left()} if self.lower else {})

    def above(self):
        """State above the first row: zeros, for both streams."""
        low = (self.lower.columns,) if self.lower else ()
        rows = {stream: self._nothing((self.columns,), low) for stream in ("down", "right")}
        return rows | ({"lower": self.lower.above()} if self.lower else {})

    def _nothing(self, columns=(), low=()):
        kept = {"reads": self._zeros(len(self.right), 2, *columns, self.num, 2 * self.filters)}
        if self.lower:
            kept["end"] = self._zeros(*columns, self.num, self.filters)
            kept["low"] = self._zeros(*low, self.num, self.filters)
        return kept

    def _zeros(self, *shape):
        return tf.zeros(shape, self.dtype)

    def row(self, h, number, above):
        """The down stream of a row.

        Args:
          h: `[columns, n, filters]`.
          number: Which row, int32.
          above: As `above` returns it.

        Returns:
          The stream's output; `above` with this row in the place of the one before; a context: what the right
          stream reads of both for each column.
        """
        rows, kept, outputs, reads = tf.unstack(above["down"]["reads"]), [h], [], []

        def run(h, side=None):
            i = len(reads)
            h, read = self.down[i](h, number, rows[i], side)
            reads.append(read)
            outputs.append(h)
            return h

        for _ in range(self.encoders):
            kept.append(run(kept[-1]))
        new, context, h = above, {}, kept[-1]
        if self.lower:
            h, new, context = self._row_below(h, number, above)
        else:
            kept.pop()
        while kept:
            h = run(h, kept.pop())
        down = new["down"] | {"reads": tf.stack(reads)}
        context |= {"blocks": self._blocks_above(above["right"]["reads"], tf.stack(outputs), number)}
        return h, new | {"down": down}, context

    def _row_below(self, end, number, above):
        """`row` of the lower resolution, in every other row; else its last output once more."""
        before, ends = above["down"], tf.stack([above["down"]["end"], end])

        def compute():
            start = convolve_above(ends[None], self.shrink_down.above[None])[::2, 0] + self.shrink_down.bias
            low, lower, context = self.lower.row(start, number // 2, above["lower"])
            right = above["right"]["end"][None, None]
            enter = convolve_above(right, self.shrink_right.above[None])[::2, 0] + self.shrink_right.bias
            return low, lower, context | {"enter": enter}

        def keep():
            return before["low"], above["lower"], self.lower.no_context(self.lower.columns)

        low, lower, context = tf.cond(number % 2 == 0, compute, keep)
        new = above | {"down": before | {"end": end, "low": low}, "lower": lower}
        context = {"low": above["right"]["low"], "lower": context}
        context = tf.nest.map_structure(lambda c: tf.repeat(c, 2, axis=0)[: self.columns], context)
        return tf.ensure_shape(self.grow_down(low, number)[: self.columns], end.shape), new, context

    def no_context(self, columns):
        """A context in the shape of `row`'s, for rows in which this resolution has no pixels."""
        features = (columns, self.num, self.filters)
        nothing = {"blocks": self._zeros(columns, len(self.right), self.num, 3 * self.filters)}
        nothing["enter"] = self._zeros(*features)
        if self.lower:
            nothing |= {"low": self._zeros(*features), "lower": self.lower.no_context(columns)}
        return nothing

    def _blocks_above(self, rows, down, number):
        """Contributions of the row above and of the down stream to each block's two convolutions.

        Args:
          rows: `[blocks, 2, columns, n, 2 filters]`.
          down: `[blocks, columns, n, filters]`.
          number: Which row, int32.

        Returns:
          `[columns, blocks, n, 3 filters]`.
        """
        first, second = (
            convolve_above(rows[:, i : i + 1], convolution.above) + convolution.bias_of(number)
            for i, convolution in enumerate(self.convolutions)
        )
        side = tf.reshape(concat_elu(down), (len(self.right), -1, 2 * self.filters)) @ self.sides
        side = tf.reshape(side, (len(self.right), self.columns, -1, self.filters))
        return tf.concat([first + tf.transpose(side, (1, 0, 2, 3)), second], axis=-1)

    def pixel(self, h, context, left, row, column):
        """The right stream of one pixel.

        Args:
          h: `[n, filters]`.
          context: `row`'s for this column, and "enter", which has gone into `h`.
          left: As `left` returns it.
          row: Which row, int32.
          column: Which column, int32.

        Returns:
          The stream's output, and what the pixel to the right finds to its left.
        """
        above, before = tf.unstack(context["blocks"]), tf.unstack(left["reads"])
        kept, reads = [h], []

        def run(h, side=None):
            i = len(reads)
            h, read = self.right[i](h, above[i], before[i], side)
            reads.append(read)
            return h

        for _ in range(self.encoders):
            kept.append(run(kept[-1]))
        new, h = left, kept[-1]
        if self.lower:
            h, new = self._pixel_below(h, context, left, row, column)
        else:
            kept.pop()
        while kept:
            h = run(h, kept.pop())
        return h, new | {"reads": tf.stack(reads)}

    def _pixel_below(self, end, context, left, row, column):
        """`pixel` of the lower resolution, in every other row and column; else its last output once more."""
        below = context["lower"]

        def compute():
            start = tf.concat([left["end"], end], axis=1) @ self.shrink_right.beside + below["enter"]
            return self.lower.pixel(start, below, left["lower"], row // 2, column // 2)

        def keep():
            return tf.where(row % 2 == 0, left["low"], context["low"]), left["lower"]

        low, lower = tf.cond((row % 2 == 0) & (column % 2 == 0), compute, keep)
        return self.grow_right(low, row, column), left | {"end": end, "low": low, "lower": lower}

    def end_row(self, number, above, kept):
        """`above` with the right stream of the row just finished.

        Args:
          number: Which row, int32.
          above: What `row` returned.
          kept: What `pixel` returned for each column, a nest of `[columns, ...]`.
        """
        new = {"reads": tf.transpose(kept["reads"], (1, 2, 0, 3, 4))}
        if not self.lower:
            return above | {"right": new}
        new |= {"end": kept["end"], "low": kept["low"][::2]}
        every_other = tf.nest.map_structure(lambda h: h[::2], kept["lower"])
        lower = self.lower.end_row(number // 2, above["lower"], every_other)
        # Nothing was computed below in odd rows.
        computed = (new["low"], lower), (above["right"]["low"], above["lower"])
        low, lower = tf.nest.map_structure(lambda n, o: tf.where(number % 2 == 0, n, o), *computed)
        return above | {"right": new | {"low": low}, "lower": lower}
