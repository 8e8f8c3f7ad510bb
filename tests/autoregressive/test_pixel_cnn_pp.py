"""PixelCNNPlusPlus: causality, normalization, and a sampler that agrees with the density."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import PixelCNNPlusPlus
from tfgen.autoregressive.pixels.two_streams import GatedBlock

TINY = {"filters": 5, "num_blocks": 1, "num_components": 3}
BINARY = {"event_shape": (3, 3, 1)}
SMALL = [
    BINARY,
    {"event_shape": (2, 2, 1), "num_values": 3, "num_resolutions": 2},
    {"event_shape": (1, 1, 3), "num_values": 4, "num_resolutions": 1},
]


def make(seed=0, gain=1.0, **kwargs):
    """A small model with random weights."""
    return checks.randomize(PixelCNNPlusPlus(**TINY | kwargs), seed, gain)


def mixtures(model, logits, temperature=1.0):
    """The paper's parameters in float64, levels in [-1, 1]: log weights, locations, scales, coefficients."""
    channels = model.event_shape[-1]
    groups = logits.reshape(*logits.shape[:-1], -1, TINY["num_components"]).astype("float64")
    loc, log_scale = groups[..., 1 : channels + 1, :], groups[..., channels + 1 : 2 * channels + 1, :]
    scale = temperature * np.exp(np.clip(log_scale, -7, 7))
    return groups[..., 0, :] / temperature, loc, scale, np.tanh(groups[..., 2 * channels + 1 :, :])


def log_conditionals(model, images, temperature=1.0, condition=None):
    """log p(x_i | x_<i) of each entry, `[images, entries]`, by the paper's formula from `logits`."""
    given = checks.repeated(condition, len(images))
    parameters = mixtures(model, model.logits(images, **given).numpy(), temperature)
    logits, loc, scale, coefficients = parameters
    half, joint, conditionals = (model.num_values - 1) / 2, special.log_softmax(logits, -1), []
    x = images.astype("float64") / half - 1.0
    for c in range(images.shape[-1]):
        mean = loc[..., c, :].copy()
        for b in range(c):
            mean += coefficients[..., c * (c - 1) // 2 + b, :] * x[..., b, None]
        own, standard = x[..., c, None], stats.logistic(mean, scale[..., c, :])
        upper = np.where(own > 1 - 0.5 / half, 1.0, standard.cdf(own + 0.5 / half))
        lower = np.where(own < -1 + 0.5 / half, 0.0, standard.cdf(own - 0.5 / half))
        before = special.logsumexp(joint, -1)
        joint = joint + np.log(np.maximum(upper - lower, 1e-300))
        conditionals.append(special.logsumexp(joint, -1) - before)
    return np.stack(conditionals, -1).reshape(len(images), -1)


@pytest.fixture(scope="module")
def binary():
    return make(**BINARY)


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
            raw = tf.reshape(model.logits(points), (entries, entries // shape[2], -1))
            raw = tf.gather(raw, pixel, batch_dims=1)
        depends = tape.gradient(own, points).numpy().reshape(entries, entries) != 0.0
        np.testing.assert_array_equal(depends, np.tril(np.ones((entries, entries), bool)))
        # What a pixel's mixture is made of knows none of the pixel's own channels.
        depends = tape.gradient(raw, points).numpy().reshape(entries, entries) != 0.0
        np.testing.assert_array_equal(depends, pixel.numpy()[None, :] < pixel.numpy()[:, None])


def test_changing_an_entry_changes_no_conditional_before_it():
    model = make(event_shape=(4, 3, 3), num_values=4)
    entries = 36
    x = np.random.default_rng(4).integers(0, 4, entries)
    changed = np.tile(x, (entries + 1, 1))
    changed[np.arange(entries), np.arange(entries)] += 1
    images = (changed % 4).reshape(-1, *model.event_shape).astype("float32")
    log_probs = model.conditionals(images).channel_log_probs(images).numpy().reshape(entries + 1, entries)
    moved = np.abs(log_probs[:-1] - log_probs[-1]) > 1e-4
    assert not np.any(np.tril(moved, -1))
    assert moved[np.triu_indices(entries)].mean() > 0.6


@pytest.mark.parametrize("kwargs", SMALL, ids=checks.name)
def test_probabilities_of_all_images_sum_to_one(kwargs):
    checks.assert_sums_to_one(make(**kwargs), conditionals=log_conditionals)


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", SMALL, ids=checks.name)
def test_samples_follow_the_density(kwargs):
    checks.assert_samples_follow_the_density(make(**kwargs))


@pytest.mark.slow
def test_compiled_samples_follow_the_density_and_do_not_depend_on_their_number():
    checks.assert_compiled_samples_follow_the_density(make(event_shape=(2, 3, 1), num_resolutions=2))


# Odd sizes at every resolution, a single row, one resolution only, more than one block.
CACHED = [
    {"event_shape": (7, 6, 1)},
    {"event_shape": (5, 3, 3), "num_values": 4},
    {"event_shape": (1, 5, 1), "num_blocks": 2},
    {"event_shape": (4, 5, 1), "num_resolutions": 1},
]


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", CACHED, ids=checks.name)
def test_parameters_of_the_sampler_equal_those_of_the_whole_network(kwargs):
    checks.assert_sampler_computes_the_logits(make(**kwargs))


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
def test_parameters_of_the_sampler_equal_those_of_the_network_as_it_is_initialized_and_trained(trained):
    keras.utils.set_random_seed(6)
    model = PixelCNNPlusPlus((5, 6, 1), **TINY)
    if trained:
        checks.train(model)
    checks.assert_sampler_computes_the_logits(model)


@pytest.mark.slow
def test_a_label_conditions_network_and_sampler_alike():
    model = make(event_shape=(5, 3, 1), condition="label", num_classes=3)
    labels = np.array([0, 2, 1])
    checks.assert_sampler_computes_the_logits(model, condition=labels)
    x = checks.random_images(model, 1, seed=1)
    by_label = model.log_prob(np.repeat(x, 3, axis=0), condition=labels).numpy()
    assert len(set(by_label.round(3))) == 3


@pytest.mark.slow
def test_planted_errors_are_noticed():
    model = make(event_shape=(7, 6, 1))
    top, middle, lowest = model.resolutions
    checks.assert_planted_errors_are_noticed(
        model,
        [
            (model.enter_down.kernel, (0, 2)),
            (model.enter_left.kernel, (0,)),
            (top.encode[0].down.first.kernel, (0, 0)),
            (top.shrink[0].kernel, (0, 2)),
            (top.shrink[1].kernel, (0, 1)),
            (middle.encode[0].right.second.kernel, (0, 0)),
            (lowest.encode[0].right.first.kernel, (1, 0)),
            (lowest.decode[0].right.side, (1,)),
            (middle.grow[0].kernel, (1, 0)),
            (middle.grow[1].kernel, (1, 1)),
            (top.grow[1].kernel, (0, 1)),
            (top.decode[1].down.side, (0,)),
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", SMALL[1:], ids=checks.name)
def test_completion_keeps_known_entries_and_draws_the_others_from_their_conditionals(kwargs):
    checks.assert_completes(make(seed=9, **kwargs), conditionals=log_conditionals)


@pytest.mark.slow
def test_temperature_scales_the_mixture():
    model = make(seed=13, **SMALL[2])
    for temperature in (0.6, 1.7):
        checks.assert_temperature_divides_the_logits(model, temperature, conditionals=log_conditionals)


@pytest.mark.slow
def test_temperature_zero_is_the_chain_of_the_heaviest_components_locations():
    model = make(seed=12, event_shape=(3, 2, 3), num_values=5)
    image = np.zeros((1, 3, 2, 3), "float32")
    for row, column in np.ndindex(3, 2):
        parameters = mixtures(model, model.logits(image).numpy()[0, row, column])
        logits, loc, _, coefficients = parameters
        best, x = logits.argmax(), []
        for c in range(3):
            mean = loc[c, best] + sum(coefficients[c * (c - 1) // 2 + b, best] * x[b] for b in range(c))
            image[0, row, column, c] = np.clip(np.round(2 * (mean + 1)), 0, 4)
            x.append(image[0, row, column, c] / 2 - 1)
    assert len(np.unique(image)) > 2
    samples = checks.draw(model, 3, temperature=0.0)
    np.testing.assert_array_equal(samples, np.tile(image, (3, 1, 1, 1)))


@pytest.mark.slow
def test_served_completion_is_the_sampler(binary):
    checks.assert_served_completion_is_the_sampler(binary)


def test_objective_is_the_mean_of_minus_log_prob_and_reaches_every_weight(binary):
    checks.assert_objective_reaches_every_weight(binary)


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
    block = GatedBlock("right", 0, 4, dropout=0.3, condition=None)
    block.build((None, None, None, 4))
    kernel = np.random.default_rng(0).normal(size=block.second.kernel.shape)
    kernel[..., 4:] = 0.0  # The gate is 1 / 2, so that the output is linear in what is thinned.
    block.second.kernel.assign(kernel)
    h = tf.repeat(tf.random.Generator.from_seed(1).normal((1, 3, 3, 4)), 20_000, axis=0)
    thinned = block(h, seed=tf.constant([2, 3])).numpy()
    error = thinned.mean(0) - block(h[:1])[0]
    # The largest of 36 standardized means; above 4.7 once in 10,000 seeds.
    assert np.abs(error / (thinned.std(0) / np.sqrt(20_000))).max() < 4.7


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"event_shape": (8, 8)}, r"event_shape must be \(rows, columns, channels\), got \(8, 8\)"),
        ({"filters": 0}, "filters must be a whole number of at least 1, got 0"),
        ({"num_blocks": 1.5}, "num_blocks must be a whole number of at least 1, got 1.5"),
        ({"num_components": 0}, "num_components must be a whole number of at least 1, got 0"),
        ({"num_resolutions": 0}, "num_resolutions must be a whole number of at least 1, got 0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1, got -0.1"),
        ({"num_values": 1}, "num_values must be a whole number of at least 2, got 1"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PixelCNNPlusPlus(**{"event_shape": (4, 4, 1)} | TINY | kwargs)


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
