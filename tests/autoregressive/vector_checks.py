"""What the tests of all models of vectors share: every component of an ensemble, and the ensemble."""

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tfgen import data, random


class Component:
    """One component of a model, as a model of images of one row, for `pixel_checks`.

    Args:
      model: `VectorModel`.
      number: Which component.
    """

    def __init__(self, model, number):
        self.model, self.number = model, number
        self.law, self.num_values, self.event_shape = model.law, model.num_values, (1, model.entries, 1)
        self.drawing_order = np.argsort(model.orders[number])[None]

    def raw(self, x):
        """`[batch, 1, entries, 1, size]`."""
        raw = self.model.raw(tf.reshape(x, (-1, *self.model.event_shape)), component=self.number)
        return tf.reshape(raw, (-1, *self.event_shape, self.law.size))

    def conditionals(self, x):
        """The law of each entry."""
        return self.law(self.raw(x))

    def log_prob(self, x):
        """`[batch]`."""
        return self.model.component_score(tf.reshape(x, (-1, *self.model.event_shape)), self.number)


def components(model):
    """All components of a model."""
    return [Component(model, k) for k in range(len(model.orders))]


def taken(logits, levels):
    """log p, float64 `[batch]`, of levels `[batch]` from one logit `[batch, 1]` or one for each level."""
    if logits.shape[1] == 1:
        logits = np.concatenate([0.0 * logits, logits], axis=1)
    chosen = np.take_along_axis(logits, levels[:, None].astype(int), axis=1)[:, 0]
    return chosen - scipy.special.logsumexp(logits, axis=1)


def train(model, steps=4):
    """Moves every weight by Adam, those under a mask included if they had a gradient."""
    batch = {"x": tf.constant(checks.random_images(model, 8, seed=1))}
    (update,), optimizer = model.updates(), keras.optimizers.Adam(0.05)
    for step in range(steps):
        with tf.GradientTape() as tape:
            loss, _ = update.objective(batch, random.as_seed(step), tf.constant(step, tf.int64))
        optimizer.apply(tape.gradient(loss, [v.value for v in update.variables]), update.variables)


def assert_causal(model, every=True):
    """By gradient, for each component, at initialization and after training.

    Args:
      model: As its constructor made it.
      every: Each entry depends on all earlier entries; otherwise on some of them and no other.
    """
    for trained in (False, True):
        if trained:
            train(model)
        for component in components(model):
            found = checks.dependence(component, checks.random_images(component, 1, seed=2)[0])
            earlier = checks.earlier(component)
            assert not np.any(found & ~earlier)
            assert np.array_equal(found, earlier) if every else found[earlier].mean() > 0.5


def assert_sums_to_one(model):
    """Each component and the mixture, which is the logsumexp of the components."""
    parts = components(model)
    for component in parts:
        checks.assert_sums_to_one(component)
    each = np.stack([checks.log_probs_of_all(c) for c in parts])
    mixture = checks.log_probs_of_all(model)
    np.testing.assert_allclose(mixture, scipy.special.logsumexp(each, axis=0) - np.log(len(parts)), atol=2e-5)
    np.testing.assert_allclose(np.exp(mixture).sum(), 1.0, atol=1e-5)


def drawn_components(model, num, seed=0):
    """Which component each row of `checks.rows` draws."""
    if len(model.orders) == 1:
        return np.zeros(num, int)
    return model.draw_component(random.split(checks.rows(num, seed))[0]).numpy()


def sampler_error(model, cached=None, num=12):
    """Largest difference between the sampler's raw outputs and the whole network's of the row's component.

    Args:
      model: The model.
      cached: The sampler's raw outputs, if they are known.
      num: Number of rows.

    Returns:
      The difference, and the sampler's raw outputs.
    """
    x = checks.random_images(model, num, seed=7)
    cached = checks.cached_raw(model, x) if cached is None else cached
    drawn = drawn_components(model, num)
    full = np.stack([model.raw(x[i : i + 1], component=k)[0] for i, k in enumerate(drawn)])
    return np.abs(full - cached).max() / max(1.0, np.abs(full).max()), cached


def assert_sampler_computes_the_raw_outputs(model, weights):
    """The sampler's raw outputs are the network's; a change of one of each of `weights` separates them."""
    error, cached = sampler_error(model)
    assert error < 1e-5
    for variable in weights:
        right = variable.numpy()
        wrong = right.copy()
        # Half of the weights: some of them stand under no mask.
        wrong[: len(wrong) // 2] *= 0.5
        variable.assign(wrong)
        assert sampler_error(model, cached)[0] > 1e-3, variable.path
        variable.assign(right)


def assert_completes(model, seed=10):
    """Known entries are kept, the others drawn from their conditionals in each order; by chi-square."""
    rng = np.random.default_rng(seed)
    mask = rng.permutation(np.arange(model.entries) % 2).reshape(model.event_shape)
    given = rng.integers(0, model.num_values, model.event_shape).astype("float32")
    kept = {"given": np.where(mask, given, np.nan), "mask": mask}
    samples = model.sample(checks.SAMPLES, seed=11, **kept).numpy()
    np.testing.assert_array_equal(samples[:, mask == 1], np.tile(given[mask == 1], (checks.SAMPLES, 1)))
    probs, possible = 0.0, np.all(checks.every_image(model)[:, mask == 1] == given[mask == 1], axis=1)
    for part in components(model):
        each = checks.log_conditionals(part, checks.every_image(part))
        probs = probs + np.exp(each[:, mask.ravel() == 0].sum(1)) * possible / len(model.orders)
    checks.assert_follows(model, samples, probs)


def digits():
    """Training and test digits, thresholded, and the test nats of independent pixels."""
    found = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(found.train.x, "float32"), np.asarray(found.test.x, "float32")
    p = np.clip(train_x.mean(0), 1e-3, 1 - 1e-3)
    independent = -np.mean(np.sum(test_x * np.log(p) + (1 - test_x) * np.log1p(-p), axis=(1, 2, 3)))
    return train_x, test_x, independent


def digit_nats(model, steps=600, rate=3e-3):
    """Test nats after a short training on digits, and the nats of independent pixels."""
    train_x, test_x, independent = digits()
    model.begin({"x": train_x}, None)
    model.compile(keras.optimizers.Adam(rate), seed=17)
    model.fit(train_x, batch_size=100, epochs=round(steps * 100 / len(train_x)), verbose=0)
    return -np.mean(model.log_prob(test_x)), independent
