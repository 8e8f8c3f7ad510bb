"""`CategoricalVAE` against enumeration of z, and against quadrature over the noise of relaxed z."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import random
from tfgen.variational import CategoricalVAE

tfd = tfp.distributions
SEED = tf.constant([2, 5])
DATA = np.random.RandomState(3).randint(0, 2, (4, 2, 2, 1)).astype(np.float32)
COPIES, SEEDS = 200, 40
STEP = tf.constant(0, tf.int64)


def planted(latents=2, categories=3, **arguments):
    """A model whose logits are of the order of 1 and depend on x, and its one-hot z `[states, 1, ...]`."""
    keras.utils.set_random_seed(5)
    options = {"num_latents": latents, "num_categories": categories, "hidden": (4,), "activation": "tanh"}
    model = CategoricalVAE((2, 2, 1), **options | arguments)
    for weight in (*model.encoder.weights, *model.decoder.weights):
        weight.assign(2.0 * weight + 0.3)
    states = list(itertools.product(range(categories), repeat=latents))
    return model, tf.one_hot(np.array(states), categories)[:, None]


def elbo(model, z, x=DATA):
    """-mean over x of E_q log p(x | z) - KL, z enumerated."""
    q = model.posterior(x)
    reconstruction = tf.reduce_sum(tf.exp(q.log_prob(z)) * model.likelihood(z).log_prob(x), axis=0)
    return -tf.reduce_mean(reconstruction - tfd.kl_divergence(q, model.prior()))


def relaxed_bound(model, temperature, points=4001):
    """-mean over x of E log p(x | z~) - KL for one z~ of two categories, by quadrature over its noise.

    z~ = (s, 1 - s), s = sigmoid((l_0 - l_1 + v) / t), v logistic as the difference of two Gumbels.
    """
    q = model.posterior(DATA)
    logits = q.distribution.logits[:, 0]
    u = (np.arange(points, dtype=np.float32)[:, None] + 0.5) / points
    first = tf.sigmoid((logits[:, 0] - logits[:, 1] + np.log(u) - np.log1p(-u)) / temperature)
    z = tf.stack([first, 1.0 - first], axis=-1)[:, :, None]
    reconstruction = tf.reduce_mean(model.likelihood(z).log_prob(DATA), axis=0)
    return -tf.reduce_mean(reconstruction - tfd.kl_divergence(q, model.prior()))


def slope(objective, variables):
    with tf.GradientTape() as tape:
        loss = objective()
    return [g.numpy() for g in tape.gradient(loss, [v.value for v in variables])]


def estimates(model, variables):
    """Gradients of the update for `SEEDS` seeds, each of `COPIES` times the data, by variable; the losses."""
    (update,) = model.updates()
    x = tf.tile(DATA, [COPIES, 1, 1, 1])

    def one(seed):
        with tf.GradientTape() as tape, keras.StatelessScope():
            loss, _ = update.objective({"x": x}, seed, STEP)
        return loss, tape.gradient(loss, [v.value for v in variables])

    @tf.function(autograph=False)
    def every(seeds):
        spec = tf.TensorSpec([], tf.float32), [tf.TensorSpec(v.shape, tf.float32) for v in variables]
        return tf.map_fn(one, seeds, fn_output_signature=spec)

    losses, found = every(random.rows(SEED, SEEDS))
    return losses.numpy(), [g.numpy().astype(np.float64) for g in found]


def deviations(found, wanted):
    """By how many standard errors the means miss what is wanted, at most."""
    worst = []
    for each, exactly in zip(found, wanted, strict=True):
        error = each.std(0, ddof=1) / np.sqrt(SEEDS)
        worst.append(np.max(np.abs(each.mean(0) - exactly) / (error + 1e-6)))
    return max(worst)


@pytest.mark.slow
def test_the_density_sums_to_one_and_bounds_are_in_order():
    model, z = planted()
    events = np.float32(list(itertools.product([0, 1], repeat=4))).reshape(-1, 2, 2, 1)
    log_p = model.likelihood(z).log_prob(events) + model.prior().log_prob(z)
    evidence = tf.reduce_logsumexp(log_p, axis=0)
    np.testing.assert_allclose(np.exp(evidence).sum(), 1.0, rtol=1e-5)
    log_q = model.posterior(events).log_prob(z)
    divergence = tf.reduce_sum(tf.exp(log_q) * (log_q - (log_p - evidence)), axis=0)
    np.testing.assert_allclose(tf.reduce_mean(evidence - divergence), -elbo(model, z, events), atol=1e-5)
    seeds = random.rows(SEED, 300)
    one = tf.function(lambda s: tf.stack([model.score(events, num_samples=k, seed=s) for k in (1, 8)]))
    each = tf.map_fn(one, seeds, fn_output_signature=tf.float32).numpy().mean(2)
    error = each.std(0, ddof=1) / np.sqrt(300)
    assert abs(each[:, 0].mean() + float(elbo(model, z, events))) < 4 * error[0]
    assert each[:, 0].mean() + 4 * error.sum() < each[:, 1].mean() < evidence.numpy().mean() + 4 * error[1]


def test_the_score_function_has_the_enumerated_gradient():
    model, z = planted(estimator="score_function")
    # The scale of the signal stays 1, its shift is learned from x.
    model.baseline.mean.assign(-2.0)
    variables = [*model.encoder.trainable_variables, *model.decoder.trainable_variables]
    losses, found = estimates(model, variables)
    wanted = slope(lambda: elbo(model, z), variables)
    assert deviations(found, wanted) < 4
    assert deviations([losses], [elbo(model, z)]) < 4


def test_gumbel_softmax_has_the_gradient_of_the_relaxed_bound():
    model, _ = planted(1, 2, start_temperature=0.7)
    variables = [*model.encoder.trainable_variables, *model.decoder.trainable_variables]
    losses, found = estimates(model, variables)
    assert deviations(found, slope(lambda: relaxed_bound(model, 0.7), variables)) < 4
    assert deviations([losses], [relaxed_bound(model, 0.7)]) < 4


def test_the_bias_of_relaxation_falls_with_the_temperature_and_straight_through_keeps_one():
    model, z = planted(1, 2, start_temperature=0.7)
    variables = model.encoder.trainable_variables
    exact = slope(lambda: elbo(model, z), variables)
    size = np.sqrt(sum((g**2).sum() for g in exact))

    def bias(found):
        return np.sqrt(sum(((f - e) ** 2).sum() for f, e in zip(found, exact, strict=True))) / size

    of_relaxed = [bias(slope(lambda t=t: relaxed_bound(model, t), variables)) for t in (2.0, 0.7, 0.2, 0.05)]
    assert np.all(np.diff(of_relaxed) < 0) and of_relaxed[-1] < 0.01 < 0.1 < of_relaxed[0]
    through, _ = planted(1, 2, start_temperature=0.7, estimator="straight_through")
    losses, found = estimates(through, through.encoder.trainable_variables)
    # Forward it is the discrete bound itself, backward another gradient.
    assert deviations([losses], [elbo(model, z)]) < 4
    assert deviations(found, exact) > 20
    assert 0.02 < bias([f.mean(0) for f in found]) < 0.5


def test_temperature_falls_to_its_least():
    model, _ = planted(start_temperature=2.0, min_temperature=0.5, temperature_decay=1e-3)
    for step, wanted in ((0, 2.0), (1000, 2.0 / np.e), (5000, 0.5)):
        np.testing.assert_allclose(model.temperature_at(tf.constant(step, tf.int64)), wanted, rtol=1e-5)
    x = {"x": tf.constant(DATA)}
    loss, terms = model.by_relaxation(x, SEED, tf.constant(1000, tf.int64))
    np.testing.assert_allclose(terms["temperature"], 2.0 / np.e, rtol=1e-5)
    # beta weighs the KL alone.
    heavy, _ = planted(start_temperature=2.0, temperature_decay=1e-3, beta=3.0)
    weighed, terms = heavy.by_relaxation(x, SEED, tf.constant(1000, tf.int64))
    np.testing.assert_allclose(weighed - loss, 2.0 * terms["kl"], rtol=1e-4)


def test_other_likelihoods():
    x = np.random.RandomState(0).randint(0, 16, (5, 3, 3, 1)).astype(np.float32)
    model = CategoricalVAE((3, 3, 1), 2, 3, (4,), likelihood="discretized_logistic", num_values=16)
    assert model.log_prob(x).shape == (5,) and np.all(model.log_prob(x) < 0)
    real = CategoricalVAE(3, 2, 3, (4,), likelihood="gaussian", estimator="score_function")
    assert real.sample(4, seed=1).shape == (4, 3)


def test_bad_arguments():
    for arguments, message in [
        ({"num_latents": 0}, "num_latents must be a whole number of at least 1, got 0"),
        ({"num_categories": 1}, "num_categories must be a whole number of at least 2, got 1"),
        ({"estimator": "vimco"}, "estimator must be one of 'gumbel', .* got 'vimco'"),
        ({"start_temperature": 0.0}, "start_temperature must be a finite number, above 0, got 0.0"),
        ({"temperature_decay": -1.0}, "temperature_decay must be a finite number, at least 0, got -1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            CategoricalVAE(4, **{"hidden": (3,)} | arguments)
