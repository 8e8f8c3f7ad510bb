"""A stack of masked convolutions, or of blocks between them, computed one pixel at a time.

A masked kernel has two parts. `above` covers the rows over the pixel: they are finished when a row begins, so
their part of the convolution is computed for the whole row in one product. `beside` covers the pixels to the
left and the pixel itself: the loop carries them.
"""

import abc

import tensorflow as tf


def split_kernel(kernel):
    """Parts of a kernel `[height, width, in, out]` as matrices.

    Returns:
      above `[height // 2 * width * in, out]` and beside `[(width // 2 + 1) * in, out]`.
    """
    height, width, _, features = kernel.shape
    above = tf.reshape(kernel[: height // 2], (-1, features))
    return above, tf.reshape(kernel[height // 2, : width // 2 + 1], (-1, features))


def convolve_above(rows, kernels):
    """What the rows above contribute to each pixel of a row, for several maps at once.

    Args:
      rows: `[maps, height, columns, n, in]`, the last `height` rows.
      kernels: `[maps, height * width * in, out]`, of odd width, from `split_kernel`.

    Returns:
      `[columns, maps, n, out]`.
    """
    maps, height, columns = rows.shape[:3]
    width = kernels.shape[1] // (height * rows.shape[-1])
    padded = tf.pad(rows, [[0, 0], [0, 0], [width // 2, width // 2], [0, 0], [0, 0]])
    taps = [padded[:, :, x : x + columns] for x in range(width)]
    taps = tf.transpose(tf.stack(taps, axis=4), (0, 2, 3, 1, 4, 5))  # [maps, columns, n, height, width, in]
    # One matrix a map: oneDNN's product that broadcasts a batch of one returns garbage (TensorFlow 2.21).
    sums = tf.matmul(tf.reshape(taps, (maps, -1, kernels.shape[1])), kernels)
    return tf.transpose(tf.reshape(sums, (maps, columns, -1, kernels.shape[2])), (1, 0, 2, 3))


class PixelWalk:
    """What the networks inside `raster_scan` share that end with two 1x1 convolutions, `head` and `last`.

    Args:
      model: A `PixelModel` with `encode`, `head` and `last`.
      draw: A `LevelDraw`.
      num: Number of images, an int where it is known.
      with_logits: Return the logits of each pixel too.

    Attributes:
      out: TensorSpecs of what a pixel returns: x and, where asked, logits.
    """

    def __init__(self, model, draw, num, with_logits=False):
        self.model, self.draw, self.dtype = model, draw, model.compute_dtype
        self.head, (kernel, bias) = as_matrix(model.head), as_matrix(model.last)
        parts = model.event_shape[-1]
        self.last = list(zip(tf.split(kernel, parts, axis=1), tf.split(bias, parts), strict=True))
        entries = (num if isinstance(num, int) else None, parts)
        more = () if model.num_values == 2 else (model.num_values,)
        self.out = {"x": tf.TensorSpec(entries)}
        self.out |= {"logits": tf.TensorSpec((*entries, *more))} if with_logits else {}

    def draw_pixel(self, inputs, window, features):
        """Draws the channels of one pixel in turn.

        Args:
          inputs: What `draw` needs, `[channels, n]`.
          window: What the network reads of the pixels to the left, `[n, pixels * features]`.
          features: `f(taps) -> (h, hidden)`: what `head` reads, and what later pixels need, given the window
            and behind it the pixel's channels drawn so far.

        Returns:
          The window moved on by this pixel, the last `hidden`, and what the pixel returns.
        """
        inputs = {k: tf.unstack(v) for k, v in inputs.items()}
        levels, logits = [], []
        for channel, last in enumerate(self.last):
            taps = tf.concat([window, *(self.encode(level[:, None]) for level in levels)], axis=1)
            h, hidden = features(taps)
            h = tf.nn.relu(affine(tf.nn.relu(h), self.head))
            logits.append(tf.cast(affine(h, last), tf.float32))
            if self.model.num_values == 2:
                logits[-1] = logits[-1][:, 0]
            levels.append(self.draw.draw(logits[-1], {k: v[channel] for k, v in inputs.items()}))
        levels = tf.stack(levels, axis=1)
        pixel = self.encode(levels)
        window = tf.concat([window[:, pixel.shape[-1] :], pixel], axis=1)
        return (
            window,
            hidden,
            {"x": levels} | ({"logits": tf.stack(logits, axis=1)} if "logits" in self.out else {}),
        )

    def encode(self, levels):
        """What the first convolution reads of levels `[..., channels]`, in the compute dtype."""
        return self._cast(self.model.encode(levels))

    def _cast(self, x):
        return tf.cast(x, self.dtype)


class PixelByPixel(PixelWalk, abc.ABC):
    """A `MaskedStack` inside `raster_scan`: its first and its last convolutions.

    A subclass computes the blocks between them.

    Args:
      model: The model.
      draw: A `LevelDraw`.
      num: Number of images, an int where it is known.
      shift: What a condition adds to the first convolution, or None.
      with_logits: Return the logits of each pixel too.
      above: What the first row's blocks find above them.
      left: What the blocks of a row's first pixel find to their left.
      hidden: TensorSpecs of what a pixel's blocks keep for the next rows.

    Attributes:
      above: The last rows of what the first convolution reads, zeros at first, and the blocks' `above`.
      left: The same of the last pixels.
      hidden: As given.
    """

    def __init__(self, model, draw, num, shift, with_logits, above, left, hidden):
        super().__init__(model, draw, num, with_logits)
        kernel, self.first_beside = split_kernel(model.first.masked_kernel)
        self.first_above, self.first_bias = kernel[None], self._cast(model.first.bias)
        if shift is not None:
            self.first_bias += shift
        radius, features = model.first.kernel_size // 2, model.first.kernel.shape[2]
        pixels = tf.zeros((1, radius, model.event_shape[1], num, features), self.dtype)
        window = tf.zeros((num, radius * features), self.dtype)
        self.above, self.left, self.hidden = (pixels, above), (window, left), hidden

    @abc.abstractmethod
    def blocks_above(self, above):
        """What the rows above say to the blocks: a nest of `[columns, ...]`."""

    @abc.abstractmethod
    def blocks(self, h, context, left):
        """The blocks' output for one pixel, and what they keep of it.

        Args:
          h: `[n, filters]`, the first convolution's output.
          context: What `blocks_above` returned for this pixel.
          left: What `after_pixel` returned for the pixel to the left.
        """

    @abc.abstractmethod
    def after_pixel(self, left, hidden):
        """What the next pixel's blocks find to their left."""

    @abc.abstractmethod
    def after_row(self, above, hidden):
        """What the next row's blocks find above them; `hidden` is a nest of `[columns, ...]`."""

    def begin_row(self, above):
        """Adds what the rows above say: `[columns, n, filters]`, and to the blocks."""
        pixels, blocks = above
        first = convolve_above(pixels, self.first_above)[:, 0] + self.first_bias
        return above, (first, self.blocks_above(blocks))

    def step(self, context, inputs, left):
        """Draws the channels of one pixel in turn and keeps what later pixels read of it."""
        (first, blocks), (window, before) = context, left

        def features(taps):
            # Channels not yet drawn are absent from the taps, and their kernel rows are left out.
            h = taps @ self.first_beside[: taps.shape[-1]] + first  # [n, filters]
            return self.blocks(h, blocks, before)

        window, hidden, out = self.draw_pixel(inputs, window, features)
        return (window, self.after_pixel(before, hidden)), hidden, out

    def end_row(self, above, hidden, out):
        """Replaces the oldest of the rows that are kept by the one just finished."""
        pixels, blocks = above
        row = self.encode(out["x"])[None, None]
        return tf.concat([pixels[:, 1:], row], 1), self.after_row(blocks, hidden)


class ConvolutionsByPixel(PixelByPixel):
    """The network of a `PixelCNN`: rows and pixels of what the blocks' middle convolutions read are kept.

    Args:
      model: The PixelCNN.
      draw: A `LevelDraw`.
      num: Number of images, an int where it is known.
      shifts: What the model's `condition_shifts` returned; None without a condition.
      with_logits: Return the logits of each pixel too.
    """

    def __init__(self, model, draw, num, shifts=None, with_logits=False):
        blocks, dtype, columns = model.blocks, model.compute_dtype, model.event_shape[1]
        above, beside = zip(*(split_kernel(block.middle.masked_kernel) for block in blocks), strict=True)
        self.kernels = tf.stack(above)
        self.bias = tf.stack([tf.cast(b.middle.bias, dtype) for b in blocks])[:, None]
        first, shifts = (None, None) if shifts is None else shifts
        self.bias += 0 if shifts is None else shifts
        squeeze = (as_matrix(block.squeeze) for block in blocks)
        expand = (as_matrix(block.expand) for block in blocks)
        self.weights = list(zip(squeeze, beside, expand, strict=True))
        self.width, reach = blocks[0].hidden, blocks[0].kernel_size // 2
        super().__init__(
            model, draw, num, first, with_logits,
            above=tf.zeros((len(blocks), reach, columns, num, self.width), dtype),
            left=tf.zeros((len(blocks), num, reach * self.width), dtype),
            hidden=tf.TensorSpec((len(blocks), num if isinstance(num, int) else None, self.width), dtype),
        )  # fmt: skip

    def blocks_above(self, above):
        """`[columns, blocks, n, hidden]`."""
        return convolve_above(above, self.kernels) + self.bias

    def blocks(self, h, context, left):
        """The residual blocks, and what their middle convolutions read."""
        kept = []
        parts = zip(self.weights, tf.unstack(context), tf.unstack(left), strict=True)
        for (squeeze, beside, expand), above, before in parts:
            kept.append(tf.nn.relu(affine(tf.nn.relu(h), squeeze)))
            a = tf.nn.relu(tf.concat([before, kept[-1]], axis=1) @ beside + above)
            h += affine(a, expand)
        return h, tf.stack(kept)

    def after_pixel(self, left, hidden):
        """The last pixels, this one included."""
        return tf.concat([left[..., self.width :], hidden], axis=-1)

    def after_row(self, above, hidden):
        """The last rows, this one included."""
        return tf.concat([above[:, 1:], tf.transpose(hidden, (1, 0, 2, 3))[:, None]], 1)


def as_matrix(layer):
    """Kernel `[in, out]` and bias of a 1x1 convolution."""
    return layer.masked_kernel[0, 0], tf.cast(layer.bias, layer.compute_dtype)


def affine(x, parameters):
    """`x` `[n, in]` through what `as_matrix` returned: `[n, out]`."""
    kernel, bias = parameters
    return tf.nn.bias_add(x @ kernel, bias)
