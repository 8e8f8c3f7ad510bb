"""What oracle tests of machines share: states, numerical gradients, chi-square, gradients over seeds."""

import math

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from tfgen import random
from tfgen.estimators.ais import annealed_log_weights, log_mean_weight

TEMPERATURES = (10, 100, 1000, 10_000)


def states(units):
    return ((np.arange(2**units)[:, None] >> np.arange(units)) & 1).astype(np.float64)


def slope(function, theta, step=1e-5):
    """Gradient of a function of the parameters by central differences, flat."""
    found = []
    for part in range(len(theta)):
        for index in np.ndindex(theta[part].shape):
            ends = []
            for sign in (1, -1):
                moved = [v.copy() for v in theta]
                moved[part][index] += sign * step
                ends.append(function(moved))
            found.append((ends[0] - ends[1]) / (2 * step))
    return np.array(found)


def numbers(v):
    """The index of each state in `states`."""
    v = np.asarray(v).reshape(-1, np.shape(v)[-1])
    return (v @ (1 << np.arange(v.shape[1]))).astype(int)


def assert_drawn_from(indices, p):
    """Chi-square at 1e-5; states expected fewer than five times are taken together."""
    count, expected = np.bincount(indices, minlength=len(p)), p * len(indices)
    rare = expected < 5
    if rare.any():
        count = np.append(count[~rare], count[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
        if expected[-1] < 5:
            assert count[-1] < 30
            count, expected = count[:-1], expected[:-1]
    statistic = ((count - expected) ** 2 / expected).sum()
    assert scipy.stats.chi2.sf(statistic, len(count) - 1) > 1e-5


def assert_annealing_covers(model, exact, num_seeds=50, num_chains=40):
    """At each number of temperatures: E w = Z / Z_0, and of so many seeds' intervals at least 47 hold log Z.

    Five standard errors for the first; 99 % coverage misses the second once in 500 (fixed seed). Tenfold
    temperatures make intervals at least twice as narrow, 10,000 of them a fiftieth of a nat or less.
    """
    log_z0, widths = float(model.log_z0()), []
    for number in TEMPERATURES:

        @tf.function(autograph=False, jit_compile=True)
        def weights(number=number):
            moved = lambda s, beta, seed: model.gibbs(s, seed, beta)  # noqa: E731
            chains = num_seeds * num_chains
            return annealed_log_weights(model.start, model.log_ratio, moved, [0, 3], number, chains)

        log_w = weights().numpy()
        w = np.exp(log_w - (exact - log_z0))
        assert abs(w.mean() - 1.0) < 5 * w.std() / math.sqrt(len(w)), (number, w.mean())
        each = [log_mean_weight(part, log_z0) for part in np.split(log_w, num_seeds)]
        inside = sum(float(f.low) <= exact <= float(f.high) for f in each)
        assert inside >= 47, (number, inside)
        widths.append(np.mean([float(f.high - f.low) for f in each]))
    assert all(few > 2 * many for few, many in zip(widths, widths[1:], strict=False)), widths
    assert widths[-1] < 0.05, widths


def gradients(model, x, num_seeds=60, copies=250, **fields):
    """Gradients of the objective on copies of the data, one row for each seed."""
    update = model.updates()[0]
    batch = {k: tf.constant(np.repeat(v, copies, axis=0)) for k, v in ({"x": x} | fields).items()}
    trainable = update.trainable

    @tf.function(autograph=False)
    def run(seed):
        values = [tf.convert_to_tensor(v.value) for v in trainable]
        with tf.GradientTape() as tape:
            tape.watch(values)
            with keras.StatelessScope(list(zip(trainable, values, strict=True))):
                loss, _ = update.objective(batch, seed, tf.constant(0, tf.int64))
        return tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, values)], 0)

    return np.stack([run(random.fold_in(tf.constant([0, 1]), i)).numpy() for i in range(num_seeds)])


def assert_mean_is(found, expected, sigmas=5.0, floor=1e-6):
    error = found.std(0, ddof=1) / math.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - expected) <= sigmas * error + floor)
    assert error.max() < 0.02
