"""The Gumbel-softmax relaxation against TFP's densities and the discrete distribution that it relaxes."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats
from scipy.special import softmax

from tfgen.distributions import draw, draws_are_ours, relaxed

tfd = tfp.distributions
SEED, NUM = tf.constant([5, 6]), 20_000
LOGITS = np.float32([0.4, -1.0, 1.2])


def test_the_largest_entry_is_a_draw_of_the_discrete_distribution():
    for temperature in (0.1, 2.0):
        soft = relaxed(tfd.OneHotCategorical(logits=LOGITS), temperature)
        assert draws_are_ours(soft) and soft.reparameterization_type == tfd.FULLY_REPARAMETERIZED
        z = draw(soft, SEED, [NUM]).numpy()
        np.testing.assert_allclose(z.sum(1), 1.0, atol=1e-5)
        counts = np.bincount(z.argmax(1), minlength=3)
        expected = NUM * softmax(LOGITS.astype(np.float64))
        assert stats.chisquare(counts, expected).pvalue > 1e-6  # false-failure rate 1e-6
        hard = draw(tfd.OneHotCategorical(logits=LOGITS), SEED, [NUM])
        np.testing.assert_array_equal(hard, np.eye(3)[z.argmax(1)])


def test_draws_of_two_levels_follow_the_density():
    """Of two classes the first entry, and of a Bernoulli z itself, lies on a line: by the trapezoid rule."""
    points = np.linspace(1e-4, 1 - 1e-4, 20_001).astype(np.float32)
    pair = np.stack([points, 1 - points], axis=1)
    one_hot = relaxed(tfd.OneHotCategorical(logits=[0.3, -0.5]), 0.7)
    coin = relaxed(tfd.Independent(tfd.Bernoulli(logits=[0.8]), 1), 0.7)
    for density, z in (
        (np.exp(one_hot.log_prob(pair)), draw(one_hot, SEED, [NUM])[:, 0]),
        (np.exp(coin.log_prob(points[:, None])), draw(coin, SEED, [NUM])[:, 0]),
    ):
        below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(points))])
        assert abs(below[-1] - 1) < 0.01
        pvalue = stats.kstest(z, lambda v, b=below: np.interp(v, points, b / b[-1])).pvalue
        assert pvalue > 1e-6  # false-failure rate 1e-6


def test_what_has_no_relaxation_is_refused():
    with pytest.raises(ValueError, match="Poisson has no relaxation: take OneHotCategorical, Bernoulli"):
        relaxed(tfd.Independent(tfd.Poisson([1.0]), 1), 0.5)
