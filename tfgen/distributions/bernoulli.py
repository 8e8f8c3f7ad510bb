"""`Bernoulli`: TFP's, with floats as values and one softplus in its log_prob instead of two."""

import tensorflow as tf
import tensorflow_probability as tfp


class Bernoulli(tfp.distributions.Bernoulli):
    """P(x = 1) = sigmoid(logits), x a float 0. or 1.

    log p(x) = x logits - softplus(logits).

    Args:
      logits: Log odds of a one, any shape.
      dtype: Type of samples.
      validate_args: As everywhere in TFP.
      allow_nan_stats: As everywhere in TFP.
      name: Name of the distribution.
    """

    def __init__(
        self,
        logits,
        dtype=tf.float32,
        validate_args=False,
        allow_nan_stats=True,
        name="Bernoulli",
    ):
        parameters = dict(locals())
        super().__init__(
            logits=logits,
            dtype=dtype,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            name=name,
        )
        self._parameters = {k: v for k, v in parameters.items() if k not in ("self", "__class__")}

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        inherited = super()._parameter_properties(dtype, num_classes)
        return {"logits": inherited["logits"]}

    def _log_prob(self, x):
        logits = tf.convert_to_tensor(self.logits)
        return tf.cast(x, logits.dtype) * logits - tf.math.softplus(logits)
