"""PixelRNN: its LSTMs against the paper's equations, pixel by pixel, and what each kind of layer sees."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import PixelRNN
from tfgen.autoregressive.pixels.pixel_rnn import DiagonalBiLSTM, RowLSTM, skew, unskew

TINY = {"num_layers": 2, "hidden": 7, "head": 12}

both = pytest.mark.parametrize("layer", ["diagonal", "row"])


@pytest.mark.parametrize(("height", "width"), [(4, 3), (3, 5), (1, 4), (4, 1), (1, 1)])
def test_skewing_makes_columns_of_diagonals_and_is_undone(height, width):
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype("float32")
    want = np.zeros((2, height, width + height - 1, 3), "float32")
    for row in range(height):
        want[:, row, row : row + width] = x[:, row]
    np.testing.assert_array_equal(skew(tf.constant(x)), want)
    np.testing.assert_array_equal(unskew(skew(tf.constant(x)), width), x)


def group(feature, features, channels):
    """The color channel that a feature belongs to."""
    return feature * channels // features


def visible(inputs, units, channels):
    """Which inputs of a pixel each unit of the same pixel may read: `[inputs, units]`."""
    return np.array(
        [
            [group(i, inputs, channels) <= group(u, units, channels) for u in range(units)]
            for i in range(inputs)
        ]
    )


def step(gates, cell):
    """Equation 3 of the paper; gates in the order o, f, i, g."""
    o, f, i, g = np.split(gates, 4)
    o, f, i = (1.0 / (1.0 + np.exp(-gate)) for gate in (o, f, i))
    cell = f * cell + i * np.tanh(g)
    return o * np.tanh(cell), cell


def row_lstm(x, own, left, bias, above):
    """States of a Row LSTM, one pixel after the other: x `[H, W, in]`, `left` and `above` by distance."""
    height, width, units = *x.shape[:2], len(bias) // 4
    radius = len(above) // 2
    h, c = np.zeros((2, height + 1, width + 2 * radius, units))
    for r, column in np.ndindex(height, width):
        gates = bias + x[r, column] @ own
        for distance in range(1, radius + 1):
            if column >= distance:
                gates = gates + x[r, column - distance] @ left[distance - 1]
        for tap in range(2 * radius + 1):
            gates = gates + h[r, column + tap] @ above[tap]
        h[r + 1, column + radius], c[r + 1, column + radius] = step(gates, c[r, column + radius])
    return h[1:, radius : radius + width]


def diagonal_lstm(x, own, bias, beside, above):
    """States of one direction of a Diagonal LSTM, from left to right."""
    height, width, units = *x.shape[:2], len(bias) // 4
    h, c = np.zeros((2, height + 1, width + 1, units))
    for r, column in np.ndindex(height, width):
        gates = bias + x[r, column] @ own + h[r + 1, column] @ beside + h[r, column + 1] @ above
        h[r + 1, column + 1], c[r + 1, column + 1] = step(gates, c[r + 1, column])
    return h[1:, 1:]


def random_block(block, inputs):
    """The block with random weights, and these in float64 by name, masked by hand."""
    block.build((None, None, None, inputs))
    rng = np.random.default_rng(1)
    for v in block.trainable_variables:
        v.assign(rng.normal(size=v.shape) * 0.8)
    units, channels = block.units, block.channels
    open_taps = np.tile(visible(inputs, units, channels), 4 * block.directions)
    center = block.input_to_state.kernel.shape[1] // 2
    kernel = np.asarray(block.input_to_state.kernel.numpy()[0], "float64")
    return {
        "own": kernel[center] * open_taps,
        "left": [kernel[center - d] for d in range(1, center + 1)],
        "bias": block.input_to_state.bias.numpy(),
        "states": [np.split(k.numpy(), k.shape[0] // units) for k in block.state_to_state],
        "expand": block.expand.kernel.numpy()[0, 0] * visible(units, inputs, channels),
        "expand_bias": block.expand.bias.numpy(),
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("shape", "kernel_size"), [((3, 5), 3), ((4, 3), 5), ((1, 4), 3), ((4, 1), 3)])
def test_row_lstm_is_the_papers_equations_pixel_by_pixel(shape, kernel_size, channels):
    block = RowLSTM(5, kernel_size, channels=channels)
    w = random_block(block, 7)
    x = np.random.default_rng(2).normal(size=(2, *shape, 7)).astype("float32")
    states = np.stack([row_lstm(one, w["own"], w["left"], w["bias"], w["states"][0]) for one in x])
    np.testing.assert_allclose(block(x), x + states @ w["expand"] + w["expand_bias"], atol=2e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(3, 5), (4, 3), (1, 4), (4, 1)])
def test_diagonal_bilstm_is_the_papers_equations_pixel_by_pixel(shape, channels):
    block = DiagonalBiLSTM(5, channels=channels)
    w = random_block(block, 7)
    x = np.random.default_rng(3).normal(size=(2, *shape, 7)).astype("float32")
    (own, right_own), (bias, right_bias) = np.split(w["own"], 2, 1), np.split(w["bias"], 2)
    states = []
    for one in x:
        state = diagonal_lstm(one, own, bias, *w["states"][0])
        right = diagonal_lstm(one[:, ::-1], right_own, right_bias, *w["states"][1])[:, ::-1]
        state[1:] += right[:-1]
        states.append(state)
    np.testing.assert_allclose(block(x), x + np.stack(states) @ w["expand"] + w["expand_bias"], atol=2e-5)


def receptive_field(layer, num_layers, shape=(4, 9)):
    """What each pixel's logit depends on and all that is earlier, `[H, W, H, W]` each."""
    sizes = {"num_layers": num_layers, "first_kernel_size": 3, "head": 32}
    model = checks.randomize(PixelRNN((*shape, 1), layer, **TINY | sizes))
    depends = checks.dependence(model, checks.random_images(model, 1)[0])
    return depends.reshape(*shape, *shape), checks.earlier(model).reshape(*shape, *shape)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_a_diagonal_layer_sees_everything_before_but_the_end_of_the_row_above(num_layers):
    depends, seen = receptive_field("diagonal", num_layers)
    for row, column in np.ndindex(*seen.shape[:2]):
        # No feature of the row above knows its last pixel: the 3x3 convolution alone shows it.
        if row and column + 1 < seen.shape[1] - 1:
            seen[row, column, row - 1, -1] = False
    np.testing.assert_array_equal(depends, seen)


def test_a_row_layer_sees_a_triangle():
    depends, earlier = receptive_field("row", 1)
    seen = np.zeros_like(earlier)
    for row, column, distance in np.ndindex(seen.shape[0], seen.shape[1], seen.shape[0]):
        # A 3x3 convolution, an LSTM kernel of three over the row, states from three pixels of the row above.
        first, last = max(column - distance - 2, 0), column + distance + (distance > 0)
        if distance <= row:
            seen[row, column, row - distance, first:last] = True
    np.testing.assert_array_equal(depends, seen)
    assert np.any(earlier & ~seen)


@pytest.mark.slow
@both
def test_gradients_through_the_compiled_loop_equal_those_of_plain_steps(layer):
    model = checks.randomize(PixelRNN((3, 4, 1), layer, **TINY), gain=2.5)
    (update,) = model.updates()
    batch = {"x": tf.constant(checks.random_images(model, 4))}

    def gradients():
        with tf.GradientTape() as tape:
            loss, _ = update.objective(batch, None, None)
        return tape.gradient(loss, [v.value for v in update.variables])

    plain = gradients()
    for jit in (None, True):
        looped = tf.function(gradients, autograph=False, jit_compile=jit)()
        for one, two, v in zip(plain, looped, update.variables, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4, err_msg=v.path)


@pytest.mark.learn
@pytest.mark.slow
@both
def test_learns_digits_better_than_independent_pixels(layer):
    digits = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(digits.train.x, "float32"), np.asarray(digits.test.x, "float32")
    keras.utils.set_random_seed(17)
    model = PixelRNN(digits.event_shape, layer, num_layers=1, hidden=16, head=16)
    model.compile(keras.optimizers.Adam(1e-2), seed=17)
    model.fit(train_x, batch_size=64, epochs=8, verbose=0)
    assert -np.mean(model.log_prob(test_x)) < 0.9 * checks.independent_nats(train_x, test_x)
