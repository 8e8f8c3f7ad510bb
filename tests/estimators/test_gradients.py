"""Gradient estimators against enumeration: one latent variable of four states, all tuples of its samples."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import log_softmax, logsumexp

from tfgen.estimators import gradients

THETA = np.float32([-1.0, -2.5, 0.3, -4.0])  # log p(x, z)
PHI = np.float32([0.2, -0.5, 0.4, 0.1])  # q(z | x) = softmax
COPIES, K = 200_000, 3
TUPLES = np.array(list(itertools.product(range(4), repeat=K)))


def drawn(num_samples):
    """One-hot z `[num_samples, COPIES, 4]`, samples of q."""
    rng = np.random.RandomState(0)
    z = rng.choice(4, (num_samples, COPIES), p=np.exp(log_softmax(PHI.astype(float))))
    return tf.one_hot(z, 4)


def estimates(loss, num_samples):
    """The loss, and its gradients in theta and phi for each of `COPIES` draws: `[COPIES, 4]` each.

    Every x of the batch has parameters of its own, so that one gradient holds an estimate for each.
    """
    z, theta, phi = drawn(num_samples), tf.tile(THETA[None], [COPIES, 1]), tf.tile(PHI[None], [COPIES, 1])
    with tf.GradientTape() as tape:
        tape.watch((theta, phi))
        log_p, log_q = (tf.reduce_sum(z * v, axis=-1) for v in (theta, tf.nn.log_softmax(phi)))
        value = loss(log_p, log_q)
    found = tape.gradient(value, (theta, phi))
    return float(value), *(COPIES * g.numpy().astype(np.float64) for g in found)


def exact(objective):
    """Gradients in theta and phi of `objective(theta, log_q)`, by float64 differences."""
    found = []
    for which in (0, 1):
        slopes = []
        for i in range(4):
            ends = []
            for step in (1e-5, -1e-5):
                at = [THETA.astype(float), PHI.astype(float)]
                at[which][i] += step
                ends.append(objective(at[0], log_softmax(at[1])))
            slopes.append((ends[0] - ends[1]) / 2e-5)
        found.append(np.array(slopes))
    return found


def elbo(theta, log_q):
    return np.exp(log_q) @ (theta - log_q)


def bound(theta, log_q):
    """E log (1/K) sum_k w_k, over all tuples of samples."""
    log_w = (theta - log_q)[TUPLES]
    return np.exp(log_q[TUPLES].sum(1)) @ (logsumexp(log_w, axis=1) - np.log(K))


def assert_mean_is(each, wanted):
    """Within four standard errors, which are small enough to tell."""
    error = each.std(0) / np.sqrt(len(each))
    assert np.all(np.abs(each.mean(0) - wanted) < 4 * error + 1e-6)
    assert np.all(error < 0.05 * np.abs(wanted).max())


def reinforce(log_p, log_q):
    return gradients.score_function(log_p - tf.stop_gradient(log_q), log_q)


def leaving_one_out(log_p, log_q):
    reward = log_p - tf.stop_gradient(log_q)
    return gradients.score_function(reward, log_q, gradients.leave_one_out(reward))


@pytest.mark.parametrize(
    "loss,num_samples,objective",
    [
        (reinforce, 1, elbo),
        (reinforce, K, elbo),
        (leaving_one_out, K, elbo),
        (gradients.vimco, K, bound),
    ],
    ids=["score function", "of several samples", "leave one out", "vimco"],
)
def test_unbiased_estimators_have_the_enumerated_gradient_as_mean(loss, num_samples, objective):
    value, *each = estimates(loss, num_samples)
    for found, wanted in zip(each, exact(objective), strict=True):
        assert_mean_is(-found, wanted)
    assert value == pytest.approx(-objective(THETA.astype(float), log_softmax(PHI.astype(float))), abs=0.02)


def test_reweighted_wake_sleep_has_the_mean_of_its_formula():
    """p: the gradient of the bound. q: E sum_k v_k grad log q(z_k), over all tuples of samples."""
    log_q = log_softmax(PHI.astype(float))
    log_w = (THETA - log_q)[TUPLES]
    shares = np.exp(log_w - logsumexp(log_w, axis=1, keepdims=True))
    score = np.eye(4)[TUPLES] - np.exp(log_q)  # grad log q(z) in phi
    wanted = np.exp(log_q[TUPLES].sum(1)) @ np.sum(shares[..., None] * score, axis=1)
    _, of_theta, of_phi = estimates(gradients.reweighted, K)
    assert_mean_is(-of_theta, exact(bound)[0])
    assert_mean_is(-of_phi, wanted)
    # With many samples q follows the posterior itself, p the evidence.
    z = tf.one_hot(np.random.RandomState(1).choice(4, (COPIES, 1), p=np.exp(log_q)), 4)
    theta, phi = tf.constant(THETA[None]), tf.constant(PHI[None])
    with tf.GradientTape() as tape:
        tape.watch((theta, phi))
        value = gradients.reweighted(*(tf.reduce_sum(z * v, -1) for v in (theta, tf.nn.log_softmax(phi))))
    posterior = np.exp(log_softmax(THETA.astype(float)))
    limits = posterior, posterior - np.exp(log_q)
    for found, wanted in zip(tape.gradient(value, (theta, phi)), limits, strict=True):
        np.testing.assert_allclose(-found[0], wanted, atol=0.01)
    np.testing.assert_allclose(-value, logsumexp(THETA), atol=0.01)


def test_vimco_is_that_of_tfp():
    """The reference: `tfp.vi.csiszar_vimco` of the reverse KL, one latent variable, its own samples of q."""
    theta, phi = tf.constant(THETA), tf.constant(PHI)

    def at(table, z):
        return tf.reduce_sum(tf.one_hot(z, 4) * table, axis=-1)

    class Kept(tfp.distributions.Categorical):
        def sample(self, *args, **kwargs):
            return kept

    kept = tf.argmax(drawn(K)[:, :50], axis=-1, output_type=tf.int32)
    found = []
    for ours in (True, False):
        with tf.GradientTape() as tape:
            tape.watch((theta, phi))
            if ours:
                value = gradients.vimco(at(theta, kept), at(tf.nn.log_softmax(phi), kept))
            else:
                value = tfp.vi.csiszar_vimco(
                    f=lambda log_u: -log_u,
                    p_log_prob=lambda z: at(theta, z),
                    q=Kept(logits=phi),
                    num_draws=K,
                    num_batch_draws=50,
                )
        found.append((value, *tape.gradient(value, (theta, phi))))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_a_learned_baseline_leaves_the_mean_but_for_its_scale():
    baseline = gradients.LearnedBaseline(2, hidden=3)
    baseline.mean.assign(-1.3)
    baseline.variance.assign(4.0)

    def loss(log_p, log_q):
        inputs = tf.tile([[1.0, -0.5]], [COPIES, 1])
        reward = log_p - tf.stop_gradient(log_q)
        signal, fit = baseline.centered(reward, inputs)
        return gradients.score_function(reward, log_q, signal) + fit

    _, of_theta, of_phi = estimates(loss, 1)
    wanted = exact(elbo)
    assert_mean_is(-of_theta, wanted[0])
    assert_mean_is(-2.0 * of_phi, wanted[1])  # the scale is sqrt(4)


def test_a_learned_baseline_by_hand():
    baseline, rng = gradients.LearnedBaseline(2, hidden=3, decay=0.7), np.random.RandomState(2)
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in baseline.network.get_weights()]
    baseline.network.set_weights(weights)
    baseline.mean.assign(0.4)
    baseline.variance.assign(9.0)
    signal, inputs = (rng.normal(size=s).astype(np.float32) for s in ((5, 4), (4, 2)))
    with tf.GradientTape() as tape:
        found, fit = baseline.centered(5.0 * signal + 2.0, inputs)
    predicted = np.tanh(inputs @ weights[0] + weights[1]) @ weights[2][:, 0] + weights[3]
    centered = 5.0 * signal + 2.0 - predicted
    np.testing.assert_allclose(found, (centered - 0.4) / 3.0, rtol=1e-4)
    np.testing.assert_allclose(baseline.mean, 0.7 * 0.4 + 0.3 * centered.mean(), rtol=1e-4)
    np.testing.assert_allclose(baseline.variance, 0.7 * 9.0 + 0.3 * centered.var(), rtol=1e-4)
    # C moves up where the signal lies above it.
    slope = tape.gradient(fit, baseline.network.trainable_variables[-1].value)
    np.testing.assert_allclose(slope, [-np.mean((centered - 0.4) / 3.0)], rtol=1e-4)
    assert float(fit) == 0.0


def test_straight_through_is_hard_forward_and_soft_backward():
    phi = tf.constant(PHI)
    with tf.GradientTape() as tape:
        tape.watch(phi)
        z = gradients.straight_through(tf.one_hot(2, 4), tf.nn.softmax(phi))
        loss = tf.reduce_sum(z * THETA)
    np.testing.assert_allclose(z, [0.0, 0.0, 1.0, 0.0], atol=1e-7)
    q = np.exp(log_softmax(PHI))
    np.testing.assert_allclose(tape.gradient(loss, phi), q * (THETA - q @ THETA), rtol=1e-5)


def test_one_sample_cannot_be_compared():
    for name in ("vimco", "leave_one_out"):
        with pytest.raises(ValueError, match=f"{name} compares samples with each other, got 1: take two"):
            getattr(gradients, name)(*[tf.zeros([1, 3])] * (2 if name == "vimco" else 1))
    with pytest.raises(ValueError, match="decay must be a finite number, at least 0 and below 1, got 1"):
        gradients.LearnedBaseline(2, decay=1.0)
