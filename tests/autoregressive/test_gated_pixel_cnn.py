"""GatedPixelCNN: no blind spot, conditions in every layer, and what it learns of digits and their labels."""

import keras
import numpy as np
import pytest

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import GatedPixelCNN, PixelCNN

TINY = {"filters": 14, "num_layers": 3, "head": 13}
LABELS = {"condition": "label", "num_classes": 3}


def make(seed=0, gain=1.7, **kwargs):
    """A small GatedPixelCNN with random weights."""
    return checks.randomize(GatedPixelCNN(**TINY | kwargs), seed, gain)


def test_there_is_no_blind_spot_where_masked_kernels_have_one():
    keras.utils.set_random_seed(4)
    small = {"event_shape": (5, 7, 1), "kernel_size": 3, "first_kernel_size": 3, "head": 24}
    gated, masked = GatedPixelCNN(filters=16, num_layers=7, **small), PixelCNN(num_blocks=7, **small)
    x = checks.random_images(gated, 1, seed=5)[0]
    earlier = checks.earlier(gated)
    np.testing.assert_array_equal(checks.dependence(gated, x), earlier)
    row, column = np.divmod(np.arange(35), 7)
    up, right = row[:, None] - row, column - column[:, None]
    # Each 3x3 kernel that goes one pixel to the right goes one row up.
    np.testing.assert_array_equal(checks.dependence(masked, x), earlier & (right <= up))
    assert np.sum(earlier & (right > up)) > 50


@pytest.mark.slow
def test_distribution_has_the_batch_shape_of_its_condition():
    labelled = make(event_shape=(2, 2, 1), **LABELS)
    distribution = labelled.distribution(np.array([[0, 1, 2], [2, 2, 0]], "int32"))
    assert distribution.batch_shape == (2, 3) and distribution.event_shape == (2, 2, 1)
    x = checks.every_image(labelled)[7]
    each = [labelled.log_prob(x[None], condition=np.array([c], "int32"))[0] for c in range(3)]
    np.testing.assert_allclose(distribution.log_prob(x), np.take(each, [[0, 1, 2], [2, 2, 0]]), rtol=1e-5)
    assert distribution.sample(4, seed=(1, 2)).shape == (4, 2, 3, 2, 2, 1)


def test_a_vector_conditions_all_logits():
    model = make(event_shape=(2, 2, 1), condition="vector", condition_size=4)
    vector = np.array([0.3, -1.0, 2.0, 0.5], "float32")
    checks.assert_sums_to_one(model, vector)
    checks.assert_sampler_computes_the_network(model, condition=np.stack([vector, -vector, 0 * vector]))
    x = checks.every_image(model)[:1]
    assert np.all(np.abs(model.raw(x, vector[None]) - model.raw(x, -vector[None])) > 1e-3)


def test_a_map_of_features_conditions_each_pixel_by_what_stands_there():
    model = make(event_shape=(2, 3, 1), condition="image", condition_size=2)
    features = np.random.default_rng(1).normal(size=(3, 2, 3, 2)).astype("float32")
    checks.assert_sums_to_one(model, features[0])
    checks.assert_sampler_computes_the_network(model, condition=features)
    x, changed = checks.every_image(model)[:1], features[:1].copy()
    changed[0, 1, 0] += 1.0
    moved = np.abs(model.raw(x, features[:1]) - model.raw(x, changed))[0, ..., 0, 0] > 1e-6
    # The pixel itself and those that read it: none before it.
    np.testing.assert_array_equal(moved, [[0, 0, 0], [1, 1, 1]])
    with pytest.raises(ValueError, match="condition_size must be a whole number of at least 1, got None"):
        GatedPixelCNN((2, 3, 1), condition="image")


@pytest.mark.learn
@pytest.mark.slow
def test_learns_digits_better_than_independent_pixels_and_its_labels():
    digits = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(digits.train.x, "float32"), np.asarray(digits.test.x, "float32")
    keras.utils.set_random_seed(17)
    kwargs = {"condition": "label", "num_classes": 10}
    model = GatedPixelCNN(digits.event_shape, filters=24, num_layers=4, head=24, **kwargs)
    model.compile(keras.optimizers.Adam(3e-3), seed=17)
    model.fit(train_x, np.asarray(digits.train.label, "int32"), batch_size=64, epochs=12, verbose=0)
    every = [model.log_prob(test_x, condition=np.full(len(test_x), c, "int32")).numpy() for c in range(10)]
    truth = np.asarray(digits.test.label)
    nats = -np.mean(np.choose(truth, every))
    assert nats < 0.85 * checks.independent_nats(train_x, test_x)
    # Bayes' rule with equal priors.
    assert np.mean(np.argmax(every, axis=0) == truth) > 0.7
