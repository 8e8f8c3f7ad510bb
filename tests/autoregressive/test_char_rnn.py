"""CharRNN against its formula in NumPy, enumeration, and a Markov chain whose entropy is known."""

import functools

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.autoregressive import token_checks as checks
from tfgen import data, random
from tfgen.autoregressive import CharRNN
from tfgen.data import chains
from tfgen.training import train

SYMBOLS = ("\n", " ", "e", "h", "t")
TINY = {"vocabulary": SYMBOLS, "length": 4, "units": 5, "layers": 2, "embedding": 3}


def make(**kwargs):
    """A small CharRNN with random weights."""
    return checks.randomize(CharRNN(**TINY | kwargs))


class TestTokens(checks.TokenModelTests):
    models = {cell: functools.partial(make, cell=cell) for cell in ("lstm", "gru")}  # noqa: RUF012
    prompt = (4.0, 3.0)
    forgotten = tuple(lambda model, i=i: model.network.recurrent.cells[i].recurrent_kernel for i in (0, 1))


@pytest.fixture(scope="module", params=["lstm", "gru"])
def model(request):
    return make(cell=request.param)


def sigmoid(x):
    return scipy.special.expit(x)


def formula(model, tokens):
    """Logits `[T, num_values]` of a string, step by step in float64."""
    network = model.network
    read = network.table.numpy().astype(np.float64)
    layers = [[w.astype(np.float64) for w in cell.get_weights()] for cell in network.recurrent.cells]
    v, b = (w.astype(np.float64) for w in network.head.get_weights())
    h, c = ([np.zeros(network.recurrent.units) for _ in layers] for _ in range(2))
    logits, before = [], -1
    for token in tokens:
        y = read[before + 1]
        for i, (kernel, recurrent, bias, *more) in enumerate(layers):
            if more:
                z, r, n = np.split(y @ kernel + bias, 3)
                uz, ur, un = np.split(h[i] @ recurrent + more[0], 3)
                z = sigmoid(z + uz)
                h[i] = z * h[i] + (1.0 - z) * np.tanh(n + sigmoid(r + ur) * un)
            else:
                gates = np.split(y @ kernel + h[i] @ recurrent + bias, 4)
                c[i] = sigmoid(gates[1]) * c[i] + sigmoid(gates[0]) * np.tanh(gates[2])
                h[i] = sigmoid(gates[3]) * np.tanh(c[i])
            y = h[i]
        logits.append(y @ v + b)
        before = int(token)
    return np.stack(logits)


def test_logits_are_those_of_the_formula(model):
    x = np.random.default_rng(3).integers(0, 5, (3, 7)).astype(np.float32)
    want = np.stack([formula(model, row) for row in x])
    np.testing.assert_allclose(model.raw(tf.constant(x)), want, atol=1e-5)
    taken = np.take_along_axis(scipy.special.log_softmax(want, -1), x.astype(int)[..., None], -1)
    np.testing.assert_allclose(model.log_prob(x), taken.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_each_step_depends_on_all_earlier_ones_and_no_other(cell):
    model = CharRNN(num_values=6, cell=cell, units=7, layers=2, embedding=3)
    checks.assert_depends_on_all_earlier_steps_and_no_other(model, [model.network.table])


def test_dropout_is_for_training_and_its_mean_is_the_network():
    """Of the dropped features the mean over many seeds is the whole, within four standard errors."""
    model = make(dropout=0.4)
    (update,) = model.updates()
    x = tf.zeros((2, 4))
    losses = {float(update.objective({"x": x}, random.as_seed(seed), None)[0]) for seed in (0, 1, 1)}
    assert len(losses) == 2
    np.testing.assert_array_equal(model.log_prob(x), make().log_prob(x))
    h = tf.constant(np.random.default_rng(0).normal(size=(50_000, 3)), tf.float32)
    dropped = model.network.drop(h, random.as_seed(2)).numpy()
    zero = dropped == 0.0
    assert abs(zero.mean() - 0.4) < 4 * np.sqrt(0.24 / zero.size)
    np.testing.assert_allclose(dropped[~zero], h.numpy()[~zero] / 0.6, rtol=1e-5)


@pytest.mark.slow
def test_strings_go_in_and_come_out():
    model = make()
    texts = model.decode(model.sample(3, prompt="the ", length=9, temperature=0.5, seed=6))
    assert all(len(text) == 9 and text.startswith("the ") for text in texts)
    served = tf.function(model.signatures()["continue"].function)
    seeds = random.rows(random.as_seed(6), 2)
    answers = served(prompt=tf.constant(["th", "th"]), seeds=seeds)["text"].numpy()
    assert [a.decode() for a in answers] == model.decode(model.sample(2, prompt="th", seed=6))


@pytest.mark.slow
def test_words_go_in_and_come_out():
    model = make(vocabulary=("<unknown>", "the", "cat", ".", "sat"), unit="word")
    x = model.sample(2, prompt="The dog.", seed=7)
    np.testing.assert_array_equal(x[:, :3], [[1, 0, 3]] * 2)
    served = tf.function(model.signatures()["continue"].function)
    answers = served(prompt=tf.constant(["The dog."] * 2), seeds=random.rows(random.as_seed(7), 2))
    assert [a.decode() for a in answers["text"].numpy()] == model.decode(x)
    assert model.decode(x)[0].startswith("the <unknown>.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "rnn"}, "cell must be one of 'lstm', 'gru', got 'rnn'"),
        ({"units": 0}, "units must be a whole number of at least 1, got 0"),
        ({"layers": 1.5}, "layers must be a whole number of at least 1, got 1.5"),
        ({"embedding": 0}, "embedding must be a whole number of at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be a finite number, at least 0 and below 1, got 1.0"),
        ({"vocabulary": ("a", "b"), "num_values": 3}, "num_values=3, but the vocabulary has 2 symbols"),
    ],
)
def test_bad_arguments_name_themselves(arguments, message):
    with pytest.raises(ValueError, match=message):
        CharRNN(**arguments)


def test_bad_prompts_name_themselves(model):
    for prompt, message in (
        ("xyz", "prompt 'xyz' has the characters 'x', 'y', 'z', which the model does not know"),
        ("", "prompt is empty: give at least one step, or leave it out"),
        ("the the", "prompt has 7 steps, the whole sample 4: raise length"),
    ):
        with pytest.raises(ValueError, match=message):
            model.sample(1, prompt=prompt, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", pytest.param("gru", marks=pytest.mark.learn)])
def test_reaches_the_entropy_of_a_markov_chain(cell):
    """Held-out nats within 2 % of the chain's entropy, and of the chain's own nats of the same strings."""
    found = data.load("markov")
    keras.utils.set_random_seed(11)
    model = CharRNN(vocabulary=found.vocabulary, cell=cell, units=32, embedding=8)
    train(
        model,
        found,
        400,
        batch_size=64,
        optimizer=keras.optimizers.Adam(1e-2),
        checkpoint_every=400,
        log=lambda line: None,
    )
    x, chain = found.test.x.astype(int), chains.chain()
    own = -np.log(chains.stationary(chain)[x[:, 0]]) - np.log(chain[x[:, :-1], x[:, 1:]]).sum(1)
    nats = -np.mean(model.log_prob(x.astype(np.float32)))
    assert abs(nats / chains.entropy(chain) - 1.0) < 0.02
    assert 0.999 < nats / own.mean() < 1.02
