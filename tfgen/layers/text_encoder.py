"""Encoder of texts: each word with what stands before and after it."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.keras_model import Layer
from tfgen.layers.recurrent import RecurrentLayer
from tfgen.space import text_lengths


@keras.saving.register_keras_serializable("tfgen")
class TextEncoder(Layer):
    """Bidirectional LSTM over the words of a text: k_u = [forward_u, backward_u].

    Args:
      num_words: Number of words; word 0 ends a text and fills it up.
      embedding: Size of the vector that stands for a word.
      units: Units of each direction.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If a size is not positive.

    References:
      Schuster & Paliwal, "Bidirectional recurrent neural networks", 1997.
    """

    def __init__(self, num_words, embedding, units, **kwargs):
        super().__init__(**kwargs)
        self.num_words = checks.whole("num_words", num_words)
        self.embedding = checks.whole("embedding", embedding)
        self.units = checks.whole("units", units)
        self.forward = RecurrentLayer("lstm", units, dtype=self.dtype_policy, name="forward")
        self.backward = RecurrentLayer("lstm", units, dtype=self.dtype_policy, name="backward")

    def build(self, input_shape=None):
        """Creates the vectors of the words and the weights of both directions."""
        self.vectors = self.add_weight(
            (self.num_words, self.embedding), keras.initializers.RandomNormal(stddev=1.0), name="vectors"
        )
        self.forward.build((None, None, self.embedding))
        self.backward.build((None, None, self.embedding))
        self.built = True

    def call(self, tokens):
        """The words of texts with their context.

        Args:
          tokens: int32 `[batch, U]`, zeros behind each text.

        Returns:
          float32 `[batch, U, 2 units]`, and bool `[batch, U]`, where there is a word.
        """
        lengths = text_lengths(tokens)
        x = tf.gather(tf.convert_to_tensor(self.vectors.value), tokens)
        forward, _ = self.forward.sequence(x, lengths=lengths)
        backward, _ = self.backward.sequence(tf.reverse_sequence(x, lengths, seq_axis=1), lengths=lengths)
        words = tf.concat([forward, tf.reverse_sequence(backward, lengths, seq_axis=1)], axis=-1)
        return words, tf.sequence_mask(lengths, tf.shape(tokens)[1])
