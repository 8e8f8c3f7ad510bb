"""K-means against scikit-learn and NumPy, its density against SciPy, samples against the density."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.cluster
import sklearn.metrics
import tensorflow as tf

from tests.classical.passes import run_passes
from tfgen import data
from tfgen.classical import KMeans, kmeans
from tfgen.training import train


def blobs(num=600, dims=3, modes=8, offset=0.0, seed=0):
    """Overlapping clusters of unequal shares and shapes."""
    draw = np.random.RandomState(seed)
    centers, shapes = 3.0 * draw.randn(modes, dims), 0.8 * draw.randn(modes, dims, dims)
    which = draw.choice(modes, num, p=np.arange(1, modes + 1) / np.arange(1, modes + 1).sum())
    x = centers[which] + np.einsum("nde,ne->nd", shapes[which], draw.randn(num, dims)) + offset
    return x.astype(np.float32)


def started(x, num_clusters=8, **arguments):
    """A model that starts at the first x."""
    model = KMeans(x.shape[1:], num_clusters, **arguments)
    model.centers.assign(x.reshape(len(x), -1)[:num_clusters])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_passes_are_lloyds_iterations(offset):
    """From the same start: after each pass scikit-learn's centers, its inertia at the end, its labels."""
    x = blobs(offset=offset)
    model = started(x)
    losses = []
    for iterations in (1, 6):
        model.centers.assign(x[:8])
        losses = run_passes(model, x, iterations)
        peer = sklearn.cluster.KMeans(8, init=x[:8], n_init=1, max_iter=iterations, tol=0.0)
        peer.fit(x.astype(np.float64))
        np.testing.assert_allclose(model.centers.numpy(), peer.cluster_centers_, rtol=1e-5, atol=1e-4)
    assert np.all(np.diff(losses) < 0)
    run_passes(model, x, 40, batch_size=600)
    peer = sklearn.cluster.KMeans(8, init=x[:8], n_init=1, tol=0.0).fit(x.astype(np.float64))
    assert float(model.inertia(x)) * len(x) == pytest.approx(peer.inertia_, rel=1e-4)
    np.testing.assert_array_equal(model.assign(x), peer.predict(x.astype(np.float64)))
    np.testing.assert_allclose(model.distances(x), peer.transform(x.astype(np.float64)), atol=1e-3)
    # The last pass gave the x and the squares that the spread and the shares are made of.
    np.testing.assert_array_equal(model.counts.numpy(), np.bincount(peer.labels_, minlength=8))
    assert model.scatters.numpy().sum() == pytest.approx(peer.inertia_, rel=1e-4)


def test_sums_of_parts_that_are_not_full():
    """9,001 x of three parts of 3,001, against NumPy."""
    x = blobs(9001)
    count, scatter, shift = (sums.numpy() for sums in kmeans._cluster_sums(x, tf.constant(x[:8])))
    squared = np.square(x[:, None].astype(np.float64) - x[:8]).sum(axis=2)
    nearest = squared.argmin(axis=1)
    np.testing.assert_array_equal(count, np.bincount(nearest, minlength=8))
    np.testing.assert_allclose(scatter, np.bincount(nearest, squared.min(axis=1)), rtol=1e-5)
    moved = np.stack([(x[nearest == k] - x[k].astype(np.float64)).sum(axis=0) for k in range(8)])
    np.testing.assert_allclose(shift, moved, rtol=1e-5, atol=1e-3)


@pytest.mark.slow
def test_begin_is_as_good_as_scikit_learns_best():
    x = blobs(2000, modes=20)
    ours, theirs = [], []
    for seed in range(3):
        model = KMeans(3, 20, start="k-means||" if seed else "k-means++")
        model.begin({"x": x}, seed)
        np.testing.assert_array_equal(model.counts.numpy().sum(), 2000)
        assert model.scatters.numpy().sum() / 2000 == pytest.approx(float(model.inertia(x)), rel=1e-5)
        run_passes(model, x, 40, batch_size=2000)
        ours.append(float(model.inertia(x)))
        theirs.append(sklearn.cluster.KMeans(20, n_init=5, random_state=seed).fit(x).inertia_ / 2000)
    assert np.mean(ours) < 1.02 * np.mean(theirs)


def test_mini_batches_are_sculleys_steps_one_x_after_another():
    x = blobs(300)
    model = started(x, algorithm="mini_batch")
    centers, counts = x[:8].astype(np.float64), np.zeros(8)
    batches = [x[i : i + 50] for i in range(0, 300, 50)]
    for batch in batches:
        nearest = np.square(batch[:, None] - centers).sum(-1).argmin(1)
        for row, k in zip(batch.astype(np.float64), nearest, strict=True):
            counts[k] += 1
            centers[k] += (row - centers[k]) / counts[k]
    run_passes(model, x, 1, batch_size=50)
    assert counts.min() > 0
    np.testing.assert_allclose(model.centers.numpy(), centers, atol=1e-5)
    np.testing.assert_array_equal(model.counts.numpy(), counts)


@pytest.mark.learn
def test_mini_batches_of_a_stream_end_near_lloyd():
    x = blobs(20_000)
    lloyd, stream = KMeans(3, 8), KMeans(3, 8, algorithm="mini_batch")
    for model in (lloyd, stream):
        model.begin({"x": x[:2000]}, 0)
    run_passes(lloyd, x, 20, batch_size=20_000)
    run_passes(stream, x, 1, batch_size=200)
    assert float(stream.inertia(x)) < 1.02 * float(lloyd.inertia(x))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["lloyd", "mini_batch"])
def test_empty_clusters_are_put_to_use(algorithm):
    """Two of three centers far from all x; and equal ones, of which the second gets nothing."""
    x = blobs(400, dims=2)
    for start in (x[:1] + [[0.0], [1e3], [2e3]], np.repeat(x[:1], 3, axis=0)):
        model = KMeans(2, 3, algorithm=algorithm)
        model.centers.assign(start)
        losses = run_passes(model, x, 12, batch_size=200)
        used = np.bincount(model.assign(x), minlength=3)
        assert used.min() > 5 and np.isfinite(losses).all()
        best = sklearn.cluster.KMeans(3, n_init=10, random_state=0).fit(x).inertia_ / len(x)
        assert float(model.inertia(x)) < 1.6 * best
    # As many different x as clusters less one: nothing breaks, and one stays empty.
    few = np.repeat(x[:2], 30, axis=0)
    model = KMeans(2, 3, algorithm=algorithm)
    model.begin({"x": few}, 0)
    run_passes(model, few, 3, batch_size=20)
    assert float(model.inertia(few)) == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(model.log_prob(few)).all() and np.isfinite(model.sample(5, seed=0)).all()


@pytest.mark.slow
def test_density_is_that_of_the_samples():
    """Against SciPy; projections of samples by Kolmogorov-Smirnov, false failures below 3e-5."""
    x = blobs().reshape(600, 3, 1)
    model = started(x, 5, regularization=1e-3)
    before = model.assign(x).numpy()
    run_passes(model, x, 1)
    rest = np.square(x.reshape(600, 3) - model.centers.numpy()[before]).sum(axis=1)
    np.testing.assert_allclose(model.scatters.numpy(), np.bincount(before, rest), rtol=1e-5)
    shares = model.counts.numpy() / 600
    variances = model.scatters.numpy() / (3 * model.counts.numpy()) + 1e-3
    centers = model.centers.numpy().astype(np.float64)
    expected = scipy.special.logsumexp(
        [
            scipy.stats.multivariate_normal(c, v * np.eye(3)).logpdf(x[..., 0])
            for c, v in zip(centers, variances, strict=True)
        ],
        axis=0,
        b=shares[:, None],
    )
    np.testing.assert_allclose(model.log_prob(x), expected, atol=1e-4)
    np.testing.assert_allclose(model.distribution().log_prob(x), expected, atol=1e-3)
    drawn = np.asarray(model.sample(20_000, seed=3), np.float64)[..., 0]
    for direction in np.random.RandomState(2).randn(3, 3):

        def cdf(v, direction=direction):
            scale = np.sqrt(variances) * np.linalg.norm(direction)
            return scipy.stats.norm.cdf((v[:, None] - centers @ direction) / scale) @ shares

        assert scipy.stats.kstest(drawn @ direction, cdf).pvalue > 1e-5


@pytest.mark.slow
def test_outliers_score_high_and_members_about_one():
    x = blobs(num=1000)
    model = KMeans(3, 8)
    model.begin({"x": x}, 0)
    run_passes(model, x, 5)
    members = np.asarray(model.outlier_scores(x))
    k = np.asarray(model.assign(x))
    usual = np.sqrt([np.mean(members[k == each] ** 2) for each in range(8)])
    np.testing.assert_allclose(usual, 1.0, atol=0.02)
    away = x[:5] + np.float32(60.0)
    assert model.outlier_scores(away).numpy().min() > 2.0 * members.max()
    served = model.signatures()["assign"].function(tf.constant(x))
    np.testing.assert_array_equal(served["cluster"], k)
    np.testing.assert_allclose(served["distances"].numpy().min(1), model.distances(x).numpy().min(1))


@pytest.mark.learn
def test_a_training_clusters_the_digits(tmp_path):
    digits = data.load("digits")
    model = KMeans(digits.event_shape, 10)
    history = train(
        model, digits, steps=40, batch_size=300, seed=0, checkpoint_every=8, log=lambda line: None
    )
    x = digits.train.x.reshape(len(digits.train), -1) / 16.0
    peer = sklearn.cluster.KMeans(10, n_init=10, random_state=0).fit(x)
    assert float(model.inertia(digits.train.x / np.float32(16.0))) < 1.02 * peer.inertia_ / len(x)
    found = model.test_metrics(digits, None)
    held = digits.test.x.reshape(len(digits.test), -1) / 16.0
    centers = model.centers.numpy().astype(np.float64)
    squared = np.square(held[:, None] - centers).sum(-1)
    assert found["inertia"]["value"] == pytest.approx(squared.min(1).mean(), rel=1e-6)
    expected = sklearn.metrics.normalized_mutual_info_score(digits.test.label, squared.argmin(1))
    assert found["mutual_information"]["value"] == pytest.approx(expected, abs=0.01) and expected > 0.6
    assert history[-1]["val_loss"] < history[0]["lloyd/loss"]


def test_bad_arguments_are_named():
    for arguments, message in [
        ({"num_clusters": 0}, "num_clusters must be a whole number of at least 1, got 0"),
        ({"algorithm": "elkan"}, "algorithm must be one of 'lloyd', 'mini_batch', got 'elkan'"),
        ({"start": "rows"}, "start must be one of .* got 'rows'"),
        ({"regularization": -1.0}, "regularization must be a finite number, at least 0, got -1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            KMeans(2, **arguments)
    with pytest.raises(ValueError, match="num_clusters=5 needs as many x, got 3"):
        KMeans(3, 5).begin({"x": blobs(num=3)}, 0)
    broken = blobs(num=9)
    broken[4, 2] = np.nan
    with pytest.raises(ValueError, match="got nan in row 4, column 2: replace or leave out"):
        KMeans(3, 5).begin({"x": broken}, 0)
    with pytest.raises(ValueError, match="must hold finite values; .* 1 NaN"):
        KMeans(3, 5).assign(broken)
