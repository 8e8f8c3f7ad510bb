"""Checks of what a user hands in: raised at once where values are known, asserted in the graph elsewhere.

Every function returns its argument as the tensor to go on with, so that a graph cannot leave the check out.
"""

import math
import numbers
import operator

import numpy as np
import tensorflow as tf


def as_float(x, name):
    """`x` as a float32 tensor.

    Raises:
      ValueError: If it is not numeric.
    """
    try:
        x = tf.convert_to_tensor(x)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be numeric, got {type(x).__name__}.") from error
    if not (x.dtype.is_floating or x.dtype.is_integer or x.dtype.is_bool):
        raise ValueError(f"{name} must be numeric, got dtype {x.dtype.name}.")
    return tf.cast(x, tf.float32)


def require(valid, tensor, message):
    """`tensor`, if `valid` holds.

    Args:
      valid: bool scalar tensor.
      tensor: What is being checked.
      message: What must hold, without the values.

    Raises:
      ValueError: If it does not; in a graph, InvalidArgumentError with the message when it runs.
    """
    if tf.executing_eagerly():
        if not bool(valid):
            shown = np.asarray(tensor, np.float64)
            bounds = f"{shown.min():g} to {shown.max():g}" if shown.size else "none"
            raise ValueError(f"{message}; the values given range from {bounds}.")
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(valid, [message], name="valid")]):
        return tf.identity(tensor)


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
