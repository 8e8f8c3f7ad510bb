"""`VQVAE2`: its two priors against all codes, its bound, and what its levels change."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.autoregressive.pixel_checks import every_image
from tests.planted import perturb
from tfgen import data, random
from tfgen.training import train
from tfgen.variational import VQVAE2
from tfgen.variational.vq_vae_2 import low_and_high

SEED = tf.constant([7, 8])
TINY = {
    "event_shape": (2, 2, 1),
    "num_codes": 2,
    "code_size": 2,
    "halvings": 0,
    "filters": 6,
    "num_blocks": 1,
    "hidden": 4,
    "prior_filters": 6,
    "top_layers": 2,
    "bottom_layers": 2,
    "condition": "label",
    "num_classes": 3,
}


@pytest.fixture(scope="module")
def tiny():
    """A model with random weights."""
    keras.utils.set_random_seed(1)
    model = perturb(VQVAE2(**TINY), 0.35)
    model.begin({"x": every_image(model)}, SEED)
    return model


@pytest.fixture(scope="module")
def terms(tiny):
    """All codes, their log p(t, b | c) `[labels, codes]`, and log p(x | t, b) `[images, codes]`, float64."""
    listed = np.array(list(itertools.product(range(2), repeat=5)), np.int32)
    top, bottom = listed[:, :1].reshape(-1, 1, 1), listed[:, 1:].reshape(-1, 2, 2)
    priors = []
    for label in range(3):
        condition = tf.fill([len(listed)], label)
        first = tiny.prior(0, (), condition).log_prob(top[..., None].astype("float32"))
        second = tiny.prior(1, (top,), condition).log_prob(bottom[..., None].astype("float32"))
        np.testing.assert_allclose(np.exp(first.numpy()[:16]), np.exp(first.numpy()[0]), rtol=1e-5)
        priors.append((first + second).numpy().astype("float64"))
    images = every_image(tiny)
    likelihood = tiny.likelihood(tf.constant(top), tf.constant(bottom))
    given = likelihood.log_prob(images[:, None]).numpy().astype("float64")
    return (top, bottom), np.array(priors), given


def test_the_priors_sum_to_one_over_all_codes(terms):
    _, priors, _ = terms
    np.testing.assert_allclose(np.exp(priors).sum(1), 1.0, atol=1e-5)
    assert np.abs(priors[0] - priors[1]).max() > 0.1


def test_the_bottom_hears_the_label_and_the_top(tiny, terms):
    """Of the same bottom codes, under other tops and labels."""
    (_, bottom), _, _ = terms

    def second(top, label):
        prior = tiny.prior(1, (np.full((1, 1, 1), top, np.int32),), tf.constant([label]))
        return prior.log_prob(bottom[:16, ..., None].astype("float32")).numpy()

    assert np.abs(second(0, 0) - second(1, 0)).max() > 0.1
    assert np.abs(second(0, 0) - second(0, 1)).max() > 0.1


def test_the_bound_is_one_term_of_the_exact_sum(tiny, terms):
    (top, bottom), priors, given = terms
    images = every_image(tiny)
    for label in (0, 2):
        exact = scipy.special.logsumexp(priors[label] + given, axis=1)
        np.testing.assert_allclose(np.exp(exact).sum(), 1.0, atol=1e-5)
        bound = tiny.log_prob(images, condition=np.full(16, label)).numpy()
        codes = {name: found.numpy() for name, found in tiny.codes(images).items()}
        same = (top == codes["top"][:, None]).all((2, 3)) & (bottom == codes["bottom"][:, None]).all((2, 3))
        term = np.array([(priors[label] + given[i])[row][0] for i, row in enumerate(same)])
        np.testing.assert_allclose(bound, term, rtol=1e-5, atol=1e-5)
        assert np.all(bound < exact)


@pytest.mark.slow
def test_codes_are_drawn_from_both_priors_under_the_label(tiny, terms):
    """Chi-square over all codes: the bottom's sampler reads the top's codes at their places."""
    (top, bottom), priors, _ = terms
    draw = tf.function(tiny.draw_codes, autograph=False)
    drawn = draw(random.rows(SEED, 20_000), 1.0, tf.fill([20_000], 1))
    flat = np.concatenate([np.reshape(part, (20_000, -1)) for part in drawn], axis=1)
    counts = np.bincount(flat @ 2 ** np.arange(5)[::-1], minlength=32)
    expected = 20_000 * np.exp(priors[1])
    assert expected.min() > 5
    assert scipy.stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4


def test_the_first_stage_trains_the_autoencoder_and_the_second_both_priors(tiny):
    first, second = (stage.updates[0] for stage in tiny.stages())
    listed = [{id(v) for v in update.variables} for update in (first, second)]
    assert not listed[0] & listed[1]
    assert listed[0] | listed[1] >= {id(v) for v in tiny.trainable_variables}
    parts = (*tiny.priors, tiny.contexts[1])
    assert listed[1] == {id(v) for part in parts for v in part.trainable_variables}
    batch = {"x": tf.constant(every_image(tiny)), "condition": tf.zeros([16], tf.int32)}
    loss, _ = second.objective(batch, SEED, tf.constant(0, tf.int64))
    known = tiny.log_parts(**batch)
    np.testing.assert_allclose(loss, -np.mean(known["top"] + known["bottom"]), rtol=1e-5)


def test_bottoms_are_drawn_anew_for_the_tops_of_their_own_and_of_the_next(tiny):
    x, labels = np.repeat(every_image(tiny)[[3, 9]], 2000, axis=0), np.repeat([0, 2], 2000)
    found = tiny.redraw(x, SEED, labels)
    top = tiny.codes(x)["top"].numpy()
    bottoms = np.array(list(itertools.product(range(2), repeat=4)), np.int32).reshape(-1, 2, 2)
    for rows in (slice(0, 2000), slice(2000, 4000)):
        for name, own in (("drawn", rows.start), ("bottom", rows.start), ("top", rows.start + 1)):
            one, label = top[own : own + 1], tf.constant(labels[own : own + 1])
            p = np.exp(tiny.prior(1, (one,), label).log_prob(bottoms[..., None].astype("float32")))
            decoded = tiny.decode(top=np.repeat(one, 16, axis=0), bottom=bottoms).numpy()
            mean, spread = p @ decoded.reshape(16, -1), np.sqrt(p @ decoded.reshape(16, -1) ** 2)
            drawn = found[name][rows].numpy()[:-1].reshape(1999, -1).mean(0)
            np.testing.assert_array_less(np.abs(drawn - mean), 5 * spread / np.sqrt(1999) + 1e-6)
    # Those of the last are the first one's.
    np.testing.assert_array_equal(np.roll(top, -1, 0)[-1], top[0])
    assert np.abs(found["drawn"] - found["bottom"]).max() > 0.01


def test_low_frequencies_are_told_from_high_ones():
    rows = np.arange(16)
    waves = {period: np.cos(2 * np.pi * rows / period)[None, :, None, None] for period in (16, 8, 3.2, 2)}
    power = np.array([low_and_high(wave * np.ones((1, 1, 16, 1))) for wave in waves.values()])
    np.testing.assert_allclose(power[:, 0] / power.sum(1), [1, 1, 0, 0], atol=1e-6)
    # Parseval: the sum of squares, times the number of pixels.
    np.testing.assert_allclose(power.sum(1), 256 * np.array([128, 128, 128, 256]), rtol=1e-6)


def test_images_that_do_not_divide_into_two_levels_are_refused():
    with pytest.raises(ValueError, match=r"event_shape \(6, 6, 1\) does not divide into 4 x 4 pixels a code"):
        VQVAE2((6, 6, 1), halvings=1)
    with pytest.raises(ValueError, match=r"event_shape \(7, 8, 1\) does not divide into 2 x 2"):
        VQVAE2((7, 8, 1))
    small = {
        "filters": 2,
        "num_blocks": 0,
        "hidden": 1,
        "prior_filters": 2,
        "top_layers": 2,
        "bottom_layers": 2,
    }
    for shape, codes in {(28, 28, 1): (14, 14), (8, 8, 1): (4, 4), (32, 64, 3): (8, 16)}.items():
        assert VQVAE2(shape, **small).priors[1].event_shape == (*codes, 1)


@pytest.mark.learn
@pytest.mark.slow
def test_another_top_moves_low_frequencies_more_than_another_bottom():
    digits = data.load("digits", binarize="threshold")
    keras.utils.set_random_seed(3)
    sizes = {"num_codes": 64, "bottom_codes": 4, "filters": 24, "hidden": 16, "decay": 0.9}
    sizes |= {"prior_filters": 16, "top_layers": 2, "bottom_layers": 3}
    model = VQVAE2(digits.event_shape, **sizes, condition="label", num_classes=10)
    optimizer = keras.optimizers.Adam(2e-3)
    train(model, digits, 800, batch_size=64, optimizer=optimizer, seed=3, log=lambda line: None)
    found = {name: figure["value"] for name, figure in model.test_metrics(digits, SEED).items()}
    print(found)
    assert found["low_frequency_ratio"] > 4.0
    assert found["low_frequency_ratio"] > 1.25 * found["high_frequency_ratio"]
    assert found["top_perplexity"] > 40 and found["bottom_perplexity"] > 3.5
