"""Causal self-attention over the pixels of an image: of images, and by pixel."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.keras_model import Layer


class PixelAttention(Layer):
    """h_i + O sum_{j <= i} softmax_j(q_i' k_j / sqrt(d)) v_j by heads, pixels in raster order.

    q, k and v are affine in h. Where h_i knows the pixels before i, what goes out does too, however far away
    they are; so it has a place in a stack of masked convolutions over images of one channel.

    Args:
      heads: Number of heads.
      image_size: (rows, columns).
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If the heads do not divide the features.

    References:
      Vaswani et al., 2017, arXiv:1706.03762. Chen, Mishra, Rohaninejad & Abbeel, "PixelSNAIL", 2018,
      arXiv:1712.09763.
    """

    def __init__(self, heads, image_size, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.image_size = checks.whole("attention_heads", heads), tuple(image_size)

    def build(self, input_shape):
        """Creates the affine maps of `[..., features]`."""
        self.units = input_shape[-1]
        if self.units % self.heads:
            raise ValueError(f"attention_heads must divide the {self.units} features, got {self.heads}.")
        self.queries = keras.layers.Dense(self.units, dtype=self.dtype_policy, name="queries")
        self.memories = keras.layers.Dense(2 * self.units, dtype=self.dtype_policy, name="memories")
        self.out = keras.layers.Dense(self.units, dtype=self.dtype_policy, name="out")
        for layer in (self.queries, self.memories, self.out):
            layer.build((None, self.units))
        self.built = True

    def call(self, h):
        """What goes out, `[B, rows, columns, features]` as `h`."""
        size = self.image_size[0] * self.image_size[1]
        flat = tf.reshape(h, (-1, size, self.units))
        memory = tf.transpose(self.memories(flat), (1, 0, 2))
        before = tf.linalg.band_part(tf.ones((size, size), tf.bool), -1, 0)
        read = self._attend(self.queries(flat), memory, before)
        return h + tf.reshape(read, tf.shape(h))

    def step(self, h, memory, valid):
        """One pixel.

        Args:
          h: Its features, `[n, features]`.
          memory: `memory_of` other pixels, `[pixels, n, 2 features]`.
          valid: bool `[pixels]`: which of them come before it.

        Returns:
          What goes out `[n, features]`, and the pixel's own memory `[n, 2 features]`.
        """
        own = self.memories(h)
        every = tf.concat([memory, own[None]], axis=0)
        valid = tf.concat([valid, [True]], axis=0)
        return h + self._attend(self.queries(h)[:, None], every, valid[None])[:, 0], own

    def _attend(self, queries, memory, valid):
        """`[n, pixels, features]` of queries `[n, pixels, features]`, memory of others, and who sees whom."""
        size = self.units // self.heads
        queries, keys, values = (
            tf.reshape(part, tf.concat([tf.shape(part)[:2], [self.heads, size]], axis=0))
            for part in (queries, *tf.split(memory, 2, axis=-1))
        )
        logits = tf.einsum("nqhd,mnhd->nhqm", queries, keys) * size**-0.5
        logits = tf.where(valid, tf.cast(logits, tf.float32), -1e30)
        weights = tf.cast(tf.nn.softmax(logits), self.compute_dtype)
        read = tf.einsum("nhqm,mnhd->nqhd", weights, values)
        return self.out(tf.reshape(read, tf.concat([tf.shape(read)[:2], [self.units]], 0)))
