"""DialogueModel: replies to a history of turns."""

import dataclasses
import functools
import itertools
import sys

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.sequences.beam import beam_search
from tfgen.autoregressive.sequences.reply_rnn import ReplyRNN
from tfgen.autoregressive.sequences.sequence_model import SequenceModel
from tfgen.autoregressive.sequences.token_rnn import TokenRNN
from tfgen.distributions.laws import Levels
from tfgen.media.text import END, TURN, UNKNOWN, Vocabulary, tokens_of
from tfgen.model import Condition, Signature

_SPECIAL = (END, TURN, UNKNOWN)
_METHODS = ("beam", "greedy", "sample")
# Log-odds of any other token after the end: e^-50 is nothing in float32, and still a number.
_NEVER = -50.0


@keras.saving.register_keras_serializable("tfgen")
class DialogueModel(SequenceModel):
    """Sequence-to-sequence network with attention, as a conversational model (Vinyals & Le 2015).

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
      num_values: Number of tokens; None for the vocabulary's, or for 3 without one.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Vinyals & Le, "A neural conversational model", 2015, arXiv:1506.05869. Sutskever, Vinyals & Le,
      "Sequence to sequence learning with neural networks", 2014, arXiv:1409.3215.
    """

    def __init__(
        self,
        event_shape=(None,),
        condition="text",
        cell="lstm",
        units=128,
        layers=1,
        embedding=64,
        dropout=0.0,
        memory=60,
        turns=3,
        length=30,
        vocabulary=None,
        num_values=None,
        **kwargs,
    ):
        checks.one_of("condition", condition, ("text", "none"))
        if vocabulary is None:
            num_values = checks.whole("num_values", 3 if num_values is None else num_values, at_least=3)
        elif tuple(vocabulary)[:3] != _SPECIAL:
            first = ", ".join(map(str, tuple(vocabulary)[:3]))
            raise ValueError(f"vocabulary must begin with {', '.join(_SPECIAL)}, got {first}.")
        codec, num_values = tokens_of(vocabulary, "word", num_values, end=0)
        memory = checks.whole("memory", memory)
        told = None
        if condition == "text":
            histories = None if codec is None else Histories(codec.vocabulary)
            told = Condition("text", (None,), num_values, histories, memory)
        super().__init__(event_shape, Levels(num_values), length, codec, told, **kwargs)
        self.turns = checks.whole("turns", turns)
        network = TokenRNN if told is None else ReplyRNN
        self.network = network(num_values, cell, units, layers, embedding, dropout, dtype=self.dtype_policy)
        self.network.build()

    def raw(self, x, condition=None, seed=None):
        """Logits of all steps of replies x `[batch, T]`; of the steps after an end, those of another end."""
        raw = self.network(x, seed) if condition is None else self.network(x, condition, seed)
        return self._after_end(raw, _has_ended(x))

    def start(self, num, condition=None):
        """The network's state, and whether the reply has ended."""
        inner = self.network.start(num if condition is None else condition)
        return inner, tf.zeros([num], tf.bool)

    def advance(self, state, before):
        """The state after the token `before`, and the logits of the next one."""
        inner, ended = state
        ended |= before == 0.0
        inner, raw = self.network.advance(inner, before)
        return (inner, ended), self._after_end(raw, ended)

    def ended(self, state):
        """Replies whose end is drawn: nothing but ends follows it, whatever the temperature."""
        return state[1]

    def _after_end(self, raw, ended):
        return tf.where(ended[..., None], tf.one_hot(0, self.num_values, 0.0, _NEVER), raw)

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
        normalization = checks.number("normalization", normalization, at_least=0, at_most=1)
        return self._beam(condition, width, length, normalization)

    @functools.cached_property
    def _beam(self):
        def search(condition, width, length, normalization):
            num = 1 if condition is None else condition.shape[0]
            return beam_search(self, num, width, length, normalization, condition)

        return tf.function(search, autograph=False)

    def reply(
        self,
        history,
        method="beam",
        seed=None,
        temperature=1.0,
        length=None,
        width=5,
        normalization=1.0,
    ):
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
        turns = [history] if isinstance(history, str) else history
        condition = self.condition.encode(self.join(turns), "history")
        if method == "beam":
            return self.decode(self.beam(condition[None], width, length, normalization)[0][0])[0]
        temperature = 0.0 if method == "greedy" else temperature
        x = self.sample(1, condition=condition, seed=seed, temperature=temperature, length=length)
        return self.decode(x)[0]

    def join(self, turns):
        """The string of a history whose turns are given apart."""
        return f" {TURN} ".join(turns)

    def chat(self, temperature=None, seed=0):
        """Answers the standard input line by line, with the turns before as the history.

        Ends with the input, or at an empty line. A line that alone is longer than the memory is not answered.

        Args:
          temperature: None answers by beam search; a number draws replies, 0 the greedy one.
          seed: Python int or int32 [2].
        """
        seed, history = random.as_seed(seed), []
        said = {"method": "beam"} if temperature is None else {"method": "sample", "temperature": temperature}
        # Without a terminal nothing but the replies is written.
        shown = "> " if sys.stdin.isatty() else ""
        for number in itertools.count():
            try:
                line = input(shown).strip()
            except (EOFError, KeyboardInterrupt):
                break
            if not line:
                break
            try:
                kept = self.remembered([*history, line])
            except ValueError as error:
                print(error, flush=True)
                continue
            answer = self.reply(kept, seed=random.fold_in(seed, number), **said)
            print(answer, flush=True)
            # A reply without words is no turn to look back at.
            history = [*kept, answer] if answer else kept

    def remembered(self, turns):
        """The last of a chat's turns that fit into the memory, the newest always among them.

        Args:
          turns: List of strings.

        Raises:
          ValueError: If the newest one alone does not fit.
        """
        turns = turns[-self.turns :]
        while True:
            try:
                self.condition.encode(self.join(turns), "history")
                return turns
            except ValueError:
                if len(turns) == 1:
                    raise
                turns = turns[1:]

    def signatures(self):
        """Adds `reply`, from histories as strings to replies as strings, where there is a vocabulary."""
        served = super().signatures()
        if self.text is None or self.condition is None:
            return served
        inputs = {"history": tf.TensorSpec([None], tf.string), "seeds": tf.TensorSpec([None, 2], tf.int32)}
        return served | {"reply": Signature(self._serve_reply, inputs, self.text.example())}

    def _serve_reply(self, history, seeds):
        tokens = self.condition.encode(history, "a history")
        return {"text": self.codec.decode_graph(self.sample_rows(seeds, condition=tokens))}


@dataclasses.dataclass(frozen=True)
class Histories:
    """Vocabulary of histories: an end within one is an unknown word, since what follows an end is not read.

    Args:
      vocabulary: The `Vocabulary` of replies.
    """

    vocabulary: Vocabulary

    @property
    def unit(self):
        """Unit of a token: "word"."""
        return self.vocabulary.unit

    def example(self, most):
        """As `Vocabulary.example`."""
        return self.vocabulary.example(most)

    def encode(self, text, name="history"):
        """Tokens of a history, as `Vocabulary.encode`."""
        return [token or _SPECIAL.index(UNKNOWN) for token in self.vocabulary.encode(text, name)]

    @property
    def symbols(self):
        """The symbols; token i is `symbols[i]`."""
        return self.vocabulary.symbols

    @property
    def table(self):
        """Look-up table of the vocabulary."""
        return self.vocabulary.table

    def encode_graph(self, texts, name="a history", least=0, most=None):
        """As `Vocabulary.encode_graph`, but filled up with 0."""
        tokens, lengths = self.vocabulary.encode_graph(texts, name, least, most)
        tokens = tf.where(tokens == 0, _SPECIAL.index(UNKNOWN), tokens)
        return tf.maximum(tokens, 0), lengths

    def decode(self, tokens):
        """The text of a list of tokens; turns are set apart by "<turn>"."""
        return self.vocabulary.decode(tokens)


def _has_ended(x):
    """Whether an end stands before each token of x `[batch, T]`."""
    return tf.cumsum(tf.cast(x == 0, tf.int32), axis=1, exclusive=True) > 0
