"""Space of x and of conditions: shapes, values, every check, and the way from stored data to floats."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfgen import checks, random
from tfgen.media.text import Vocabulary

VALUES = ("levels", "unit", "symmetric", "real", "counts")
KINDS = ("label", "vector", "image", "text")
_RANGES = {
    "unit": (0.0, 1.0),
    "symmetric": (-1.0, 1.0),
    "real": (-math.inf, math.inf),
    "counts": (0.0, math.inf),
}


@dataclasses.dataclass(frozen=True)
class Condition:
    """What a model is told beside x: a condition, or a further field of each example.

    Args:
      kind: "label" (int32 below `num_classes`), "vector" or "image" (float32), or "text" (int32 tokens below
        `num_classes`; what follows a text is filled up with zeros).
      shape: Shape of one condition: () for a label, (k,) for k labels, (None,) for a text.
      num_classes: Number of labels or tokens; for k labels a tuple of k.
      vocabulary: What turns strings into the tokens of a text; None takes tokens only.
      max_length: Most tokens of a text; None for any number.
    """

    kind: str
    shape: tuple = ()
    num_classes: int | tuple | None = None
    vocabulary: Vocabulary | None = None
    max_length: int | None = None

    def __post_init__(self):
        """Checks the kind."""
        checks.one_of("condition", self.kind, KINDS)

    @property
    def dtype(self):
        """int32 for labels and text, float32 otherwise."""
        return tf.int32 if self.kind in ("label", "text") else tf.float32

    @property
    def spec(self):
        """TensorSpec of a batch of conditions."""
        return tf.TensorSpec([None, *self.shape], self.dtype)

    @property
    def width(self):
        """Number of `features`."""
        if self.kind in ("vector", "image"):
            return math.prod(self.shape)
        return sum(self.num_classes) if isinstance(self.num_classes, tuple) else self.num_classes

    def features(self, values):
        """Labels one-hot, vectors and images as they are: float32 `[batch, width]`.

        Args:
          values: `[batch, *shape]`.
        """
        if self.kind in ("vector", "image"):
            return tf.reshape(values, (-1, self.width))
        if not isinstance(self.num_classes, tuple):
            return tf.one_hot(values, self.num_classes)
        each = zip(tf.unstack(values, axis=-1), self.num_classes, strict=True)
        return tf.concat([tf.one_hot(v, n) for v, n in each], axis=-1)

    def encode(self, condition, name="condition"):
        """What a user gives as a condition, as a tensor; strings become tokens, filled up with zeros.

        Args:
          condition: One condition or a batch; of a text also a string or a list of strings.
          name: What it is, for errors.

        Raises:
          ValueError: If a text is empty, too long or has unknown symbols, or there is no vocabulary.
        """
        if isinstance(condition, str):
            return self.encode([condition], name)[0]
        if tf.is_tensor(condition) or np.asarray(condition).dtype.kind not in "USO":
            return tf.convert_to_tensor(condition)
        if self.kind != "text" or self.vocabulary is None:
            raise ValueError(f"{name} must be numbers, got text: the model has no vocabulary for it.")
        rows = [self.vocabulary.encode(str(text), name) for text in condition]
        longest = max(map(len, rows), default=0)
        for row in rows:
            if not row:
                raise ValueError(f"{name} holds an empty text: give one {self.vocabulary.unit} or more.")
            if self.max_length is not None and len(row) > self.max_length:
                raise ValueError(
                    f"{name} must have 1 to {self.max_length} {self.vocabulary.unit}s, got {len(row)}: "
                    "shorten it."
                )
        size = self.max_length or longest
        return tf.constant([row + [0] * (size - len(row)) for row in rows], tf.int32)

    def decode(self, values):
        """The strings of texts `[num, U]`, each up to its first zero.

        Args:
          values: int tokens, filled up with zeros.
        """
        values = np.asarray(values)
        lengths = text_lengths(values).numpy()
        return [self.vocabulary.decode(row[:n]) for row, n in zip(values, lengths, strict=True)]

    def check(self, condition, owner, name="condition"):
        """A condition `[batch, *shape]` in its dtype, its shape checked now, its values now or in the graph.

        Args:
          condition: As `encode` takes it.
          owner: Whose condition it is, for errors.
          name: What it is, for errors.

        Raises:
          ValueError: If it does not fit; in a graph, InvalidArgumentError when it runs.
        """
        condition = self.encode(condition, f"{owner}: {name}" if self.kind == "text" else name)
        if condition.dtype.is_floating != self.dtype.is_floating:
            raise ValueError(f"{owner}: {name} must be {self.dtype.name}, got {condition.dtype.name}.")
        if not condition.shape[1:].is_compatible_with(self.shape):
            raise ValueError(
                f"{owner}: {name} must have shape [batch, *{self.shape}], got {condition.shape}."
            )
        condition = tf.cast(condition, self.dtype)
        if self.dtype == tf.float32:
            finite = tf.reduce_all(tf.math.is_finite(condition))
            return checks.require(finite, condition, f"{owner}: {name} must hold finite values")
        valid = tf.reduce_all((condition >= 0) & (condition < self.num_classes))
        several = isinstance(self.num_classes, tuple)
        highest = tuple(n - 1 for n in self.num_classes) if several else self.num_classes - 1
        condition = checks.require(valid, condition, f"{owner}: {name} must hold 0 to {highest}")
        return self._check_text(condition, owner, name) if self.kind == "text" else condition

    def _check_text(self, tokens, owner, name):
        lengths = text_lengths(tokens)
        used = tf.math.count_nonzero(tokens, axis=1, dtype=tf.int32)
        message = f"{owner}: {name} must have its zeros after the text"
        tokens = checks.require(tf.reduce_all(lengths == used), tokens, message)
        if self.max_length is None:
            return tokens
        fits = tf.reduce_all(lengths <= self.max_length)
        message = f"{owner}: {name} must have at most {self.max_length} tokens"
        with tf.control_dependencies([checks.require(fits, lengths, message)]):
            return tf.identity(tokens)


def text_lengths(tokens):
    """Number of tokens before the first 0 of each text `[batch, U]`: int32 `[batch]`."""
    return tf.reduce_sum(tf.math.cumprod(tf.cast(tokens != 0, tf.int32), axis=1), axis=1)


def label_or_vector(condition, num_classes=None, condition_size=None):
    """The `Condition` that a constructor's arguments describe.

    Args:
      condition: "none", "label" or "vector".
      num_classes: Number of labels, or a tuple of k for k labels at once; for "label".
      condition_size: Length of the vector; for "vector".

    Returns:
      `Condition`, or None for "none".

    Raises:
      ValueError: If an argument is missing or does not fit.
    """
    if condition == "none":
        return None
    if condition == "label":
        several = isinstance(num_classes, (tuple, list))
        sizes = tuple(num_classes) if several else (num_classes,)
        if not sizes or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes):
            raise ValueError(f"condition='label' needs a positive num_classes, got {num_classes!r}.")
        return Condition("label", (len(sizes),) if several else (), sizes if several else num_classes)
    if condition == "vector":
        if not isinstance(condition_size, int) or condition_size < 1:
            raise ValueError(f"condition='vector' needs a positive condition_size, got {condition_size!r}.")
        return Condition("vector", (condition_size,))
    raise ValueError(f"condition must be one of 'none', 'label', 'vector', got {condition!r}.")


@dataclasses.dataclass(frozen=True)
class Space:
    """The x that a model takes.

    Args:
      owner: Whose x it is, for errors.
      event_shape: Shape of one x; of a sequence it starts with None.
      values: One of `VALUES`: "levels" (the integers 0 to num_values - 1 as floats), "unit" ([0, 1]),
        "symmetric" ([-1, 1]), "real", or "counts" (whole numbers from 0 on).
      num_values: Number of levels, for "levels".
      kind: What an x is shown as; of "strokes" the third number of a step is a pen, 0 or 1.
      rate: Samples a second, for sounds.
    """

    owner: str
    event_shape: tuple
    values: str
    num_values: int | None
    kind: str
    rate: int | None = None

    @property
    def sequence(self):
        """Whether the number of steps is open."""
        return self.event_shape[0] is None

    @property
    def value_range(self):
        """(lowest, highest) value of an entry of x."""
        return (0.0, self.num_values - 1.0) if self.values == "levels" else _RANGES[self.values]

    def check(self, x, name="x"):
        """`x` as float32, its shape checked now and its values now (eager) or in the graph.

        Raises:
          ValueError: If they do not fit; in a graph, InvalidArgumentError when it runs.
        """
        x = checks.as_float(x, name)
        if x.shape.rank != len(self.event_shape) + 1 or not x.shape[1:].is_compatible_with(self.event_shape):
            shape = ", ".join(map(str, self.event_shape))
            raise ValueError(f"{name} must have shape [batch, {shape}], got {x.shape}.")
        low, high = self.value_range
        valid = tf.reduce_all((x >= low) & (x <= high) & tf.math.is_finite(x))
        what = f"values in [{low:g}, {high:g}]" if self.values != "real" else "finite values"
        if self.values in ("levels", "counts"):
            valid &= tf.reduce_all(tf.round(x) == x)
            what = (
                f"integer values 0 to {self.num_values - 1}"
                if self.values == "levels"
                else "counts, 0, 1, 2 ..."
            )
        x = checks.require(valid, x, f"{self.owner}: {name} must hold {what}")
        if self.kind != "strokes":
            return x
        pens = tf.reduce_all((x[..., 2] == 0.0) | (x[..., 2] == 1.0))
        return checks.require(pens, x, f"{self.owner}: pens, {name}[..., 2], must have values 0 or 1")

    def check_lengths(self, lengths, x):
        """`lengths` as int32, checked as `check` does.

        Raises:
          ValueError: If x is no sequence, or a length is negative or beyond it.
        """
        if not self.sequence:
            raise ValueError(
                f"{self.owner} has event_shape {self.event_shape}, no sequence: leave lengths out."
            )
        lengths = tf.convert_to_tensor(lengths)
        if not lengths.dtype.is_integer or lengths.shape.rank != 1:
            raise ValueError(
                f"{self.owner}: lengths must be ints [batch], got {lengths.dtype.name} {lengths.shape}."
            )
        lengths = tf.cast(lengths, tf.int32)
        valid = tf.reduce_all((lengths >= 0) & (lengths <= tf.shape(x)[1]))
        return checks.require(valid, lengths, f"{self.owner}: lengths must be 0 to the steps of x")

    def check_known(self, given, mask):
        """`given` with zeros where it is unknown, and `mask` as bool, checked as `check` does.

        Args:
          given: `[batch, *event_shape]`.
          mask: 1 where `given` is known, 0 where not; of strokes both offsets of a step are known, or none.

        Raises:
          ValueError: If known values or the mask do not fit; in a graph, InvalidArgumentError.
        """
        mask = checks.as_float(mask, "mask")
        binary = tf.reduce_all((mask == 0.0) | (mask == 1.0))
        mask = checks.require(binary, mask, f"{self.owner}: mask must hold 0 and 1") > 0.5
        given = self.check(tf.where(mask, checks.as_float(given, "given"), 0.0), "given")
        if self.kind == "strokes":
            both = tf.reduce_all(mask[..., 0] == mask[..., 1])
            mask = checks.require(both, mask, f"{self.owner}: mask must know both offsets of a step or none")
        return given, mask

    def shape_of(self, length):
        """Shape of one x of so many steps; `event_shape` where it is fixed."""
        return tuple(length if size is None else size for size in self.event_shape)

    def check_data(self, data):
        """Checks that a `tfgen.data.Data` holds such x.

        Raises:
          ValueError: If shape, number of levels or rate do not fit.
        """
        if not tf.TensorShape(data.event_shape).is_compatible_with(self.event_shape):
            raise ValueError(
                f"{self.owner} has event_shape {self.event_shape}, {data.name} has {data.event_shape}."
            )
        if self.values == "counts" and data.kind != "counts":
            raise ValueError(f"{self.owner} takes counts, but {data.name} holds {data.kind} data.")
        if self.values == "levels" and data.num_values != self.num_values:
            have = "counts" if data.kind == "counts" else "real values"
            have = have if data.num_values is None else f"{data.num_values} levels"
            remedy = "a model of that many levels" if data.num_values else "a model of real values"
            if self.num_values == 2 and data.levels is not None:
                remedy = f"--binarize=threshold, or {remedy}"
            raise ValueError(
                f"{self.owner} takes {self.num_values} levels, but {data.name} has {have}; use {remedy}."
            )
        if self.values in ("unit", "symmetric") and data.num_values is None:
            have = "counts" if data.kind == "counts" else "real ones"
            raise ValueError(
                f"{self.owner} takes {self.values} values, but {data.name} has {have}: give levels, whole "
                "numbers from 0 to 255, or take a model of real values."
            )
        if self.rate is not None and data.rate not in (None, self.rate):
            raise ValueError(
                f"{self.owner} has rate={self.rate}, {data.name} has {data.rate} samples a second: resample "
                "the recordings or train another model."
            )

    def from_data(self, x, data, seed):
        """Stored examples as the floats this model takes.

        Args:
          x: `[batch, *event_shape]`, levels (uint8) or reals.
          data: The data set they are from: its `levels`, `num_values` and `binarize` are read.
          seed: int32 [2], drawn from for dynamic binarization only.

        Returns:
          float32 `[batch, *event_shape]`.
        """
        x = tf.cast(x, tf.float32)
        if data.num_values is None:
            return x
        if data.binarize == "dynamic":
            x = random.bernoulli(seed, x / (data.levels - 1))
        if self.values in ("levels", "counts"):
            return x
        x = x / (data.num_values - 1)
        return 2 * x - 1 if self.values == "symmetric" else x


def default_kind(event_shape):
    """What an x is shown as unless its model says otherwise: "image", "video", "points" or "numbers"."""
    if len(event_shape) >= 3 and event_shape[-1] in (1, 3):
        return {3: "image", 4: "video"}.get(len(event_shape), "numbers")
    return "points" if event_shape == (2,) else "numbers"
