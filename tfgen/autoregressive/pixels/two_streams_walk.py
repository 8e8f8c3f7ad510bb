"""The network of PixelCNN++ computed one pixel at a time, through all its resolutions.

The stream "down" of a row depends on finished rows only: it is computed for the whole row when the row
begins, and with it everything that the stream "right" reads of it and of the row above. Pixel by pixel
remains what the right stream reads of the pixel to the left and of the pixel itself. Resolution k has a pixel
only where row and column are multiples of 2^k: a condition, so that nothing is computed elsewhere.
"""

import tensorflow as tf

from tfgen.autoregressive.pixels.incremental import convolve_above, split_kernel
from tfgen.autoregressive.pixels.two_streams import concat_elu


class StreamsByPixel:
    """The network of a `PixelCNNPlusPlus` inside `raster_scan`.

    Args:
      model: The model.
      draw: A `MixtureDraw`.
      num: Number of images, an int where it is known.
      condition: float32 `[n, width]`, or None.
      with_logits: Return each pixel's logits too.

    Attributes:
      above: What the next row finds above it: its number, the last two rows of pixels, and of the levels.
      left: What a pixel finds to its left: the pixel there, and what the levels keep of it.
      hidden: TensorSpecs of the latter, which the next rows read.
      out: TensorSpecs of what a pixel returns: x and, where asked, logits.
    """

    def __init__(self, model, draw, num, condition=None, with_logits=False):
        self.model, self.draw, dtype = model, draw, model.compute_dtype
        _, self.columns, channels = model.event_shape
        self.top = Level(model.resolutions, self.columns, model.filters, num, condition)
        self.enter_down, self.down_bias = _kernel(model.enter_down), _bias(model.enter_down)
        # The pixel up and to the left is read with the three straight above.
        corner, self.enter_left = tf.split(_kernel(model.enter_left), 2)
        above = _kernel(model.enter_above) + tf.pad(corner, [[0, 0], [0, 2], [0, 0], [0, 0]])
        self.enter_above, self.right_bias = above, _bias(model.enter_above) + _bias(model.enter_left)
        self.last = [tf.cast(w, dtype) for w in model.last.weights]
        known = num if isinstance(num, int) else None
        pixels = tf.zeros((2, self.columns, num, channels + 1), dtype)
        self.above = (tf.constant(0), pixels, self.top.above())
        self.left = (pixels[0, 0], self.top.left())
        self.hidden = tf.nest.map_structure(lambda z: tf.TensorSpec(z.shape, z.dtype), self.left[1])
        self.out = {"x": tf.TensorSpec((known, channels))}
        self.out |= {"logits": tf.TensorSpec((known, model.last.units))} if with_logits else {}

    def begin_row(self, above):
        """Computes the down stream of the row, and what the right stream reads of it and of the row above."""
        number, pixels, rows = above
        h = _convolve(pixels, self.enter_down) + self.down_bias
        _, rows, context = self.top.row(h, number, rows)
        context |= {"enter": _convolve(pixels[1:], self.enter_above) + self.right_bias}
        place = (tf.fill([self.columns], number), tf.range(self.columns))
        return (number, pixels, rows), (place, context)

    def step(self, context, inputs, left):
        """Draws one pixel and keeps what later pixels read of it."""
        (place, context), (before, left) = context, left
        h, left = self.top.pixel(before @ self.enter_left[0, 0] + context["enter"], context, left, *place)
        kernel, bias = self.last
        logits = tf.cast(tf.nn.bias_add(tf.nn.elu(h) @ kernel, bias), tf.float32)
        x = self.draw.draw(logits, inputs)
        return (self._encode(x), left), left, {"x": x} | ({"logits": logits} if "logits" in self.out else {})

    def end_row(self, above, hidden, out):
        """Replaces the oldest of the rows that are kept by the one just finished."""
        number, pixels, rows = above
        pixels = tf.concat([pixels[1:], self._encode(out["x"])[None]], 0)
        return number + 1, pixels, self.top.end_row(number, rows, hidden)

    def _encode(self, x):
        return tf.cast(self.model.encode(x), self.model.compute_dtype)


class Level:
    """One resolution and, as its `lower`, those below it.

    What is kept of a pixel or a row is a dict: the inputs "reads" `[blocks, 2, ..., 2 filters]` of the gated
    blocks' two convolutions, the features "end" `[..., filters]` that the strided convolution reads, and the
    output "low" of the lower resolution.

    Args:
      resolutions: This `Resolution` and those below.
      columns: Columns of this one.
      filters: Features of a stream.
      num: Number of images.
      condition: float32 `[n, width]`, or None.
    """

    def __init__(self, resolutions, columns, filters, num, condition):
        here, *below = resolutions
        self.columns, self.filters, self.num, self.encoders = columns, filters, num, len(here.encode)
        self.dtype, pairs = here.compute_dtype, (*here.encode, *here.decode)
        self.down = [_Block(pair.down, condition) for pair in pairs]
        self.right = [_Block(pair.right, condition) for pair in pairs]
        parts = [[split_kernel(kernel) for kernel in block.kernels] for block in self.right]
        self.kernels_above = [tf.stack([pair[i][0] for pair in parts]) for i in (0, 1)]
        self.kernels_beside = [[part[1] for part in pair] for pair in parts]
        self.biases = [tf.stack([block.biases[i] for block in self.right]) for i in (0, 1)]
        self.sides = tf.stack([block.sides[0] for block in self.right])
        self.lower = Level(below, -(-columns // 2), filters, num, condition) if below else None
        self.shrink, self.grow = (
            [(_kernel(layer), _bias(layer)) for layer in layers] for layers in (here.shrink, here.grow)
        )

    def left(self):
        """What the first pixel of a row finds to its left: zeros."""
        return self._nothing() | ({"lower": self.lower.left()} if self.lower else {})

    def above(self):
        """What the first row finds above it: zeros, for both streams."""
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
            h, read = self.down[i].row(h, rows[i], side)
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
        context |= {"blocks": self._blocks_above(above["right"]["reads"], tf.stack(outputs))}
        return h, new | {"down": down}, context

    def _row_below(self, end, number, above):
        """`row` of the lower resolution, in every other row; else its last output once more."""
        (shrink, bias), (shrink_right, bias_right) = self.shrink
        before, ends = above["down"], tf.stack([above["down"]["end"], end])

        def compute():
            start = _convolve(ends, shrink)[::2] + bias
            low, lower, context = self.lower.row(start, number // 2, above["lower"])
            enter = _convolve(above["right"]["end"][None], shrink_right[:1])[::2] + bias_right
            return low, lower, context | {"enter": enter}

        def keep():
            return before["low"], above["lower"], self.lower.no_context(self.lower.columns)

        low, lower, context = tf.cond(number % 2 == 0, compute, keep)
        new = above | {"down": before | {"end": end, "low": low}, "lower": lower}
        context = {"low": above["right"]["low"], "lower": context}
        context = tf.nest.map_structure(lambda c: tf.repeat(c, 2, axis=0)[: self.columns], context)
        kernel, bias = self.grow[0]
        left, middle, right = (low @ tap for tap in tf.unstack(tf.gather(kernel, number % 2)))
        odd = right + tf.pad(left[1:], [[0, 1], [0, 0], [0, 0]])
        h = tf.reshape(tf.stack([middle, odd], axis=1), (-1, *tf.unstack(tf.shape(low)[1:])))
        return tf.ensure_shape(h[: self.columns], end.shape) + bias, new, context

    def no_context(self, columns):
        """A context in the shape of `row`'s, for rows in which this resolution has no pixels."""
        features = (columns, self.num, self.filters)
        nothing = {"blocks": self._zeros(columns, len(self.right), self.num, 3 * self.filters)}
        nothing["enter"] = self._zeros(*features)
        if self.lower:
            nothing |= {"low": self._zeros(*features), "lower": self.lower.no_context(columns)}
        return nothing

    def _blocks_above(self, rows, down):
        """What each block's two convolutions read of the row above and of the down stream.

        Args:
          rows: `[blocks, 2, columns, n, 2 filters]`.
          down: `[blocks, columns, n, filters]`.

        Returns:
          `[columns, blocks, n, 3 filters]`.
        """
        first, second = (
            convolve_above(rows[:, i : i + 1], kernels) + bias
            for i, (kernels, bias) in enumerate(zip(self.kernels_above, self.biases, strict=True))
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
            first, second = tf.split(above[i], [self.filters, 2 * self.filters], axis=-1)
            if side is not None:
                first += concat_elu(side) @ self.right[i].sides[1]
            beside, reading = self.kernels_beside[i], tf.unstack(before[i])
            h, read = gated(
                h,
                lambda a: tf.concat([reading[0], a], axis=1) @ beside[0] + first,
                lambda a: tf.concat([reading[1], a], axis=1) @ beside[1] + second,
            )
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
        below, (shrink, _) = context["lower"], self.shrink[1]

        def compute():
            start = _beside(left["end"], end, shrink) + below["enter"]
            return self.lower.pixel(start, below, left["lower"], row // 2, column // 2)

        def keep():
            return tf.where(row % 2 == 0, left["low"], context["low"]), left["lower"]

        low, lower = tf.cond((row % 2 == 0) & (column % 2 == 0), compute, keep)
        kernel, bias = self.grow[1]
        return low @ kernel[row % 2, column % 2] + bias, left | {"end": end, "low": low, "lower": lower}

    def end_row(self, number, above, hidden):
        """`above` with the right stream of the row just finished.

        Args:
          number: Which row, int32.
          above: What `row` returned.
          hidden: What `pixel` returned for each column, a nest of `[columns, ...]`.
        """
        new = {"reads": tf.transpose(hidden["reads"], (1, 2, 0, 3, 4))}
        if not self.lower:
            return above | {"right": new}
        new |= {"end": hidden["end"], "low": hidden["low"][::2]}
        every_other = tf.nest.map_structure(lambda h: h[::2], hidden["lower"])
        lower = self.lower.end_row(number // 2, above["lower"], every_other)
        # Nothing was computed below in odd rows.
        computed = (new["low"], lower), (above["right"]["low"], above["lower"])
        low, lower = tf.nest.map_structure(lambda n, o: tf.where(number % 2 == 0, n, o), *computed)
        return above | {"right": new | {"low": low}, "lower": lower}


class _Block:
    """Weights of a `GatedBlock` as the walk uses them."""

    def __init__(self, block, condition):
        self.kernels = [_kernel(block.first), _kernel(block.second)]
        shift = 0.0 if condition is None or block.bias is None else block.bias(condition)
        self.biases = [_bias(block.first)[None], _bias(block.second)[None] + shift]
        self.sides = tf.unstack(tf.cast(block.side, block.compute_dtype)) if block.num_sides else []

    def row(self, h, before, side=None):
        """The block on a whole row of the down stream, and what its convolutions read.

        Args:
          h: `[columns, n, filters]`.
          before: `[2, columns, n, 2 filters]`, what they read in the row above.
          side: `[columns, n, filters]`, or None.
        """

        def convolve(i):
            return lambda a: _convolve(tf.stack([before[i], a]), self.kernels[i]) + self.biases[i]

        first = convolve(0)
        if side is not None:
            read = concat_elu(side)
            return gated(h, lambda a: first(a) + tf.tensordot(read, self.sides[0], 1), convolve(1))
        return gated(h, first, convolve(1))


def gated(h, first, second):
    """h + a * sigmoid(b) as in `GatedBlock`, and the inputs of the two convolutions.

    Args:
      h: `[..., filters]`.
      first: The first convolution with everything that is added to it.
      second: The second.

    Returns:
      `[..., filters]` and `[2, ..., 2 filters]`.
    """
    read = concat_elu(h)
    again = concat_elu(first(read))
    a, b = tf.split(second(again), 2, axis=-1)
    return h + a * tf.sigmoid(b), tf.stack([read, again])


def _convolve(rows, kernel):
    """`[columns, n, out]` from the rows `[height, columns, n, in]` that a kernel covers."""
    return convolve_above(rows[None], tf.reshape(kernel, (1, -1, kernel.shape[-1])))[:, 0]


def _beside(left, pixel, kernel):
    """What the own row `[1, 2, in, out]` of a kernel makes of the pixel to the left and the pixel itself."""
    return tf.concat([left, pixel], axis=1) @ split_kernel(kernel)[1]


def _kernel(layer):
    return tf.cast(layer.kernel, layer.compute_dtype)


def _bias(layer):
    return tf.cast(layer.bias, layer.compute_dtype)
