"""PixelCNN against enumeration: causality, normalization, and a sampler that agrees with the density."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfgen import data, random
from tfgen.autoregressive import PixelCNN

TINY = {"filters": 15, "num_blocks": 2, "hidden": 13, "head": 12}
# Every chi-square below fails once in 10,000 seeds; seeds are fixed.
FALSE_FAILURE = 1e-4
BINARY = {"event_shape": (3, 3, 1)}
SHAPES = [
    BINARY,
    {"event_shape": (2, 3, 3)},
    {"event_shape": (2, 2, 1), "num_values": 3},
    {"event_shape": (1, 1, 3), "num_values": 4},
    {"event_shape": (2, 2, 1), "num_values": 3, "one_hot": True},
    {"event_shape": (1, 1, 3), "num_values": 4, "one_hot": True},
]


def make(seed=0, gain=1.7, **kwargs):
    """A small PixelCNN with random weights, biases included, whose conditionals are far from uniform."""
    model = PixelCNN(**TINY | kwargs)
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        fan_in = np.prod(v.shape[:-1]) if len(v.shape) > 1 else 16.0
        v.assign(rng.normal(size=v.shape) * gain / np.sqrt(fan_in))
    return model


def name(kwargs):
    """A case's test id."""
    return "-".join(str(v).replace(" ", "") for v in kwargs.values())


def train(model, steps=3):
    """Moves every weight by Adam, those under a mask included if they had a gradient."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, model.num_values, (8, *model.event_shape)).astype("float32")
    (update,), optimizer = model.updates(), keras.optimizers.Adam(0.05)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss, _ = update.objective({"x": tf.constant(x)}, None, None)
        optimizer.apply(tape.gradient(loss, [v.value for v in update.variables]), update.variables)


def every_image(model):
    """All images, `[num_values ** entries, *event_shape]`, the last entry running fastest."""
    entries = itertools.product(range(model.num_values), repeat=int(np.prod(model.event_shape)))
    return np.array(list(entries), "float32").reshape(-1, *model.event_shape)


def log_conditionals(model, images, temperature=1.0):
    """log p(x_i | x_<i) of each entry, `[images, entries]`, from `logits` and nothing else of the model."""
    logits = model.logits(images).numpy().astype("float64") / temperature
    if model.num_values == 2:
        logits = np.stack([np.zeros_like(logits), logits], -1)
    log_probs = scipy.special.log_softmax(logits, axis=-1)
    taken = np.take_along_axis(log_probs, images.astype(int)[..., None], -1)
    return taken.reshape(len(images), -1)


def index(model, images):
    """Where images stand in `every_image`."""
    flat = np.asarray(images).reshape(len(images), -1).astype(int)
    return np.ravel_multi_index(flat.T, (model.num_values,) * flat.shape[1])


def assert_follows(model, samples, probs):
    """Chi-square test of samples against a probability for each of `every_image`."""
    probs = np.asarray(probs, "float64")
    np.testing.assert_allclose(probs.sum(), 1.0, atol=1e-5)
    counts = np.bincount(index(model, samples), minlength=len(probs))
    expected = probs / probs.sum() * len(samples)
    assert counts[expected == 0.0].sum() == 0
    rare = expected < 5.0
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] == 0.0:
        counts, expected = counts[:-1], expected[:-1]
    assert len(counts) > 3
    assert scipy.stats.chisquare(counts, expected).pvalue > FALSE_FAILURE


def rows(num, seed=0):
    return random.rows(random.as_seed(seed), num)


def draw(model, num, seed=0, **kwargs):
    """`sample_rows` in a graph, without XLA."""
    return tf.function(model.sample_rows, autograph=False)(rows(num, seed), **kwargs).numpy()


@pytest.fixture(scope="module")
def binary():
    return make(**BINARY)


@pytest.mark.parametrize("num_values", [2, 4])
@pytest.mark.parametrize("shape", [(4, 3, 1), (2, 3, 3)])
def test_each_logit_depends_on_all_earlier_entries_and_no_other(shape, num_values):
    keras.utils.set_random_seed(3)
    model = PixelCNN(shape, num_values=num_values, **TINY | {"filters": 24, "hidden": 24, "head": 24})
    x = np.random.default_rng(2).integers(0, num_values, (1, *shape)).astype("float32")
    entries = int(np.prod(shape))
    for trained in (False, True):
        if trained:
            train(model)
        points = tf.repeat(x, entries, axis=0)
        with tf.GradientTape() as tape:
            tape.watch(points)
            logits = tf.reshape(model.logits(points), (entries, entries, -1))
            own = tf.einsum("iik,k->", logits, np.arange(1.0, logits.shape[-1] + 1, dtype="float32"))
        # Row i is the gradient of logit i: each copy of x carries one.
        depends = tape.gradient(own, points).numpy().reshape(entries, entries) != 0.0
        np.testing.assert_array_equal(depends, np.tril(np.ones((entries, entries), bool), -1))


@pytest.mark.parametrize("kwargs", SHAPES, ids=name)
def test_changing_an_entry_changes_no_logit_up_to_it(kwargs):
    model = make(**kwargs)
    entries = int(np.prod(model.event_shape))
    x = np.random.default_rng(4).integers(0, model.num_values, entries)
    changed = np.tile(x, (entries + 1, 1))
    changed[np.arange(entries), np.arange(entries)] += 1
    images = (changed % model.num_values).reshape(-1, *model.event_shape).astype("float32")
    logits = model.logits(images).numpy().reshape(entries + 1, entries, -1)
    moved = np.any(np.abs(logits[:-1] - logits[-1]) > 1e-5, axis=-1)
    later = np.triu(np.ones((entries, entries), bool), 1)
    assert not np.any(moved & ~later)
    # A dead ReLU may hide a few of the others.
    assert moved[later].mean() > 0.6


@pytest.mark.parametrize("kwargs", SHAPES[:1] + SHAPES[2:], ids=name)
def test_probabilities_of_all_images_sum_to_one(kwargs):
    model = make(**kwargs)
    images = every_image(model)
    log_prob = model.log_prob(images).numpy()
    np.testing.assert_allclose(np.exp(log_prob.astype("float64")).sum(), 1.0, atol=1e-5)
    np.testing.assert_allclose(log_prob, log_conditionals(model, images).sum(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kwargs", SHAPES[:1] + SHAPES[2:], ids=name)
def test_samples_follow_the_density(kwargs):
    model = make(**kwargs)
    probs = np.exp(model.log_prob(every_image(model)).numpy().astype("float64"))
    assert_follows(model, draw(model, 20_000), probs)


def test_compiled_samples_follow_the_density_and_do_not_depend_on_their_number(binary):
    samples = binary.sample(20_000, seed=5).numpy()
    assert_follows(binary, samples, np.exp(binary.log_prob(every_image(binary)).numpy()))
    np.testing.assert_array_equal(binary.sample(3, seed=5), samples[:3])
    np.testing.assert_array_equal(draw(binary, 500, seed=5), samples[:500])


CACHED = [
    {"event_shape": (6, 5, 1)},
    {"event_shape": (5, 6, 3)},
    {"event_shape": (4, 5, 3), "num_values": 4, "one_hot": True},
    {"event_shape": (5, 7, 1), "num_values": 5, "kernel_size": 5, "first_kernel_size": 3},
    {"event_shape": (1, 4, 1)},
]


def cached_logits(model, images):
    """The sampler's logits while it is forced to draw `images`."""
    mask = tf.ones(images.shape, tf.bool)
    scan = tf.function(lambda seeds: model.scan(seeds, given=images, mask=mask, with_logits=True))
    drawn = scan(rows(len(images)))
    np.testing.assert_array_equal(drawn["x"], images)
    return drawn["logits"].numpy()


@pytest.mark.parametrize("state", ["initial", "trained", "large"])
@pytest.mark.parametrize("kwargs", CACHED, ids=name)
def test_logits_of_the_sampler_equal_those_of_the_whole_network(kwargs, state):
    keras.utils.set_random_seed(6)
    model = make(gain=20.0, **kwargs) if state == "large" else PixelCNN(**TINY | kwargs)
    if state == "trained":
        train(model)
    shape = (3, *model.event_shape)
    images = np.random.default_rng(7).integers(0, model.num_values, shape).astype("float32")
    full = model.logits(images).numpy()
    # Float32 knows large logits to a relative error only.
    tolerance = 1e-4 if state != "large" else 1e-5 * np.abs(full).max()
    np.testing.assert_allclose(cached_logits(model, images), full, rtol=0.0, atol=tolerance)


def test_a_planted_error_in_one_tap_is_noticed():
    model = make(event_shape=(6, 5, 1))
    images = np.random.default_rng(8).integers(0, 2, (3, 6, 5, 1)).astype("float32")
    cached = cached_logits(model, images)
    for layer, tap in [
        (model.first, (0, 6)),
        (model.blocks[1].middle, (0, 2)),
        (model.blocks[0].middle, (1, 0)),
    ]:
        right = layer.kernel.numpy()
        wrong = right.copy()
        wrong[tap] = 0.0
        layer.kernel.assign(wrong)
        error = np.abs(model.logits(images).numpy() - cached).max()
        layer.kernel.assign(right)
        assert error > 1e-2
    np.testing.assert_allclose(model.logits(images), cached, atol=1e-3)


@pytest.mark.parametrize("kwargs", [BINARY, SHAPES[2], SHAPES[3]], ids=name)
def test_completion_keeps_known_entries_and_draws_the_others_from_their_conditionals(kwargs):
    model = make(seed=9, **kwargs)
    images = every_image(model)
    rng = np.random.default_rng(10)
    mask = rng.permutation(np.arange(images[0].size) % 2).reshape(model.event_shape)
    given = rng.integers(0, model.num_values, model.event_shape).astype("float32")
    samples = model.sample(20_000, seed=11, given=np.where(mask, given, np.nan), mask=mask).numpy()
    np.testing.assert_array_equal(samples[:, mask == 1], np.tile(given[mask == 1], (20_000, 1)))
    log_probs = log_conditionals(model, images)[:, mask.ravel() == 0].sum(1)
    possible = np.all(images[:, mask == 1] == given[mask == 1], axis=1)
    assert_follows(model, samples, np.exp(log_probs) * possible)


@pytest.mark.parametrize("kwargs", SHAPES[1:4], ids=name)
def test_temperature_zero_is_the_chain_of_modes(kwargs):
    model = make(seed=12, **kwargs)
    image = np.zeros((1, *model.event_shape), "float32")
    for place in np.ndindex(model.event_shape):
        logits = model.logits(image).numpy()[(0, *place)]
        image[(0, *place)] = logits > 0.0 if model.num_values == 2 else np.argmax(logits)
    assert image.any()
    samples = draw(model, 7, temperature=0.0)
    np.testing.assert_array_equal(samples, np.tile(image, (7, 1, 1, 1)))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("kwargs", SHAPES[2:4], ids=name)
def test_temperature_divides_the_logits(kwargs, temperature):
    model = make(seed=13, **kwargs)
    probs = np.exp(log_conditionals(model, every_image(model), temperature).sum(1))
    assert_follows(model, draw(model, 20_000, temperature=temperature), probs)


def test_temperature_divides_the_logit_of_two_levels(binary):
    probs = np.exp(log_conditionals(binary, every_image(binary), 1.7).sum(1))
    assert_follows(binary, draw(binary, 20_000, seed=14, temperature=1.7), probs)


def test_served_completion_is_the_sampler(binary):
    served = binary.signatures()["complete"]
    assert set(served.inputs) == {"x", "mask", "seeds"}
    rng = np.random.default_rng(15)
    x, mask = rng.integers(0, 2, (2, 5, 3, 3, 1)).astype("float32")
    got = tf.function(served.function, autograph=False)(x=x, mask=mask, seeds=rows(5, 16))["x"].numpy()
    np.testing.assert_array_equal(got, binary.sample(5, seed=16, given=x, mask=mask))
    np.testing.assert_array_equal(got[mask == 1.0], x[mask == 1.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="mask must hold 0 and 1"):
        tf.function(served.function, autograph=False)(x=x, mask=mask + 2.0, seeds=rows(5))


def test_objective_is_the_mean_of_minus_log_prob_and_reaches_every_weight(binary):
    x = every_image(binary)[::5]
    (update,) = binary.updates()
    with tf.GradientTape() as tape:
        loss, _ = update.objective({"x": tf.constant(x)}, None, None)
    gradients = tape.gradient(loss, [v.value for v in update.variables])
    assert len(gradients) == len(binary.trainable_variables)
    assert all(g is not None and np.any(g.numpy() != 0.0) for g in gradients)
    np.testing.assert_allclose(loss, -np.mean(binary.log_prob(x)), rtol=1e-6)
    metrics = binary.validation_metrics({"x": tf.constant(x)}, random.as_seed(0))
    np.testing.assert_allclose(metrics["bits_per_dim"], loss / (9 * np.log(2.0)), rtol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"event_shape": (8, 8)}, r"event_shape must be \(rows, columns, channels\), got \(8, 8\)"),
        ({"event_shape": (None, 8, 1)}, "event_shape must be"),
        ({"filters": 0}, "filters must be a whole number of at least 1, got 0"),
        ({"event_shape": (2, 2, 3), "hidden": 2}, "hidden must be a whole number of at least 3, got 2"),
        ({"head": 1.5}, "head must be a whole number of at least 1, got 1.5"),
        ({"num_blocks": 0}, "num_blocks must be a whole number of at least 1, got 0"),
        ({"kernel_size": 4}, "kernel_size must be an odd whole number of at least 3, got 4"),
        ({"first_kernel_size": 1}, "first_kernel_size must be an odd whole number of at least 3, got 1"),
        ({"num_values": 1}, "num_values must be a whole number of at least 2, got 1"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PixelCNN(**{"event_shape": (4, 4, 1)} | TINY | kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"temperature": -1.0}, "temperature must be finite and not negative, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be finite and not negative, got nan"),
        ({"given": np.zeros((3, 3, 1))}, "given and mask go together, got mask=None"),
        ({"mask": np.zeros((3, 3, 1))}, "given and mask go together, got given=None"),
        ({"given": np.zeros((3, 3, 1)), "mask": np.zeros((3, 3))}, r"mask must have shape \[3, 3, 1\] or"),
        ({"given": np.zeros((5, 3, 3, 1)), "mask": np.zeros((3, 3, 1))}, "given must have shape"),
        (
            {"given": np.zeros((3, 3, 1)), "mask": np.full((3, 3, 1), 0.5)},
            "mask must hold 0 and 1; the values given range from 0.5",
        ),
        (
            {"given": np.full((3, 3, 1), 2.0), "mask": np.ones((3, 3, 1))},
            "given must hold integer values 0 to 1",
        ),
    ],
)
def test_bad_sampling_arguments_name_themselves(binary, kwargs, message):
    with pytest.raises(ValueError, match=message):
        binary.sample(2, seed=0, **kwargs)


@pytest.mark.slow
def test_learns_digits_better_than_independent_pixels():
    digits = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(digits.train.x, "float32"), np.asarray(digits.test.x, "float32")
    keras.utils.set_random_seed(17)
    model = PixelCNN(digits.event_shape, filters=32, num_blocks=3, hidden=16, head=16)
    model.compile(keras.optimizers.Adam(3e-3), seed=17)
    model.fit(train_x, batch_size=64, epochs=12, verbose=0)
    p = np.clip(train_x.mean(0), 1e-3, 1 - 1e-3)
    independent = -np.mean(np.sum(test_x * np.log(p) + (1 - test_x) * np.log1p(-p), axis=(1, 2, 3)))
    nats = -np.mean(model.log_prob(test_x))
    assert nats < 0.9 * independent
