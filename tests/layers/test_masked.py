"""Masked convolution against its definition, tap by tap."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import MaskedConv2D, RowsAboveConv2D
from tfgen.layers.masked import raster_mask


def group(feature, features, channels):
    """The color channel that a feature belongs to: equal shares, in order."""
    return feature * channels // features


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize(("channels", "inputs", "outputs"), [(1, 1, 4), (3, 3, 7), (3, 6, 12), (2, 5, 4)])
def test_mask_equals_its_definition(mask_type, channels, inputs, outputs):
    mask = raster_mask(5, inputs, outputs, mask_type, channels)
    for dy, dx, i, o in np.ndindex(5, 5, inputs, outputs):
        past = dy < 2 or (dy == 2 and dx < 2)
        source, target = group(i, inputs, channels), group(o, outputs, channels)
        present = (dy, dx) == (2, 2) and (source < target or (mask_type == "B" and source == target))
        assert mask[dy, dx, i, o] == float(past or present), (dy, dx, i, o)


def test_kernels_need_not_be_square():
    whole = raster_mask(5, 3, 6, "B", 3)
    np.testing.assert_array_equal(raster_mask((1, 5), 3, 6, "B", 3), whole[2:3])
    np.testing.assert_array_equal(raster_mask((5, 3), 3, 6, "B", 3), whole[:, 1:4])
    x = np.random.default_rng(3).normal(size=(2, 4, 5, 3)).astype("float32")
    square, flat = MaskedConv2D(6, 3, channels=3), MaskedConv2D(6, (1, 3), channels=3)
    square.build(x.shape), flat.build(x.shape)
    kernel = np.zeros(square.kernel.shape, "float32")
    kernel[1:2] = flat.kernel
    square.set_weights([kernel, flat.bias])
    np.testing.assert_allclose(square(x), flat(x), atol=1e-6)


@pytest.mark.parametrize(("channels", "features"), [(3, 7), (2, 5), (1, 4)])
def test_each_run_is_split_into_all_channels(channels, features):
    one = raster_mask(3, 8, features, "B", channels)
    np.testing.assert_array_equal(raster_mask(3, 8, 4 * features, "B", channels, runs=4), np.tile(one, 4))
    with pytest.raises(ValueError, match="runs must divide filters=6, got 4"):
        MaskedConv2D(6, 3, runs=4)


def test_groups_of_one_hot_inputs_follow_their_channel():
    mask = raster_mask(1, 12, 3, "A", 3)[0, 0]
    np.testing.assert_array_equal(mask[:4], [[0, 1, 1]] * 4)
    np.testing.assert_array_equal(mask[4:8], [[0, 0, 1]] * 4)
    np.testing.assert_array_equal(mask[8:], [[0, 0, 0]] * 4)


@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_convolution_equals_the_sum_over_open_taps(mask_type):
    rng = np.random.default_rng(0)
    layer = MaskedConv2D(3, 3, mask_type, channels=3)
    x = rng.normal(size=(2, 4, 3, 3)).astype("float32")
    layer.build(x.shape)
    kernel, bias = rng.normal(size=(3, 3, 3, 3)), rng.normal(size=3)
    layer.set_weights([kernel, bias])
    want = np.zeros((2, 4, 3, 3)) + bias
    for y, c, dy, dx in itertools.product(range(4), range(3), range(-1, 2), range(-1, 2)):
        if not (0 <= y + dy < 4 and 0 <= c + dx < 3) or dy > 0 or (dy == 0 and dx > 0):
            continue
        for i, o in itertools.product(range(3), range(3)):
            if (dy, dx) == (0, 0) and not (i < o or (mask_type == "B" and i == o)):
                continue
            want[:, y, c, o] += x[:, y + dy, c + dx, i] * kernel[dy + 1, dx + 1, i, o]
    np.testing.assert_allclose(layer(x), want, atol=1e-5)


def test_hidden_weights_have_no_gradient_and_open_ones_do():
    layer = MaskedConv2D(6, 3, "A", channels=3)
    x = tf.constant(np.random.default_rng(1).normal(size=(4, 5, 5, 3)).astype("float32"))
    layer.build(x.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    np.testing.assert_array_equal(gradient != 0.0, raster_mask(3, 3, 6, "A", 3) == 1.0)


def test_config_brings_the_layer_back():
    layer = MaskedConv2D(6, 5, "A", channels=3, condition_size=2, name="masked")
    layer.build((None, None, None, 3))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    x = np.random.default_rng(2).normal(size=(1, 3, 4, 3)).astype("float32")
    told = np.array([[0.5, -2.0]], "float32")
    np.testing.assert_array_equal(again(x, told), layer(x, told))
    np.testing.assert_allclose(layer(x, told), layer(x) + told @ layer.condition.kernel.numpy(), atol=1e-6)
    assert layer.compute_output_shape((2, 3, 4, 3)) == layer(x[[0, 0]]).shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 4}, "kernel_size must be an odd whole number of at least 1, got 4"),
        ({"kernel_size": (3, -1)}, "kernel_size must be an odd whole number of at least 1, got -1"),
        ({"mask_type": "C"}, "mask_type must be one of 'A', 'B', got 'C'"),
        ({"channels": 0}, "channels must be a whole number of at least 1, got 0"),
        ({"filters": 2, "channels": 3}, "filters must be a whole number of at least 3, got 2"),
    ],
)
def test_bad_arguments_name_themselves(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaskedConv2D(**{"filters": 4, "kernel_size": 3} | arguments)


@pytest.mark.parametrize(
    "layer",
    [
        MaskedConv2D(6, 3, channels=3, condition_size=2, image_size=(3, 4)),
        RowsAboveConv2D(6, 3, "B", 2, (3, 4)),
    ],
)
def test_a_location_dependent_bias_adds_to_its_row_and_column(layer):
    layer.build((None, None, None, 3))
    rng = np.random.default_rng(6)
    x, told = rng.normal(size=(2, 3, 4, 3)).astype("float32"), rng.normal(size=(2, 2)).astype("float32")
    before = layer(x, told).numpy()
    rows, columns = rng.normal(size=(3, 6)), rng.normal(size=(4, 6))
    layer.position.rows.assign(rows)
    layer.position.columns.assign(columns)
    np.testing.assert_allclose(layer(x, told) - before, [rows[:, None] + columns] * 2, atol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.image_size == (3, 4)


@pytest.mark.parametrize("mask_type", ["A", "B"])
@pytest.mark.parametrize("shape", [(4, 3, 2), (1, 5, 1)])
def test_rows_above_equal_a_convolution_whose_lower_rows_are_zero(mask_type, shape):
    x = np.random.default_rng(4).normal(size=(2, *shape)).astype("float32")
    layer = RowsAboveConv2D(3, 5, mask_type)
    layer.build(x.shape)
    layer.bias.assign([1.0, 2.0, 3.0])
    kernel = np.zeros((5, 5, shape[-1], 3), "float32")
    kernel[: layer.kernel.shape[0]] = layer.kernel
    want = tf.nn.conv2d(x, kernel, strides=1, padding="SAME") + layer.bias.numpy()
    np.testing.assert_allclose(layer(x), want, atol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
