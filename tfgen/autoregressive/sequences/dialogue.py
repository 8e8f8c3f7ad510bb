"""DialogueModel: replies to a history of turns."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.sequences.beam import beam_search
from tfgen.autoregressive.sequences.chat import chat
from tfgen.autoregressive.sequences.reply_rnn import ReplyRNN
from tfgen.autoregressive.sequences.text_model import TextModel
from tfgen.autoregressive.sequences.token_rnn import TokenRNN
from tfgen.media.text import END, TURN, UNKNOWN, Vocabulary
from tfgen.model import Condition, Signature

_SPECIAL = (END, TURN, UNKNOWN)
_METHODS = ("beam", "greedy", "sample")
# Log-odds of any other token after the end: e^-50 is nothing in float32, and still a number.
_NEVER = -50.0


@keras.saving.register_keras_serializable("tfgen")
class DialogueModel(TextModel):
    """Sequence to sequence with attention, as a conversational model (Vinyals & Le 2015).

    p(x | history) = prod_t p(x_t | x_<t, history), token by token, where token 0 ends the reply and is
    followed by itself alone: the probabilities of all replies that end within L tokens and of all unfinished
    ones of L tokens add up to 1. With `lengths` only so many tokens count: those up to the end, or those of
    an unfinished reply. `ReplyRNN` says how the history is read.

    As strings, the turns of a history are set apart by "<turn>".

    Args:
      event_shape: (None,): tokens of a reply as floats.
      condition: "text" for replies to a history, "none" for a language model of replies alone.
      cell: "lstm" or "gru".
      units: Size of each layer's state, of the encoder and of the decoder.
      layers: Number of recurrent layers of each.
      embedding: Features that a token is read as, in histories and replies.
      dropout: Share of the embeddings' and the outputs' features that training sets to zero.
      memory: Most tokens of a history.
      turns: Most turns of a history that a chat keeps.
      length: Most tokens of a reply, unless it is said.
      vocabulary: The words; the first three are "<end>", "<turn>" and "<unknown>".
      unit: What a token is: "word".
      num_values: Number of tokens; the vocabulary's where there is one.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Vinyals & Le, "A neural conversational model", 2015, arXiv:1506.05869. Sutskever, Vinyals & Le,
      "Sequence to sequence learning with neural networks", 2014, arXiv:1409.3215.
    """

    def __init__(
        self, event_shape=(None,), condition="text", cell="lstm", units=128, layers=1, embedding=64,
        dropout=0.0, memory=60, turns=3, length=30, vocabulary=None, unit="word", num_values=None, **kwargs,
    ):  # fmt: skip
        if vocabulary is None:
            num_values = checks.whole("num_values", 3 if num_values is None else num_values, at_least=3)
        elif tuple(vocabulary)[:3] != _SPECIAL:
            first = ", ".join(map(str, tuple(vocabulary)[:3]))
            raise ValueError(f"vocabulary must begin with {', '.join(_SPECIAL)}, got {first}.")
        unit = checks.one_of("unit", unit, ("word",))
        super().__init__(
            event_shape, vocabulary=vocabulary, unit=unit, num_values=num_values, length=length, **kwargs
        )
        self.memory, self.turns = checks.whole("memory", memory), checks.whole("turns", turns)
        conditional = checks.one_of("condition", condition, ("text", "none")) == "text"
        self.condition = (
            Condition("text", (None,), self.num_values, self.text and Histories(self.text), self.memory)
            if conditional
            else None
        )
        network = ReplyRNN if conditional else TokenRNN
        self.network = network(
            self.num_values, cell, units, layers, embedding, dropout, dtype=self.dtype_policy
        )
        self.network.build()
        self.dropout = dropout

    def logits(self, x, condition=None, seed=None):
        """Logits of all steps of x `[batch, T]`; with a seed, of a network with features dropped out."""
        logits = self.network(x, seed) if condition is None else self.network(x, condition, seed)
        return self._after_end(logits, _has_ended(x))

    def start(self, num, condition=None):
        """The network's state, and whether the reply has ended."""
        inner = self.network.start(num if condition is None else condition)
        return inner, tf.zeros([num], tf.bool)

    def advance(self, state, before):
        """The state after the token `before`, and the logits of the next one."""
        inner, ended = state
        ended |= before == 0.0
        inner, logits = self.network.advance(inner, before)
        return (inner, ended), self._after_end(logits, ended)

    def _after_end(self, logits, ended):
        return tf.where(ended[..., None], tf.one_hot(0, self.num_values, 0.0, _NEVER), logits)

    def scan(
        self, seeds, length=None, temperature=1.0, given=None, mask=None, condition=None, with_logits=False
    ):  # fmt: skip
        """As `SequenceModel.scan`; nothing but ends follows the end, whatever the temperature."""
        drawn = super().scan(seeds, length, temperature, given, mask, condition, with_logits)
        over = _has_ended(drawn["x"]) if mask is None else _has_ended(drawn["x"]) & ~mask
        return drawn | {"x": tf.where(over, 0.0, drawn["x"])}

    def beam(self, condition=None, width=5, length=None, normalization=0.0):
        """The most probable replies, by `tfgen.autoregressive.sequences.beam.beam_search`.

        Args:
          condition: Histories, `[num, U]` tokens or `num` strings; None for a model without.
          width: How many replies are kept.
          length: Most tokens of a reply; None for the model's `length`.
          normalization: 0 compares log p, 1 the mean of a token.

        Returns:
          Replies float32 `[num, width, length]`, the best first, and their log p `[num, width]`.

        Raises:
          ValueError: If an argument does not fit.
        """
        condition = self.check_condition(condition)
        width, length = checks.whole("width", width), checks.whole("length", length or self.length)
        if not 0.0 <= normalization <= 1.0:
            raise ValueError(f"normalization must be from 0 to 1, got {normalization!r}.")
        return self._beam(condition, width, length, float(normalization))

    @functools.cached_property
    def _beam(self):
        def search(condition, width, length, normalization):
            num = 1 if condition is None else condition.shape[0]
            return beam_search(self, num, width, length, normalization, condition)

        return tf.function(search, autograph=False)

    def reply(
        self, history, method="beam", seed=None, temperature=1.0, length=None, width=5, normalization=1.0
    ):  # fmt: skip
        """Answers a history.

        Args:
          history: The turns so far, the last one to be answered: a list of strings, or one string.
          method: "beam" or "greedy" for a most probable reply, "sample" for a random one.
          seed: Python int or int32 [2], for "sample"; None draws a fresh one.
          temperature: For "sample": below 1 less varied.
          length: Most tokens of the reply; None for the model's `length`.
          width: For "beam": how many replies are kept.
          normalization: For "beam": 0 compares log p, 1 the mean of a token.

        Returns:
          The reply, a string.

        Raises:
          ValueError: If an argument does not fit, or the history is empty or longer than the memory.
        """
        checks.one_of("method", method, _METHODS)
        condition = self.condition.encode(self.join([history] if isinstance(history, str) else history))
        if method == "beam":
            return self.decode(self.beam(condition[None], width, length, normalization)[0][0])[0]
        temperature = 0.0 if method == "greedy" else temperature
        x = self.sample(1, condition=condition, seed=seed, temperature=temperature, length=length)
        return self.decode(x)[0]

    def join(self, turns):
        """The string of a history whose turns are given apart."""
        return f" {TURN} ".join(turns)

    def decode(self, x):
        """List of strings of replies `[num, T]`, without their ends."""
        x = np.asarray(x)
        spoken = ~_has_ended(x).numpy() & (x != 0)
        return [self.text.decode(row[words]) for row, words in zip(x, spoken, strict=True)]

    def chat(self, temperature=None, seed=0):
        """Answers the lines of the standard input, until it ends or a line is empty.

        Args:
          temperature: None answers by beam search; a number draws replies, 0 the greedy one.
          seed: Python int or int32 [2].
        """
        chat(self, temperature, seed)

    def signatures(self):
        """Adds `reply`, from histories as strings to replies as strings, where there is a vocabulary."""
        served = super().signatures()
        if self.text is None or self.condition is None:
            return served
        inputs = {"history": tf.TensorSpec([None], tf.string), "seeds": tf.TensorSpec([None, 2], tf.int32)}
        return served | {"reply": Signature(self._serve_reply, inputs, self.text.example())}

    def _serve_reply(self, history, seeds):
        tokens, lengths = self.text.encode_graph(history)
        fits = tf.reduce_all((lengths >= 1) & (lengths <= self.memory))
        message = f"a history must have 1 to {self.memory} words"
        with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
            inside = tf.sequence_mask(lengths, tf.shape(tokens)[1])
        unknown = _SPECIAL.index(UNKNOWN)
        tokens = tf.where(inside, tf.where(tokens == 0, unknown, tokens), 0)
        x = tf.cast(self.sample_rows(seeds, condition=tokens), tf.int32)
        spoken = tf.reduce_sum(tf.cast(~_has_ended(x) & (x != 0), tf.int32), axis=1)
        return {"text": tf.ensure_shape(self.text.decode_graph(x, spoken), [None])}


@dataclasses.dataclass(frozen=True)
class Histories:
    """A vocabulary as histories are read with it: an end within one is an unknown word.

    Args:
      vocabulary: The `Vocabulary` of replies.
    """

    vocabulary: Vocabulary

    @property
    def unit(self):
        """What a token is."""
        return self.vocabulary.unit

    def encode(self, text, name="history"):
        """Tokens of a history, as `Vocabulary.encode`."""
        return [token or _SPECIAL.index(UNKNOWN) for token in self.vocabulary.encode(text, name)]

    def decode(self, tokens):
        """The string of a history, turns set apart by "<turn>"."""
        return self.vocabulary.decode(tokens)


def _has_ended(x):
    """Whether an end stands before each token of x `[batch, T]`."""
    return tf.cumsum(tf.cast(x == 0, tf.int32), axis=1, exclusive=True) > 0
