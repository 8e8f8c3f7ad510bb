"""The K-sample bound on a normal model whose evidence is known, q a wrong normal."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random
from tfgen.distributions import draw
from tfgen.estimators.importance import importance_bound, seeds_of

tfd = tfp.distributions
SEED = tf.constant([1, 2])
NUM = 4000
X = draw(tfd.Normal(0.0, np.float32(np.sqrt(2.0))), SEED, [NUM])  # z ~ N(0, 1), x ~ N(z, 1)
EVIDENCE = tfd.Normal(0.0, np.float32(np.sqrt(2.0))).log_prob(X).numpy()
Q = tfd.Normal(0.4 * X, 1.0)  # exact: N(x / 2, 1 / 2)


def log_weights(seeds):
    z = draw(Q, seeds, tf.shape(seeds)[:1])
    return tfd.Normal(0.0, 1.0).log_prob(z) + tfd.Normal(z, 1.0).log_prob(X) - Q.log_prob(z)


@pytest.fixture(scope="module")
def bounds():
    seeds = random.rows(SEED, NUM)
    return {k: importance_bound(log_weights, seeds, k, 64) for k in (1, 5, 300)}


def test_mean_weights_are_unbiased(bounds):
    for bound in bounds.values():
        ratio = np.exp(bound.bound.numpy() - EVIDENCE)
        error = ratio.std() / np.sqrt(NUM)
        assert abs(ratio.mean() - 1.0) < 5 * error  # false-failure rate 6e-7


def test_bound_rises_from_the_elbo_to_the_evidence(bounds):
    gaps = {k: EVIDENCE - b.bound.numpy() for k, b in bounds.items()}
    divergence = tfd.Normal(X / 2, np.float32(np.sqrt(0.5)))
    exact_gap = np.mean(tfd.kl_divergence(Q, divergence))
    assert abs(gaps[1].mean() - exact_gap) < 5 * gaps[1].std() / np.sqrt(NUM)
    for fewer, more in ((1, 5), (5, 300)):
        rise = gaps[fewer] - gaps[more]
        assert rise.mean() > 5 * rise.std() / np.sqrt(NUM)
    assert abs(gaps[300].mean()) < 0.01


def test_standard_error_is_calibrated(bounds):
    b = bounds[300]
    z = (b.bound.numpy() - EVIDENCE) / b.standard_error.numpy()
    assert 0.85 < z.std() < 1.15
    assert np.isinf(bounds[1].standard_error.numpy()).all()


def test_effective_sample_size():
    log_w = np.float32([[0.0, 0.0], [0.0, -np.inf], [0.0, -np.inf], [0.0, -np.inf]])
    got = importance_bound(lambda s: tf.constant(log_w), random.rows(SEED, 2), 4)
    np.testing.assert_allclose(got.effective_sample_size, [4.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(got.bound, [0.0, -np.log(4)], atol=1e-6)
    # var(w) / K / mean(w)^2 with mean 1/4 and unbiased variance 1/4.
    np.testing.assert_allclose(got.standard_error, [0.0, 1.0], atol=1e-3)


def test_chunks_do_not_change_the_bound():
    seeds = random.rows(SEED, NUM)
    whole = importance_bound(log_weights, seeds, 10, 10)
    for size in (1, 3, 4):
        np.testing.assert_allclose(
            importance_bound(log_weights, seeds, 10, size).bound, whole.bound, atol=1e-5
        )


def test_seeds_depend_on_the_values_of_x_alone():
    x = tf.constant(np.random.RandomState(0).randint(0, 2, [500, 12]), tf.float32)
    seeds = seeds_of(x, SEED).numpy()
    np.testing.assert_array_equal(seeds_of(x[7:9], SEED), seeds[7:9])
    np.testing.assert_array_equal(seeds_of(x * -0.0 + x, SEED), seeds)
    assert len(np.unique(seeds, axis=0)) == len(np.unique(x, axis=0))
    assert (seeds_of(x[:, ::-1], SEED).numpy() != seeds).any(1).mean() > 0.9
    assert (seeds_of(x, tf.constant([1, 3])).numpy() != seeds).all(1).all()


@pytest.mark.parametrize("num", [0, -1, 2.5, True])
def test_wrong_numbers_of_samples_are_refused(num):
    with pytest.raises(ValueError, match=f"num_samples must be a whole number of at least 1, got {num}"):
        importance_bound(log_weights, random.rows(SEED, NUM), num)
