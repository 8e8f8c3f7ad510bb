"""Drawing an image pixel by pixel.

What a network needs to compute one pixel is carried in the loop, so that each pixel costs one pixel's work:
what the rows above say is computed once a row for the whole row, what stands to the left is the loop's state.
"""

import tensorflow as tf

from tfgen.layers.scan import scan


def raster_scan(walk, inputs):
    """Visits an image's pixels row by row, from left to right: a scan over rows of scans over columns.

    Args:
      walk: Object that computes the pixels. Its functions are
        `begin_row(above) -> (above, context)`, where the context is a nest of `[columns, ...]`: what the rows
        above say about each pixel;
        `step(context, inputs, left) -> (left, hidden, out)`, which computes one pixel;
        `end_row(above, hidden, out) -> above`, given nests of `[columns, ...]` of the row.
        Its attributes `above` and `left` are nests of tensors: what the first row finds above it, and the
        first pixel of each row to its left. `hidden` and `out` are nests of TensorSpecs: what a pixel keeps
        for the next rows, and what it returns.
      inputs: Nest of `[rows, columns, ...]`: what each pixel is given, e.g. its noise.

    Returns:
      Nest of `[rows, columns, ...]`, the structure of `walk.out`.
    """
    columns = tf.nest.flatten(inputs)[0].shape[1]

    def pixel(left, given):
        left, *values = walk.step(*given, left)
        return left, tuple(values)

    def row(above, inputs):
        above, context = walk.begin_row(above)
        _, (hidden, out) = scan(pixel, (context, inputs), walk.left, (walk.hidden, walk.out))
        return walk.end_row(above, hidden, out), out

    whole = tf.nest.map_structure(lambda s: tf.TensorSpec((columns, *s.shape), s.dtype), walk.out)
    return scan(row, inputs, walk.above, whole)[1]
