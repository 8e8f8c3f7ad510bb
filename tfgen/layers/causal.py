"""Causal convolution over time: of whole sequences for training, of single windows for sampling."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.keras_model import Layer


@keras.saving.register_keras_serializable("tfgen")
class CausalConv1D(Layer):
    """Dilated causal convolution `[B, T, in] -> [B, T, filters]`.

    y_t = b + sum_j W_j x_{t - (k - 1 - j) d}, j = 0 to k - 1, with kernel size k, dilation d and zeros before
    the sequence: y_t reads nothing after x_t.

    Args:
      filters: Number of features that go out.
      kernel_size: Number of taps k.
      dilation: Steps d between taps.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord et al., "WaveNet: a generative model for raw audio", 2016, arXiv:1609.03499, section 2.1.
    """

    def __init__(self, filters, kernel_size=2, dilation=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = checks.whole("filters", filters)
        self.kernel_size = checks.whole("kernel_size", kernel_size)
        self.dilation = checks.whole("dilation", dilation)

    @property
    def reach(self):
        """How many steps back the first tap reads."""
        return (self.kernel_size - 1) * self.dilation

    def build(self, input_shape):
        """Creates the kernel, the tap furthest back first, and the bias."""
        shape = (self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape, "glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.filters,), "zeros", name="bias")
        self.built = True

    def call(self, x):
        """The convolution of x `[B, T, in]`."""
        steps = tf.shape(x)[1]
        padded = tf.pad(x, [[0, 0], [self.reach, 0], [0, 0]])
        taps = [padded[:, i * self.dilation :][:, :steps] for i in range(self.kernel_size)]
        return self.combine(tf.concat(taps, axis=-1))

    def combine(self, windows):
        """Convolution of the taps' inputs side by side, the one furthest back first.

        Args:
          windows: `[..., kernel_size * in]`.

        Returns:
          `[..., filters]`.
        """
        kernel = tf.reshape(tf.cast(self.kernel, self.compute_dtype), (-1, self.filters))
        # A product of two matrices: faster than conv1d with dilations, and than a batch of products.
        rows = tf.cast(tf.reshape(windows, (-1, kernel.shape[0])), self.compute_dtype)
        features = tf.nn.bias_add(rows @ kernel, tf.cast(self.bias, self.compute_dtype))
        if windows.shape.rank == 2:
            return features
        return tf.reshape(features, tf.concat([tf.shape(windows)[:-1], [self.filters]], 0))

    def compute_output_shape(self, input_shape):
        """`[..., filters]`."""
        return (*input_shape[:-1], self.filters)
