"""Annealed importance sampling against normalizing constants that are known."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.estimators.ais import (
    annealed_importance_sampling,
    annealed_log_weights,
    log_mean_weight,
)

# An unnormalized density over 0 ... 4, reached from the uniform one by powers.
LOG_F = np.array([0.0, 3.0, -1.0, 2.0, -4.0])
LOG_Z = np.log(np.exp(LOG_F).sum())


def start(seed, num):
    return random.categorical(seed, tf.zeros([num, 5]))


def log_ratio(state, beta, next_beta):
    return (next_beta - beta) * tf.gather(tf.constant(LOG_F, tf.float32), state)


def transition(state, beta, seed):
    """Metropolis: a uniform proposal accepted by its density."""
    propose, accept = random.split(seed)
    new = random.categorical(propose, tf.zeros([state.shape[0], 5]))
    log_u = tf.math.log(random.uniform(accept, state.shape))
    log_f = beta * tf.constant(LOG_F, tf.float32)
    return tf.where(log_u < tf.gather(log_f, new) - tf.gather(log_f, state), new, state)


PATH = (start, log_ratio, transition)


@pytest.mark.slow
@pytest.mark.parametrize("num_temperatures", [2, 3, 6])
def test_mean_weight_is_unbiased_at_any_number_of_temperatures(num_temperatures):
    """Few temperatures leave far-off weights, whose mean is Z / Z_0 all the same.

    Five standard errors of 400,000 weights: false-failure rate 6e-7 each. Weighing after the move
    would be off by tens of them.
    """
    run = tf.function(lambda: annealed_log_weights(*PATH, 5, num_temperatures, 400_000), autograph=False)
    weights = np.exp(run().numpy())
    error = weights.std() / math.sqrt(len(weights))
    assert abs(weights.mean() - np.exp(LOG_Z) / 5) < 5 * error
    assert error < 0.02 * weights.mean()


@pytest.mark.slow
def test_interval_covers_log_z_as_often_as_it_says():
    """Of 1,000 runs of 100 chains, 99.7 % should hold log Z: at least 985.

    False-failure rate below 1e-6 at 99.5 % coverage, the shortfall of the delta method included.
    """
    run = tf.function(lambda: annealed_log_weights(*PATH, 6, 10, 100_000), autograph=False)
    groups = np.reshape(run().numpy(), (1000, 100))
    found = [log_mean_weight(g, math.log(5.0)) for g in groups]
    inside = sum(float(f.low) <= LOG_Z <= float(f.high) for f in found)
    assert inside >= 985
    # The interval is no wider than its coverage needs: the estimates spread as it says.
    widths = np.mean([float(f.high - f.low) for f in found]) / 6
    assert widths == pytest.approx(np.std([float(f.estimate) for f in found]), rel=0.15)


def test_in_reverse_the_mean_weight_is_the_inverse():
    """From exact draws of f_1, with temperatures of one's own: five standard errors of 400,000 weights."""
    p = tf.constant(LOG_F, tf.float32)[None]

    def of_model(seed, num):
        return random.categorical(seed, tf.tile(p, [num, 1]))

    path, betas = (of_model, log_ratio, transition), [0.0, 0.1, 0.6, 1.0]
    run = tf.function(
        lambda: annealed_log_weights(*path, 8, 10, 400_000, temperatures=betas, reverse=True), autograph=False
    )
    log_w = run().numpy()
    weights = np.exp(log_w)
    error = weights.std() / math.sqrt(len(weights))
    assert abs(weights.mean() - 5 / np.exp(LOG_Z)) < 5 * error
    found = log_mean_weight(log_w, math.log(5.0), reverse=True)
    assert float(found.low) <= LOG_Z <= float(found.high) and float(found.high - found.low) < 0.05


@pytest.mark.parametrize(
    "wrong", [[0.0, 0.5], [0.1, 1.0], [0.0, 0.6, 0.5, 1.0], [1.0, 0.0], [0.0], [[0.0, 1.0]]]
)
def test_temperatures_rise_from_0_to_1(wrong):
    with pytest.raises(
        ValueError, match="temperatures must be inverse temperatures that rise from 0 to 1, got"
    ):
        annealed_importance_sampling(*PATH, 0.0, temperatures=wrong)


def test_equal_weights_leave_no_doubt():
    found = log_mean_weight(tf.fill([10], 2.5), 1.0)
    np.testing.assert_allclose([found.estimate, found.low, found.high], 3.5, atol=1e-3)
    assert float(found.effective_sample_size) == pytest.approx(10)


def test_one_heavy_weight_is_seen():
    log_weights = np.zeros(100)
    log_weights[0] = 20.0
    found = log_mean_weight(log_weights)
    assert float(found.effective_sample_size) < 1.01
    # One of the chains carries everything: the standard error is the estimate itself.
    assert float(found.high - found.estimate) == pytest.approx(3.0, abs=0.01)


@pytest.mark.slow
def test_compiled_run_and_its_seed():
    found = [annealed_importance_sampling(*PATH, math.log(5.0), 500, 200, seed=s) for s in (1, 1, 2)]
    assert float(found[0].estimate) == float(found[1].estimate) != float(found[2].estimate)
    for f in found:
        assert float(f.low) <= LOG_Z <= float(f.high) and float(f.high - f.low) < 0.1


@pytest.mark.parametrize("argument", ["num_temperatures", "num_chains"])
def test_too_few_are_refused(argument):
    with pytest.raises(ValueError, match=f"{argument} must be a whole number of at least 2, got 1"):
        annealed_importance_sampling(*PATH, 0.0, **{argument: 1})


@pytest.mark.slow
def test_parts_that_are_told_of_are_one_path():
    """1,200 temperatures come in three calls, which weigh as one would."""
    found = annealed_importance_sampling(*PATH, math.log(5.0), 1200, 20, seed=7)
    whole = tf.function(lambda: annealed_log_weights(*PATH, 7, 1200, 20), jit_compile=True, autograph=False)
    np.testing.assert_allclose(found.log_weights, whole(), rtol=1e-6)
    assert abs(float(found.estimate) - LOG_Z) < 0.1
