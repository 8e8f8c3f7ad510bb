"""LSTM layers over an image: rows one after the other, or diagonals."""

import keras
import tensorflow as tf

from tfgen.layers.conditioning import shifted
from tfgen.layers.masked import MaskedConv2D
from tfgen.layers.scan import scan


def lstm(gates, cell):
    """One step: c = f c + i g, h = o tanh(c), with [o, f, i] = sigmoid and g = tanh of the gates.

    Args:
      gates: `[..., 4 * units]`, input-to-state plus state-to-state part, in the order o, f, i, g.
      cell: `[..., units]`.

    Returns:
      h and c, each `[..., units]`.
    """
    units = gates.shape[-1] // 4
    o, f, i = tf.split(tf.sigmoid(gates[..., : 3 * units]), 3, axis=-1)
    cell = f * cell + i * tf.tanh(gates[..., 3 * units :])
    return o * tf.tanh(cell), cell


def skew(x):
    """Offsets each row by one column from the row above: diagonals become columns.

    Args:
      x: `[batch, H, W, features]`.

    Returns:
      `[batch, H, W + H - 1, features]`: column j of row r is x's column j - r, zeros outside of x.
    """
    height, width, features = x.shape[1:]
    # With H zeros behind each row, rows that are one shorter than these begin one later every time.
    padded = tf.reshape(
        tf.pad(x, [[0, 0], [0, 0], [0, height], [0, 0]]), (-1, height * (width + height), features)
    )
    return tf.reshape(padded[:, :-height], (-1, height, width + height - 1, features))


def unskew(x, width):
    """Takes the offsets away: `[batch, H, width + H - 1, features]` to `[batch, H, width, features]`."""
    height, features = x.shape[1], x.shape[3]
    flat = tf.pad(tf.reshape(x, (-1, height * (width + height - 1), features)), [[0, 0], [0, height], [0, 0]])
    return tf.reshape(flat, (-1, height, width + height, features))[:, :, :width]


class _LSTMBlock(keras.layers.Layer):
    """h + conv1x1(LSTM(h)), `[B, H, W, features]` in and out; a subclass has the recurrence.

    Args:
      units: Features of the LSTM's state.
      channels: Number of color channels that the features are split into.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    directions = 1

    def __init__(self, units, channels=1, **kwargs):
        super().__init__(**kwargs)
        self.units, self.channels = units, channels

    def _build(self, input_shape, kernel_size, taps):
        common = {"channels": self.channels, "dtype": self.dtype_policy}
        runs = 4 * self.directions
        self.input_to_state = MaskedConv2D(runs * self.units, kernel_size, runs=runs, **common)
        self.expand = MaskedConv2D(input_shape[-1], 1, **common)
        self.input_to_state.build(input_shape)
        self.state_to_state = [
            self.add_weight(
                (taps * self.units, 4 * self.units), initializer="glorot_uniform", name=f"state_{i}"
            )
            for i in range(self.directions)
        ]
        self.expand.build((*input_shape[:-1], self.units))
        self.built = True

    @property
    def state_kernels(self):
        """State-to-state kernels, a matrix for each direction: `[directions, taps * units, 4 * units]`."""
        return tf.stack([tf.cast(k, self.compute_dtype) for k in self.state_to_state])

    def call(self, h, shift=None):
        """The block's output; `shift` `[B, 4 * directions * units]`, or None, is added to the gates."""
        # No kernel between states is masked: an earlier pixel is known with all its colors.
        return h + self.expand(self.states(shifted(self.input_to_state(h), shift)))

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {"units": self.units, "channels": self.channels}


@keras.saving.register_keras_serializable("tfgen")
class RowLSTM(_LSTMBlock):
    """Row LSTM with a residual connection: an LSTM from row to row whose transitions are convolutions.

    [o, f, i, g] = K_is * x[r] + K_ss * h[r - 1], both one-dimensional convolutions along the row, K_is masked
    to the pixel and those to its left. A pixel sees a triangle above it.

    Args:
      units: Features of the state.
      kernel_size: Odd length of both kernels.
      channels: Number of color channels that the features are split into.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, 2016, arXiv:1601.06759, section 3.1.
    """

    def __init__(self, units, kernel_size=3, channels=1, **kwargs):
        super().__init__(units, channels, **kwargs)
        self.kernel_size = kernel_size

    def build(self, input_shape):
        """Creates the kernels."""
        self._build(input_shape, (1, self.kernel_size), self.kernel_size)

    def states(self, gates):
        """The states `[B, H, W, units]` from the input-to-state part `[B, H, W, 4 * units]`."""
        kernel = tf.reshape(self.state_kernels, (1, self.kernel_size, self.units, -1))

        def step(state, gates):
            above, cell = state  # [B, 1, W, units]
            state = lstm(gates + tf.nn.conv2d(above, kernel, strides=1, padding="SAME"), cell)
            return state, state[0]

        rows = tf.transpose(gates, (1, 0, 2, 3))[:, :, None]
        zeros = tf.zeros_like(rows[0, ..., : self.units])
        states = scan(step, rows, (zeros, zeros), tf.TensorSpec(zeros.shape, zeros.dtype))[1]
        return tf.transpose(states[:, :, 0], (1, 0, 2, 3))

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {"kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable("tfgen")
class DiagonalBiLSTM(_LSTMBlock):
    """Diagonal BiLSTM with a residual connection: two LSTMs that reach a pixel from its left and its right.

    Left: [o, f, i, g] = K_is x[r, c] + K_ss [h[r, c - 1], h[r - 1, c]], with c[r, c - 1] as the cell before.
    Right: the same in the mirrored image. The right states, shifted down by one row so that they hold the
    past only, are added to the left ones: h is seen at all earlier pixels. All pixels of a diagonal are
    computed at once, in H + W - 1 steps.

    Args:
      units: Features of the state.
      channels: Number of color channels that the features are split into.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, 2016, arXiv:1601.06759, section 3.2.
    """

    directions = 2

    def build(self, input_shape):
        """Creates the kernels; a state-to-state kernel has the state beside the pixel first."""
        self._build(input_shape, 1, 2)

    def states(self, gates):
        """The states `[B, H, W, units]` from the input-to-state parts `[B, H, W, 8 * units]`."""
        height, width = gates.shape[1:3]
        left, right = tf.split(gates, 2, axis=-1)
        # Zeros outside the image keep the state there zero: the gates' bias is within them.
        skewed = tf.stack([skew(left), skew(right[:, :, ::-1])])
        both = self._scan(tf.transpose(skewed, (3, 0, 2, 1, 4)))  # [diagonals, 2, H, B, units]
        left, right = (unskew(h, width) for h in tf.unstack(tf.transpose(both, (1, 3, 2, 0, 4))))
        return left + tf.pad(right[:, :-1, ::-1], [[0, 0], [1, 0], [0, 0], [0, 0]])

    def _scan(self, gates):
        """States `[diagonals, 2, H, B, units]` from `[diagonals, 2, H, B, 4 * units]`."""
        kernels = self.state_kernels

        def step(state, gates):
            beside, cell = state  # [2, H, B, units]
            above = tf.pad(beside[:, :-1], [[0, 0], [1, 0], [0, 0], [0, 0]])
            taps = tf.reshape(tf.concat([beside, above], axis=-1), (2, -1, 2 * self.units))
            state = lstm(gates + tf.reshape(tf.matmul(taps, kernels), tf.shape(gates)), cell)
            return state, state[0]

        zeros = tf.zeros_like(gates[0, ..., : self.units])
        return scan(step, gates, (zeros, zeros), tf.TensorSpec(zeros.shape, zeros.dtype))[1]
