"""What all autoregressive models have in common: an exact density, trained by maximum likelihood."""

import abc
import math

import tensorflow as tf

from tfgen import checks
from tfgen.distributions.model_distribution import ModelDistribution
from tfgen.model import GenerativeModel, Signature, Update


class ExactModel(GenerativeModel):
    """p(x) = prod_i p(x_i | x_<i), whose `score` is exact and `sample_rows` incremental."""

    density = "exact"

    def distribution(self, condition=None, length=None):
        """The model as a TFP distribution over its event shape.

        Args:
          condition: Tensor `[*batch_shape, *condition.shape]`, for a conditional model.
          length: Steps of an event, for a model of sequences; None for the model's `length`.
        """
        return ModelDistribution(self, condition, length)

    def updates(self):
        """Maximum likelihood."""
        return (Update("likelihood", self._negative_log_likelihood, self.trainable_variables),)

    def _negative_log_likelihood(self, batch, seed, step):
        del seed, step
        return -tf.reduce_mean(self.score(**batch)), {}


class LevelModel(ExactModel):
    """p(x | c) = prod p(x_i | x_<i, c) over the entries of an x of a fixed shape, each one of some levels.

    A subclass gives `score` and `scan`, or a `sample_rows` of its own.

    Args:
      event_shape: Shape of one x.
      num_values: Number of levels of an entry; 2 for binary x.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    jit_sampler = True

    def __init__(self, event_shape, num_values=2, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.num_values = checks.whole("num_values", num_values, at_least=2)

    @abc.abstractmethod
    def scan(self, seeds, temperature=1.0, given=None, mask=None, condition=None, with_logits=False):
        """`sample_rows` as {"x": events}, and {"logits": what they were drawn from} where asked.

        The logits are not divided by the temperature: they are `logits` of the events, computed entry by
        entry.
        """

    def sample_rows(self, seeds, temperature=1.0, given=None, mask=None, condition=None):
        """Draws one x for each seed.

        Args:
          seeds: int32 `[n, 2]`.
          temperature: Divides the logits; 0 takes the most probable value of each entry in turn.
          given: Levels to keep, float32 `[n, *event_shape]`, or None.
          mask: bool `[n, *event_shape]`, True where `given` is kept; None with `given`.
          condition: `[n, *condition.shape]`, for a conditional model.

        Returns:
          float32 `[n, *event_shape]`.
        """
        return self.scan(seeds, temperature, given, mask, condition)["x"]

    def validation_metrics(self, batch, seed):
        """Nats and bits for each entry of x."""
        scalars = super().validation_metrics(batch, seed)
        entries = math.prod(self.event_shape)
        return scalars | {"bits_per_dim": scalars["nats"] / (entries * math.log(2.0))}

    def signatures(self):
        """Adds `complete`: known entries of x are kept where `mask` is 1, the others drawn."""
        event = {n: tf.TensorSpec([None, *self.event_shape], tf.float32) for n in ("x", "mask")}
        more = {"seeds": tf.TensorSpec([None, 2], tf.int32)} | self.condition_spec()
        return super().signatures() | {"complete": Signature(self._complete, event | more)}

    def _complete(self, x, mask, seeds, condition=None):
        given, mask = self.space.check_known(x, mask)
        more = {} if condition is None else {"condition": self.check_condition(condition)}
        return {"x": self.sample_rows(seeds, given=given, mask=mask, **more)}
