"""Soft window of Graves: attention with which a recurrent network reads along a text by itself."""

import math

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.keras_model import Layer


@keras.saving.register_keras_serializable("tfgen")
class SoftWindow(Layer):
    """Attention by a mixture of Gaussians over the places of a text, which moves on and never back.

      (alpha, beta, move) = exp(W h_t + b),  kappa_t = kappa_{t-1} + move
      phi(t, u) = sum_k alpha_k exp(-beta_k (kappa_tk - u)^2),  w_t = sum_u phi(t, u) c_u,  u = 1 ... U

    Args:
      num_components: Number of Gaussians.
      symbols_per_step: How far the window moves in a step before it has learned to.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850, section 5.1.
    """

    def __init__(self, num_components, symbols_per_step=0.1, **kwargs):
        super().__init__(**kwargs)
        self.num_components = checks.whole("num_components", num_components)
        self.symbols_per_step = symbols_per_step

    def build(self, input_shape):
        """Creates the weights that read h `[n, features]`."""
        num = self.num_components
        self.kernel = self.add_weight((input_shape[-1], 3 * num), name="kernel")
        self.bias = self.add_weight((3 * num,), initializer="zeros", name="bias")
        self.bias.assign([0.0] * 2 * num + [math.log(self.symbols_per_step)] * num)
        self.built = True

    def start(self, num):
        """kappa before the first step, `[num, K]`."""
        return tf.zeros((num, self.num_components))

    def step(self, kappa, h, text, lengths):
        """Moves the window on and reads.

        Args:
          kappa: float32 `[n, K]`.
          h: What decides on the move, `[n, features]`.
          text: What is read, float32 `[n, U, symbols]`, zeros beyond the text's end.
          lengths: int32 `[n]`: the texts' lengths.

        Returns:
          kappa, the text seen `[n, symbols]`, and whether the window is past the end: bool `[n]`, where the
          place after the last symbol has more weight than each of the symbols.
        """
        kernel, bias = (tf.cast(w.value, tf.float32) for w in (self.kernel, self.bias))
        raw = tf.cast(h, tf.float32) @ kernel + bias
        alpha, beta, move = tf.split(tf.exp(raw), 3, axis=-1)
        kappa += move
        places = tf.range(1, tf.shape(text)[1] + 2)
        distance = kappa[..., None] - tf.cast(places, tf.float32)  # [n, K, U + 1]
        phi = tf.reduce_sum(alpha[..., None] * tf.exp(-beta[..., None] * tf.square(distance)), axis=1)
        seen = tf.linalg.matvec(text, phi[:, :-1], transpose_a=True)
        inside = tf.where(places[None] <= lengths[:, None], phi, 0.0)
        after = tf.reduce_sum(tf.where(places[None] == lengths[:, None] + 1, phi, 0.0), axis=1)
        return kappa, seen, after > tf.reduce_max(inside, axis=1)
