"""The Gaussian-Bernoulli RBM against its energy in NumPy, sums over hidden states and quadrature over v."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from scipy.special import logsumexp

from tests.energy.machine_checks import (
    assert_annealing_covers,
    assert_mean_is,
    gradients,
    slope,
    states,
)
from tfgen.energy import GaussianBernoulliRBM

H = states(3)
# Midpoints of a grid that holds all mass but 1e-9.
AXIS = np.linspace(-14.0, 14.0, 561)[:-1] + 0.025
GRID = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), -1).reshape(-1, 2)
CELL = 0.05**2
NAMES = ("kernel", "visible_mean", "log_variance", "hidden_bias")


def make(**kwargs):
    draw = np.random.RandomState(1)
    model = GaussianBernoulliRBM(2, num_hidden=3, **kwargs)
    for name in NAMES:
        variable = getattr(model, name)
        variable.assign(0.7 * draw.randn(*variable.shape))
    model.base_mean.assign([0.3, -0.2])
    model.base_log_variance.assign([0.8, 0.4])
    if model.visible_offset is not None:
        model.visible_offset.assign([0.9, -0.4])
        model.hidden_offset.assign([0.2, 0.5, 0.7])
    return model


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "centred"])
def model(request):
    return make(centring=request.param)


def log_f(theta, v):
    """-E(v, h) for every h: `[batch, 8]`, by the paper's formula."""
    w, b, z, c, *offsets = theta
    s2, (m, half) = np.exp(z), offsets or (0.0, 0.0)
    return -((v - b) ** 2 / (2 * s2)).sum(1)[:, None] + H @ c + ((v - m) / s2) @ w @ (H - half).T


def parameters(model):
    names = NAMES if model.visible_offset is None else (*NAMES, "visible_offset", "hidden_offset")
    return [np.asarray(getattr(model, name), np.float64) for name in names]


def quadrature(theta):
    """log Z by the midpoint rule."""
    return logsumexp(log_f(theta, GRID)) + np.log(CELL)


def test_energy_free_energy_and_log_z(model):
    theta, v = parameters(model), GRID[::30011]
    every = log_f(theta, v)
    x, h = np.repeat(v, 8, axis=0), np.tile(H, (len(v), 1))
    np.testing.assert_allclose(model.energy(x, h), -every.reshape(-1), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(model.log_prob(v), logsumexp(every, axis=1), rtol=1e-5, atol=1e-4)
    assert float(model.log_partition()) == pytest.approx(quadrature(theta), abs=1e-5)


def test_conditionals_are_the_joint_s(model):
    """h | v by sums over h; v | h by moments of quadrature, and draws of it by its distribution function."""
    theta = parameters(model)
    v = GRID[::30011]
    p = np.exp(log_f(theta, v) - logsumexp(log_f(theta, v), axis=1, keepdims=True))
    np.testing.assert_allclose(model.encode(v), p @ H, atol=1e-5)
    for k in (2, 7):
        weights = np.exp(log_f(theta, GRID)[:, k] - logsumexp(log_f(theta, GRID)[:, k]))
        mean, units = weights @ GRID, model.joint.units["v"]
        field = model.joint.field("v", {"h": tf.constant(H[[k]], tf.float32)})
        np.testing.assert_allclose(units.mean(field)[0], mean, atol=1e-5)
        drawn = units.draw(tf.constant([0, k]), tf.repeat(field, 20_000, axis=0)).numpy()
        deviation = np.sqrt(weights @ (GRID - mean) ** 2)
        for i in range(2):
            assert scipy.stats.kstest(drawn[:, i], "norm", (mean[i], deviation[i])).pvalue > 1e-5


@pytest.mark.slow
def test_chains_reach_the_density(model):
    """Cells of the plane, from independent units in 60 sweeps: chi-square at 1e-5; at temperature 1/2 too."""
    theta = parameters(model)
    for temperature in (1.0, 0.5):
        each = log_f(theta, GRID) / temperature
        p = np.exp(logsumexp(each, axis=1) - logsumexp(each))
        edges = [-15.0, -2.0, -0.5, 0.5, 2.0, 15.0]
        place = [np.digitize(GRID[:, i], edges[1:-1]) for i in range(2)]
        expected = np.bincount(place[0] * 5 + place[1], weights=p, minlength=25)
        drawn = model.sample(10_000, seed=4, num_steps=60, temperature=temperature).numpy()
        found = [np.digitize(drawn[:, i], edges[1:-1]) for i in range(2)]
        found = np.bincount(found[0] * 5 + found[1], minlength=25)
        many = 10_000 * expected > 5
        found = np.append(found[many], found[~many].sum() + 1)
        expected = np.append(expected[many], expected[~many].sum() + 1e-4)
        assert scipy.stats.chisquare(found, found.sum() * expected / expected.sum()).pvalue > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("start", ["base_rates", "uniform"])
def test_annealing_holds_log_z(model, start):
    """Within three standard errors of quadrature, from either start and in reverse (fixed seeds)."""
    exact = quadrature(parameters(model))
    for reverse in (False, True):
        found = model.anneal(300, 200, seed=4, start=start, reverse=reverse)
        assert float(found.low) <= exact <= float(found.high)
        assert float(found.high - found.low) < 0.6 and found.effective_sample_size > 100


@pytest.mark.slow
def test_annealing_is_unbiased_and_its_intervals_cover(model):
    assert_annealing_covers(model, quadrature(parameters(model)))


@pytest.mark.parametrize("centring", [False, True])
def test_gradients(centring):
    """CD of many sweeps is the exact gradient, variances included."""
    data = np.array([[1.0, -1.0], [0.5, 2.0], [-1.5, 0.3]], np.float32)
    model = make(estimator="cd", num_gibbs=25, centring=centring)
    order = [NAMES.index(v.name) for v in model.trainable_variables]
    offsets = parameters(model)[4:]

    def definition(theta):
        theta = [theta[order.index(i)] for i in range(4)] + offsets
        return quadrature(theta) - logsumexp(log_f(theta, data), axis=1).mean()

    # A coarser grid is exact enough: the midpoint rule of a smooth density converges at once.
    global GRID, CELL
    kept, every = (GRID, CELL), slice(None, None, 4)
    GRID, CELL = np.stack(np.meshgrid(AXIS[every], AXIS[every]), -1).reshape(-1, 2), 0.2**2
    try:
        exact = slope(definition, [parameters(model)[i] for i in order])
    finally:
        GRID, CELL = kept
    assert_mean_is(gradients(model, data, num_seeds=40), exact)


def test_training_starts_at_the_data_and_refuses_what_flips():
    x = np.random.RandomState(0).randn(500, 2) * [2.0, 0.5] + [3.0, -1.0]
    model = GaussianBernoulliRBM(2, 3, learn_variance=False)
    assert "log_variance" not in [v.name for v in model.trainable_variables]
    model.begin({"x": x}, 0)
    np.testing.assert_allclose(model.visible_mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(np.exp(model.log_variance), x.var(0), rtol=1e-5)
    model.begin({"x": x * [1.0, 0.0]}, 0)
    np.testing.assert_allclose(np.exp(model.log_variance)[1], 0.005 * x[:, 0].var(), rtol=1e-5)
    centred = GaussianBernoulliRBM(2, 3, centring=True)
    centred.begin({"x": x}, 0)
    np.testing.assert_allclose(centred.visible_offset, x.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(centred.hidden_offset, [0.5, 0.5, 0.5])
    for estimator in ("pseudo_likelihood", "ratio_matching"):
        with pytest.raises(ValueError, match=f"estimator='{estimator}' needs binary visible units"):
            GaussianBernoulliRBM(2, 3, estimator=estimator)
    with pytest.raises(ValueError, match=r"at most 2\^20 states of units, got 2\^21"):
        GaussianBernoulliRBM(30, 21).log_partition()
