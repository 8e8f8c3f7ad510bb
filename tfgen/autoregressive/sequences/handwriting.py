"""HandwritingRNN: pen strokes, by themselves or as the handwriting of a text."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.distributions.laws import Strokes
from tfgen.keras_model import Layer
from tfgen.layers.recurrent import RecurrentLayer
from tfgen.layers.scan import scan
from tfgen.layers.soft_window import SoftWindow
from tfgen.media.ink import Pen
from tfgen.media.text import Vocabulary
from tfgen.model import Condition, Signature


@keras.saving.register_keras_serializable("tfgen")
class HandwritingRNN(SequenceModel):
    """Prediction and synthesis network for pen strokes (Graves 2013).

    x_t = (dx, dy, pen): the offset from the last point, the first from the origin, and 1 where the pen lifts
    after this point. p(x_t | x_<t, c) is a mixture of correlated Gaussians times a Bernoulli (`Strokes`),
    whose parameters come from LSTM layers with skip connections; of a text c the network reads what a soft
    window shows, which it moves along itself (`PenNetwork`).

    Args:
      event_shape: (None, 3): any number of steps.
      condition: "text" writes texts, "none" draws freely.
      vocabulary: The symbols of the texts; the first stands for no symbol. Needed for "text".
      units: Size of each layer's state.
      layers: Number of LSTM layers.
      num_components: Number of Gaussians of a step.
      num_windows: Number of Gaussians of the window.
      length: How many steps a sample has, unless `sample` is told.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850.
    """

    # The density knows no end of a text.
    exact_sampling = {"stop": False}

    def __init__(
        self,
        event_shape=(None, 3),
        condition="none",
        vocabulary=None,
        units=128,
        layers=2,
        num_components=20,
        num_windows=10,
        length=100,
        **kwargs,
    ):
        checks.one_of("condition", condition, ("none", "text"))
        told = None
        if condition == "text":
            if vocabulary is None or len(vocabulary) < 2:
                raise ValueError(f"condition='text' needs a vocabulary of 2 or more, got {vocabulary!r}.")
            told = Condition("text", (None,), len(vocabulary), Vocabulary(tuple(vocabulary)))
        super().__init__(event_shape, Strokes(num_components), length, Pen(), told, **kwargs)
        symbols = 0 if told is None else told.num_classes
        self.network = PenNetwork(units, layers, self.law.size, symbols, num_windows, dtype=self.dtype_policy)
        self.network.build()

    def raw(self, x, condition=None, seed=None):
        """Raw outputs of all steps of x `[batch, T, 3]`, as `Strokes` reads them: `[batch, T, law.size]`."""
        del seed
        return self.network(x, condition)

    def start(self, num, condition=None):
        """The network's state before the first step."""
        return self.network.start(num, condition)

    def advance(self, state, before):
        """The state after the step `before` `[n, 3]`, and the raw outputs of the next."""
        return self.network.advance(state, before)

    def ended(self, state):
        """Drawings whose pen has lifted behind the end of the text; None without a text."""
        return state.get("ended")

    def sample_rows(
        self,
        seeds,
        temperature=1.0,
        given=None,
        mask=None,
        condition=None,
        length=None,
        bias=0.0,
        stop=True,
        steps=None,
    ):
        """Draws one sequence of steps for each seed.

        Args:
          seeds: int32 `[n, 2]`.
          temperature: Divides the logits of components and pen and multiplies standard deviations; 0 takes
            the more probable pen and the middle of the most probable component at each step.
          given: Steps to keep, float32 `[n, length, 3]`, or None.
          mask: bool `[n, length, 3]`, True where `given` is kept; None with `given`.
          condition: Texts, int32 `[n, U]`, for a model of texts.
          length: Number of steps, an int.
          bias: Graves' probability bias: 0 draws from the density, more is neater.
          stop: Put zeros from the first lift on after which the window is past the end of the text.
          steps: int32 scalar: how many of the `length` steps are drawn, zeros follow; None for all.

        Returns:
          float32 `[n, length, 3]`.
        """
        law = Strokes(self.law.num_components, bias)
        told = {"law": law, "stop": stop, "steps": steps}
        return self.scan(seeds, temperature, given, mask, condition, length, **told)["x"]

    def sample(self, num, bias=0.0, stop=True, **kwargs):
        """Draws `num` sequences, as `SequenceModel.sample` does.

        Args:
          num: Number of sequences.
          bias: Graves' probability bias: 0 draws from the density, more is neater.
          stop: Put zeros from the first lift on after which the window is past the end of the text; False
            draws `length` steps from the density.
          **kwargs: Passed on to `SequenceModel.sample`; a `condition` may be a string, or a list of them.

        Returns:
          float32 `[num, length, 3]`.

        Raises:
          ValueError: If an argument does not fit.
        """
        if not tf.is_tensor(bias):
            checks.number("bias", bias, at_least=0)
        return super().sample(num, bias=tf.cast(bias, tf.float32), stop=stop, **kwargs)

    def signatures(self):
        """Adds `write`, from texts to strokes and how many steps they have, for a model of texts."""
        served = super().signatures()
        if self.condition is None:
            return served
        inputs = {"text": tf.TensorSpec([None], tf.string), "seeds": tf.TensorSpec([None, 2], tf.int32)}
        return served | {"write": Signature(self._write, inputs, self.example_text())}

    def _write(self, text, seeds):
        x = self.sample_rows(seeds, condition=self.condition.encode(text, "a text"))
        steps = tf.range(1, tf.shape(x)[1] + 1) * tf.cast(tf.reduce_any(x != 0.0, axis=2), tf.int32)
        return {"strokes": x, "lengths": tf.reduce_max(steps, axis=1)}


@keras.saving.register_keras_serializable("tfgen")
class PenNetwork(Layer):
    """LSTM layers with skip connections, from steps of a pen, and maybe a text, to the next step.

      h^1_t = LSTM(x_{t-1}, w_{t-1}; h^1_{t-1}),  w_t = window(h^1_t)
      h^n_t = LSTM(x_{t-1}, h^{n-1}_t, w_t; h^n_{t-1}),  y_t = b + sum_n W^n h^n_t

    Without a text there is no w. Before the first step, x is 0.

    Args:
      units: Size of each layer's state.
      layers: Number of LSTM layers.
      outputs: Number of raw outputs of a step.
      num_symbols: Size of the text's vocabulary, whose symbol 0 is no symbol; 0 without a text.
      num_windows: Number of Gaussians of the window.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, units, layers, outputs, num_symbols=0, num_windows=10, **kwargs):
        # Offsets stay float32 whatever the layers compute in.
        super().__init__(autocast=False, **kwargs)
        self.num_symbols = checks.whole("num_symbols", num_symbols, at_least=0)
        self.cells = [
            RecurrentLayer("lstm", units, dtype=self.dtype_policy)
            for _ in range(checks.whole("layers", layers))
        ]
        self.head = keras.layers.Dense(outputs, dtype=self.dtype_policy)
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
        """Raw outputs of all steps, float32 `[B, T, outputs]`.

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
        fixed = {"text": state["text"], "lengths": state["lengths"]}
        state = {"cells": state["cells"][0], "kappa": state["kappa"], "seen": state["seen"]}
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
        """The state before the first step: a dict of tensors of `num` rows.

        With a text, "ended" says whose pen has lifted and found the window past the end of the text.
        """
        state = {"cells": tuple(cell.start(num) for cell in self.cells)}
        if self.window is None:
            return state
        shown = tf.one_hot(text - 1, self.num_symbols - 1)  # symbol 0 reads as zeros
        return state | {
            "ended": tf.zeros([num], tf.bool),
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
          The state after it, and the raw outputs of the next step, float32 `[n, outputs]`.
        """
        first, *cells = state["cells"]
        after = {}
        if self.window is None:
            first, h = self.cells[0].step(first, before)
            read = before
        else:
            now = {"cells": first, "kappa": state["kappa"], "seen": state["seen"]}
            after, h, past = self._first(now, before, state["text"], state["lengths"])
            first = after["cells"]
            read = tf.concat([before, after["seen"]], axis=-1)
            # A stroke that is begun is finished.
            after["ended"] = state["ended"] | (past & (before[:, 2] == 1.0))
        states = [first]
        every = [h]
        for cell, mine in zip(self.cells[1:], cells, strict=True):
            mine, h = cell.step(mine, tf.concat([read, h], axis=-1))
            states.append(mine)
            every.append(h)
        raw = tf.cast(self.head(tf.concat(every, axis=-1)), tf.float32)
        return state | after | {"cells": tuple(states)}, raw
