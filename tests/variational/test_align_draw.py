"""`AlignDRAW` against its equations and quadrature, and what it draws from captions it has never seen."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logsumexp
from sklearn.svm import SVC

from tests.planted import perturb
from tests.variational.test_draw import GRID, every_picture, lstm
from tfgen import data
from tfgen.data import captioned_digits
from tfgen.layers.text_encoder import TextEncoder
from tfgen.networks.attention import WordAttention
from tfgen.training import train
from tfgen.variational import AlignDRAW

SEED = tf.constant([3, 4])
WORDS = ("", "a", "one", "two", "left", "right")
SIZES = {"embedding": 3, "language_units": 2, "align_units": 3}


@pytest.fixture(scope="module")
def tiny():
    """Two steps of one latent variable, so that everything can be integrated."""
    keras.utils.set_random_seed(1)
    model = perturb(AlignDRAW((2, 2, 1), WORDS, num_steps=2, latent_size=1, units=4, **SIZES), 0.5)
    for kernel in (model.next_code.kernel, model.writer.outputs.kernel, model.decoder.kernel):
        kernel.assign(2.0 * kernel)
    return model


def test_a_text_is_read_in_both_directions_and_filled_up_for_nothing():
    keras.utils.set_random_seed(2)
    encoder = TextEncoder(6, 3, 4)
    encoder.build()
    words, inside = encoder(tf.constant([[1, 2, 3], [4, 5, 0]]))
    np.testing.assert_array_equal(inside, [[True] * 3, [True, True, False]])
    np.testing.assert_allclose(words[1, :2], encoder(tf.constant([[4, 5]]))[0][0], rtol=1e-6)
    vectors = encoder.vectors.numpy()
    for layer, tokens, part in (
        (encoder.forward, [1, 2, 3], slice(0, 4)),
        (encoder.backward, [3, 2, 1], slice(4, 8)),
    ):
        state, found = (np.zeros(4), np.zeros(4)), []
        for token in tokens:
            state = lstm(layer, state, vectors[token])
            found.append(state[0])
        found = found if part.start == 0 else found[::-1]
        np.testing.assert_allclose(words[0, :, part], found, rtol=1e-5, atol=1e-6)


def test_attention_over_words_is_its_equation():
    keras.utils.set_random_seed(2)
    align = WordAttention(5)
    align.build([(None, None, 3), (None, 4)])
    random = np.random.RandomState(0)
    words, h = random.normal(size=(2, 3, 3)).astype(np.float32), random.normal(size=(2, 4)).astype(np.float32)
    inside = np.array([[True] * 3, [True, True, False]])
    u, w, v = align.of_words.kernel.numpy(), align.of_state.kernel.numpy(), align.score.numpy()
    for n, count in ((0, 3), (1, 2)):
        e = [v @ np.tanh(words[n, k] @ u + h[n] @ w) for k in range(count)]
        alpha = np.exp(e) / np.sum(np.exp(e))
        found = align.weights_of(h, align.keys(words), inside)[n]
        np.testing.assert_allclose(found, [*alpha, *[0.0] * (3 - count)], rtol=1e-5)
        s = align(h, words, align.keys(words), inside)[n]
        np.testing.assert_allclose(s, alpha @ words[n, :count], rtol=1e-5)


def test_paths_are_those_of_the_equations(tiny):
    """Generator and prior in NumPy from the z that were drawn, and the KL of two normals in each step."""
    x = every_picture()[[3, 9]]
    texts = tiny.check_condition(["a two left", "one"])
    drawn = tiny.drawn(x, SEED, texts, num_samples=1)
    z, told = drawn.z.numpy()[0], tiny.listen(texts)
    decoder = np.tile(tiny.begun_decoder.numpy(), (2, 1)), np.zeros((2, 4))
    canvas, kl = np.tile(tiny.canvas.numpy(), (2, 1, 1)), 0.0
    for t in range(2):
        h = decoder[0].astype(np.float32)
        raw = h @ tiny.next_code.kernel.numpy() + tiny.next_code.bias.numpy()
        mean, log_deviation = np.split(np.tanh(raw) * (t > 0), 2, axis=-1)
        np.testing.assert_allclose(drawn.prior.mean()[0, :, t], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(drawn.prior.stddev()[0, :, t], np.exp(log_deviation), rtol=1e-4)
        q_mean, q_deviation = (
            drawn.posterior.mean()[0, :, t].numpy(),
            drawn.posterior.stddev()[0, :, t].numpy(),
        )
        ratio = (q_deviation / np.exp(log_deviation)) ** 2
        kl = kl + 0.5 * np.sum(
            ratio - 1 - np.log(ratio) + ((q_mean - mean) / np.exp(log_deviation)) ** 2, axis=-1
        )
        heard = tiny.align(h, **told).numpy()
        decoder = lstm(tiny.decoder, decoder, np.concatenate([z[:, t], heard], axis=-1))
        canvas = canvas + tiny.writer(decoder[0].astype(np.float32)).numpy()
    np.testing.assert_allclose(drawn.kl, kl, rtol=1e-4)
    np.testing.assert_allclose(drawn.likelihood.mean()[0, ..., 0], expit(canvas), rtol=1e-4)
    again = tiny.likelihood(drawn.z, texts).mean()
    np.testing.assert_allclose(again, drawn.likelihood.mean(), rtol=1e-5)
    np.testing.assert_allclose(tiny.prior(texts).log_prob(drawn.z), drawn.log_prior, rtol=1e-4)
    np.testing.assert_allclose(tiny.posterior(x, texts).log_prob(drawn.z), drawn.log_q, rtol=1e-4)


@pytest.mark.slow
def test_bounds_and_samples_against_quadrature(tiny):
    """p(z | y), q(z | x, y) and p(x | y) add up to one; bounds and samples follow p(x | y)."""
    first, second = np.meshgrid(GRID, GRID, indexing="ij")
    z = np.stack([first.ravel(), second.ravel()], axis=-1)[:, None, :, None]
    cell, x, evidences = 2 * np.log(GRID[1] - GRID[0]), every_picture(), []

    @tf.function(autograph=False)
    def evaluate(text):
        each = tf.repeat(text, 16, axis=0)
        q = tiny.posterior(x, each).log_prob(tf.tile(z, [1, 16, 1, 1]))
        logits = tiny.likelihood(z, text).distribution.logits
        p_x = tf.reduce_sum(x * logits - tf.math.softplus(logits), axis=(-3, -2, -1))
        return tiny.prior(text).log_prob(z), q, p_x

    for caption in ("a one left", "two right a"):
        text = tiny.check_condition([caption])
        log_prior, log_q, log_p_x = (part.numpy().astype(np.float64) for part in evaluate(text))
        np.testing.assert_allclose(logsumexp(log_prior, axis=0) + cell, [0.0], atol=1e-3)
        np.testing.assert_allclose(logsumexp(log_q, axis=0) + cell, np.zeros(16), atol=1e-3)
        evidence = logsumexp(log_prior + log_p_x, axis=0) + cell
        np.testing.assert_allclose(np.exp(evidence).sum(), 1.0, atol=1e-3)
        elbo = np.sum(np.exp(log_q + cell) * (log_prior + log_p_x - log_q), axis=0)
        drawn = tiny.drawn(x, SEED, tf.repeat(text, 16, axis=0), num_samples=2000)
        error = drawn.log_weights.numpy().std(axis=0) / np.sqrt(2000)
        assert np.all(np.abs(drawn.log_weights.numpy().mean(axis=0) - elbo) < 4.5 * error + 1e-4)
        assert np.all(elbo < evidence)
        shares = tiny.sample(4000, caption, seed=2).numpy().reshape(4000, 4).astype(int) @ (1 << np.arange(4))
        p = np.exp(evidence)
        assert np.all(np.abs(np.bincount(shares, minlength=16) - 4000 * p) < 4.5 * np.sqrt(4000 * p) + 1)
        evidences.append(evidence)
    assert np.abs(evidences[0] - evidences[1]).max() > 0.01


@pytest.mark.slow
def test_captions_are_strings_or_tokens(tiny):
    x = every_picture()[:2]
    texts = ["a one left", "two"]
    tokens = np.array([[1, 2, 4], [3, 0, 0]])
    np.testing.assert_array_equal(tiny.log_prob(x, texts), tiny.log_prob(x, tokens))
    np.testing.assert_array_equal(tiny.sample(3, "two", seed=1), tiny.sample(3, tokens[1], seed=1))
    with pytest.raises(
        ValueError, match="condition 'a three' has the words 'three', which the model does not know"
    ):
        tiny.sample(1, "a three")
    with pytest.raises(ValueError, match="holds an empty text"):
        tiny.sample(1, "")
    with pytest.raises(ValueError, match="AlignDRAW needs a condition"):
        tiny.log_prob(x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="words that are not in the model"):
        tf.function(tiny.check_condition)(tf.constant(["three"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary": None}, "vocabulary must have 2 words or more, the first for no word, got None"),
        ({"unit": "line"}, "unit must be one of 'word', 'character', got 'line'"),
        ({"read_size": 5}, "read_size=5 is a grid of filters larger than the picture, 4x6"),
        ({"objective": "tc"}, "objective='tc' needs"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AlignDRAW(**{"event_shape": (4, 6, 1), "vocabulary": WORDS, "units": 3} | arguments)
    if "objective" in arguments:
        with pytest.raises(ValueError, match="needs a condition .text., but digits has none"):
            AlignDRAW((8, 8, 1), WORDS, units=3).check_data(data.load("digits", binarize="threshold"))


def seen_in(pictures):
    """Where the ink's middle lies, a place's number, and the 9x9 pixels around it."""
    places, crops = [], []
    for picture in np.asarray(pictures)[..., 0]:
        total = max(picture.sum(), 1e-6)
        middle = [float((picture.sum(axis=1 - axis) * np.arange(18)).sum() / total) for axis in (0, 1)]
        # Digits at neighbouring places lie four pixels apart, their middles from 4.5 on.
        place = np.clip(np.round((np.array(middle) - 4.5) / 4), 0, 2)
        places.append(3 * place[0] + place[1])
        row, column = (int(round(m)) for m in middle)
        crops.append(np.pad(picture, 4)[row : row + 9, column : column + 9].ravel())
    return np.array(places), np.array(crops)


@pytest.mark.slow
@pytest.mark.learn
def test_place_and_digit_of_captions_are_drawn():
    """A classifier of real pictures reads both from samples, of pairs never seen too; by chance 0.11, 0.1."""
    loaded = data.load("captioned_digits", binarize="threshold")
    keras.utils.set_random_seed(0)
    model = AlignDRAW((18, 18, 1), loaded.vocabulary, num_steps=6)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, 12_000))
    train(model, loaded, 12_000, batch_size=50, optimizer=optimizer, clip_norm=5.0, log=lambda line: None)
    classifier = SVC(C=10.0).fit(seen_in(loaded.train.x)[1], loaded.train.label[:, 0])
    found = {}
    for unseen in (True, False):
        pairs = [(d, p) for d in range(10) for p in range(9) if captioned_digits.held_out(d, p) == unseen]
        asked = np.repeat(pairs, 800 // len(pairs), axis=0)
        captions = [captioned_digits.caption(d, p) for d, p in asked]
        places, crops = seen_in(model.sample(len(captions), captions, seed=1))
        digits = classifier.predict(crops)
        found[unseen] = np.mean(places == asked[:, 1]), np.mean(digits == asked[:, 0])
    real_places, real_crops = seen_in(loaded.test.x)
    real = np.mean(classifier.predict(real_crops) == loaded.test.label[:, 0])
    print("real", np.mean(real_places == loaded.test.label[:, 1]), real, "never seen, seen", found)
    assert found[True][0] > 0.95 and found[False][0] > 0.95
    assert found[True][1] > 0.8 and found[False][1] > 0.8
