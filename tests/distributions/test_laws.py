"""Laws of a number: their distributions by hand, and draws of whole x from uniforms made before."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import random
from tfgen.distributions.laws import ContinuousBernoulli, Gaussian, Logistic

FALSE_FAILURE = 1e-6  # of each statistical test below, over seeds
SHAPE = (3, 2)


def raw_for(law, num=1):
    """Raw outputs `[num, *SHAPE, size]`, the same for each x."""
    raw = np.random.RandomState(0).randn(*SHAPE, law.size).astype(np.float32)
    return np.repeat(raw[None], num, axis=0)


def draw_all(law, seeds, **options):
    """Draws every entry of x by itself, as a driver does: `[num, *SHAPE]`."""
    draws = law.draws(seeds, SHAPE, **options)
    raw = raw_for(law, seeds.shape[0])
    x = np.zeros(raw.shape[:-1], np.float32)
    for place in np.ndindex(SHAPE):
        noise = {name: tensor[place] for name, tensor in draws.noise.items()}
        x[(slice(None), *place)] = draws.entry(raw[(slice(None), *place)], noise)
    return x


def test_gaussian_by_hand():
    law = Gaussian()
    assert (law.size, law.values, law.num_values, law.entry) == (2, "real", None, ())
    raw, x = np.float32([[0.3, 0.0], [-1.0, 2.0]]), np.float32([1.0, -2.0])
    scale = np.log1p(np.exp(raw[:, 1] + np.log(np.e - 1))) + 1e-4
    np.testing.assert_allclose(scale[0], 1.0001, rtol=1e-6)
    np.testing.assert_allclose(law.log_prob(raw, x), stats.norm(raw[:, 0], scale).logpdf(x), rtol=1e-5)


def test_logistic_by_hand():
    law = Logistic(17)
    assert (law.size, law.values, law.num_values, law.entry) == (2, "levels", 17, ())
    # Location 0.25 and scale 0.5 of [-1, 1], that is 10 and 4 of the levels 0 to 16.
    raw = np.float32([[0.25, np.log(0.5)]])
    cdf = stats.logistic(10.0, 4.0).cdf
    levels = np.arange(17)
    mass = np.where(levels == 16, 1.0, cdf(levels + 0.5)) - np.where(levels == 0, 0.0, cdf(levels - 0.5))
    np.testing.assert_allclose(np.exp(law.log_prob(raw, np.float32(levels))), mass, rtol=1e-4)
    # Beyond e^7 a scale grows no more.
    far = law.log_prob(np.float32([[0.0, 7.0], [0.0, 50.0]]), np.float32([3.0, 3.0]))
    assert float(far[0]) == float(far[1])


def test_draws_of_a_gaussian_follow_it():
    law, seeds = Gaussian(), random.rows(random.as_seed(3), 20_000)
    x = draw_all(law, seeds)
    distribution = law(raw_for(law)[0])
    for place in np.ndindex(SHAPE):
        normal = stats.norm(distribution.loc[place], distribution.scale[place])
        assert stats.kstest(x[(slice(None), *place)], normal.cdf).pvalue > FALSE_FAILURE
    assert abs(np.corrcoef(x[:, 0, 0], x[:, 2, 1])[0, 1]) < 0.04  # entries have noise of their own
    half = draw_all(law, seeds, temperature=0.5)
    np.testing.assert_allclose(half - distribution.loc, (x - distribution.loc) / 2, atol=1e-5)


def test_draws_of_logistic_levels_follow_it():
    law, seeds = Logistic(5), random.rows(random.as_seed(4), 20_000)
    x = draw_all(law, seeds)
    p = np.exp([law.log_prob(raw_for(law)[0], np.full(SHAPE, level, np.float32)) for level in range(5)])
    np.testing.assert_allclose(p.sum(0), 1.0, atol=1e-5)
    for place in np.ndindex(SHAPE):
        counts = np.bincount(x[(slice(None), *place)].astype(int), minlength=5)
        expected = p[(slice(None), *place)].astype(np.float64)
        assert stats.chisquare(counts, len(x) * expected / expected.sum()).pvalue > FALSE_FAILURE
    cold = draw_all(law, seeds[:2], temperature=0.0)
    distribution = law(raw_for(law)[0])
    np.testing.assert_array_equal(cold[1], np.clip(np.round(distribution.loc), 0, 4))


@pytest.mark.parametrize(
    "law", [Gaussian(), Logistic(5), ContinuousBernoulli()], ids=lambda law: type(law).__name__
)
def test_known_entries_are_kept_and_leave_the_others_alone(law):
    seeds = random.rows(random.as_seed(5), 6)
    mask = np.random.RandomState(1).rand(6, *SHAPE) < 0.5
    given = tf.fill([6, *SHAPE], 4.0)
    x, free = draw_all(law, seeds, given=given, mask=tf.constant(mask)), draw_all(law, seeds)
    np.testing.assert_array_equal(x, np.where(mask, 4.0, free))
    assert (free[mask] != 4.0).any()
