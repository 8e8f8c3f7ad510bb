"""Importance-weighted lower bounds of log p(x), with their Monte Carlo error."""

import collections
import math

import tensorflow as tf

from tfgen import checks, random

ImportanceBound = collections.namedtuple(
    "ImportanceBound", ["bound", "standard_error", "effective_sample_size"]
)
ImportanceBound.__doc__ = """Lower bound of log p(x) by K importance samples, each field float32 `[batch]`.

Args:
  bound: log of the mean weight, in nats.
  standard_error: Of the bound, by the delta method, in nats; infinite for one sample.
  effective_sample_size: (sum of weights)^2 / sum of squared weights, between 1 and K.
"""


def importance_bound(log_weights, seeds, num_samples, chunk_size=128):
    """The K-sample bound log (1/K) sum_k w_k, w_k = p(x, z_k) / q(z_k | x).

    In expectation it rises with K towards log p(x); K = 1 is the ELBO. Chunks of samples run one
    after the other, so memory does not grow with K; sample k has a stream of its own, so the
    result does not depend on the size of the chunks.

    Args:
      log_weights: `f(seeds)`, int32 `[k, batch, 2]` to log weights float32 `[k, batch]`.
      seeds: int32 `[batch, 2]`, one stream for each x, e.g. `seeds_of(x, seed)`.
      num_samples: K, a Python int.
      chunk_size: At most so many samples at a time.

    Returns:
      `ImportanceBound`.

    Raises:
      ValueError: If `num_samples` or `chunk_size` is not a positive integer.

    References:
      Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2015, arXiv:1509.00519.
    """
    checks.whole("num_samples", num_samples)
    checks.whole("chunk_size", chunk_size)
    num_chunks = math.ceil(num_samples / chunk_size)
    chunk = math.ceil(num_samples / num_chunks)

    def step(i, once, twice):
        index = i * chunk + tf.range(chunk)
        log_w = log_weights(random.fold_in(seeds[None], index[:, None]))
        log_w = tf.where(index[:, None] < num_samples, log_w, -math.inf)
        once = tf.reduce_logsumexp(tf.concat([once[None], log_w], 0), axis=0)
        twice = tf.reduce_logsumexp(tf.concat([twice[None], 2.0 * log_w], 0), axis=0)
        return i + 1, once, twice

    nothing = tf.fill(tf.shape(seeds)[:1], -math.inf)
    nothing = tf.ensure_shape(nothing, seeds.shape[:1])
    if num_chunks == 1:
        _, once, twice = step(0, nothing, nothing)
    else:
        _, once, twice = tf.while_loop(
            lambda i, *_: i < num_chunks,
            step,
            (tf.constant(0), nothing, nothing),
            maximum_iterations=num_chunks,
        )
    share = tf.exp(twice - 2.0 * once)  # sum w^2 / (sum w)^2
    variance = tf.nn.relu(share - 1.0 / num_samples) * num_samples / max(num_samples - 1, 1)
    error = tf.sqrt(variance) if num_samples > 1 else tf.fill(tf.shape(once), math.inf)
    return ImportanceBound(once - math.log(num_samples), error, 1.0 / share)


def seeds_of(x, seed):
    """One stream for each x, derived from its values alone.

    An estimate that draws from these is a function of x and `seed`: the same in any batch, at any
    place in it, and independent between different x.

    Args:
      x: float32 `[batch, ...]`.
      seed: int32 `[2]`.

    Returns:
      int32 `[batch, 2]`.
    """
    size = math.prod(x.shape[1:])
    words = tf.bitcast(tf.reshape(x + 0.0, [-1, size]), tf.uint32)  # + 0.0 makes -0.0 into 0.0
    place = (tf.cast(tf.range(size), tf.uint32), tf.constant(0, tf.uint32))
    mixed = random.threefry(place, (words, tf.constant(0, tf.uint32)))
    return random.fold_in(seed, *[_wrapping_sum(word) for word in mixed])


def _wrapping_sum(words):
    # TensorFlow does not reduce uint32; int32 sums have the same bits.
    return tf.bitcast(tf.reduce_sum(tf.bitcast(words, tf.int32), axis=-1), tf.uint32)
