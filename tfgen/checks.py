"""Checks of what a user hands in: raised at once where values are known, asserted in the graph elsewhere.

Every function returns its argument as the tensor to go on with, so that a graph cannot leave the check out.
"""

import contextlib
import math
import numbers
import operator
import re

import numpy as np
import tensorflow as tf

from tfgen.stored import RANGE, told


def as_float(x, name):
    """`x` as a float32 tensor.

    Raises:
      ValueError: If it is not numeric.
    """
    return tf.cast(numeric(x, name), tf.float32)


def numeric(x, name):
    """`x` as a tensor of its own dtype.

    Raises:
      ValueError: If it holds no numbers.
    """
    try:
        x = tf.convert_to_tensor(x)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name} must be numeric, got {type(x).__name__}: give an array of numbers."
        ) from error
    if not (x.dtype.is_floating or x.dtype.is_integer or x.dtype.is_bool):
        raise ValueError(f"{name} must be numeric, got dtype {x.dtype.name}: give an array of numbers.")
    return x


def require(valid, tensor, message, remedy=""):
    """`tensor`, if `valid` holds.

    Args:
      valid: bool scalar tensor.
      tensor: What is being checked.
      message: What must hold, without the values.
      remedy: What to do where it does not.

    Raises:
      ValueError: If it does not; in a graph, InvalidArgumentError with the same words when it runs, which
        `plainly` turns into the ValueError.
    """
    if tf.executing_eagerly():
        if not bool(valid):
            raise ValueError(told(message, *(part.numpy() for part in _spread(tensor)), remedy))
        return tensor
    # Looked at only where something is wrong: a step that goes well pays for `valid` alone.
    low, high, missing = tf.cond(valid, lambda: (0.0, 0.0, 0), lambda: _spread(tensor))
    pieces = [f"{message}{RANGE}", low, "to", high, "with", missing, f"NaN{remedy and ': '}{remedy}"]
    # The operation itself, since `tf.debugging.Assert` of numbers hides it in a branch, where no export
    # would find it.
    asserted = tf.raw_ops.Assert(condition=valid, data=[tf.convert_to_tensor(p) for p in pieces], summarize=1)
    with tf.control_dependencies([asserted]):
        return tf.identity(tensor)


_ASSERTED = re.compile(
    rf"assertion failed: \[(.+){RANGE}\] \[(\S+)\] \[to\] \[(\S+)\] "
    r"\[with\] \[(\d+)\] \[NaN(?:: )?(.*)\]\s*$",
    re.MULTILINE,
)


def _spread(tensor):
    """The lowest and the highest number of a tensor, and how many entries are none."""
    values = tf.cast(tensor, tf.float32)
    missing = tf.math.is_nan(values)
    low = tf.reduce_min(tf.where(missing, math.inf, values))
    high = tf.reduce_max(tf.where(missing, -math.inf, values))
    return low, high, tf.math.count_nonzero(missing, dtype=tf.int32)


@contextlib.contextmanager
def plainly():
    """Turns what `require` says within a graph into the ValueError that it raises outside."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _ASSERTED.search(error.message)
        if found is None:
            raise
        message, low, high, missing, remedy = found.groups()
        sentence = told(message, float(low), float(high), int(missing), remedy)
    else:
        return
    raise ValueError(sentence)


def shown(value):
    """A value in one line: of an array its dtype and shape."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return repr(value)
    return f"{getattr(getattr(value, 'dtype', None), 'name', type(value).__name__)} {tuple(np.shape(value))}"


def whole(name, value, at_least=1, odd=False):
    """`value` as an int.

    Raises:
      ValueError: Unless it is a whole number that is large enough, and odd where asked.
    """
    kind = f"{'an odd' if odd else 'a'} whole number of at least {at_least}"
    integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integral or value < at_least or (odd and value % 2 == 0):
        raise ValueError(f"{name} must be {kind}, got {value!r}.")
    return int(value)


def sizes(name, values, at_least=1):
    """`values` as a tuple of ints.

    Raises:
      ValueError: Unless they are whole numbers, each large enough.
    """
    try:
        return tuple(whole(name, value, at_least) for value in values)
    except (TypeError, ValueError):
        message = f"{name} must hold whole numbers of at least {at_least}, got {values!r}."
        raise ValueError(message) from None


def shape(name, value, open_steps=False):
    """A shape, given as one size or several, as a tuple.

    Args:
      name: What it is, for errors.
      value: An int or a sequence of them.
      open_steps: Whether None is a size too.

    Raises:
      ValueError: Unless it holds positive sizes.
    """
    given = (value,) if isinstance(value, numbers.Integral) else tuple(value)
    if not open_steps and None in given:
        raise ValueError(f"{name} must hold sizes, not None, got {given}.")
    if not given or any(size is not None and size < 1 for size in given):
        raise ValueError(f"{name} must hold positive sizes, got {given}.")
    return tuple(None if size is None else int(size) for size in given)


def image_shape(event_shape):
    """`event_shape`, if it is that of an image.

    Raises:
      ValueError: If it is not (rows, columns, channels).
    """
    shape = tuple(event_shape) if isinstance(event_shape, (tuple, list)) else (event_shape,)
    if len(shape) != 3 or None in shape:
        raise ValueError(f"event_shape must be (rows, columns, channels), got {event_shape!r}.")
    return shape


def number(name, value, at_least=None, above=None, at_most=None, below=None):
    """`value` as a float.

    Raises:
      ValueError: Unless it is a finite number within the bounds.
    """
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    bounds = {word: bound for word, bound in bounds.items() if bound is not None}
    valid = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    for word, bound in bounds.items():
        valid = valid and _HOLDS[word](value, bound)
    if not valid:
        wanted = " and ".join(f"{word} {bound}" for word, bound in bounds.items())
        raise ValueError(f"{name} must be a finite number{', ' if wanted else ''}{wanted}, got {value!r}.")
    return float(value)


_HOLDS = {"at least": operator.ge, "above": operator.gt, "at most": operator.le, "below": operator.lt}


def distinct(name, names):
    """`names`.

    Raises:
      ValueError: If one of them comes twice.
    """
    for one in names:
        if list(names).count(one) > 1:
            raise ValueError(f"{name} must bear different names, got {one!r} twice.")
    return names


def one_of(name, value, known, also=None):
    """`value`.

    Args:
      name: What it is, for errors.
      value: What was given.
      known: The values that are taken.
      also: What else the caller takes, for errors.

    Raises:
      ValueError: Unless it is one of `known`.
    """
    if value not in known:
        listed = ", ".join(map(repr, known)) + (f" or {also}" if also else "")
        raise ValueError(f"{name} must be one of {listed}, got {value!r}.")
    return value


def temperature(value):
    """A temperature as a float32 tensor, so that another one is no other trace.

    Raises:
      ValueError: If it is negative or not finite.
    """
    if not tf.is_tensor(value) and not 0.0 <= value < math.inf:
        raise ValueError(f"temperature must be finite and not negative, got {value!r}.")
    return tf.cast(value, tf.float32)


def known_entries(given, mask, num, event_shape):
    """`given` and `mask` as float32 `[num, *event_shape]`.

    Args:
      given: `event_shape` or `[num, *event_shape]`.
      mask: The same; its last axis may be 1.
      num: Number of samples.
      event_shape: Of the model.

    Raises:
      ValueError: If one is missing, or a shape does not fit.
    """
    if (given is None) != (mask is None):
        raise ValueError(f"given and mask go together, got {'given' if given is None else 'mask'}=None.")
    shape, both = [num, *event_shape], []
    for name, x in (("given", given), ("mask", mask)):
        x = as_float(x, name)
        fits = f"{name} must have shape {shape[1:]} or {shape}, got {x.shape}."
        x = x[None] if x.shape.rank == len(event_shape) else x
        if x.shape.rank != len(shape) or not x.shape[1:-1].is_compatible_with(event_shape[:-1]):
            raise ValueError(fits)
        try:
            both.append(tf.broadcast_to(x, shape))
        except tf.errors.InvalidArgumentError:
            raise ValueError(fits) from None
    return both
