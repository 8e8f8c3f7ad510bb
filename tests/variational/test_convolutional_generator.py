"""`ConvolutionalGenerator`: density and objective by hand, parts of attributes apart, unseen mixes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import data
from tfgen.training import train
from tfgen.variational import ConvolutionalGenerator

SEED, STEP = tf.constant([2, 5]), tf.constant(0, tf.int64)
RANDOM = np.random.RandomState(0)
X, MASK = RANDOM.rand(5, 3, 4, 1).astype(np.float32), RANDOM.rand(5, 3, 4, 1).astype(np.float32)
TOLD = RANDOM.randn(5, 3).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    made = ConvolutionalGenerator((3, 4, 1), "vector", None, 3, (1, 2), 3, (6,), (4,), mask_weight=0.25)
    made.variance.assign(0.04)
    return made


def test_the_density_is_a_gaussian_around_the_picture(model):
    picture = model.generate(TOLD).numpy()
    want = stats.norm.logpdf(X, picture, 0.2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(model.log_prob(X, TOLD), want, rtol=1e-4)
    drawn = model.sample(4000, condition=TOLD[0], seed=1).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), picture[0], atol=5 * 0.2 / np.sqrt(4000))
    assert stats.kstest(((drawn - picture[0]) / 0.2)[:, 0, 0, 0], "norm").pvalue > 1e-3
    np.testing.assert_allclose(drawn.std(axis=0), 0.2, rtol=0.06)
    np.testing.assert_array_equal(model.sample(5, condition=TOLD, seed=1, temperature=0), picture)


def test_the_objective_by_hand(model):
    """Squared errors of pictures and masks, and the moving average that is the variance."""
    picture, mask = (np.asarray(part, np.float64) for part in model.pictures(tf.constant(TOLD)))
    batch = {"x": tf.constant(X), "condition": tf.constant(TOLD), "mask": tf.constant(MASK)}
    with keras.StatelessScope() as scope:
        loss, terms = model.objective(batch, SEED, STEP)
    errors = [((X - picture) ** 2).sum((1, 2, 3)).mean(), ((MASK - mask) ** 2).sum((1, 2, 3)).mean()]
    np.testing.assert_allclose(loss, errors[0] + 0.25 * errors[1], rtol=1e-4)
    np.testing.assert_allclose(terms["squared_error"], errors[0] / 12, rtol=1e-4)
    np.testing.assert_allclose(terms["mask_error"], errors[1] / 12, rtol=1e-4)
    value = scope.get_current_value(model.variance)
    np.testing.assert_allclose(value, 0.99 * 0.04 + 0.01 * errors[0] / 12, rtol=1e-4)
    # The squared error is -log p(x | c) up to a factor and a constant.
    nats = -model.log_prob(X, TOLD).numpy().mean()
    np.testing.assert_allclose(
        nats, errors[0] / (2 * 0.04) + 12 * np.log(0.2 * np.sqrt(2 * np.pi)), rtol=1e-4
    )


def test_parts_of_attributes_pass_layers_of_their_own(model):
    features = tf.constant(TOLD)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        first = model.streams_of_parts[0](features[:, :1])
        second = model.streams_of_parts[1](features[:, 1:])
        picture, mask = model.pictures(features)
    assert np.all(tape.gradient(first, features).numpy()[:, 1:] == 0.0)
    assert np.all(tape.gradient(second, features).numpy()[:, :1] == 0.0)
    for output in (picture, mask):
        assert np.all(np.abs(tape.gradient(output, features).numpy()).sum(axis=0) > 0.0)


def test_labels_are_attributes_and_need_no_mask():
    digits = data.load("digits")
    plain = ConvolutionalGenerator((8, 8, 1), "label", 10, hidden=(4,), filters=(2,), mask_weight=0)
    plain.check_data(digits)
    assert "mask" not in plain.signatures()["generate"].function(condition=tf.constant([3]))
    # Half way from a label to another there is a picture too.
    assert plain.views(digits, 4, SEED)["interpolations"].array.shape == (2, 11, 8, 8, 1)
    masked = ConvolutionalGenerator((8, 8, 1), "label", 10, hidden=(4,), filters=(2,))
    with pytest.raises(ValueError, match="learns a mask of each example, but digits has none.*mask_weight=0"):
        train(masked, digits, 2, batch_size=4, optimizer="sgd")
    with pytest.raises(ValueError, match="learns a mask of each example: give mask"):
        masked.objective({"x": tf.zeros([1, 8, 8, 1]), "condition": tf.constant([1])}, SEED, STEP)
    with pytest.raises(ValueError, match=r"parts=\(3, 4\) have 7 attributes in all, the condition has 10"):
        ConvolutionalGenerator((8, 8, 1), "label", 10, parts=(3, 4))
    with pytest.raises(ValueError, match="needs a condition"):
        plain.sample(2)


def test_served_attributes_make_the_picture_and_its_mask(model):
    served = model.signatures()["generate"]
    assert list(served.inputs) == ["condition"] and served.inputs["condition"].shape == (None, 3)
    found = served.function(condition=tf.constant(TOLD))
    np.testing.assert_allclose(found["x"], model.generate(TOLD), rtol=1e-6)
    assert found["mask"].shape == MASK.shape


@pytest.mark.slow
@pytest.mark.learn
def test_unseen_mixes_of_attributes_are_drawn_nearly_as_well():
    keras.utils.set_random_seed(0)
    factors = data.load("factors")
    made = ConvolutionalGenerator(factors.event_shape, condition_size=9, parts=(4, 2, 3))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, 2000)
    train(made, factors, 2000, batch_size=64, optimizer=keras.optimizers.Adam(rate), log=lambda line: None)
    found = {name: metric["value"] for name, metric in made.test_metrics(factors, SEED).items()}
    # The pictures' own variance is 0.03.
    assert found["training_error"] < 1e-3 and found["error_ratio"] < 1.5
    np.testing.assert_allclose(made.variance, found["training_error"], rtol=0.3)
