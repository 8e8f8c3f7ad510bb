"""Drawing a pixel's channels from a coupled mixture, one after the other."""

import tensorflow as tf

from tfgen import random


class MixtureDraw:
    """Draws the channels of a pixel from the model's mixture, each from its exact conditional.

    All random numbers of an x come from its seed before the loop starts.

    Args:
      model: The PixelCNNPlusPlus.
      seeds: int32 `[n, 2]`.
      temperature: Divides the components' logits and multiplies the scales; 0 for the mode.
      given: Levels `[n, *event_shape]`, or None.
      mask: `[n, *event_shape]`, True where `given` is to be kept; None with `given`.

    Attributes:
      inputs: Dict of `[rows, columns, n, channels, ...]`: what `draw` needs for each pixel.
    """

    def __init__(self, model, seeds, temperature=1.0, given=None, mask=None):
        self.model, self.temperature = model, temperature
        uniform = random.uniform(seeds, (*model.event_shape, 2))
        self.inputs = {"uniform": tf.transpose(uniform, (1, 2, 0, 3, 4))}
        if given is not None:
            self.inputs["known"] = tf.transpose(tf.where(mask, given, -1.0), (1, 2, 0, 3))

    def draw(self, logits, inputs):
        """Levels `[n, channels]` of one pixel, from `[n, outputs]` and its part of `inputs`."""
        mixture = self.model.pixels(logits).tempered(self.temperature)
        return mixture.from_uniform(inputs["uniform"], inputs.get("known"))
