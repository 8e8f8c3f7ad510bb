"""`ContinuousBernoulli` against quadrature, TFP's distribution of the name, and its own quantiles."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tfgen.distributions.continuous_bernoulli import ContinuousBernoulli
from tfgen.distributions.draw import draw

LOGITS = np.float32([-80.0, -4.0, -0.011, -0.009, 0.0, 0.005, 0.012, 1.0, 30.0])


def test_density_integrates_to_one_and_mean_is_its_mean():
    x = (np.arange(200_000, dtype=np.float32)[:, None] + 0.5) / 200_000
    density = np.exp(ContinuousBernoulli(LOGITS).log_prob(x).numpy().astype(np.float64))
    np.testing.assert_allclose(density.mean(0), 1.0, atol=1e-4)
    np.testing.assert_allclose(ContinuousBernoulli(LOGITS).mean(), (density * x).mean(0), atol=1e-4)
    theirs = tfp.distributions.ContinuousBernoulli(logits=LOGITS[1:-1])
    ours = ContinuousBernoulli(LOGITS[1:-1])
    np.testing.assert_allclose(ours.log_prob(x[::20_000]), theirs.log_prob(x[::20_000]), atol=1e-4)


def test_quantiles_undo_the_distribution_function():
    u = np.linspace(0.001, 0.999, 200, dtype=np.float32)[:, None]
    x = ContinuousBernoulli(LOGITS).quantile(u).numpy().astype(np.float64)
    wide = LOGITS.astype(np.float64) + np.where(LOGITS == 0, 1e-9, 0)
    with np.errstate(over="ignore"):
        below = np.expm1(wide * x) / np.expm1(wide)
    np.testing.assert_allclose(below, np.broadcast_to(u, below.shape), atol=2e-3)


def test_draws_follow_the_density_and_cold_ones_are_the_mode():
    law = ContinuousBernoulli([-3.0, 2.0])
    x = draw(law, tf.constant([1, 2]), [4000]).numpy()
    for i, rate in enumerate((-3.0, 2.0)):
        below = np.expm1(rate * x[:, i]) / np.expm1(rate)
        assert stats.kstest(below, "uniform").pvalue > 1e-6  # false-failure rate 1e-6
    np.testing.assert_allclose(
        draw(law, tf.constant([1, 2]), [5], temperature=0.0), [[0.0, 1.0]] * 5, atol=1e-6
    )


@pytest.mark.parametrize("logit", LOGITS)
def test_gradients_are_finite_and_right(logit):
    variable = tf.Variable(logit)
    with tf.GradientTape() as tape:
        law = ContinuousBernoulli(variable)
        log_p = law.log_prob(0.3)
    # d log p / dl = x - E x.
    np.testing.assert_allclose(tape.gradient(log_p, variable), 0.3 - law.mean(), atol=2e-3)
