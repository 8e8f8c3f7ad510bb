"""What the tests of all models that draw an image entry by entry share: enumeration, causality, samples."""

import itertools

import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from tfgen import random

# Every chi-square below fails once in 10,000 seeds; seeds are fixed.
FALSE_FAILURE = 1e-4
SAMPLES = 20_000


def randomize(model, seed=0, gain=1.7):
    """Random weights, biases included, that make conditionals far from uniform; returns the model."""
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        fan_in = np.prod(v.shape[:-1]) if len(v.shape) > 1 else 16.0
        v.assign(rng.normal(size=v.shape) * gain / np.sqrt(fan_in))
    return model


def name(kwargs):
    """A case's test id."""
    return "-".join(str(v).replace(" ", "") for v in kwargs.values())


def random_images(model, num, seed=0):
    """Uniformly random levels, float32 `[num, *event_shape]`."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, model.num_values, (num, *model.event_shape)).astype("float32")


def rows(num, seed=0):
    """A seed for each row."""
    return random.rows(random.as_seed(seed), num)


def draw(model, num, seed=0, **kwargs):
    """`sample_rows` in a graph, without XLA."""
    return tf.function(model.sample_rows, autograph=False)(rows(num, seed), **kwargs).numpy()


def train(model, steps=3, **batch):
    """Moves every weight by Adam, those under a mask included if they had a gradient."""
    batch = {"x": tf.constant(random_images(model, 8, seed=1))} | batch
    (update,), optimizer = model.updates(), keras.optimizers.Adam(0.05)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss, _ = update.objective(batch, None, None)
        optimizer.apply(tape.gradient(loss, [v.value for v in update.variables]), update.variables)


def repeated(condition, num):
    """{"condition": `num` times that one}, or {} without one."""
    return {} if condition is None else {"condition": np.repeat(np.asarray(condition)[None], num, axis=0)}


def every_image(model):
    """All images, `[num_values ** entries, *event_shape]`, the last entry running fastest."""
    entries = itertools.product(range(model.num_values), repeat=int(np.prod(model.event_shape)))
    return np.array(list(entries), "float32").reshape(-1, *model.event_shape)


def log_probs_of_all(model, condition=None):
    """float64 log p of `every_image`."""
    images = every_image(model)
    return model.log_prob(images, **repeated(condition, len(images))).numpy().astype("float64")


def log_conditionals(model, images, temperature=1.0, condition=None):
    """log p(x_i | x_<i) of each entry, `[images, entries]`, from `logits` and nothing else of the model."""
    logits = model.logits(images, **repeated(condition, len(images))).numpy().astype("float64") / temperature
    if model.num_values == 2:
        logits = np.stack([np.zeros_like(logits), logits], -1)
    log_probs = scipy.special.log_softmax(logits, axis=-1)
    taken = np.take_along_axis(log_probs, images.astype(int)[..., None], -1)
    return taken.reshape(len(images), -1)


def index(model, images):
    """Where images stand in `every_image`."""
    flat = np.asarray(images).reshape(len(images), -1).astype(int)
    return np.ravel_multi_index(flat.T, (model.num_values,) * flat.shape[1])


def earlier(model):
    """bool `[entries, entries]`: row i says which entries are drawn before entry i, by `drawing_order`."""
    channels = model.event_shape[2]
    when = np.add.outer(np.asarray(model.drawing_order) * channels, np.arange(channels)).ravel()
    return when[None, :] < when[:, None]


def dependence(model, x, **kwargs):
    """bool `[entries, entries]`: whether logit i of the image `x` has a gradient with respect to entry j."""
    entries = x.size
    points = tf.repeat(x[None], entries, axis=0)
    kwargs = {k: np.repeat(np.asarray(v)[None], entries, axis=0) for k, v in kwargs.items()}
    with tf.GradientTape() as tape:
        tape.watch(points)
        logits = tf.reshape(model.logits(points, **kwargs), (entries, entries, -1))
        own = tf.einsum("iik,k->", logits, np.arange(1.0, logits.shape[-1] + 1, dtype="float32"))
    # Row i is the gradient of logit i: each copy of x carries one.
    return tape.gradient(own, points).numpy().reshape(entries, entries) != 0.0


def assert_depends_on_all_earlier_entries_and_no_other(model):
    """By gradient, as the model is and after training."""
    x = random_images(model, 1, seed=2)[0]
    for trained in (False, True):
        if trained:
            train(model)
        np.testing.assert_array_equal(dependence(model, x), earlier(model))


def assert_changing_an_entry_moves_later_logits_only(model):
    """By finite change of each entry of an image."""
    entries = int(np.prod(model.event_shape))
    x = np.random.default_rng(4).integers(0, model.num_values, entries)
    changed = np.tile(x, (entries + 1, 1))
    changed[np.arange(entries), np.arange(entries)] += 1
    images = (changed % model.num_values).reshape(-1, *model.event_shape).astype("float32")
    logits = model.logits(images).numpy().reshape(entries + 1, entries, -1)
    moved = np.any(np.abs(logits[:-1] - logits[-1]) > 1e-5, axis=-1)
    later = earlier(model).T
    assert not np.any(moved & ~later)
    # A dead ReLU may hide a few of the others.
    assert moved[later].mean() > 0.6


def assert_sums_to_one(model, condition=None, conditionals=log_conditionals):
    """The density over all images, and that it is the product of the conditionals of `logits`."""
    log_prob = log_probs_of_all(model, condition)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-5)
    want = conditionals(model, every_image(model), condition=condition).sum(1)
    np.testing.assert_allclose(log_prob, want, rtol=1e-5, atol=1e-5)


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


def assert_samples_follow_the_density(model, seed=0, condition=None):
    """Chi-square of `sample_rows` against `log_prob`."""
    samples = draw(model, SAMPLES, seed, **repeated(condition, SAMPLES))
    assert_follows(model, samples, np.exp(log_probs_of_all(model, condition)))


def assert_compiled_samples_follow_the_density(model, seed=5):
    """`sample` against `log_prob`; its rows depend neither on their number nor on XLA."""
    samples = model.sample(SAMPLES, seed=seed).numpy()
    assert_follows(model, samples, np.exp(log_probs_of_all(model)))
    np.testing.assert_array_equal(model.sample(3, seed=seed), samples[:3])
    np.testing.assert_array_equal(draw(model, 500, seed=seed), samples[:500])


def cached_logits(model, images, **kwargs):
    """The sampler's logits while it is forced to draw `images`."""
    mask = tf.ones(images.shape, tf.bool)

    def scan(seeds):
        return model.scan(seeds, given=images, mask=mask, with_logits=True, **kwargs)

    drawn = tf.function(scan, autograph=False)(rows(len(images)))
    np.testing.assert_array_equal(drawn["x"], images)
    return drawn["logits"].numpy()


def assert_sampler_computes_the_logits(model, **kwargs):
    """The incremental logits are those of the whole network, to float32's relative error."""
    images = random_images(model, 3, seed=7)
    full = model.logits(images, **kwargs).numpy()
    tolerance = max(1e-4, 1e-5 * np.abs(full).max())
    np.testing.assert_allclose(cached_logits(model, images, **kwargs), full, rtol=0.0, atol=tolerance)


def assert_planted_errors_are_noticed(model, places):
    """Setting one place of a weight to zero separates the sampler's logits from the network's.

    Args:
      model: The model.
      places: (variable, index) pairs.
    """
    images = random_images(model, 3, seed=8)
    cached = cached_logits(model, images)
    for variable, place in places:
        right = variable.numpy()
        wrong = right.copy()
        wrong[place] = 0.0
        variable.assign(wrong)
        error = np.abs(model.logits(images).numpy() - cached).max()
        variable.assign(right)
        assert error > 1e-2, (variable.path, place)
    np.testing.assert_allclose(model.logits(images), cached, atol=1e-3)


def assert_completes(model, seed=10, conditionals=log_conditionals):
    """Known entries are kept, the others drawn from their conditionals; by chi-square."""
    images = every_image(model)
    rng = np.random.default_rng(seed)
    mask = rng.permutation(np.arange(images[0].size) % 2).reshape(model.event_shape)
    given = rng.integers(0, model.num_values, model.event_shape).astype("float32")
    samples = model.sample(SAMPLES, seed=11, given=np.where(mask, given, np.nan), mask=mask).numpy()
    np.testing.assert_array_equal(samples[:, mask == 1], np.tile(given[mask == 1], (SAMPLES, 1)))
    log_probs = conditionals(model, images)[:, mask.ravel() == 0].sum(1)
    possible = np.all(images[:, mask == 1] == given[mask == 1], axis=1)
    assert_follows(model, samples, np.exp(log_probs) * possible)


def assert_served_completion_is_the_sampler(model):
    """The signature `complete` of a binary model."""
    served = model.signatures()["complete"]
    assert set(served.inputs) == {"x", "mask", "seeds"}
    rng = np.random.default_rng(15)
    x, mask = rng.integers(0, 2, (2, 5, *model.event_shape)).astype("float32")
    got = tf.function(served.function, autograph=False)(x=x, mask=mask, seeds=rows(5, 16))["x"].numpy()
    np.testing.assert_array_equal(got, model.sample(5, seed=16, given=x, mask=mask))
    np.testing.assert_array_equal(got[mask == 1.0], x[mask == 1.0])


def assert_temperature_zero_is_the_chain_of_modes(model):
    """Each entry in the order of drawing takes the level of the highest logit."""
    image = np.zeros((1, *model.event_shape), "float32")
    before = earlier(model).sum(1).reshape(model.event_shape)
    for place in sorted(np.ndindex(model.event_shape), key=lambda place: before[place]):
        logits = model.logits(image).numpy()[(0, *place)]
        image[(0, *place)] = logits > 0.0 if model.num_values == 2 else np.argmax(logits)
    assert image.any()
    samples = draw(model, 7, temperature=0.0)
    np.testing.assert_array_equal(samples, np.tile(image, (7, 1, 1, 1)))


def assert_temperature_divides_the_logits(model, temperature, seed=0, conditionals=log_conditionals):
    """By chi-square."""
    probs = np.exp(conditionals(model, every_image(model), temperature).sum(1))
    assert_follows(model, draw(model, SAMPLES, seed, temperature=temperature), probs)


def assert_objective_reaches_every_weight(model):
    """The objective is the mean of -log_prob and has a gradient for every trainable weight."""
    x = every_image(model)[::5]
    (update,) = model.updates()
    with tf.GradientTape() as tape:
        loss, _ = update.objective({"x": tf.constant(x)}, None, None)
    gradients = tape.gradient(loss, [v.value for v in update.variables])
    assert len(gradients) == len(model.trainable_variables)
    for g, v in zip(gradients, update.variables, strict=True):
        assert g is not None and np.any(g.numpy() != 0.0), v.path
    np.testing.assert_allclose(loss, -np.mean(model.log_prob(x)), rtol=1e-6)
    metrics = model.validation_metrics({"x": tf.constant(x)}, random.as_seed(0))
    entries = np.prod(model.event_shape)
    np.testing.assert_allclose(metrics["bits_per_dim"], loss / (entries * np.log(2.0)), rtol=1e-6)


def independent_nats(train_x, test_x):
    """Nats of binary test images under independent pixels."""
    p = np.clip(train_x.mean(0), 1e-3, 1 - 1e-3)
    return -np.mean(np.sum(test_x * np.log(p) + (1 - test_x) * np.log1p(-p), axis=(1, 2, 3)))
