"""What all models that generate a sequence step by step have in common."""

import abc

import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.exact import ExactModel
from tfgen.autoregressive.levels import LevelDraw, level_log_prob
from tfgen.layers.scan import scan


class SequenceModel(ExactModel):
    """p(x | T, c) = prod_t p(x_t | x_<t, c) over the T steps of a sequence, given their number.

    Steps are levels here; a subclass whose steps are something else brings its own `score` and `sample_rows`.
    A subclass gives `logits`, and `start` and `advance` for the sampler.

    Args:
      event_shape: (None, ...): the number of steps is open.
      length: How many steps a sample has, unless `sample` is told.
      num_values: Number of levels of a step.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    jit_sampler = True
    # Share of features that training sets to zero, by a seed that `logits` takes.
    dropout = 0.0

    def __init__(self, event_shape=(None,), length=100, num_values=2, **kwargs):
        super().__init__(event_shape, **kwargs)
        if self.event_shape[0] is not None or None in self.event_shape[1:]:
            raise ValueError(
                f"event_shape must be (None, ...), a sequence of any length, got {event_shape!r}."
            )
        self.length = checks.whole("length", length)
        self.num_values = checks.whole("num_values", num_values, at_least=2)

    @abc.abstractmethod
    def logits(self, x, condition=None):
        """Logits of all steps of x `[batch, T]`, each given those before it.

        Returns:
          float32 `[batch, T]` for two levels, `[batch, T, num_values]` for more.
        """

    @abc.abstractmethod
    def start(self, num, condition=None):
        """The sampler's state before the first step: nest of tensors, each of `num` rows."""

    @abc.abstractmethod
    def advance(self, state, before):
        """The state after a step, and the logits of the next one.

        Args:
          state: What `start` or the last `advance` returned.
          before: float32 `[n]`: the level drawn last, -1 before the first.

        Returns:
          (state, float32 `[n]` or `[n, num_values]`).
        """

    def score(self, x, lengths=None, condition=None, **kwargs):
        """log p(x) of unchecked levels x `[batch, T]`, of which `lengths` steps count: `[batch]`, in nats.

        What else is given goes to `logits`.
        """
        return sum_steps(level_log_prob(self.logits(x, condition, **kwargs), x, self.num_values), lengths)

    def sample_rows(self, seeds, length=None, temperature=1.0, given=None, mask=None, condition=None):
        """Draws one sequence for each seed.

        Args:
          seeds: int32 `[n, 2]`.
          length: Number of steps, an int.
          temperature: Divides the logits; 0 takes the most probable level at each step.
          given: Levels to keep, float32 `[n, length]`, or None.
          mask: bool `[n, length]`, True where `given` is kept; None with `given`.
          condition: `[n, *condition.shape]`, for a conditional model.

        Returns:
          float32 `[n, length]`.
        """
        return self.scan(seeds, length, temperature, given, mask, condition)["x"]

    def scan(
        self, seeds, length=None, temperature=1.0, given=None, mask=None, condition=None, with_logits=False
    ):  # fmt: skip
        """`sample_rows` as {"x": sequences}, and {"logits": what they were drawn from} where asked.

        The logits are not divided by the temperature: they are `logits(x)`, computed step by step.
        """
        draw = LevelDraw(seeds, (length or self.length,), self.num_values, temperature, given, mask)
        num = seeds.shape[0] or tf.shape(seeds)[0]
        known = seeds.shape[0]
        out = {"x": tf.TensorSpec((known,))}
        more = () if self.num_values == 2 else (self.num_values,)
        out |= {"logits": tf.TensorSpec((known, *more))} if with_logits else {}

        def step(carry, inputs):
            state, logits = self.advance(*carry)
            x = draw.draw(logits, inputs)
            return (state, x), {"x": x} | ({"logits": logits} if with_logits else {})

        begin = (self.start(num, condition), tf.fill([num], -1.0))
        drawn = scan(step, draw.inputs, begin, out)[1]
        return {k: tf.transpose(v, (1, 0, *range(2, v.shape.rank))) for k, v in drawn.items()}

    def sample(self, num, prompt=None, length=None, **kwargs):
        """Draws `num` sequences, as `GenerativeModel.sample` does.

        Args:
          num: Number of sequences.
          prompt: First steps to go on from, one `[P, ...]` or `num` of them; None for none.
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
        """A prompt as an array `[P, ...]` or `[num, P, ...]`; a model of texts takes strings."""
        return np.asarray(prompt, np.float32)

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

    def validation_metrics(self, batch, seed):
        """Nats of a sequence and of a step; the latter chooses the best checkpoint."""
        del seed
        nats = -self.score(**batch)
        steps = batch.get("lengths", tf.fill(tf.shape(nats), tf.shape(batch["x"])[1]))
        per_step = tf.reduce_sum(nats) / tf.cast(tf.maximum(tf.reduce_sum(steps), 1), tf.float32)
        return {"loss": per_step, "nats": tf.reduce_mean(nats), "nats_per_step": per_step}

    def _negative_log_likelihood(self, batch, seed, step):
        if self.dropout:
            batch = batch | {"seed": seed}
        # Per step of the longest, so that one learning rate suits every length.
        loss, scalars = super()._negative_log_likelihood(batch, seed, step)
        return loss / tf.cast(tf.shape(batch["x"])[1], tf.float32), scalars


def sum_steps(entries, lengths=None):
    """Sums of `[batch, T]` over the steps that count."""
    if lengths is not None:
        entries = tf.where(tf.sequence_mask(lengths, tf.shape(entries)[1]), entries, 0.0)
    return tf.reduce_sum(entries, axis=1)
