"""Laws of groups of units of an energy: binary, one-hot, in blocks, Gaussian.

A group's law is p(s | field) ~ exp(w(s) + t(s) . field), w its own term, t what couplings see of it and
`field` what they bring (tfgen/energy/joint.py). Along a path from independent units (beta = 0) it is
exp(beta (w(s) + t(s) . field) + (1 - beta) w0(s)). beta is a number, or a tensor of leading dimensions.
"""

import abc
import functools
import math

import numpy as np
import tensorflow as tf

from tfgen import random

# Most units whose softplus takes one logarithm.
_TOGETHER = 10


class Units(abc.ABC):
    """A group of units that are independent given the others: p(s | field) ~ exp(w(s) + t(s) . field).

    `field` is what all couplings bring, `[..., size]`. Weights are Keras variables of the model, read at each
    call. With centring couplings see s - offset in place of s.

    Attributes:
      size: Number of units.
      num_states: Number of states of the group, or None where they cannot be listed.
      offset: `[size]`; None without centring.

    References:
      Montavon & Mueller, "Deep Boltzmann machines and the centering trick", 2012.
    """

    size = None
    num_states = None
    offset = None

    def statistic(self, s):
        """t(s), what couplings see, s - offset: `[..., size]`."""
        return s if self.offset is None else s - read_like(self.offset, s)

    def seen_of_zero(self, field):
        """t(0) . field: what couplings see of units that are 0, `[...]`."""
        return _dot(field, self.statistic(tf.zeros([self.size], field.dtype)))

    @abc.abstractmethod
    def own(self, s):
        """w(s), `[...]`."""

    def mean_own(self, s, shares):
        """Means of w over states `[batch, size]`, by their shares in each: `[means, batch]` to `[means]`."""
        return tf.linalg.matvec(shares, self.own(s))

    @abc.abstractmethod
    def base(self, s):
        """w0(s), the own term at beta = 0, `[...]`."""

    @abc.abstractmethod
    def mean(self, field, beta=1.0):
        """E(s | field) at beta, `[..., size]`."""

    @abc.abstractmethod
    def draw(self, seed, field, beta=1.0, temperature=1.0):
        """Draws s given the field from the path's density at beta, ^ 1 / temperature; 0 takes the mode."""

    @abc.abstractmethod
    def draw_of_mean(self, seed, mean):
        """Draws s given its mean at beta = 1, where that is known already: no sigmoid is taken twice."""

    @abc.abstractmethod
    def log_sum(self, field, beta=1.0):
        """log of the sum over s of exp(beta (w(s) + t(s) . field) + (1 - beta) w0(s)), `[...]`."""

    @abc.abstractmethod
    def log_sum_change(self, field, beta, next_beta):
        """`log_sum` at next_beta minus that at beta, keeping the digits of small differences."""

    @abc.abstractmethod
    def entropy(self, mean):
        """Entropy of independent units of these means, `[...]`."""

    @abc.abstractmethod
    def states(self, numbers):
        """States by their numbers, int64 `[n]`: float64 `[n, size]`."""

    @abc.abstractmethod
    def begin(self, s):
        """Starts own and base terms at independent units that are like `s`, an array `[examples, size]`."""

    @abc.abstractmethod
    def uniform(self):
        """The same units with a path that begins without base rates."""


class Discrete(Units):
    """Units of few values, told by 0 and 1: w(s) = bias . s, w0(s) = base . s.

    Args:
      bias: `[size]`.
      base: Log odds, or log probabilities up to a constant, at beta = 0, `[size]`; None for zeros.
      offset: As `Units`.
    """

    def __init__(self, bias, base=None, offset=None):
        self.bias, self.base_logits, self.offset = bias, base, offset
        self.size = bias.shape[0]

    def own(self, s):
        """bias . s."""
        return _dot(s, read_like(self.bias, s))

    def mean_own(self, s, shares):
        """bias . mean of s."""
        return _dot(tf.matmul(shares, s), read_like(self.bias, s))

    def base(self, s):
        """base . s."""
        if self.base_logits is None:
            return tf.zeros(tf.shape(s)[:-1], s.dtype)
        return _dot(s, read_like(self.base_logits, s))

    def logits(self, field, beta=1.0):
        """beta (bias + field) + (1 - beta) base: what 1 adds to log p of each entry, `[..., size]`."""
        end = read_like(self.bias, field) + field
        if is_one(beta):
            return end
        beta = _column(beta, end)
        if self.base_logits is None:
            return beta * end
        return (1.0 - beta) * read_like(self.base_logits, end) + beta * end

    def _begin_at(self, logits):
        self.bias.assign(logits)
        if self.base_logits is not None:
            self.base_logits.assign(logits)


class LogOdds:
    """Log odds of shares that a weight holds, as base rates: read at each call, and finite.

    Args:
      shares: Weight `[size]` with values from 0 to 1.
    """

    def __init__(self, shares):
        self.shares = shares

    @property
    def value(self):
        """log(share) - log(1 - share), of a share from 0.001 to 0.999."""
        share = tf.clip_by_value(self.shares.value, 1e-3, 1.0 - 1e-3)
        return tf.math.log(share) - tf.math.log1p(-share)


class Binary(Discrete):
    """Units of 0 and 1: w(s) = bias . s, p(s = 1 | field) = sigmoid(bias + field).

    Args:
      bias: `[size]`.
      base: Log odds at beta = 0, `[size]`, a weight or `LogOdds`; None for fair coins.
      offset: As `Units`.
    """

    def __init__(self, bias, base=None, offset=None):
        super().__init__(bias, base, offset)
        self.num_states = 2**self.size

    def mean(self, field, beta=1.0):
        """sigmoid(logits)."""
        return tf.sigmoid(self.logits(field, beta))

    def draw(self, seed, field, beta=1.0, temperature=1.0):
        """Bernoulli draws; at temperature 0 the likelier value, a fair coin where both are."""
        probs = tf.sigmoid(cooled(self.logits(field, beta), temperature))
        return random.bernoulli(seed, probs, vectors=True)

    def draw_of_mean(self, seed, mean):
        """Bernoulli draws."""
        return random.bernoulli(seed, mean, vectors=True)

    def log_sum(self, field, beta=1.0):
        """sum softplus(logits), and beta t(0) . field where there is an offset."""
        summed = sum_softplus(self.logits(field, beta))
        return summed if self.offset is None else summed + beta * self.seen_of_zero(field)

    def log_sum_change(self, field, beta, next_beta):
        """By softplus(a + d) - softplus(a) = relu(d) + log1p(sigmoid(-sign(d) a) expm1(-|d|))."""
        logits = self.logits(field, beta)
        rise = read_like(self.bias, field) + field
        if self.base_logits is not None:
            rise -= read_like(self.base_logits, field)
        change = _column(next_beta - beta, field) * rise
        side = tf.sigmoid(tf.where(change > 0, -logits, logits))
        summed = tf.nn.relu(change) + tf.math.log1p(side * tf.math.expm1(-tf.abs(change)))
        summed = tf.reduce_sum(summed, axis=-1)
        return summed if self.offset is None else summed + (next_beta - beta) * self.seen_of_zero(field)

    def entropy(self, mean):
        """Of Bernoullis."""
        return -tf.reduce_sum(tf.math.xlogy(mean, mean) + tf.math.xlog1py(1.0 - mean, -mean), axis=-1)

    def states(self, numbers):
        """Their bits, lowest first."""
        bits = tf.bitwise.right_shift(numbers[:, None], tf.range(self.size, dtype=tf.int64))
        return tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(1, tf.int64)), tf.float64)

    def begin(self, s):
        """At the log odds of 1, each value counted once more; the offset at the share of 1."""
        ones = s.sum(0)
        logits = np.log(ones + 1.0) - np.log(len(s) - ones + 1.0)
        self._begin_at(logits)
        if self.offset is not None:
            self.offset.assign((ones + 1.0) / (len(s) + 2.0))

    def uniform(self):
        """Fair coins at beta = 0."""
        return Binary(self.bias, None, self.offset)


class OneHot(Discrete):
    """One unit of k values as a one-hot vector, a label: p(s = e_i | field) = softmax(bias + field)_i.

    Args:
      bias: `[k]`.
      base: Log probabilities at beta = 0 up to a constant, `[k]`; None for equal ones.
    """

    def __init__(self, bias, base=None):
        super().__init__(bias, base)
        self.num_states = self.size

    def mean(self, field, beta=1.0):
        """softmax(logits)."""
        return tf.nn.softmax(self.logits(field, beta))

    def draw(self, seed, field, beta=1.0, temperature=1.0):
        """A one-hot draw; at temperature 0 the likeliest value."""
        index = random.categorical(seed, cooled(self.logits(field, beta), temperature))
        return tf.one_hot(index, self.size, dtype=field.dtype)

    def draw_of_mean(self, seed, mean):
        """A one-hot draw."""
        return tf.one_hot(random.categorical(seed, tf.math.log(mean)), self.size, dtype=mean.dtype)

    def log_sum(self, field, beta=1.0):
        """logsumexp(logits)."""
        return tf.reduce_logsumexp(self.logits(field, beta), axis=-1)

    def log_sum_change(self, field, beta, next_beta):
        """The difference in float64."""
        return _in_float64(self.log_sum, field, beta, next_beta)

    def entropy(self, mean):
        """Of a categorical distribution."""
        return -tf.reduce_sum(tf.math.xlogy(mean, mean), axis=-1)

    def states(self, numbers):
        """One for each value."""
        return tf.one_hot(numbers, self.size, dtype=tf.float64)

    def begin(self, s):
        """At the log frequencies, each value counted once more."""
        logits = np.log(s.sum(0) + 1.0) - math.log(len(s) + self.size)
        self._begin_at(logits)

    def uniform(self):
        """Equal probabilities at beta = 0."""
        return OneHot(self.bias)


class Blocks(Discrete):
    """Binary units in square blocks, of each at most one being 1: probabilistic max-pooling.

    p(h_i = 1 | field) = exp(a_i) / (1 + sum over the block of exp(a_j)), a = bias + field.

    Args:
      bias: `[channels]`, one for all places.
      shape: `(height, width, channels)`.
      pooling: Height and width of a block, which divides the shape's.
      offset: `[channels]`, as `Units`.

    References:
      Lee, Grosse, Ranganath & Ng, ICML 2009, section 3.3.
    """

    def __init__(self, bias, shape, pooling, offset=None):
        places = shape[0] * shape[1]
        super().__init__(Shared(bias, places), offset=None if offset is None else Shared(offset, places))
        self.shape, self.pooling = tuple(shape), pooling
        self.num_blocks = self.size // pooling**2
        self.num_states = (pooling**2 + 1) ** self.num_blocks
        rows, columns = shape[0] // pooling, shape[1] // pooling
        self._split = [rows, pooling, columns, pooling, shape[2]]

    def blocks(self, s):
        """`[..., size]` by block: `[..., blocks, units of a block]`."""
        lead = tf.shape(s)[:-1]
        apart = tf.reshape(s, [-1, *self._split])
        apart = tf.reshape(tf.transpose(apart, [0, 1, 3, 5, 2, 4]), [-1, self.num_blocks, self.pooling**2])
        return tf.reshape(apart, tf.concat([lead, [self.num_blocks, self.pooling**2]], axis=0))

    def from_blocks(self, b):
        """`[..., blocks, units of a block]` as `[..., size]`."""
        lead = tf.shape(b)[:-2]
        rows, pooling, columns, _, channels = self._split
        apart = tf.reshape(b, [-1, rows, columns, channels, pooling, pooling])
        apart = tf.transpose(apart, [0, 1, 4, 2, 5, 3])
        return tf.ensure_shape(
            tf.reshape(apart, tf.concat([lead, [self.size]], axis=0)), [*b.shape[:-2], self.size]
        )

    def block_logits(self, field, beta=1.0):
        """Of each block 0 for none and its units' log odds against that: `[..., blocks, units + 1]`."""
        each = self.blocks(self.logits(field, beta))
        return tf.concat([tf.zeros_like(each[..., :1]), each], axis=-1)

    def mean(self, field, beta=1.0):
        """p(h = 1 | field), `[..., size]`."""
        return self.from_blocks(tf.nn.softmax(self.block_logits(field, beta))[..., 1:])

    def draw(self, seed, field, beta=1.0, temperature=1.0):
        """Draws each block: one of its units, or none; at temperature 0 the likeliest of these."""
        index = random.categorical(seed, cooled(self.block_logits(field, beta), temperature))
        return self.from_blocks(tf.one_hot(index - 1, self.pooling**2, dtype=field.dtype))

    def draw_of_mean(self, seed, mean):
        """Draws each block by its probabilities."""
        each = self.blocks(mean)
        none = tf.maximum(1.0 - tf.reduce_sum(each, axis=-1, keepdims=True), 0.0)
        index = random.categorical(seed, tf.math.log(tf.concat([none, each], axis=-1)))
        return self.from_blocks(tf.one_hot(index - 1, self.pooling**2, dtype=mean.dtype))

    def draw_within(self, seed, field, pooled, temperature=1.0):
        """Draws given which blocks have a unit that is 1, `pooled` `[..., blocks]`: p(h | field, p)."""
        logits = self.block_logits(field)[..., 1:]
        index = random.categorical(seed, cooled(logits, temperature))
        which = tf.one_hot(index, self.pooling**2, dtype=field.dtype)
        return self.from_blocks(pooled[..., None] * which)

    def pooled(self, s):
        """Which blocks have a unit that is 1, or the probabilities of that of means: `[..., blocks]`."""
        return tf.reduce_sum(self.blocks(s), axis=-1)

    def log_sum(self, field, beta=1.0):
        """sum over blocks of log(1 + sum exp(a_j)), and beta t(0) . field with an offset, `[...]`."""
        summed = tf.reduce_sum(tf.reduce_logsumexp(self.block_logits(field, beta), axis=-1), axis=-1)
        return summed if self.offset is None else summed + beta * self.seen_of_zero(field)

    def log_sum_change(self, field, beta, next_beta):
        """The difference in float64."""
        return _in_float64(self.log_sum, field, beta, next_beta)

    def entropy(self, mean):
        """Entropy of independent blocks of these means, `[...]`."""
        each = self.blocks(mean)
        none = tf.maximum(1.0 - tf.reduce_sum(each, axis=-1), 0.0)
        every = tf.reduce_sum(tf.math.xlogy(each, each), axis=-1) + tf.math.xlogy(none, none)
        return -tf.reduce_sum(every, axis=-1)

    def states(self, numbers):
        """States by their numbers, whose digits to the base units + 1 say which of each block is 1."""
        base = self.pooling**2 + 1
        power = tf.constant([base**k for k in range(self.num_blocks)], tf.int64)
        digits = tf.cast(numbers[:, None] // power % base, tf.int32)
        return self.from_blocks(tf.one_hot(digits - 1, base - 1, dtype=tf.float64))

    def begin(self, s):
        """Nothing is known of hidden units."""

    def uniform(self):
        """The same units."""
        return self


class Gaussian(Units):
    """Real units of learned variances: w(s) = -sum_i (s_i - mean_i)^2 / (2 var_i), t(s) = s / var.

    s | field ~ N(mean + field, var): Cho et al.'s energy, where a unit's variance does not scale its field.

    Args:
      mean: `[size]`.
      log_variance: `[size]`.
      base: (mean, log variance) at beta = 0, each `[size]`; None for the units' own.
      offset: As `Units`: t(s) = (s - offset) / var.

    References:
      Cho, Ilin & Raiko, "Improved learning of Gaussian-Bernoulli restricted Boltzmann machines", 2011.
    """

    def __init__(self, mean, log_variance, base=None, offset=None):
        self.loc, self.log_variance, self.offset = mean, log_variance, offset
        self.base_loc, self.base_log_variance = (mean, log_variance) if base is None else base
        self.size = mean.shape[0]

    def statistic(self, s):
        """(s - offset) / variance."""
        return super().statistic(s) * tf.exp(-read_like(self.log_variance, s))

    def own(self, s):
        """-sum (s - mean)^2 / (2 variance)."""
        return _gaussian(s, self.loc, self.log_variance)

    def base(self, s):
        """The same with mean and variance at beta = 0."""
        return _gaussian(s, self.base_loc, self.base_log_variance)

    def _natural(self, field, beta):
        """Precision and precision times mean at beta."""
        precision = tf.exp(-read_like(self.log_variance, field))
        pull = precision * (read_like(self.loc, field) + field)
        if is_one(beta):
            return precision, pull
        beta = _column(beta, field)
        base = tf.exp(-read_like(self.base_log_variance, field))
        start = base * read_like(self.base_loc, field)
        return (1.0 - beta) * base + beta * precision, (1.0 - beta) * start + beta * pull

    def mean(self, field, beta=1.0):
        """mean + field at beta = 1."""
        precision, pull = self._natural(field, beta)
        return pull / precision

    def draw(self, seed, field, beta=1.0, temperature=1.0):
        """Normal draws; at temperature 0 the mean."""
        precision, pull = self._natural(field, beta)
        noise = random.normal(seed, tf.shape(pull)[seed.shape.rank - 1 :])
        return pull / precision + tf.sqrt(temperature / precision) * noise

    def draw_of_mean(self, seed, mean):
        """Normal draws of the units' variances."""
        noise = random.normal(seed, tf.shape(mean)[seed.shape.rank - 1 :])
        return mean + tf.exp(0.5 * read_like(self.log_variance, mean)) * noise

    def log_sum(self, field, beta=1.0):
        """log of the integral over s, offset included."""
        precision, pull = self._natural(field, beta)
        zero = tf.zeros_like(field)
        at_zero = beta * self.own(zero) + (1.0 - beta) * self.base(zero)
        each = tf.square(pull) / precision + math.log(2.0 * math.pi) - tf.math.log(precision)
        integral = at_zero + 0.5 * tf.reduce_sum(each, axis=-1)
        return integral if self.offset is None else integral + beta * self.seen_of_zero(field)

    def log_sum_change(self, field, beta, next_beta):
        """The difference in float64."""
        return _in_float64(self.log_sum, field, beta, next_beta)

    def entropy(self, mean):
        """Not there: mean field is of units of few values."""
        raise ValueError("mean field sums over units of few values, and Gaussian units are real.")

    def states(self, numbers):
        """Not there: real units have none."""
        raise ValueError("Gaussian units have no states to list.")

    def begin(self, s):
        """At the mean, the offset too, and the variance of each, at least a hundredth of their average."""
        mean, variance = s.mean(0), s.var(0)
        # Entries that never change would make a density without end.
        log_variance = np.log(np.maximum(variance, max(0.01 * variance.mean(), 1e-6)))
        for variables in ((self.loc, self.log_variance), (self.base_loc, self.base_log_variance)):
            variables[0].assign(mean)
            variables[1].assign(log_variance)
        if self.offset is not None:
            self.offset.assign(mean)

    def uniform(self):
        """The units' own mean and variance at beta = 0."""
        return Gaussian(self.loc, self.log_variance, offset=self.offset)


class Shared:
    """A weight for each channel, read as one for each entry of an image.

    Args:
      variable: `[channels]`.
      places: Number of places of the image.
    """

    def __init__(self, variable, places):
        self.variable, self.places = variable, places
        self.shape = (places * variable.shape[0],)

    @property
    def value(self):
        """`[places * channels]`."""
        return tf.tile(self.variable.value, [self.places])

    def assign(self, values):
        """The mean over places of values `[places * channels]`."""
        self.variable.assign(np.reshape(values, [self.places, -1]).mean(0))


@tf.custom_gradient
def sum_softplus(logits):
    """sum over the last axis of log(1 + exp(logits)), each off by 1e-7 at most.

    log(1 + exp(x)) = max(x, 0) - log m, m = max(sigmoid(x), sigmoid(-x)) in [1/2, 1]. It shares the sigmoid
    that Gibbs sampling needs as well, and takes one logarithm of a product of several m: the softplus of each
    unit and its gradient are the dearest part of a compiled step after the matrix products.
    """
    on = tf.sigmoid(logits)
    together = next(k for k in range(_TOGETHER, 0, -1) if logits.shape[-1] % k == 0)
    above = tf.split(tf.nn.relu(logits), together, axis=-1)
    shares = tf.split(tf.maximum(on, 1.0 - on), together, axis=-1)
    each = functools.reduce(tf.add, above) - tf.math.log(functools.reduce(tf.multiply, shares))
    return tf.reduce_sum(each, axis=-1), lambda upstream: upstream[..., None] * on


def _dot(units, weights):
    """`units . weights` of units `[..., n]`.

    As a sum: into a product of a matrix and a vector XLA would draw the units a second time.
    """
    return tf.reduce_sum(units * weights, axis=-1)


def read_like(variable, like):
    """A weight in the dtype of what it meets: float64 where states are enumerated."""
    return tf.cast(variable.value, like.dtype)


def is_one(beta):
    """Whether beta, or a temperature, is the number 1, for which nothing is computed."""
    return isinstance(beta, float) and beta == 1.0


def _column(beta, like):
    """beta `[...]` for a tensor with one more axis."""
    return tf.cast(beta, like.dtype)[..., None]


def cooled(logits, temperature):
    """At temperature 0 logits become huge; those that are 0 stay a fair coin."""
    return logits if is_one(temperature) else logits / tf.maximum(temperature, 1e-6)


def _in_float64(log_sum, field, beta, next_beta):
    field64, beta64, next64 = (tf.cast(v, tf.float64) for v in (field, beta, next_beta))
    return tf.cast(log_sum(field64, next64) - log_sum(field64, beta64), field.dtype)


def _gaussian(s, loc, log_variance):
    return -0.5 * tf.reduce_sum(
        tf.square(s - read_like(loc, s)) * tf.exp(-read_like(log_variance, s)), axis=-1
    )
