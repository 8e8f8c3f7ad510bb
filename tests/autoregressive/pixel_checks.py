"""What the tests of all models that draw entry by entry share: enumeration, causality, samples."""

import functools
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
    """log p(x_i | x_<i) of each entry, `[images, entries]`, from `raw` and nothing else of the model."""
    raw = model.raw(images, **repeated(condition, len(images))).numpy().astype("float64")
    entries = level_log_probs if model.law.entry == () else mixture_log_probs
    return entries(model.law, raw, images, temperature).reshape(len(images), -1)


def level_log_probs(law, raw, x, temperature=1.0):
    """log p of levels x `[...]` under `Levels`, by the softmax's formula."""
    logits = raw / temperature
    if law.num_values == 2:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    log_probs = scipy.special.log_softmax(logits, axis=-1)
    return np.take_along_axis(log_probs, x.astype(int)[..., None], -1)[..., 0]


def mixture_parameters(law, raw, temperature=1.0):
    """The paper's logits, locations, scales and coefficients of `LogisticMixture`, levels in [-1, 1]."""
    channels = law.entry[0]
    groups = raw.reshape(*raw.shape[:-1], -1, law.num_components).astype("float64")
    loc, log_scale = groups[..., 1 : channels + 1, :], groups[..., channels + 1 : 2 * channels + 1, :]
    scale = temperature * np.exp(np.clip(log_scale, -7, 7))
    return groups[..., 0, :] / temperature, loc, scale, np.tanh(groups[..., 2 * channels + 1 :, :])


def mixture_log_probs(law, raw, x, temperature=1.0):
    """log p of each channel of levels x `[..., channels]` given those before it, by the paper's formula."""
    logits, loc, scale, coefficients = mixture_parameters(law, raw, temperature)
    half, joint, conditionals = (law.num_values - 1) / 2, scipy.special.log_softmax(logits, -1), []
    x = x.astype("float64") / half - 1.0
    for c in range(x.shape[-1]):
        mean = loc[..., c, :].copy()
        for b in range(c):
            mean += coefficients[..., c * (c - 1) // 2 + b, :] * x[..., b, None]
        own, standard = x[..., c, None], scipy.stats.logistic(mean, scale[..., c, :])
        upper = np.where(own > 1 - 0.5 / half, 1.0, standard.cdf(own + 0.5 / half))
        lower = np.where(own < -1 + 0.5 / half, 0.0, standard.cdf(own - 0.5 / half))
        before = scipy.special.logsumexp(joint, -1)
        joint = joint + np.log(np.maximum(upper - lower, 1e-300))
        conditionals.append(scipy.special.logsumexp(joint, -1) - before)
    return np.stack(conditionals, -1)


def mode(law, raw):
    """What temperature 0 draws of an entry: the level of the highest logit, or location after location."""
    if law.entry == ():
        return float(raw[0] > 0.0) if law.num_values == 2 else np.argmax(raw)
    logits, loc, _, coefficients = mixture_parameters(law, raw)
    best, half, x = logits.argmax(), (law.num_values - 1) / 2, []
    for c in range(len(loc)):
        mean = loc[c, best] + sum(coefficients[c * (c - 1) // 2 + b, best] * x[b] for b in range(c))
        x.append(np.clip(np.round(half * (mean + 1.0)), 0, 2 * half) / half - 1.0)
    return half * (np.array(x) + 1.0)


def index(model, images):
    """Where images stand in `every_image`."""
    flat = np.asarray(images).reshape(len(images), -1).astype(int)
    return np.ravel_multi_index(flat.T, (model.num_values,) * flat.shape[1])


def earlier(model):
    """Which entries of x are drawn before a position's, by `drawing_order`: bool `[positions, entries]`.

    An entry of the law is a number, whose pixel's earlier channels come before it, or a whole pixel.
    """
    channels = model.event_shape[2]
    when = np.add.outer(np.asarray(model.drawing_order) * channels, np.arange(channels)).ravel()
    starts = when if model.law.entry == () else when[::channels]
    return when[None, :] < starts[:, None]


def dependence(model, x, **kwargs):
    """Whether raw outputs of the image `x` have a gradient by an entry of it: bool `[positions, entries]`."""
    entries = x.size
    points = tf.repeat(x[None], entries, axis=0)
    kwargs = {k: np.repeat(np.asarray(v)[None], entries, axis=0) for k, v in kwargs.items()}
    with tf.GradientTape() as tape:
        tape.watch(points)
        raw = model.raw(points, **kwargs)
        raw = tf.reshape(raw, (entries, -1, model.law.size))
        positions = raw.shape[1]
        own = tf.einsum("iik,k->", raw[:positions], np.arange(1.0, raw.shape[-1] + 1, dtype="float32"))
    # Row i is the gradient of position i's outputs: each copy of x carries one.
    return tape.gradient(own, points).numpy().reshape(entries, entries)[:positions] != 0.0


def assert_depends_on_all_earlier_entries_and_no_other(model):
    """By gradient, as the model is and after training."""
    x = random_images(model, 1, seed=2)[0]
    for trained in (False, True):
        if trained:
            train(model)
        np.testing.assert_array_equal(dependence(model, x), earlier(model))


def assert_changing_an_entry_moves_later_outputs_only(model):
    """By finite change of each entry of an image."""
    entries = int(np.prod(model.event_shape))
    x = np.random.default_rng(4).integers(0, model.num_values, entries)
    changed = np.tile(x, (entries + 1, 1))
    changed[np.arange(entries), np.arange(entries)] += 1
    images = (changed % model.num_values).reshape(-1, *model.event_shape).astype("float32")
    raw = model.raw(images).numpy().reshape(entries + 1, -1, model.law.size)
    moved = np.any(np.abs(raw[:-1] - raw[-1]) > 1e-5, axis=-1)
    later = earlier(model).T
    assert not np.any(moved & ~later)
    # A dead ReLU may hide a few of the others; of a single pixel drawn at once there are none.
    assert not later.any() or moved[later].mean() > 0.6


def assert_sums_to_one(model, condition=None):
    """The density over all images, and that it is the product of the conditionals of `raw`."""
    log_prob = log_probs_of_all(model, condition)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-5)
    want = log_conditionals(model, every_image(model), condition=condition).sum(1)
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


def assert_compiled_samples_follow_the_density(model, seed=5):
    """`sample` against `log_prob`; its rows depend neither on their number nor on XLA."""
    samples = model.sample(SAMPLES, seed=seed).numpy()
    assert_follows(model, samples, np.exp(log_probs_of_all(model)))
    np.testing.assert_array_equal(model.sample(3, seed=seed), samples[:3])
    np.testing.assert_array_equal(draw(model, 500, seed=seed), samples[:500])


class Oracle:
    """A tiny model, all of its images with what they should have by enumeration, and its sampler traced once.

    Args:
      model: The model.
      condition: One condition, for a conditional model.
    """

    def __init__(self, model, condition=None):
        self.model, self.condition = model, condition

    @functools.cached_property
    def images(self):
        """`every_image`."""
        return every_image(self.model)

    @functools.cached_property
    def log_conditionals(self):
        """Of every image, by the law's formula, `[images, entries]`."""
        return log_conditionals(self.model, self.images, condition=self.condition)

    @functools.cached_property
    def log_probs(self):
        """`log_prob` of every image."""
        return log_probs_of_all(self.model, self.condition)

    @functools.cached_property
    def _scan(self):
        shape = [None, *self.model.event_shape]
        specs = [tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([], tf.float32)]
        specs += [tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape, tf.bool)]
        specs += [] if self.condition is None else [self.model.condition.spec]

        def scan(seeds, temperature, given, mask, condition=None):
            return self.model.scan(seeds, temperature, given, mask, condition, with_raw=True)

        return tf.function(scan, input_signature=specs, autograph=False)

    def scan(self, num, seed=0, temperature=1.0, given=None, mask=None, condition=None):
        """`model.scan` with raw outputs, as arrays.

        Args:
          num: Number of images.
          seed: Python int.
          temperature: A float.
          given: Known levels `[*event_shape]` or `[num, *event_shape]`; None for none.
          mask: 1 where they are known.
          condition: `[num, ...]`; None for the oracle's.
        """
        shape = (num, *self.model.event_shape)
        given = np.zeros(shape) if given is None else np.broadcast_to(given, shape)
        mask = np.zeros(shape) if mask is None else np.broadcast_to(mask, shape)
        more = repeated(self.condition, num) if condition is None else {"condition": condition}
        known = tf.constant(given, tf.float32), tf.constant(mask, tf.bool)
        drawn = self._scan(rows(num, seed), tf.constant(temperature), *known, *more.values())
        return {k: v.numpy() for k, v in drawn.items()}

    def samples(self, num=SAMPLES, **kwargs):
        """The images of `scan`."""
        return self.scan(num, **kwargs)["x"]

    def assert_sums_to_one(self):
        """The density over all images, and that it is the product of the law's conditionals."""
        np.testing.assert_allclose(np.exp(self.log_probs).sum(), 1.0, atol=1e-5)
        np.testing.assert_allclose(self.log_probs, self.log_conditionals.sum(1), rtol=1e-5, atol=1e-5)

    def assert_samples_follow_the_density(self, seed=0):
        """By chi-square."""
        assert_follows(self.model, self.samples(seed=seed), np.exp(self.log_probs))

    def assert_completes(self, seed=10):
        """Known entries are kept, the others drawn from their conditionals; by chi-square."""
        model, rng = self.model, np.random.default_rng(seed)
        mask = rng.permutation(np.arange(self.images[0].size) % 2).reshape(model.event_shape)
        given = rng.integers(0, model.num_values, model.event_shape).astype("float32")
        # What is given where nothing is known must not matter.
        samples = self.samples(seed=11, given=np.where(mask, given, model.num_values - 1), mask=mask)
        np.testing.assert_array_equal(samples[:, mask == 1], np.tile(given[mask == 1], (len(samples), 1)))
        log_probs = self.log_conditionals[:, mask.ravel() == 0].sum(1)
        possible = np.all(self.images[:, mask == 1] == given[mask == 1], axis=1)
        assert_follows(model, samples, np.exp(log_probs) * possible)

    def assert_temperature_scales_the_law(self, temperature, seed=13):
        """By chi-square: the raw outputs are those of temperature 1, the law divides them."""
        log_probs = log_conditionals(self.model, self.images, temperature, self.condition).sum(1)
        assert_follows(self.model, self.samples(seed=seed, temperature=temperature), np.exp(log_probs))

    def assert_temperature_zero_is_the_chain_of_modes(self):
        """Each entry in the order of drawing takes the law's mode."""
        model = self.model
        image, before = np.zeros((1, *model.event_shape), "float32"), earlier(model).sum(1)
        positions = model.law.positions(model.event_shape)
        given = repeated(self.condition, 1)
        for place in sorted(np.ndindex(positions), key=lambda p: before[np.ravel_multi_index(p, positions)]):
            image[(0, *place)] = mode(model.law, model.raw(image, **given).numpy()[(0, *place)])
        assert image.any()
        np.testing.assert_array_equal(self.samples(7, temperature=0.0), np.tile(image, (7, 1, 1, 1)))


def cached_raw(model, images, **kwargs):
    """The sampler's raw outputs while it is forced to draw `images`."""
    mask = tf.ones(images.shape, tf.bool)

    def scan(seeds):
        return model.scan(seeds, given=images, mask=mask, with_raw=True, **kwargs)

    drawn = tf.function(scan, autograph=False)(rows(len(images)))
    np.testing.assert_array_equal(drawn["x"], images)
    return drawn["raw"].numpy()


def assert_sampler_computes_the_network(model, **kwargs):
    """The incremental raw outputs are those of the whole network, to float32's relative error.

    Of large weights that error is what their last bit changes, which no order of summation need keep to.
    """
    images = random_images(model, 3, seed=7)
    full = model.raw(images, **kwargs).numpy()
    cached = cached_raw(model, images, **kwargs)
    moved = max(np.abs(raw - full).max() for raw in raw_of_last_bits(model, images, **kwargs))
    tolerance = max(1e-4, 1e-5 * np.abs(full).max(), 2 * moved)
    np.testing.assert_allclose(cached, full, rtol=0.0, atol=tolerance)


def raw_of_last_bits(model, images, num=3, **kwargs):
    """Raw outputs with every weight up or down by one unit in its last place, at random, `num` times."""
    kept = [v.numpy() for v in model.trainable_variables]
    for seed in range(num):
        draw = np.random.default_rng(seed)
        for variable, value in zip(model.trainable_variables, kept, strict=True):
            up = draw.integers(0, 2, value.shape) == 1
            variable.assign(np.nextafter(value, np.where(up, np.inf, -np.inf), dtype=value.dtype))
        yield model.raw(images, **kwargs).numpy()
    for variable, value in zip(model.trainable_variables, kept, strict=True):
        variable.assign(value)


def assert_planted_errors_are_noticed(model, places):
    """Setting one place of a weight to zero separates the sampler's raw outputs from the network's.

    Args:
      model: The model.
      places: (variable, index) pairs.
    """
    images = random_images(model, 3, seed=8)
    cached = cached_raw(model, images)
    for variable, place in places:
        right = variable.numpy()
        wrong = right.copy()
        wrong[place] = 0.0
        variable.assign(wrong)
        error = np.abs(model.raw(images).numpy() - cached).max()
        variable.assign(right)
        assert error > 1e-2, (variable.path, place)
    np.testing.assert_allclose(model.raw(images), cached, atol=1e-3)


def assert_served_completion_is_the_sampler(oracle):
    """The signature `complete` of a binary model."""
    model = oracle.model
    served = model.signatures()["complete"]
    assert set(served.inputs) == {"x", "mask", "seeds"}
    rng = np.random.default_rng(15)
    x, mask = rng.integers(0, 2, (2, 5, *model.event_shape)).astype("float32")
    function = tf.function(served.function, autograph=False)
    got = function(x=x, mask=mask, seeds=rows(5, 16))["x"].numpy()
    np.testing.assert_array_equal(got, oracle.samples(5, seed=16, given=x, mask=mask))
    np.testing.assert_array_equal(got[mask == 1.0], x[mask == 1.0])


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
