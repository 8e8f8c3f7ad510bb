"""Laws of units, apart from any machine."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.energy.units import sum_softplus


# One logarithm for ten units, for seven, for eight, and for each alone.
@pytest.mark.parametrize("size", [1, 10, 13, 49, 500, 784])
def test_sum_of_softplus_and_its_gradient_keep_float32_s_precision(size):
    rng = np.random.default_rng(0)
    scales = np.array([0.01, 1.0, 10.0, 200.0])[:, None]
    logits = np.concatenate([rng.normal(size=(4, size)) * scales, np.zeros((1, size))])
    logits = logits.astype(np.float32)
    exact = np.logaddexp(0.0, logits.astype(np.float64))
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        found = tf.function(sum_softplus, jit_compile=True)(variable)
    # 1e-7 of each unit, and half a unit in the last place of the whole for each addition.
    allowed = size * (1e-7 + 2.0**-24 * exact.sum(-1))
    np.testing.assert_array_less(np.abs(found.numpy() - exact.sum(-1)), allowed)
    on = np.exp(logits - exact)
    np.testing.assert_allclose(tape.gradient(found, variable), on, rtol=2e-6, atol=1e-12)


def test_sum_of_softplus_in_float64():
    logits = np.random.default_rng(1).normal(size=(3, 20)) * 20.0
    exact = np.logaddexp(0.0, logits).sum(-1)
    np.testing.assert_allclose(sum_softplus(tf.constant(logits)), exact, rtol=1e-14)
