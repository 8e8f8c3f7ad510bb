"""What all models that generate an image pixel by pixel have in common."""

import abc
import math
import numbers

import tensorflow as tf

from tfgen.distributions.model_distribution import ModelDistribution
from tfgen.model import GenerativeModel, Signature, Update


class PixelModel(GenerativeModel):
    """p(x) = prod p(x_i | x_<i) over the entries of an image: rows, then columns, then color channels.

    A subclass gives `logits` and a `sample_rows` that takes `temperature`, `given` and `mask`.

    Args:
      event_shape: (rows, columns, channels).
      num_values: Number of levels of an entry; 2 for binary images.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    density = "exact"
    jit_updates = False
    jit_sampler = True

    def __init__(self, event_shape, num_values=2, **kwargs):
        super().__init__(event_shape, **kwargs)
        if len(self.event_shape) != 3 or None in self.event_shape:
            raise ValueError(f"event_shape must be (rows, columns, channels), got {event_shape!r}.")
        require_whole("num_values", num_values, at_least=2)
        self.num_values = int(num_values)

    @abc.abstractmethod
    def logits(self, x):
        """Logits of each entry given those before it: `[batch, *event_shape]`, one for two levels.

        With more than two levels, `[batch, *event_shape, num_values]`.
        """

    def score(self, x, condition=None):
        """log p(x) of unchecked levels `x` `[batch, *event_shape]`: float32 `[batch]`, in nats."""
        del condition
        logits = self.logits(x)
        if self.num_values == 2:
            nats = tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
        else:
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(x, tf.int32), logits)
        return -tf.reduce_sum(nats, axis=(1, 2, 3))

    def distribution(self):
        """The model as a TFP distribution over `event_shape`."""
        return ModelDistribution(self)

    def updates(self):
        """Maximum likelihood."""
        return (Update("likelihood", self._negative_log_likelihood, self.trainable_variables),)

    def _negative_log_likelihood(self, batch, seed, step):
        del seed, step
        return -tf.reduce_mean(self.score(batch["x"])), {}

    def validation_metrics(self, batch, seed):
        """Nats and bits for each entry of x."""
        scalars = super().validation_metrics(batch, seed)
        entries = math.prod(self.event_shape)
        return scalars | {"bits_per_dim": scalars["nats"] / (entries * math.log(2.0))}

    def signatures(self):
        """Adds `complete`: known entries of x are kept where `mask` is 1, the others drawn."""
        image = {n: tf.TensorSpec([None, *self.event_shape], tf.float32, name=n) for n in ("x", "mask")}
        seeds = {"seeds": tf.TensorSpec([None, 2], tf.int32, name="seeds")}
        return super().signatures() | {"complete": Signature(self._complete, image | seeds)}

    def _complete(self, x, mask, seeds):
        given, mask = self.check_known(x, mask)
        return {"x": self.sample_rows(seeds, given=given, mask=mask)}


def require_whole(name, value, at_least=1, odd=False):
    """Raises ValueError unless `value` is a whole number that is large enough, and odd where asked."""
    kind = f"{'an odd' if odd else 'a'} whole number of at least {at_least}"
    integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integral or value < at_least or (odd and value % 2 == 0):
        raise ValueError(f"{name} must be {kind}, got {value!r}.")
