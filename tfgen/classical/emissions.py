"""Emissions of a hidden Markov model: p(x | z) of each state, its sums over data, its estimate, its draws.

Weights have a leading axis of classes where the model is conditioned on a label. They are no trainable
variables: `estimate` assigns them from the `sums` of expected states.
"""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.classical import start
from tfgen.keras_model import Layer

tfd = tfp.distributions

# Expected counts up to this are none: what no data speak of stays as it is.
FAINT = 1e-10
# Variances up to this share of a sum of squares, or of other variances, are rounding.
_ROUNDING = 1e-12
# Stands for log 0: finite, so that sums and ratios are numbers.
NEVER = -1e6


def of_class(values, condition):
    """The entries of each row's class, of weights with a leading axis of classes; as they are without."""
    return values if condition is None else tf.gather(values, condition)


def by_class(values, condition, classes):
    """Sums by class, `[*classes, ...]`.

    Args:
      values: Of each row, `[batch, ...]`; without classes their sum already.
      condition: int32 `[batch]`, or None.
      classes: () or (number of classes,).
    """
    return tf.math.unsorted_segment_sum(values, condition, *classes) if classes else values


class _Emission(Layer):
    """Layer of weights `[*classes, S, ...]` that nothing but an assignment moves."""

    def _add(self, name, shape, initializer):
        # autocast=False: densities are float32 under every dtype policy.
        shape = (*self.classes, self.num_states, *shape)
        return self.add_weight(shape, initializer, trainable=False, autocast=False, name=name)


@keras.saving.register_keras_serializable("tfgen")
class Symbols(_Emission):
    """p(x | z) over the symbols 0 to num_values - 1, a row of a table for each state.

    Args:
      classes: () or (number of classes,).
      num_states: Number of states.
      num_values: Number of symbols.
      smoothing: Count added to each symbol of each state.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, classes, num_states, num_values, smoothing=0.0, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.num_states, self.num_values = tuple(classes), num_states, num_values
        self.smoothing = smoothing
        self.logits = self._add("logits", (num_values,), keras.initializers.RandomNormal(stddev=1.0))
        self.built = True

    def log_table(self):
        """log p(x | z), float32 `[*classes, S, num_values]`."""
        return tf.nn.log_softmax(self.logits.value)

    def table(self, x, condition):
        """log p(x | z) of every symbol `[symbols, S]`, and the function from these to those of x.

        Args:
          x: `[T, batch]`, symbols as floats.
          condition: int32 `[batch]`, or None.
        """
        rows = tf.reshape(tf.linalg.matrix_transpose(self.log_table()), [-1, self.num_states])
        index = self._index(x, condition)
        return rows, lambda values, t=...: tf.gather(values, index[t])

    def _index(self, x, condition):
        symbol = tf.cast(x, tf.int32)
        return symbol if condition is None else symbol + self.num_values * condition

    def unseen(self, x, condition):
        """Which x no state emits, bool `[batch, T]` as x are."""
        never = tf.reshape(tf.reduce_max(self.logits.value, axis=-2) <= 0.5 * NEVER, [-1])
        return tf.gather(never, self._index(x, None if condition is None else condition[:, None]))

    def sums(self, x, states, condition):
        """Expected counts of each symbol in each state, float64 `[*classes, S, num_values]`, in a dict.

        Args:
          x: `[T, batch]`.
          states: p(z_t | x), float32 `[T, batch, S]`; zero where a step does not count.
          condition: int32 `[batch]`, or None.
        """
        symbols = math.prod(self.classes) * self.num_values
        index = tf.reshape(self._index(x, condition), [-1])
        rows = tf.reshape(states, [-1, self.num_states])
        # Rows are added one by one: a product with one-hot rows takes five times as long.
        counts = tf.math.unsorted_segment_sum(rows, index, symbols)
        counts = tf.reshape(counts, (*self.classes, self.num_values, self.num_states))
        return {"symbols": tf.cast(tf.linalg.matrix_transpose(counts), tf.float64)}

    def estimate(self, sums):
        """Assigns the weights that the sums ask for."""
        present = tf.cast(tf.exp(self.log_table()), tf.float64)
        counts = sums["symbols"] + self.smoothing
        total = tf.reduce_sum(counts, axis=-1, keepdims=True)
        share = tf.where(total > FAINT, counts / tf.maximum(total, FAINT), present)
        logits = tf.where(share > 0.0, tf.math.log(tf.where(share > 0.0, share, 1.0)), NEVER)
        self.logits.assign(tf.cast(logits, tf.float32))

    def guess(self, x, observed, condition, seed):
        """States to begin with, `[T, batch, S]`: each symbol prefers some at random.

        Args:
          x: `[T, batch]`.
          observed: bool `[T, batch]`.
          condition: int32 `[batch]`, or None.
          seed: int32 [2].
        """
        del observed, condition
        preference = tf.nn.softmax(2.0 * random.normal(seed, [self.num_values, self.num_states]))
        return tf.gather(preference, tf.cast(x, tf.int32))

    def begin(self, x, states, condition, seed):
        """Assigns the weights that fit given states, zero where a step does not count."""
        del seed
        self.estimate(self.sums(x, states, condition))

    def draw(self, states, seeds, condition):
        """x of a path of states.

        Args:
          states: int32 `[batch, T]`.
          seeds: int32 `[batch, T, 2]`.
          condition: int32 `[batch]`, or None.
        """
        ranks = 0 if condition is None else 1
        each = tf.gather(of_class(self.log_table(), condition), states, axis=ranks, batch_dims=ranks)
        return tf.cast(random.categorical(seeds, each), tf.float32)

    def distribution(self, condition):
        """p(x | z): a `Categorical` of batch shape `[S]`, or `[batch, S]` under conditions."""
        return tfd.Categorical(logits=of_class(self.log_table(), condition), dtype=tf.float32)


@keras.saving.register_keras_serializable("tfgen")
class Gaussians(_Emission):
    """p(x | z) = sum_m w_zm N(x; mu_zm, Sigma_zm), of each state a Gaussian or a mixture of them.

    Args:
      classes: () or (number of classes,).
      num_states: Number of states.
      size: Length D of x.
      num_components: Number M of Gaussians of a state.
      covariance: "diag" or "full".
      regularization: Added to the variances in each estimate.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(
        self, classes, num_states, size, num_components=1, covariance="diag", regularization=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.classes, self.num_states, self.size = tuple(classes), num_states, size
        self.num_components = num_components
        self.covariance, self.regularization = covariance, regularization
        self.logits = self._add("logits", (num_components,), "zeros")
        self.means = self._add("means", (num_components, size), keras.initializers.RandomNormal(stddev=1.0))
        shape = (num_components, size) if covariance == "diag" else (num_components, size, size)
        # Standard deviations, or the Cholesky factors of the covariances.
        self.scales = self._add("scales", shape, _unit_scales if covariance == "full" else "ones")
        self.built = True

    def components(self, x, condition):
        """log w_zm + log N(x; mu_zm, Sigma_zm), float32 `[T, batch, S, M]`, of x `[T, batch, D]`."""
        means, scales = of_class(self.means.value, condition), of_class(self.scales.value, condition)
        distances, diagonal = (self._diagonal if self.covariance == "diag" else self._full)(
            x, means, scales, "" if condition is None else "b"
        )
        log_volume = tf.reduce_sum(tf.math.log(diagonal), axis=-1) + 0.5 * self.size * math.log(2 * math.pi)
        return of_class(tf.nn.log_softmax(self.logits.value), condition) - log_volume - 0.5 * distances

    def _diagonal(self, x, means, scales, rows):
        """Squared distances sum_d (x - mu)^2 / sigma^2 as products of matrices, in float64 about a middle."""
        x, means, scales = (tf.cast(v, tf.float64) for v in (x, means, scales))
        x, means, precisions = (
            x - self._middle(x.dtype),
            means - self._middle(x.dtype),
            1.0 / tf.square(scales),
        )
        product = f"tbd,{rows}smd->tbsm"
        distances = tf.einsum(product, tf.square(x), precisions)
        distances -= 2.0 * tf.einsum(product, x, precisions * means)
        distances += tf.reduce_sum(precisions * tf.square(means), axis=-1)
        return tf.cast(distances, tf.float32), tf.cast(scales, tf.float32)

    def _full(self, x, means, scales, rows):
        """Squared lengths of L^-1 (x - mu)."""
        # Of a few matrices; a product with each x is then faster than a system for each.
        inverse = tf.linalg.triangular_solve(scales, tf.eye(self.size, batch_shape=tf.shape(scales)[:-2]))
        middle = self._middle(tf.float32)
        z = tf.einsum(f"tbd,{rows}smed->tbsme", x - middle, inverse)
        z -= tf.einsum("...ed,...d->...e", inverse, means - middle)
        return tf.reduce_sum(tf.square(z), axis=-1), tf.linalg.diag_part(scales)

    def table(self, x, condition):
        """log p(x | z) `[T, batch, S]` of x `[T, batch, D]`, and the function that takes it as it is."""
        return tf.reduce_logsumexp(self.components(x, condition), axis=-1), lambda values, t=...: values[t]

    def _middle(self, dtype):
        """A point amid the means, about which sums of squares lose few digits."""
        means = tf.reshape(tf.cast(self.means.value, tf.float64), [-1, self.size])
        return tf.cast(tf.reduce_mean(means, axis=0), dtype)

    def sums(self, x, states, condition):
        """Counts, sums and sums of squares of each Gaussian about the means' middle, float64, in a dict.

        Args:
          x: `[T, batch, D]`.
          states: p(z_t | x), float32 `[T, batch, S]`; zero where a step does not count.
          condition: int32 `[batch]`, or None.
        """
        responsibilities = states[..., None]
        if self.num_components > 1:
            responsibilities *= tf.nn.softmax(self.components(x, condition))
        return self.moments(x, responsibilities, condition)

    def moments(self, x, responsibilities, condition):
        """As `sums`, of responsibilities `[T, batch, S, M]`."""
        rows = "b" if self.classes else ""
        r = tf.cast(responsibilities, tf.float64)
        r = tf.reshape(r, [tf.shape(r)[0], tf.shape(r)[1], self.num_states * self.num_components])
        centered = tf.cast(x, tf.float64) - self._middle(tf.float64)
        second = centered
        if self.covariance == "diag":
            squares = tf.einsum(f"tbk,tbd->{rows}kd", r, tf.square(centered))
        else:
            second = r[..., None] * centered[:, :, None]
            squares = tf.einsum(f"tbkd,tbe->{rows}kde", second, centered)
        found = {
            "count": tf.einsum(f"tbk->{rows}k", r),
            "sum": tf.einsum(f"tbk,tbd->{rows}kd", r, centered),
            "squares": squares,
        }
        split = (*self.classes, self.num_states, self.num_components)
        return {
            name: tf.reshape(total, (*split, *total.shape[len(self.classes) + 1 :]))
            for name, total in ((n, by_class(v, condition, self.classes)) for n, v in found.items())
        }

    def estimate(self, sums):
        """Assigns the weights that the sums ask for.

        Raises:
          ValueError: If a covariance is singular; in a graph, InvalidArgumentError.
        """
        full, middle = self.covariance == "full", self._middle(tf.float64)
        scales = tf.cast(self.scales.value, tf.float64)
        count, seen = sums["count"], sums["count"] > FAINT
        count = tf.where(seen, count, 1.0)
        of_matrix = (..., None, None) if full else (..., None)
        mean = sums["sum"] / count[..., None]
        squares = sums["squares"] / count[of_matrix]
        outer = mean[..., :, None] * mean[..., None, :] if full else tf.square(mean)
        unit = tf.eye(self.size, dtype=tf.float64) if full else 1.0
        variance = self._regular(squares - outer + self.regularization * unit, squares, seen)
        found = tf.linalg.cholesky(variance) if full else tf.sqrt(variance)
        self.scales.assign(tf.cast(tf.where(seen[of_matrix], found, scales), tf.float32))
        mean = tf.where(seen[..., None], tf.cast(mean + middle, tf.float32), self.means.value)
        self.means.assign(mean)
        total = tf.reduce_sum(sums["count"], axis=-1, keepdims=True)
        share = tf.maximum(sums["count"] / tf.maximum(total, FAINT), 1e-30)
        logits = tf.cast(tf.math.log(share), tf.float32)
        self.logits.assign(tf.where(total > FAINT, logits, self.logits.value))

    def _regular(self, variance, squares, seen):
        """Variances or covariances that are none of rounding; 1 of Gaussians without data."""
        full = self.covariance == "full"
        each, whole = (tf.linalg.diag_part(v) if full else v for v in (variance, squares))
        least = tf.reduce_min(each - _ROUNDING * whole, axis=-1)
        if full:
            deviation = tf.sqrt(tf.maximum(each, _ROUNDING * tf.maximum(whole, 1e-300)))
            correlation = variance / (deviation[..., :, None] * deviation[..., None, :])
            eigenvalues = tf.linalg.eigvalsh(correlation)
            # A direction in which x does not vary counts as a variance of none.
            least = tf.where(eigenvalues[..., 0] > 100.0 * _ROUNDING, least, 0.0)
        least = tf.where(seen, least, 1.0)
        message = (
            "HiddenMarkovModel: the least variance of a state must be above 0, its covariance is singular"
        )
        remedy = "raise regularization, use fewer states, or leave out columns that follow from others"
        checked = checks.require(tf.reduce_all(least > 0.0), least, message, remedy)
        with tf.control_dependencies([checked]):
            unit = tf.eye(self.size, dtype=tf.float64) if full else tf.ones([], tf.float64)
            return tf.where(seen[(..., None, None) if full else (..., None)], variance, unit)

    def guess(self, x, observed, condition, seed):
        """States to begin with, `[T, batch, S]`: the clusters of each class's x.

        Args:
          x: `[T, batch, D]`.
          observed: bool `[T, batch]`.
          condition: int32 `[batch]`, or None.
          seed: int32 [2].

        Raises:
          ValueError: If a class has fewer steps than states.
        """
        x, labels = np.asarray(x), np.zeros(observed.shape, np.int64)
        for number, chosen in enumerate(self._of_classes(observed, condition)):
            if 0 < chosen.sum() < self.num_states:
                raise ValueError(
                    f"num_states={self.num_states} needs as many steps in the data, of each class where "
                    f"there are some, got {chosen.sum()}: use fewer, or give more data."
                )
            if chosen.any():
                labels[chosen] = start.clusters(x[chosen], self.num_states, random.fold_in(seed, number))[1]
        return np.eye(self.num_states, dtype=np.float32)[labels]

    def begin(self, x, states, condition, seed):
        """Assigns weights from given states: the means of clusters of their x, and one covariance for all.

        Args:
          x: `[T, batch, D]`.
          states: `[T, batch, S]`, one of which is 1; zero where a step does not count.
          condition: int32 `[batch]`, or None.
          seed: int32 [2].

        Raises:
          ValueError: If the covariance is singular.
        """
        x, states = np.asarray(x, np.float64), np.asarray(states)
        shape = (math.prod(self.classes), self.num_states, self.num_components)
        means, shares, rest = np.zeros((*shape, self.size)), np.zeros(shape), []
        for number, chosen in enumerate(self._of_classes(states.any(axis=-1), condition)):
            for state in range(self.num_states):
                mine = x[chosen & (states.argmax(axis=-1) == state)]
                # Of a state without data, the whole class; of fewer x than components, as many as there are.
                of_state = mine if len(mine) else x[chosen] if chosen.any() else x[states.any(axis=-1)]
                count = min(self.num_components, len(of_state))
                centers, labels = start.clusters(of_state, count, random.fold_in(seed, number, state))
                means[number, state] = np.resize(centers, means.shape[2:])
                shares[number, state] = np.resize(np.bincount(labels, minlength=count), self.num_components)
                rest += [mine - centers[labels]] if len(mine) else []
        rest = np.concatenate(rest)
        # Components that share a center drift apart.
        noise = random.normal(random.fold_in(seed, -1), means.shape).numpy()
        means += 0.1 * rest.std(axis=0) * noise * (self.num_components > 1)
        full = self.covariance == "full"
        squares = rest.T @ rest / len(rest) if full else np.square(rest).mean(axis=0)
        variance = squares + self.regularization * (np.eye(self.size) if full else 1.0)
        total = x[states.any(axis=-1)] - self._middle(tf.float64).numpy()
        total = total.T @ total / len(total) if full else np.square(total).mean(axis=0)
        variance = self._regular(tf.constant(variance), tf.constant(total), tf.constant(True)).numpy()
        scale = np.linalg.cholesky(variance) if full else np.sqrt(variance)
        weights = np.log(shares / shares.sum(axis=-1, keepdims=True))
        for weight, value in ((self.logits, weights), (self.means, means)):
            weight.assign(np.reshape(value, weight.shape))
        self.scales.assign(np.broadcast_to(scale, self.scales.shape))

    def _of_classes(self, observed, condition):
        """Which observed steps belong to each class, bool `[T, batch]` each."""
        every = [True] if condition is None else [np.asarray(condition) == c for c in range(*self.classes)]
        return [observed & mine for mine in every]

    def draw(self, states, seeds, condition):
        """x of a path of states.

        Args:
          states: int32 `[batch, T]`.
          seeds: int32 `[batch, T, 2]`.
          condition: int32 `[batch]`, or None.
        """
        ranks = 0 if condition is None else 1

        def of_state(weight):
            return tf.gather(of_class(weight.value, condition), states, axis=ranks, batch_dims=ranks)

        which, noise = random.split(seeds)
        component = random.categorical(which, of_state(self.logits))
        mean, scale = (tf.gather(of_state(w), component, batch_dims=2) for w in (self.means, self.scales))
        z = random.normal(noise, [self.size])
        return mean + (scale * z if self.covariance == "diag" else tf.linalg.matvec(scale, z))

    def distribution(self, condition):
        """p(x | z): mixtures of Gaussians of batch shape `[S]`, or `[batch, S]` under conditions."""
        means, scales = of_class(self.means.value, condition), of_class(self.scales.value, condition)
        if self.covariance == "diag":
            components = tfd.MultivariateNormalDiag(means, scales)
        else:
            components = tfd.MultivariateNormalTriL(means, scales)
        weights = tfd.Categorical(logits=of_class(self.logits.value, condition))
        return tfd.MixtureSameFamily(weights, components)


def _unit_scales(shape, dtype=None):
    return tf.eye(shape[-1], batch_shape=shape[:-2], dtype=dtype)
