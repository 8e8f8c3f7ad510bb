"""Whether what a user hands in fits: raised at once where values are known, asserted in the graph elsewhere.

Every function returns its argument as the tensor to go on with, so that a graph cannot leave the check out.
"""

import math
import numbers

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


def one_of(name, value, known):
    """`value`.

    Raises:
      ValueError: Unless it is one of `known`.
    """
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}.")
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
