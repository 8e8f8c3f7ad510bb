"""Causal convolution against its formula."""

import numpy as np
import pytest

from tfgen.layers.causal import CausalConv1D


@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (2, 1), (2, 4), (3, 2), (3, 16)])
def test_convolution_is_the_formula(kernel_size, dilation):
    layer = CausalConv1D(3, kernel_size, dilation)
    layer.build((None, None, 2))
    rng = np.random.default_rng(0)
    layer.kernel.assign(rng.normal(size=(kernel_size, 2, 3)))
    layer.bias.assign(rng.normal(size=3))
    x = rng.normal(size=(2, 9, 2)).astype(np.float32)
    want = np.tile(layer.bias.numpy(), (2, 9, 1)).astype(np.float64)
    for t in range(9):
        for j in range(kernel_size):
            source = t - (kernel_size - 1 - j) * dilation
            if source >= 0:
                want[:, t] += x[:, source] @ layer.kernel.numpy()[j]
    np.testing.assert_allclose(layer(x), want, atol=1e-5)
    assert layer.reach == (kernel_size - 1) * dilation


def test_bad_arguments_name_themselves():
    for arguments, message in (
        ((0,), "filters must be a whole number of at least 1, got 0"),
        ((1, 0), "kernel_size must be a whole number of at least 1, got 0"),
        ((1, 2, 0.5), "dilation must be a whole number of at least 1, got 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            CausalConv1D(*arguments)
