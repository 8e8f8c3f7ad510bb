"""`DiscretizedLogistic` against integrals, enumeration and float64 differences."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from tfgen.distributions import DiscretizedLogistic


def masses(loc, scale, num_values):
    levels = np.arange(num_values, dtype=np.float32)
    return np.exp(DiscretizedLogistic(loc, scale, num_values).log_prob(levels).numpy())


@pytest.mark.parametrize("num_values", [2, 5, 256])
@pytest.mark.parametrize("scale", [1e-3, 0.3, 5.0, 1e3, 1e6])
@pytest.mark.parametrize("loc", [-300.0, 0.0, 3.3, 127.0, 400.0])
def test_masses_sum_to_one(loc, scale, num_values):
    np.testing.assert_allclose(masses(loc, scale, num_values).sum(), 1.0, atol=2e-5)


@given(st.floats(-50, 400), st.floats(0.02, 300), st.integers(2, 257))
def test_masses_of_any_parameters_sum_to_one(loc, scale, num_values):
    log_p = DiscretizedLogistic(loc, scale, num_values).log_prob(np.arange(num_values, dtype=np.float32))
    assert np.all(np.isfinite(log_p))
    np.testing.assert_allclose(np.exp(log_p.numpy().astype(np.float64)).sum(), 1.0, atol=2e-5)


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("loc", [-2.0, 1.4, 4.2])
def test_masses_are_integrals_of_the_logistic_density(loc, scale):
    edges = [-np.inf, 0.5, 1.5, 2.5, 3.5, np.inf]
    density = stats.logistic(loc, scale).pdf
    want = [integrate.quad(density, a, b)[0] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    np.testing.assert_allclose(masses(loc, scale, 5), want, atol=1e-6)


def test_far_tails_keep_their_logarithms():
    # A plain difference of two sigmoids would be 0 here, its logarithm -inf.
    got = DiscretizedLogistic(0.0, 1.0, 256).log_prob([100.0, 200.0]).numpy()
    want = -np.array([100.0, 200.0]) + np.log(2 * np.sinh(0.5))
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_gradients_are_finite_everywhere(scale):
    loc, scale = tf.Variable([-1e4, 0.0, 100.5, 1e4]), tf.Variable([scale] * 4)
    with tf.GradientTape() as tape:
        levels = np.array([[0.0], [17.0], [255.0]], np.float32)
        total = tf.reduce_sum(DiscretizedLogistic(loc, scale).log_prob(levels))
    for gradient in tape.gradient(total, [loc, scale]):
        assert np.isfinite(gradient.numpy()).all()


def test_gradients_are_those_of_float64_differences():
    point = np.array([3.3, 1.7])
    levels = np.arange(8.0)

    def reference(loc, scale):
        cdf = stats.logistic(loc, scale).cdf(np.arange(7) + 0.5)
        return np.log(np.diff(np.concatenate([[0.0], cdf, [1.0]]))) @ levels

    loc, scale = tf.Variable(point[0], dtype=tf.float32), tf.Variable(point[1], dtype=tf.float32)
    with tf.GradientTape() as tape:
        log_prob = DiscretizedLogistic(loc, scale, 8).log_prob(levels.astype(np.float32))
        total = tf.reduce_sum(log_prob * levels.astype(np.float32))
    got = [g.numpy() for g in tape.gradient(total, [loc, scale])]
    steps = 1e-5 * np.eye(2)
    want = [(reference(*(point + h)) - reference(*(point - h))) / 2e-5 for h in steps]
    np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.parametrize("loc,scale", [(-3.0, 0.5), (2.2, 0.1), (2.9, 3.0), (6.4, 9.0)])
def test_mean_and_mode_by_enumeration(loc, scale):
    levels, distribution = np.arange(8), DiscretizedLogistic(loc, scale, 8)
    p = masses(loc, scale, 8)
    np.testing.assert_allclose(distribution.mean(), p @ levels, rtol=1e-5, atol=1e-5)
    assert float(distribution.mode()) == p.argmax()


def test_samples_follow_the_masses():
    # Chi-square with 6 degrees of freedom; fails by chance once in 10^6 seeds.
    x = DiscretizedLogistic(2.2, 1.3, 7).sample(20000, seed=tf.constant([3, 4])).numpy()
    counts = np.bincount(x.astype(int), minlength=7)
    p = masses(2.2, 1.3, 7).astype(np.float64)
    assert stats.chisquare(counts, 20000 * p / p.sum()).pvalue > 1e-6


def test_one_level_is_refused():
    with pytest.raises(ValueError, match="num_values must be a whole number of at least 2, got 1"):
        DiscretizedLogistic(0.0, 1.0, 1)
