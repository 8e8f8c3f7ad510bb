"""Sequences step by step: prompts, strings and sounds, and the one loop that draws them."""

import abc
import dataclasses

import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.autoregressive_model import AutoregressiveModel
from tfgen.layers.scan import scan
from tfgen.model import Signature


class SequenceModel(AutoregressiveModel):
    """p(x | T, c) = prod_t law(x_t; raw_t(x_<t, c)) over the T steps of a sequence, given their number.

    A subclass gives `raw`, and the same network step by step: `start` and `advance`.

    Args:
      event_shape: (None, *law.entry): the number of steps is open.
      law: `tfgen.distributions.laws.Law` of a step.
      length: How many steps a sample has, unless `sample` is told.
      codec: Between x and what it stands for: `Texts`, `MuLaw` or `Pen` of `tfgen.media`, or any object with
        `kind`, `encode(string, name)` and `decode(x)`; None for bare numbers.
      condition: `Condition` c, or None.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, event_shape, law, length, codec=None, condition=None, /, **kwargs):
        super().__init__(event_shape, law, condition, **kwargs)
        if self.event_shape != (None, *law.entry):
            raise ValueError(
                f"event_shape must be {(None, *law.entry)}, any number of steps, got {event_shape!r}."
            )
        self.length = checks.whole("length", length)
        self.codec = codec
        if codec is not None:
            self.kind = codec.kind
        # Tables are attributes of the model's own, so that an export brings them along.
        if self.kind == "text":
            self.text = codec.vocabulary
            self.table_of_texts = self.text.table
        if condition is not None and condition.vocabulary is not None:
            self.table_of_conditions = condition.vocabulary.table

    @abc.abstractmethod
    def start(self, num, condition=None):
        """The sampler's state before the first step: nest of tensors.

        Args:
          num: Number of samples.
          condition: `[num, *condition.shape]`, for a conditional model.
        """

    @abc.abstractmethod
    def advance(self, state, before):
        """The state after a step, and the raw outputs of the next one.

        Args:
          state: What `start` or the last `advance` returned.
          before: float32 `[n, *law.entry]`: the step drawn last, `nothing` before the first.

        Returns:
          (state, float32 `[n, law.size]`).
        """

    def ended(self, state):
        """Which sequences end before the step that `advance` has just computed: bool `[n]`, None for none.

        Zeros are drawn from there on, whatever the law says, but for steps that are known. By default no
        sequence ends before its length.
        """
        del state

    def nothing(self, num):
        """The step before the first, float32 `[num, *law.entry]`: -1, which is no level; 0 of real values."""
        return tf.fill((num, *self.law.entry), -1.0 if self.values == "levels" else 0.0)

    def scan(
        self,
        seeds,
        temperature=1.0,
        given=None,
        mask=None,
        condition=None,
        length=None,
        with_raw=False,
        law=None,
        stop=True,
        steps=None,
    ):
        """As in `AutoregressiveModel`, step by step.

        Args:
          seeds: As there; so are the arguments not listed here.
          temperature: As there.
          given: As there.
          mask: As there.
          condition: As there.
          length: Number of steps, an int; None for the model's `length`.
          with_raw: As there.
          law: What steps are drawn from, another than the model's own.
          stop: Draw zeros where a sequence has `ended`.
          steps: int32 scalar: how many of the `length` steps are drawn, zeros follow; None for all.
        """
        known = seeds.shape[0]
        num = known or tf.shape(seeds)[0]
        shape = self.space.shape_of(length or self.length)
        # Seeds of the steps: a sequence begins alike, however long it gets.
        seeds_of_steps = random.fold_in(seeds[:, None], tf.range(shape[0]))
        draws = (law or self.law).draws(seeds_of_steps, shape, temperature, given, mask)
        inputs = {"noise": draws.noise}
        if mask is not None:
            inputs["mask"] = _swapped(mask)
        out = {"x": tf.TensorSpec((known, *shape[1:]))}
        if with_raw:
            out["raw"] = tf.TensorSpec((known, self.law.size))

        def step(carry, inputs):
            state, raw = self.advance(*carry)
            x = draws.entry(raw, inputs["noise"])
            ended = self.ended(state) if stop else None
            if ended is not None:
                blank = tf.reshape(ended, (-1, *[1] * len(self.law.entry)))
                if "mask" in inputs:
                    blank &= ~inputs["mask"]
                x = tf.where(blank, 0.0, x)
            drawn = {"x": x, "raw": raw} if with_raw else {"x": x}
            return (state, x), drawn

        begin = (self.start(num, condition), self.nothing(num))
        _, drawn = scan(step, inputs, begin, out, steps=steps)
        return {name: _swapped(part) for name, part in drawn.items()}

    def sample_rows(
        self, seeds, temperature=1.0, given=None, mask=None, condition=None, length=None, steps=None
    ):  # fmt: skip
        """As in `AutoregressiveModel`; only so many `steps` of `length` are drawn as `scan` is told."""
        return self.scan(seeds, temperature, given, mask, condition, length, steps=steps)["x"]

    def sample(self, num, prompt=None, length=None, **kwargs):
        """Draws `num` sequences, as `GenerativeModel.sample` does.

        Args:
          num: Number of sequences.
          prompt: First steps to go on from, one `[P, ...]` or `num` of them, or what `encode_prompt` takes;
            None for none.
          length: Steps in all, the prompt included; None for the model's `length`.
          **kwargs: Passed on to `GenerativeModel.sample`.

        Returns:
          float32 `[num, length, ...]`.

        Raises:
          ValueError: If an argument does not fit, or the prompt is empty or longer than the sample.
        """
        if prompt is not None:
            length = self.length if length is None else length
            kwargs |= self._known_start(self.encode_prompt(prompt), length)
        return super().sample(num, length=length, **kwargs)

    def encode_prompt(self, prompt):
        """A prompt as an array `[P, ...]` or `[num, P, ...]`: strings go through the codec.

        Raises:
          ValueError: If it is a string that the codec does not take, or there is no codec.
        """
        if not isinstance(prompt, str):
            return np.asarray(prompt, np.float32)
        if self.codec is None:
            raise ValueError(f"{type(self).__name__} has no vocabulary: give prompt as numbers.")
        return self.codec.encode(prompt)

    def decode(self, x):
        """Strings, waves or drawings that samples `[num, T, ...]` stand for, by the model's codec.

        Raises:
          ValueError: If they are bare numbers.
        """
        if self.codec is None:
            raise ValueError(f"{type(self).__name__} has no vocabulary: its samples are numbers.")
        return self.codec.decode(x)

    def signatures(self):
        """Of texts, `log_prob` takes strings.

        `log_prob_of_tokens` takes numbers, as other models' does. Without a condition there is `continue`,
        from prompts to texts of `length` tokens.
        """
        served = super().signatures()
        if self.kind != "text":
            return served
        numbers = dict(served["log_prob"].inputs)
        if self.condition is not None:
            numbers["condition"] = self.condition.values_spec
        served["log_prob_of_tokens"] = dataclasses.replace(served["log_prob"], inputs=numbers)
        inputs = {"text": tf.TensorSpec([None], tf.string)} | self.condition_spec()
        served["log_prob"] = Signature(self._log_prob_of_texts, inputs, self.text.example())
        served["serving_default"] = served["log_prob"]
        if self.condition is not None:
            return served
        inputs = {"prompt": tf.TensorSpec([None], tf.string), "seeds": tf.TensorSpec([None, 2], tf.int32)}
        return served | {"continue": Signature(self._continue, inputs, self.text.example(self.length))}

    def _log_prob_of_texts(self, text, condition=None):
        x, lengths = self.codec.encode_graph(text)
        return {"log_prob": self.log_prob(x, condition, lengths)}

    def _continue(self, prompt, seeds):
        tokens, _ = self.text.encode_graph(prompt, "a prompt", least=1, most=self.length)
        tokens = tf.pad(tokens, [[0, 0], [0, self.length]], constant_values=-1)[:, : self.length]
        tokens = tf.ensure_shape(tokens, [None, self.length])
        given = tf.cast(tf.maximum(tokens, 0), tf.float32)
        return {"text": self.codec.decode_graph(self.sample_rows(seeds, given=given, mask=tokens >= 0))}

    def _known_start(self, prompt, length):
        name, axis = type(self).__name__, prompt.ndim - len(self.event_shape)
        if axis not in (0, 1):
            raise ValueError(f"{name}: prompt must have shape [P, ...] or [num, P, ...], got {prompt.shape}.")
        steps = prompt.shape[axis]
        if not steps:
            raise ValueError(f"{name}: prompt is empty: give at least one step, or leave it out.")
        if steps > length:
            raise ValueError(f"{name}: prompt has {steps} steps, the whole sample {length}: raise length.")
        after = [(0, 0)] * axis + [(0, length - steps)] + [(0, 0)] * (len(self.event_shape) - 1)
        mask = np.pad(np.ones([*prompt.shape[: axis + 1]] + [1] * (len(self.event_shape) - 1)), after)
        return {"given": np.pad(prompt, after), "mask": mask}


def _swapped(tensor):
    """`[n, T, ...]` as `[T, n, ...]`, and back."""
    return tf.transpose(tensor, (1, 0, *range(2, tensor.shape.rank)))
