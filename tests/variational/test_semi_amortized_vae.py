"""`SemiAmortizedVAE`: bounds that only rise, derivatives through the steps, the same in an export."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.variational.linear_gaussian import GAP, SEED, evidence, linear_data, linear_vae
from tfgen import random, serving
from tfgen.estimators.importance import seeds_of
from tfgen.variational import SemiAmortizedVAE
from tfgen.variational.distributions import diagonal_normal
from tfgen.variational.latent_variable import Drawn, draw_strata

X = np.random.RandomState(0).randint(0, 2, [30, 6]).astype(np.float32)


def make(**kwargs):
    keras.utils.set_random_seed(0)
    options = {"latent_size": 3, "hidden": (8,), "activation": "tanh", "refine_steps": 6} | kwargs
    vae = SemiAmortizedVAE(6, **options)
    for network in (vae.encoder, vae.decoder):
        network.set_weights([3.0 * w for w in network.get_weights()])
    return vae


@pytest.mark.parametrize("rate", [0.1, 30.0])
def test_the_bound_is_never_below_its_start(rate):
    refined = make(refine_rate=rate, refine_samples=2).refine(X, seed=4)
    gain = (refined["after"] - refined["before"]).numpy()
    assert (gain >= 0.0).all() and np.mean(gain > 1e-3) > 0.6


def test_bounds_are_those_of_the_parameters_with_the_same_noise():
    """`before` and `after` against KL in closed form and the noise that the refinement drew."""
    vae = make(refine_samples=2)
    refined, start = vae.refine(X, seed=4), vae.posterior(X)
    seeds = random.fold_in(seeds_of(tf.constant(X), random.as_seed(4)), 7)
    noise = np.transpose(random.normal(seeds, [2, 3]).numpy(), (1, 0, 2))
    for key, mean, sd in (
        ("before", start.mean().numpy(), start.stddev().numpy()),
        ("after", refined["mean"].numpy(), refined["stddev"].numpy()),
    ):
        log_p = vae.likelihood(mean + sd * noise).log_prob(X).numpy().mean(0)
        kl = ((mean**2 + sd**2 - 1) / 2 - np.log(sd)).sum(-1)
        np.testing.assert_allclose(refined[key], log_p - kl, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_many_steps_reach_the_best_diagonal_posterior_of_each_x():
    """From an encoder that says nothing: what is lost is what any diagonal Gaussian loses."""
    known = linear_vae("diagonal")
    options = {"latent_size": 2, "hidden": (), "likelihood": "gaussian", "refine_samples": 64}
    vae = SemiAmortizedVAE(3, refine_steps=100, **options)
    vae.decoder.set_weights(known.decoder.get_weights())
    vae.encoder.set_weights([0.0 * w for w in vae.encoder.get_weights()])
    x = linear_data(40)
    q = vae.refined_posterior(tf.constant(x), SEED)
    best = known.posterior(x)
    np.testing.assert_allclose(q.mean(), best.mean(), atol=0.25)
    drawn = vae.drawn(tf.constant(x), SEED, num_samples=2000)
    lost = evidence(x).mean() - float(tf.reduce_mean(drawn.mean(drawn.log_weights)))
    assert GAP - 0.02 < lost < GAP + 0.1


@pytest.mark.slow
def test_the_objective_is_differentiated_through_every_step():
    """Against finite differences, of which derivatives with the steps held fixed are far."""
    vae = make(refine_steps=4)
    x, step = tf.constant(X), tf.constant(0, tf.int64)
    kernel = vae.encoder.trainable_variables[-1]

    @tf.function(autograph=False)
    def loss_and_gradient():
        with tf.GradientTape() as tape:
            loss, _ = vae.objective({"x": x}, SEED, step)
        return loss, tape.gradient(loss, kernel.value)

    gradient = loss_and_gradient()[1].numpy()
    start, numeric = kernel.numpy(), []
    for i in range(len(start)):
        ends = []
        for size in (4e-3, -4e-3):
            kernel.assign(start + size * np.eye(len(start))[i])
            ends.append(float(loss_and_gradient()[0]))
        numeric.append((ends[0] - ends[1]) / 8e-3)
    kernel.assign(start)
    np.testing.assert_allclose(gradient, numeric, rtol=0.03, atol=4e-3)
    with tf.GradientTape() as tape:  # The steps taken, but as constants added to where they start.
        raw = tf.cast(vae.encoder(vae.read(x)), tf.float32)
        moved = raw + tf.stop_gradient(vae._refine(x, SEED)[0] - raw)
        q = diagonal_normal(moved)
        z, log_q, _ = draw_strata(q, SEED, 1)
        drawn = Drawn(x, z, vae.prior(), q, vae.likelihood(z), log_q)
        loss = tf.reduce_mean(drawn.kl - drawn.mean(drawn.log_likelihood))
    first_order = tape.gradient(loss, kernel.value).numpy()
    assert np.abs(first_order - gradient).max() > 0.1 * np.abs(gradient).max()


@pytest.mark.slow
def test_an_export_refines_too(tmp_path):
    vae = make()
    loaded = tf.saved_model.load(serving.export(vae, tmp_path))
    served = loaded.signatures["refine"](x=tf.constant(X))
    assert (served["after"].numpy() >= served["before"].numpy()).all()
    assert (served["after"].numpy() > served["before"].numpy() + 1e-3).mean() > 0.8
    own = vae.refine(X)
    for key in ("mean", "stddev", "before", "after"):
        np.testing.assert_allclose(served[key], own[key], rtol=1e-3, atol=1e-3)
