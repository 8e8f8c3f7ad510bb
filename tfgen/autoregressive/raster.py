"""Drawing an image pixel by pixel: the loop, and the draw of one entry.

What a network needs to compute one pixel is carried in the loop, so that each pixel costs one pixel's work:
what the rows above say is computed once a row for the whole row, what stands to the left is the loop's state.
"""

import tensorflow as tf

from tfgen import random


def raster_scan(walk, inputs):
    """Visits an image's pixels row by row, from left to right, in two nested `tf.while_loop`s.

    Args:
      walk: Object that computes the pixels. Its functions are
        `begin_row(above) -> context`, nest of `[columns, ...]`: what the rows above say about each pixel;
        `step(context, inputs, left) -> (left, hidden, out)`, which computes one pixel;
        `end_row(above, hidden, out) -> above`, given nests of `[columns, ...]` of the row.
        Its attributes `above` and `left` are nests of tensors: what the first row finds above it, and the
        first pixel of each row to its left. `hidden` and `out` are nests of TensorSpecs: what a pixel keeps
        for the next rows, and what it returns.
      inputs: Nest of `[rows, columns, ...]`: what each pixel is given, e.g. its noise.

    Returns:
      Nest of `[rows, columns, ...]`, the structure of `walk.out`.
    """
    rows, columns = tf.nest.flatten(inputs)[0].shape[:2]
    each = tf.nest.map_structure

    def array(spec, size=columns, inner=()):
        return tf.TensorArray(spec.dtype, size=size, element_shape=(*inner, *spec.shape))

    def read_from(tensor):
        elements = tf.TensorArray(tensor.dtype, size=columns, element_shape=tensor.shape[1:])
        return elements.unstack(tensor)

    def scan_row(y, above, rows_out):
        given = each(read_from, (walk.begin_row(above), each(lambda t: tf.gather(t, y), inputs)))

        def scan_pixel(x, left, written):
            context, noise = each(lambda a: a.read(x), given)
            left, *values = walk.step(context, noise, left)
            return x + 1, left, each(lambda a, v: a.write(x, v), written, tuple(values))

        start = (0, walk.left, (each(array, walk.hidden), each(array, walk.out)))
        _, _, written = tf.while_loop(lambda x, *_: x < columns, scan_pixel, start)
        row_hidden, row_out = each(lambda a: a.stack(), written)
        above = walk.end_row(above, row_hidden, row_out)
        return y + 1, above, each(lambda a, v: a.write(y, v), rows_out, row_out)

    start = (0, walk.above, each(lambda spec: array(spec, rows, (columns,)), walk.out))
    _, _, rows_out = tf.while_loop(lambda y, *_: y < rows, scan_row, start)
    return each(lambda a: a.stack(), rows_out)


class LevelDraw:
    """Draws entries with two levels from a logit, with more from as many logits.

    All random numbers of an image come from its seed before the loop starts. Two levels: x = 1 where
    logit > temperature * log(u / (1 - u)), which has probability sigmoid(logit / temperature). More: the
    inverse of the distribution function of softmax(logits / temperature). Temperature 0 gives the mode.

    Args:
      seeds: int32 `[n, 2]`.
      event_shape: (rows, columns, channels).
      num_values: Number of levels.
      temperature: Scalar; 0 for the mode.
      given: Levels `[n, *event_shape]`, or None.
      mask: `[n, *event_shape]`, True where `given` is to be kept; None with `given`.

    Attributes:
      inputs: Dict of `[rows, columns, channels, n]`: what `draw` needs for each entry.
    """

    def __init__(self, seeds, event_shape, num_values, temperature=1.0, given=None, mask=None):
        self.num_values, self.temperature = num_values, tf.cast(temperature, tf.float32)
        uniform = random.uniform(seeds, event_shape)
        known = None if given is None else tf.where(mask, given, -1.0)
        if num_values == 2:
            threshold = self.temperature * (tf.math.log(uniform) - tf.math.log1p(-uniform))
            if known is not None:
                # A known entry is drawn from a threshold that only its own value passes.
                forced = tf.where(known > 0.5, -float("inf"), float("inf"))
                threshold = tf.where(known < 0.0, threshold, forced)
            inputs = {"threshold": threshold}
        else:
            inputs = {"uniform": tf.where(self.temperature > 0.0, uniform, 0.5)}
            inputs |= {} if known is None else {"known": known}
        self.inputs = {k: tf.transpose(v, (1, 2, 3, 0)) for k, v in inputs.items()}

    def draw(self, logits, inputs):
        """Levels `[n]` of one entry.

        Args:
          logits: float32 `[n]` for two levels, `[n, num_values]` for more.
          inputs: Dict of `[n]`, this entry's part of the attribute.
        """
        if self.num_values == 2:
            return tf.cast(logits > inputs["threshold"], tf.float32)
        highest = tf.reduce_max(logits, axis=-1, keepdims=True)
        # Small enough to leave only the highest logits, and no overflow in any difference of logits.
        tempered = (logits - highest) / tf.maximum(self.temperature, 1e-20)
        cumulative = tf.cumsum(tf.exp(tempered), axis=-1)
        below = inputs["uniform"][:, None] * cumulative[:, -1:] > cumulative
        level = tf.reduce_sum(tf.cast(below, tf.float32), axis=-1)
        return tf.where(inputs["known"] < 0.0, level, inputs["known"]) if "known" in inputs else level
