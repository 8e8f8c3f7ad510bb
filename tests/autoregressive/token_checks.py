"""What the tests of all models of tokens share: enumeration, causality, the sampler, continuation."""

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


def randomize(model, seed=0, size=0.8):
    """Random weights that make conditionals far from uniform; returns the model."""
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        v.assign(size * rng.normal(size=v.shape))
    return model


def train(model, steps=3):
    """Moves every weight by Adam."""
    x = tf.constant(np.random.default_rng(1).integers(0, model.num_values, (8, 6)), tf.float32)
    (update,), optimizer = model.updates(), keras.optimizers.Adam(0.05)
    for step in range(steps):
        with tf.GradientTape() as tape:
            loss, _ = update.objective({"x": x}, random.as_seed(0), tf.constant(step, tf.int64))
        optimizer.apply(tape.gradient(loss, [v.value for v in update.trainable]), update.trainable)


def every(model, length):
    """All strings of that length, the last token running fastest."""
    return np.array(list(itertools.product(range(model.num_values), repeat=length)), np.float32)


def log_probs(model, x):
    """log p(x_t | x_<t) of each step, float64 `[n, T]`, from `logits` and nothing else of the model."""
    logits = model.logits(tf.constant(x)).numpy().astype(np.float64)
    if model.num_values == 2:
        logits = np.stack([np.zeros_like(logits), logits], -1)
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


def assert_sums_to_one_and_samples_follow(model, length):
    """The density over all strings, its conditionals, and samples with and without XLA."""
    x = every(model, length)
    log_prob = model.log_prob(x).numpy().astype(np.float64)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-5)
    np.testing.assert_allclose(log_prob, log_probs(model, x).sum(1), rtol=1e-5, atol=1e-5)
    samples = model.sample(SAMPLES, length=length, seed=3).numpy()
    assert_follows(model, samples, np.exp(log_prob))
    plain = tf.function(model.sample_rows, autograph=False)
    rows = random.rows(random.as_seed(3), 100)
    np.testing.assert_array_equal(plain(rows, length=length), samples[:100])


def assert_continues(model, prompt, length):
    """Continuations have the distribution of the strings that begin so, by enumeration."""
    x = every(model, length)
    prompt = np.asarray(prompt, np.float32)
    fits = np.all(x[:, : len(prompt)] == prompt, axis=1)
    probs = np.exp(model.log_prob(x).numpy().astype(np.float64)) * fits
    samples = model.sample(SAMPLES, prompt=prompt, length=length, seed=4).numpy()
    assert_follows(model, samples, probs / probs.sum())


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
        logits = tf.unstack(tf.linalg.matvec(tf.nn.log_softmax(model.logits(x)), weights)[0])
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


def sampler_logits(model, x):
    """The sampler's logits while it is forced to draw x `[n, T]`."""
    mask = tf.ones(x.shape, tf.bool)

    def scan(seeds):
        return model.scan(seeds, x.shape[1], given=tf.constant(x), mask=mask, with_logits=True)

    drawn = tf.function(scan, autograph=False)(random.rows(random.as_seed(0), len(x)))
    np.testing.assert_array_equal(drawn["x"], x)
    return drawn["logits"].numpy()


def assert_sampler_computes_the_logits(model, weight):
    """The incremental logits are those of whole sequences, and an error planted in a weight is noticed."""
    x = np.random.default_rng(7).integers(0, model.num_values, (4, 9)).astype(np.float32)
    found = sampler_logits(model, x)
    np.testing.assert_allclose(found, model.logits(tf.constant(x)), rtol=0.0, atol=1e-4)
    wrong = weight.numpy()
    wrong[0] += 1.0
    weight.assign(wrong)
    assert np.abs(model.logits(tf.constant(x)) - found).max() > 1e-2


def assert_ignores_what_is_beyond(model):
    """Steps beyond the length change neither the density nor, in it, any gradient."""
    rng = np.random.default_rng(8)
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
