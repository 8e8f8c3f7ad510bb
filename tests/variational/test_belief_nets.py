"""Helmholtz machine and sigmoid belief net against enumeration of all states of a net of 3, 2 and 2 units."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.variational import HelmholtzMachine, SigmoidBeliefNet

SEED = tf.constant([2, 5])
STATES = np.array(list(itertools.product([0.0, 1.0], repeat=4)), np.float32)  # of h_1 and h_2
EVENTS = np.array(list(itertools.product([0.0, 1.0], repeat=3)), np.float32)
DATA = EVENTS[[0, 3, 3, 5, 7, 7]]
COPIES, SEEDS, K = 400, 40, 2
PAIRS = np.array(list(itertools.product(range(16), repeat=K)))


def net(cls=SigmoidBeliefNet, **arguments):
    """A net of unequal weights, its recognition net away from its posterior."""
    model, rng = cls(3, (2, 2), **arguments), np.random.RandomState(7)
    for variable in (*model.generator.weights, model.top_logits, *model.recognition.weights):
        variable.assign(rng.normal(0.0, 0.9, variable.shape))
    model.center.assign([0.3, 0.5, 0.6])
    return model


def tables(model, x):
    """log p(x, h) and log q(h | x) of every state and x: `[16, batch]` each."""
    z = tf.constant(STATES)
    log_p = model.likelihood(z[:, None]).log_prob(x) + model.prior().log_prob(z)[:, None]
    return log_p, model.posterior(x).log_prob(z[:, None])


def elbo(model, x=DATA):
    """-mean over x of the ELBO."""
    log_p, log_q = tables(model, x)
    return -tf.reduce_mean(tf.reduce_sum(tf.exp(log_q) * (log_p - log_q), axis=0))


def of_pairs(model):
    """log w and log q of every tuple of K states: `[tuples, K, batch]` each, with their log p."""
    log_p, log_q = tables(model, DATA)
    log_p, log_q = (tf.gather(t, PAIRS) for t in (log_p, log_q))
    return log_p, log_q, log_p - log_q


def bound(model):
    """-mean over x of E log (1/K) sum_k w_k, over all tuples."""
    _, log_q, log_w = of_pairs(model)
    each = tf.reduce_logsumexp(log_w, axis=1) - np.log(K)
    return -tf.reduce_mean(tf.reduce_sum(tf.exp(tf.reduce_sum(log_q, axis=1)) * each, axis=0))


def reweighted(model):
    """A scalar whose gradient is that of reweighted wake-sleep in expectation, over all tuples and dreams."""
    log_p, log_q, log_w = of_pairs(model)
    shares = tf.stop_gradient(tf.nn.softmax(log_w, axis=1))
    likely = tf.stop_gradient(tf.exp(tf.reduce_sum(log_q, axis=1)))
    followed = tf.reduce_sum(shares * (log_p + log_q), axis=1)
    awake = -tf.reduce_mean(tf.reduce_sum(likely * followed, axis=0))
    return awake + 0.5 * dreamt(model)


def dreamt(model):
    """-E log q(h | x) over all dreams (x, h) of p."""
    log_p, log_q = tables(model, EVENTS)
    return -tf.reduce_sum(tf.stop_gradient(tf.exp(log_p)) * log_q)


def recognized(model):
    """-E log p(x, h) over data x and all h of q."""
    log_p, log_q = tables(model, DATA)
    return -tf.reduce_mean(tf.reduce_sum(tf.stop_gradient(tf.exp(log_q)) * log_p, axis=0))


def exact(objective, model, variables):
    """The enumerated gradients."""
    with tf.GradientTape() as tape:
        loss = objective(model)
    return tape.gradient(loss, [v.value for v in variables])


def estimates(update, variables):
    """Gradients of an update for `SEEDS` seeds, each of `COPIES` times the data, by variable."""
    x = tf.tile(DATA, [COPIES, 1])

    def one(seed):
        with tf.GradientTape() as tape, keras.StatelessScope():
            loss, _ = update.objective({"x": x}, seed, tf.constant(0, tf.int64))
        return tape.gradient(loss, [v.value for v in variables])

    @tf.function(autograph=False)
    def every(seeds):
        spec = [tf.TensorSpec(v.shape, tf.float32) for v in variables]
        return tf.map_fn(one, seeds, fn_output_signature=spec)

    return every(random.rows(SEED, SEEDS))


def assert_means_are(found, wanted, scales=None):
    """Within four standard errors, all of them a small part of the gradient."""
    largest = max(float(tf.reduce_max(tf.abs(w))) for w in wanted)
    for each, exactly, scale in zip(found, wanted, scales or [1.0] * len(wanted), strict=True):
        each = scale * each.numpy().astype(np.float64)
        error = each.std(0, ddof=1) / np.sqrt(SEEDS)
        assert np.all(np.abs(each.mean(0) - exactly) < 4 * error + 1e-5)
        assert np.all(error < 0.05 * largest)


def test_the_density_sums_to_one_and_the_bound_misses_it_by_the_divergence():
    model = net()
    log_p, log_q = tables(model, EVENTS)
    evidence = tf.reduce_logsumexp(log_p, axis=0)
    np.testing.assert_allclose(np.exp(evidence).sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_q).sum(0), 1.0, rtol=1e-5)
    divergence = tf.reduce_sum(tf.exp(log_q) * (log_q - (log_p - evidence)), axis=0)
    np.testing.assert_allclose(evidence - divergence, -elbo_of_each(log_p, log_q), atol=1e-5)
    # The recognition net reads x less its mean.
    h = model.recognition.log_odds(0, EVENTS - np.float32([0.3, 0.5, 0.6]))
    np.testing.assert_allclose(model.posterior(EVENTS).logits, h, rtol=1e-5)


def elbo_of_each(log_p, log_q):
    return -tf.reduce_sum(tf.exp(log_q) * (log_p - log_q), axis=0)


@pytest.mark.slow
def test_bounds_rise_from_the_elbo_to_the_evidence():
    model = net()
    log_p, log_q = tables(model, EVENTS)
    evidence = tf.reduce_logsumexp(log_p, axis=0).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def scored(seeds, k):
        return tf.map_fn(
            lambda s: model.score(EVENTS, num_samples=k, seed=s), seeds, fn_output_signature=tf.float32
        )

    means, errors = [], []
    for k in (1, 5, 500):
        each = scored(random.rows(SEED, 400), k).numpy()
        means.append(each.mean(0))
        errors.append(each.std(0) / 20.0)
    assert np.all(np.abs(means[0] + elbo_of_each(log_p, log_q)) < 4 * errors[0])
    for fewer, more in ((0, 1), (1, 2)):
        assert np.all(means[more] > means[fewer] - 4 * (errors[more] + errors[fewer]))
        assert means[more].mean() > means[fewer].mean() + 4 * np.hypot(errors[more], errors[fewer]).max()
    assert np.all(means[2] < evidence + 4 * errors[2]) and np.all(evidence - means[2] < 0.1)


def test_nvil_has_the_gradient_of_the_elbo_but_for_the_scales():
    model, rng = net(estimator="nvil", baseline_hidden=3), np.random.RandomState(1)
    for baseline, variance in zip(model.baselines, (4.0, 9.0), strict=True):
        baseline.network.set_weights([rng.normal(size=w.shape) for w in baseline.network.get_weights()])
        baseline.mean.assign(-1.0)
        baseline.variance.assign(variance)
    (update,) = model.updates()
    lower, upper = zip(model.recognition.kernels, model.recognition.biases, strict=True)
    variables = [*model.generator.trainable_variables, model.top_logits, *lower, *upper]
    scales = [1.0] * (len(variables) - 4) + [2.0, 2.0, 3.0, 3.0]
    assert_means_are(estimates(update, variables), exact(elbo, model, variables), scales)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "objective"), [("vimco", bound), ("rws", reweighted)])
def test_estimators_of_several_samples_have_their_enumerated_means(estimator, objective):
    model = net(estimator=estimator, num_samples=K, sleep_weight=0.5)
    (update,) = model.updates()
    variables = update.trainable
    assert len(variables) == 9
    assert_means_are(estimates(update, variables), exact(objective, model, variables))


@pytest.mark.parametrize(("phase", "objective"), [("wake", recognized), ("sleep", dreamt)])
def test_wake_and_sleep_have_their_enumerated_means(phase, objective):
    model = net(HelmholtzMachine)
    (update,) = (u for u in model.updates() if u.name == phase)
    assert_means_are(estimates(update, update.trainable), exact(objective, model, update.trainable))
    generating = {v.path for v in model.generator.variables} | {model.top_logits.path}
    assert {v.path for v in update.variables} & generating == (generating if phase == "wake" else set())


def test_reported_losses_are_the_bounds():
    x = tf.tile(DATA, [3000, 1])
    step = tf.constant(0, tf.int64)
    for estimator, wanted in (("nvil", elbo), ("vimco", bound), ("rws", bound)):
        model = net(estimator=estimator, num_samples=1 if estimator == "nvil" else K)
        with keras.StatelessScope():
            loss, scalars = model.updates()[0].objective({"x": x}, SEED, step)
        np.testing.assert_allclose(loss, wanted(model), atol=0.03)
        np.testing.assert_allclose(scalars["elbo"], -elbo(model), atol=0.03)
        np.testing.assert_allclose(scalars["reconstruction"] + scalars["kl"], elbo(model), atol=0.03)


def test_begin_starts_at_the_frequencies_of_1():
    model = SigmoidBeliefNet(3, (2,))
    model.begin({"x": DATA}, SEED)
    ones = DATA.sum(0)
    p = tf.sigmoid(model.generator.biases[0].value)
    np.testing.assert_allclose(p, (ones + 1) / (len(DATA) + 2), rtol=1e-5)
    np.testing.assert_allclose(model.center, ones / len(DATA), rtol=1e-6)


def test_samples_follow_the_marginal():
    model = net()
    p = np.exp(tf.reduce_logsumexp(tables(model, EVENTS)[0], axis=0))
    drawn = model.sample(20_000, seed=3).numpy() @ [4, 2, 1]
    counts = np.bincount(drawn.astype(int), minlength=8)
    from scipy import stats

    assert stats.chisquare(counts, 20_000 * p / p.sum(dtype=np.float64)).pvalue > 1e-6


@pytest.mark.slow
@pytest.mark.learn
@pytest.mark.parametrize("estimator", ["wake-sleep", "nvil", "vimco", "rws"])
def test_learning_lowers_the_exact_nats(estimator):
    """Three of eight events, of 1.10 nats; as independent bits they have 1.91."""
    x = tf.tile(EVENTS[[0, 3, 6]], [20, 1])
    keras.utils.set_random_seed(1)
    arguments = {} if estimator == "wake-sleep" else {"estimator": estimator}
    model = (SigmoidBeliefNet if arguments else HelmholtzMachine)(3, (4, 3), **arguments)
    states = np.array(list(itertools.product([0.0, 1.0], repeat=7)), np.float32)

    def nats():
        log_p = model.likelihood(states[:, None]).log_prob(x) + model.prior().log_prob(states)[:, None]
        return -float(tf.reduce_mean(tf.reduce_logsumexp(log_p, axis=0)))

    before = nats()
    optimizer = {u.name: keras.optimizers.Adam(0.02) for u in model.updates()}
    model.compile(optimizer, seed=0, jit_compile=True)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(800), verbose=0)
    assert before > 1.9 and nats() < 1.6


def test_bad_arguments():
    for arguments, message in [
        ({"hidden": ()}, r"hidden must hold a layer or more, got \(\)"),
        ({"hidden": (2, 0)}, r"hidden must hold whole numbers of at least 1, got \(2, 0\)"),
        ({"estimator": "em"}, "estimator must be one of 'nvil', 'vimco', 'rws', got 'em'"),
        (
            {"num_samples": 1},
            "num_samples, of estimator='vimco', must be a whole number of at least 2, got 1",
        ),
        ({"sleep_weight": -1.0}, "sleep_weight must be a finite number, at least 0, got -1.0"),
        ({"baseline_hidden": 0}, "baseline_hidden must be a whole number of at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            SigmoidBeliefNet(3, **arguments)
