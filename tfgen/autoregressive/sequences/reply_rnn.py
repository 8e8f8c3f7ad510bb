"""Encoder and decoder of a dialogue model, with attention from the reply to the history."""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.autoregressive.sequences.token_rnn import TokenRNN
from tfgen.keras_model import Layer
from tfgen.layers.recurrent import Recurrent
from tfgen.space import text_lengths


@keras.saving.register_keras_serializable("tfgen")
class ReplyRNN(Layer):
    """Attention network from a history and the tokens of a reply to the logits of the reply's next tokens.

    The encoder's states at the tokens of the history are s_1, ..., s_U; its last state begins the decoder,
    whose outputs are h_t. Then a_tj = softmax_j(h_t^T W_a s_j), c_t = sum_j a_tj s_j and the logits are
    V tanh(W_c [c_t; h_t] + b) + d: Luong's global attention of the kind "general". Histories and replies
    share their embedding.

    Args:
      num_values: Number of tokens.
      cell: "lstm" or "gru".
      units: Size of each layer's state, of the encoder and of the decoder.
      layers: Number of recurrent layers of each.
      embedding: Features that a token is read as.
      dropout: Share of the embeddings' and the outputs' features that training sets to zero.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Luong, Pham & Manning, "Effective approaches to attention-based neural machine translation", 2015,
      arXiv:1508.04025.
    """

    def __init__(self, num_values, cell, units, layers, embedding, dropout=0.0, **kwargs):
        # Tokens stay float32: bfloat16 knows whole numbers up to 256 only.
        super().__init__(autocast=False, **kwargs)
        self.decoder = TokenRNN(num_values, cell, units, layers, embedding, dropout, dtype=self.dtype_policy)
        self.encoder = Recurrent(cell, units, layers, dtype=self.dtype_policy)
        self.query = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy)
        self.combine = keras.layers.Dense(units, "tanh", dtype=self.dtype_policy)

    def build(self, input_shape=None):
        """Creates the weights."""
        self.decoder.build()
        self.encoder.build((None, None, self.decoder.embedding))
        self.query.build((None, self.encoder.units))
        self.combine.build((None, 2 * self.encoder.units))
        self.built = True

    def read(self, history, seed=None):
        """Histories as the decoder knows them.

        Args:
          history: int32 `[B, U]`; what follows its first 0 is no part of it.
          seed: As for a call.

        Returns:
          The encoder's last state, and the pair of its outputs `[B, U + 1, units]` and which of them count.
        """
        # One column more, so that a history without tokens has something to give no weight to.
        history = tf.pad(history, [[0, 0], [0, 1]])
        lengths = text_lengths(history)
        h = self.decoder.drop(tf.gather(self.decoder.table.value, history + 1), seed)
        outputs, state = self.encoder.sequence(h, lengths=lengths)
        return state, (outputs, tf.sequence_mask(lengths, tf.shape(history)[1]))

    def weights_on(self, h, memory):
        """The weights a `[B, T, U + 1]` with which outputs h `[B, T, units]` look at a history's."""
        outputs, counts = memory
        scores = tf.matmul(self.query(h), tf.cast(outputs, self.compute_dtype), transpose_b=True)
        counts = counts[:, None]
        weights = tf.nn.softmax(tf.where(counts, tf.cast(scores, tf.float32), -1e9))
        return tf.where(counts, weights, 0.0)

    def attend(self, h, memory):
        """The features `[B, T, units]` from which the logits are made: h and what it finds in a history."""
        weights = tf.cast(self.weights_on(h, memory), self.compute_dtype)
        context = tf.matmul(weights, tf.cast(memory[0], self.compute_dtype))
        return self.combine(tf.concat([context, tf.cast(h, self.compute_dtype)], axis=-1))

    def call(self, x, history, seed=None):
        """Raw outputs of all steps.

        Args:
          x: Tokens of replies as floats, `[B, T]`.
          history: int32 `[B, U]`.
          seed: int32 [2]: drop features out as in training; None does not.

        Returns:
          float32 `[B, T, num_values]`.
        """
        seeds = (None,) * 3 if seed is None else random.split(seed, 3)
        state, memory = self.read(history, seeds[0])
        h = self.attend(self.decoder.hidden(x, state, seeds[1]), memory)
        return self.decoder.outputs(self.decoder.drop(h, seeds[2]))

    def start(self, history):
        """The state before the first step: the decoder's, and what it attends to."""
        return self.read(history)

    def advance(self, state, before):
        """The state after the token `before` `[n]` (-1 before the first), and the next one's raw outputs."""
        inner, memory = state
        inner, h = self.decoder.step(inner, before)
        return (inner, memory), self.decoder.outputs(self.attend(h[:, None], memory)[:, 0])
