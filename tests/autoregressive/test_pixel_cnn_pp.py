"""PixelCNNPlusPlus: what a channel and a pixel's mixture depend on, dropout, and what it learns of photos."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import PixelCNNPlusPlus
from tfgen.autoregressive.pixels.two_streams import GatedBlock

TINY = {"filters": 5, "num_blocks": 1, "num_components": 3}


def make(seed=0, gain=1.0, **kwargs):
    """A small model with random weights."""
    return checks.randomize(PixelCNNPlusPlus(**TINY | kwargs), seed, gain)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5, 4, 1), (3, 3, 3)])
def test_each_conditional_depends_on_all_entries_up_to_it_and_no_later_one(shape):
    keras.utils.set_random_seed(3)
    model = PixelCNNPlusPlus(shape, num_values=4, **TINY)
    # As it is initialized, nothing reaches the first pixel's components, which are all alike.
    model.last.bias.assign(tf.linspace(-0.5, 0.5, model.last.units))
    x = checks.random_images(model, 1, seed=2)[0]
    entries = x.size
    for trained in (False, True):
        if trained:
            checks.train(model)
        points = tf.repeat(x[None], entries, axis=0)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(points)
            mixture = model.conditionals(points)
            own = tf.einsum("ii->i", tf.reshape(mixture.channel_log_probs(points), (entries, -1)))
            pixel = tf.repeat(tf.range(entries // shape[2]), shape[2])
            raw = tf.reshape(model.raw(points), (entries, entries // shape[2], -1))
            raw = tf.gather(raw, pixel, batch_dims=1)
        depends = tape.gradient(own, points).numpy().reshape(entries, entries) != 0.0
        np.testing.assert_array_equal(depends, np.tril(np.ones((entries, entries), bool)))
        # What a pixel's mixture is made of knows none of the pixel's own channels.
        depends = tape.gradient(raw, points).numpy().reshape(entries, entries) != 0.0
        np.testing.assert_array_equal(depends, pixel.numpy()[None, :] < pixel.numpy()[:, None])


@pytest.mark.slow
def test_dropout_is_a_function_of_the_seed_and_leaves_scores_alone():
    model, plain = make(event_shape=(4, 3, 1), dropout=0.5), make(event_shape=(4, 3, 1))
    x = checks.random_images(model, 4)
    np.testing.assert_array_equal(model.log_prob(x), plain.log_prob(x))
    objective = model.updates()[0].objective
    losses = [float(objective({"x": tf.constant(x)}, tf.constant([0, s]), None)[0]) for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    np.testing.assert_allclose(
        plain.updates()[0].objective({"x": tf.constant(x)}, tf.constant([0, 1]), None)[0],
        -np.mean(plain.log_prob(x)),
        rtol=1e-6,
    )


def test_dropout_keeps_the_mean_of_what_it_thins():
    block = GatedBlock("right", 0, 4, dropout=0.3)
    block.build((None, None, None, 4))
    kernel = np.random.default_rng(0).normal(size=block.second.kernel.shape)
    kernel[..., 4:] = 0.0  # The gate is 1 / 2, so that the output is linear in what is thinned.
    block.second.kernel.assign(kernel)
    h = tf.repeat(tf.random.Generator.from_seed(1).normal((1, 3, 3, 4)), 20_000, axis=0)
    thinned = block(h, seed=tf.constant([2, 3])).numpy()
    error = thinned.mean(0) - block(h[:1])[0]
    # The largest of 36 standardized means; above 4.7 once in 10,000 seeds.
    assert np.abs(error / (thinned.std(0) / np.sqrt(20_000))).max() < 4.7


@pytest.mark.learn
@pytest.mark.slow
def test_learns_photos_better_than_a_histogram_for_each_channel():
    photos = data.load("photos")
    train_x, test_x = (np.asarray(s.x[:, :8, :8], "float32") for s in (photos.train, photos.test))
    keras.utils.set_random_seed(17)
    model = PixelCNNPlusPlus((8, 8, 3), filters=16, num_blocks=1, num_resolutions=2, num_values=256)
    model.compile(keras.optimizers.Adam(3e-3), seed=17)
    model.fit(train_x, batch_size=64, epochs=3, verbose=0)
    bits = -np.mean(model.log_prob(test_x[::4])) / (192 * np.log(2))
    channels = np.moveaxis(train_x, -1, 0).astype(int).reshape(3, -1)
    counts = np.stack([np.bincount(channel, minlength=256) for channel in channels])
    histogram = np.log2((counts + 1) / (counts + 1).sum(1, keepdims=True))
    baseline = -np.mean([histogram[c, test_x[..., c].astype(int)].mean() for c in range(3)])
    assert bits < 0.9 * baseline
