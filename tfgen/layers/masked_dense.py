"""Dense layer that sees only what a mask shows it."""

import keras
import tensorflow as tf

from tfgen.keras_model import Layer


@keras.saving.register_keras_serializable("tfgen")
class MaskedDense(Layer):
    """x (W * mask) + b, `[batch, in] -> [batch, units]`, with a mask that is given to every call.

    The mask is part of the computation, not a constraint on the weights: hidden weights have no gradient, and
    one layer serves any number of masks.

    Args:
      units: Number of features that go out.
      use_bias: Add b.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      Germain, Gregor, Murray & Larochelle, "MADE: masked autoencoder for distribution estimation", ICML 2015,
      arXiv:1502.03509.
    """

    def __init__(self, units, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.units, self.use_bias = int(units), bool(use_bias)

    def build(self, input_shape):
        """Creates the kernel and, where asked, the bias."""
        self.kernel = self.add_weight((input_shape[-1], self.units), "glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias") if self.use_bias else None
        self.built = True

    def call(self, x, mask):
        """The product of `x` `[batch, in]` with the kernel where `mask` `[in, units]` is 1."""
        y = tf.matmul(x, tf.cast(self.kernel, self.compute_dtype) * tf.cast(mask, self.compute_dtype))
        return y if self.bias is None else y + tf.cast(self.bias, self.compute_dtype)
