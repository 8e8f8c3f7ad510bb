"""TFP distribution that a model with an exact density is, to be composed with any other."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import random as tfp_random

from tfgen import random


class ModelDistribution(tfd.Distribution):
    """Distribution whose `log_prob` and `sample` are those of a model with an exact density.

    It reads the model's weights whenever it is used, so gradients reach them.

    Args:
      model: GenerativeModel with density "exact".
      condition: Tensor `[*batch_shape, *condition.shape]`, for a conditional model.
      length: Steps of an event, for a model of sequences; None for the model's `length`.
      sampling: Further arguments of the model's `sample_rows`, of what makes samples follow the density.
      validate_args: Check values given to `log_prob`.
      allow_nan_stats: As in TFP.
      name: As in TFP.
    """

    def __init__(
        self,
        model,
        condition=None,
        length=None,
        sampling=None,
        validate_args=False,
        allow_nan_stats=True,
        name=None,
    ):
        parameters = dict(locals())
        self._model = model
        self._condition = None if condition is None else model.condition.encode(condition)
        self._steps = {} if model.event_shape[0] is not None else {"length": length or model.length}
        self._shape = model.space.shape_of(self._steps.get("length"))
        self._sampling = self._steps | (sampling or {})
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name or f"{type(model).__name__}Distribution",
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return tf.TensorShape(self._shape)

    def _event_shape_tensor(self):
        return tf.constant(self._shape, tf.int32)

    def _batch_shape(self):
        if self._condition is None:
            return tf.TensorShape([])
        return self._condition.shape[: self._condition.shape.rank - len(self._model.condition.shape)]

    def _batch_shape_tensor(self):
        if self._condition is None:
            return tf.constant([], tf.int32)
        shape = tf.shape(self._condition)
        return shape[: self._condition.shape.rank - len(self._model.condition.shape)]

    def _conditions(self, leading):
        """The condition for each of the rows that `leading` counts, as keyword arguments of the model."""
        if self._condition is None:
            return {}
        batch_rank = self._condition.shape.rank - len(self._model.condition.shape)
        each = tf.shape(self._condition)[batch_rank:]
        conditions = tf.broadcast_to(self._condition, tf.concat([leading, each], 0))
        conditions = tf.reshape(conditions, tf.concat([[-1], each], 0))
        return {"condition": tf.ensure_shape(conditions, [None, *self._condition.shape[batch_rank:]])}

    def _log_prob(self, x):
        event = self._shape
        leading = tf.broadcast_dynamic_shape(tf.shape(x)[: -len(event)], self._batch_shape_tensor())
        rows = tf.reshape(tf.broadcast_to(x, tf.concat([leading, event], 0)), (-1, *event))
        log_prob = self._model.log_prob if self.validate_args else self._model.score
        return tf.reshape(log_prob(rows, **self._conditions(leading)), leading)

    def draw_by(self, seed, sample_shape, temperature):
        """Draws by the model's sampler, as `tfgen.distributions.draw.DrawsItself`."""
        shape = tf.concat([tf.convert_to_tensor(sample_shape, tf.int32), self._batch_shape_tensor()], 0)
        rest = shape[seed.shape.rank - 1 :]
        seeds = tf.reshape(random.fold_in(seed[..., None, :], tf.range(tf.reduce_prod(rest))), [-1, 2])
        # Not every model has a temperature.
        warmth = {} if isinstance(temperature, float) and temperature == 1.0 else {"temperature": temperature}
        rows = self._model.sample_rows(seeds, **self._conditions(shape), **self._sampling, **warmth)
        return tf.reshape(rows, tf.concat([shape, self._shape], 0))

    def _sample_n(self, n, seed=None):
        leading = tf.concat([[n], self._batch_shape_tensor()], 0)
        seed, num = tfp_random.sanitize_seed(seed), tf.reduce_prod(leading)
        if tf.inside_function():
            # Not `sample`, which may compile itself: the caller decides, and an export must not hold XLA.
            seeds = random.rows(seed, num)
            rows = self._model.sample_rows(seeds, **self._conditions(leading), **self._sampling)
        else:
            rows = self._model.sample(num, seed=seed, **self._conditions(leading), **self._sampling)
        return tf.reshape(rows, tf.concat([leading, self._shape], 0))
