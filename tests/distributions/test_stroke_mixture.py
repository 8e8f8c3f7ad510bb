"""StrokeMixture and its head against SciPy, quadrature and their formulas."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfgen import random
from tfgen.distributions import StrokeMixture
from tfgen.distributions.laws import Strokes

RNG = np.random.default_rng(3)
# Two mixtures of three components; the second is thin and slanted.
LOGITS = RNG.normal(size=(2, 3)).astype(np.float32)
LOC = RNG.normal(size=(2, 2, 3)).astype(np.float32)
SCALE = np.exp(RNG.normal(size=(2, 2, 3)) * 0.4 - [[[0.0]], [[1.0]]]).astype(np.float32)
CORRELATION = np.array([[0.0, 0.5, -0.8], [0.98, -0.9, 0.3]], np.float32)
PEN = np.array([-1.5, 0.4], np.float32)


def mixture():
    return StrokeMixture(LOGITS, LOC, SCALE, CORRELATION, PEN)


def reference(x, row):
    """log p of steps `[n, 3]`, by SciPy."""
    each = []
    for k in range(3):
        sx, sy = SCALE[row, :, k].astype(np.float64)
        shared = CORRELATION[row, k] * sx * sy
        normal = scipy.stats.multivariate_normal(LOC[row, :, k], [[sx * sx, shared], [shared, sy * sy]])
        each.append(normal.logpdf(x[:, :2]))
    log_weights = scipy.special.log_softmax(LOGITS[row].astype(np.float64))
    pen = scipy.stats.bernoulli(scipy.special.expit(PEN[row])).logpmf(x[:, 2])
    return scipy.special.logsumexp(np.stack(each, -1) + log_weights, axis=-1) + pen


def test_log_prob_is_scipys():
    x = np.concatenate([2 * RNG.normal(size=(50, 2)), RNG.integers(0, 2, (50, 1))], axis=1)
    found = mixture().log_prob(x[:, None].astype(np.float32)).numpy()
    assert found.shape == (50, 2) and mixture().batch_shape == (2,) and mixture().event_shape == (3,)
    for row in range(2):
        np.testing.assert_allclose(found[:, row], reference(x, row), rtol=2e-4, atol=2e-4)


@pytest.mark.slow
def test_density_integrates_to_one_over_offsets_and_pens():
    """The trapezoidal rule on a fine grid is exact to far below the tolerance for Gaussians."""
    grid = np.linspace(-15, 15, 1501, dtype=np.float32)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 1, 2)
    mass = sum(
        np.exp(mixture().log_prob(np.insert(points, 2, pen, axis=-1)).numpy().astype(np.float64)).sum(axis=0)
        for pen in (0.0, 1.0)
    )
    np.testing.assert_allclose(mass * (grid[1] - grid[0]) ** 2, 1.0, atol=1e-4)


def test_far_points_have_finite_densities_and_gradients():
    raw = tf.Variable(tf.random.stateless_normal((4, 13), [1, 2]) * 3.0)
    x = tf.constant([[1e4, -1e4, 1.0], [1e-8, 0.0, 0.0], [300.0, 0.0, 1.0], [-5.0, 1e3, 0.0]])
    with tf.GradientTape() as tape:
        log_prob = Strokes(2)(raw).log_prob(x)
    assert np.all(np.isfinite(log_prob)) and np.all(np.isfinite(tape.gradient(log_prob, raw)))


def test_the_head_is_the_papers_with_its_bias():
    raw, bias, num = RNG.normal(size=(5, 25)).astype(np.float32), 1.3, 4
    pi, mx, my, sx, sy, rho = (raw[:, i * num : (i + 1) * num] for i in range(6))
    biased = Strokes(num, bias)(raw)
    np.testing.assert_allclose(
        tf.nn.softmax(biased.logits), scipy.special.softmax(pi * (1 + bias), axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(biased.loc, np.stack([mx, my], 1))
    np.testing.assert_allclose(biased.scale, np.exp(np.stack([sx, sy], 1) - bias) + 0.01, rtol=1e-5)
    np.testing.assert_allclose(biased.correlation, 0.99 * np.tanh(rho), rtol=1e-5)
    np.testing.assert_allclose(biased.pen, raw[:, 24])


def test_temperature_divides_logits_and_multiplies_scales():
    cold = mixture().tempered(0.5)
    np.testing.assert_allclose(
        tf.nn.softmax(cold.logits), scipy.special.softmax(LOGITS * 2, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(cold.scale, SCALE / 2)
    np.testing.assert_allclose(cold.pen, PEN * 2)
    frozen = mixture().tempered(0.0).from_uniform(random.uniform(tf.constant([1, 2]), (50, 2, 4)))
    best = LOGITS.argmax(axis=1)
    mode = np.stack([np.append(LOC[row, :, best[row]], PEN[row] > 0) for row in range(2)])
    np.testing.assert_allclose(frozen, np.broadcast_to(mode, (50, 2, 3)), rtol=1e-6)


def test_samples_follow_the_density():
    """Kolmogorov-Smirnov on three projections, a binomial test of the pen: false failures 1 in 10^4 each."""
    x = mixture().sample(20_000, seed=[5, 6]).numpy()
    for row in range(2):
        weights = scipy.special.softmax(LOGITS[row].astype(np.float64))
        sx, sy = SCALE[row].astype(np.float64)
        for a, b in ((1.0, 0.0), (0.0, 1.0), (1.0, -0.7)):
            center = a * LOC[row, 0] + b * LOC[row, 1]
            spread = np.sqrt((a * sx) ** 2 + (b * sy) ** 2 + 2 * a * b * CORRELATION[row] * sx * sy)

            def cdf(value, center=center, spread=spread, weights=weights):
                return (weights * scipy.stats.norm.cdf((value[:, None] - center) / spread)).sum(axis=1)

            assert scipy.stats.kstest(a * x[:, row, 0] + b * x[:, row, 1], cdf).pvalue > 1e-4
        lifts = int(x[:, row, 2].sum())
        assert scipy.stats.binomtest(lifts, 20_000, scipy.special.expit(PEN[row])).pvalue > 1e-4
