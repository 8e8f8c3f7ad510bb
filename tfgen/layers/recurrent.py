"""Stacks of LSTM and GRU layers: whole sequences for training, single steps for sampling, equal results."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.keras_model import Layer
from tfgen.layers.recurrence import product, recurrence

# Kernels of a cell, side by side, in Keras' order.
_GATES = {"lstm": 4, "gru": 3}


@keras.saving.register_keras_serializable("tfgen")
class RecurrentLayer(Layer):
    """One LSTM or GRU layer.

    LSTM: i, f, o = sigmoid(.), g = tanh(.), c' = f c + i g, h' = o tanh(c'). GRU: z, r = sigmoid(.),
    h' = z h + (1 - z) tanh(W x + b + r (U h + d)). The products of the inputs with W are made for all
    steps at once; the loop over the steps holds the products with U only. States are float32 whatever the
    policy.

    Args:
      cell: "lstm" or "gru".
      units: Size of the state.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Hochreiter & Schmidhuber, "Long short-term memory", 1997. Cho et al., "Learning phrase representations
      using RNN encoder-decoder", 2014, arXiv:1406.1078.
    """

    def __init__(self, cell, units, **kwargs):
        super().__init__(**kwargs)
        self.cell = checks.one_of("cell", cell, tuple(_GATES))
        self.units = checks.whole("units", units)

    def build(self, input_shape):
        """Creates the kernels `[features, gates * units]`, `[units, gates * units]` and the biases."""
        width = _GATES[self.cell] * self.units
        self.kernel = self.add_weight((input_shape[-1], width), name="kernel")
        self.recurrent_kernel = self.add_weight(
            (self.units, width), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight((width,), initializer="zeros", name="bias")
        if self.cell == "lstm":
            # Forget gates begin open (Jozefowicz, Zaremba & Sutskever 2015).
            self.bias.assign(
                tf.concat([tf.zeros(self.units), tf.ones(self.units), tf.zeros(2 * self.units)], 0)
            )
        else:
            self.recurrent_bias = self.add_weight((width,), initializer="zeros", name="recurrent_bias")
        self.built = True

    def start(self, num):
        """Zeros: (h, c) of an LSTM, (h,) of a GRU, each float32 `[num, units]`."""
        return (tf.zeros((num, self.units)),) * (2 if self.cell == "lstm" else 1)

    def project(self, x):
        """Products of the inputs `[..., features]` with W, in the compute dtype: `[..., gates * units]`."""
        x = tf.cast(x, self.compute_dtype)
        kernel = tf.cast(self.kernel.value, self.compute_dtype)
        return tf.linalg.matmul(x, kernel) + tf.cast(self.bias.value, self.compute_dtype)

    def advance(self, state, projected):
        """The state after a step whose projected inputs are `[n, gates * units]`."""
        added, beside = self._inputs(projected)
        return self._cell(state, added + product(state[0], self._recurrent_kernel()), beside)

    def _recurrent_kernel(self):
        return tf.cast(tf.convert_to_tensor(self.recurrent_kernel.value), self.compute_dtype)

    def _inputs(self, projected):
        """Summands of the gates beside U h, and of a GRU's candidate beside r (U h + d)."""
        projected = tf.cast(projected, tf.float32)
        if self.cell == "lstm":
            return projected, None
        gates, candidate = tf.split(projected, (2 * self.units, self.units), axis=-1)
        bias = tf.cast(self.recurrent_bias.value, tf.float32)
        return tf.concat([gates, tf.zeros_like(candidate)], -1) + bias, candidate

    def _cell(self, state, gates, candidate):
        """The state after a step, entry by entry."""
        # One sigmoid of everything, needed or not: XLA computes it on all cores, and parts of it on one.
        opened = tf.sigmoid(gates)
        if self.cell == "lstm":
            i, f, _, o = tf.split(opened, 4, axis=1)
            c = f * state[1] + i * tf.tanh(gates[:, 2 * self.units : 3 * self.units])
            return o * tf.tanh(c), c
        z, r, _ = tf.split(opened, 3, axis=1)
        return (z * state[0] + (1.0 - z) * tf.tanh(candidate + r * gates[:, 2 * self.units :]),)

    def step(self, state, x):
        """One step: the state after the inputs x `[n, features]`, and the output `[n, units]`."""
        state = self.advance(state, self.project(x))
        return state, state[0]

    def sequence(self, x, state=None, lengths=None):
        """All steps of x `[B, T, features]`.

        Args:
          x: The inputs.
          state: The state before them; None for zeros.
          lengths: int32 `[B]`: each row's state stops after so many steps; None for all.

        Returns:
          The outputs, float32 `[B, T, units]`, and the last state.
        """
        state = self.start(x.shape[0] or tf.shape(x)[0]) if state is None else state
        alive = None
        if lengths is not None:
            alive = tf.transpose(tf.sequence_mask(lengths, tf.shape(x)[1]))[..., None]
        # Steps first before the product: it has many more features than x.
        added, beside = self._inputs(self.project(tf.transpose(x, (1, 0, 2))))
        outputs, state = recurrence(self._cell, self._recurrent_kernel(), added, state, beside, alive)
        return tf.transpose(outputs, (1, 0, 2)), state

    def call(self, x):
        """The outputs of `sequence`."""
        return self.sequence(x)[0]


@keras.saving.register_keras_serializable("tfgen")
class Recurrent(Layer):
    """Layers of LSTM or GRU cells, each reading the outputs of the one below.

    Args:
      cell: "lstm" or "gru".
      units: Size of each layer's state.
      layers: Number of layers.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, cell, units, layers=1, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = checks.whole("layers", layers)
        self.cells = [RecurrentLayer(cell, units, dtype=self.dtype_policy) for _ in range(layers)]
        self.cell, self.units = cell, units

    def build(self, input_shape):
        """Creates the layers' weights."""
        for number, layer in enumerate(self.cells):
            layer.build((*input_shape[:-1], input_shape[-1] if number == 0 else self.units))
        self.built = True

    def start(self, num):
        """The state before the first step: a tuple of each layer's."""
        return tuple(layer.start(num) for layer in self.cells)

    def step(self, state, x):
        """One step: the state after the inputs x `[n, features]`, and the output `[n, units]`."""
        after = []
        for layer, before in zip(self.cells, state, strict=True):
            new, x = layer.step(before, x)
            after.append(new)
        return tuple(after), x

    def sequence(self, x, state=None, lengths=None):
        """All steps of x `[B, T, features]`; arguments and results as `RecurrentLayer.sequence` has them."""
        after = []
        for number, layer in enumerate(self.cells):
            x, last = layer.sequence(x, None if state is None else state[number], lengths)
            after.append(last)
        return x, tuple(after)

    def call(self, x):
        """The outputs of `sequence`."""
        return self.sequence(x)[0]
