"""The two stacks of a gated PixelCNN computed one pixel at a time.

The vertical stack knows the rows above only: all its layers are computed for a whole row when the row begins.
A pixel costs the horizontal stack alone.
"""

import tensorflow as tf

from tfgen.autoregressive.pixels.incremental import PixelWalk, affine, as_matrix, convolve_above, split_kernel
from tfgen.layers.gated import gated


class GatedPixelByPixel(PixelWalk):
    """The network of a `GatedPixelCNN` inside `raster_scan`.

    Args:
      model: The GatedPixelCNN.
      draw: A `LevelDraw`.
      num: Number of images, an int where it is known.
      shifts: What the model's `condition_shifts` returned; None without a condition.
      with_logits: Return the logits of each pixel too.

    Attributes:
      above: The last rows of the image, and of the vertical stack after each layer but the last.
      left: The last pixels of what each layer's horizontal convolution reads.
      hidden: Nothing: the horizontal stack is not read from other rows.
    """

    hidden = ()

    def __init__(self, model, draw, num, shifts=None, with_logits=False):
        super().__init__(model, draw, num, with_logits)
        shifts = shifts or [(0.0, 0.0)] * len(model.stack)
        self.rows = [self._row_part(*pair) for pair in zip(model.stack, shifts, strict=True)]
        self.pixels = [self._pixel_part(layer) for layer in model.stack]
        columns, features = model.event_shape[1], model.stack[0].vertical.kernel.shape[2]
        first, later = model.stack[0].kernel_size // 2, model.stack[1].kernel_size // 2
        self.width, depth = model.stack[0].filters, len(model.stack) - 1
        self.above = (
            tf.zeros((first, columns, num, features), self.dtype),
            tf.zeros((depth, later, columns, num, self.width), self.dtype),
        )
        self.left = (
            tf.zeros((num, first * features), self.dtype),
            tf.zeros((depth, num, later * self.width), self.dtype),
        )

    def _row_part(self, layer, shifts):
        """Kernel and bias of the vertical convolution, kernel of the link, bias of the horizontal one."""
        kernel = self._cast(layer.vertical.kernel)
        kernel = tf.reshape(kernel, (1, -1, kernel.shape[-1]))
        biases = (layer.vertical.bias, layer.horizontal.bias)
        vertical, horizontal = (self._cast(b) + s for b, s in zip(biases, shifts, strict=True))
        return kernel, vertical, self._cast(layer.link.kernel), horizontal

    def _pixel_part(self, layer):
        """Kernel of the horizontal convolution, and both 1x1 convolutions of its gates as one."""
        heads = [as_matrix(layer.skip)] + ([] if layer.last else [as_matrix(layer.residual)])
        kernels, biases = zip(*heads, strict=True)
        both = tf.concat(kernels, axis=1), tf.concat(biases, axis=0)
        return split_kernel(layer.horizontal.masked_kernel)[1], both

    def begin_row(self, above):
        """Computes the vertical stack of a row.

        Args:
          above: Rows of the image `[k // 2, columns, n, features]` and of the stack
            `[layers - 1, k // 2, columns, n, filters]`.

        Returns:
          The same with the row, which the image has not yet; what the stack adds to each layer of the
          horizontal one, `[columns, layers, n, 2 filters]`.
        """
        image, stack = above
        stack, read, kept, links = tf.unstack(stack), image, [], []
        for i, (kernel, bias, link, horizontal) in enumerate(self.rows):
            features = convolve_above(read[None], kernel)[:, 0] + bias  # [columns, n, 2 filters]
            links.append(tf.tensordot(features, link, 1) + horizontal)
            if i < len(stack):
                read = tf.concat([stack[i], gated(features)[None]], axis=0)
                kept.append(read[1:])
        return (image, tf.stack(kept)), tf.stack(links, axis=1)

    def step(self, context, inputs, left):
        """Draws the channels of one pixel in turn and keeps what the pixels to the right read of it."""
        window, before = left

        def features(taps):
            return self._features(context, taps, before)

        window, hidden, out = self.draw_pixel(inputs, window, features)
        return (window, tf.concat([before[..., self.width :], hidden], axis=-1)), (), out

    def _features(self, context, taps, before):
        """The sum of the pixel's skip connections, and what its later layers' convolutions read."""
        before, kept, skip = tf.unstack(before), [], 0.0
        for i, ((beside, both), above) in enumerate(zip(self.pixels, tf.unstack(context), strict=True)):
            # Channels not yet drawn are absent from the taps, and their kernel rows are left out.
            out = affine(gated(taps @ beside[: taps.shape[-1]] + above), both)
            skip += out[:, : -self.width] if i < len(before) else out
            if i < len(before):
                residual = out[:, -self.width :]
                kept.append(residual + kept[-1] if kept else residual)
                taps = tf.concat([before[i], kept[-1]], axis=1)
        return skip, tf.stack(kept)

    def end_row(self, above, hidden, out):
        """Replaces the oldest row of the image by the one just drawn."""
        image, stack = above
        return tf.concat([image[1:], self.encode(out["x"])[None]], axis=0), stack
