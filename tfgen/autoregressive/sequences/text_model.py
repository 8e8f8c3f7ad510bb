"""What models of texts have in common: strings in, strings out."""

import numpy as np
import tensorflow as tf

from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.media.text import Vocabulary
from tfgen.model import Signature


class TextModel(SequenceModel):
    """p(x) of token sequences; with a vocabulary, prompts and samples are strings too.

    Args:
      event_shape: (None,).
      vocabulary: The symbols, or None for bare numbers.
      unit: What a token is: "character" or "word".
      num_values: Number of tokens; the vocabulary's where there is one.
      **kwargs: Passed on to `SequenceModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(
        self, event_shape=(None,), vocabulary=None, unit="character", num_values=None, **kwargs
    ):  # fmt: skip
        self.text = None if vocabulary is None else Vocabulary(tuple(vocabulary), unit)
        if self.text is not None and num_values not in (None, len(self.text)):
            raise ValueError(f"num_values={num_values}, but the vocabulary has {len(self.text)} symbols.")
        num_values = num_values or (2 if self.text is None else len(self.text))
        super().__init__(event_shape, num_values=num_values, **kwargs)
        self.kind = "numbers" if self.text is None else "text"

    def encode_prompt(self, prompt):
        """Tokens of a string; arrays pass through."""
        if not isinstance(prompt, str):
            return super().encode_prompt(prompt)
        if self.text is None:
            raise ValueError(f"{type(self).__name__} has no vocabulary: give prompt as numbers.")
        return np.array(self.text.encode(prompt), np.float32)

    def decode(self, x):
        """List of strings of samples `[num, T]`."""
        return [self.text.decode(row) for row in np.asarray(x)]

    def signatures(self):
        """Adds `continue`, from prompts to texts of `length` tokens, where there is a vocabulary."""
        served = super().signatures()
        if self.text is None or self.condition is not None:
            return served
        inputs = {"prompt": tf.TensorSpec([None], tf.string), "seeds": tf.TensorSpec([None, 2], tf.int32)}
        return served | {"continue": Signature(self._continue, inputs, self.text.example(self.length))}

    def _continue(self, prompt, seeds):
        tokens, steps = self.text.encode_graph(prompt)
        fits = tf.reduce_all((steps >= 1) & (steps <= self.length))
        message = f"a prompt must have 1 to {self.length} {self.text.unit}s"
        with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
            padded = tf.pad(tokens, [[0, 0], [0, self.length]], constant_values=-1)[:, : self.length]
        padded = tf.ensure_shape(padded, [None, self.length])
        x = self.sample_rows(seeds, given=tf.cast(tf.maximum(padded, 0), tf.float32), mask=padded >= 0)
        every = tf.fill([tf.shape(x)[0]], self.length)
        return {"text": tf.ensure_shape(self.text.decode_graph(tf.cast(x, tf.int32), every), [None])}
