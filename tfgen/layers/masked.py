"""Convolution that sees only what comes before a pixel in raster order."""

import keras
import numpy as np
import tensorflow as tf


def raster_mask(kernel_size, in_features, out_features, mask_type, channels=1, runs=1):
    """Which weights of a convolution kernel point to the past of the pixel they compute.

    Features are split into `channels` groups in order, feature i of n in group `i * channels // n`:
    group c computes what belongs to color channel c. A tap above, or to the left in the same row, is
    open. In the center, group b sees group a where a < b (type "A", the first layer: the input itself)
    or a <= b (type "B", later layers: features of channel a know only the channels before a).

    Args:
      kernel_size: Odd height and width of the kernel, one int or a pair.
      in_features: Number of features that come in.
      out_features: Number of features that go out.
      mask_type: "A" or "B".
      channels: Number of color channels, in the order in which they are generated.
      runs: How many equal runs the features that go out consist of (the gates of a unit), each split into
        the groups.

    Returns:
      float32 array `[height, width, in_features, out_features]` of zeros and ones.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", 2016,
      arXiv:1601.06759, section 3.4.
    """
    height, width = _pair(kernel_size)
    row, center = height // 2, width // 2
    mask = np.zeros((height, width, in_features, out_features), np.float32)
    mask[:row] = 1.0
    mask[row, :center] = 1.0
    before = np.arange(in_features) * channels // in_features
    after = np.tile(np.arange(out_features // runs) * channels // (out_features // runs), runs)
    later = np.greater if mask_type == "A" else np.greater_equal
    mask[row, center] = later(after[None, :], before[:, None])
    return mask


def _pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)


@keras.saving.register_keras_serializable("tfgen")
class MaskedConv2D(keras.layers.Layer):
    """Convolution `[B, H, W, in] -> [B, H, W, filters]` whose kernel is masked in every call.

    The mask is part of the computation, not a constraint on the weights: the layer is causal at
    initialization and after any optimizer step, and hidden weights have no gradient.

    Args:
      filters: Number of features that go out.
      kernel_size: Odd height and width of the kernel, one int or a pair.
      mask_type: "A" hides the pixel itself (first layer), "B" shows it (later layers).
      channels: Number of color channels that the features are split into.
      kernel_initializer: Keras initializer of the kernel.
      runs: How many equal runs the features that go out consist of, each split into all color channels.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, 2016, arXiv:1601.06759.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        mask_type="B",
        channels=1,
        kernel_initializer="glorot_uniform",
        runs=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if any(size < 1 or size % 2 == 0 for size in _pair(kernel_size)):
            raise ValueError(f"kernel_size must be odd and positive, got {kernel_size!r}.")
        if mask_type not in ("A", "B"):
            raise ValueError(f"mask_type must be 'A' or 'B', got {mask_type!r}.")
        if channels < 1:
            raise ValueError(f"channels must be positive, got {channels!r}.")
        if filters < channels:
            raise ValueError(f"filters must be at least channels={channels}, got {filters!r}.")
        if runs < 1 or filters % runs:
            raise ValueError(f"runs must divide filters={filters}, got {runs!r}.")
        self.filters = int(filters)
        self.kernel_size = kernel_size if isinstance(kernel_size, int) else tuple(kernel_size)
        self.mask_type, self.channels, self.runs = mask_type, int(channels), int(runs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        """Creates the kernel and the bias."""
        shape = (*_pair(self.kernel_size), input_shape[-1], self.filters)
        self.mask = raster_mask(shape[:2], *shape[2:], self.mask_type, self.channels, self.runs)
        self.kernel = self.add_weight(shape, initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")
        self.built = True

    @property
    def masked_kernel(self):
        """The kernel as it is used, `[height, width, in, filters]` in the compute dtype."""
        return tf.cast(self.kernel, self.compute_dtype) * self.mask

    def call(self, x):
        """The convolution of `x` `[B, H, W, in]`, zeros outside the image."""
        # The rows below the pixel are masked whole, in a single row what is right of it: leaving them out
        # saves a third of the work of a kernel of three.
        above, beside = (size // 2 for size in _pair(self.kernel_size))
        right = beside if above else 0
        if above or beside:
            x = tf.pad(x, [[0, 0], [above, 0], [beside, right], [0, 0]])
        kernel = self.masked_kernel[: above + 1, : beside + 1 + right]
        features = tf.nn.conv2d(x, kernel, strides=1, padding="VALID")
        # Not tf.nn.bias_add: of a bias used several times TensorFlow 2.21's graph rewriter ("remapping", with
        # oneDNN) loses a part of that operation's gradient.
        return features + tf.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """`[..., filters]`."""
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "mask_type": self.mask_type,
            "channels": self.channels,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "runs": self.runs,
        }


@keras.saving.register_keras_serializable("tfgen")
class RowsAboveConv2D(keras.layers.Layer):
    """Convolution `[B, H, W, in] -> [B, H, W, filters]` that reads no row below the pixel's own.

    Type "A" reads the `kernel_size // 2` rows above, type "B" the pixel's whole row too; columns on both
    sides. What type "A" gives of an image, and "B" of that, knows the rows strictly above the pixel.

    Args:
      filters: Number of features that go out.
      kernel_size: Odd width of the kernel, and the height that it would have with the rows below.
      mask_type: "A" hides the pixel's row (first layer), "B" shows it (later layers).
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016, arXiv:1606.05328.
    """

    def __init__(self, filters, kernel_size, mask_type="B", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.mask_type = int(filters), int(kernel_size), mask_type

    def build(self, input_shape):
        """Creates the kernel and the bias."""
        rows = self.kernel_size // 2 + (self.mask_type == "B")
        shape = (rows, self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x):
        """The convolution of `x` `[B, H, W, in]`, zeros outside the image."""
        radius = self.kernel_size // 2
        if self.mask_type == "A":
            x = x[:, :-1]
        x = tf.pad(x, [[0, 0], [radius, 0], [radius, radius], [0, 0]])
        features = tf.nn.conv2d(x, tf.cast(self.kernel, self.compute_dtype), strides=1, padding="VALID")
        return tf.nn.bias_add(features, tf.cast(self.bias, self.compute_dtype))

    def get_config(self):
        """The constructor's arguments."""
        mine = {"filters": self.filters, "kernel_size": self.kernel_size, "mask_type": self.mask_type}
        return super().get_config() | mine
