"""Exact densities as products of conditionals, trained by maximum likelihood: `AutoregressiveModel`."""

import abc
import math

import tensorflow as tf

from tfgen.distributions.model_distribution import ModelDistribution
from tfgen.model import GenerativeModel, Signature, Update


class AutoregressiveModel(GenerativeModel):
    """p(x | c) = prod_i law(x_i; raw_i(x_<i, c)) over the entries of x in some order.

    A subclass gives `raw`, one network for all entries at once, and `scan`, the same network entry by entry.

    Args:
      event_shape: Shape of one x.
      law: `tfgen.distributions.laws.Law` of an entry.
      condition: `Condition` c, or None.
      **kwargs: Passed on to `GenerativeModel`.
    """

    density = "exact"
    jit_sampler = True
    # Arguments of `sample_rows` under which samples follow the density.
    exact_sampling = {}  # noqa: RUF012

    def __init__(self, event_shape, law, condition=None, /, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.law, self.values, self.num_values = law, law.values, law.num_values
        self.condition = condition

    @abc.abstractmethod
    def raw(self, x, condition=None, seed=None):
        """Raw outputs for each entry of x given those before it.

        Args:
          x: float32 `[batch, *event_shape]`, unchecked.
          condition: `[batch, *condition.shape]`, for a conditional model.
          seed: int32 [2] of a training step, for networks with dropout; None drops nothing out.

        Returns:
          float32 `[batch, *positions, law.size]`, positions being the axes of x that count its entries.
        """

    @abc.abstractmethod
    def scan(
        self, seeds, temperature=1.0, given=None, mask=None, condition=None, length=None, with_raw=False
    ):
        """`sample_rows` as {"x": events}, and {"raw": what they were drawn from} where asked.

        The latter is `raw(x)`, not divided by the temperature, computed entry by entry.
        """

    def conditionals(self, x, condition=None):
        """p(x_i | x_<i, c) as a TFP distribution of batch shape `[batch, *positions]`.

        Args:
          x: `[batch, *event_shape]`.
          condition: `[batch, *condition.shape]`, for a conditional model.
        """
        return self.law(self.raw(x, condition))

    def score(self, x, lengths=None, condition=None, seed=None):
        """log p(x | c) of unchecked x: float32 `[batch]`, in nats; of sequences `lengths` steps count."""
        entries = self.law.log_prob(self.raw(x, condition, seed), x)
        return sum_entries(entries, lengths)

    def objective(self, batch, seed, step):
        """Mean of -log p(x | c), of sequences divided by the steps of the longest; as `Update`."""
        del step
        loss = -tf.reduce_mean(self.score(**batch, seed=seed))
        # Per step, so that one learning rate suits every length.
        return loss / tf.cast(tf.shape(batch["x"])[1], tf.float32) if self.space.sequence else loss, {}

    def updates(self):
        """Maximum likelihood."""
        return (Update("likelihood", self.objective, self.trainable_variables),)

    def sample_rows(self, seeds, temperature=1.0, given=None, mask=None, condition=None, length=None):
        """Draws one x for each seed.

        Args:
          seeds: int32 `[n, 2]`.
          temperature: Below 1 less varied; 0 takes the mode of each entry in turn.
          given: Values to keep, float32 `[n, *event_shape]`, or None.
          mask: bool `[n, *event_shape]`, True where `given` is kept; None with `given`.
          condition: `[n, *condition.shape]`, for a conditional model.
          length: For sequences, the number of steps, an int.

        Returns:
          float32 `[n, *event_shape]`.
        """
        return self.scan(seeds, temperature, given, mask, condition, length)["x"]

    def distribution(self, condition=None, length=None):
        """The model as a TFP distribution over its event shape.

        Args:
          condition: Tensor `[*batch_shape, *condition.shape]`, for a conditional model.
          length: Steps of an event, for a model of sequences; None for the model's `length`.
        """
        return ModelDistribution(self, condition, length, self.exact_sampling)

    def validation_metrics(self, batch, seed):
        """Nats; of levels also bits for each entry, of sequences nats of a step, which choose the best."""
        del seed
        nats = -self.score(**batch)
        scalars = {"loss": tf.reduce_mean(nats), "nats": tf.reduce_mean(nats)}
        if self.space.sequence:
            steps = batch.get("lengths", tf.fill(tf.shape(nats), tf.shape(batch["x"])[1]))
            per_step = tf.reduce_sum(nats) / tf.cast(tf.maximum(tf.reduce_sum(steps), 1), tf.float32)
            return scalars | {"loss": per_step, "nats_per_step": per_step}
        if self.values == "levels":
            entries = math.prod(self.event_shape)
            scalars["bits_per_dim"] = scalars["nats"] / (entries * math.log(2.0))
        return scalars

    def signatures(self):
        """Adds `complete` for x of a fixed shape: entries are kept where `mask` is 1, the others drawn."""
        served = super().signatures()
        if self.space.sequence:
            return served
        event = {n: tf.TensorSpec([None, *self.event_shape], tf.float32) for n in ("x", "mask")}
        more = {"seeds": tf.TensorSpec([None, 2], tf.int32)} | self.condition_spec()
        return served | {"complete": Signature(self._complete, event | more, self.example_text())}

    def _complete(self, x, mask, seeds, condition=None):
        given, mask = self.space.check_known(x, mask)
        more = {} if condition is None else {"condition": self.check_condition(condition)}
        return {"x": self.sample_rows(seeds, given=given, mask=mask, **more)}


def sum_entries(entries, lengths=None):
    """Sum over the entries `[batch, ...]`, float32 `[batch]`; with `lengths` over so many steps."""
    if lengths is not None:
        entries = tf.where(tf.sequence_mask(lengths, tf.shape(entries)[1]), entries, 0.0)
    return tf.reduce_sum(entries, axis=list(range(1, entries.shape.rank)))
