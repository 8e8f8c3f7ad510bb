"""`VAE` against closed forms of a linear-Gaussian model, enumeration, and hand formulas."""

import functools
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tests.variational.linear_gaussian import GAP, SEED, evidence, linear_data, linear_vae, objective
from tfgen import data, random
from tfgen.cli.main import load
from tfgen.distributions import draw
from tfgen.keras_model import constructor_parameters
from tfgen.variational import VAE, CouplingFlowPrior, GaussianMixturePrior

tfd = tfp.distributions


def test_exact_full_posterior_reaches_the_evidence():
    vae, x = linear_vae("full"), linear_data(50)
    # Every weight equals the evidence: no Monte Carlo error is left.
    np.testing.assert_allclose(vae.log_prob(x), evidence(x), rtol=1e-4, atol=1e-4)
    loss, terms = objective(linear_vae("full", num_samples=4000), x)
    assert abs(-float(loss) - evidence(x).mean()) < 0.03  # standard error 0.003
    np.testing.assert_allclose(terms["elbo"], -loss, rtol=1e-6)


def test_best_diagonal_posterior_leaves_the_gap():
    assert GAP > 0.1
    x = linear_data(50)
    loss, _ = objective(linear_vae("diagonal", num_samples=4000), x)
    assert abs(evidence(x).mean() + float(loss) - GAP) < 0.03
    worse = linear_vae("diagonal", num_samples=4000)
    kernel, bias = worse.encoder.get_weights()
    worse.encoder.set_weights([kernel, bias + [0, 0, 0.5, 0.5]])
    assert objective(worse, x)[0] > loss + 0.03


@pytest.mark.slow
def test_training_the_encoder_alone_closes_the_gap():
    vae, x = linear_vae("full", num_samples=8), linear_data(500)
    vae.encoder.set_weights([0.0 * w for w in vae.encoder.get_weights()])
    vae.decoder.trainable = False
    start = float(tf.reduce_mean(vae.log_prob(x)))
    vae.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    batches = tf.data.Dataset.from_tensors(x).repeat()
    vae.fit(batches, steps_per_epoch=400, epochs=1, verbose=0)
    reached = float(tf.reduce_mean(vae.log_prob(x)))
    assert start < evidence(x).mean() - 1.0
    assert abs(reached - evidence(x).mean()) < 0.02


def test_importance_bound_rises_to_the_evidence():
    vae, x = linear_vae("diagonal"), linear_data(1000)
    gaps = [evidence(x) - vae.log_prob(x, num_samples=k).numpy() for k in (1, 5, 200)]
    assert abs(gaps[0].mean() - GAP) < 5 * gaps[0].std() / np.sqrt(1000)
    for fewer, more in ((0, 1), (1, 2)):
        rise = gaps[fewer] - gaps[more]
        assert rise.mean() > 5 * rise.std() / np.sqrt(1000)
    assert abs(gaps[2].mean()) < GAP / 4


def test_log_prob_of_an_x_is_the_same_in_any_batch():
    vae, x = linear_vae("diagonal"), linear_data(20)
    alone = [float(vae.log_prob(x[i : i + 1], num_samples=3)[0]) for i in (0, 13)]
    np.testing.assert_allclose(vae.log_prob(x, num_samples=3).numpy()[[0, 13]], alone, rtol=1e-5)
    assert np.abs(vae.log_prob(x) - vae.log_prob(x, seed=1)).min() > 1e-4


@pytest.mark.parametrize("num_samples", [1, 4])
def test_objectives_against_their_formulas_on_the_same_samples(num_samples):
    options = {"num_samples": num_samples}
    iwae, elbo = (linear_vae("diagonal", objective=o, **options) for o in ("iwae", "elbo"))
    x = linear_data(5)
    bound, terms = objective(iwae, x)
    q = iwae.posterior(x)
    z = q.loc + q.stddev() * random.normal(SEED, [num_samples, 5, 2])
    log_likelihood = iwae.likelihood(z).log_prob(x)
    log_w = (iwae.prior().log_prob(z) - q.log_prob(z) + log_likelihood).numpy()
    np.testing.assert_allclose(-bound, np.log(np.exp(log_w).mean(0)).mean(), rtol=1e-5)
    np.testing.assert_allclose(terms["elbo"], log_w.mean(), rtol=1e-5)
    if num_samples == 1:
        np.testing.assert_allclose(-bound, terms["elbo"], rtol=1e-6)
    # The same samples, with the KL in closed form: (m^2 + s^2 - 1) / 2 - log s, summed over z.
    reconstruction = -tf.reduce_mean(log_likelihood)
    mean, sd = q.loc.numpy(), q.stddev().numpy()
    kl = np.sum((mean**2 + sd**2 - 1) / 2 - np.log(sd), axis=-1).mean()
    loss, terms = objective(elbo, x)
    held_out = elbo.validation_metrics({"x": x}, SEED)
    np.testing.assert_allclose(terms["reconstruction"], reconstruction, rtol=1e-5)
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose([loss, held_out["loss"], -held_out["elbo"]], reconstruction + kl, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    [
        {"objective": "iwae", "num_samples": 3},
        {"objective": "iwae", "num_samples": 3, "posterior": "full", "prior": "mixture"},
        {"prior": "flow", "num_samples": 2, "beta": 2.0},
        {"free_bits": 0.3, "posterior": "diagonal"},
    ],
    ids=str,
)
def test_gradient_against_finite_differences(kwargs):
    keras.utils.set_random_seed(3)
    options = {"latent_size": 2, "hidden": (4,), "activation": "tanh"} | kwargs
    vae = VAE((2, 2, 1), **options)
    x = np.random.RandomState(0).randint(0, 2, [6, 2, 2, 1]).astype(np.float32)
    variables = vae.trainable_variables
    with tf.GradientTape() as tape:
        loss = objective(vae, x)[0]
    gradients = [g.numpy() for g in tape.gradient(loss, [v.value for v in variables])]
    rng = np.random.RandomState(1)
    for _ in range(3):
        direction = [rng.randn(*g.shape).astype(np.float32) for g in gradients]
        norms = [np.sqrt(sum((v**2).sum() for v in vector)) for vector in (direction, gradients)]
        direction = [d / norms[0] + g / norms[1] for d, g in zip(direction, gradients, strict=True)]
        ends = []
        for step in (0.005, -0.01):
            for v, d in zip(variables, direction, strict=True):
                v.assign_add(step * d)
            ends.append(float(objective(vae, x)[0]))
        for v, d in zip(variables, direction, strict=True):
            v.assign_add(0.005 * d)
        slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
        np.testing.assert_allclose((ends[0] - ends[1]) / 0.01, slope, rtol=5e-3)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_kl_has_its_closed_form(posterior):
    keras.utils.set_random_seed(0)
    vae = VAE(5, latent_size=3, hidden=(8,), likelihood="gaussian", posterior=posterior)
    x = np.random.RandomState(0).randn(7, 5).astype(np.float32)
    q = vae.posterior(x)
    mean, covariance = q.mean().numpy(), q.covariance().numpy()
    trace, determinant = np.trace(covariance, axis1=1, axis2=2), np.linalg.slogdet(covariance)[1]
    want = 0.5 * (trace + (mean**2).sum(1) - 3 - determinant)
    np.testing.assert_allclose(objective(vae, x)[1]["kl"], want.mean(), rtol=1e-4)


def test_beta_warmup_and_free_bits_by_hand():
    x = np.random.RandomState(0).randint(0, 2, [9, 4]).astype(np.float32)
    keras.utils.set_random_seed(0)
    plain = VAE(4, latent_size=3, hidden=(6,))
    _, terms = objective(plain, x)
    q = plain.posterior(x)
    variance = q.variance().numpy()
    each = 0.5 * (variance + q.mean().numpy() ** 2 - 1 - np.log(variance)).mean(0)
    free = float(np.sort(each)[1])  # one variable below, one above
    options = {"beta": 3.0, "beta_warmup": 10, "free_bits": free}
    vae = VAE(4, latent_size=3, hidden=(6,), **options)
    vae.set_weights(plain.get_weights())
    for step, beta in ((0, 0.0), (4, 1.2), (10, 3.0), (25, 3.0)):
        want = float(terms["reconstruction"]) + beta * np.maximum(free, each).sum()
        loss, got = objective(vae, x, step)
        np.testing.assert_allclose(loss, want, rtol=1e-5)
        np.testing.assert_allclose(got["beta"], beta, rtol=1e-6)
        np.testing.assert_allclose(got["kl"], each.sum(), rtol=1e-4)
    np.testing.assert_allclose(vae.validation_metrics({"x": x}, SEED)["loss"], -terms["elbo"])


def binary_vae():
    keras.utils.set_random_seed(1)
    vae = VAE((2, 1, 1), latent_size=1, hidden=(5,))
    vae.decoder.set_weights([2.0 * w for w in vae.decoder.get_weights()])
    vae.encoder.set_weights([0.0 * w for w in vae.encoder.get_weights()])  # q is about the prior
    return vae


EVENTS = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]]).reshape(4, 2, 1, 1)


def marginal(vae):
    """p(x) of the four events, by quadrature over z."""
    z = np.linspace(-8, 8, 4001, dtype=np.float32)[:, None]
    joint = np.exp([vae.likelihood(z).log_prob(x) + vae.prior().log_prob(z) for x in EVENTS])
    return joint.sum(1) * (z[1] - z[0])


@pytest.mark.slow
def test_bound_and_samples_agree_with_the_marginal():
    vae = binary_vae()
    p = marginal(vae)
    np.testing.assert_allclose(p.sum(), 1.0, atol=1e-4)
    bound = vae.importance_bound(EVENTS, num_samples=4000)
    error = np.abs(bound.bound.numpy() - np.log(p))
    assert (error < 5 * bound.standard_error.numpy() + 1e-4).all()
    codes = vae.sample(20000, seed=4).numpy().reshape(-1, 2) @ [2, 1]
    counts = np.bincount(codes.astype(int), minlength=4)
    assert stats.chisquare(counts, 20000 * p / p.sum()).pvalue > 1e-6  # false-failure rate 1e-6


def test_temperature_zero_is_the_mode_at_the_center():
    vae = VAE((3, 3, 1), latent_size=2, hidden=(5,))
    mode = (vae.decode([[0.0, 0.0]]) > 0.5).numpy().astype(np.float32)
    np.testing.assert_array_equal(vae.sample(2, seed=0, temperature=0.0), np.repeat(mode, 2, 0))


def test_means_belong_to_the_samples():
    vae = binary_vae()
    seeds = random.rows(SEED, 4000)
    x, mean = vae.sample_rows(seeds).numpy(), vae.mean_rows(seeds).numpy()
    deviation = (x - mean) / np.sqrt(mean * (1 - mean))
    assert abs((deviation**2).mean() - 1) < 0.1
    assert abs(np.corrcoef((x - mean).ravel(), mean.ravel())[0, 1]) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["mixture", "flow", "autoregressive"])
def test_learned_priors_integrate_to_one_and_sample_their_density(prior):
    vae = VAE(4, latent_size=2, hidden=(3,), prior=prior)
    rng = np.random.RandomState(0)
    layer = vae._prior
    layer.set_weights([0.5 * rng.randn(*w.shape) for w in layer.get_weights()])
    grid = np.linspace(-14, 14, 561, dtype=np.float32)
    z = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
    density = np.exp(vae.prior().log_prob(z)) * (grid[1] - grid[0]) ** 2
    np.testing.assert_allclose(density.sum(), 1.0, atol=2e-3)
    samples = draw(vae.prior(), SEED, [5000]).numpy()
    for axis in (0, 1):
        # Sums over cells whose centers are the grid: the edge of a cell is half a step further.
        below = np.cumsum(density.sum(1 - axis)) / density.sum()
        cdf = functools.partial(np.interp, xp=grid + 0.025, fp=below)
        assert stats.kstest(samples[:, axis], cdf).pvalue > 1e-6  # false-failure rate 1e-6
    assert np.abs(samples - samples.mean(0)).std() > 0.1
    assert not np.allclose(np.corrcoef(samples.T)[0, 1], 0.0, atol=0.02) or prior == "mixture"


def test_mixture_prior_has_the_density_of_its_components():
    vae = VAE(4, latent_size=2, hidden=(3,), prior=GaussianMixturePrior(3))
    logits, loc, scale = vae._prior.get_weights()
    z = np.random.RandomState(0).randn(6, 2).astype(np.float32)
    sd = np.log1p(np.exp(scale + np.log(np.e - 1))) + 1e-4
    p = np.exp(logits) / np.exp(logits).sum()
    components = stats.norm(loc, sd).pdf(z[:, None]).prod(-1)
    np.testing.assert_allclose(np.exp(vae.prior().log_prob(z)), components @ p, rtol=1e-4)


def test_active_units_count_a_planted_dead_one():
    vae = VAE(4, latent_size=3, hidden=())
    kernel = np.zeros([4, 6])
    kernel[0, 0] = kernel[1, 2] = 1.0  # means of units 0 and 2 read x, that of unit 1 does not
    vae.encoder.set_weights([kernel, np.arange(6.0)])
    x = np.random.RandomState(0).randint(0, 2, [200, 4]).astype(np.float32)
    assert int(vae.active_units(x)) == 2
    assert int(vae.active_units(x, threshold=5.0)) == 0


def test_test_metrics_are_averages_over_the_whole_split(digits):
    vae = VAE((8, 8, 1), latent_size=2, hidden=(4,), num_samples=20)
    metrics = vae.test_metrics(digits, SEED)
    x = tf.cast(digits.test.x, tf.float32)
    terms = vae.validation_metrics({"x": x}, SEED)
    for name in ("elbo", "reconstruction", "kl"):  # other noise, a standard error of about 0.02
        np.testing.assert_allclose(metrics[name]["value"], terms[name], atol=0.15)
    assert metrics["active_units"]["value"] == int(vae.active_units(x))


@keras.saving.register_keras_serializable("test_vae")
def heavy_tails(latent_size):
    return tfd.Independent(tfd.StudentT(5.0, tf.zeros([latent_size]), 1.0), 1)


@keras.saving.register_keras_serializable("test_vae")
def three_levels(params):
    return tfd.Categorical(logits=params, dtype=tf.float32)


@keras.saving.register_keras_serializable("test_vae")
def laplace(params):
    loc, log_scale = tf.split(params, 2, axis=-1)
    return tfd.Independent(tfd.Laplace(loc, tf.exp(log_scale)), 1)


@keras.saving.register_keras_serializable("test_vae")
def not_reparameterized(params):
    return tfd.Independent(tfd.Poisson(log_rate=params), 1)


@pytest.mark.slow
def test_distributions_of_ones_own(tmp_path):
    own = {"prior": heavy_tails, "posterior": laplace, "likelihood": three_levels}
    vae = VAE((3, 2), latent_size=2, hidden=(8,), num_values=3, likelihood_size=3, **own)
    assert not vae.jit_updates and VAE(3, 2, hidden=(3,)).jit_updates
    x = np.random.RandomState(0).randint(0, 3, [64, 3, 2]).astype(np.float32)
    x[:, 1] = x[:, 0]
    before = float(objective(vae, x)[0])
    vae.compile(keras.optimizers.Adam(0.01))
    batches = tf.data.Dataset.from_tensors(x).repeat()
    vae.fit(batches, steps_per_epoch=100, epochs=1, verbose=0)
    assert float(objective(vae, x)[0]) < before - 0.2
    samples = vae.sample(5, seed=3).numpy()
    assert np.isin(samples, [0, 1, 2]).all()
    np.testing.assert_array_equal(vae.sample(2, seed=3), samples[:2])
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(loaded.log_prob(x[:4]), vae.log_prob(x[:4]), rtol=1e-6)


def test_a_prior_and_networks_that_are_layers_are_saved(tmp_path):
    networks = {
        "encoder": keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)]),
        "decoder": keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]),
    }
    flow = {"prior": CouplingFlowPrior(2, 5)} | networks
    x = np.random.RandomState(0).randint(0, 2, [6, 4]).astype(np.float32)
    for kwargs in (flow, {"prior": GaussianMixturePrior(4)}):
        vae = VAE(4, latent_size=2, hidden=(3,), **kwargs)
        vae.set_weights([w + 0.1 for w in vae.get_weights()])
        vae.save(tmp_path / "vae.keras")
        loaded = keras.saving.load_model(tmp_path / "vae.keras")
        assert len(loaded.trainable_variables) == len(vae.trainable_variables)
        got, want = (m.log_prob(x, num_samples=4) for m in (loaded, vae))
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("shape", [(7, 5, 3), (8, 8, 1), (3, 1, 2)])
def test_convolutional_networks_keep_any_shape(shape):
    options = {"hidden": (4,), "filters": (2, 3), "activation": "tanh"}
    vae = VAE(shape, latent_size=2, network="conv", **options)
    x = np.random.RandomState(0).randint(0, 2, [5, *shape]).astype(np.float32)
    assert vae.reconstruct(x).shape == x.shape and not vae.jit_updates
    loss, _ = objective(vae, x)
    # Untrained: about one bit for each entry.
    np.testing.assert_allclose(loss, np.log(2) * np.prod(shape), rtol=0.25)
    mean = vae.decode(tf.random.stateless_normal([1, 2], SEED))[0]
    edges = np.abs(np.stack([mean[0, 0], mean[-1, -1], mean[0, -1], mean[-1, 0]]) - 0.5)
    assert (edges > 1e-6).all()  # cutting to size leaves no entry without a network behind it


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", binarize="threshold")


def fit(vae, x, steps=150):
    vae.compile(keras.optimizers.Adam(2e-3), jit_compile=False)
    batches = tf.data.Dataset.from_tensor_slices(x.astype(np.float32)).shuffle(2000, seed=0)
    batches = batches.repeat().batch(100, drop_remainder=True)
    vae.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0)


@pytest.mark.learn
@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    [
        {"prior": "mixture"},
        {"prior": "flow"},
        {"posterior": "full"},
        {"network": "conv", "filters": (8, 16)},
        {"objective": "iwae", "num_samples": 4},
    ],
    ids=str,
)
def test_every_part_trains(kwargs, digits):
    keras.utils.set_random_seed(0)
    vae = VAE((8, 8, 1), latent_size=4, hidden=(64,), **kwargs)
    held_out = {"x": tf.cast(digits.validation.x, tf.float32)}
    before = vae.validation_metrics(held_out, SEED)["elbo"]
    parts = [v.numpy().copy() for v in vae.trainable_variables]
    fit(vae, digits.train.x)
    # From 45 nats (64 bits); 150 steps reach 25 to 28.
    assert vae.validation_metrics(held_out, SEED)["elbo"] > before + 12.0
    moved = [np.abs(v.numpy() - p).max() for v, p in zip(vae.trainable_variables, parts, strict=True)]
    assert min(moved) > 1e-3


@pytest.mark.learn
@pytest.mark.slow
def test_discretized_logistic_likelihood_trains():
    keras.utils.set_random_seed(0)
    levels = data.load("digits")
    kwargs = {"likelihood": "discretized_logistic", "num_values": 17}
    vae = VAE((8, 8, 1), latent_size=4, hidden=(64,), **kwargs)
    held_out = levels.validation.x.astype(np.float32)
    fit(vae, levels.train.x)
    # Uniform levels cost 64 log 17 = 181 nats; an own histogram for each pixel some 127.
    bound = float(tf.reduce_mean(vae.log_prob(held_out, num_samples=10)))
    counts = (levels.train.x[..., None] == np.arange(17)).sum(0) + 1.0
    log_p = np.log(counts / counts.sum(-1, keepdims=True))
    histogram = (log_p * (levels.validation.x[..., None] == np.arange(17))).sum((1, 2, 3, 4)).mean()
    assert bound > histogram + 3.0
    samples = vae.sample(4, seed=0).numpy()
    assert samples.max() > 8 and (samples == np.round(samples)).all()


@pytest.mark.learn(always=True)
@pytest.mark.slow
def test_beats_independent_pixels_on_digits(digits):
    keras.utils.set_random_seed(0)
    vae = VAE((8, 8, 1), latent_size=8, hidden=(128,))
    fit(vae, digits.train.x, steps=400)
    p = (digits.train.x.sum(0) + 1.0) / (len(digits.train) + 2.0)
    x = digits.validation.x.astype(np.float32)
    baseline = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3)).mean()
    assert tf.reduce_mean(vae.log_prob(x, num_samples=50)) > baseline + 4.0


@pytest.mark.parametrize(
    "kwargs,message",
    [
        ({"latent_size": 0}, "latent_size must be a whole number of at least 1, got 0"),
        ({"hidden": (8, 0)}, r"hidden must hold whole numbers of at least 1, got \(8, 0\)"),
        ({"network": "resnet"}, "network must be one of 'mlp', 'conv', got 'resnet'"),
        ({"network": "conv"}, r"network='conv' needs event_shape .* got \(4,\)"),
        ({"likelihood": "poisson"}, "likelihood must be one of .* got 'poisson'"),
        ({"likelihood_size": 2}, "likelihood_size=2 is for a likelihood of your own"),
        ({"num_values": 256}, "likelihood='bernoulli' takes 2 levels, got num_values=256"),
        ({"num_values": 1}, "num_values must be a whole number of at least 2, got 1"),
        ({"prior": "vampire"}, "prior must be one of .* got 'vampire'"),
        ({"prior": "flow", "latent_size": 1}, "latent_size of at least 2, got 1"),
        ({"posterior": "exponential"}, "do not fit: one has z above 0 alone"),
        ({"prior": "lognormal"}, "do not fit: one has z above 0 alone"),
        ({"posterior": "iaf", "prior": "vamp"}, "prior='vamp' .* posterior='iaf' does not give"),
        ({"posterior": "round"}, "posterior must be one of .* got 'round'"),
        ({"posterior_size": 3}, "posterior_size=3 is for a posterior of your own"),
        ({"likelihood": "logistic_mixture"}, "likelihood='logistic_mixture' is of all channels of a pixel"),
        ({"objective": "dreg", "posterior": "mixture"}, "reparameterized as a whole, no mixture"),
        ({"objective": "tc", "posterior": "full"}, "objective='tc' needs posterior='diagonal'"),
        ({"objective": "tc", "capacity": 2.0}, "objective='tc' has no KL to leave free, got capacity=2.0"),
        ({"objective": "dreg", "posterior": "planar"}, "objective='dreg' needs the density of .* at any z"),
        ({"mmd_weight": 2.0}, "mmd_weight=2.0 is of objective='mmd', got objective='elbo'"),
        ({"information_weight": 0.0}, "information_weight=0.0 is of objective='tc'"),
        ({"num_groups": 2}, "objective='elbo' has no bound of K samples, got num_groups=2"),
        ({"elbo_share": 0.5}, "elbo_share=0.5"),
        ({"beta_cycle": 10}, "beta_cycle=10 repeats a warm-up of 1 to 10 steps, got beta_warmup=0"),
        ({"capacity": 1.0, "free_bits": 0.1}, "capacity=1.0 and free_bits=0.1 say two things"),
        ({"mmd_kernel": "linear"}, "mmd_kernel must be one of 'imq', 'rbf', got 'linear'"),
        ({"posterior": not_reparameterized, "posterior_size": 16}, "must be reparameterized"),
        ({"prior": lambda n: tfd.Normal(0.0, 1.0)}, r"prior must have .* event_shape \(16,\)"),
        ({"objective": "vimco"}, "objective must be one of 'elbo', 'iwae', .* got 'vimco'"),
        ({"objective": "iwae", "beta": 2.0}, "objective='iwae' has no KL term .* beta=2.0"),
        ({"beta": -1.0}, "beta must be a finite number, at least 0, got -1.0"),
        ({"free_bits": 0.1, "prior": "mixture"}, "free_bits=0.1 needs posterior='diagonal'"),
        ({"num_samples": 0}, "num_samples must be a whole number of at least 1, got 0"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else "",
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        VAE(4, **({"hidden": (3,)} | kwargs))


def test_a_code_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"z must have shape \[batch, 2\], got \(1, 3\)"):
        VAE(4, latent_size=2, hidden=(3,)).decode(np.zeros([1, 3]))


def commands_of_the_table():
    """The commands of docs/variational.md, each with its flags."""
    text = (Path(__file__).parents[2] / "docs/variational.md").read_text("utf-8")
    return re.findall(r"`tfgen vae ([^`]+)`", text)


@pytest.mark.slow
@pytest.mark.parametrize("flags", commands_of_the_table())
def test_other_libraries_models_are_flags(flags):
    _, values = load("vae").parse([*flags.split(), "--hidden=4", "--latent_size=2"])
    taken = set(constructor_parameters(VAE)) & set(values)
    arguments = {name: values[name].value for name in taken}
    vae = VAE((2, 2, 1), **{k: v for k, v in arguments.items() if k not in ("event_shape", "num_values")})
    given = dict(flag.removeprefix("--").split("=") for flag in flags.split())
    assert {k: str(vae.get_config()[k]) for k in given}.keys() == given.keys()
    for name, value in given.items():
        set_to = vae.get_config()[name]
        assert set_to == type(set_to)(value)


def test_there_are_commands_for_the_models_of_pythae():
    assert len(commands_of_the_table()) >= 12
