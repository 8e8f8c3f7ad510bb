"""A stack of masked convolutions computed one pixel at a time.

A masked kernel has two parts. `above` covers the rows over the pixel: they are finished when a row begins, so
their part of the convolution is computed for the whole row in one product. `beside` covers the pixels to the
left and the pixel itself: the loop carries them.
"""

import tensorflow as tf


def split_kernel(kernel):
    """Parts of a kernel `[k, k, in, out]` as matrices.

    Returns:
      above `[k // 2 * k * in, out]` and beside `[(k // 2 + 1) * in, out]`.
    """
    radius, features = kernel.shape[0] // 2, kernel.shape[-1]
    above = tf.reshape(kernel[:radius], (-1, features))
    return above, tf.reshape(kernel[radius, : radius + 1], (-1, features))


def convolve_above(rows, kernels):
    """What the rows above contribute to each pixel of a row, for several maps at once.

    Args:
      rows: `[maps, radius, columns, n, in]`, the last `radius` rows.
      kernels: `[maps, radius * (2 * radius + 1) * in, out]`, from `split_kernel`.

    Returns:
      `[columns, maps, n, out]`.
    """
    maps, radius, columns = rows.shape[:3]
    padded = tf.pad(rows, [[0, 0], [0, 0], [radius, radius], [0, 0], [0, 0]])
    taps = [padded[:, :, x : x + columns] for x in range(2 * radius + 1)]
    taps = tf.transpose(tf.stack(taps, axis=4), (0, 2, 3, 1, 4, 5))  # [maps, columns, n, radius, k, in]
    # One matrix a map: oneDNN's product that broadcasts a batch of one returns garbage (TensorFlow 2.21).
    sums = tf.matmul(tf.reshape(taps, (maps, -1, kernels.shape[1])), kernels)
    return tf.transpose(tf.reshape(sums, (maps, columns, -1, kernels.shape[2])), (1, 0, 2, 3))


class PixelByPixel:
    """The network of a `PixelCNN` inside `raster_scan`.

    Args:
      model: The PixelCNN.
      draw: A `LevelDraw`.
      num: Number of images, an int where it is known.
      shifts: What the model's `condition_shifts` returned; None without a condition.
      with_logits: Return the logits of each pixel too.

    Attributes:
      above: The last rows of what the first convolution and the blocks' middle ones read, zeros at first.
      left: The same of the last pixels.
      hidden: TensorSpec of what a pixel keeps for the next rows.
      out: TensorSpecs of what a pixel returns: x and, where asked, logits.
    """

    def __init__(self, model, draw, num, shifts=None, with_logits=False):
        self.model, self.draw, self.dtype = model, draw, model.compute_dtype
        first_above, self.first_beside = split_kernel(model.first.masked_kernel)
        middle = [split_kernel(block.middle.masked_kernel) for block in model.blocks]
        self.first_above, self.middle_above = first_above[None], tf.stack([m[0] for m in middle])
        self.first_bias = self._cast(model.first.bias)
        self.middle_bias = tf.stack([self._cast(b.middle.bias) for b in model.blocks])[:, None]
        if shifts is not None:
            self.first_bias, self.middle_bias = self.first_bias + shifts[0], self.middle_bias + shifts[1]
        self.blocks = [
            (_matrix(block.squeeze), beside, _matrix(block.expand))
            for block, (_, beside) in zip(model.blocks, middle, strict=True)
        ]
        self.head, (kernel, bias) = _matrix(model.head), _matrix(model.last)
        parts = model.event_shape[-1]
        self.last = list(zip(tf.split(kernel, parts, axis=1), tf.split(bias, parts), strict=True))
        self._begin(num, with_logits)

    def _begin(self, num, with_logits):
        model, columns = self.model, self.model.event_shape[1]
        radius, self.width = model.first.kernel_size // 2, model.blocks[0].hidden
        reach, features = model.blocks[0].kernel_size // 2, model.first.kernel.shape[2]
        blocks, known = len(model.blocks), num if isinstance(num, int) else None
        self.above = (
            tf.zeros((1, radius, columns, num, features), self.dtype),
            tf.zeros((blocks, reach, columns, num, self.width), self.dtype),
        )
        self.left = (
            tf.zeros((num, radius * features), self.dtype),
            tf.zeros((blocks, num, reach * self.width), self.dtype),
        )
        self.hidden = tf.TensorSpec((blocks, known, self.width), self.dtype)
        entries = (known, model.event_shape[2])
        more = () if model.num_values == 2 else (model.num_values,)
        self.out = {"x": tf.TensorSpec(entries)}
        self.out |= {"logits": tf.TensorSpec((*entries, *more))} if with_logits else {}

    def begin_row(self, above):
        """Adds what the rows above say: `[columns, n, filters]` and `[columns, blocks, n, hidden]`."""
        pixels, hidden = above
        first = convolve_above(pixels, self.first_above)[:, 0] + self.first_bias
        return above, (first, convolve_above(hidden, self.middle_above) + self.middle_bias)

    def step(self, context, inputs, left):
        """Draws the channels of one pixel in turn and keeps what later pixels read of it."""
        window, before = left
        inputs = {k: tf.unstack(v) for k, v in inputs.items()}
        levels, logits = [], []
        for channel, (kernel, bias) in enumerate(self.last):
            taps = tf.concat([window, *(self.encode(level[:, None]) for level in levels)], axis=1)
            features, hidden = self._features(context, taps, before)
            logits.append(tf.cast(tf.nn.bias_add(features @ kernel, bias), tf.float32))
            if self.model.num_values == 2:
                logits[-1] = logits[-1][:, 0]
            levels.append(self.draw.draw(logits[-1], {k: v[channel] for k, v in inputs.items()}))
        levels = tf.stack(levels, axis=1)
        pixel = self.encode(levels)
        window = tf.concat([window[:, pixel.shape[-1] :], pixel], axis=1)
        before = tf.concat([before[..., self.width :], hidden], axis=-1)
        out = {"x": levels} | ({"logits": tf.stack(logits, axis=1)} if "logits" in self.out else {})
        return (window, before), hidden, out

    def _features(self, context, taps, before):
        """The pixel's features before the last layer, and what its blocks' middle convolutions read."""
        first, middle = context
        # Channels not yet drawn are absent from the taps, and their kernel rows are left out.
        h = taps @ self.first_beside[: taps.shape[-1]] + first  # [n, filters]
        kept = []
        parts = zip(self.blocks, tf.unstack(middle), tf.unstack(before), strict=True)
        for ((squeeze, squeeze_bias), beside, (expand, expand_bias)), above, left in parts:
            kept.append(tf.nn.relu(tf.nn.bias_add(tf.nn.relu(h) @ squeeze, squeeze_bias)))
            a = tf.nn.relu(tf.concat([left, kept[-1]], axis=1) @ beside + above)
            h += tf.nn.bias_add(a @ expand, expand_bias)
        kernel, bias = self.head
        return tf.nn.relu(tf.nn.bias_add(tf.nn.relu(h) @ kernel, bias)), tf.stack(kept)

    def end_row(self, above, hidden, out):
        """Replaces the oldest of the rows that are kept by the one just finished."""
        pixels, before = above
        row = self.encode(out["x"])[None, None]
        hidden = tf.transpose(hidden, (1, 0, 2, 3))[:, None]
        return tf.concat([pixels[:, 1:], row], 1), tf.concat([before[:, 1:], hidden], 1)

    def encode(self, levels):
        """What the first convolution reads of levels `[..., channels]`, in the compute dtype."""
        return self._cast(self.model.encode(levels))

    def _cast(self, x):
        return tf.cast(x, self.dtype)


def _matrix(layer):
    """Kernel `[in, out]` and bias of a 1x1 convolution."""
    return layer.masked_kernel[0, 0], tf.cast(layer.bias, layer.compute_dtype)
