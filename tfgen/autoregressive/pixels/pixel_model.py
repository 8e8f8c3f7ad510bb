"""What all models that generate an image pixel by pixel have in common."""

import abc
import math

import numpy as np
import tensorflow as tf

from tfgen.autoregressive.conditioned import Conditioned
from tfgen.autoregressive.exact import LevelModel
from tfgen.autoregressive.levels import LevelDraw, level_log_prob
from tfgen.autoregressive.pixels.raster import raster_scan


class PixelModel(Conditioned, LevelModel):
    """p(x | c) = prod p(x_i | x_<i, c) over the entries of an image: rows, then columns, then color channels.

    A subclass gives `logits`, and either `walk` or a `sample_rows` of its own.

    Args:
      event_shape: (rows, columns, channels).
      num_values: Number of levels of an entry; 2 for binary images.
      **kwargs: Passed on to `Conditioned` and `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    jit_updates = False

    def __init__(self, event_shape, num_values=2, **kwargs):
        super().__init__(event_shape, num_values=num_values, **kwargs)
        if len(self.event_shape) != 3 or None in self.event_shape:
            raise ValueError(f"event_shape must be (rows, columns, channels), got {event_shape!r}.")

    @abc.abstractmethod
    def logits(self, x, condition=None):
        """Logits of each entry given those before it: `[batch, *event_shape]`, one for two levels.

        With more than two levels, `[batch, *event_shape, num_values]`.
        """

    def walk(self, draw, num, shifts, with_logits):
        """What computes the pixels for `raster_scan`.

        Args:
          draw: What `entry_draw` returned.
          num: Number of images, an int where it is known.
          shifts: What `condition_shifts` returned.
          with_logits: Return the logits of each entry too.
        """
        raise TypeError(f"{type(self).__name__} is drawn otherwise than pixel by pixel.")

    def score(self, x, condition=None):
        """log p(x) of unchecked levels `x` `[batch, *event_shape]`: float32 `[batch]`, in nats."""
        entries = level_log_prob(self.logits(x, condition), x, self.num_values)
        return tf.reduce_sum(entries, axis=(1, 2, 3))

    def entry_draw(self, seeds, temperature, given, mask):
        """What draws one entry after the other."""
        return LevelDraw(seeds, self.event_shape, self.num_values, temperature, given, mask)

    def scan(self, seeds, temperature=1.0, given=None, mask=None, condition=None, with_logits=False):
        """`sample_rows` as {"x": images}, and where asked {"logits": `logits(images)`, pixel by pixel}."""
        draw = self.entry_draw(seeds, temperature, given, mask)
        num = seeds.shape[0] or tf.shape(seeds)[0]
        return self.draw_by_pixel(draw, draw.inputs, num, self.shifts(condition), with_logits)

    def draw_by_pixel(self, draw, inputs, num, shifts, with_logits):
        """What `scan` returns, from the part of a draw's inputs that belongs to this model's entries."""
        images = raster_scan(self.walk(draw, num, shifts, with_logits), inputs)
        return {k: tf.transpose(v, (2, 0, 1, *range(3, v.shape.rank))) for k, v in images.items()}

    @property
    def drawing_order(self):
        """When each pixel is drawn: ints `[rows, columns]`, equal where it is at the same time."""
        return np.arange(math.prod(self.event_shape[:2])).reshape(self.event_shape[:2])
