"""Convolutions that see only what comes before a pixel in raster order: of images, and by pixel."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.keras_model import Layer


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


class ByPixel(NamedTuple):
    """A convolution as a sampler computes it, row by row and one pixel at a time.

    The rows above a pixel are finished when its row begins: `convolve_above` computes their part for the
    whole row in one product. What stands to the left, and the pixel itself, is a product for each pixel.

    Args:
      above: Kernel of the rows above, a matrix `[rows * width * in, filters]`.
      beside: Kernel of the pixels to the left and of the pixel itself, `[pixels * in, filters]`.
      bias: `[filters]`; with what a condition adds `[n, filters]`.
      position: `LocationBias.parts`, or None.
      map: What a condition adds by its pixels, `[rows, columns, n, filters]`, or None.
    """

    above: tf.Tensor
    beside: tf.Tensor
    bias: tf.Tensor
    position: tuple | None = None
    map: tf.Tensor | None = None

    def bias_of(self, row):
        """What is added in each pixel of a row: `bias`; with position or map `[columns, n or 1, filters]`."""
        bias = self.bias
        if self.position is not None:
            rows, columns = self.position
            bias += (rows[row] + columns)[..., None, :]
        return bias if self.map is None else bias + self.map[row]

    @classmethod
    def together(cls, layers):
        """Convolutions of equal sizes as one of several maps, as `convolve_above` reads and returns them.

        Args:
          layers: A `ByPixel` of each map.

        Returns:
          `ByPixel` of `[maps, ...]`: biases `[maps, n or 1, filters]`, positions `[columns, maps, filters]`.
        """
        above, beside = (tf.stack([getattr(each, name) for each in layers]) for name in ("above", "beside"))
        bias = tf.stack([tf.reshape(each.bias, (-1, each.bias.shape[-1])) for each in layers])
        if layers[0].position is None:
            return cls(above, beside, bias)
        parts = zip(*(each.position for each in layers), strict=True)
        return cls(above, beside, bias, tuple(tf.stack(part, axis=1) for part in parts))


def convolve_above(rows, kernels):
    """Contributions of the rows above to each pixel of a row, for several maps at once.

    Args:
      rows: `[maps, height, columns, n, in]`, the last `height` rows.
      kernels: `[maps, height * width * in, out]`, `ByPixel.above` of each.

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


def affine(x, layer):
    """`x` `[n, in]` through a 1x1 convolution given as `ByPixel`: `[n, filters]`."""
    return tf.nn.bias_add(x @ layer.beside, layer.bias)


def condition_matrix(units, condition_size, dtype):
    """V, which adds V c to a layer's features: from conditions `[n, condition_size]` to `[n, units]`."""
    layer = keras.layers.Dense(units, use_bias=False, dtype=dtype, name="condition")
    layer.build((None, condition_size))
    return layer


class LocationBias(Layer):
    """Location-dependent bias s[r, c] = u[r] + w[c], learned, zero at first.

    So a pixel knows where it lies, also where it sees no edge of the image. That is no news of other pixels:
    a causal layer stays causal. The paper makes s of the condition by a network; here s is the same for all
    images, and the condition adds V c beside it.

    Args:
      units: Number of features.
      size: (rows, columns).
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016, arXiv:1606.05328,
      section 2.3.
    """

    def __init__(self, units, size, **kwargs):
        super().__init__(**kwargs)
        self.units, self.size = units, size

    def build(self, input_shape=None):
        """Creates u and w."""
        del input_shape
        rows, columns = self.size
        self.rows = self.add_weight((rows, self.units), initializer="zeros", name="rows")
        self.columns = self.add_weight((columns, self.units), initializer="zeros", name="columns")
        self.built = True

    def parts(self):
        """u `[rows, units]` and w `[columns, units]`, in the compute dtype."""
        return tf.cast(self.rows, self.compute_dtype), tf.cast(self.columns, self.compute_dtype)

    def map(self):
        """s, `[rows, columns, units]` in the compute dtype."""
        rows, columns = self.parts()
        return rows[:, None] + columns


def location_bias(units, size, dtype):
    """s, which adds to a layer's features by where they stand: a `LocationBias` of (rows, columns)."""
    layer = LocationBias(units, size, dtype=dtype, name="position")
    layer.build()
    return layer


class ConditionedConv2D(Layer):
    """Convolution W * x + b, to which a condition c adds V c at every pixel, and each pixel's place s[r, c].

    A condition may be a map of features, `[B, H, W, condition_size]`: then V c[r, c] is added at each pixel.

    A subclass says in `build` and `call` which pixels its kernel covers, and in `by_pixel` how they lie.

    Args:
      filters: Number of features that go out.
      condition_size: Length of c; None for a layer without V.
      image_size: (rows, columns) of what goes out, for a layer with s; None for one without.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If `filters` does not fit.
    """

    def __init__(self, filters, condition_size=None, image_size=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = checks.whole("filters", filters)
        self.condition_size, self.condition = condition_size, None
        self.image_size, self.position = image_size, None

    def add_kernel(self, shape, initializer="glorot_uniform"):
        """Creates W of shape (height, width, in, filters), b and, where asked for, V and s."""
        self.kernel = self.add_weight(shape, initializer=initializer, name="kernel")
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")
        if self.condition_size is not None:
            self.condition = condition_matrix(self.filters, self.condition_size, self.dtype_policy)
        if self.image_size is not None:
            self.position = location_bias(self.filters, self.image_size, self.dtype_policy)

    def convolve(self, x, kernel, condition=None, strides=1):
        """W * x + b + s + V c.

        Args:
          x: `[B, H, W, in]`, padded as the kernel needs it.
          kernel: W `[height, width, in, filters]`.
          condition: c, float32 `[B, condition_size]` or `[B, H, W, condition_size]`; or None.
          strides: Of rows and columns.
        """
        features = tf.nn.conv2d(x, kernel, strides=strides, padding="VALID")
        # Not tf.nn.bias_add: of a bias used several times TensorFlow 2.21's graph rewriter ("remapping", with
        # oneDNN) loses a part of that operation's gradient.
        bias = tf.cast(self.bias, self.compute_dtype)
        features += bias if self.position is None else bias + self.position.map()
        if condition is None:
            return features
        added = self.condition(condition)
        return features + (added if added.shape.rank == 4 else added[:, None, None])

    def biased(self, above, beside, condition=None):
        """`ByPixel` of these kernels with what is added to them: b, V c and s."""
        bias, by_place = tf.cast(self.bias, self.compute_dtype), None
        if condition is not None and condition.shape.rank == 4:
            by_place = tf.transpose(self.condition(condition), (1, 2, 0, 3))
        elif condition is not None:
            bias += self.condition(condition)
        position = None if self.position is None else self.position.parts()
        return ByPixel(above, beside, bias, position, by_place)


@keras.saving.register_keras_serializable("tfgen")
class MaskedConv2D(ConditionedConv2D):
    """Convolution `[B, H, W, in] -> [B, H, W, filters]` whose kernel is masked in every call.

    The mask is part of the computation, not a constraint on the weights: the layer is causal at
    initialization and after any optimizer step, and hidden weights have no gradient.

    Args:
      filters: Number of features that go out.
      kernel_size: Odd height and width of the kernel, one int or a pair.
      mask_type: "A" hides the pixel itself (first layer), "B" shows it (later layers).
      channels: Number of color channels that the features are split into.
      runs: How many equal runs the features that go out consist of, each split into all color channels.
      condition_size: Length of a condition, which adds to the features; None without.
      image_size: (rows, columns) of the images, for a location-dependent bias; None without.
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
        runs=1,
        condition_size=None,
        image_size=None,
        **kwargs,
    ):
        super().__init__(filters, condition_size, image_size, **kwargs)
        self.kernel_size = tuple(checks.whole("kernel_size", size, odd=True) for size in _pair(kernel_size))
        self.mask_type = checks.one_of("mask_type", mask_type, ("A", "B"))
        self.channels = checks.whole("channels", channels)
        checks.whole("filters", filters, at_least=self.channels)
        self.runs = checks.whole("runs", runs)
        if self.filters % self.runs:
            raise ValueError(f"runs must divide filters={filters}, got {runs}.")

    def build(self, input_shape):
        """Creates the kernel and the bias."""
        shape = (*self.kernel_size, input_shape[-1], self.filters)
        self.mask = raster_mask(shape[:2], *shape[2:], self.mask_type, self.channels, self.runs)
        self.add_kernel(shape)
        self.built = True

    @property
    def masked_kernel(self):
        """The kernel as it is used, `[height, width, in, filters]` in the compute dtype."""
        return tf.cast(self.kernel, self.compute_dtype) * self.mask

    def call(self, x, condition=None):
        """The convolution of `x` `[B, H, W, in]`, zeros outside the image."""
        # The rows below the pixel are masked whole, in a single row what is right of it: leaving them out
        # saves a third of the work of a kernel of three.
        above, beside = (size // 2 for size in self.kernel_size)
        right = beside if above else 0
        if above or beside:
            x = tf.pad(x, [[0, 0], [above, 0], [beside, right], [0, 0]])
        return self.convolve(x, self.masked_kernel[: above + 1, : beside + 1 + right], condition)

    def by_pixel(self, condition=None):
        """The layer as `ByPixel`."""
        height, width = self.kernel_size
        kernel = self.masked_kernel
        above = tf.reshape(kernel[: height // 2], (-1, self.filters))
        beside = tf.reshape(kernel[height // 2, : width // 2 + 1], (-1, self.filters))
        return self.biased(above, beside, condition)

    def compute_output_shape(self, input_shape):
        """`[..., filters]`."""
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable("tfgen")
class RowsAboveConv2D(ConditionedConv2D):
    """Convolution `[B, H, W, in] -> [B, H, W, filters]` that reads no row below the pixel's own.

    Type "A" reads the `kernel_size // 2` rows above, type "B" the pixel's whole row too; columns on both
    sides. What type "A" gives of an image, and "B" of that, knows the rows strictly above the pixel.

    Args:
      filters: Number of features that go out.
      kernel_size: Odd width of the kernel, and the height that it would have with the rows below.
      mask_type: "A" hides the pixel's row (first layer), "B" shows it (later layers).
      condition_size: Length of a condition, which adds to the features; None without.
      image_size: (rows, columns) of the images, for a location-dependent bias; None without.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016, arXiv:1606.05328.
    """

    def __init__(self, filters, kernel_size, mask_type="B", condition_size=None, image_size=None, **kwargs):
        super().__init__(filters, condition_size, image_size, **kwargs)
        self.kernel_size = checks.whole("kernel_size", kernel_size, odd=True)
        self.mask_type = checks.one_of("mask_type", mask_type, ("A", "B"))

    def build(self, input_shape):
        """Creates the kernel and the bias."""
        rows = self.kernel_size // 2 + (self.mask_type == "B")
        self.add_kernel((rows, self.kernel_size, input_shape[-1], self.filters))
        self.built = True

    def call(self, x, condition=None):
        """The convolution of `x` `[B, H, W, in]`, zeros outside the image."""
        radius = self.kernel_size // 2
        if self.mask_type == "A":
            x = x[:, :-1]
        x = tf.pad(x, [[0, 0], [radius, 0], [radius, radius], [0, 0]])
        return self.convolve(x, tf.cast(self.kernel, self.compute_dtype), condition)

    def by_pixel(self, condition=None):
        """The layer as `ByPixel`: all of its rows are above, or are the row that is computed."""
        above = tf.reshape(tf.cast(self.kernel, self.compute_dtype), (-1, self.filters))
        return self.biased(above, above[:0], condition)


class Readout(Layer):
    """conv1x1(relu(conv1x1(relu(h)))), masked: from features to the raw outputs of a pixel's entries.

    Args:
      hidden: Features between the two convolutions.
      channels: Number of color channels that the features are split into.
      size: Raw outputs of each of them.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, hidden, channels, size, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.hidden = MaskedConv2D(hidden, 1, channels=channels, dtype=self.dtype_policy)
        self.last = MaskedConv2D(channels * size, 1, channels=channels, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Creates both convolutions' weights."""
        self.hidden.build(input_shape)
        self.last.build((*input_shape[:-1], self.hidden.filters))
        self.built = True

    def call(self, h):
        """`[B, H, W, channels * size]` of `h` `[B, H, W, features]`."""
        return self.last(tf.nn.relu(self.hidden(tf.nn.relu(h))))

    def by_pixel(self):
        """`f(h, channel)`: raw outputs, float32 `[n, size]`, of an entry from `h` `[n, features]`."""
        hidden, last = self.hidden.by_pixel(), self.last.by_pixel()
        kernels = tf.split(last.beside, self.channels, axis=1)
        biases = tf.split(last.bias, self.channels)

        def raw(h, channel):
            h = tf.nn.relu(affine(tf.nn.relu(h), hidden))
            return tf.cast(tf.nn.bias_add(h @ kernels[channel], biases[channel]), tf.float32)

        return raw
