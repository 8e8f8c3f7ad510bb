"""Recurrent layers against Keras' own, with the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.recurrent import Recurrent


def pair(cell, layers=1, units=5, features=3):
    """A stack of ours and one of Keras' with the same random weights."""
    ours = Recurrent(cell, units, layers)
    ours.build((None, None, features))
    rng = np.random.default_rng(0)
    for v in ours.trainable_variables:
        v.assign(rng.normal(size=v.shape))
    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    theirs = []
    for number, layer in enumerate(ours.cells):
        theirs.append(kind(units, return_sequences=True, return_state=True))
        theirs[-1].build((None, None, features if number == 0 else units))
        weights = [layer.kernel, layer.recurrent_kernel, layer.bias]
        weights = [w.numpy() for w in weights]
        if cell == "gru":
            weights[2] = np.stack([weights[2], layer.recurrent_bias.numpy()])
        theirs[-1].set_weights(weights)
    return ours, theirs


def keras_outputs(theirs, x, mask=None):
    for layer in theirs:
        x, *state = layer(x, mask=mask)
    return x, state


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_outputs_states_and_gradients_are_those_of_keras(cell, layers):
    ours, theirs = pair(cell, layers)
    x = tf.constant(np.random.default_rng(1).normal(size=(2, 6, 3)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        mine, state = ours.sequence(x)
        keras_out, keras_state = keras_outputs(theirs, x)
        losses = [tf.reduce_sum(tf.sin(3.0 * y)) for y in (mine, keras_out)]
    np.testing.assert_allclose(mine, keras_out, atol=1e-5)
    for one, two in zip(state[-1], keras_state, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    one, two = (tape.gradient(loss, x) for loss in losses)
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    kernel = tape.gradient(losses[0], ours.cells[0].recurrent_kernel.value)
    np.testing.assert_allclose(
        kernel, tape.gradient(losses[1], theirs[0].weights[1].value), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_steps_are_the_sequence_and_lengths_stop_it(cell):
    ours, theirs = pair(cell, 2)
    x = tf.constant(np.random.default_rng(2).normal(size=(3, 5, 3)), tf.float32)
    whole, _ = ours.sequence(x)
    state = ours.start(3)
    for t in range(5):
        state, out = ours.step(state, x[:, t])
        np.testing.assert_allclose(out, whole[:, t], atol=1e-6)
    lengths = tf.constant([5, 2, 1])
    _, stopped = ours.sequence(x, lengths=lengths)
    mask = tf.sequence_mask(lengths, 5)
    _, keras_state = keras_outputs(theirs, x, mask)
    for one, two in zip(stopped[-1], keras_state, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    first, middle = ours.sequence(x[:, :2])
    second, _ = ours.sequence(x[:, 2:], state=middle)
    np.testing.assert_allclose(tf.concat([first, second], 1), whole, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gradients_are_equal_under_xla_and_nearly_so_in_bfloat16(cell):
    ours, _ = pair(cell)
    x = tf.constant(np.random.default_rng(3).normal(size=(4, 6, 3)), tf.float32)

    def gradient(layer):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer.sequence(x, lengths=tf.constant([6, 1, 3, 4]))[0]))
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    plain = tf.function(lambda: gradient(ours))()
    for one, two in zip(plain, tf.function(lambda: gradient(ours), jit_compile=True)(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    rough = Recurrent(cell, 5, dtype="mixed_bfloat16")
    rough.build((None, None, 3))
    rough.set_weights(ours.get_weights())
    out = rough.sequence(x)[0]
    assert out.dtype == tf.float32
    np.testing.assert_allclose(out, ours.sequence(x)[0], atol=0.05)


def test_bad_arguments_name_themselves():
    for arguments, message in (
        (("rnn", 5), "cell must be one of 'lstm', 'gru', got 'rnn'"),
        (("lstm", 0), "units must be a whole number of at least 1, got 0"),
        (("gru", 5, 0), "layers must be a whole number of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Recurrent(*arguments)
