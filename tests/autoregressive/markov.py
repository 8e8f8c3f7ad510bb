"""A sequence model whose every number is known: a Markov chain with given logits."""

import numpy as np
import tensorflow as tf

from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.distributions.laws import Levels
from tfgen.media.text import tokens_of

# Row i + 1 holds the logits after level i; row 0 those of the first step.
LOGITS = np.array([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5], [-1.0, 0.3, 0.0], [0.1, 0.2, -3.0]], np.float32)


class Markov(SequenceModel):
    """p(x) = prod_t softmax(LOGITS[x_{t-1} + 1])[x_t], plus a trainable shift of the levels."""

    def __init__(
        self, event_shape=(None,), length=100, vocabulary=None, unit="character", num_values=3, **kwargs
    ):
        codec, num_values = tokens_of(vocabulary, unit, num_values)
        super().__init__(event_shape, Levels(num_values), length, codec, **kwargs)
        self.shift = self.add_weight(shape=(3,), initializer="zeros", name="shift")

    def raw(self, x, condition=None, seed=None):
        before = tf.pad(tf.cast(x, tf.int32)[:, :-1] + 1, [[0, 0], [1, 0]])
        return tf.gather(LOGITS, before) + self.shift.value

    def start(self, num, condition=None):
        return tf.zeros([num, 0])

    def advance(self, state, before):
        return state, tf.gather(LOGITS, tf.cast(before, tf.int32) + 1) + self.shift.value


class Mortal(Markov):
    """The same chain, whose sequences end with the first 2: what follows is 0."""

    def start(self, num, condition=None):
        return tf.zeros([num], tf.bool)

    def advance(self, state, before):
        return state | (before == 2.0), super().advance(None, before)[1]

    def ended(self, state):
        return state


def log_prob(x):
    """log p of sequences `[n, T]`, in NumPy and step by step."""
    total = np.zeros(len(x))
    for row, sequence in enumerate(np.asarray(x, int)):
        before = -1
        for level in sequence:
            logits = LOGITS[before + 1].astype(np.float64)
            total[row] += logits[level] - np.logaddexp.reduce(logits)
            before = level
    return total
