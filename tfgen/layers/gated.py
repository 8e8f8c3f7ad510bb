"""The gated activation unit of PixelCNN and WaveNet."""

import tensorflow as tf


def gated(features):
    """tanh(a) * sigmoid(b) of `[..., 2 n]`, a the first half of the features and b the second: `[..., n]`.

    References:
      van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016, arXiv:1606.05328,
      equation 2.
    """
    a, b = tf.split(features, 2, axis=-1)
    return tf.tanh(a) * tf.sigmoid(b)
