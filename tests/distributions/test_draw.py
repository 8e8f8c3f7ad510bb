"""`draw` against each distribution's own cdf, probabilities and gradients."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tfgen import random
from tfgen.distributions import Bernoulli, DiscretizedLogistic, draw, draws_are_ours

tfd, tfb = tfp.distributions, tfp.bijectors
SEED = tf.constant([5, 6])
NUM = 20000
FALSE_FAILURE = 1e-6  # of each statistical test below, over seeds

CONTINUOUS = {
    "normal": tfd.Normal(1.0, 2.0),
    "logistic": tfd.Logistic(-1.0, 0.5),
    "uniform": tfd.Uniform(2.0, 5.0),
    "lognormal": tfd.TransformedDistribution(tfd.Normal(0.3, 0.6), tfb.Exp()),
    "mixture": tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0, 1.0]), tfd.Normal([-2.0, 1.0], [0.3, 0.7])),
    "gamma": tfd.Gamma(2.0, 3.0),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_draws_follow_the_cdf(name):
    distribution = CONTINUOUS[name]
    assert draws_are_ours(distribution) == (name != "gamma")
    x = draw(distribution, SEED, [NUM]).numpy()
    below = distribution.cdf(x).numpy()
    assert stats.kstest(below, "uniform").pvalue > FALSE_FAILURE


@pytest.mark.parametrize(
    "distribution",
    [
        tfd.Bernoulli(probs=0.3),
        Bernoulli(0.7),
        tfd.Categorical(probs=[0.1, 0.2, 0.7]),
        DiscretizedLogistic(1.2, 0.8, 4),
    ],
    ids=lambda d: d.name,
)
def test_discrete_draws_follow_the_probabilities(distribution):
    counts = np.bincount(draw(distribution, SEED, [NUM]).numpy().astype(int))
    levels = np.arange(len(counts)).astype(distribution.dtype.as_numpy_dtype)
    p = distribution.prob(levels).numpy().astype(np.float64)
    assert stats.chisquare(counts, counts.sum() * p / p.sum()).pvalue > FALSE_FAILURE
    np.testing.assert_allclose(p.sum(), 1.0, atol=1e-5)


def test_multivariate_normals_have_their_covariance():
    lower = np.array([[1.0, 0.0], [-0.8, 0.6]], np.float32)
    distribution = tfd.MultivariateNormalTriL([1.0, -1.0], lower)
    whitened = np.linalg.solve(lower, draw(distribution, SEED, [NUM]).numpy().T - [[1.0], [-1.0]])
    # Each entry of the second moment has a standard error of at most sqrt(2 / NUM) = 0.01.
    np.testing.assert_allclose(whitened @ whitened.T / NUM, np.eye(2), atol=0.05)
    np.testing.assert_allclose(whitened.mean(1), [0.0, 0.0], atol=0.035)


def test_reparameterized_draws_have_pathwise_gradients():
    loc, scale = tf.Variable([1.0, 2.0]), tf.Variable([0.5, 3.0])
    with tf.GradientTape() as tape:
        x = draw(tfd.MultivariateNormalDiag(loc, scale), SEED, [100])
        total = tf.reduce_sum(x)
    noise = (x.numpy() - loc.numpy()) / scale.numpy()
    got = tape.gradient(total, [loc, scale])
    np.testing.assert_allclose(got[0], [100.0, 100.0])
    np.testing.assert_allclose(got[1], noise.sum(0), rtol=1e-4, atol=1e-4)


BATCHED = {
    "independent": tfd.Independent(tfd.Normal(np.float32([[0, 1], [2, 3], [4, 5]]), 1.0), 1),
    "mixture": tfd.MixtureSameFamily(
        tfd.Categorical(logits=np.zeros([3, 2], np.float32)),
        tfd.MultivariateNormalDiag(np.arange(12.0, dtype=np.float32).reshape(3, 2, 2)),
    ),
    "own sampler": tfd.Independent(tfd.Gamma(np.float32([[1, 2], [3, 4], [5, 6]]), 1.0), 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BATCHED)
def test_each_row_has_a_stream_of_its_own(name):
    distribution, seeds = BATCHED[name], random.rows(SEED, 3)
    together = draw(distribution, seeds).numpy()
    for i in range(3):
        alone = draw(distribution[i : i + 1], seeds[i : i + 1])[0]
        np.testing.assert_allclose(together[i], alone, rtol=1e-6)
    many = draw(distribution, random.fold_in(seeds[None], tf.range(4)[:, None]), [4])
    np.testing.assert_allclose(many[2], draw(distribution, random.fold_in(seeds, 2)), rtol=1e-6)
    assert len(np.unique(many)) == many.shape.num_elements()


def test_a_sampled_leading_axis_counts_as_rows():
    seeds = random.rows(SEED, 5)
    for distribution in (tfd.MultivariateNormalDiag([0.0, 1.0]), tfd.Gamma([1.0, 2.0], 1.0)):
        five = draw(distribution, seeds, [5])
        np.testing.assert_allclose(five[3:4], draw(distribution, seeds[3:4], [1]), rtol=1e-6)


def test_xla_draws_the_same_numbers():
    lower = np.array([[[1.0, 0.0], [-0.8, 0.6]]] * 3, np.float32)
    distributions = (BATCHED["mixture"], tfd.MultivariateNormalTriL(tf.zeros([3, 2]), lower))

    def both():
        return [draw(d, SEED, [4]) for d in distributions]

    for plain, compiled in zip(both(), tf.function(both, jit_compile=True)(), strict=True):
        np.testing.assert_allclose(plain, compiled, atol=1e-5)


def test_temperature_scales_the_noise():
    normal = tfd.MultivariateNormalDiag([1.0, 2.0], [0.5, 3.0])
    warm, hot = draw(normal, SEED, [9]), draw(normal, SEED, [9], 2.0)
    np.testing.assert_allclose(hot - normal.loc, 2.0 * (warm - normal.loc), atol=1e-5)
    np.testing.assert_array_equal(draw(normal, SEED, [2], 0.0), [[1.0, 2.0]] * 2)
    # Bernoulli at temperature 2: P(1) = sigmoid(logits / 2); five standard errors.
    ones = tf.reduce_mean(draw(Bernoulli(3.0), SEED, [NUM], 2.0))
    np.testing.assert_allclose(ones, 1 / (1 + np.exp(-1.5)), atol=5 * 0.39 / np.sqrt(NUM))
    assert float(draw(tfd.Categorical(logits=[0.1, 0.3, 0.2]), SEED, (), 0.0)) == 1
    with pytest.raises(ValueError, match="temperature=0.5 needs .* Gamma"):
        draw(tfd.Gamma(1.0, 1.0), SEED, (), 0.5)


def test_bernoulli_has_the_log_prob_of_tfp():
    logits = np.linspace(-90, 90, 61).astype(np.float32)
    for x in (0.0, 1.0):
        want = tfd.Bernoulli(logits=logits, dtype=tf.float32).log_prob(x)
        np.testing.assert_allclose(Bernoulli(logits).log_prob(x), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(Bernoulli(logits)[3:5].logits, logits[3:5])
