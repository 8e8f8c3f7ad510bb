"""The soft window against the equations of the paper."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.soft_window import SoftWindow

STEPS, ROWS, PLACES, SYMBOLS, COMPONENTS = 6, 3, 4, 5, 2


@pytest.fixture(scope="module")
def window():
    layer = SoftWindow(COMPONENTS)
    layer.build((None, 7))
    rng = np.random.default_rng(1)
    layer.kernel.assign(0.3 * rng.normal(size=layer.kernel.shape))
    layer.bias.assign(rng.normal(size=layer.bias.shape))
    return layer


def by_hand(layer, h, text, lengths):
    """Equations 46 to 51, place by place."""
    kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
    kappa, every = np.zeros((ROWS, COMPONENTS)), []
    for t in range(STEPS):
        alpha, beta, move = np.split(np.exp(h[t] @ kernel + bias), 3, axis=1)
        kappa = kappa + move
        seen, past = np.zeros((ROWS, SYMBOLS)), np.zeros(ROWS, bool)
        for n in range(ROWS):
            phi = [
                sum(alpha[n, k] * np.exp(-beta[n, k] * (kappa[n, k] - u) ** 2) for k in range(COMPONENTS))
                for u in range(1, lengths[n] + 2)
            ]
            for u in range(lengths[n]):
                seen[n] += phi[u] * text[n, u]
            past[n] = phi[-1] > max(phi[:-1])
        every.append((kappa, seen, past))
    return every


def test_the_window_is_the_papers(window):
    rng = np.random.default_rng(2)
    h = rng.normal(size=(STEPS, ROWS, 7)).astype(np.float32)
    lengths = np.array([4, 1, 2], np.int32)
    text = rng.normal(size=(ROWS, PLACES, SYMBOLS)) * (np.arange(PLACES) < lengths[:, None])[..., None]
    kappa, past_at = window.start(ROWS), []
    expected = by_hand(window, h, text, lengths)
    for t in range(STEPS):
        kappa, seen, past = window.step(kappa, h[t], tf.constant(text, tf.float32), lengths)
        np.testing.assert_allclose(kappa, expected[t][0], rtol=1e-4)
        np.testing.assert_allclose(seen, expected[t][1], rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(past, expected[t][2])
        past_at.append(past.numpy())
    # Both cases occur.
    assert 0 < np.mean(past_at) < 1


def test_the_window_begins_slowly_and_moves_forward_only():
    layer = SoftWindow(3, symbols_per_step=0.2)
    layer.build((None, 7))
    text, lengths = tf.ones((2, 4, 5)), tf.constant([4, 4])
    kappa, _, past = layer.step(layer.start(2), tf.zeros((2, 7)), text, lengths)
    np.testing.assert_allclose(kappa, np.full((2, 3), 0.2), rtol=1e-5)
    assert not np.any(past)
    further, _, _ = layer.step(kappa, tf.random.stateless_normal((2, 7), [1, 2]), text, lengths)
    assert np.all(further > kappa)


def test_a_window_needs_components():
    with pytest.raises(ValueError, match="num_components must be a whole number of at least 1, got 0"):
        SoftWindow(0)
