"""`VQVAE` against the exact sum over all codes, the paper's objective by hand, and what it learns."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.autoregressive.pixel_checks import assert_follows, every_image, independent_nats
from tests.planted import dataset, perturb
from tfgen import data, random
from tfgen.evaluation.report import evaluate
from tfgen.training import train
from tfgen.variational import VQVAE

SEED = tf.constant([7, 8])
TINY = {
    "event_shape": (4, 2, 1),
    "num_codes": 3,
    "code_size": 2,
    "halvings": 1,
    "filters": 6,
    "num_blocks": 1,
    "hidden": 4,
    "prior_filters": 4,
    "prior_layers": 2,
}


@pytest.fixture(scope="module")
def tiny():
    """A model with random weights, whose codes differ from image to image."""
    keras.utils.set_random_seed(1)
    model = perturb(VQVAE(**TINY), 0.5)
    model.begin({"x": every_image(model)}, SEED)
    assert len(np.unique(model.codes(every_image(model))["codes"])) == 3
    return model


@pytest.fixture(scope="module")
def terms(tiny):
    """log p(k) `[maps]` and log p(x | k) `[images, maps]` of everything there is, float64."""
    maps = np.array(list(itertools.product(range(3), repeat=2)), np.int32).reshape(-1, 2, 1)
    prior = tiny.prior().log_prob(maps[..., None].astype("float32")).numpy().astype("float64")
    likelihood = tiny.likelihood(tf.constant(maps))
    images = every_image(tiny)
    given = likelihood.log_prob(images[:, None]).numpy().astype("float64")
    return maps, prior, given


def test_prior_and_likelihood_are_distributions(terms):
    _, prior, given = terms
    np.testing.assert_allclose(np.exp(prior).sum(), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.exp(given).sum(0), 1.0, atol=1e-5)
    assert prior.std() > 0.1 and given.std() > 0.1


def test_the_bound_is_the_term_of_the_codes_and_below_the_exact_sum(tiny, terms):
    maps, prior, given = terms
    images = every_image(tiny)
    exact = scipy.special.logsumexp(prior + given, axis=1)
    np.testing.assert_allclose(np.exp(exact).sum(), 1.0, atol=1e-5)
    bound = tiny.log_prob(images).numpy()
    codes = tiny.codes(images)["codes"].numpy()
    which = [int(np.flatnonzero((maps == k).all((1, 2)))[0]) for k in codes]
    term = prior[which] + given[np.arange(len(images)), which]
    np.testing.assert_allclose(bound, term, rtol=1e-5, atol=1e-5)
    assert np.all(bound < exact) and len(set(which)) > 3
    parts = tiny.log_parts(images)
    np.testing.assert_allclose(parts["codes"], prior[which], rtol=1e-5, atol=1e-5)
    found = tiny.validation_metrics({"x": images}, SEED)
    # Before the prior is trained it does not choose the best weights.
    np.testing.assert_allclose(found["nats"], -bound.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["loss"], -np.mean(parts["reconstruction"]), rtol=1e-5)
    tiny.stage.assign([1, 0, 5])
    np.testing.assert_allclose(tiny.validation_metrics({"x": images}, SEED)["loss"], -bound.mean(), rtol=1e-5)
    tiny.stage.assign([0, 0, 0])


def test_a_report_says_what_the_bound_is_and_what_it_is_the_sum_of(tiny):
    found = evaluate(tiny, dataset(tiny), SEED)
    assert found["nats_bound"]["kind"] == "upper bound of the nats, mean over the test split"
    parts = found["codes_nats"]["value"] + found["reconstruction_nats"]["value"]
    assert parts == pytest.approx(found["nats_bound"]["value"], rel=1e-5)
    codes = tiny.codes(dataset(tiny).test.x)["codes"].numpy()
    shares = np.bincount(codes.ravel(), minlength=3) / codes.size
    want = np.exp(scipy.stats.entropy(shares))
    assert found["codes_perplexity"]["value"] == pytest.approx(want, rel=1e-5)
    assert found["codes_used"]["value"] == np.sum(shares > 0)


def test_samples_follow_the_sum_over_codes(tiny, terms):
    _, prior, given = terms
    drawn = tf.function(tiny.sample_rows, autograph=False)(random.rows(SEED, 20_000)).numpy()
    assert_follows(tiny, drawn, np.exp(scipy.special.logsumexp(prior + given, axis=1)))


def test_temperature_zero_is_the_likelihoods_mode_for_the_modes_of_the_codes(tiny, terms):
    drawn = tf.function(tiny.sample_rows, autograph=False)(random.rows(SEED, 3), 0.0).numpy()
    first = np.array([0, 0], np.int32).reshape(1, 2, 1)
    for place in range(2):
        raw = tiny.code_prior.raw(first[..., None].astype("float32")).numpy().reshape(2, 3)
        first[0, place, 0] = raw[place].argmax()
    mode = tiny.decode(codes=first).numpy() > 0.5
    np.testing.assert_array_equal(drawn, np.repeat(mode.astype("float32"), 3, axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_objective_by_hand(codebook):
    keras.utils.set_random_seed(2)
    model = VQVAE(**TINY, codebook=codebook, commitment=0.4)
    x = every_image(model)[::9]
    model.begin({"x": x}, SEED)
    (update,) = model.stages()[0].updates
    with keras.StatelessScope():
        loss, scalars = update.objective({"x": tf.constant(x)}, SEED, tf.constant(0, tf.int64))
    z = model.encoder(2.0 * x - 1.0).numpy()
    e = model.quantizer.codebook().numpy()
    codes = np.sum((z[..., None, :] - e) ** 2, -1).argmin(-1)
    logits = model.decoder(e[codes]).numpy()
    nats = np.sum(np.logaddexp(0.0, logits) - x * logits, axis=(1, 2, 3)).mean()
    distance = np.sum((z - e[codes]) ** 2, axis=(1, 2, 3)).mean()
    want = nats + 0.4 * distance + (distance if codebook == "gradient" else 0.0)
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    np.testing.assert_allclose(scalars["reconstruction"], nats, rtol=1e-5)
    np.testing.assert_allclose(scalars["codes_commitment"], distance, rtol=1e-4)
    moved = {v.path for v in update.variables}
    assert all(v.path in moved for v in [*model.encoder.weights, *model.decoder.weights])
    assert not moved & {v.path for v in model.code_prior.weights}
    assert ("quantizer/vectors" in moved) == (codebook == "gradient")


def test_codes_come_back_as_pictures_and_wrong_ones_are_refused(tiny):
    x = every_image(tiny)[40:45]
    again = tiny.reconstruct(x)
    np.testing.assert_array_equal(tiny.decode(**tiny.codes(x)), again)
    vectors = tiny.encode(x)["vectors"].numpy()
    codes = tiny.codes(x)["codes"].numpy()
    np.testing.assert_allclose(vectors, tiny.quantizer.codebook().numpy()[codes], rtol=1e-6)
    np.testing.assert_allclose(tf.sigmoid(tiny.decoder(vectors)), again, rtol=1e-5)
    for wrong, message in (
        ({"codes": codes + 3}, "codes must hold codes 0 to 2"),
        ({"codes": codes[:, :1]}, r"codes must have shape \[batch, 2, 1\]"),
        ({"top": codes}, "decode takes codes, got top"),
        ({}, "decode takes codes, got none"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny.decode(**wrong)


def test_images_that_do_not_divide_into_codes_are_refused():
    with pytest.raises(ValueError, match=r"event_shape \(6, 8, 1\) does not divide into 4 x 4 pixels a code"):
        VQVAE((6, 8, 1), halvings=2)
    sizes = {(28, 28, 1): (7, 7), (8, 8, 3): (4, 4), (9, 7, 1): (9, 7), (64, 32, 3): (16, 8)}
    small = {"filters": 2, "num_blocks": 0, "hidden": 1, "prior_filters": 2, "prior_layers": 2}
    for shape, codes in sizes.items():
        assert VQVAE(shape, **small).code_prior.event_shape == (*codes, 1)


@pytest.mark.learn
@pytest.mark.slow
def test_learns_digits_by_codes_that_are_all_in_use():
    digits = data.load("digits", binarize="threshold")
    keras.utils.set_random_seed(3)
    sizes = {"num_codes": 32, "halvings": 2, "filters": 24, "hidden": 16, "prior_filters": 24}
    model = VQVAE(digits.event_shape, **sizes, prior_layers=2, decay=0.9, prior_share=0.25)
    optimizer = keras.optimizers.Adam(2e-3)
    train(model, digits, 1000, batch_size=64, optimizer=optimizer, seed=3, log=lambda line: None)
    found = {name: figure["value"] for name, figure in model.test_metrics(digits, SEED).items()}
    train_x, test_x = (np.asarray(split.x, "float32") for split in (digits.train, digits.test))
    parts = {name: part.numpy() for name, part in model.log_parts(test_x).items()}
    nats = -np.mean(parts["codes"] + parts["reconstruction"])
    # What the prior knows more than how often each code stands at each of the four places.
    seen, codes = (model.codes(x)["codes"].numpy().reshape(-1, 4) for x in (train_x, test_x))
    counts = np.stack([np.bincount(seen[:, place], minlength=32) + 1.0 for place in range(4)])
    shares = counts / counts.sum(1, keepdims=True)
    gain = parts["codes"] - np.log(shares[np.arange(4), codes]).sum(1)
    print(nats, found, gain.mean(), gain.std() / np.sqrt(len(gain)))
    assert nats < independent_nats(train_x, test_x) - 0.5
    assert found["codes_used"] == 32 and found["codes_perplexity"] > 16
    assert gain.mean() > 2 * gain.std() / np.sqrt(len(gain))
    np.testing.assert_allclose(found["codes_nats"] + found["reconstruction_nats"], nats, rtol=1e-4)
