"""Expectation maximization against scikit-learn, density against SciPy, sampler against density."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.mixture
import tensorflow as tf

from tests.classical.passes import run_passes
from tfgen import data
from tfgen.classical import GaussianMixture
from tfgen.data.points import grid_modes
from tfgen.training import train


def points(offset=0.0, num=500):
    """Three overlapping Gaussians in three dimensions."""
    draw = np.random.RandomState(0)
    centers = np.array([[0.0, 0.0, 0.0], [2.0, 1.0, -1.0], [-1.0, 2.0, 2.0]])
    shapes = draw.randn(3, 3, 3) * 0.7
    which = draw.choice(3, num, p=[0.5, 0.3, 0.2])
    x = centers[which] + np.einsum("nde,ne->nd", shapes[which], draw.randn(num, 3)) + offset
    return x.astype(np.float32)


def covariances(model):
    scales = model.scales.numpy().astype(np.float64)
    if model.covariance == "diag":
        return np.stack([np.diag(s**2) for s in scales])
    return scales @ scales.transpose(0, 2, 1)


def started(x, covariance="full", regularization=1e-6, num_components=4, event_shape=3):
    """A model at a crude start: some of x as means, unequal weights, broad covariances."""
    model = GaussianMixture(event_shape, num_components, covariance, regularization)
    model.means.assign(x.reshape(len(x), -1)[:num_components])
    model.logits.assign(np.log(np.arange(1.0, num_components + 1) / np.arange(1, num_components + 1).sum()))
    model.scales.assign(2.0 * model.scales.numpy())
    return model


@pytest.mark.slow
@pytest.mark.parametrize("regularization", [1e-6, 0.05])
@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_em_equals_scikit_learn(covariance, regularization):
    x = points()
    model = started(x, covariance, regularization)
    precisions = np.linalg.inv(covariances(model))
    peer = sklearn.mixture.GaussianMixture(
        4,
        covariance_type=covariance,
        reg_covar=regularization,
        tol=0.0,
        max_iter=7,
        weights_init=scipy.special.softmax(model.logits.numpy().astype(np.float64)),
        means_init=model.means.numpy(),
        precisions_init=precisions if covariance == "full" else np.stack([np.diag(p) for p in precisions]),
    )
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        peer.fit(x.astype(np.float64))
    run_passes(model, x, passes=7)
    expected = (
        peer.covariances_ if covariance == "full" else np.stack([np.diag(c) for c in peer.covariances_])
    )
    np.testing.assert_allclose(np.exp(model.logits.numpy()), peer.weights_, atol=1e-4)
    np.testing.assert_allclose(model.means.numpy(), peer.means_, atol=1e-4)
    np.testing.assert_allclose(covariances(model), expected, atol=1e-4)
    np.testing.assert_allclose(model.log_prob(x), peer.score_samples(x), atol=1e-4)
    np.testing.assert_allclose(model.responsibilities(x), peer.predict_proba(x), atol=1e-4)
    np.testing.assert_array_equal(model.classify(x), peer.predict(x))


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_em_never_lowers_the_likelihood(covariance):
    x = points()
    model = started(x, covariance, regularization=0.0)
    before = float(tf.reduce_mean(model.log_prob(x)))
    losses = run_passes(model, x, passes=25)
    # Each pass reports the loss of the weights it began with.
    assert losses[0] == pytest.approx(-before, abs=1e-5)
    assert np.all(np.diff(losses) < 1e-6) and losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_a_regularized_step_maximizes_the_penalized_expectation(covariance):
    x, strength = points(), 0.3
    model = started(x, covariance, strength)
    r = np.asarray(model.responsibilities(x), np.float64)
    run_passes(model, x, passes=1)

    def objective(logits, means, factors):
        total = np.sum(r @ scipy.special.log_softmax(logits))
        for k, factor in enumerate(factors):
            sigma = factor @ factor.T
            log_p = scipy.stats.multivariate_normal(means[k], sigma).logpdf(x)
            total += r[:, k] @ log_p - 0.5 * strength * r[:, k].sum() * np.trace(np.linalg.inv(sigma))
        return total / len(x)

    found = [model.logits.numpy(), model.means.numpy(), np.linalg.cholesky(covariances(model))]
    found = [v.astype(np.float64) for v in found]
    best, draw = objective(*found), np.random.RandomState(1)
    lower = np.eye(3) if covariance == "diag" else np.tril(np.ones((3, 3)))
    for part in range(3):
        for _ in range(20):
            moved = [v.copy() for v in found]
            step = 1e-3 * draw.randn(*moved[part].shape)
            moved[part] += step * lower if part == 2 else step
            assert objective(*moved) < best + 1e-9


def test_data_far_from_the_origin_lose_no_digits():
    near = points()
    far = near + np.float32(1000.0)
    near = (far - 1000.0).astype(np.float32)  # What float32 left of the data.
    models = [started(x) for x in (near, far)]
    for model, x in zip(models, (near, far), strict=True):
        run_passes(model, x, passes=5)
    np.testing.assert_allclose(models[1].means.numpy() - 1000.0, models[0].means.numpy(), atol=5e-4)
    np.testing.assert_allclose(covariances(models[1]), covariances(models[0]), atol=1e-3)
    np.testing.assert_allclose(models[1].log_prob(far), models[0].log_prob(near), atol=5e-3)


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_density_of_an_array_event(covariance):
    x = points(num=50).reshape(50, 3, 1)
    model = started(x, covariance, event_shape=(3, 1))
    run_passes(model, x, passes=3)
    weights = scipy.special.softmax(model.logits.numpy().astype(np.float64))
    log_p = [
        scipy.stats.multivariate_normal(m, c).logpdf(x[..., 0])
        for m, c in zip(model.means.numpy(), covariances(model), strict=True)
    ]
    expected = scipy.special.logsumexp(np.stack(log_p, -1), axis=-1, b=weights)
    np.testing.assert_allclose(model.log_prob(x), expected, atol=2e-4)
    np.testing.assert_allclose(model.distribution().log_prob(x), expected, atol=2e-4)
    assert model.distribution().event_shape == (3, 1)


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_samples_follow_the_density(covariance):
    """Kolmogorov-Smirnov on five projections, whose distribution is a known mixture in one dimension.

    False-failure rate below 5e-5 (five tests at 1e-5).
    """
    x = points()
    model = started(x, covariance)
    run_passes(model, x, passes=3)
    drawn = np.asarray(model.sample(20_000, seed=3), np.float64)
    weights = scipy.special.softmax(model.logits.numpy().astype(np.float64))
    for direction in np.random.RandomState(2).randn(5, 3):
        loc = model.means.numpy() @ direction
        scale = np.sqrt(np.einsum("d,kde,e->k", direction, covariances(model), direction))

        def cdf(v, loc=loc, scale=scale):
            return scipy.stats.norm.cdf((v[:, None] - loc) / scale) @ weights

        assert scipy.stats.kstest(drawn @ direction, cdf).pvalue > 1e-5


@pytest.mark.learn(always=True)
def test_begin_and_em_find_the_25_gaussians():
    train = data.load("gaussians25").train.x
    model = GaussianMixture(2, 25)
    model.begin({"x": train}, seed=0)
    run_passes(model, train, passes=2, batch_size=6000)
    centers, scale = grid_modes()
    distances = np.linalg.norm(model.means.numpy()[:, None] - centers, axis=-1)
    assert sorted(distances.argmin(1)) == list(range(25)) and distances.min(1).max() < 0.015
    np.testing.assert_allclose(covariances(model), np.tile(scale**2 * np.eye(2), (25, 1, 1)), atol=6e-4)
    # Entropy of one mode plus that of the choice.
    nats = 1.0 + np.log(2.0 * np.pi * scale**2) + np.log(25.0)
    assert -float(tf.reduce_mean(model.log_prob(train))) == pytest.approx(nats, abs=0.03)


def test_begin_depends_on_its_seed_alone():
    x = points()
    models = [GaussianMixture(3, 5) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        model.begin({"x": x}, seed)
    np.testing.assert_array_equal(models[0].means.numpy(), models[1].means.numpy())
    assert not np.array_equal(models[0].means.numpy(), models[2].means.numpy())


def test_bad_arguments_are_named():
    for arguments, message in [
        ({"num_components": 0}, "num_components must be a whole number of at least 1, got 0"),
        ({"covariance": "tied"}, "covariance must be one of 'diag', 'full', got 'tied'"),
        ({"regularization": -1.0}, "regularization must be a finite number, at least 0, got -1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            GaussianMixture(2, **arguments)
    for arguments, message in [
        ({"likelihood": "poisson"}, "likelihood must be one of 'gaussian', 'bernoulli', got 'poisson'"),
        ({"pseudo_count": -1}, "pseudo_count must be a finite number, at least 0, got -1"),
        ({"start": "rows"}, "start must be one of .* got 'rows'"),
    ]:
        with pytest.raises(ValueError, match=message):
            GaussianMixture(2, **arguments)
    with pytest.raises(ValueError, match="num_components=5 needs as many x, got 3"):
        GaussianMixture(3, 5).begin({"x": points(num=3)}, 0)
    broken = points(num=9)
    broken[4, 2] = np.nan
    with pytest.raises(ValueError, match="got nan in row 4, column 2: replace or leave out"):
        GaussianMixture(3, 5).begin({"x": broken}, 0)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_singular_covariances_are_refused_in_one_sentence(covariance):
    """At the start, and within a pass of a training; with regularization they are fitted."""
    x = points(num=60)
    x[:, 1] = 0.25
    message = "of components must be positive definite; .*: raise regularization, use fewer components, or"
    with pytest.raises(ValueError, match=message):
        GaussianMixture(3, 2, covariance, regularization=0.0).begin({"x": x}, 0)
    model = GaussianMixture(3, 2, covariance, regularization=0.0)
    model.begin = lambda batch, seed: None
    with pytest.raises(ValueError, match=message) as caught:
        train(model, data.Data.from_arrays(x), steps=2, batch_size=30, log=lambda line: None)
    assert "\n" not in str(caught.value)
    model = GaussianMixture(3, 2, covariance)
    model.begin({"x": x}, 0)
    losses = run_passes(model, x, passes=3)
    assert np.isfinite(losses).all() and np.all(np.diff(losses) < 1e-6)


def bits(num=300):
    """Two overlapping kinds of five bits, and a bit that is always 0."""
    draw = np.random.RandomState(0)
    rates = np.array([[0.9, 0.8, 0.1, 0.5, 0.3, 0.0], [0.2, 0.3, 0.7, 0.5, 0.9, 0.0]])
    return (draw.rand(num, 6) < rates[draw.choice(2, num)]).astype(np.float32)


@pytest.mark.parametrize("pseudo_count", [0.0, 1.0])
def test_em_of_bernoullis_equals_the_formulas(pseudo_count):
    """Five passes against NumPy; the likelihood, or its penalized form, never falls."""
    x = bits()
    model = GaussianMixture(6, 3, likelihood="bernoulli", pseudo_count=pseudo_count)
    weights, rates = np.full(3, 1 / 3), scipy.special.expit(model.entry_logits.numpy().astype(np.float64))
    objectives = []
    losses = run_passes(model, x, passes=5)
    for loss in losses:
        log_p = x @ np.log(rates).T + (1 - x) @ np.log1p(-rates).T + np.log(weights)
        total = scipy.special.logsumexp(log_p, axis=1)
        assert loss == pytest.approx(-total.mean(), abs=1e-5)
        objectives.append(total.sum() + pseudo_count * np.sum(np.log(rates) + np.log1p(-rates)))
        r = np.exp(log_p - total[:, None])
        weights = r.mean(axis=0)
        rates = (r.T @ x + pseudo_count) / (r.sum(axis=0)[:, None] + 2 * pseudo_count)
        rates = np.clip(rates, 1e-15, 1 - 1e-15)
    np.testing.assert_allclose(scipy.special.expit(model.entry_logits.numpy()), rates, atol=1e-5)
    np.testing.assert_allclose(scipy.special.softmax(model.logits.numpy()), weights, atol=1e-5)
    assert np.all(np.diff(objectives) > -1e-6)
    # An entry that was never 1 is possible with pseudo counts, and all but impossible without.
    odd = np.eye(6, dtype=np.float32)[[5]]
    assert (float(model.log_prob(odd)[0]) > -15.0) == (pseudo_count > 0)


@pytest.mark.learn
def test_a_mixture_of_bernoullis_finds_its_kinds():
    x = bits(5000)
    model = GaussianMixture(6, 2, likelihood="bernoulli")
    model.begin({"x": x}, seed=0)
    run_passes(model, x, passes=40, batch_size=5000)
    rates = np.array([[0.9, 0.8, 0.1, 0.5, 0.3, 0.0], [0.2, 0.3, 0.7, 0.5, 0.9, 0.0]])
    found = scipy.special.expit(model.entry_logits.numpy())
    found = found[np.argsort(-found[:, 0])]
    np.testing.assert_allclose(found, rates, atol=0.08)
    view = model.views(None, 5, None)["components"]
    np.testing.assert_allclose(np.sort(view.array[:, 0]), np.sort(found[:, 0]), atol=1e-6)
