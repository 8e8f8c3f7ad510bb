"""Bounds and objectives of latent variable models against enumeration, loops and formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from tests.variational.linear_gaussian import SEED, linear_data, linear_vae, objective
from tfgen import random
from tfgen.estimators.aggregate import decompose_kl, mmd
from tfgen.variational import VAE
from tfgen.variational.latent_variable import LatentVariableModel, draw_strata, entries_of

tfd = tfp.distributions
EVENTS = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
STEP = tf.constant(3, tf.int64)


@keras.saving.register_keras_serializable("test_latent_variable")
class Tables(LatentVariableModel):
    """Two bits x given one of three z, all by tables: everything about it can be listed."""

    def __init__(self, **kwargs):
        super().__init__((2,), **kwargs)
        rng = np.random.RandomState(0)
        tables = [1.5 * rng.randn(*shape).astype(np.float32) for shape in ((3,), (4, 3), (3, 2))]
        self.prior_logits, self.posterior_logits, self.logits = map(tf.constant, tables)

    def prior(self, condition=None):
        return tfd.Categorical(logits=self.prior_logits)

    def posterior(self, x, condition=None):
        which = tf.cast(2.0 * x[:, 0] + x[:, 1], tf.int32)
        return tfd.Categorical(logits=tf.gather(self.posterior_logits, which))

    def likelihood(self, z, condition=None):
        return tfd.Independent(tfd.Bernoulli(logits=tf.gather(self.logits, z), dtype=tf.float32), 1)


@pytest.fixture(scope="module")
def listed():
    """The tables' model, log p(x, z) and log q(z | x) of every x and z, `[events, 3]`, in float64."""
    model = Tables()
    z = np.arange(3)
    log_prior = special.log_softmax(model.prior_logits.numpy().astype(np.float64))
    logits = model.logits.numpy().astype(np.float64)
    log_x = (EVENTS[:, None] * logits - np.log1p(np.exp(logits))).sum(-1)
    log_q = special.log_softmax(model.posterior_logits.numpy().astype(np.float64), axis=1)
    assert z.size == log_q.shape[1]
    return model, log_prior + log_x, log_q


def test_bound_and_gap_add_up_to_the_evidence(listed):
    model, log_joint, log_q = listed
    evidence = special.logsumexp(log_joint, axis=1)
    np.testing.assert_allclose(np.exp(evidence).sum(), 1.0, atol=1e-6)
    gap = (np.exp(log_q) * (log_q - (log_joint - evidence[:, None]))).sum(1)
    assert gap.min() > 0.05
    # The model's own bound, its expectation taken over all three z.
    x, every = tf.constant(EVENTS), tf.tile(tf.range(3)[:, None], [1, 4])
    log_w = model.likelihood(every).log_prob(x) + model.prior().log_prob(every)
    log_w -= model.posterior(x).log_prob(every)
    elbo = (np.exp(log_q.T) * log_w.numpy()).sum(0)
    np.testing.assert_allclose(elbo + gap, evidence, atol=1e-5)
    drawn = model.drawn(x, SEED, num_samples=1)
    kl = (np.exp(log_q) * (log_q - special.log_softmax(model.prior_logits.numpy()))).sum(1)
    np.testing.assert_allclose(drawn.kl, kl, atol=1e-5)


@pytest.mark.slow
def test_bounds_of_more_samples_rise_from_the_elbo_towards_the_evidence(listed):
    model, log_joint, log_q = listed
    evidence = special.logsumexp(log_joint, axis=1)
    elbo = (np.exp(log_q) * (log_joint - log_q)).sum(1)
    drawn = model.drawn(tf.constant(EVENTS), SEED, num_samples=64_000)
    mean, error = {}, {}
    for k in (1, 4, 16):
        bounds = drawn.log_mean_exp(drawn.log_weights, groups=64_000 // k).numpy()
        mean[k], error[k] = bounds.mean(0), bounds.std(0) / np.sqrt(len(bounds))
    assert (np.abs(mean[1] - elbo) < 4 * error[1]).all()
    for fewer, more in ((1, 4), (4, 16)):
        assert (mean[more] > mean[fewer] + 4 * np.hypot(error[more], error[fewer])).all()
    assert (mean[16] < evidence + 4 * error[16]).all()
    tight = drawn.log_mean_exp(drawn.log_weights, groups=8).numpy()  # of 8,000 samples
    np.testing.assert_allclose(tight.mean(0), evidence, atol=0.05)
    # What is evaluated for each x is the same bound.
    scored = np.mean([model.score(tf.constant(EVENTS), num_samples=16, seed=s) for s in range(200)], axis=0)
    np.testing.assert_allclose(scored, mean[16], atol=0.15)


def small_vae(**kwargs):
    keras.utils.set_random_seed(0)
    vae = VAE(4, **({"latent_size": 2, "hidden": (6,), "activation": "tanh"} | kwargs))
    vae.encoder.set_weights([2.0 * w for w in vae.encoder.get_weights()])
    return vae


X = np.random.RandomState(0).randint(0, 2, [5, 4]).astype(np.float32)


def test_total_correlation_by_loops_over_the_batch():
    vae = small_vae(objective="tc", num_samples=3, beta=3.0, information_weight=2.0, marginal_weight=0.5)
    drawn = vae.drawn(tf.constant(X), SEED)
    mean, sd, z = (t.numpy() for t in (drawn.posterior.mean(), drawn.posterior.stddev(), drawn.z))

    def log_normal(z, j):
        return -(((z - mean[j]) / sd[j]) ** 2) / 2 - np.log(sd[j]) - np.log(2 * np.pi) / 2

    parts = np.zeros(3)
    for k in range(3):
        for i in range(5):
            under = np.array([log_normal(z[k, i], j) for j in range(5)])  # [batch, latent_size]
            joint = special.logsumexp(under.sum(1)) - np.log(5)
            apart = (special.logsumexp(under, axis=0) - np.log(5)).sum()
            prior = (-(z[k, i] ** 2) / 2 - np.log(2 * np.pi) / 2).sum()
            parts += np.array([under[i].sum() - joint, joint - apart, apart - prior]) / 15
    found = decompose_kl(entries_of(drawn.posterior), drawn.z, drawn.log_prior)
    np.testing.assert_allclose(np.stack(found), parts, rtol=1e-4, atol=1e-5)
    assert parts[0] <= np.log(5)
    loss, terms = objective(vae, X)
    want = float(terms["reconstruction"]) + parts @ [2.0, 3.0, 0.5]
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    # With all weights 1 it is the ELBO, its KL by the samples.
    plain = small_vae(objective="tc", num_samples=3)
    drawn = plain.drawn(tf.constant(X), SEED)
    np.testing.assert_allclose(objective(plain, X)[0], -tf.reduce_mean(drawn.log_weights), rtol=1e-5)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_discrepancy_by_loops_over_pairs(kernel):
    rng = np.random.RandomState(0)
    x, y = rng.randn(7, 3), 0.5 + rng.randn(9, 3)
    scales = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]

    def k(a, b):
        d = ((a - b) ** 2).sum()
        return np.exp(-d / 6) if kernel == "rbf" else sum(6 * s / (6 * s + d) for s in scales)

    def pairs(a, b, same):
        return np.mean([k(u, v) for i, u in enumerate(a) for j, v in enumerate(b) if not (same and i == j)])

    want = pairs(x, x, True) + pairs(y, y, True) - 2 * pairs(x, y, False)
    np.testing.assert_allclose(
        mmd(*map(tf.constant, (x.astype("f"), y.astype("f"))), kernel), want, rtol=1e-4
    )
    vae = small_vae(objective="mmd", num_samples=2, beta=0.25, mmd_weight=4.0, mmd_kernel=kernel)
    loss, terms = objective(vae, X)
    want = terms["reconstruction"] + 0.25 * terms["kl"] + 4.0 * terms["mmd"]
    np.testing.assert_allclose(loss, want, rtol=1e-5)


def test_discrepancy_of_one_distribution_is_zero_on_average_and_of_two_is_not():
    a, b = (random.normal(random.as_seed(s), [200, 30, 2]) for s in (0, 1))
    same = np.array([mmd(u, v) for u, v in zip(a, b, strict=True)])
    assert abs(same.mean()) < 4 * same.std() / np.sqrt(200)
    apart = np.array([mmd(u, v + 1.0) for u, v in zip(a[:20], b[:20], strict=True)])
    assert apart.min() > same.max()


def test_weights_of_the_kl_in_time():
    cyclical = small_vae(beta=2.0, beta_warmup=4, beta_cycle=10)
    rises = [float(cyclical.beta_at(tf.constant(step, tf.int64))) for step in (0, 1, 4, 9, 10, 12, 25)]
    np.testing.assert_allclose(rises, [0.0, 0.5, 2.0, 2.0, 0.0, 1.0, 2.0])
    vae = small_vae(beta=5.0, capacity=3.0, capacity_warmup=6)
    x = tf.constant(X)
    kl = vae.drawn(x, SEED).kl.numpy()
    assert kl.min() < 1.5 < kl.max()
    loss, terms = vae.objective({"x": x}, SEED, STEP)
    want = float(terms["reconstruction"]) + 5.0 * np.abs(kl - 1.5).mean()
    np.testing.assert_allclose(loss, want, rtol=1e-5)


def test_groups_of_samples_and_shares_of_the_elbo():
    vae = small_vae(objective="iwae", num_samples=3, num_groups=4, elbo_share=0.25)
    drawn = vae.drawn(tf.constant(X), SEED)
    log_w = drawn.log_weights.numpy().astype(np.float64)
    assert log_w.shape == (12, 5)
    miwae = (special.logsumexp(log_w.reshape(4, 3, 5), axis=1) - np.log(3)).mean()
    np.testing.assert_allclose(-objective(vae, X)[0], 0.75 * miwae + 0.25 * log_w.mean(), rtol=1e-5)


def gradients_by_seed(vae, x, num):
    """Gradients of the objective for `num` seeds: a matrix for the encoder, one for the decoder."""
    groups = [vae.encoder.trainable_variables, vae.decoder.trainable_variables]
    x = tf.constant(x)

    @tf.function(autograph=False)
    def one(seed):
        with tf.GradientTape() as tape:
            loss, _ = vae.objective({"x": x}, seed, STEP)
        found = tape.gradient(loss, [[v.value for v in group] for group in groups])
        return loss, [tf.concat([tf.reshape(g, [-1]) for g in group], axis=0) for group in found]

    seeds = random.rows(SEED, num)
    run = tf.function(lambda s: tf.map_fn(one, s, fn_output_signature=(tf.float32, [tf.float32] * 2)))
    loss, found = run(seeds)
    return loss.numpy(), [f.numpy() for f in found]


@pytest.mark.slow
def test_doubly_reparameterized_gradients_against_those_of_the_same_bound():
    """Equal means, of the decoder equal draws; a ratio of signal to noise that does not fall as K grows."""
    x, ratio = linear_data(3), {}
    for k in (2, 64):
        found = {}
        for name in ("iwae", "dreg"):
            vae = linear_vae("diagonal", objective=name, num_samples=k)
            kernel, bias = vae.encoder.get_weights()
            # Wider than the posterior, so that weights have a variance.
            vae.encoder.set_weights([kernel, bias + np.float32([0.2, 0.2, 1.5, 1.5])])
            found[name] = gradients_by_seed(vae, x, 800)
        np.testing.assert_allclose(found["iwae"][0], found["dreg"][0], rtol=1e-5)
        np.testing.assert_allclose(found["iwae"][1][1], found["dreg"][1][1], rtol=1e-3, atol=1e-4)
        iwae, dreg = (found[name][1][0] for name in ("iwae", "dreg"))
        error = np.sqrt((iwae.var(0) + dreg.var(0)) / 800) + 1e-6
        assert (np.abs(iwae.mean(0) - dreg.mean(0)) < 4.5 * error).all()
        signal = np.linalg.norm(dreg.mean(0))
        ratio[k] = [signal / np.sqrt(g.var(0).sum()) for g in (iwae, dreg)]
    assert ratio[64][0] < 0.8 * ratio[2][0] and ratio[64][1] > 1.5 * ratio[2][1]


@pytest.mark.slow
def test_at_the_exact_posterior_every_path_gradient_is_zero():
    vae = linear_vae("full", objective="dreg", num_samples=2)
    _, (encoder, _) = gradients_by_seed(vae, linear_data(4), 3)
    assert np.abs(encoder).max() < 2e-4
    _, (encoder, _) = gradients_by_seed(
        linear_vae("full", objective="iwae", num_samples=2), linear_data(4), 3
    )
    assert np.abs(encoder).max() > 0.05


@pytest.mark.slow
def test_doubly_reparameterized_gradients_of_groups_and_shares():
    vae = [
        linear_vae("diagonal", objective=name, num_samples=2, num_groups=2, elbo_share=0.5)
        for name in ("iwae", "dreg")
    ]
    (loss, (iwae, _)), (same, (dreg, _)) = (gradients_by_seed(v, linear_data(3), 800) for v in vae)
    np.testing.assert_allclose(loss, same, rtol=1e-5)
    error = np.sqrt((iwae.var(0) + dreg.var(0)) / 800) + 1e-6
    assert (np.abs(iwae.mean(0) - dreg.mean(0)) < 4.5 * error).all()


def test_strata_of_a_mixture_have_their_shares():
    shares = np.float32([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    loc = np.float32([[[-2], [0], [3]], [[1], [2], [4]]])
    q = tfd.MixtureSameFamily(tfd.Categorical(probs=shares), tfd.MultivariateNormalDiag(loc, 0.1 + 0 * loc))
    z, log_q, log_share = draw_strata(q, SEED, 400)
    assert z.shape == (1200, 2, 1)
    np.testing.assert_allclose(np.exp(log_share).sum(0), 1.0, rtol=1e-4)
    np.testing.assert_allclose(log_q, q.log_prob(z), rtol=1e-5)
    mean = (np.exp(log_share)[..., None] * z.numpy()).sum(0)
    np.testing.assert_allclose(mean, q.mean(), atol=0.03)


def principal_components(x, size):
    """Tipping and Bishop's maximum likelihood: standard deviation of the noise, mean log-likelihood of x."""
    covariance = np.cov(x.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    noise = values[:-size].mean()
    kept = np.where(np.arange(len(values)) < len(values) - size, noise, values)
    fitted = (vectors * kept) @ vectors.T
    each = np.log(2 * np.pi) * len(values) + np.linalg.slogdet(fitted)[1]
    return np.sqrt(noise), -0.5 * (each + np.trace(np.linalg.solve(fitted, covariance)))


@keras.saving.register_keras_serializable("test_latent_variable")
def known_noise(raw):
    """Normal of the standard deviation that principal components of `linear_data(400)` leave."""
    return tfd.Normal(raw[..., 0], float(principal_components(linear_data(400), 2)[0]))


@pytest.mark.learn
@pytest.mark.slow
def test_a_linear_model_reaches_the_evidence_of_probabilistic_principal_components():
    """Both networks trained, from random weights: the bound meets the maximum of the likelihood."""
    keras.utils.set_random_seed(1)
    x = linear_data(400)
    options = {"latent_size": 2, "hidden": (), "likelihood": known_noise, "posterior": "full"}
    vae = VAE(3, num_samples=8, **options)
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 800)), jit_compile=False)
    vae.fit(tf.data.Dataset.from_tensors(x).repeat(), steps_per_epoch=800, epochs=1, verbose=0)
    drawn = vae.drawn(tf.constant(x), SEED, num_samples=200)
    bound = float(tf.reduce_mean(drawn.mean(drawn.log_weights)))
    best = principal_components(x, 2)[1]
    assert best - 0.01 < bound < best + 0.002
