"""`PixelVAE` against its PixelCNN with z cut, against quadrature over z, and what z is used for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive.pixel_checks import assert_follows, every_image
from tests.planted import perturb
from tfgen import data, random
from tfgen.autoregressive import GatedPixelCNN
from tfgen.distributions.draw import draw
from tfgen.training import train
from tfgen.variational import PixelVAE

SEED = tf.constant([7, 8])
TINY = {
    "event_shape": (2, 2, 1),
    "latent_size": 1,
    "hidden": (6,),
    "filters": (4,),
    "features": 3,
    "pixel_filters": 8,
    "pixel_layers": 2,
}


@pytest.fixture(scope="module")
def tiny():
    """A model with random weights."""
    keras.utils.set_random_seed(1)
    return perturb(PixelVAE(**TINY), 0.5)


@pytest.fixture(scope="module")
def given(tiny):
    """z on a lattice, its weights under the prior, and log p(x | z) `[z, images]` in float64."""
    z = np.linspace(-6, 6, 241, dtype="float32")[:, None]
    weights = np.exp(tiny.prior().log_prob(z).numpy().astype("float64")) * 0.05
    log_p = tiny.likelihood(z[:, None]).log_prob(every_image(tiny)).numpy().astype("float64")
    return z, weights, log_p


def test_pixels_given_z_are_a_distribution_that_hears_z(given):
    z, weights, log_p = given
    assert log_p.shape == (241, 16)
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(weights.sum(), 1.0, atol=1e-5)
    assert np.abs(log_p[0] - log_p[-1]).max() > 0.3


@pytest.mark.slow
def test_the_bound_rises_to_the_integral_over_z(tiny, given):
    _, weights, log_p = given
    exact = np.log(weights @ np.exp(log_p))
    found = tiny.importance_bound(every_image(tiny), num_samples=3000)
    assert np.all(np.abs(found.bound - exact) < 5 * found.standard_error.numpy() + 1e-4)
    elbo = np.mean([tiny.log_prob(every_image(tiny), seed=s).numpy() for s in range(40)], axis=0)
    assert np.all(elbo < exact + 0.02) and np.mean(exact - elbo) > 0.01


def test_samples_follow_the_integral_over_z(tiny, given):
    _, weights, log_p = given
    drawn = tf.function(tiny.sample_rows, autograph=False)(random.rows(SEED, 20_000)).numpy()
    p = weights @ np.exp(log_p)
    assert_follows(tiny, drawn, p / p.sum())


@pytest.mark.slow
def test_without_features_it_is_its_pixel_cnn(tiny):
    """With z cut: the same weights without a condition give the same density, mode and samples."""
    cut = PixelVAE(**TINY)
    cut.set_weights(tiny.get_weights())
    last = [layer for layer in cut.decoder.layers if layer.weights][-1]
    last.set_weights([0.0 * w for w in last.get_weights()])
    alone = GatedPixelCNN((2, 2, 1), filters=8, num_layers=2, head=8, first_kernel_size=5)
    kept = {v.path: v.numpy() for v in cut.pixels.trainable_variables if "/condition/" not in v.path}
    assert len(kept) == len(alone.trainable_variables) < len(cut.pixels.trainable_variables)
    for variable, value in zip(alone.trainable_variables, kept.values(), strict=True):
        variable.assign(value)
    x, z = every_image(alone), np.float32([[0.3], [-2.0]])
    want = alone.log_prob(x).numpy()
    np.testing.assert_allclose(cut.likelihood(z[:, None]).log_prob(x), [want, want], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(cut.decode(z), alone.sample(2, seed=0, temperature=0.0))
    seeds = random.rows(SEED, 40)
    drawn = draw(cut.likelihood(np.repeat(z, 20, axis=0)), seeds)
    np.testing.assert_array_equal(drawn, draw(alone.distribution(), seeds, [40]))
    assert np.abs(tiny.likelihood(z[:, None]).log_prob(x) - want).max() > 0.1
    # Then the posterior that is best is the prior: the KL is all that the bound loses.
    terms = cut.terms(x, SEED)
    np.testing.assert_allclose(-terms["elbo"], -want.mean() + terms["kl"], rtol=1e-5)


def test_a_pixel_hears_the_features_of_its_own_place_and_none_below():
    """By gradient; the rows above and its own row it hears by the vertical stack."""
    keras.utils.set_random_seed(2)
    model = perturb(GatedPixelCNN((3, 4, 1), 8, 3, 32, condition="image", condition_size=2), 0.3)
    features = tf.random.stateless_normal((1, 3, 4, 2), [1, 2])
    x = tf.constant(np.random.default_rng(0).integers(0, 2, (1, 3, 4, 1)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        raw = tf.reshape(model.raw(x, features), [12])
    moved = np.abs(tape.jacobian(raw, features, experimental_use_pfor=False)).sum((1, 4)).reshape(12, 12) > 0
    assert moved.diagonal().all()
    rows = np.arange(12) // 4
    assert not moved[rows[None, :] > rows[:, None]].any()


@pytest.mark.learn
@pytest.mark.slow
def test_z_keeps_more_than_a_nat_on_digits_and_pays():
    digits = data.load("digits", binarize="threshold")
    keras.utils.set_random_seed(3)
    sizes = {"latent_size": 8, "filters": (16, 32), "hidden": (64,), "pixel_filters": 16, "pixel_layers": 2}
    model = PixelVAE(digits.event_shape, **sizes, first_kernel_size=3, beta_warmup=500)
    optimizer = keras.optimizers.Adam(2e-3)
    train(model, digits, 700, batch_size=64, optimizer=optimizer, seed=3, log=lambda line: None)
    found = {name: figure["value"] for name, figure in model.test_metrics(digits, SEED).items()}
    print(found)
    assert found["kl"] > 1.0 and found["active_units"] >= 2
    # The pixels without what z tells them: from another example's z.
    x = tf.constant(np.asarray(digits.test.x[:200], "float32"))
    z = model.encode(x)[0]
    own, other = (tf.reduce_mean(model.likelihood(each).log_prob(x)) for each in (z, tf.roll(z, 1, axis=0)))
    assert own - other > found["kl"]
