"""Exact partition functions by enumeration."""

import tensorflow as tf

_CHUNK_BITS = 12


def binary_states(first, count, num_units):
    """States `first` to `first + count` of binary units, lowest bit first: float64 `[count, units]`."""
    number = tf.cast(first, tf.int64) + tf.range(count, dtype=tf.int64)
    bits = tf.bitwise.right_shift(number[:, None], tf.range(num_units, dtype=tf.int64))
    return tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(1, tf.int64)), tf.float64)


def bipartite_log_partition(kernel, bias, other_bias):
    """log sum_s sum_t exp(bias . s + other_bias . t + s K t) over binary s and t, enumerating s alone.

    = log sum_s exp(bias . s + sum_j softplus(other_bias_j + (s K)_j)), in float64.

    Args:
      kernel: `[s units, t units]`.
      bias: `[s units]`.
      other_bias: `[t units]`.

    Returns:
      float64 scalar.
    """
    kernel, bias, other_bias = (tf.cast(v, tf.float64) for v in (kernel, bias, other_bias))
    units = kernel.shape[0]
    bits = min(units, _CHUNK_BITS)

    def chunk(number):
        s = binary_states(number * (1 << bits), 1 << bits, units)
        rest = tf.reduce_sum(tf.nn.softplus(other_bias + s @ kernel), axis=-1)
        return tf.reduce_logsumexp(tf.linalg.matvec(s, bias) + rest)

    numbers = tf.range(1 << (units - bits), dtype=tf.int64)
    return tf.reduce_logsumexp(tf.map_fn(chunk, numbers, fn_output_signature=tf.float64))
