"""What is tested of every model of tokens: enumeration, causality, the sampler, continuation.

`TokenModelTests` holds the tests; a model's file inherits them for instances of its own.
"""

import itertools
from typing import NamedTuple

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfgen import random

# Every chi-square below fails once in 10,000 seeds; seeds are fixed.
FALSE_FAILURE = 1e-4
SAMPLES = 20_000


class Enumerated(NamedTuple):
    """A model, all its strings of one length and their densities.

    Args:
      model: The model.
      x: All strings `[n, T]`, the last token running fastest.
      log_prob: float64 `[n]`.
    """

    model: keras.Model
    x: np.ndarray
    log_prob: np.ndarray


def randomize(model, seed=0, size=0.8):
    """Random weights that make conditionals far from uniform; returns the model."""
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        v.assign(size * rng.normal(size=v.shape))
    # XLA draws the same samples, as the conformance tests find, and takes long to compile.
    model.jit_sampler = False
    return model


def enumerate_strings(model, length):
    """`Enumerated` strings of that length."""
    x = every(model, length)
    return Enumerated(model, x, model.log_prob(x).numpy().astype(np.float64))


def every(model, length):
    """All strings of that length, the last token running fastest."""
    return np.array(list(itertools.product(range(model.num_values), repeat=length)), np.float32)


def train(model, steps=3):
    """Moves every weight by Adam."""
    x = tf.constant(np.random.default_rng(1).integers(0, model.num_values, (8, 6)), tf.float32)
    (update,), optimizer = model.updates(), keras.optimizers.Adam(0.05)
    for step in range(steps):
        with tf.GradientTape() as tape:
            loss, _ = update.objective({"x": x}, random.as_seed(0), tf.constant(step, tf.int64))
        optimizer.apply(tape.gradient(loss, [v.value for v in update.trainable]), update.trainable)


def log_probs(model, x):
    """log p(x_t | x_<t) of each step, float64 `[n, T]`, from `raw` and nothing else of the model."""
    logits = model.raw(tf.constant(x)).numpy().astype(np.float64)
    if model.num_values == 2:
        logits = np.concatenate([np.zeros_like(logits), logits], -1)
    found = scipy.special.log_softmax(logits, axis=-1)
    return np.take_along_axis(found, np.asarray(x, int)[..., None], -1)[..., 0]


def assert_follows(model, samples, probs):
    """Chi-square test of samples against a probability for each string; rare ones are one cell."""
    np.testing.assert_allclose(probs.sum(), 1.0, atol=1e-5)
    shape = (model.num_values,) * samples.shape[1]
    counts = np.bincount(np.ravel_multi_index(samples.astype(int).T, shape), minlength=len(probs))
    expected = probs / probs.sum() * len(samples)
    rare = expected < 5.0
    cells = [np.append(a[~rare], a[rare].sum()) for a in (counts, expected)]
    counts, expected = (a[cells[1] > 0.0] for a in cells)
    assert len(counts) > 3
    assert scipy.stats.chisquare(counts, expected).pvalue > FALSE_FAILURE


def dependence(model, tables, steps):
    """bool `[T, T]`: whether the logits of a step have a gradient with respect to the token of another.

    The tokens are all different, so that each row of an embedding table belongs to one step.

    Args:
      model: A model of at least T tokens.
      tables: Its embedding tables, whose row i + 1 is that of token i.
      steps: T.
    """
    x = tf.constant(np.random.default_rng(2).permutation(model.num_values)[None, :steps], tf.float32)
    rows = x.numpy()[0].astype(int) + 1
    weights = np.arange(1.0, model.num_values + 1.0, dtype=np.float32)
    with tf.GradientTape(persistent=True) as tape:
        logits = tf.unstack(tf.linalg.matvec(tf.nn.log_softmax(model.raw(x)), weights)[0])
    found = np.zeros((steps, steps), bool)
    for step, logit in enumerate(logits):
        for gradient in tape.gradient(logit, [table.value for table in tables]):
            if gradient is not None:
                found[step] |= np.any(tf.convert_to_tensor(gradient).numpy()[rows] != 0.0, axis=1)
    return found


def assert_depends_on_all_earlier_steps_and_no_other(model, tables, steps=5):
    """By gradient, as the model is and after training."""
    for trained in (False, True):
        if trained:
            train(model)
        np.testing.assert_array_equal(dependence(model, tables, steps), np.tri(steps, k=-1, dtype=bool))


def sampler_raw(model, x):
    """The sampler's raw outputs while it is forced to draw x `[n, T]`."""
    mask = tf.ones(x.shape, tf.bool)

    def scan(seeds):
        return model.scan(seeds, length=x.shape[1], given=tf.constant(x), mask=mask, with_raw=True)

    drawn = tf.function(scan, autograph=False)(random.rows(random.as_seed(0), len(x)))
    np.testing.assert_array_equal(drawn["x"], x)
    return drawn["raw"].numpy()


class TokenModelTests:
    """Tests of a model of tokens on some instances, each enumerated once.

    Attributes:
      models: {name: function that makes a model with random weights}.
      length: Steps of the strings that are enumerated.
      prompt: First tokens of the continuations.
      steps: Steps of the strings that the sampler is forced to draw: a number, or a function of the model.
      forgotten: Functions of the model: kernels whose first row or tap the sampler must not forget.
    """

    models = {}  # noqa: RUF012
    length = 4
    prompt = (1.0, 0.0)
    steps = 9
    forgotten = ()

    def pytest_generate_tests(self, metafunc):
        if "found" in metafunc.fixturenames:
            metafunc.parametrize("found", self.models, indirect=True, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, request):
        """The model and all its strings."""
        return enumerate_strings(cls.models[request.param](), cls.length)

    def test_probabilities_of_all_strings_sum_to_one(self, found):
        np.testing.assert_allclose(np.exp(found.log_prob).sum(), 1.0, atol=1e-5)
        each = log_probs(found.model, found.x)
        np.testing.assert_allclose(found.log_prob, each.sum(1), rtol=1e-5, atol=1e-5)
        conditionals = found.model.conditionals(found.x).log_prob(found.x)
        np.testing.assert_allclose(conditionals, each, rtol=1e-5, atol=1e-5)

    def test_samples_follow_the_density(self, found):
        samples = found.model.sample(SAMPLES, length=self.length, seed=3).numpy()
        assert_follows(found.model, samples, np.exp(found.log_prob))

    def test_continuations_follow_their_conditional(self, found):
        prompt = np.asarray(self.prompt, np.float32)
        fits = np.all(found.x[:, : len(prompt)] == prompt, axis=1)
        probs = np.exp(found.log_prob) * fits
        samples = found.model.sample(SAMPLES, prompt=prompt, length=self.length, seed=4).numpy()
        assert_follows(found.model, samples, probs / probs.sum())

    def test_the_sampler_computes_the_logits(self, found):
        """Its raw outputs are those of whole sequences, and an error planted in a weight is noticed."""
        model = found.model
        steps = self.steps(model) if callable(self.steps) else self.steps
        x = np.random.default_rng(7).integers(0, model.num_values, (4, steps)).astype(np.float32)
        drawn, whole = sampler_raw(model, x), model.raw(tf.constant(x)).numpy()
        np.testing.assert_allclose(drawn, whole, rtol=0.0, atol=1e-5 * max(1.0, np.abs(whole).max()))
        for weight in self.forgotten:
            weight = weight(model)
            right = weight.numpy()
            wrong = right.copy()
            wrong[0] += 1.0
            weight.assign(wrong)
            assert np.abs(model.raw(tf.constant(x)) - drawn).max() > 1e-2
            weight.assign(right)

    def test_what_is_beyond_the_length_does_not_count(self, found):
        """Neither in the density nor in any of its gradients."""
        model, rng = found.model, np.random.default_rng(8)
        x = rng.integers(0, model.num_values, (5, 6)).astype(np.float32)
        lengths = np.array([0, 1, 3, 5, 6], np.int32)
        other = np.where(np.arange(6) < lengths[:, None], x, model.num_values - 1.0 - x).astype(np.float32)
        assert np.any(x != other)
        results = []
        for tokens in (x, other):
            with tf.GradientTape() as tape:
                log_prob = model.log_prob(tokens, lengths=lengths)
            gradients = tape.gradient(log_prob, [v.value for v in model.trainable_variables])
            results.append([log_prob, *map(tf.convert_to_tensor, gradients)])
        for one, two in zip(*results, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)
        short = [model.log_prob(x[i : i + 1, :n])[0] for i, n in enumerate(lengths) if n]
        np.testing.assert_allclose(results[0][0][1:], short, rtol=1e-5)
        assert results[0][0][0] == 0.0
