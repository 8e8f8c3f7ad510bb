"""Beam search: the most probable of the sequences that a model may end with a token."""

import tensorflow as tf

from tfgen.layers.scan import scan

# Stands for log 0, finite so that sums and ratios are numbers.
_NEVER = -1e30


def beam_search(model, num, width, length, normalization=0.0, condition=None, end=0):
    """Beam search: the best sequences, kept `width` at a time.

    At each step every kept sequence that has not ended is continued by every token, and of all these and the
    ended ones those with the highest log p / steps^normalization stay; the end counts as a step. Exact where
    `width` is the number of all sequences.

    Args:
      model: `SequenceModel` of levels.
      num: Number of searches, an int.
      width: How many sequences are kept.
      length: Most steps of a sequence; one that has not ended then counts as it is.
      normalization: 0 compares log p, 1 the mean of a step.
      condition: `[num, *condition.shape]`, for a conditional model.
      end: The token that ends a sequence and fills it up.

    Returns:
      Sequences float32 `[num, width, length]`, the best first, and their log p `[num, width]`, -inf for those
      beyond the number of all sequences.

    References:
      Graves, "Sequence transduction with recurrent neural networks", 2012, arXiv:1211.3711. Wu et al.,
      "Google's neural machine translation system", 2016, arXiv:1609.08144, on lengths.
    """
    values = model.num_values
    only_end = tf.one_hot(end, values, 0.0, _NEVER)
    if condition is not None:
        condition = tf.repeat(condition, width, axis=0)
    rows = tf.range(num)[:, None] * width

    def step(carry, t):
        state, before, x, log_p, steps, ended = carry
        state, raw = model.advance(state, before)
        each = tf.reshape(model.law.log_probs(raw), (num, width, values))
        log_p = log_p[..., None] + tf.where(ended[..., None], only_end, each)
        steps += tf.cast(~ended, tf.float32)
        rank = tf.reshape(log_p / steps[..., None] ** normalization, (num, width * values))
        best = tf.math.top_k(rank, width).indices  # [num, width]
        parent, token = best // values, best % values

        def kept(tensor):
            return tf.gather(tensor, parent, batch_dims=1)

        flat = tf.reshape(rows + parent, [num * width])
        state = tf.nest.map_structure(lambda s: tf.gather(s, flat), state)
        log_p = tf.gather(tf.reshape(log_p, (num, width * values)), best, batch_dims=1)
        level = tf.cast(token, tf.float32)
        x = tf.where(tf.range(length) == t, level[..., None], kept(x))
        carry = state, tf.reshape(level, [num * width]), x, log_p, kept(steps), kept(ended) | (token == end)
        return carry, ()

    # One sequence to begin with: the others would be its copies.
    log_p = tf.tile(tf.one_hot(0, width, 0.0, _NEVER)[None], (num, 1))
    begin = (
        model.start(num * width, condition),
        model.nothing(num * width),
        tf.zeros((num, width, length)),
        log_p,
        tf.zeros((num, width)),
        tf.zeros((num, width), tf.bool),
    )
    _, _, x, log_p, _, _ = scan(step, tf.range(length), begin, ())[0]
    return x, tf.where(log_p > 0.5 * _NEVER, log_p, -float("inf"))
