"""Attention of recurrent networks: grids of Gaussian filters over a picture, and weights over words."""

import math
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.keras_model import Layer


class Window(NamedTuple):
    """Where a grid of N x N Gaussian filters lies, and its filters.

    Places are pixels counted from 1, as in the paper; each field is float32.

    Args:
      rows: F_Y `[n, N, height]`: row j holds the weights of the filter at mu_Y^j, which sum to 1.
      columns: F_X `[n, N, width]`.
      intensity: gamma `[n]`.
      box: `[n, 4]`: the filters' lowest and highest row, lowest and highest column.
      deviation: sigma `[n]`, in pixels.
    """

    rows: tf.Tensor
    columns: tf.Tensor
    intensity: tf.Tensor
    box: tf.Tensor
    deviation: tf.Tensor


def filter_means(center, stride, grid):
    """mu^i = g + (i - N/2 - 0.5) delta for i = 1 ... N: float32 `[n, N]`.

    Args:
      center: g, `[n]`.
      stride: delta, `[n]`.
      grid: N.

    References:
      Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW", 2015, arXiv:1502.04623, equations 19 and 20.
    """
    steps = tf.range(1, grid + 1, dtype=tf.float32) - grid / 2 - 0.5
    return center[:, None] + steps * stride[:, None]


def filterbank(means, variance, size):
    """F[i, a] = exp(-(a - mu^i)^2 / (2 sigma^2)) / Z_i, a = 1 ... size, so that each row sums to 1.

    Where a filter lies so far outside that all its weights vanish, it is what they tend to, as a softmax.

    Args:
      means: mu, `[n, N]`.
      variance: sigma^2, `[n]`.
      size: Pixels in this direction.

    Returns:
      float32 `[n, N, size]`.

    References:
      Gregor et al., 2015, arXiv:1502.04623, equations 25 and 26.
    """
    places = tf.range(1, size + 1, dtype=tf.float32)
    return tf.nn.softmax(-tf.square(places - means[..., None]) / (2.0 * variance[:, None, None]), axis=-1)


def window(raw, height, width, grid):
    """The `Window` of five numbers (gx, gy, log sigma^2, log delta', log gamma), raw `[n, 5]`.

      g_X = (width + 1) / 2 (gx + 1),  g_Y = (height + 1) / 2 (gy + 1),
      delta = (max(height, width) - 1) / (N - 1) delta'

    Zeros lay the grid over the whole picture. A grid of one filter has no stride.

    References:
      Gregor et al., 2015, arXiv:1502.04623, equations 21 to 24.
    """
    gx, gy, log_variance, log_stride, log_intensity = tf.unstack(tf.cast(raw, tf.float32), num=5, axis=-1)
    stride = (max(height, width) - 1) / max(grid - 1, 1) * tf.exp(log_stride)
    means_x = filter_means((width + 1) / 2 * (gx + 1.0), stride, grid)
    means_y = filter_means((height + 1) / 2 * (gy + 1.0), stride, grid)
    variance = tf.exp(log_variance)
    return Window(
        filterbank(means_y, variance, height),
        filterbank(means_x, variance, width),
        tf.exp(log_intensity),
        tf.stack([means_y[:, 0], means_y[:, -1], means_x[:, 0], means_x[:, -1]], axis=-1),
        tf.exp(0.5 * log_variance),
    )


def extract(window, planes, width):
    """gamma F_Y x F_X^T of each plane of pictures: float32 `[n, N * planes * N]`.

    Args:
      window: `Window`.
      planes: Pictures, their planes side by side: `[n, height, planes * width]`.
      width: Of one plane.
    """
    grid = window.rows.shape[1]
    count = planes.shape[-1] // width
    half = tf.reshape(window.rows @ planes, [-1, grid * count, width])
    patch = tf.matmul(half, window.columns, transpose_b=True)
    return window.intensity[:, None] * tf.reshape(patch, [-1, grid * count * grid])


def spread(window, patch):
    """F_Y^T w F_X / gamma of each plane of patches: pictures `[n, height, planes * width]`.

    Args:
      window: `Window`.
      patch: Patches w, their planes side by side: `[n, N * planes * N]`.
    """
    grid, width = window.columns.shape[1:]
    count = patch.shape[-1] // grid**2
    wide = tf.reshape(patch, [-1, grid * count, grid]) @ window.columns
    wide = tf.matmul(window.rows, tf.reshape(wide, [-1, grid, count * width]), transpose_a=True)
    return wide / window.intensity[:, None, None]


@keras.saving.register_keras_serializable("tfgen")
class Reader(Layer):
    """Read of DRAW: what a network sees of a picture and of its error, where a state h lays the grid.

      read(x, e, h) = gamma [F_Y x F_X^T, F_Y e F_X^T]; without a grid [x, e]

    Args:
      height: Of the picture.
      width: Of the picture.
      grid: N; None reads everything.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW: a recurrent neural network for image generation",
      2015, arXiv:1502.04623, equations 17 and 27.
    """

    def __init__(self, height, width, grid=None, **kwargs):
        # Where filters lie is computed in float32, whatever the policy.
        super().__init__(autocast=False, **kwargs)
        self.height, self.width, self.grid = height, width, grid
        self.place = None if grid is None else keras.layers.Dense(5, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Creates the weights that read h `[n, features]`."""
        if self.place is not None:
            self.place.build(input_shape)
        self.built = True

    def window(self, h):
        """The `Window` of h `[n, features]`."""
        return window(self.place(h), self.height, self.width, self.grid)

    def size(self, planes):
        """Numbers read of a picture of so many planes and of its error."""
        area = self.height * self.width if self.grid is None else self.grid**2
        return 2 * planes * area

    def call(self, h, x, error):
        """What is read, float32 `[n, size(planes)]`.

        Args:
          h: `[n, features]`.
          x: Pictures, their planes side by side: `[n, height, planes * width]`.
          error: The same of the errors.
        """
        both = tf.concat([x, error], axis=-1)
        if self.grid is None:
            return tf.reshape(both, [-1, math.prod(both.shape[1:])])
        return extract(self.window(h), both, self.width)


@keras.saving.register_keras_serializable("tfgen")
class Writer(Layer):
    """Write of DRAW: what a state h adds to a canvas, where it lays the grid.

      write(h) = F_Y^T (W h + b) F_X / gamma; without a grid W h + b

    Args:
      height: Of the canvas.
      width: Of the canvas.
      planes: Numbers of a pixel of the canvas.
      grid: N; None writes everywhere.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      Gregor et al., 2015, arXiv:1502.04623, equations 18, 28 and 29.
    """

    def __init__(self, height, width, planes, grid=None, **kwargs):
        # Where filters lie is computed in float32, whatever the policy.
        super().__init__(autocast=False, **kwargs)
        self.height, self.width, self.planes, self.grid = height, width, planes, grid
        area = height * width if grid is None else grid**2
        # The five numbers of the window and the patch in one product.
        self.outputs = keras.layers.Dense(area * planes + (0 if grid is None else 5), dtype=self.dtype_policy)

    def build(self, input_shape):
        """Creates the weights that read h `[n, features]`."""
        self.outputs.build(input_shape)
        self.built = True

    def window(self, h):
        """The `Window` of h `[n, features]`."""
        return window(self.outputs(h)[:, :5], self.height, self.width, self.grid)

    def call(self, h):
        """What is added, float32 `[n, height, planes * width]`."""
        raw = tf.cast(self.outputs(h), tf.float32)
        if self.grid is None:
            return tf.reshape(raw, [-1, self.height, self.planes * self.width])
        return spread(window(raw[:, :5], self.height, self.width, self.grid), raw[:, 5:])


@keras.saving.register_keras_serializable("tfgen")
class WordAttention(Layer):
    """Attention over the words of a text: which of them a state h listens to.

      e_u = v tanh(U k_u + W h + b),  alpha = softmax(e),  s = sum_u alpha_u k_u

    Args:
      units: Size of what tanh is taken of.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      Bahdanau, Cho & Bengio, "Neural machine translation by jointly learning to align and translate", 2014,
      arXiv:1409.0473. Mansimov, Parisotto, Ba & Salakhutdinov, 2015, arXiv:1511.02793, equation 6.
    """

    def __init__(self, units, **kwargs):
        # A softmax over words is taken in float32, whatever the policy.
        super().__init__(autocast=False, **kwargs)
        self.of_words = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy)
        self.of_state = keras.layers.Dense(units, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Creates the weights for words k and states h.

        Args:
          input_shape: Shapes `(..., words)` and `(..., features)`.
        """
        words, state = input_shape
        self.of_words.build(words)
        self.of_state.build(state)
        self.score = self.add_weight((self.of_state.units,), "glorot_uniform", name="score")
        self.built = True

    def keys(self, words):
        """U k of words `[n, U, size]`, which stays the same while h moves: `[n, U, units]`."""
        return tf.cast(self.of_words(words), tf.float32)

    def weights_of(self, h, keys, inside):
        """alpha, float32 `[n, U]`: 0 behind a text's end.

        Args:
          h: `[n, features]`.
          keys: As `keys` makes them.
          inside: bool `[n, U]`, whether there is a word.
        """
        both = tf.tanh(keys + tf.cast(self.of_state(h), tf.float32)[:, None])
        scores = tf.linalg.matvec(both, tf.cast(self.score.value, tf.float32))
        return tf.nn.softmax(tf.where(inside, scores, -1e9), axis=-1)

    def call(self, h, words, keys, inside):
        """s, float32 `[n, size]`; arguments as `weights_of` has them, words `[n, U, size]`."""
        return tf.linalg.matvec(words, self.weights_of(h, keys, inside), transpose_a=True)
