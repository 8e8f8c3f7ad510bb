"""Convolutions of the two streams of PixelCNN++: one from above, one from above and the left."""

import keras
import tensorflow as tf

from tfgen import checks

STREAMS = ("down", "right")


@keras.saving.register_keras_serializable("tfgen")
class ShiftedConv2D(keras.layers.Layer):
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
      kernel_initializer: Keras initializer of the kernel.
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
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.strides = checks.whole("filters", filters), checks.whole("strides", strides)
        self.stream, self.strict = checks.one_of("stream", stream, STREAMS), bool(strict)
        self.kernel_size = tuple(kernel_size)
        checks.whole("kernel_size", self.kernel_size[1], odd=stream == "down")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        """Creates the kernel and the bias."""
        shape = (*self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape, initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x):
        """The convolution of `x` `[B, H, W, in]`, zeros outside the image."""
        down, (height, width) = self.stream == "down", self.kernel_size
        top, left, right = height - 1, *((width // 2,) * 2 if down else (width - 1, 0))
        if self.strict and down:
            x, top = x[:, :-1], height
        elif self.strict:
            x, left = x[:, :, :-1], width
        x = tf.pad(x, [[0, 0], [top, 0], [left, right], [0, 0]])
        kernel = tf.cast(self.kernel, self.compute_dtype)
        features = tf.nn.conv2d(x, kernel, strides=self.strides, padding="VALID")
        return tf.nn.bias_add(features, tf.cast(self.bias, self.compute_dtype))

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "stream": self.stream,
            "strides": self.strides,
            "strict": self.strict,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("tfgen")
class ShiftedUpsampling2D(keras.layers.Layer):
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

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {"filters": self.filters, "stream": self.stream}
