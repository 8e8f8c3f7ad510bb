"""MultiScalePixelCNN: its groups and their order, how often its networks run, conditions, digits."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import MultiScalePixelCNN
from tfgen.autoregressive.pixels.multiscale_pixel_cnn import merge, split

TINY = {"base_size": 2, "filters": 14, "num_blocks": 1, "base_filters": 13, "base_blocks": 1}


def make(seed=0, gain=1.7, **kwargs):
    """A small MultiScalePixelCNN with random weights."""
    return checks.randomize(MultiScalePixelCNN(**TINY | kwargs), seed, gain)


@pytest.mark.parametrize("shape", [(4, 6, 1), (5, 3, 2), (1, 4, 1), (3, 1, 3), (1, 1, 1)])
def test_merged_groups_are_the_image(shape):
    x = tf.constant(np.random.default_rng(0).normal(size=(2, *shape)), tf.float32)
    parts = split(x)
    np.testing.assert_array_equal(parts[0], x[:, ::2, ::2])
    assert {part.shape for part in parts} == {parts[0].shape}
    np.testing.assert_array_equal(merge(dict(enumerate(parts)), shape[:2]), x)


def test_order_goes_from_scale_to_scale_and_group_to_group():
    order = MultiScalePixelCNN((3, 5, 1), **TINY | {"base_size": 1}).drawing_order
    # The base pixel, its right neighbor of the 1x2 image, three groups of the 2x3 one, three of the 3x5 one.
    np.testing.assert_array_equal(order, [[0, 5, 2, 5, 1], [6, 7, 6, 7, 6], [3, 5, 4, 5, 3]])


@pytest.mark.parametrize(
    ("shape", "base_size", "passes"),
    [
        ((28, 28, 1), 4, 16 + 3 * 3),
        ((56, 56, 1), 4, 16 + 4 * 3),
        ((448, 448, 1), 4, 16 + 7 * 3),
        ((8, 8, 1), 8, 64),
        ((1, 8, 1), 1, 1 + 3),
        ((3, 5, 3), 1, 1 + 1 + 3 + 3),
    ],
)
def test_passes_grow_with_the_logarithm_of_the_size(shape, base_size, passes):
    assert MultiScalePixelCNN(shape, **TINY | {"base_size": base_size}).sampling_passes == passes


def test_each_network_runs_once_to_draw_images(monkeypatch):
    model = make(event_shape=(6, 5, 1))
    ran = []
    for groups in model.groups:
        for group in groups.values():
            trunk = group.trunk
            monkeypatch.setattr(group, "trunk", lambda *args, trunk=trunk: ran.append(trunk) or trunk(*args))
    draw = model.base.draw

    def by_pixel(draws, *args, **kwargs):
        (drawn,) = {tuple(v.shape[:2]) for v in draws.noise.values()}
        ran.extend(["pixel"] * int(np.prod(drawn)))
        return draw(draws, *args, **kwargs)

    monkeypatch.setattr(model.base, "draw", by_pixel)
    model.sample_rows(checks.rows(2))
    assert len(ran) == model.sampling_passes == 2 * 2 + 3 + 3
    assert len(set(ran)) == 1 + 3 + 3


def test_every_part_reads_the_condition():
    model = make(event_shape=(2, 3, 1), base_size=1, condition="label", num_classes=3)
    x = checks.random_images(model, 1)
    one, two = (model.raw(x, np.array([c], "int32")).numpy() for c in (1, 2))
    assert np.all(np.abs(one - two) > 1e-3)


def test_distribution_has_the_batch_shape_of_its_condition():
    vectors = np.random.default_rng(4).normal(size=(2, 3, 4)).astype("float32")
    model = make(event_shape=(2, 2, 1), base_size=1, condition="vector", condition_size=4)
    distribution = model.distribution(vectors)
    assert distribution.batch_shape == (2, 3) and distribution.event_shape == (2, 2, 1)
    x = checks.every_image(model)[7]
    each = [model.log_prob(x[None], condition=v[None])[0] for v in vectors.reshape(6, 4)]
    np.testing.assert_allclose(distribution.log_prob(x), np.reshape(each, (2, 3)), rtol=1e-5)
    checks.assert_sums_to_one(model, vectors[0, 0])


@pytest.mark.learn
@pytest.mark.slow
def test_learns_digits_better_than_independent_pixels():
    digits = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(digits.train.x, "float32"), np.asarray(digits.test.x, "float32")
    keras.utils.set_random_seed(17)
    model = MultiScalePixelCNN(digits.event_shape, filters=24, base_filters=24, base_blocks=2)
    model.compile(keras.optimizers.Adam(3e-3), seed=17)
    model.fit(train_x, batch_size=64, epochs=12, verbose=0)
    assert -np.mean(model.log_prob(test_x)) < 0.9 * checks.independent_nats(train_x, test_x)
