"""A model as a TFP distribution: alone, with a condition, and inside TFP's own compositions."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen import random
from tfgen.autoregressive import PixelCNN
from tfgen.distributions import ModelDistribution
from tfgen.model import Condition, GenerativeModel

PROBS = np.array([[0.9, 0.2], [0.3, 0.6], [0.5, 0.7]], "float32")
IMAGES = np.array(list(itertools.product((0.0, 1.0), repeat=4)), "float32").reshape(-1, 2, 2, 1)


class Coins(GenerativeModel):
    """Two coins whose probabilities are looked up by label."""

    density = "exact"
    condition = Condition("label", num_classes=3)

    def updates(self):
        return ()

    def score(self, x, condition=None):
        p = tf.gather(PROBS, condition)
        return tf.reduce_sum(tf.math.log(tf.where(x == 1.0, p, 1.0 - p)), -1)

    def sample_rows(self, seeds, condition=None):
        return random.bernoulli(seeds, tf.gather(PROBS, condition))


def make(seed):
    model = PixelCNN((2, 2, 1), filters=6, num_blocks=1, hidden=5, head=5)
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        v.assign(rng.normal(size=v.shape) * 0.7)
    return model


@pytest.fixture(scope="module")
def pair():
    return make(1), make(2)


@pytest.mark.slow
def test_log_prob_takes_any_leading_shape_and_sample_agrees_with_the_model(pair):
    model = pair[0]
    distribution = model.distribution()
    assert distribution.batch_shape == () and distribution.event_shape == (2, 2, 1)
    want = model.log_prob(IMAGES)
    np.testing.assert_allclose(distribution.log_prob(IMAGES.reshape(2, 8, 2, 2, 1)), tf.reshape(want, (2, 8)))
    np.testing.assert_allclose(distribution.log_prob(IMAGES[5]), want[5], rtol=1e-5)
    sample = distribution.sample((2, 3), seed=[4, 5])
    np.testing.assert_array_equal(tf.reshape(sample, (6, 2, 2, 1)), model.sample(6, seed=[4, 5]))
    in_graph = tf.function(lambda seed: model.distribution().sample((2, 3), seed=seed))(tf.constant([4, 5]))
    np.testing.assert_array_equal(in_graph, sample)
    assert in_graph.shape == (2, 3, 2, 2, 1)


def test_it_sees_the_weights_of_the_moment_and_gradients_reach_them(pair):
    model = make(3)
    distribution = model.distribution()
    with tf.GradientTape() as tape:
        before = tf.reduce_sum(distribution.log_prob(IMAGES))
    assert None not in tape.gradient(before, [v.value for v in model.trainable_variables])
    model.set_weights(pair[1].get_weights())
    np.testing.assert_allclose(distribution.log_prob(IMAGES), pair[1].log_prob(IMAGES), rtol=1e-6)


def test_conditions_are_a_batch_shape():
    distribution = ModelDistribution(Coins((2,)), condition=[0, 1, 2])
    assert distribution.batch_shape == (3,) and distribution.event_shape == (2,)
    bernoulli = tfd.Independent(tfd.Bernoulli(probs=PROBS), 1)
    x = np.array(list(itertools.product((0.0, 1.0), repeat=2)), "float32")
    np.testing.assert_allclose(distribution.log_prob(x[:, None]), bernoulli.log_prob(x[:, None]), rtol=1e-5)
    sample = distribution.sample(20_000, seed=6)
    assert sample.shape == (20_000, 3, 2)
    counts = np.stack([np.sum(sample, 0), 20_000 - np.sum(sample, 0)]).reshape(2, -1)
    expected = 20_000 * np.stack([PROBS, 1.0 - PROBS]).reshape(2, -1)
    # Six tests, each failing once in 100,000 seeds.
    assert np.all(scipy.stats.chisquare(counts, expected).pvalue > 1e-5)


def test_mixture_same_family_over_conditions_is_the_exact_mixture():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.5, 0.3, 0.2]), ModelDistribution(Coins((2,)), condition=[0, 1, 2])
    )
    x = np.array(list(itertools.product((0.0, 1.0), repeat=2)), "float32")
    each = np.prod(np.where(x[:, None] == 1.0, PROBS, 1.0 - PROBS), -1)
    np.testing.assert_allclose(mixture.log_prob(x), np.log(each @ [0.5, 0.3, 0.2]), rtol=1e-5)
    assert mixture.sample(5, seed=[1, 2]).shape == (5, 2)


@pytest.mark.slow
def test_mixture_of_two_models_is_the_exact_mixture_and_samples_follow_it(pair):
    weights = np.array([0.35, 0.65])
    mixture = tfd.Mixture(tfd.Categorical(probs=weights.astype("float32")), [m.distribution() for m in pair])
    each = np.stack([m.log_prob(IMAGES).numpy().astype("float64") for m in pair])
    want = np.logaddexp(*(each + np.log(weights)[:, None]))
    np.testing.assert_allclose(mixture.log_prob(IMAGES), want, rtol=1e-5)
    sample = mixture.sample(20_000, seed=[7, 8]).numpy().reshape(20_000, -1).astype(int)
    counts = np.bincount(sample @ [8, 4, 2, 1], minlength=16)
    expected = 20_000 * np.exp(want)
    assert expected.min() > 5.0
    # Fails once in 10,000 seeds.
    assert scipy.stats.chisquare(counts, expected / expected.sum() * 20_000).pvalue > 1e-4


def test_independent_and_broadcast_batches_work(pair):
    broadcast = tfd.BatchBroadcast(pair[0].distribution(), [3])
    independent = tfd.Independent(broadcast, 1)
    x = IMAGES[[1, 7, 12]]
    np.testing.assert_allclose(independent.log_prob(x), np.sum(pair[0].log_prob(x)), rtol=1e-5)
    same = tfd.MixtureSameFamily(tfd.Categorical(probs=[0.2, 0.3, 0.5]), broadcast)
    np.testing.assert_allclose(same.log_prob(IMAGES), pair[0].log_prob(IMAGES), rtol=1e-4)


def test_validation_of_values_is_on_request(pair):
    with pytest.raises(ValueError, match="x must hold integer values 0 to 1"):
        ModelDistribution(pair[0], validate_args=True).log_prob(IMAGES + 0.5)
