"""Posteriors and priors by name: log q against changes of variables, draws against densities, KL."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tests.variational.linear_gaussian import GAP, SEED, evidence, linear_data, linear_vae
from tfgen import random
from tfgen.distributions.draw import draw, draw_and_log_prob
from tfgen.variational import IAFVAE, VAE, MixturePosteriorVAE, VampPrior
from tfgen.variational.distributions import MixtureOfNormals, make_posterior
from tfgen.variational.latent_variable import Drawn, draw_strata

tfd = tfp.distributions


def posterior(name, size, batch=2):
    """A posterior of that name for `size` latent variables, at random raw outputs of `batch` x."""
    keras.utils.set_random_seed(0)
    made, count = make_posterior(name, size)
    if isinstance(made, keras.layers.Layer):  # Flows start as the identity.
        made.set_weights([0.5 * np.random.RandomState(0).randn(*w.shape) for w in made.get_weights()])
    raw = random.normal(random.as_seed(5), [batch, count])
    return made.distribution(raw) if isinstance(made, keras.layers.Layer) else made(raw)


@pytest.mark.parametrize("name", ["iaf", "planar"])
def test_log_q_of_a_flow_is_the_density_by_its_jacobian(name):
    q = posterior(name, 3)
    z, log_q = draw_and_log_prob(q, SEED, [4])
    base = draw(q.distribution, SEED, [4])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(base)
        np.testing.assert_allclose(q.bijector.forward(base), z, rtol=1e-5)
        moved = tf.reshape(q.bijector.forward(base), [8, 3])
    jacobian = tape.jacobian(moved, base, experimental_use_pfor=False).numpy().reshape(8, 3, 8, 3)
    own = np.stack([jacobian[i, :, i] for i in range(8)])
    assert np.abs(jacobian).sum() - np.abs(own).sum() < 1e-5  # no row of the batch moves another
    log_det = np.linalg.slogdet(own)[1].reshape(4, 2)
    np.testing.assert_allclose(log_q, q.distribution.log_prob(base) - log_det, rtol=1e-4, atol=1e-4)
    if name == "iaf":
        # The density of any z, by the inverse: entry by entry.
        np.testing.assert_allclose(q.log_prob(tf.identity(z)), log_q, rtol=1e-4, atol=1e-3)


def test_an_inverse_autoregressive_flow_integrates_to_one_and_is_no_gaussian():
    q = posterior("iaf", 2, batch=1)
    grid = np.linspace(-8, 8, 401, dtype=np.float32)
    z = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    density = np.exp(q.log_prob(z))[:, 0].reshape(401, 401) * (grid[1] - grid[0]) ** 2
    np.testing.assert_allclose(density.sum(), 1.0, atol=2e-3)
    drawn = draw(q, SEED, [20_000]).numpy()[:, 0]
    for axis in (0, 1):
        mean = (density.sum(1 - axis) * grid).sum()
        error = drawn[:, axis].std() / np.sqrt(20_000)
        assert abs(drawn[:, axis].mean() - mean) < 5 * error + 2e-3


@pytest.mark.slow
def test_bounds_by_flows_sum_to_one_over_all_x():
    """Importance weights p(x, z) / q(z | x) have mean p(x), whatever q."""
    keras.utils.set_random_seed(0)
    encoder = keras.layers.Dense(8, kernel_initializer="random_normal")
    vae = IAFVAE(4, flow_hidden=6, flow_context=4, latent_size=2, hidden=(5,), encoder=encoder)
    for network in vae._posterior.networks:
        network.set_weights([0.3 * np.random.RandomState(0).randn(*w.shape) for w in network.get_weights()])
    vae.decoder.set_weights([2.0 * w for w in vae.decoder.get_weights()])
    every = np.array(list(itertools.product((0, 1), repeat=4)), np.float32)
    bound = vae.importance_bound(every, num_samples=5000)
    p = np.exp(bound.bound)
    assert p.std() > 0.01 and np.linalg.norm(p * bound.standard_error) < 0.006
    np.testing.assert_allclose(p.sum(), 1.0, atol=0.025)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("lognormal", lambda d: stats.lognorm(d.scale.numpy(), scale=np.exp(d.loc.numpy()))),
        ("exponential", lambda d: stats.expon(scale=1 / d.rate.numpy())),
        ("logistic", lambda d: stats.logistic(d.loc.numpy(), d.scale.numpy())),
    ],
)
def test_families_draw_their_density(name, law):
    q = posterior(name, 2)
    z, log_q = draw_and_log_prob(q, SEED, [4000])
    expected = law(q.distribution)
    np.testing.assert_allclose(log_q, expected.logpdf(z.numpy()).sum(-1), rtol=1e-3, atol=1e-3)
    for i, j in ((0, 0), (1, 1)):
        uniform = expected.cdf(z.numpy())[:, i, j]
        assert stats.kstest(uniform, "uniform").pvalue > 1e-6  # false-failure rate 1e-6
    with tf.GradientTape() as tape:  # reparameterized: a draw moves with its parameters
        parameter = tf.Variable(0.3)
        tape.watch(parameter)
        moved = make_posterior(name, 2)[0](parameter + tf.zeros([1, 4]))
        total = tf.reduce_sum(draw(moved, SEED, [3]))
    assert abs(float(tape.gradient(total, parameter))) > 1e-3


@pytest.mark.parametrize(
    ("name", "prior"), [("lognormal", "lognormal"), ("exponential", "exponential"), ("diagonal", "normal")]
)
def test_kl_in_closed_form_is_the_mean_of_log_ratios(name, prior):
    keras.utils.set_random_seed(0)
    vae = VAE(4, latent_size=2, hidden=(5,), posterior=name, prior=prior, free_bits=0.2)
    x = tf.constant(np.random.RandomState(0).randint(0, 2, [3, 4]).astype(np.float32))
    drawn = vae.drawn(x, SEED, num_samples=20_000)
    ratios = (drawn.log_q - drawn.log_prior).numpy()
    error = ratios.std(0) / np.sqrt(20_000)
    assert (np.abs(drawn.kl - ratios.mean(0)) < 5 * error).all()
    # By formula.
    entries = drawn.posterior.distribution if name != "diagonal" else None
    if name == "exponential":
        rate = entries.rate.numpy()
        want = (np.log(rate) + 1 / rate - 1).sum(-1)
    else:
        loc, scale = (
            (entries.loc, entries.scale) if entries else (drawn.posterior.mean(), drawn.posterior.stddev())
        )
        loc, scale = loc.numpy(), scale.numpy()
        want = ((loc**2 + scale**2 - 1) / 2 - np.log(scale)).sum(-1)
    np.testing.assert_allclose(drawn.kl, want, rtol=1e-4)


def test_a_prior_of_posteriors_is_their_average_and_starts_at_examples():
    keras.utils.set_random_seed(0)
    vae = VAE(4, latent_size=2, hidden=(5,), prior=VampPrior(3))
    x = np.random.RandomState(0).randint(0, 2, [9, 4]).astype(np.float32)
    vae.begin({"x": tf.constant(x)}, SEED)
    inputs = vae._prior.pseudo_inputs(0.0, 1.0)
    nearest = np.abs(inputs[:, None] - x).max(-1).min(1)
    np.testing.assert_allclose(nearest, 0.02, atol=1e-4)
    z = np.random.RandomState(1).randn(6, 2).astype(np.float32)
    each = [np.exp(vae.posterior(inputs[k : k + 1]).log_prob(z)) for k in range(3)]
    np.testing.assert_allclose(np.exp(vae.prior().log_prob(z)), np.mean(each, axis=0), rtol=1e-4)


def mixture_from(vae, num_components):
    """A mixture posterior all of whose components are the VAE's posterior."""
    keras.utils.set_random_seed(1)
    options = {"latent_size": 2, "hidden": (6,), "objective": "iwae", "num_samples": 3}
    model = MixturePosteriorVAE(4, num_components, **options)
    *first, kernel, bias = vae.encoder.get_weights()
    shares = np.zeros([kernel.shape[0], num_components])
    kernel = np.concatenate([shares, *[kernel] * num_components], axis=1)
    bias = np.concatenate([np.arange(num_components), *[bias] * num_components])
    model.encoder.set_weights([*first, kernel, bias])
    model.decoder.set_weights(vae.decoder.get_weights())
    return model


def test_a_mixture_of_one_is_the_vae_and_of_equal_components_too():
    keras.utils.set_random_seed(0)
    vae = VAE(4, latent_size=2, hidden=(6,), objective="iwae", num_samples=3)
    x = tf.constant(np.random.RandomState(0).randint(0, 2, [5, 4]).astype(np.float32))
    one = mixture_from(vae, 1)
    losses, gradients = [], []
    for model in (vae, one):
        with tf.GradientTape() as tape:
            losses.append(model.objective({"x": x}, SEED, tf.constant(0, tf.int64))[0])
        gradients.append(tape.gradient(losses[-1], [v.value for v in model.decoder.trainable_variables]))
    np.testing.assert_allclose(*losses, rtol=1e-6)
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    three = mixture_from(vae, 3)
    drawn, wanted = three.drawn(x, SEED, num_samples=4000), vae.drawn(x, SEED, num_samples=4000)
    np.testing.assert_allclose(drawn.log_q, vae.posterior(x).log_prob(drawn.z), rtol=1e-4, atol=1e-4)
    error = wanted.log_weights.numpy().std(0) / np.sqrt(1000)
    apart = (drawn.mean(drawn.log_weights) - wanted.mean(wanted.log_weights)).numpy()
    assert (np.abs(apart) < 5 * error).all()


def test_stratified_gradients_are_those_of_the_integral():
    raw = tf.constant([[0.3, -0.4, 1.0, 0.2, -1.5, -0.3]])  # logits, then loc and raw scale of two components
    grid = tf.linspace(-9.0, 9.0, 3001)[:, None, None]  # [points, batch, z]
    target = tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0, 0.5]), tfd.Normal([-1.0, 2.0], [0.5, 0.8]))

    def log_p(z):
        return target.log_prob(z[..., 0])

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(raw)
        q = MixtureOfNormals(2)(raw)
        log_q = q.log_prob(grid)
        exact = tf.reduce_sum(tf.exp(log_q) * (log_p(grid) - log_q)) * 18.0 / 3000.0
        z, log_z, log_share = draw_strata(q, SEED, 40_000)
        drawn = Drawn(None, z, target, q, None, log_z, log_share)
        estimated = tf.reduce_sum(drawn.mean(log_p(z) - log_z))
    np.testing.assert_allclose(estimated, exact, atol=0.02)
    gradients = [tape.gradient(value, raw).numpy() for value in (exact, estimated)]
    assert np.abs(gradients[0][0, :2]).min() > 0.02
    np.testing.assert_allclose(*gradients, atol=0.03)


@keras.saving.register_keras_serializable("test_posteriors")
class Squares(keras.layers.Layer):
    """z^2, which does not tell the sign of z."""

    def call(self, z):
        return z**2


@keras.saving.register_keras_serializable("test_posteriors")
def near(raw):
    return tfd.Normal(raw[..., 0], 0.3)


@pytest.mark.slow
def test_two_components_fit_a_posterior_of_two_modes():
    x, bounds = tf.ones([1, 1]), {}
    for k in (1, 2):
        keras.utils.set_random_seed(0)
        options = {"latent_size": 1, "hidden": (), "likelihood": near, "num_samples": 16}
        vae = MixturePosteriorVAE(1, k, decoder=Squares(), **options)
        vae.compile(keras.optimizers.Adam(0.05), jit_compile=False)
        vae.fit(tf.data.Dataset.from_tensors(x).repeat(), steps_per_epoch=300, epochs=1, verbose=0)
        drawn = vae.drawn(x, SEED, num_samples=4000)
        bounds[k] = float(drawn.mean(drawn.log_weights)[0])
    z = np.linspace(-6, 6, 4001)
    joint = stats.norm.pdf(1.0, z**2, 0.3) * stats.norm.pdf(z)
    exact = np.log(joint.sum() * (z[1] - z[0]))
    # One component has one mode, half of the mass: log 2 is lost.
    assert bounds[2] > bounds[1] + 0.6 * np.log(2) and bounds[2] < exact + 0.01


@pytest.mark.slow
def test_inverse_autoregressive_flows_bound_tighter_than_any_diagonal():
    """In a linear-Gaussian model the best diagonal posterior loses GAP; the flow reaches less of a loss."""
    keras.utils.set_random_seed(0)
    options = {"latent_size": 2, "hidden": (), "likelihood": "gaussian", "num_samples": 8}
    vae = IAFVAE(3, num_flows=2, flow_hidden=16, flow_context=4, **options)
    vae.decoder.set_weights(linear_vae("diagonal").decoder.get_weights())
    vae.decoder.trainable = False
    x = linear_data(200)
    vae.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    batches = tf.data.Dataset.from_tensors(x).repeat()
    vae.fit(batches, steps_per_epoch=600, epochs=1, verbose=0)
    drawn = vae.drawn(tf.constant(x), SEED, num_samples=200)
    lost = evidence(x).mean() - float(tf.reduce_mean(drawn.mean(drawn.log_weights)))
    assert -0.02 < lost < 0.5 * GAP
