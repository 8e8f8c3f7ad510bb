"""`PixelAttention` against its formula, and as part of a GatedPixelCNN: causal, far-sighted, cached."""

import numpy as np
import pytest
import scipy.special

from tests.autoregressive import pixel_checks as checks
from tfgen.autoregressive import GatedPixelCNN
from tfgen.layers.pixel_attention import PixelAttention


def test_attention_is_its_formula():
    rng = np.random.default_rng(0)
    layer = PixelAttention(2, (2, 3))
    layer.build((None, 2, 3, 4))
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    h = rng.normal(size=(2, 2, 3, 4)).astype("float32")
    flat, want = h.reshape(2, 6, 4), np.zeros((2, 6, 4))
    queries, memories, out = (
        [w.numpy() for w in x.weights] for x in (layer.queries, layer.memories, layer.out)
    )
    q, memory = flat @ queries[0] + queries[1], flat @ memories[0] + memories[1]
    k, v = memory[..., :4], memory[..., 4:]
    for n, i in np.ndindex(2, 6):
        read = []
        for head in (slice(0, 2), slice(2, 4)):
            weights = scipy.special.softmax(k[n, : i + 1, head] @ q[n, i, head] / np.sqrt(2))
            read.append(weights @ v[n, : i + 1, head])
        want[n, i] = flat[n, i] + np.concatenate(read) @ out[0] + out[1]
    np.testing.assert_allclose(layer(h), want.reshape(h.shape), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model():
    """Small kernels, so that only attention sees far, and random weights."""
    sizes = {"filters": 8, "num_layers": 2, "head": 16, "first_kernel_size": 3}
    return checks.randomize(GatedPixelCNN((4, 3, 1), attention_heads=2, **sizes), 3)


def test_every_earlier_pixel_is_seen_and_no_other(model):
    x = checks.random_images(model, 1, seed=5)[0]
    np.testing.assert_array_equal(checks.dependence(model, x), checks.earlier(model))


def test_the_sampler_computes_the_network(model):
    checks.assert_sampler_computes_the_network(model)


def test_heads_that_do_not_fit_are_refused():
    for wrong, message in (
        ({"attention_heads": 3}, "attention_heads must divide the 8 features, got 3"),
        ({"attention_heads": -1}, "attention_heads must be a whole number of at least 0, got -1"),
        ({"attention_heads": 2, "event_shape": (3, 3, 3)}, "attention_heads=2 needs images of one channel"),
    ):
        with pytest.raises(ValueError, match=message):
            GatedPixelCNN(**{"event_shape": (3, 3, 1), "filters": 8} | wrong)
