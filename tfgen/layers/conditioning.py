"""What a network is told of a label or a vector that it is conditioned on."""

import math

import keras
import tensorflow as tf

from tfgen.model import Condition

KINDS = ("none", "label", "vector")


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
        sizes = num_classes if isinstance(num_classes, (tuple, list)) else (num_classes,)
        if not sizes or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise ValueError(f"condition='label' needs a positive num_classes, got {num_classes!r}.")
        several = isinstance(num_classes, (tuple, list))
        return Condition("label", (len(sizes),) if several else (), tuple(sizes) if several else num_classes)
    if condition == "vector":
        if not isinstance(condition_size, int) or condition_size < 1:
            raise ValueError(f"condition='vector' needs a positive condition_size, got {condition_size!r}.")
        return Condition("vector", (condition_size,))
    raise ValueError(f"condition must be one of {', '.join(map(repr, KINDS))}, got {condition!r}.")


def width(condition):
    """Number of features of a condition."""
    if condition.kind == "vector":
        return math.prod(condition.shape)
    sizes = condition.num_classes
    return sum(sizes) if isinstance(sizes, tuple) else sizes


def features(condition, values):
    """A batch of conditions as float32 `[batch, width(condition)]`: vectors as they are, labels one-hot.

    Args:
      condition: `Condition` of labels or a vector.
      values: `[batch, *condition.shape]`.
    """
    if condition.kind == "vector":
        return tf.reshape(values, (-1, width(condition)))
    if not isinstance(condition.num_classes, tuple):
        return tf.one_hot(values, condition.num_classes)
    each = zip(tf.unstack(values, axis=-1), condition.num_classes, strict=True)
    return tf.concat([tf.one_hot(v, n) for v, n in each], axis=-1)


def condition_bias(units, condition, **kwargs):
    """Layer from `features` `[batch, width]` to what is added to a layer's outputs, `[batch, units]`."""
    layer = keras.layers.Dense(units, use_bias=False, **kwargs)
    layer.build((None, width(condition)))
    return layer


def shifted(h, shift):
    """`h` `[B, H, W, features]` with `shift` `[B, features]`, or None, added at every pixel."""
    return h if shift is None else h + shift[:, None, None]
