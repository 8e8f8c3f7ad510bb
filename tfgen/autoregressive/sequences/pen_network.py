"""The network of HandwritingRNN: LSTM layers that all read the pen and the text, and all speak."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.distributions.heads import STROKE_OUTPUTS
from tfgen.layers.recurrent import RecurrentLayer
from tfgen.layers.scan import scan
from tfgen.layers.soft_window import SoftWindow


@keras.saving.register_keras_serializable("tfgen")
class PenNetwork(keras.layers.Layer):
    """From steps of a pen, and maybe a text, to the raw outputs of the next step's `stroke_mixture`.

      h^1_t = LSTM(x_{t-1}, w_{t-1}; h^1_{t-1}),  w_t = window(h^1_t)
      h^n_t = LSTM(x_{t-1}, h^{n-1}_t, w_t; h^n_{t-1}),  y_t = b + sum_n W^n h^n_t

    Without a text there is no w. Before the first step, x is 0.

    Args:
      units: Size of each layer's state.
      layers: Number of LSTM layers.
      num_components: Number of Gaussians of a step.
      num_symbols: Size of the text's vocabulary, whose symbol 0 is no symbol; 0 without a text.
      num_windows: Number of Gaussians of the window.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, units, layers, num_components, num_symbols=0, num_windows=10, **kwargs):
        # Offsets stay float32 whatever the layers compute in.
        super().__init__(autocast=False, **kwargs)
        self.num_symbols = checks.whole("num_symbols", num_symbols, at_least=0)
        size = STROKE_OUTPUTS * checks.whole("num_components", num_components) + 1
        self.cells = [
            RecurrentLayer("lstm", units, dtype=self.dtype_policy)
            for _ in range(checks.whole("layers", layers))
        ]
        self.head = keras.layers.Dense(size, dtype=self.dtype_policy)
        self.num_windows = checks.whole("num_windows", num_windows)
        self.window = SoftWindow(num_windows) if num_symbols else None

    def build(self, input_shape=None):
        """Creates the weights."""
        units, read = self.cells[0].units, 3 + self.num_symbols
        for number, cell in enumerate(self.cells):
            cell.build((None, read + (units if number else 0)))
        self.head.build((None, units * len(self.cells)))
        if self.window is not None:
            self.window.build((None, units))
        self.built = True

    def call(self, x, text=None):
        """Raw outputs of all steps, float32 `[B, T, 6 num_components + 1]`.

        Args:
          x: Steps `[B, T, 3]`.
          text: int32 `[B, U]`, filled up with 0; None without.
        """
        before = tf.pad(x, [[0, 0], [1, 0], [0, 0]])[:, :-1]
        if self.window is None:
            h, read = self.cells[0].sequence(before)[0], before
        else:
            h, seen = self._read_along(before, text)
            read = tf.concat([before, seen], axis=-1)
        every = [h]
        for cell in self.cells[1:]:
            every.append(cell.sequence(tf.concat([read, every[-1]], axis=-1))[0])
        return tf.cast(self.head(tf.concat(every, axis=-1)), tf.float32)

    def _read_along(self, before, text):
        """The first layer and the window over all steps: `[B, T, units]` and `[B, T, symbols]`."""
        state = self.start(tf.shape(before)[0], text)
        fixed = {name: state.pop(name) for name in ("text", "lengths")}
        state["cells"] = state["cells"][0]
        rows = before.shape[0]
        out = (tf.TensorSpec((rows, self.cells[0].units)), tf.TensorSpec((rows, self.num_symbols)))

        def step(state, x):
            state, h, _ = self._first(state, x, **fixed)
            return state, (h, state["seen"])

        both = scan(step, tf.transpose(before, (1, 0, 2)), state, out)[1]
        return tuple(tf.transpose(part, (1, 0, 2)) for part in both)

    def _first(self, state, x, text, lengths):
        """A step of the first layer and the window."""
        cells, h = self.cells[0].step(state["cells"], tf.concat([x, state["seen"]], axis=-1))
        kappa, seen, past = self.window.step(state["kappa"], h, text, lengths)
        return {"cells": cells, "kappa": kappa, "seen": seen}, h, past

    def start(self, num, text=None):
        """The state before the first step: a dict of tensors of `num` rows."""
        state = {"cells": tuple(cell.start(num) for cell in self.cells)}
        if self.window is None:
            return state
        shown = tf.one_hot(text - 1, self.num_symbols - 1)  # symbol 0 reads as zeros
        return state | {
            "kappa": self.window.start(num),
            "seen": tf.zeros((num, self.num_symbols)),
            "text": tf.pad(shown, [[0, 0], [0, 0], [1, 0]]),
            "lengths": tf.math.count_nonzero(text, axis=1, dtype=tf.int32),
        }

    def advance(self, state, before):
        """One step.

        Args:
          state: Of the step before.
          before: float32 `[n, 3]`: the pen's last step, zeros before the first.

        Returns:
          The state, the raw outputs `[n, 6 num_components + 1]`, and whether the window is past the end of
          the text, bool `[n]`; None without a text.
        """
        first, *cells = state["cells"]
        if self.window is None:
            first, h = self.cells[0].step(first, before)
            after, read, past = {}, before, None
        else:
            now = {"cells": first, "kappa": state["kappa"], "seen": state["seen"]}
            after, h, past = self._first(now, before, state["text"], state["lengths"])
            first, read = after["cells"], tf.concat([before, after["seen"]], axis=-1)
        states, every = [first], [h]
        for cell, mine in zip(self.cells[1:], cells, strict=True):
            mine, h = cell.step(mine, tf.concat([read, h], axis=-1))
            states.append(mine)
            every.append(h)
        raw = tf.cast(self.head(tf.concat(every, axis=-1)), tf.float32)
        return state | after | {"cells": tuple(states)}, raw, past

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "units": self.cells[0].units, "layers": len(self.cells),
            "num_components": (self.head.units - 1) // STROKE_OUTPUTS, "num_symbols": self.num_symbols,
            "num_windows": self.num_windows,
        }  # fmt: skip
