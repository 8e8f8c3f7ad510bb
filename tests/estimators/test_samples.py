"""Distances between samples against closed forms, brute force and sets worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import linalg

from tfgen import data
from tfgen.data.points import grid_modes, ring_modes
from tfgen.estimators import samples

RANDOM = np.random.default_rng


def spd(seed, size):
    root = RANDOM(seed).normal(size=(size, size))
    return root @ root.T / size + 0.1 * np.eye(size)


def test_frechet_distance_of_gaussians_agrees_with_the_matrix_square_root():
    a, b = spd(0, 6), spd(1, 6)
    mean_a, mean_b = RANDOM(2).normal(size=(2, 6))
    cross = linalg.sqrtm(a @ b).real
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(a + b - 2 * cross)
    got = samples.frechet_distance_of_gaussians(mean_a, a, mean_b, b)
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    swapped = samples.frechet_distance_of_gaussians(mean_b, b, mean_a, a)
    np.testing.assert_allclose(swapped, expected, rtol=1e-9)


def test_frechet_distance_of_gaussians_in_closed_form():
    # Diagonal: sum of (sd_a - sd_b)^2; a singular covariance is allowed.
    a, b = np.diag([4.0, 0.0, 1.0]), np.diag([1.0, 9.0, 1.0])
    got = samples.frechet_distance_of_gaussians(np.zeros(3), a, np.array([0.0, 0.0, 2.0]), b)
    np.testing.assert_allclose(got, 1 + 9 + 4, rtol=1e-12)
    np.testing.assert_allclose(
        samples.frechet_distance_of_gaussians(np.ones(6), spd(3, 6), np.ones(6), spd(3, 6)),
        0.0,
        atol=1e-9,
    )


def test_frechet_distance_of_samples_approaches_that_of_their_gaussians():
    a, b = spd(4, 3), spd(5, 3)
    shift = np.array([1.0, 0.0, -1.0])
    draw = RANDOM(6)
    x = draw.multivariate_normal(np.zeros(3), a, 40_000)
    y = draw.multivariate_normal(shift, b, 40_000)
    expected = samples.frechet_distance_of_gaussians(np.zeros(3), a, shift, b)
    np.testing.assert_allclose(samples.frechet_distance(x, y), expected, rtol=0.03)
    # Two halves of one sample: about (3 + 3) / n by chance, far below any real difference.
    assert samples.frechet_distance(x[::2], x[1::2]) < 2e-3


def test_frechet_distance_uses_the_unbiased_covariance():
    x = np.array([[0.0], [2.0], [4.0]])
    y = np.array([[1.0], [1.0], [7.0]])
    expected = 1 + (2 - np.sqrt(12)) ** 2
    np.testing.assert_allclose(samples.frechet_distance(x, y), expected, rtol=1e-12)


def kernel(x, y):
    return (np.dot(x, y) / len(x) + 1) ** 3


def test_kernel_distance_agrees_with_the_sum_over_pairs(monkeypatch):
    x, y = RANDOM(0).normal(size=(7, 3)), RANDOM(1).normal(size=(5, 3)) + 0.5
    within = [
        np.mean([kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)
    ]
    across = np.mean([kernel(a, b) for a in x for b in y])
    for rows in (2, 1024):
        monkeypatch.setattr(samples, "_ROWS", rows)
        np.testing.assert_allclose(samples.kernel_distance(x, y), sum(within) - 2 * across)


def test_kernel_distance_is_unbiased():
    # For N(m, 1) in one dimension k = (xy + 1)^3 is sum_p c_p (xy)^p, so that the squared discrepancy
    # is the sum of c_p times squared differences of moments: 3 m^2 + 3 m^4 + (m^3 + 3 m)^2.
    draw = RANDOM(2)
    for m in (0.0, 0.5):
        runs = [
            samples.kernel_distance(draw.normal(0, 1, (20, 1)), draw.normal(m, 1, (15, 1)))
            for _ in range(3000)
        ]
        expected = 3 * m**2 + 3 * m**4 + (m**3 + 3 * m) ** 2
        error = np.std(runs) / np.sqrt(len(runs))
        # Four standard errors: a right estimator fails once in 16,000 seeds.
        assert abs(np.mean(runs) - expected) < 4 * error
        assert error < 0.15


def test_energy_distance_agrees_with_the_sum_over_pairs():
    x, y = RANDOM(0).normal(size=(6, 2, 2)), RANDOM(1).normal(size=(4, 2, 2)) + 1
    a, b = x.reshape(6, 4), y.reshape(4, 4)

    def mean(s, t, exclude):
        gaps = [
            np.linalg.norm(s[i] - t[j])
            for i in range(len(s))
            for j in range(len(t))
            if not (exclude and i == j)
        ]
        return np.mean(gaps)

    expected = 2 * mean(a, b, False) - mean(a, a, True) - mean(b, b, True)
    got = tf.function(samples.energy_distance)(tf.constant(x), tf.constant(y))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    one = samples.energy_distance(a[:1], b[:1])
    np.testing.assert_allclose(one, 2 * np.linalg.norm(a[0] - b[0]), rtol=1e-5)


def test_energy_distance_far_from_the_origin():
    # float32 holds 2^17 plus multiples of 1/64 exactly, and float64 2^40, so no distance may change.
    draw = RANDOM(4)
    x, y = (np.round(draw.normal(shift, 1, (40, 3)) * 64) / 64 for shift in (0.0, 0.5))
    near, far = (samples.energy_distance(np.float32(x + s), np.float32(y + s)) for s in (0.0, 2.0**17))
    assert 0.1 < float(near) < 1.0
    np.testing.assert_allclose(far, near, rtol=1e-6)
    np.testing.assert_allclose(samples.energy_distance(x + 2.0**40, y + 2.0**40), near, rtol=1e-6)


def test_energy_distance_is_unbiased():
    draw = RANDOM(3)
    runs = [
        float(samples.energy_distance(draw.normal(size=(8, 2)), draw.normal(size=(6, 2)))) for _ in range(300)
    ]
    # Four standard errors: a right estimator fails once in 16,000 seeds.
    assert abs(np.mean(runs)) < 4 * np.std(runs) / np.sqrt(len(runs))


def test_manifold_metrics_worked_out_by_hand(monkeypatch):
    # With k = 1 the real radii are 1, 1, 1, 7 and the fake ones 1, 1, 13.
    real = np.array([[0.0], [1.0], [2.0], [9.0]])
    fake = np.array([[2.5], [3.5], [16.5]])
    # 2.5 is in the balls of 2 and of 9; 3.5 and 16.5: |3.5 - 9| = 5.5 is in, |16.5 - 9| = 7.5 is not.
    # Real 0 and 1 are further than 1 from 2.5 and 3.5, and than 13 from 16.5; 2 and 9 are inside.
    expected = {"precision": 2 / 3, "recall": 2 / 4, "density": 3 / 3, "coverage": 2 / 4}
    for rows in (2, 1024):
        monkeypatch.setattr(samples, "_ROWS", rows)
        assert samples.manifold_metrics(real, fake, k=1) == pytest.approx(expected)
    # With k = 2 the real radii are 2, 1, 2, 8: 2.5 is in the balls of 2 and 9, 3.5 too, 16.5 in 9's.
    # The fake radii are 14, 13, 14, which reach every real point.
    got = samples.manifold_metrics(real, fake, k=2)
    assert got == pytest.approx({"precision": 1.0, "recall": 1.0, "density": 5 / 6, "coverage": 2 / 4})


def test_manifold_metrics_agree_with_brute_force():
    real, fake = RANDOM(0).normal(size=(40, 3)), RANDOM(1).normal(size=(30, 3)) * 1.3
    k = 3

    def radius(x, i):
        return sorted(np.linalg.norm(x[i] - other) for other in x)[k]

    def inside(x, y):
        return np.array([[np.linalg.norm(x[i] - z) <= radius(x, i) for z in y] for i in range(len(x))])

    in_real, in_fake = inside(real, fake), inside(fake, real)
    expected = {
        "precision": in_real.any(0).mean(),
        "recall": in_fake.any(0).mean(),
        "density": in_real.sum(0).mean() / k,
        "coverage": in_real.any(1).mean(),
    }
    assert samples.manifold_metrics(real, fake, k) == pytest.approx(expected)
    assert 0.2 < expected["coverage"] < 0.99


def test_manifold_metrics_of_equal_distributions():
    # Coverage of equal samples tends to 1 - 2^-k (Naeem et al., 2020) and density to 1.
    draw = RANDOM(4)
    got = samples.manifold_metrics(draw.normal(size=(1500, 2)), draw.normal(size=(1500, 2)), k=5)
    np.testing.assert_allclose(got["coverage"], 1 - 2**-5, atol=0.02)
    np.testing.assert_allclose(got["density"], 1.0, atol=0.05)
    dropped = draw.normal(size=(1500, 2))
    dropped[:, 0] = np.abs(dropped[:, 0])
    half = samples.manifold_metrics(draw.normal(size=(1500, 2)), dropped, k=5)
    assert half["precision"] > 0.95 and half["recall"] < 0.65 and half["coverage"] < 0.65


@pytest.mark.parametrize(("name", "modes"), [("ring8", ring_modes()), ("gaussians25", grid_modes())])
def test_a_perfect_sampler_hits_all_modes_with_the_share_of_three_deviations(name, modes):
    x = data.load(name).test.x
    found = samples.mode_metrics(x, *modes)
    assert found["modes_hit"] == len(modes[0])
    share = 1 - np.exp(-4.5)
    # Four binomial standard errors: the fixed test points pass or fail for good.
    np.testing.assert_allclose(found["good_share"], share, atol=4 * np.sqrt(share * (1 - share) / len(x)))


def test_modes_are_hit_by_good_samples_only():
    centers = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    x = np.array([[0.0, 2.9], [0.0, 3.1], [10.0, 3.1], [0.0, 9.0]])
    assert samples.mode_metrics(x, centers, 1.0) == {"modes_hit": 2, "good_share": 0.5}
    assert samples.mode_metrics(x, centers, 1.0, radius=4.0)["modes_hit"] == 3
    assert samples.mode_metrics(x + 100, centers, 1.0) == {"modes_hit": 0, "good_share": 0.0}


def test_nearest_neighbors_agree_with_brute_force(monkeypatch):
    monkeypatch.setattr(samples, "_ROWS", 3)
    x, rows = RANDOM(0).normal(size=(7, 2, 2)), RANDOM(1).normal(size=(9, 2, 2))
    index, distance = samples.nearest_neighbors(x, rows, num=4)
    for i in range(7):
        gaps = [np.linalg.norm(x[i] - row) for row in rows]
        assert list(index[i]) == list(np.argsort(gaps)[:4])
        np.testing.assert_allclose(distance[i], sorted(gaps)[:4])
    copies, none = samples.nearest_neighbors(rows[[3, 5]], rows)
    assert copies[:, 0].tolist() == [3, 5] and np.all(none == 0)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.mark.slow
def test_classifier_features_classify_and_are_its_hidden_layer(digits):
    features = samples.ClassifierFeatures(digits.train.x, digits.train.label)
    correct = features.classify(digits.test.x) == digits.test.label
    assert correct.mean() > 0.95
    hidden = features(digits.test.x)
    classifier = features._classifier
    logits = hidden @ classifier.coefs_[1] + classifier.intercepts_[1]
    assert np.array_equal(classifier.classes_[logits.argmax(1)], features.classify(digits.test.x))


def test_classifier_features_depend_on_data_and_seed_only(digits):
    x, label = digits.train.x[:300], digits.train.label[:300]
    first, again = (samples.ClassifierFeatures(x, label, hidden=16, seed=1) for _ in range(2))
    assert np.array_equal(first(x), again(x))
    other = samples.ClassifierFeatures(x, label, hidden=16, seed=2)
    assert not np.allclose(first(x), other(x))
    # In [-1, 1] as in levels: one shift and factor are taken out.
    symmetric = samples.ClassifierFeatures(x / 8.0 - 1, label, hidden=16, seed=1)
    np.testing.assert_allclose(symmetric(x / 8.0 - 1), first(x), rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_digit_distances_grow_with_corruption(digits):
    features = samples.ClassifierFeatures(digits.train.x, digits.train.label)
    test = digits.test.x.astype("float64")
    fakes = [
        digits.train.x[:360],
        test + RANDOM(0).normal(0, 3, test.shape),
        RANDOM(1).permutation(test.reshape(-1)).reshape(test.shape),
    ]
    found = [samples.compare(test, fake, features) for fake in fakes]
    for name in ("frechet_distance", "kernel_distance"):
        assert found[0][name] < found[1][name] < found[2][name]
    assert found[0]["coverage"] > 0.9 and found[2]["coverage"] < 0.2
    pixels = samples.compare(test, fakes[0])
    rows = [x.reshape(360, 64) for x in (test, fakes[0])]
    np.testing.assert_allclose(pixels["frechet_distance"], samples.frechet_distance(*rows))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: samples.frechet_distance(x, x[:, :1]), "rows of one size, got 2 and 1"),
        (lambda x: samples.kernel_distance(x[:1], x), "need 2 rows or more, got 1 and 4"),
        (lambda x: samples.frechet_distance(x, x * np.nan), "must be finite"),
        (lambda x: samples.manifold_metrics(x, x, k=4), "need 5 rows or more, got 4 and 4"),
        (lambda x: samples.manifold_metrics(x, x, k=0), "k must be a whole number of at least 1, got 0"),
        (lambda x: samples.nearest_neighbors(x, x, 5), "num must be at most 4, .*got 5"),
        (lambda x: samples.ClassifierFeatures(x * 0, [0, 1, 0, 1]), "x must hold more than one"),
    ],
)
def test_bad_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(RANDOM(0).normal(size=(4, 2)))


def test_features_refuse_another_shape(digits):
    features = samples.ClassifierFeatures(digits.train.x[:100], digits.train.label[:100], hidden=4)
    with pytest.raises(ValueError, match=r"x must have shape \[n, .*got \(3, 4, 4, 1\)"):
        features(np.zeros((3, 4, 4, 1)))


def test_energy_distance_multiplies_in_float64():
    graph = tf.function(samples.energy_distance).get_concrete_function(
        *[tf.TensorSpec([None, 3], tf.float32)] * 2
    )
    products = [op for op in graph.graph.get_operations() if "MatMul" in op.type]
    assert len(products) == 3 and all(op.outputs[0].dtype == tf.float64 for op in products)


def test_a_random_projection_keeps_distances():
    x = RANDOM(0).normal(size=(1100, 200))
    project = samples.RandomProjection(200, 2000)
    got = np.linalg.norm(project(x)[:-1] - project(x)[1:], axis=1)
    ratio = got / np.linalg.norm(x[:-1] - x[1:], axis=1)
    # A squared distance's relative standard deviation is sqrt(2 / 2000) = 3.2 %, a distance's half of it.
    assert abs(ratio.mean() - 1.0) < 0.005 and 0.014 < ratio.std() < 0.018
    np.testing.assert_array_equal(project(x), samples.RandomProjection(200, 2000)(x))
