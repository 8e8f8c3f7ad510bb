"""Recurrent network over tokens: an embedding, LSTM or GRU layers, logits."""

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.distributions.laws import Levels
from tfgen.keras_model import Layer
from tfgen.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable("tfgen")
class TokenRNN(Layer):
    """Recurrent network from tokens to the raw outputs of the next ones, as the law `Levels` reads them.

    h_t = cell(h_{t-1}, E x_{t-1}), raw_t = V h_t + b.

    Args:
      num_values: Number of tokens.
      cell: "lstm" or "gru".
      units: Size of each layer's state.
      layers: Number of recurrent layers.
      embedding: Features that a token is read as.
      dropout: Share of the embeddings' and the outputs' features that training sets to zero.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, num_values, cell, units, layers, embedding, dropout=0.0, **kwargs):
        # Tokens stay float32: bfloat16 knows whole numbers up to 256 only.
        super().__init__(autocast=False, **kwargs)
        self.num_values, self.embedding = num_values, checks.whole("embedding", embedding)
        self.dropout = checks.number("dropout", dropout, at_least=0, below=1)
        self.recurrent = Recurrent(cell, units, layers, dtype=self.dtype_policy)
        self.head = keras.layers.Dense(Levels(num_values).size, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        """Creates the weights."""
        # Row 0 stands for what comes before the first token.
        shape = (self.num_values + 1, self.embedding)
        initializer = keras.initializers.RandomUniform(-0.1, 0.1)
        self.table = self.add_weight(shape, initializer=initializer, name="table")
        self.recurrent.build((None, None, self.embedding))
        self.head.build((None, self.recurrent.units))
        self.built = True

    def call(self, x, seed=None):
        """Raw outputs of all steps.

        Args:
          x: Tokens as floats, `[B, T]`.
          seed: int32 [2]: drop features out as in training; None does not.

        Returns:
          float32 `[B, T, size]`, size being 1 for two tokens and `num_values` for more.
        """
        return self.outputs(self.hidden(x, seed=seed))

    def outputs(self, h):
        """Raw outputs, float32 `[..., size]`, of the layers' outputs `[..., units]`."""
        return tf.cast(self.head(h), tf.float32)

    def hidden(self, x, state=None, seed=None):
        """The layers' outputs `[B, T, units]` from which the raw outputs of x `[B, T]` are made.

        Args:
          x: Tokens as floats.
          state: The layers' states before the first step; None for zeros.
          seed: As for a call.
        """
        before = tf.pad(tf.cast(x, tf.int32)[:, :-1] + 1, [[0, 0], [1, 0]])[:, : tf.shape(x)[1]]
        first, second = (None, None) if seed is None else random.split(seed)
        h = self.drop(tf.gather(self.table.value, before), first)
        return self.drop(self.recurrent.sequence(h, state)[0], second)

    def start(self, num):
        """The layers' states before the first step."""
        return self.recurrent.start(num)

    def advance(self, state, before):
        """The states after the token `before` `[n]` (-1 before the first), and the next one's raw outputs."""
        state, h = self.step(state, before)
        return state, self.outputs(h)

    def step(self, state, before):
        """The states after the token `before` `[n]`, and the layers' outputs `[n, units]`."""
        return self.recurrent.step(state, tf.gather(self.table.value, tf.cast(before, tf.int32) + 1))

    def drop(self, h, seed):
        """Features h with a share set to zero and the others scaled up; as they are without a seed."""
        if seed is None or not self.dropout:
            return h
        kept = random.bernoulli(seed, tf.fill(tf.shape(h), 1.0 - self.dropout))
        return h * tf.cast(kept / (1.0 - self.dropout), h.dtype)
