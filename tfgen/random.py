"""Stateless random numbers: the one home of every draw in tfgen.

All numbers come from Threefry-2x32 with 20 rounds, computed with TensorFlow's integer operations. The bits
are therefore the same inside and outside XLA and on every device, the same for a row whatever the batch
around it (a seed may be a whole `[batch, 2]` of seeds), and XLA fuses them into the code that uses them.
A seed is int32 `[..., 2]`. Derive new ones with `fold_in` and `split`; never use one seed for two draws.

References:
  Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
# The second word of the counter says what the numbers are for, so that no draw equals a derived seed.
_DRAW, _FOLD, _SPLIT = 0, 1 << 31, 3 << 30


def threefry(key, counter):
    """Threefry-2x32, 20 rounds: encrypts two words of counter under two words of key.

    Args:
      key: Pair of uint32 tensors.
      counter: Pair of uint32 tensors that broadcast against the key.

    Returns:
      Pair of uint32 tensors of the broadcast shape.
    """
    words = [tf.convert_to_tensor(word) for word in (*key, *counter)]
    found = _threefry(*words)
    for word in found:
        word.set_shape(functools.reduce(tf.broadcast_static_shape, (word.shape for word in words)))
    return found


def _in_one_operation(*dtypes):
    """Makes a function of tensors of any shapes one operation of the graphs that it is traced into.

    Most seeds are derived while a graph is traced, which takes much longer than computing them: a hundred
    operations of a graph each time. TensorFlow and XLA inline them before they run or compile it.
    """
    signature = [tf.TensorSpec(None, dtype) for dtype in dtypes]
    return functools.partial(tf.function, input_signature=signature, autograph=False)


def _rounds(key0, key1, counter0, counter1):
    keys = (key0, key1, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(key0, key1), np.uint32(0x1BD11BDA)))
    x0, x1 = counter0 + key0, counter1 + key1
    for i in range(20):
        x0 += x1
        left = tf.bitwise.left_shift(x1, np.uint32(_ROTATIONS[i % 8]))
        right = tf.bitwise.right_shift(x1, np.uint32(32 - _ROTATIONS[i % 8]))
        x1 = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_or(left, right), x0)
        if i % 4 == 3:
            j = i // 4 + 1
            x0 += keys[j % 3]
            x1 += keys[(j + 1) % 3] + np.uint32(j)
    return x0, x1


_threefry = _in_one_operation(*[tf.uint32] * 4)(_rounds)


def as_seed(seed):
    """A Python int, a pair of ints or a tensor as an int32 `[2]` seed; None draws a fresh one.

    Args:
      seed: An int from -2^63 to 2^63 - 1, two int32, or None. Different ints are different seeds.

    Raises:
      ValueError: If `seed` is none of these.
    """
    message = f"seed must be an int from -2^63 to 2^63 - 1 or two int32, got {seed!r}."
    if seed is None:
        return tf.constant(np.random.SeedSequence().generate_state(2).view(np.int32))
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        if not -(2**63) <= seed < 2**63:
            raise ValueError(message)
        low, high = int(seed) & 0xFFFFFFFF, (int(seed) >> 32) & 0xFFFFFFFF
        return tf.constant(np.array([high, low], np.uint32).view(np.int32))
    try:
        given = tf.convert_to_tensor(seed)
        given.shape.assert_is_compatible_with([2])
    except (ValueError, TypeError, OverflowError, tf.errors.OpError) as error:
        raise ValueError(message) from error
    if given.dtype == tf.uint32:
        return tf.bitcast(given, tf.int32)
    kept = tf.cast(given, tf.int32)
    if not given.dtype.is_integer or (
        tf.executing_eagerly() and not np.array_equal(given.numpy(), kept.numpy())
    ):
        raise ValueError(message)
    return kept


def _words(seed):
    seed = tf.bitcast(seed, tf.uint32)
    return seed[..., 0], seed[..., 1]


def _derive(seed, data, purpose):
    seed, data = tf.convert_to_tensor(seed), tf.cast(data, tf.int64)
    derived = _derived(seed, data, tf.constant(purpose, tf.uint32))
    derived.set_shape(tf.broadcast_static_shape(seed.shape[:-1], data.shape).concatenate(2))
    return derived


@_in_one_operation(tf.int32, tf.int64, tf.uint32)
def _derived(seed, data, purpose):
    low = tf.cast(tf.bitwise.bitwise_and(data, 0xFFFFFFFF), tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(data, tf.constant(32, tf.int64)), tf.uint32)
    tag = tf.bitwise.bitwise_xor(high, purpose)
    return tf.bitcast(tf.stack(_rounds(*_words(seed), low, tag), axis=-1), tf.int32)


def fold_in(seed, *data):
    """The seed that belongs to `data` under `seed`, one integer (or integer tensor) after the other.

    Args:
      seed: int32 `[..., 2]`.
      *data: Integers below 2^62, tensors that broadcast against the seed's leading dimensions.

    Returns:
      int32 `[..., 2]`.
    """
    for item in data:
        seed = _derive(seed, item, _FOLD)
    return seed


def split(seed, num=2):
    """Tuple of `num` independent seeds, each of the shape of `seed`."""
    return tuple(_derive(seed, i, _SPLIT) for i in range(num))


def rows(seed, num, start=0):
    """Seeds of rows `start` to `start + num`: int32 `[num, 2]`, row i is `fold_in(seed, i)`."""
    return fold_in(seed, tf.range(num) + start)


def bits(seed, shape, vectors=False):
    """Uniform random words, uint32 `[*seed.shape[:-1], *shape]`.

    Args:
      seed: int32 `[..., 2]`; every leading dimension is a batch of independent streams.
      shape: Shape of one stream's draw, ints or an int32 tensor.
      vectors: Whether XLA computes them in vectors on all cores of a CPU, and anew for each use but products
        of matrices: the same words. Chains of draws without products in between then take for ever.
    """
    shape = tf.convert_to_tensor(shape, tf.int32)
    size = tf.reduce_prod(shape)
    half = tf.cast(tf.range((size + 1) // 2), tf.uint32)
    key = [word[..., None] for word in _words(seed)]
    first, second = threefry(key, (half, tf.constant(_DRAW, tf.uint32)))
    leading = tf.shape(seed)[:-1]
    if vectors:
        # Of a concatenation, and of all that follows it, XLA makes a loop of one thread, a number at a time.
        words = tf.where([[True], [False]], first[..., None, :], second[..., None, :])
        words = tf.reshape(words, tf.concat([leading, [2 * tf.size(half)]], 0))
    else:
        words = tf.concat([first, second], axis=-1)
    return tf.reshape(words[..., :size], tf.concat([leading, shape], 0))


def uniform(seed, shape, vectors=False):
    """Uniform floats strictly inside (0, 1): the midpoints of 2^23 equal cells. Arguments as in `bits`."""
    cells = tf.bitwise.right_shift(bits(seed, shape, vectors), np.uint32(9))
    return (tf.cast(cells, tf.float32) + 0.5) * 2.0**-23


def normal(seed, shape):
    """Standard normal floats by the inverse of the distribution function. Shapes as in `bits`."""
    return tf.math.ndtri(uniform(seed, shape))


def _uniform_like(seed, x, dropped=0, vectors=False):
    """Uniforms of the shape of `x` without its last `dropped` axes; `seed` may carry leading ones of `x`."""
    shape = tf.shape(x)
    return uniform(seed, shape[seed.shape.rank - 1 : x.shape.rank - dropped], vectors)


def bernoulli(seed, probs, vectors=False):
    """Zeros and ones (float32, the shape of `probs`), one with probability `probs`.

    Args:
      seed: int32 `[2]`, or `[batch, 2]` with one stream for each row of `probs`.
      probs: Probabilities, float.
      vectors: As in `bits`.
    """
    return tf.cast(_uniform_like(seed, probs, vectors=vectors) < probs, tf.float32)


def pick(uniform, weights):
    """Indices drawn in proportion to weights, by the inverse of their distribution function.

    Args:
      uniform: Floats in (0, 1), `[...]`.
      weights: Not negative, `[..., k]`, of any sum.

    Returns:
      int32 `[...]`.
    """
    cumulative = tf.cumsum(weights, axis=-1)
    below = uniform[..., None] * cumulative[..., -1:] > cumulative
    return tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)


def categorical(seed, logits):
    """Indices (int32, the shape of `logits` without its last axis) with probabilities softmax(logits)."""
    return pick(_uniform_like(seed, logits, dropped=1), tf.nn.softmax(tf.cast(logits, tf.float32)))


def log_gamma(seed, concentration):
    """Logarithms of draws from gamma distributions of rate 1, float32, the shape of `concentration`.

    G(a) = G(a + 1) U^(1 / a) in logarithms, so that small concentrations lose nothing to underflow.

    Args:
      seed: int32 `[2]`, or `[batch, 2]` with one stream for each row of `concentration`.
      concentration: Positive, float.
    """
    concentration = tf.cast(concentration, tf.float32)
    first, second = split(seed)
    above = tfp.math.igammainv(concentration + 1.0, _uniform_like(first, concentration))
    return tf.math.log(above) + tf.math.log(_uniform_like(second, concentration)) / concentration


def dirichlet(seed, concentration):
    """Draws from Dirichlet distributions, float32, the shape of `concentration` `[..., k]`.

    Args:
      seed: As for `log_gamma`.
      concentration: Positive, float.
    """
    return tf.nn.softmax(log_gamma(seed, concentration))


def poisson(seed, rate):
    """Draws from Poisson distributions, whole float32 numbers, the shape of `rate`.

    The inverse of the distribution function P(X <= k) = Q(k + 1, rate), by bisection.

    Args:
      seed: As for `log_gamma`.
      rate: Means, positive, at most 10^6.
    """
    rate = tf.cast(rate, tf.float32)
    wanted = _uniform_like(seed, rate)
    low, high = -tf.ones_like(rate), tf.math.ceil(rate + 12.0 * tf.sqrt(rate) + 30.0)
    for _ in range(21):
        middle = tf.floor(0.5 * (low + high))
        enough = tf.math.igammac(middle + 1.0, rate) >= wanted
        low, high = tf.where(enough, low, middle), tf.where(enough, middle, high)
    return high
