"""Space of x and of conditions: shapes, values, every check, and the way from stored data to floats."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfgen import checks, random, stored
from tfgen.media.text import Vocabulary

VALUES = ("levels", "unit", "symmetric", "real", "counts")
KINDS = ("label", "vector", "image", "text")
_RANGES = {
    "unit": (0.0, 1.0),
    "symmetric": (-1.0, 1.0),
    "real": (-math.inf, math.inf),
    "counts": (0.0, math.inf),
}


_FILLED_UP, _FILLED_UP_REMEDY = "must have its zeros after the text", "a zero ends a text, and fills it up"
_PENS, _PENS_REMEDY = "must have values 0 or 1", "1 where the pen lifts after the point"


@dataclasses.dataclass(frozen=True)
class Condition:
    """Condition of a model, or a further field of each example: its kind, shape, values and checks.

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
        """TensorSpec of a batch as an export takes it: strings where there is a vocabulary."""
        if self.vocabulary is not None:
            return tf.TensorSpec([None], tf.string)
        return self.values_spec

    @property
    def values_spec(self):
        """TensorSpec of a batch of conditions as numbers."""
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
        """A condition as users give it, as a tensor; strings become tokens, filled up with zeros.

        Args:
          condition: One condition or a batch; of a text also a string, a list or a tensor of strings.
          name: What it is, for errors.

        Raises:
          ValueError: If a text is empty, too long or has unknown symbols, or there is no vocabulary; of a
            tensor of strings, InvalidArgumentError when it runs.
        """
        if isinstance(condition, str):
            return self.encode([condition], name)[0]
        strings = tf.is_tensor(condition) and condition.dtype == tf.string
        if not strings and (tf.is_tensor(condition) or np.asarray(condition).dtype.kind not in "USO"):
            return tf.convert_to_tensor(condition)
        if self.kind != "text" or self.vocabulary is None:
            raise ValueError(f"{name} must be numbers, got text: the model has no vocabulary for it.")
        if strings:
            tokens, _ = self.vocabulary.encode_graph(condition, name, least=1, most=self.max_length)
            return tf.maximum(tokens, 0)
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

        Numbers of any dtype are cast; a label may come as `[batch, 1]`, and an axis of size 1 that `shape`
        ends in may be missing.

        Args:
          condition: As `encode` takes it.
          owner: Whose condition it is, for errors.
          name: What it is, for errors.

        Raises:
          ValueError: If it does not fit; in a graph, InvalidArgumentError when it runs.
        """
        condition = self.encode(condition, f"{owner}: {name}" if self.kind == "text" else name)
        condition = self.reshape(checks.numeric(condition, f"{owner}: {name}"))
        fits = condition.shape.rank is None or (
            condition.shape.rank == len(self.shape) + 1 and condition.shape[1:].is_compatible_with(self.shape)
        )
        if not fits:
            shape = ", ".join(["batch", *map(str, self.shape)])
            raise ValueError(
                f"{owner}: {name} must have shape [{shape}], got {condition.shape}: {self._shape_remedy()}."
            )
        condition = _with_shape(condition, self.shape)
        if self.dtype == tf.float32:
            condition = tf.cast(condition, tf.float32)
            finite = tf.reduce_all(tf.math.is_finite(condition))
            return checks.require(finite, condition, f"{owner}: {name} {self.held}", self.remedy)
        # A dtype that holds whatever was given and the bounds.
        condition = condition if condition.dtype.is_floating else tf.cast(condition, tf.int64)
        bound = tf.cast(self.num_classes, condition.dtype)
        valid = tf.reduce_all((condition >= 0) & (condition < bound))
        if condition.dtype.is_floating:
            valid &= tf.reduce_all(tf.round(condition) == condition)
        condition = checks.require(valid, condition, f"{owner}: {name} {self.held}", self.remedy)
        condition = tf.cast(condition, tf.int32)
        return self._check_text(condition, owner, name) if self.kind == "text" else condition

    @property
    def held(self):
        """Sentence on what its entries must be, for errors."""
        if self.dtype == tf.float32:
            return "must hold finite values"
        several = isinstance(self.num_classes, tuple)
        highest = tuple(n - 1 for n in self.num_classes) if several else self.num_classes - 1
        return f"must hold 0 to {highest}"

    @property
    def remedy(self):
        """Remedy where they are not, for errors."""
        if self.dtype == tf.float32:
            return "replace or leave out what is not finite"
        what = "tokens" if self.kind == "text" else "labels"
        return f"{what} are numbers from 0 on, and the model knows {self.num_classes} of them"

    def _shape_remedy(self):
        if self.kind == "label":
            return "give class indices, of one-hot rows their argmax"
        return "reshape it, one row for each x"

    def reshape(self, condition):
        """A condition whose shape differs from `[batch, *shape]` by an axis of size 1, in that shape.

        Args:
          condition: Tensor or array.
        """
        shape, given = self.shape, condition.shape
        if given is None or (tf.is_tensor(condition) and given.rank is None):
            return condition
        if not shape and len(given) == 2 and given[1] == 1:
            return condition[:, 0]
        if shape and shape[-1] == 1 and len(given) == len(shape):
            same = tf.TensorShape(given[1:]).is_compatible_with(shape[:-1])
            return condition[..., None] if same else condition
        return condition

    def check_stored(self, array, owner, name, where):
        """Checks conditions of a data set, all at once, as `check` does.

        Args:
          array: NumPy array `[rows, ...]`.
          owner: Whose conditions they are, for errors.
          name: What they are, for errors.
          where: What they are a part of, for errors.

        Raises:
          ValueError: If they do not fit; names the first row that does not.
        """
        array = self.reshape(array)
        if not tf.TensorShape(array.shape[1:]).is_compatible_with(self.shape):
            shape = ", ".join(["rows", *map(str, self.shape)])
            raise ValueError(
                f"{owner}: {name} must have shape [{shape}], got {array.shape} in {where}: "
                f"{self._shape_remedy()}."
            )
        integer = self.dtype == tf.int32
        high = np.asarray(self.num_classes)[()] - 1 if integer else math.inf
        row = stored.first_bad_row(array, 0 if integer else -math.inf, high, integer)
        if row is not None:
            message = f"{owner}: {name} {self.held}"
            raise ValueError(stored.told_of_row(message, array, row, self.remedy, where))
        if self.kind == "text":
            after = ((array[:, :-1] == 0) & (array[:, 1:] != 0)).any(axis=1)
            if after.any():
                message = f"{owner}: {name} {_FILLED_UP}"
                row = int(np.argmax(after))
                raise ValueError(stored.told_of_row(message, array, row, _FILLED_UP_REMEDY, where))

    def _check_text(self, tokens, owner, name):
        lengths = text_lengths(tokens)
        used = tf.math.count_nonzero(tokens, axis=1, dtype=tf.int32)
        message = f"{owner}: {name} {_FILLED_UP}"
        tokens = checks.require(tf.reduce_all(lengths == used), tokens, message, _FILLED_UP_REMEDY)
        if self.max_length is None:
            return tokens
        fits = tf.reduce_all(lengths <= self.max_length)
        message = f"{owner}: {name} must have at most {self.max_length} tokens"
        with tf.control_dependencies([checks.require(fits, lengths, message, "shorten it")]):
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
      missing: Whether NaN stands for an entry that is not known, for "real".
    """

    owner: str
    event_shape: tuple
    values: str
    num_values: int | None
    kind: str
    rate: int | None = None
    missing: bool = False

    @property
    def sequence(self):
        """Whether the number of steps is open."""
        return self.event_shape[0] is None

    @property
    def of_means(self):
        """Space of the means of such x: of binary x the probabilities of a one, in [0, 1]."""
        binary = self.values == "levels" and self.num_values == 2
        return dataclasses.replace(self, values="unit") if binary else self

    @property
    def value_range(self):
        """(lowest, highest) value of an entry of x."""
        return (0.0, self.num_values - 1.0) if self.values == "levels" else _RANGES[self.values]

    def check(self, x, name="x"):
        """`x` as float32, its shape checked now and its values now (eager) or in the graph.

        Numbers of any dtype are cast, and a last axis of size 1 may be missing.

        Raises:
          ValueError: If they do not fit; in a graph, InvalidArgumentError when it runs.
        """
        x = self.with_channel(checks.as_float(x, f"{self.owner}: {name}"))
        rank = x.shape.rank
        if rank is not None and (
            rank != len(self.event_shape) + 1 or not x.shape[1:].is_compatible_with(self.event_shape)
        ):
            shape = ", ".join(["batch", *map(str, self.event_shape)])
            one = rank == len(self.event_shape) and x.shape.is_compatible_with(self.event_shape)
            remedy = (
                f"of one {name}, give {name}[None]" if one else "reshape it, or make the model for such x"
            )
            raise ValueError(f"{self.owner}: {name} must have shape [{shape}], got {x.shape}: {remedy}.")
        x = _with_shape(x, self.event_shape)
        low, high = self.value_range
        # In as few passes over x as can be: NaN equals nothing, and no infinity equals what it is clipped to.
        if self.values == "real":
            valid = ~tf.math.is_inf(x) if self.missing else tf.math.is_finite(x)
        elif self.values == "levels" and self.num_values == 2:
            valid = x * (x - 1.0) == 0.0
        else:
            whole = tf.round(x) if self.values in ("levels", "counts") else x
            valid = tf.clip_by_value(whole, low, min(high, np.finfo(np.float32).max)) == x
        message = f"{self.owner}: {name} {self.held}"
        x = checks.require(tf.reduce_all(valid), x, message, self.remedy)
        if self.kind != "strokes":
            return x
        pens = tf.reduce_all((x[..., 2] == 0.0) | (x[..., 2] == 1.0))
        message = f"{self.owner}: pens, {name}[..., 2], {_PENS}"
        return checks.require(pens, x, message, _PENS_REMEDY)

    @property
    def held(self):
        """Sentence on what entries of x must be, for errors."""
        low, high = self.value_range
        return {
            "levels": f"must hold integer values 0 to {high:g}",
            "counts": "must hold counts, 0, 1, 2 ...",
            "real": f"must hold finite values{', or NaN where one is missing' if self.missing else ''}",
        }.get(self.values, f"must hold values in [{low:g}, {high:g}]")

    @property
    def remedy(self):
        """Remedy for an x that holds others, for errors."""
        if self.values == "levels":
            coarser = "binarize it, x > threshold" if self.num_values == 2 else "quantize it"
            return f"{coarser}, or make the model for such values"
        return {
            "unit": "scale it, bytes as x / 255",
            "symmetric": "scale it, bytes as x / 127.5 - 1",
            "counts": "count in whole numbers",
        }.get(self.values, "replace or leave out what is not finite")

    def with_channel(self, x):
        """x with the last axis of size 1 that it lacks, e.g. `[n, 8, 8]` as `[n, 8, 8, 1]`.

        An x that may as well be a single one of `event_shape` stays as it is.

        Args:
          x: Tensor or array.
        """
        shape = tf.TensorShape(x.shape)
        if shape.rank != len(self.event_shape) or self.event_shape[-1] != 1:
            return x
        lacks = shape[1:].is_compatible_with(self.event_shape[:-1])
        return x[..., None] if lacks and not shape.is_compatible_with(self.event_shape) else x

    def check_lengths(self, lengths, x):
        """`lengths` as int32, checked as `check` does.

        Raises:
          ValueError: If x is no sequence, or a length is negative or beyond it.
        """
        if not self.sequence:
            raise ValueError(
                f"{self.owner} has event_shape {self.event_shape}, no sequence: leave lengths out."
            )
        lengths = checks.numeric(lengths, f"{self.owner}: lengths")
        if lengths.shape.rank == 2 and lengths.shape[1] == 1:
            lengths = lengths[:, 0]
        if not lengths.dtype.is_integer or lengths.shape.rank not in (1, None):
            raise ValueError(
                f"{self.owner}: lengths must be ints [batch], got {lengths.dtype.name} {lengths.shape}: give "
                "one for each x."
            )
        lengths = tf.cast(_with_shape(lengths, ()), tf.int64)
        valid = tf.reduce_all((lengths >= 0) & (lengths <= tf.shape(x, tf.int64)[1]))
        message = f"{self.owner}: lengths must be 0 to the steps of x"
        lengths = checks.require(valid, lengths, message, "count the steps of each x, filling left out")
        return tf.cast(lengths, tf.int32)

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
        remedy = "1 where given is known, 0 where not"
        mask = checks.require(binary, mask, f"{self.owner}: mask must hold 0 and 1", remedy) > 0.5
        given = self.check(tf.where(mask, checks.as_float(given, "given"), 0.0), "given")
        if self.kind == "strokes":
            both = tf.reduce_all(mask[..., 0] == mask[..., 1])
            message = f"{self.owner}: mask must know both offsets of a step or none"
            mask = checks.require(both, mask, message, "give both the same")
        return given, mask

    def shape_of(self, length):
        """Shape of one x of so many steps; `event_shape` where it is fixed."""
        return tuple(length if size is None else size for size in self.event_shape)

    def check_data(self, data):
        """Checks that a `tfgen.data.Data` holds such x.

        Raises:
          ValueError: If shape, number of levels or rate do not fit.
        """
        shapes = data.event_shape, (*data.event_shape, 1)
        if not any(tf.TensorShape(shape).is_compatible_with(self.event_shape) for shape in shapes):
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

    def check_stored(self, array, data, where):
        """Checks the examples of a data set, all at once, as `check` does what becomes of them.

        Args:
          array: NumPy array `[rows, *event_shape]`, as stored.
          data: The data set they are from.
          where: What they are a part of, for errors.

        Raises:
          ValueError: If they hold other values; names the first row that does.
        """
        levels = data.num_values if data.levels is None else data.levels
        low, high = self.value_range if levels is None else (0, levels - 1)
        whole = levels is not None or self.values == "counts"
        row = stored.first_bad_row(array, low, high, whole, self.missing and levels is None)
        if row is not None:
            held = self.held if levels is None else f"must hold integer values 0 to {high}"
            remedy = (
                self.remedy if levels is None else f"{data.name} has levels={levels}, give as many as it has"
            )
            raise ValueError(stored.told_of_row(f"{self.owner}: x {held}", array, row, remedy, where))
        if self.kind == "strokes" and (row := stored.first_bad_row(array[..., 2], 0, 1, True)) is not None:
            message = f"{self.owner}: pens, x[..., 2], {_PENS}"
            raise ValueError(stored.told_of_row(message, array[..., 2], row, _PENS_REMEDY, where))

    def from_data(self, x, data, seed):
        """Stored examples as the floats this model takes.

        Args:
          x: `[batch, *event_shape]`, levels (uint8) or reals.
          data: The data set they are from: its `levels`, `num_values` and `binarize` are read.
          seed: int32 [2], drawn from for dynamic binarization only; None for the means of the draws.

        Returns:
          float32 `[batch, *event_shape]`.
        """
        x = self.with_channel(tf.cast(x, tf.float32))
        if data.num_values is None:
            return x
        if data.binarize == "dynamic":
            x = x / (data.levels - 1)
            x = x if seed is None else random.bernoulli(seed, x)
        if self.values in ("levels", "counts"):
            return x
        x = x / (data.num_values - 1)
        return 2 * x - 1 if self.values == "symmetric" else x


def _with_shape(tensor, shape):
    """The tensor, whose rows are seen to have that shape; where this is not known, when the graph runs."""
    if tensor.shape.rank is not None and tensor.shape[1:].is_fully_defined():
        return tensor
    return tf.ensure_shape(tensor, [None, *shape])


def default_kind(event_shape):
    """Kind of an x unless its model says otherwise: "image", "video", "points" or "numbers"."""
    if len(event_shape) >= 3 and event_shape[-1] in (1, 3):
        return {3: "image", 4: "video"}.get(len(event_shape), "numbers")
    return "points" if event_shape == (2,) else "numbers"
