"""Autoregressive network over the entries of a vector: outputs for z_j read z_1 ... z_(j-1) only."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.keras_model import Layer
from tfgen.layers.masked_dense import MaskedDense


@keras.saving.register_keras_serializable("tfgen")
class MaskedMLP(Layer):
    """One hidden layer, masked so that the outputs of entry j see those before it alone.

    `[..., d] -> [..., d, outputs]`, out = W2 tanh(W1 z + V1 h + b1) + V2 h + b2 with masked W1 and W2; a
    context h reaches every output.

    Args:
      outputs: Outputs for each entry.
      hidden: Number of hidden units.
      context: Size of the context; 0 without one.
      last_initializer: Of W2 and V2, "glorot_uniform" or "zeros".
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      Germain, Gregor, Murray & Larochelle, "MADE: masked autoencoder for distribution estimation", ICML 2015,
      arXiv:1502.03509.
    """

    def __init__(self, outputs, hidden, context=0, last_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.outputs, self.hidden, self.context = outputs, hidden, context
        self.last_initializer = last_initializer

    def build(self, input_shape):
        """Makes the weights for z of the shape `input_shape`, `(batch, d)`."""
        size = input_shape[-1]
        place, degree = np.arange(size), np.arange(self.hidden) % max(1, size - 1)
        self.size = size
        self.masks = (
            (place[:, None] <= degree).astype(np.float32),
            np.repeat((degree[:, None] < place).astype(np.float32), self.outputs, axis=1),
        )
        self.first = MaskedDense(self.hidden, dtype=self.dtype_policy)
        self.first.build((None, size))
        self.last = MaskedDense(size * self.outputs, dtype=self.dtype_policy)
        self.last.build((None, self.hidden))
        if self.last_initializer == "zeros":
            self.last.kernel.assign(tf.zeros_like(self.last.kernel))
        self.told = []
        if self.context:
            self.told = [
                keras.layers.Dense(self.hidden, use_bias=False),
                keras.layers.Dense(
                    size * self.outputs, use_bias=False, kernel_initializer=self.last_initializer
                ),
            ]
            for layer in self.told:
                layer.build((None, self.context))
        self.built = True

    def call(self, z, context=None):
        """The outputs, `[..., d, outputs]`.

        Args:
          z: `[..., d]`.
          context: `[batch, context]`, of the last of z's leading axes; None without one.
        """
        # One matrix: a product with a broadcast right-hand side gives garbage (oneDNN, TensorFlow 2.21).
        rows = tf.shape(z)[:-1]
        first, last = 0.0, 0.0
        if context is not None:
            first, last = (layer(context) for layer in self.told)
        hidden = self.first(tf.reshape(z, [-1, self.size]), self.masks[0])
        hidden = tf.tanh(tf.reshape(hidden, tf.concat([rows, [self.hidden]], axis=0)) + first)
        out = self.last(tf.reshape(hidden, [-1, self.hidden]), self.masks[1])
        width = self.size * self.outputs
        out = tf.reshape(out, tf.concat([rows, [width]], axis=0)) + last
        return tf.reshape(out, tf.concat([rows, [self.size, self.outputs]], axis=0))
