"""Between texts and tokens: characters or words of a fixed vocabulary, in Python and in TensorFlow graphs."""

import dataclasses
import functools
import re
from typing import ClassVar

import numpy as np

UNITS = ("character", "word")
# What stands for any other word, between two turns of a dialogue, and after the last word of a reply.
UNKNOWN, TURN, END = "<unknown>", "<turn>", "<end>"
# What makes words of a text in lower case, in order; the same for Python and for TensorFlow. Typographic
# quotes are plain ones; the end of a contraction is a word that begins with a typographic apostrophe, whether
# "don't" or "don ’ t" is written; marks are words of their own.
_SPACE = r"[ \t\n\v\f\r]"
_REWRITES = (
    (r"[’‘`´]", "'"),
    (r"[“”]", '"'),
    (rf"{_SPACE}*'{_SPACE}*(s|t|re|ve|ll|d|m)\b", r" ’\1"),
    (r"([.,!?;:\"'()])", r" \1 "),
)
# Marks that stand at the word before them.
_JOINED = r" ([.,!?;:)’])"


def split(text, unit):
    """The tokens of a text: its characters, or its words and marks in lower case.

    Args:
      text: A string.
      unit: "character" or "word".
    """
    if unit == "character":
        return list(text)
    text = text.lower()
    for pattern, replacement in _REWRITES:
        # As TensorFlow's expressions do: only ASCII letters make the edge of a word.
        text = re.sub(pattern, replacement, text, flags=re.ASCII)
    return [word for word in re.split(f"{_SPACE}+", text) if word]


def join(tokens, unit):
    """The text of tokens; marks stand at the word before them."""
    return "".join(tokens) if unit == "character" else re.sub(_JOINED, r"\1", " ".join(tokens))


def write_counts(values, names=None, most=20):
    """Counts as a line of text: "word 3  other 1", the most frequent first, or all numbers in their order.

    Args:
      values: `[V]`, whole numbers from 0 on.
      names: What is counted, V of them; None writes numbers.
      most: How many names are written.
    """
    if names is None:
        return " ".join(f"{value:g}" for value in values)
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    return "  ".join(f"{names[i]} {values[i]:g}" for i in order[:most] if values[i] > 0)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Symbols and their numbers.

    Args:
      symbols: The symbols; token i is `symbols[i]`. A word that is none of them is `UNKNOWN`, if that is one.
      unit: "character" or "word".

    Raises:
      ValueError: If symbols repeat, or the unit is unknown.
    """

    symbols: tuple
    unit: str = "character"

    def __post_init__(self):
        """Checks the arguments."""
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {self.unit!r}.")
        if len(set(self.symbols)) != len(self.symbols) or not self.symbols:
            raise ValueError(f"vocabulary must hold different symbols, got {len(self.symbols)}.")

    def __len__(self):
        return len(self.symbols)

    @functools.cached_property
    def _numbers(self):
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    def example(self, most=3):
        """A text of these symbols, of so many tokens at most: "the" where they have it."""
        tokens = split("the", self.unit)
        if len(tokens) > most or not (set(tokens) <= set(self.symbols) or UNKNOWN in self.symbols):
            plain = [s for s in self.symbols if s.isalnum()] or [s for s in self.symbols if s.strip()]
            tokens = (plain or list(self.symbols))[:most]
        return join(tokens[:3], self.unit)

    def encode(self, text, name="prompt"):
        """The tokens of a text, as a list of ints.

        Args:
          text: A string.
          name: What the text is, for errors.

        Raises:
          ValueError: If a symbol is not in the vocabulary, naming it.
        """
        tokens, unknown = split(text, self.unit), self._numbers.get(UNKNOWN)
        foreign = [t for t in dict.fromkeys(tokens) if t not in self._numbers]
        if foreign and unknown is None:
            if self.unit == "word":
                known = " ".join(s for s in self.symbols if s)[:300]
            else:
                known = "".join(s for s in self.symbols if s.isprintable() and len(s) == 1)[:100]
            shown = ", ".join(map(repr, foreign[:5]))
            raise ValueError(
                f"{name} {text!r} has the {self.unit}s {shown}, which the model does not know; it "
                f"knows {known!r}."
            )
        return [self._numbers.get(t, unknown) for t in tokens]

    def decode(self, tokens):
        """The text of a list of tokens."""
        return join([self.symbols[int(t)] for t in tokens], self.unit)

    @functools.cached_property
    def table(self):
        """`tf.lookup.StaticHashTable` from symbols to numbers, -1 for any other.

        A model whose signatures call `encode_graph` keeps it as an attribute, so that an export brings it
        along.
        """
        import tensorflow as tf

        with tf.init_scope():
            numbers = tf.range(len(self), dtype=tf.int32)
            known = tf.lookup.KeyValueTensorInitializer(tf.constant(self.symbols), numbers)
            return tf.lookup.StaticHashTable(known, default_value=-1)

    def encode_graph(self, texts, name="a text", least=0, most=None):
        """As `encode`, in a graph; how long texts are is looked at before anything else.

        Args:
          texts: String tensor `[batch]`.
          name: What a text is, for errors.
          least: Fewest tokens of a text.
          most: Most tokens of a text; None for any number.

        Returns:
          int32 `[batch, U]`, filled up with -1, and int32 `[batch]`, how many count. A text of another length
          raises InvalidArgumentError when the graph runs, and so does a symbol that is not in the vocabulary,
          unless words may be unknown.
        """
        import tensorflow as tf

        if self.unit == "character":
            parts = tf.strings.unicode_split(texts, "UTF-8")
        else:
            lower = tf.strings.lower(texts, encoding="utf-8")
            for pattern, replacement in _REWRITES:
                lower = tf.strings.regex_replace(lower, pattern, replacement)
            parts = tf.strings.split(lower)
        lengths = tf.cast(parts.row_lengths(), tf.int32)
        fits = tf.reduce_all(lengths >= least)
        wanted = f"{least} or more"
        if most is not None:
            fits &= tf.reduce_all(lengths <= most)
            wanted = f"{least} to {most}"
        with tf.control_dependencies(
            [tf.debugging.Assert(fits, [f"{name} must have {wanted} {self.unit}s"])]
        ):
            numbers = self.table.lookup(parts.flat_values)
        if UNKNOWN in self._numbers:
            numbers = tf.where(numbers < 0, self._numbers[UNKNOWN], numbers)
        else:
            message = f"the text holds {self.unit}s that are not in the model's vocabulary"
            with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(numbers >= 0), [message])]):
                numbers = tf.identity(numbers)
        return parts.with_flat_values(numbers).to_tensor(-1), lengths

    def decode_graph(self, tokens, lengths):
        """As `decode`, in a graph: strings `[batch]` of int tokens `[batch, U]`, of which `lengths` count."""
        import tensorflow as tf

        inside = tf.sequence_mask(lengths, tf.shape(tokens)[1])
        symbols = tf.gather(tf.constant(self.symbols), tf.clip_by_value(tokens, 0, len(self) - 1))
        rows = tf.ragged.boolean_mask(symbols, inside)
        if self.unit == "character":
            return tf.strings.reduce_join(rows, axis=1)
        return tf.strings.regex_replace(tf.strings.reduce_join(rows, axis=1, separator=" "), _JOINED, r"\1")


@dataclasses.dataclass(frozen=True)
class Texts:
    """Codec of token sequences: strings to tokens and back.

    Args:
      vocabulary: The `Vocabulary`.
      end: The token that ends a text and is no part of it; None where a sequence is text to its last step.
    """

    vocabulary: Vocabulary
    end: int | None = None
    kind: ClassVar[str] = "text"

    def encode(self, text, name="prompt"):
        """Tokens of a string, float32 `[U]`.

        Args:
          text: A string.
          name: What the text is, for errors.

        Raises:
          ValueError: If a symbol is not in the vocabulary, naming it.
        """
        return np.array(self.vocabulary.encode(text, name), np.float32)

    def encode_graph(self, texts, name="a text"):
        """Strings as sequences, in a graph: their tokens and, where there is one, the end.

        Args:
          texts: String tensor `[batch]`; an empty one has an end at least.
          name: What a text is, for errors.

        Returns:
          float32 `[batch, T]`, and int32 `[batch]`, how many steps count; errors as of `Vocabulary`.
        """
        import tensorflow as tf

        tokens, lengths = self.vocabulary.encode_graph(texts, name, least=int(self.end is None))
        if self.end is None:
            return tf.cast(tf.maximum(tokens, 0), tf.float32), lengths
        tokens = tf.pad(tokens, [[0, 0], [0, 1]], constant_values=-1)
        return tf.cast(tf.where(tokens < 0, self.end, tokens), tf.float32), lengths + 1

    def decode(self, x):
        """List of strings of tokens `[num, T]`, each up to its end."""
        texts = []
        for row in np.asarray(x):
            ends = () if self.end is None else np.flatnonzero(row == self.end)
            texts.append(self.vocabulary.decode(row[: ends[0]] if len(ends) else row))
        return texts

    def decode_graph(self, x):
        """As `decode`, in a graph: strings `[num]` of tokens `[num, T]`."""
        import tensorflow as tf

        spoken = tf.ones_like(x, tf.int32)
        if self.end is not None:
            spoken = tf.math.cumprod(tf.cast(x != self.end, tf.int32), axis=1)
        texts = self.vocabulary.decode_graph(tf.cast(x, tf.int32), tf.reduce_sum(spoken, axis=1))
        return tf.ensure_shape(texts, [None])


def tokens_of(vocabulary, unit, num_values, end=None):
    """Codec and number of tokens that the arguments of a model of texts describe.

    Args:
      vocabulary: The symbols, or None for bare numbers.
      unit: What a token is: "character" or "word".
      num_values: Number of tokens; None for the vocabulary's, or for 2 without one.
      end: The token that ends a text, or None.

    Returns:
      `Texts` or None, and an int.

    Raises:
      ValueError: If they contradict each other.
    """
    if vocabulary is None:
        return None, 2 if num_values is None else num_values
    codec = Texts(Vocabulary(tuple(vocabulary), unit), end)
    if num_values not in (None, len(codec.vocabulary)):
        raise ValueError(f"num_values={num_values}, but the vocabulary has {len(codec.vocabulary)} symbols.")
    return codec, len(codec.vocabulary)
