"""The network of a recurrent language model: an embedding, recurrent layers, logits."""

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.levels import outputs_per_entry, shape_logits
from tfgen.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable("tfgen")
class TokenRNN(keras.layers.Layer):
    """From tokens to the logits of the next ones.

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
        super().__init__(**{"autocast": False} | kwargs)
        self.num_values, self.embedding = num_values, checks.whole("embedding", embedding)
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}.")
        self.dropout = dropout
        self.recurrent = Recurrent(cell, units, layers, dtype=self.dtype_policy)
        self.head = keras.layers.Dense(outputs_per_entry(num_values), dtype=self.dtype_policy)

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
        """Logits of all steps.

        Args:
          x: Tokens as floats, `[B, T]`.
          seed: int32 [2]: drop features out as in training; None does not.

        Returns:
          float32 `[B, T]` for two tokens, `[B, T, num_values]` for more.
        """
        return shape_logits(self.head(self.hidden(x, seed=seed)), (None,), self.num_values)

    def hidden(self, x, state=None, seed=None):
        """The layers' outputs `[B, T, units]` from which the logits of x `[B, T]` are made.

        Args:
          x: Tokens as floats.
          state: The layers' states before the first step; None for zeros.
          seed: As for a call.
        """
        before = tf.pad(tf.cast(x, tf.int32)[:, :-1] + 1, [[0, 0], [1, 0]])[:, : tf.shape(x)[1]]
        seeds = (None, None) if seed is None else random.split(seed)
        h = self.drop(tf.gather(self.table.value, before), seeds[0])
        return self.drop(self.recurrent.sequence(h, state)[0], seeds[1])

    def start(self, num):
        """The layers' states before the first step."""
        return self.recurrent.start(num)

    def advance(self, state, before):
        """The states after the token `before` `[n]` (-1 before the first), and the next one's logits."""
        state, h = self.step(state, before)
        logits = tf.cast(self.head(h), tf.float32)
        return state, logits[:, 0] if self.num_values == 2 else logits

    def step(self, state, before):
        """The states after the token `before` `[n]`, and the layers' outputs `[n, units]`."""
        return self.recurrent.step(state, tf.gather(self.table.value, tf.cast(before, tf.int32) + 1))

    def drop(self, h, seed):
        """Features h with a share set to zero and the others scaled up; as they are without a seed."""
        if seed is None or not self.dropout:
            return h
        kept = random.bernoulli(seed, tf.fill(tf.shape(h), 1.0 - self.dropout))
        return h * tf.cast(kept / (1.0 - self.dropout), h.dtype)

    def get_config(self):
        """The constructor's arguments."""
        inner = self.recurrent
        return super().get_config() | {
            "num_values": self.num_values, "cell": inner.cell, "units": inner.units,
            "layers": inner.num_layers, "embedding": self.embedding, "dropout": self.dropout,
        }  # fmt: skip
