"""Probabilistic PCA against scikit-learn, SciPy and the conditionals of the whole Gaussian."""

import numpy as np
import pytest
import scipy.stats
import sklearn.decomposition
import tensorflow as tf

from tests.classical.passes import run_passes
from tfgen import data
from tfgen.classical import ProbabilisticPCA
from tfgen.training import train


def plane(num=1000, dims=6, directions=2, offset=0.0, seed=0):
    """Points about a plane: few directions of different lengths, and noise."""
    draw = np.random.RandomState(seed)
    loadings = draw.randn(dims, directions) * np.arange(2, directions + 2)
    x = draw.randn(num, directions) @ loadings.T + 0.5 * draw.randn(num, dims) + draw.randn(dims) + offset
    return x.astype(np.float32)


def holes(x, share=0.2, seed=1):
    """x with so many entries NaN, one row without any entry."""
    x = np.where(np.random.RandomState(seed).rand(*x.shape) < share, np.nan, x)
    x[3] = np.nan
    return x.astype(np.float32)


def fitted(x, num_components=2, passes=1, **arguments):
    model = ProbabilisticPCA(x.shape[1:], num_components, **arguments)
    model.begin({"x": x}, 0)
    return model, run_passes(model, x, passes)


def covariance(model):
    loadings = model.loadings.numpy().astype(np.float64)
    return loadings @ loadings.T + float(model.noise) * np.eye(len(loadings))


def gaussian(model):
    return scipy.stats.multivariate_normal(model.mean.numpy().astype(np.float64), covariance(model))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_closed_form_equals_scikit_learn(offset):
    """Its covariance divides by N - 1: that is taken back, and the score agrees either way."""
    x = plane(offset=offset)
    model, _ = fitted(x)
    peer = sklearn.decomposition.PCA(2, svd_solver="full").fit(x.astype(np.float64))
    np.testing.assert_allclose(covariance(model), peer.get_covariance() * 999 / 1000, rtol=1e-4, atol=2e-4)
    assert float(tf.reduce_mean(model.log_prob(x))) == pytest.approx(
        peer.score(x.astype(np.float64)), abs=1e-4
    )
    # The same lines, and largest entries that are positive.
    units = model.loadings.numpy() / np.linalg.norm(model.loadings.numpy(), axis=0)
    np.testing.assert_allclose(np.abs(np.sum(units * peer.components_.T, axis=0)), 1.0, atol=1e-5)
    assert np.all(np.take_along_axis(units, np.abs(units).argmax(0)[None], axis=0) > 0)


@pytest.mark.slow
def test_em_ends_at_the_closed_form_and_never_falls():
    x = plane()
    exact, _ = fitted(x)
    model, losses = fitted(x, algorithm="em", passes=80)
    assert np.all(np.diff(losses) < 1e-6) and losses[-1] < losses[0] - 1.0
    np.testing.assert_allclose(covariance(model), covariance(exact), atol=2e-3)
    np.testing.assert_allclose(model.mean.numpy(), exact.mean.numpy(), atol=1e-4)
    best = float(tf.reduce_mean(exact.log_prob(x)))
    assert float(tf.reduce_mean(model.log_prob(x))) == pytest.approx(best, abs=1e-5)
    # What a pass reports is the loss of the weights before it.
    assert run_passes(exact, x, 1)[0] == pytest.approx(-best, abs=1e-5)


def test_density_posterior_and_likelihood_are_those_of_the_joint():
    """z | x and x by the whole Gaussian of (z, x), of an x of two axes."""
    x = plane(200).reshape(200, 3, 2)
    model, _ = fitted(x)
    flat = x.reshape(200, 6)
    expected = gaussian(model).logpdf(flat)
    np.testing.assert_allclose(model.log_prob(x), expected, atol=1e-4)
    np.testing.assert_allclose(model.distribution().log_prob(x), expected, atol=2e-3)
    assert model.distribution().event_shape == (3, 2)
    loadings = model.loadings.numpy().astype(np.float64)
    gain = loadings.T @ np.linalg.inv(covariance(model))
    posterior = model.posterior(x)
    np.testing.assert_allclose(posterior.mean(), (flat - model.mean.numpy()) @ gain.T, atol=1e-4)
    np.testing.assert_allclose(posterior.covariance()[7], np.eye(2) - gain @ loadings, atol=1e-5)
    np.testing.assert_allclose(model.encode(x), posterior.mean(), atol=1e-6)
    z = np.random.RandomState(2).randn(200, 2).astype(np.float32)
    # Bayes' rule: p(x) = p(z) p(x | z) / p(z | x), whatever z.
    bayes = model.prior().log_prob(z) + model.likelihood(z).log_prob(x) - posterior.log_prob(z)
    np.testing.assert_allclose(bayes, expected, atol=2e-3)
    rebuilt = model.likelihood(model.encode(x)).mean()
    np.testing.assert_allclose(model.reconstruct(x), rebuilt, atol=1e-5)
    served = model.signatures()["reconstruct"].function(tf.constant(x))["x"]
    np.testing.assert_allclose(served, rebuilt, atol=1e-5)


def test_missing_entries_are_integrated_out():
    """Density and posterior against the marginals and conditionals of the Gaussian that SciPy has."""
    x = plane(300)
    whole, _ = fitted(x)
    model = ProbabilisticPCA(6, 2, missing=True)
    model.set_weights(whole.get_weights())
    broken = holes(x)
    log_p, z, filled = model.log_prob(broken), model.posterior(broken), model.reconstruct(broken).numpy()
    mean, sigma = model.mean.numpy().astype(np.float64), covariance(model)
    loadings = model.loadings.numpy().astype(np.float64)
    for n in range(40):
        known = np.isfinite(broken[n])
        if not known.any():
            assert float(log_p[n]) == pytest.approx(0.0, abs=1e-6)
            np.testing.assert_allclose(filled[n], mean, atol=1e-5)
            continue
        part = sigma[np.ix_(known, known)]
        y = broken[n, known] - mean[known]
        assert float(log_p[n]) == pytest.approx(
            scipy.stats.multivariate_normal(mean[known], part).logpdf(broken[n, known]), abs=1e-4
        )
        gain = loadings[known].T @ np.linalg.inv(part)
        np.testing.assert_allclose(z.mean()[n], gain @ y, atol=1e-4)
        np.testing.assert_allclose(z.covariance()[n], np.eye(2) - gain @ loadings[known], atol=1e-4)
        guess = mean[~known] + sigma[np.ix_(~known, known)] @ np.linalg.solve(part, y)
        np.testing.assert_allclose(filled[n, ~known], guess, atol=1e-3)
    np.testing.assert_allclose(model.log_prob(x), whole.log_prob(x), atol=1e-5)


@pytest.mark.slow
def test_em_with_missing_entries_climbs_the_likelihood_of_what_is_known():
    """It never falls, is stationary by finite differences at the end, and fills holes better than means."""
    x = plane()
    broken = holes(x)
    model, losses = fitted(broken, missing=True, passes=120)
    assert np.all(np.diff(losses) < 1e-6) and losses[-1] < losses[0] - 1.0
    best = float(tf.reduce_mean(tf.cast(model.log_prob(broken), tf.float64)))
    draw = np.random.RandomState(3)
    for variable in (model.mean, model.loadings, model.noise):
        kept, step = variable.numpy(), 0.004
        direction = draw.choice([-1.0, 1.0], kept.shape).astype(np.float32)
        ends = []
        for size in (step, -step):
            variable.assign(kept * (1 + size * direction))
            ends.append(float(tf.reduce_mean(tf.cast(model.log_prob(broken), tf.float64))))
        variable.assign(kept)
        assert max(ends) < best and abs(ends[0] - ends[1]) / (2 * step) < 1e-3
    unknown = np.isnan(broken)
    errors = np.square(np.where(unknown, model.reconstruct(broken) - x, 0.0)).sum()
    means = np.square(np.where(unknown, np.nanmean(broken, axis=0) - x, 0.0)).sum()
    assert errors < 0.3 * means


def test_held_out_evidence_chooses_the_number_of_directions():
    x = plane(2000, directions=3)
    x, held_out = x[:100], x[100:]
    model, _ = fitted(x, num_components=5)
    found = model.evidence(held_out).numpy()
    assert found.shape == (6,) and found.argmax() == 3
    variance = np.square(x - x.mean(0)).mean()
    alone = scipy.stats.multivariate_normal(x.mean(0).astype(np.float64), variance * np.eye(6))
    assert found[0] == pytest.approx(alone.logpdf(held_out).mean(), abs=1e-4)
    for num in (1, 2, 3, 5):
        fewer, _ = fitted(x, num_components=num)
        assert found[num] == pytest.approx(float(tf.reduce_mean(fewer.log_prob(held_out))), abs=1e-4)
        cut = model.with_components(num)
        assert cut.num_components == num
        np.testing.assert_allclose(covariance(cut), covariance(fewer), atol=1e-3)
    whole = data.Data.from_arrays(np.concatenate([x, held_out]))
    assert model.test_metrics(whole, None)["num_components"]["value"] == 3
    with pytest.raises(ValueError, match="num=6 must be at most num_components=5: train with more"):
        model.with_components(6)


def test_samples_follow_the_density_and_complete_what_is_given():
    """Kolmogorov-Smirnov, false failures below 6e-5; conditionals of the Gaussian for what is given."""
    x = plane(500)
    model, _ = fitted(x)
    mean, sigma = model.mean.numpy().astype(np.float64), covariance(model)
    drawn = np.asarray(model.sample(20_000, seed=3), np.float64)
    directions = np.random.RandomState(2).randn(3, 6)
    for direction in directions:
        law = scipy.stats.norm(mean @ direction, np.sqrt(direction @ sigma @ direction))
        assert scipy.stats.kstest(drawn @ direction, law.cdf).pvalue > 1e-5
    known = np.array([1, 0, 1, 0, 0, 1], bool)
    drawn = np.asarray(model.sample(20_000, seed=4, given=x[5], mask=known), np.float64)
    np.testing.assert_array_equal(drawn[:, known], np.tile(x[5, known], (20_000, 1)))
    gain = sigma[np.ix_(~known, known)] @ np.linalg.inv(sigma[np.ix_(known, known)])
    center = mean[~known] + gain @ (x[5, known] - mean[known])
    rest = sigma[np.ix_(~known, ~known)] - gain @ sigma[np.ix_(known, ~known)]
    for direction in directions[:, ~known]:
        law = scipy.stats.norm(center @ direction, np.sqrt(direction @ rest @ direction))
        assert scipy.stats.kstest(drawn[:, ~known] @ direction, law.cdf).pvalue > 1e-5


@pytest.mark.learn
def test_a_training_explains_the_digits_and_one_with_holes_nearly():
    digits = data.load("digits")
    model = ProbabilisticPCA(digits.event_shape, 10)
    train(model, digits, steps=6, batch_size=500, seed=0, log=lambda line: None)
    x = digits.train.x.reshape(len(digits.train), -1) / 16.0
    peer = sklearn.decomposition.PCA(10, svd_solver="full").fit(x)
    assert float(tf.reduce_mean(model.log_prob(digits.train.x / np.float32(16.0)))) == pytest.approx(
        peer.score(x), abs=2e-3
    )
    assert model.test_metrics(digits, None)["explained_variance"]["value"] > 0.6
    views = model.views(digits, 4, None)
    assert views["components"].array.shape == (4, 5, 8, 8, 1)
    assert views["reconstructions"].array.shape == (2, 4, 8, 8, 1)
    np.testing.assert_allclose(
        views["components"].array[0, 2], model.mean.numpy().reshape(8, 8, 1), atol=1e-6
    )

    x = plane(400)
    table = data.Data.from_arrays(x)
    with pytest.raises(data.DataError, match="x misses values, nan in row"):
        data.Data.from_arrays(holes(x))
    broken = data.Data.from_arrays(holes(x), missing=True)
    np.testing.assert_array_equal(
        np.where(np.isnan(broken.train.x), table.train.x, broken.train.x), table.train.x
    )
    scaled = data.Data.from_arrays(holes(x), missing=True, standardize=True)
    np.testing.assert_allclose(np.nanmean(scaled.train.x, axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(scaled.mean, np.nanmean(broken.train.x.astype(np.float64), axis=0), atol=1e-6)
    whole = fitted(table.train.x)[0]
    model = ProbabilisticPCA(6, 2, missing=True)
    history = train(
        model, broken, steps=30, batch_size=len(table.train), checkpoint_every=2, log=lambda line: None
    )
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    apart = np.linalg.norm(covariance(model) - covariance(whole)) / np.linalg.norm(covariance(whole))
    assert apart < 0.05
    with pytest.raises(
        ValueError, match=r"must hold finite values; .* in row \d+, column \d+ of the training split .* NaN"
    ):
        train(ProbabilisticPCA(6, 2), broken, steps=1, log=lambda line: None)


def test_bad_arguments_are_named():
    for arguments, message in [
        ({"num_components": 3}, "num_components=3 must be below the number of entries of x, 3"),
        ({"num_components": 0}, "num_components must be a whole number of at least 1, got 0"),
        ({"algorithm": "power"}, "algorithm must be one of 'auto', 'closed_form', 'em', got 'power'"),
        ({"regularization": 0.0}, "regularization must be a finite number, above 0, got 0.0"),
        ({"algorithm": "closed_form", "missing": True}, "algorithm='closed_form' needs every entry of x"),
    ]:
        with pytest.raises(ValueError, match=message):
            ProbabilisticPCA(3, **arguments)
    x = plane(20)
    broken = holes(x)
    with pytest.raises(ValueError, match=r"got nan in row \d+, column \d+: replace it, or take missing=True"):
        ProbabilisticPCA(6).begin({"x": broken}, 0)
    with pytest.raises(ValueError, match="must hold finite values; .* NaN"):
        ProbabilisticPCA(6).log_prob(broken)
    broken[:, 4] = np.nan
    with pytest.raises(ValueError, match="column 4 of x is missing in all 20 rows: leave it out"):
        ProbabilisticPCA(6, missing=True).begin({"x": broken}, 0)
    with pytest.raises(ValueError, match="must hold finite values, or NaN where one is missing; .* to inf"):
        ProbabilisticPCA(6, missing=True).log_prob(np.where(np.isnan(broken), np.inf, broken))
    with pytest.raises(ValueError, match="all 20 rows of x are the same"):
        ProbabilisticPCA(6).begin({"x": np.ones((20, 6))}, 0)
    # A column that never changes, and one that others determine, leave a Gaussian all the same.
    x[:, 1], x[:, 2] = 3.0, x[:, 0]
    model, _ = fitted(x, num_components=5)
    assert np.isfinite(model.log_prob(x)).all()
