"""HandwritingRNN: pen strokes, by themselves or as the handwriting of a text."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.sequences.pen_network import PenNetwork
from tfgen.autoregressive.sequences.sequence_model import SequenceModel, sum_steps
from tfgen.distributions.heads import stroke_mixture
from tfgen.distributions.model_distribution import ModelDistribution
from tfgen.layers.scan import scan
from tfgen.media.text import Vocabulary
from tfgen.model import Condition, Signature


@keras.saving.register_keras_serializable("tfgen")
class HandwritingRNN(SequenceModel):
    """Prediction and synthesis network for pen strokes (Graves 2013).

    x_t = (dx, dy, pen): the offset from the last point, the first from the origin, and 1 where the pen lifts
    after this point. p(x_t | x_<t, c) is a mixture of correlated Gaussians times a Bernoulli
    (`stroke_mixture`), whose parameters come from LSTM layers with skip connections; of a text c the network
    reads what a soft window shows, which it moves along itself (`PenNetwork`).

    Args:
      event_shape: (None, 3): any number of steps.
      condition: "text" writes texts, "none" draws freely.
      vocabulary: The symbols of the texts; the first stands for no symbol. Needed for "text".
      units: Size of each layer's state.
      layers: Number of LSTM layers.
      num_components: Number of Gaussians of a step.
      num_windows: Number of Gaussians of the window.
      **kwargs: Passed on to `SequenceModel`: `length` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850.
    """

    values = "real"

    def __init__(
        self, event_shape=(None, 3), condition="none", vocabulary=None, units=128, layers=2,
        num_components=20, num_windows=10, **kwargs,
    ):  # fmt: skip
        super().__init__(event_shape, **kwargs)
        self.kind = "strokes"
        if self.event_shape != (None, 3):
            raise ValueError(
                f"event_shape must be (None, 3), (dx, dy, pen) at each step, got {event_shape!r}."
            )
        checks.one_of("condition", condition, ("none", "text"))
        self.text = Vocabulary(tuple(vocabulary)) if vocabulary is not None else None
        if condition == "text":
            if self.text is None or len(self.text) < 2:
                raise ValueError(f"condition='text' needs a vocabulary of 2 or more, got {vocabulary!r}.")
            self.condition = Condition("text", (None,), len(self.text), self.text)
        symbols = 0 if self.condition is None else len(self.text)
        sizes = (units, layers, num_components, symbols, num_windows)
        self.network = PenNetwork(*sizes, dtype=self.dtype_policy)
        self.network.build()

    def logits(self, x, condition=None):
        """Raw outputs `[batch, T, 6 num_components + 1]` of all steps, as `stroke_mixture` reads them."""
        return self.network(x, condition)

    def score(self, x, lengths=None, condition=None):
        """log p(x) of unchecked steps x `[batch, T, 3]`, of which `lengths` count: `[batch]`, in nats."""
        return sum_steps(stroke_mixture(self.logits(x, condition)).log_prob(x), lengths)

    def start(self, num, condition=None):
        """The network's state before the first step."""
        return self.network.start(num, condition)

    def advance(self, state, before):
        """The state after the step `before` `[n, 3]`, and the raw outputs of the next."""
        return self.network.advance(state, before)[:2]

    def sample_rows(
        self, seeds, length=None, temperature=1.0, given=None, mask=None, condition=None, bias=0.0, stop=True
    ):  # fmt: skip
        """Draws one sequence of steps for each seed.

        Args:
          seeds: int32 `[n, 2]`.
          length: Number of steps, an int.
          temperature: Divides the logits of components and pen and multiplies standard deviations; 0 takes
            the more probable pen and the middle of the most probable component at each step.
          given: Steps to keep, float32 `[n, length, 3]`, or None.
          mask: bool `[n, length, 3]`, True where `given` is kept; None with `given`.
          condition: Texts, int32 `[n, U]`, for a model of texts.
          bias: Graves' probability bias: 0 draws from the density, more is neater.
          stop: Put zeros from the first lift on after which the window is past the end of the text.

        Returns:
          float32 `[n, length, 3]`.
        """
        return self.scan(seeds, length, temperature, given, mask, condition, bias=bias, stop=stop)["x"]

    def scan(
        self, seeds, length=None, temperature=1.0, given=None, mask=None, condition=None, with_logits=False,
        bias=0.0, stop=True,
    ):  # fmt: skip
        """`sample_rows` as {"x": steps}, and {"logits": the raw outputs of each} where asked."""
        length, num = length or self.length, seeds.shape[0] or tf.shape(seeds)[0]
        inputs = {"uniform": random.uniform(seeds, (length, 4))}
        inputs |= {} if given is None else {"given": given, "mask": mask}
        inputs = {name: tf.transpose(part, (1, 0, 2)) for name, part in inputs.items()}
        out = {"x": tf.TensorSpec((seeds.shape[0], 3))}
        out |= {"logits": tf.TensorSpec((seeds.shape[0], self.network.head.units))} if with_logits else {}

        def step(carry, inputs):
            state, before, ended = carry
            state, raw, past = self.network.advance(state, before)
            x = stroke_mixture(raw, bias).tempered(temperature).from_uniform(inputs["uniform"])
            if stop and past is not None:
                # A stroke that is begun is finished.
                ended |= past & (before[:, 2] == 1.0)
                x = tf.where(ended[:, None], 0.0, x)
            if given is not None:
                x = tf.where(inputs["mask"], inputs["given"], x)
            return (state, x, ended), {"x": x} | ({"logits": raw} if with_logits else {})

        begin = (self.start(num, condition), tf.zeros((num, 3)), tf.fill([num], False))
        return {k: tf.transpose(v, (1, 0, 2)) for k, v in scan(step, inputs, begin, out)[1].items()}

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
        if not tf.is_tensor(bias) and not 0.0 <= bias < float("inf"):
            raise ValueError(f"bias must be finite and not negative, got {bias!r}.")
        return super().sample(num, bias=tf.cast(bias, tf.float32), stop=stop, **kwargs)

    def distribution(self, condition=None, length=None):
        """The model as a TFP distribution over `[length, 3]`, which does not stop at the end of a text."""
        return ModelDistribution(self, condition, length, sampling={"stop": False})

    def decode(self, x):
        """List of arrays `[steps, 3]`: samples `[num, T, 3]` without the zeros at their ends."""
        return [row[: np.max(np.flatnonzero(row.any(axis=1)), initial=-1) + 1] for row in np.asarray(x)]

    def signatures(self):
        """Adds `write`, from texts to strokes and how many steps they have, for a model of texts."""
        served = super().signatures()
        if self.condition is None:
            return served
        inputs = {"text": tf.TensorSpec([None], tf.string), "seeds": tf.TensorSpec([None, 2], tf.int32)}
        return served | {"write": Signature(self._write, inputs, self.text.example())}

    def _write(self, text, seeds):
        tokens, lengths = self.text.encode_graph(text)
        tokens = checks.require(tf.reduce_all(lengths > 0), tokens, "a text must have one symbol or more")
        x = self.sample_rows(seeds, condition=tf.maximum(tokens, 0))
        steps = tf.range(1, tf.shape(x)[1] + 1) * tf.cast(tf.reduce_any(x != 0.0, axis=2), tf.int32)
        return {"strokes": x, "lengths": tf.reduce_max(steps, axis=1)}
