"""One entry of x in levels: its density and its draw from a network's logits.

Two levels have one logit, log p(1) / p(0); more have one for each level.
"""

import tensorflow as tf

from tfgen import random


def outputs_per_entry(num_values):
    """How many logits an entry has: 1 for two levels, else one for each."""
    return 1 if num_values == 2 else num_values


def shape_logits(raw, event_shape, num_values):
    """A network's outputs as float32 logits.

    Args:
      raw: `[batch, ...]`, `outputs_per_entry` for each entry of x, entry by entry.
      event_shape: Shape of x; one None is inferred.
      num_values: Number of levels.

    Returns:
      `[batch, *event_shape]` for two levels, `[batch, *event_shape, num_values]` for more.
    """
    sizes = [-1 if d is None else d for d in event_shape]
    more = [] if num_values == 2 else [num_values]
    return tf.reshape(tf.cast(raw, tf.float32), [tf.shape(raw)[0], *sizes, *more])


def read_levels(x, num_values, one_hot=False):
    """What a convolution reads of an image: levels scaled to [-1, 1], so that 0 differs from what is outside.

    Args:
      x: Levels as floats, `[..., channels]`.
      num_values: Number of levels.
      one_hot: Give each level as a one-hot vector instead.

    Returns:
      `[..., features_read(channels, num_values, one_hot)]`, channel by channel.
    """
    if one_hot:
        x = tf.one_hot(tf.cast(x, tf.int32), num_values)
        return tf.concat(tf.unstack(x, axis=-2), axis=-1)
    return x * (2.0 / (num_values - 1)) - 1.0


def features_read(channels, num_values, one_hot=False):
    """Number of features that `read_levels` gives of a pixel."""
    return channels * (num_values if one_hot else 1)


def level_log_prob(logits, x, num_values):
    """log p of each entry of x, in nats.

    Args:
      logits: `[...]` for two levels, `[..., num_values]` for more.
      x: Levels as floats, `[...]`.
      num_values: Number of levels.

    Returns:
      float32 `[...]`.
    """
    if num_values == 2:
        return -tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(x, tf.int32), logits)


class LevelDraw:
    """Draws entries with two levels from a logit, with more from as many logits.

    All random numbers of an x come from its seed before the loop starts. Two levels: x = 1 where
    logit > temperature * log(u / (1 - u)), which has probability sigmoid(logit / temperature). More: the
    inverse of the distribution function of softmax(logits / temperature). Temperature 0 gives the mode.

    Args:
      seeds: int32 `[n, 2]`.
      event_shape: Shape of one x, without None.
      num_values: Number of levels.
      temperature: Scalar; 0 for the mode.
      given: Levels `[n, *event_shape]`, or None.
      mask: `[n, *event_shape]`, True where `given` is to be kept; None with `given`.

    Attributes:
      inputs: Dict of `[*event_shape, n]`: what `draw` needs for each entry.
    """

    def __init__(self, seeds, event_shape, num_values, temperature=1.0, given=None, mask=None):
        self.num_values, self.temperature = num_values, tf.cast(temperature, tf.float32)
        uniform = random.uniform(seeds, event_shape)
        known = None if given is None else tf.where(mask, given, -1.0)
        if num_values == 2:
            threshold = self.temperature * (tf.math.log(uniform) - tf.math.log1p(-uniform))
            if known is not None:
                # A known entry is drawn from a threshold that only its own value passes.
                forced = tf.where(known > 0.5, -float("inf"), float("inf"))
                threshold = tf.where(known < 0.0, threshold, forced)
            inputs = {"threshold": threshold}
        else:
            inputs = {"uniform": tf.where(self.temperature > 0.0, uniform, 0.5)}
            inputs |= {} if known is None else {"known": known}
        entries_first = (*range(1, len(event_shape) + 1), 0)
        self.inputs = {k: tf.transpose(v, entries_first) for k, v in inputs.items()}

    def draw(self, logits, inputs):
        """Levels `[n]` of one entry.

        Args:
          logits: float32 `[n]` for two levels, `[n, num_values]` for more.
          inputs: Dict of `[n]`, this entry's part of the attribute.
        """
        if self.num_values == 2:
            return tf.cast(logits > inputs["threshold"], tf.float32)
        highest = tf.reduce_max(logits, axis=-1, keepdims=True)
        # Small enough to leave only the highest logits, and no overflow in any difference of logits.
        tempered = (logits - highest) / tf.maximum(self.temperature, 1e-20)
        level = tf.cast(random.pick(inputs["uniform"], tf.exp(tempered)), tf.float32)
        return tf.where(inputs["known"] < 0.0, level, inputs["known"]) if "known" in inputs else level
