"""MixtureOfRNNs against enumeration, expectation maximization, and two sources that are known."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.autoregressive import token_checks as checks
from tfgen import data, random
from tfgen.autoregressive import CharRNN, MixtureOfRNNs
from tfgen.data import chains
from tfgen.training import train

TINY = {"num_values": 3, "length": 4, "units": 4, "embedding": 3, "num_components": 3}


def make(**kwargs):
    """A small mixture with random weights, those of the components' probabilities included."""
    return checks.randomize(MixtureOfRNNs(**TINY | kwargs))


class TestTokens(checks.TokenModelTests):
    models = {  # noqa: RUF012
        "lstm": make,
        "two-levels-gru": lambda: make(num_values=2, cell="gru"),
    }
    forgotten = tuple(lambda model, k=k: model.networks[k].recurrent.cells[0].kernel for k in (0, 2))


@pytest.fixture(scope="module")
def model():
    return make()


def joint(model, x):
    """log p(k, x) float64 `[n, K]`, from each component's network as a language model of its own."""
    columns = []
    for network in model.networks:
        alone = CharRNN(
            num_values=model.num_values,
            cell=network.recurrent.cell,
            units=network.recurrent.units,
            embedding=network.embedding,
            length=model.length,
        )
        alone.network.set_weights(network.get_weights())
        columns.append(alone.log_prob(x).numpy().astype(np.float64))
    return scipy.special.log_softmax(model.mixture.numpy()) + np.stack(columns, 1)


def test_the_density_sums_the_components_out(model):
    x = checks.every(model, 4)
    want = joint(model, x)
    np.testing.assert_allclose(model.log_prob(x), scipy.special.logsumexp(want, axis=1), rtol=1e-5)
    posterior = model.posterior(x)
    np.testing.assert_allclose(posterior.probs_parameter(), scipy.special.softmax(want, 1), atol=1e-5)
    short = model.posterior(x, np.full(81, 2, np.int32))
    np.testing.assert_allclose(
        short.probs_parameter(), scipy.special.softmax(joint(model, x[:, :2]), 1), atol=1e-5
    )


def test_each_step_depends_on_all_earlier_ones_and_no_other():
    model = MixtureOfRNNs(num_values=6, units=7, embedding=3, num_components=2, flat_steps=0)
    checks.assert_depends_on_all_earlier_steps_and_no_other(model, [n.table for n in model.networks])


@pytest.mark.slow
def test_the_gradient_is_that_of_expectation_maximization():
    """d -log p(x) = -sum_k p(k | x) d log p(k, x), with the posterior held fixed."""
    model = make(flat_steps=0)
    x = tf.constant(checks.every(model, 4)[::7])
    (update,) = model.updates()
    weights = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss, _ = update.objective({"x": x}, random.as_seed(0), tf.constant(0, tf.int64))
    mine = tape.gradient(loss, weights)
    responsibility = scipy.special.softmax(joint(model, x.numpy()), 1).astype(np.float32)
    with tf.GradientTape() as tape:
        tokens = tf.cast(x, tf.int32)
        nats = [tf.nn.sparse_softmax_cross_entropy_with_logits(tokens, n(x)) for n in model.networks]
        log_joint = tf.nn.log_softmax(model.mixture.value) - tf.reduce_sum(tf.stack(nats, axis=1), axis=2)
        expected = -tf.reduce_mean(tf.reduce_sum(responsibility * log_joint, axis=1)) / 4.0
    for one, two in zip(mine, tape.gradient(expected, weights), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(two), atol=1e-5)


def test_flatness_falls_to_one():
    """-T log sum_k (pi_k p_k)^(1/T), T from `flatness` to 1; at 1 the mean of -log_prob."""
    model = make(flatness=16.0, flat_steps=10)
    x = checks.every(model, 4)
    (update,), log_joint = model.updates(), joint(model, x)
    for step, flat in ((0, 16.0), (5, 4.0), (10, 1.0), (99, 1.0)):
        loss, _ = update.objective({"x": tf.constant(x)}, None, tf.constant(step, tf.int64))
        want = -flat * np.mean(scipy.special.logsumexp(log_joint / flat, axis=1)) / 4
        np.testing.assert_allclose(loss, want, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_components": 0}, "num_components must be a whole number of at least 1, got 0"),
        ({"flatness": 0.5}, "flatness must be a finite number, at least 1, got 0.5"),
        ({"flat_steps": -1}, "flat_steps must be a whole number of at least 0, got -1"),
        ({"cell": "rnn"}, "cell must be one of 'lstm', 'gru', got 'rnn'"),
    ],
)
def test_bad_arguments_name_themselves(arguments, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfRNNs(**arguments)


def trained(model, found):
    """The model after a short training; its nats of a held-out string."""
    optimizer = keras.optimizers.Adam(1e-2)
    quiet = {"checkpoint_every": 300, "log": lambda line: None}
    train(model, found, 300, batch_size=64, optimizer=optimizer, **quiet)
    return float(-np.mean(model.log_prob(found.test.x.astype(np.float32))))


@pytest.mark.slow
@pytest.mark.learn
def test_recovers_two_sources_and_beats_one_network():
    """Strings of 20 steps: the posterior tells the sources nearly as well as the true one does."""
    found = data.load("two_sources", window=20)
    keras.utils.set_random_seed(5)
    model = MixtureOfRNNs(vocabulary=found.vocabulary, units=16, embedding=8, flat_steps=100)
    nats = trained(model, found)
    x, label = found.test.x.astype(int), found.test.label
    truth = np.stack(
        [
            np.log(chains.stationary(c)[x[:, 0]]) + np.log(c[x[:, :-1], x[:, 1:]]).sum(1)
            for c in (chains.chain(0), chains.chain(1))
        ],
        axis=1,
    )
    best = np.mean(truth.argmax(1) == label)
    accuracy = model.test_metrics(found, random.as_seed(0))["component_accuracy"]["value"]
    assert best > 0.95 and accuracy > best - 0.02
    own = -np.mean(scipy.special.logsumexp(truth - np.log(2.0), axis=1))
    assert nats < 1.03 * own
    keras.utils.set_random_seed(5)
    one = CharRNN(vocabulary=found.vocabulary, units=25, embedding=8)
    assert one.count_params() >= model.count_params()
    assert trained(one, found) > nats + 0.1
