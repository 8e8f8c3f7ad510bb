"""`DRAW` against the paper's equations in NumPy, and against quadrature over all its latent variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import expit, logsumexp

from tests.planted import perturb
from tfgen import data, random
from tfgen.media import pictures
from tfgen.networks import attention
from tfgen.training import train
from tfgen.variational import DRAW, VAE

SEED = tf.constant([3, 4])
GRID = np.linspace(-7.0, 7.0, 121, dtype=np.float32)


def every_picture(shape=(2, 2, 1)):
    size = int(np.prod(shape))
    return ((np.arange(2**size)[:, None] >> np.arange(size)) & 1).reshape(-1, *shape).astype(np.float32)


@pytest.fixture(scope="module")
def tiny():
    """Two steps of one latent variable, so that everything can be integrated."""
    keras.utils.set_random_seed(1)
    model = perturb(DRAW((2, 2, 1), num_steps=2, latent_size=1, units=4), 0.4)
    # Codes that depend on x, and a generator that depends on codes.
    model.code.kernel.assign(2.0 * model.code.kernel)
    model.writer.outputs.kernel.assign(2.0 * model.writer.outputs.kernel)
    return model


@pytest.fixture(scope="module")
def integrated(tiny):
    """log p(z), log q(z | x) and log p(x | z) of every x on a lattice of z, and the logarithm of its cell."""
    first, second = np.meshgrid(GRID, GRID, indexing="ij")
    z = np.stack([first.ravel(), second.ravel()], axis=-1)[:, None, :, None]  # [points, 1, T, 1]
    x = every_picture()

    @tf.function(autograph=False)
    def evaluate():
        many = tf.tile(z, [1, len(x), 1, 1])
        log_p_x = tiny.likelihood(z).log_prob(x)
        return tiny.prior().log_prob(z), tiny.posterior(x).log_prob(many), log_p_x

    found = [part.numpy().astype(np.float64) for part in evaluate()]
    return (*found, 2 * np.log(GRID[1] - GRID[0]))


def test_posterior_and_pictures_are_distributions(integrated):
    log_prior, log_q, log_p_x, cell = integrated
    np.testing.assert_allclose(logsumexp(log_q, axis=0) + cell, np.zeros(16), atol=1e-3)
    evidence = logsumexp(log_prior + log_p_x, axis=0) + cell
    np.testing.assert_allclose(np.exp(evidence).sum(), 1.0, atol=1e-4)


@pytest.mark.slow
def test_bounds_against_quadrature(tiny, integrated):
    """ELBO + KL(q || exact posterior) = log p(x); the objective's ELBO is that one, by steps."""
    log_prior, log_q, log_p_x, cell = integrated
    log_w = log_prior + log_p_x - log_q
    evidence = logsumexp(log_prior + log_p_x, axis=0) + cell
    q = np.exp(log_q + cell)
    elbo, gap = np.sum(q * log_w, axis=0), np.sum(q * (log_q - (log_prior + log_p_x - evidence)), axis=0)
    np.testing.assert_allclose(elbo + gap, evidence, atol=2e-3)
    assert gap.min() > 1e-3
    drawn = tiny.drawn(every_picture(), SEED, num_samples=4000)
    by_steps = (drawn.log_likelihood - tf.reduce_sum(_step_kl(drawn), axis=(-2, -1))).numpy()
    error = by_steps.std(axis=0) / np.sqrt(4000)
    assert np.all(np.abs(by_steps.mean(axis=0) - elbo) < 4.5 * error + 1e-4)
    np.testing.assert_allclose(drawn.log_likelihood.numpy().mean(0) - drawn.kl, by_steps.mean(0), rtol=1e-4)
    bound = tiny.importance_bound(every_picture(), num_samples=4000)
    assert np.all(np.abs(bound.bound - evidence) < 5 * bound.standard_error + 1e-3)


def _step_kl(drawn):
    """Equation 11: (mu^2 + sigma^2 - log sigma^2 - 1) / 2 of every latent variable of every step."""
    mean, deviation = drawn.posterior.mean(), drawn.posterior.stddev()
    return 0.5 * (mean**2 + deviation**2 - tf.math.log(deviation**2) - 1.0)


def test_samples_have_the_density(tiny, integrated):
    log_prior, _, log_p_x, cell = integrated
    p = np.exp(logsumexp(log_prior + log_p_x, axis=0) + cell)
    x = tiny.sample(4000, seed=1).numpy().reshape(4000, 4).astype(int)
    counts = np.bincount(x @ (1 << np.arange(4)), minlength=16)
    assert stats.chisquare(counts, 4000 * p / p.sum()).pvalue > 1e-3


def lstm(layer, state, x):
    """One step of an LSTM in NumPy."""
    gates = x @ layer.kernel.numpy() + layer.bias.numpy() + state[0] @ layer.recurrent_kernel.numpy()
    i, f, g, o = np.split(gates, 4, axis=-1)
    c = expit(f) * state[1] + expit(i) * np.tanh(g)
    return expit(o) * np.tanh(c), c


@pytest.mark.parametrize("looks", [True, False])
def test_a_path_is_that_of_the_equations(looks):
    """Equations 3 to 8 in NumPy, from the z that were drawn; without attention equations 17 and 18."""
    keras.utils.set_random_seed(2)
    model = perturb(DRAW((4, 3, 2), num_steps=3, latent_size=2, units=5, attention=looks), 0.3)
    x = np.random.RandomState(0).randint(0, 2, (2, 4, 3, 2)).astype(np.float32)
    drawn = model.drawn(x, SEED, num_samples=1)
    z = drawn.z.numpy()[0]
    beside = np.transpose(x, (0, 1, 3, 2)).reshape(2, 4, 6)
    canvas = np.tile(model.canvas.numpy(), (2, 1, 1))
    decoder, encoder = (
        (np.tile(first.numpy(), (2, 1)), np.zeros((2, 5)))
        for first in (model.begun_decoder, model.begun_encoder)
    )
    for t in range(3):
        h = decoder[0].astype(np.float32)
        both = np.concatenate([beside, beside - expit(canvas)], axis=-1).astype(np.float32)
        if looks:
            raw = h @ model.reader.place.kernel.numpy() + model.reader.place.bias.numpy()
            read = attention.extract(attention.window(raw, 4, 3, 3), both, 3).numpy()
        else:
            read = both.reshape(2, -1)
        encoder = lstm(model.encoder, encoder, np.concatenate([read, h], axis=-1))
        mean, log_deviation = np.split(
            encoder[0] @ model.code.kernel.numpy() + model.code.bias.numpy(), 2, axis=-1
        )
        np.testing.assert_allclose(drawn.posterior.mean()[0, :, t], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(drawn.posterior.stddev()[0, :, t], np.exp(log_deviation), rtol=1e-4)
        decoder = lstm(model.decoder, decoder, z[:, t])
        raw = decoder[0].astype(np.float32) @ model.writer.outputs.kernel.numpy()
        raw += model.writer.outputs.bias.numpy()
        if looks:
            canvas = canvas + attention.spread(attention.window(raw[:, :5], 4, 3, 3), raw[:, 5:]).numpy()
        else:
            canvas = canvas + raw.reshape(canvas.shape)
    logits = np.transpose(canvas.reshape(2, 4, 2, 3), (0, 1, 3, 2))
    want = np.sum(x * logits - np.logaddexp(0, logits), axis=(1, 2, 3))
    np.testing.assert_allclose(drawn.log_likelihood[0], want, rtol=1e-4)
    np.testing.assert_allclose(model.likelihood(drawn.z).log_prob(x)[0], want, rtol=1e-4)
    q = model.posterior(x)
    np.testing.assert_allclose(q.log_prob(drawn.z), drawn.log_q, rtol=1e-4)
    means, boxes, _ = model.canvases(z)
    np.testing.assert_allclose(means[-1], expit(logits), rtol=1e-4)
    assert (boxes is not None) == looks
    # The path of means is what codes are.
    mean, _ = model.encode(x)
    still = q.path_through(mean[None])
    np.testing.assert_allclose(still.factors.mean()[0], mean, rtol=1e-4, atol=1e-6)


def test_other_likelihoods_see_the_error_in_their_own_values():
    x = np.random.RandomState(0).randint(0, 17, (3, 4, 4, 1)).astype(np.float32)
    levels = DRAW((4, 4, 1), num_steps=2, units=4, likelihood="discretized_logistic", num_values=17)
    real = DRAW((4, 4, 1), num_steps=2, units=4, likelihood="gaussian")
    assert np.all(np.isfinite(levels.log_prob(x))) and np.all(np.isfinite(real.log_prob(x)))
    seen = []
    levels.reader.call = lambda h, x, error: seen.append((x, error)) or tf.zeros([3, levels.reader.size(1)])
    state = levels.start(3) | {"encoder": levels._begun(levels.begun_encoder, 3)}
    levels.look(state, levels._planes_of(tf.constant(x)))
    mean = levels.picture(levels.canvas.value[None]).mean().numpy()
    np.testing.assert_allclose(seen[0][0], x[..., 0] / 16, rtol=1e-6)
    np.testing.assert_allclose(seen[0][1], (x - mean)[..., 0] / 16, rtol=1e-5, atol=1e-6)


def test_the_canvas_begins_as_the_mean_picture():
    x = np.random.RandomState(0).randint(0, 2, (7, 4, 3, 2)).astype(np.float32)
    model = DRAW((4, 3, 2), num_steps=2, units=4)
    model.begin({"x": tf.constant(x)}, SEED)
    np.testing.assert_allclose(
        model.picture(model.start(1)["canvas"]).mean()[0], (x.sum(0) + 1) / 9, rtol=1e-5
    )
    real = DRAW((4, 3, 2), num_steps=2, units=4, likelihood="gaussian")
    real.begin({"x": tf.constant(x)}, SEED)
    assert not np.any(real.canvas)


def test_boxes_are_drawn_where_filters_lie():
    """A grid over the whole of a 4x4 picture: its outline goes through the middles of the outer pixels."""
    box = attention.window(np.zeros([1, 5], np.float32), 4, 4, 2).box.numpy()
    picture = pictures.outlined(np.zeros([1, 4, 4, 1]), box, np.zeros(1), scale=10)[0]
    red = (picture == [255, 0, 0]).all(axis=-1)
    rows, columns = np.nonzero(red)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 35, 5, 35)
    assert red.sum() == 4 * 30 and not picture[~red].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"read_size": 5}, "read_size=5 is a grid of filters larger than the picture, 4x6: take 4 or less"),
        ({"write_size": 7}, "write_size=7 is a grid of filters larger than the picture, 4x6: take 4 or less"),
        ({"attention": False, "read_size": 2}, "attention=False has no grid, got read_size=2"),
        ({"objective": "dreg"}, "objective='dreg' needs a posterior whose z is drawn at once"),
        ({"objective": "mmd"}, "objective='mmd' needs a posterior whose z is drawn at once"),
        ({"free_bits": 1.0}, "free_bits=1.0 needs"),
        ({"event_shape": (24,)}, r"event_shape must be \(height, width, channels\), got \(24,\)"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DRAW(**{"event_shape": (4, 6, 1), "units": 3} | arguments)


@pytest.mark.slow
@pytest.mark.learn
def test_its_bound_is_above_that_of_a_vae_at_equal_steps():
    digits = data.load("digits", binarize="threshold")
    x, bounds = digits.test.x, {}
    keras.utils.set_random_seed(0)
    for model in (DRAW((8, 8, 1)), VAE((8, 8, 1))):
        optimizer = keras.optimizers.Adam(2e-3)
        train(model, digits, 1500, batch_size=100, optimizer=optimizer, log=lambda line: None)
        bounds[type(model).__name__] = model.log_prob(x, num_samples=20, seed=random.as_seed(1)).numpy()
    gain = bounds["DRAW"] - bounds["VAE"]
    print({name: bound.mean() for name, bound in bounds.items()}, gain.mean())
    assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain))
