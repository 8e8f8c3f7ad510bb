"""Convolutions of the two streams of PixelCNN++: one from above, one from above and the left."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.keras_model import Layer
from tfgen.layers.masked import ConditionedConv2D

STREAMS = ("down", "right")


@keras.saving.register_keras_serializable("tfgen")
class ShiftedConv2D(ConditionedConv2D):
    """Convolution `[B, H, W, in] -> [B, H / strides, W / strides, filters]`, sizes rounded up.

    In the stream "down" a pixel reads its own row and those above, columns on both sides; in "right" its own
    row and those above, its own column and those to the left. The first layer is strict: it leaves out the
    own row ("down") or the own column ("right").

    Args:
      filters: Number of features that go out.
      kernel_size: (height, width), the width odd in the stream "down".
      stream: "down" or "right".
      strides: Of rows and columns.
      strict: Whether to leave out the pixel's own row or column.
      gain: Variance of the starting kernel, as a multiple of Glorot's.
      condition_size: Length of a condition, which adds to the features; None without.
      image_size: (rows, columns) of what goes out, for a location-dependent bias; None without.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Salimans, Karpathy, Chen & Kingma, "PixelCNN++", 2017, arXiv:1701.05517.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        stream,
        strides=1,
        strict=False,
        gain=1.0,
        condition_size=None,
        image_size=None,
        **kwargs,
    ):
        super().__init__(filters, condition_size, image_size, **kwargs)
        self.stream, self.strict = checks.one_of("stream", stream, STREAMS), bool(strict)
        self.strides = checks.whole("strides", strides)
        height, width = kernel_size
        checks.whole("kernel_size", height)
        checks.whole("kernel_size", width, odd=stream == "down")
        self.kernel_size = (height, width)
        self.kernel_initializer = keras.initializers.VarianceScaling(gain, "fan_avg", "uniform")

    def build(self, input_shape):
        """Creates the kernel and the bias."""
        self.add_kernel((*self.kernel_size, input_shape[-1], self.filters), self.kernel_initializer)
        self.built = True

    def call(self, x, condition=None):
        """The convolution of `x` `[B, H, W, in]`, zeros outside the image."""
        height, width = self.kernel_size
        top = height - 1
        if self.stream == "down":
            left, right = width // 2, width // 2
            if self.strict:
                x, top = x[:, :-1], height
        else:
            left, right = width - 1, 0
            if self.strict:
                x, left = x[:, :, :-1], width
        x = tf.pad(x, [[0, 0], [top, 0], [left, right], [0, 0]])
        return self.convolve(x, tf.cast(self.kernel, self.compute_dtype), condition, self.strides)

    def by_pixel(self, condition=None):
        """The layer as `ByPixel`; in the stream "down" the own row counts among those above."""
        rows = self.kernel_size[0] - (self.stream == "right")
        kernel = tf.cast(self.kernel, self.compute_dtype)
        above, beside = (tf.reshape(part, (-1, self.filters)) for part in (kernel[:rows], kernel[rows:]))
        return self.biased(above, beside, condition)


@keras.saving.register_keras_serializable("tfgen")
class ShiftedUpsampling2D(Layer):
    """Transposed convolution of stride 2, `[B, h, w, in] -> [B, H, W, filters]` with h = ceil(H / 2).

    Row and column (y, x) read the pixel (y // 2, x // 2); in the stream "down" odd columns read its right
    neighbor too.

    Args:
      filters: Number of features that go out.
      stream: "down" or "right".
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, filters, stream, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.stream = checks.whole("filters", filters), checks.one_of("stream", stream, STREAMS)

    def build(self, input_shape):
        """Creates the kernel `[2, 3 or 2, in, filters]` and the bias."""
        shape = (2, 3 if self.stream == "down" else 2, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x, size):
        """`x` `[B, h, w, in]` brought to `size`, (H, W)."""
        kernel = tf.transpose(tf.cast(self.kernel, self.compute_dtype), (0, 1, 3, 2))
        extra = kernel.shape[1] - 2
        whole = (tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2] + extra, self.filters)
        features = tf.nn.conv2d_transpose(x, kernel, whole, strides=2, padding="VALID")
        features = features[:, : size[0], extra : extra + size[1]]
        return tf.nn.bias_add(features, tf.cast(self.bias, self.compute_dtype))

    def by_row(self):
        """The stream "down" one row at a time.

        Returns:
          `f(low, row) -> h`: from the pixels `[w, n, in]` of the lower resolution's row `row // 2` to
          `[2 w, n, filters]`.
        """
        kernel, bias = (tf.cast(w, self.compute_dtype) for w in (self.kernel, self.bias))

        def upsample(low, row):
            left, middle, right = (low @ tap for tap in tf.unstack(tf.gather(kernel, row % 2)))
            odd = right + tf.pad(left[1:], [[0, 1], [0, 0], [0, 0]])
            columns = tf.stack([middle, odd], axis=1)  # [w, 2, n, filters]
            return tf.reshape(columns, (2 * low.shape[0], -1, self.filters)) + bias

        return upsample

    def by_pixel(self):
        """The stream "right" one pixel at a time.

        Returns:
          `f(low, row, column) -> h`: from the pixel `[n, in]` at (`row // 2`, `column // 2`) of the lower
          resolution to `[n, filters]`.
        """
        kernel, bias = (tf.cast(w, self.compute_dtype) for w in (self.kernel, self.bias))
        return lambda low, row, column: low @ kernel[row % 2, column % 2] + bias
