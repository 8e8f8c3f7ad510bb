"""Images pixel by pixel: `PixelModel`, its `Walk` and the loop that draws."""

import abc
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.autoregressive_model import AutoregressiveModel
from tfgen.layers.scan import scan


class Walk(NamedTuple):
    """A network computed one pixel at a time.

    So each pixel costs one pixel's work: what the rows above say is computed once a row for the whole row,
    what stands to the left is the state of the loop over columns.

    Args:
      reach: How many rows above, and how many pixels to the left, the network reads of the image itself.
      above: Nest of tensors: what the first row finds above it of the network.
      left: Nest of tensors: what the first pixel of a row finds to its left of the network.
      kept: Nest of TensorSpecs: what the network keeps of a pixel for the rows below.
      begin_row: `f(rows, above, row) -> (above, context)`: rows `[reach, columns, n, features]` are the last
        ones of the image before this row, int32; context is a nest of `[columns, ...]`, what all this says
        about each pixel of the row.
      conditional: `f(context, taps, left, channel) -> (raw, kept)`: raw outputs `[n, size]` of an entry of
        the pixel; taps `[n, ...]` are the last pixels of the image and, behind them, the channels of this one
        that are drawn. Of several channels, what the last one keeps counts.
      include: `f(left, kept) -> left`, for the next pixel.
      end_row: `f(above, kept, row) -> above`, for the next row; kept is a nest of `[columns, ...]`.
    """

    reach: tuple
    above: object
    left: object
    kept: object
    begin_row: Callable
    conditional: Callable
    include: Callable
    end_row: Callable


class PixelModel(AutoregressiveModel):
    """p(x | c) = prod p(x_i | x_<i, c) over the entries of an image: rows, then columns, then color channels.

    A law of numbers makes an entry of each channel, drawn given those before it; a law of pixels draws all of
    them at once. A subclass gives `raw` and `walk`.

    Args:
      event_shape: (rows, columns, channels).
      law: `tfgen.distributions.laws.Law` of an entry, which also reads levels for the network.
      condition: `Condition` c of labels, a vector or, where the layers take one, an image; or None.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If `event_shape` does not fit.
    """

    jit_updates = False

    def __init__(self, event_shape, law, condition=None, /, **kwargs):
        super().__init__(checks.image_shape(event_shape), law, condition, **kwargs)

    @abc.abstractmethod
    def walk(self, num, condition=None):
        """The network one pixel at a time: a `Walk`.

        Args:
          num: Number of images, an int where it is known.
          condition: `[num, *condition.shape]`, for a conditional model.
        """

    @property
    def condition_width(self):
        """Number of features of a condition, of an image those of a pixel; None for a model without."""
        if self.condition is None:
            return None
        return self.condition.shape[-1] if self.condition.kind == "image" else self.condition.width

    def condition_features(self, condition):
        """Features of a condition that the layers read, float32 `[batch, condition_width]`; None without.

        Of an image they are those of each pixel, `[batch, rows, columns, condition_width]`.
        """
        if condition is None:
            return None
        if self.condition.kind == "image":
            return tf.convert_to_tensor(condition, tf.float32)
        return self.condition.features(condition)

    def scan(
        self, seeds, temperature=1.0, given=None, mask=None, condition=None, length=None, with_raw=False
    ):
        """As in `AutoregressiveModel`, in raster order."""
        del length
        draws = self.law.draws(seeds, self.event_shape, temperature, given, mask)
        return self.draw(draws, seeds.shape[0] or tf.shape(seeds)[0], condition, with_raw)

    def draw(self, draws, num, condition=None, with_raw=False):
        """Draws images row by row, from left to right: a scan over rows of scans over columns.

        Args:
          draws: `Draws` of the entries.
          num: Number of images, an int where it is known.
          condition: `[num, *condition.shape]`, for a conditional model.
          with_raw: Return the raw outputs too.

        Returns:
          {"x": `[num, *event_shape]`}, and {"raw": `[num, *positions, law.size]`} where asked.
        """
        walk = self.walk(num, condition)
        _, columns, channels = self.event_shape
        at_once, features = bool(self.law.entry), self.law.features(channels)
        known = num if isinstance(num, int) else None
        out = {"x": tf.TensorSpec((known, channels))}
        if with_raw:
            out["raw"] = tf.TensorSpec((known, *([] if at_once else [channels]), self.law.size))

        def read(x):
            return tf.cast(self.law.read(x), self.compute_dtype)

        def entries(context, noise, window, left):
            """Values, raw outputs and what is kept of one pixel."""
            if at_once:
                raw, kept = walk.conditional(context, window, left, 0)
                return draws.entry(raw, noise), raw, kept
            x, raws, noise = [], [], {k: tf.unstack(v) for k, v in noise.items()}
            for channel in range(channels):
                taps = tf.concat([window, *(read(value[:, None]) for value in x)], axis=1)
                raw, kept = walk.conditional(context, taps, left, channel)
                x.append(draws.entry(raw, {k: v[channel] for k, v in noise.items()}))
                raws.append(raw)
            return tf.stack(x, axis=1), tf.stack(raws, axis=1), kept

        def pixel(state, inputs):
            (window, left), (context, noise) = state, inputs
            x, raw, kept = entries(context, noise, window, left)
            window = tf.concat([window[:, features:], read(x)], axis=1)
            return (window, walk.include(left, kept)), (kept, {"x": x, "raw": raw} if with_raw else {"x": x})

        def row(state, inputs):
            (rows, above), (number, noise) = state, inputs
            above, context = walk.begin_row(rows, above, number)
            start = tf.zeros((num, walk.reach[1] * features), self.compute_dtype), walk.left
            _, (kept, drawn) = scan(pixel, (context, noise), start, (walk.kept, out))
            rows = tf.concat([rows[1:], read(drawn["x"])[None]], axis=0)
            return (rows, walk.end_row(above, kept, number)), drawn

        rows = tf.zeros((walk.reach[0], columns, num, features), self.compute_dtype)
        whole = {k: tf.TensorSpec((columns, *spec.shape)) for k, spec in out.items()}
        numbers = tf.range(self.event_shape[0])
        images = scan(row, (numbers, draws.noise), (rows, walk.above), whole)[1]
        return {k: tf.transpose(v, (2, 0, 1, *range(3, v.shape.rank))) for k, v in images.items()}

    @property
    def drawing_order(self):
        """When each pixel is drawn: ints `[rows, columns]`."""
        return np.arange(math.prod(self.event_shape[:2])).reshape(self.event_shape[:2])
