"""DRAW's Gaussian filters against the paper's equations, number by number."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks import attention


def filters(g, delta, variance, grid, size):
    """F of equations 19, 20, 25 and 26, in loops over i = 1 ... N and a = 1 ... size."""
    found = np.zeros((grid, size))
    for i in range(1, grid + 1):
        mu = g + (i - grid / 2 - 0.5) * delta
        for a in range(1, size + 1):
            found[i - 1, a - 1] = np.exp(-((a - mu) ** 2) / (2 * variance))
        found[i - 1] /= found[i - 1].sum()
    return found


@pytest.mark.parametrize(("height", "width", "grid"), [(5, 7, 3), (6, 4, 4), (4, 4, 1)])
def test_read_and_write_are_the_equations(height, width, grid):
    random = np.random.RandomState(0)
    raw, planes = random.normal(size=(3, 5)).astype(np.float32) * 0.4, 2
    x, patch = random.rand(3, planes, height, width), random.normal(size=(3, planes, grid, grid))
    window = attention.window(raw, height, width, grid)
    side_by_side = np.concatenate([x[:, 0], x[:, 1]], axis=-1).astype(np.float32)
    read = attention.extract(window, side_by_side, width).numpy().reshape(3, grid, planes, grid)
    beside = np.transpose(patch, (0, 2, 1, 3)).reshape(3, -1).astype(np.float32)
    written = attention.spread(window, beside).numpy().reshape(3, height, planes, width)
    for n in range(3):
        gx, gy, log_variance, log_stride, log_intensity = raw[n].astype(np.float64)
        g_x, g_y = (width + 1) / 2 * (gx + 1), (height + 1) / 2 * (gy + 1)
        delta = (max(height, width) - 1) / max(grid - 1, 1) * np.exp(log_stride)
        f_x = filters(g_x, delta, np.exp(log_variance), grid, width)
        f_y = filters(g_y, delta, np.exp(log_variance), grid, height)
        for plane in range(planes):
            want = np.exp(log_intensity) * f_y @ x[n, plane] @ f_x.T
            np.testing.assert_allclose(read[n, :, plane], want, rtol=1e-4, atol=1e-5)
            want = f_y.T @ patch[n, plane] @ f_x / np.exp(log_intensity)
            np.testing.assert_allclose(written[n, :, plane], want, rtol=1e-4, atol=1e-5)
        ends = [(1 - grid / 2 - 0.5) * delta, (grid / 2 - 0.5) * delta]
        want = [g_y + ends[0], g_y + ends[1], g_x + ends[0], g_x + ends[1]]
        np.testing.assert_allclose(window.box[n], want, rtol=1e-4)
        np.testing.assert_allclose(window.deviation[n], np.exp(0.5 * log_variance), rtol=1e-5)


def test_a_sharp_grid_as_large_as_the_picture_is_the_identity():
    """Zeros lay the grid over the whole picture; the variance is the only number that is not zero."""
    x = np.random.RandomState(1).rand(2, 6, 6).astype(np.float32)
    window = attention.window(np.tile(np.float32([0, 0, -6, 0, 0]), (2, 1)), 6, 6, 6)
    np.testing.assert_allclose(tf.reshape(attention.extract(window, x, 6), x.shape), x, atol=1e-5)
    np.testing.assert_allclose(attention.spread(window, x.reshape(2, 36)), x, atol=1e-5)


def test_a_filter_far_outside_sees_the_edge_and_nothing_is_nan():
    raw = np.float32([[40.0, 0.0, -4.0, 0.0, 0.0]])
    window = attention.window(raw, 5, 5, 2)
    np.testing.assert_allclose(window.columns[0], [[0, 0, 0, 0, 1]] * 2, atol=1e-6)
