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

    def sample(self, num, condition=None, seed=None, temperature=1.0, given=None, mask=None):
        """Draws `num` images, or completes given ones.

        Unknown entries are drawn in raster order from their conditionals given all entries before them, known
        or drawn; what is known behind an entry does not influence it.

        Args:
          num: Number of images.
          condition: None.
          seed: Python int or int32 [2]; None draws a fresh one.
          temperature: Divides the logits; 0 takes the most probable value of each entry in turn.
          given: Levels of the known entries, `event_shape` or `[num, *event_shape]`.
          mask: 1 where `given` is known, 0 where not, of the shape of `given`; its last axis may be 1.

        Returns:
          float32 `[num, *event_shape]`.

        Raises:
          ValueError: If an argument does not fit.
        """
        if not tf.is_tensor(temperature) and not 0.0 <= temperature < math.inf:
            raise ValueError(f"temperature must be finite and not negative, got {temperature!r}.")
        kwargs = {"temperature": tf.cast(temperature, tf.float32)}
        if (given is None) != (mask is None):
            missing = "given" if given is None else "mask"
            raise ValueError(f"given and mask go together, got {missing}=None.")
        if given is not None:
            shape = [num, *self.event_shape]
            known = (_broadcast(given, shape, "given"), _broadcast(mask, shape, "mask"))
            kwargs["given"], kwargs["mask"] = self.check_known(*known)
        return super().sample(num, condition, seed, **kwargs)

    def check_known(self, given, mask):
        """`given` with zeros where it is unknown, and `mask` as bool.

        Raises:
          ValueError: If known values or the mask do not fit; in a graph, InvalidArgumentError.
        """
        mask = tf.cast(mask, tf.float32)
        message = f"{type(self).__name__}: mask must hold 0 and 1"
        binary = tf.reduce_all((mask == 0.0) | (mask == 1.0))
        if tf.executing_eagerly() and not bool(binary):
            raise ValueError(f"{message}, got {float(mask[(mask != 0.0) & (mask != 1.0)][0]):g}.")
        with tf.control_dependencies([tf.debugging.Assert(binary, [message])]):
            mask = mask > 0.5
        return self.check_x(tf.where(mask, tf.cast(given, tf.float32), 0.0), "given"), mask

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


def _broadcast(x, shape, name):
    x = tf.convert_to_tensor(x)
    x = x[None] if x.shape.rank == len(shape) - 1 else x
    if x.shape.rank != len(shape) or not x.shape[1:-1].is_compatible_with(shape[1:-1]):
        raise ValueError(f"{name} must have shape {shape[1:]} or {shape}, got {x.shape}.")
    try:
        return tf.broadcast_to(x, shape)
    except tf.errors.InvalidArgumentError:
        raise ValueError(f"{name} must have shape {shape[1:]} or {shape}, got {x.shape}.") from None
