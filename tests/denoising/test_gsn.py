"""Generative stochastic networks against the paper's formulas, enumerated chains and planted distributions.

Chi-square tests fail falsely once in 100,000 runs, at fixed seeds.
"""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from scipy.special import expit

from tfgen import random
from tfgen.data import Data, Split
from tfgen.denoising import GenerativeStochasticNetwork
from tfgen.denoising.report import report_parzen
from tfgen.update import Step

SEED = tf.constant([3, 4])
BITS = ((np.arange(8)[:, None] >> np.arange(3)) & 1).astype(np.float32)
# Probabilities of the toy's eight states.
PLANTED = np.array([0.3, 0.02, 0.05, 0.2, 0.08, 0.1, 0.05, 0.2])


def with_weights(event_shape, scale=1.5, **kwargs):
    model = GenerativeStochasticNetwork(event_shape, **kwargs)
    draw = np.random.RandomState(0)
    for v in model.trainable_variables:
        v.assign(scale * draw.randn(*v.shape))
    return model


def weights(model):
    return [b.numpy() for b in model.biases], [w.numpy() for w in model.kernels]


@pytest.mark.parametrize("layers", [(4,), (4, 3), (4, 3, 5), (4, 3, 5, 2)])
def test_a_step_is_the_papers(layers):
    """Odd, then even layers, noise before and after tanh, tied weights; two steps, so all layers matter."""
    model = with_weights((3,), hidden=layers, num_walkback=3, noise=0.7, first_noise=0.2, corruption=0.5)
    b, w = weights(model)
    x, h = tf.constant(BITS), model.blank(tf.constant(BITS))
    reference = [np.zeros((8, n), np.float32) for n in layers]
    for k in range(2):
        seeds = random.fold_in(SEED, k)
        distribution, h = model.step_of(x, h, seeds)
        corrupt, noise = model.noise_of_step(seeds, x)
        units = [model.corrupted(x, corrupt).numpy(), *reference]
        for first in (1, 2):
            for i in range(first, len(units), 2):
                total = b[i] + units[i - 1] @ w[i - 1]
                if i + 1 < len(units):
                    total += units[i + 1] @ w[i].T
                sigma = 0.2 if i == 1 else 0.7
                before, after = (n.numpy() for n in noise[i])
                units[i] = np.tanh(total + sigma * before) + sigma * after
        reference = units[1:]
        drawn = np.concatenate([n.numpy().ravel() for pair in noise.values() for n in pair])
        assert set(noise) == set(range(1, len(units))) and len(np.unique(drawn)) == len(drawn)
        for one, other in zip(h, reference, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)
        on = expit(b[0] + reference[0] @ w[0].T)
        np.testing.assert_allclose(distribution.mean(), on, atol=1e-5)
        x = tf.constant((on > 0.5).astype(np.float32))


@pytest.mark.parametrize("num_values", [2, 4])
def test_salt_and_pepper_replaces_by_levels_drawn_uniformly(num_values):
    model = GenerativeStochasticNetwork((2,), hidden=(2,), corruption=0.3, num_values=num_values)
    x = tf.tile(tf.constant([[0.0, num_values - 1.0]]), [40_000, 1])
    mask = tf.tile(tf.constant([[False, True]]), [40_000, 1])
    uniform, _ = model.noise_of_step(SEED, x)
    found = model.corrupted(x, uniform).numpy()
    for column, kept in ((0, 0), (1, num_values - 1)):
        expected = np.full(num_values, 0.3 / num_values) + 0.7 * (np.arange(num_values) == kept)
        counts = np.bincount(found[:, column].astype(int), minlength=num_values)
        assert scipy.stats.chisquare(counts, 40_000 * expected).pvalue > 1e-5
    # Entries spoil independently of each other, and known ones never.
    spoiled = (found != x.numpy()).mean(0)
    both = (found != x.numpy()).all(1).mean()
    assert abs(both - spoiled[0] * spoiled[1]) < 5 * np.sqrt(both / 40_000)
    np.testing.assert_array_equal(model.corrupted(x, uniform, mask)[:, 1], x[:, 1])


def corruption_matrix(rate, states, num_values):
    """C[x, x~] of salt and pepper."""
    same = (states[:, None] == states[None]).astype(float)
    return np.prod((1 - rate) * same + rate / num_values, axis=-1)


def kernel(model, states, known=None):
    """P[x, x'] of one step of a network of one layer without noise, by enumeration.

    Args:
      model: The network.
      states: All x, flat.
      known: Entries that are clamped at their value, bool; None for none.
    """
    (_, c), (w,) = weights(model)
    levels = 2 if model.law.size == 1 else model.num_values
    read = states if levels == 2 else np.eye(levels)[states.astype(int)].reshape(len(states), -1)
    raw = model.biases[0].numpy() + np.tanh(c + read @ w) @ w.T
    if levels == 2:
        on = expit(raw)
        each = np.where(states[None] == 1, on[:, None], 1 - on[:, None])
    else:
        odds = np.exp(raw.reshape(len(states), -1, levels))
        odds /= odds.sum(-1, keepdims=True)
        entries = np.arange(states.shape[1])
        each = odds[:, entries, states.astype(int)]
    corrupted = corruption_matrix(model.corruption, states, levels)
    if known is not None:
        free = states[:, ~known]
        same = (states[:, None, known] == states[None, :, known]).all(-1)
        corrupted = corruption_matrix(model.corruption, free, levels) * same
        each = np.where(known, 1.0, each)
        return (corrupted @ each.prod(-1)) * same
    return corrupted @ each.prod(-1)


def stationary(transition):
    """Left eigenvector of eigenvalue 1, summing to 1."""
    values, vectors = np.linalg.eig(transition.T)
    found = np.real(vectors[:, np.argmax(np.real(values))])
    return found / found.sum()


def numbers(x):
    """Index of each row of bits in `BITS`."""
    return (np.asarray(x).reshape(len(x), -1) @ (1 << np.arange(3))).astype(int)


def assert_drawn_from(indices, p):
    counts = np.bincount(indices, minlength=len(p))
    assert scipy.stats.chisquare(counts, p * (len(indices) / p.sum())).pvalue > 1e-5


@pytest.fixture(scope="module")
def shallow():
    return with_weights((3,), hidden=(4,), num_walkback=2, corruption=0.4)


@pytest.mark.slow
def test_chains_follow_the_enumerated_kernel(shallow):
    """One step from each x, and where long chains end, whatever levels they began at."""
    transition = kernel(shallow, BITS)
    np.testing.assert_allclose(transition.sum(1), 1.0, rtol=1e-6)
    num = 4000
    x = tf.repeat(tf.constant(BITS), num, axis=0)
    ended = shallow.chain(x, random.rows(SEED, 8 * num), tf.ones([8 * num], tf.int32))
    for i, part in enumerate(np.split(numbers(ended), 8)):
        assert_drawn_from(part, transition[i])
    assert_drawn_from(numbers(shallow.sample(20_000, seed=5, num_steps=60)), stationary(transition))
    # One step from levels drawn uniformly.
    assert_drawn_from(numbers(shallow.sample(20_000, seed=6, num_steps=1)), transition.mean(0))


@pytest.mark.slow
def test_known_entries_are_clamped_and_the_others_follow_their_kernel(shallow):
    known = np.array([False, True, False])
    transition = kernel(shallow, BITS, known)
    np.testing.assert_allclose(transition.sum(1), 1.0, rtol=1e-6)
    for value in (0.0, 1.0):
        rows = BITS[:, 1] == value
        expected = stationary(transition[np.ix_(rows, rows)])
        x = shallow.sample(20_000, seed=7, num_steps=60, given=np.full(3, value), mask=known)
        assert np.all(x[:, 1] == value)
        # The free bits count the rows.
        assert_drawn_from(numbers(x) % 2 + numbers(x) // 4 * 2, expected)


def test_walk_backs_gradient_is_the_enumerated_one():
    """E over walks of d/dtheta -log p(x | x~_k), walks drawn at the weights as they are, at 5 errors."""
    model = with_weights((2,), scale=0.8, hidden=(2,), num_walkback=3, corruption=0.4)
    states = BITS[:4, :2]
    data = np.array([0, 3, 3, 1])
    corrupted, transition = corruption_matrix(0.4, states, 2), kernel(model, states)
    # Weight of each x~ in the walk from each example: after k steps and another corruption.
    walks = [np.linalg.matrix_power(transition, k) @ corrupted for k in range(3)]
    weight = tf.constant(np.mean([w[data] for w in walks], axis=0), tf.float32)

    def expected():
        h = model.update_layers([tf.constant(states), *model.blank(tf.constant(states))])[1]
        log_p = tf.stack([model.likelihood(h).log_prob(tf.constant(states[i])) for i in data])
        return -tf.reduce_mean(tf.reduce_sum(weight * log_p, axis=1))

    update, copies = model.updates()[0], 300
    x = tf.constant(np.repeat(states[data], copies, axis=0))

    @tf.function(autograph=False)
    def gradient(seed):
        values = [tf.convert_to_tensor(v.value) for v in update.trainable]
        with tf.GradientTape() as tape:
            tape.watch(values)
            with keras.StatelessScope(list(zip(update.trainable, values, strict=True))):
                loss, _ = update.objective({"x": x}, seed, tf.constant(0, tf.int64))
        return loss, tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, values)], 0)

    drawn = [gradient(random.fold_in(SEED, i)) for i in range(100)]
    losses, found = (np.stack([d[i].numpy() for d in drawn]) for i in (0, 1))
    with tf.GradientTape() as tape:
        loss = expected()
    exact = np.concatenate([np.ravel(g) for g in tape.gradient(loss, [v.value for v in update.trainable])])
    error = found.std(0, ddof=1) / 10
    assert np.all(np.abs(found.mean(0) - exact) < 5 * error) and error.max() < 0.02
    assert abs(losses.mean() - float(loss)) < 5 * losses.std(ddof=1) / 10


@pytest.mark.slow
def test_frames_are_the_samples_of_as_many_steps(shallow):
    seeds = random.rows(random.as_seed(9), 5)
    film = tf.function(shallow.frames, autograph=False)(seeds, 4)
    for k in (1, 4):
        np.testing.assert_array_equal(film[k], shallow.sample(5, seed=9, num_steps=k))
    # Each row its own number of steps.
    x = tf.constant(BITS[[5, 5, 5]])
    same = tf.repeat(seeds[:1], 3, axis=0)
    mixed = shallow.chain(x, same, tf.constant([0, 2, 3]))
    np.testing.assert_array_equal(mixed[0], x[0])
    for i, k in ((1, 2), (2, 3)):
        np.testing.assert_array_equal(mixed[i], shallow.chain(x[:1], same[:1], tf.constant([k]))[0])
    with pytest.raises(ValueError, match=r"steps must be 0 to 100000; .* from -1 to 0"):
        shallow.chain(x, same, tf.constant([-1, 0, 0]))


@pytest.mark.parametrize(("visible", "num_values"), [("levels", 2), ("levels", 3), ("intensity", 17)])
def test_chains_begin_at_independent_entries_of_the_datas_rates(visible, num_values):
    model = GenerativeStochasticNetwork((2,), hidden=(2,), visible=visible, num_values=num_values)
    if visible == "intensity":
        x, expected = np.float32([[0.25, 1.0], [0.5, 0.5]]), [[2.25, 1.75], [1.5, 2.5]]
    elif num_values == 2:
        x, expected = np.float32([[0, 1], [0, 1]]), [[3, 1], [1, 3]]
    else:
        x, expected = np.float32([[0, 2], [1, 2]]), [[2, 2, 1], [1, 1, 3]]
    model.begin({"x": x}, SEED)
    expected = np.array(expected) / np.sum(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(model.base_rates, expected, rtol=1e-6)
    drawn = model.start(random.rows(SEED, 20_000)).x.numpy()
    joint = (drawn @ [expected.shape[1], 1]).astype(int)
    assert_drawn_from(joint, np.outer(*expected).ravel())


def test_temperature_zero_is_a_walk_without_noise():
    model = with_weights((3,), hidden=(4, 3), num_walkback=2, corruption=0.0, noise=1.0)
    first, other = (
        model.advance(model.state_at(tf.constant(BITS)), random.rows(tf.constant([s, 1]), 8), temperature=0.0)
        for s in (1, 2)
    )
    np.testing.assert_array_equal(first.x, other.x)
    np.testing.assert_array_equal(first.x, tf.round(first.mean))


def test_codes_and_reconstructions_are_those_of_a_walk_without_noise(shallow):
    model = with_weights((3,), hidden=(4, 3), num_walkback=3)
    b, w = weights(model)
    h2 = np.zeros((8, 3))
    for _ in range(3):
        h1 = np.tanh(b[1] + BITS @ w[0] + h2 @ w[1].T)
        h2 = np.tanh(b[2] + h1 @ w[1])
    np.testing.assert_allclose(model.encode(BITS), np.concatenate([h1, h2], axis=1), atol=1e-5)
    np.testing.assert_allclose(model.reconstruct(BITS), expit(b[0] + h1 @ w[0].T), atol=1e-5)
    np.testing.assert_allclose(model(BITS), model.reconstruct(BITS), atol=1e-6)


def test_intensities_are_compared_as_probabilities_and_shown_as_means():
    model = with_weights((3,), hidden=(4,), num_walkback=1, corruption=0.0, visible="intensity")
    (b, c), (w,) = weights(model)
    x = np.array([[0.2, 0.9, 0.0], [1.0, 0.5, 0.3]], np.float32)
    on = expit(b + np.tanh(c + x @ w) @ w.T)
    nats = -(x * np.log(on) + (1 - x) * np.log(1 - on)).sum(1).mean()
    np.testing.assert_allclose(model.objective({"x": tf.constant(x)}, SEED, 0)[0], nats, rtol=1e-5)
    np.testing.assert_allclose(model.chain(x, random.rows(SEED, 2), tf.ones([2], tf.int32)), on, atol=1e-5)
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        model.reconstruct(x + 1.0)


def test_levels_without_an_order_are_read_one_hot():
    model = with_weights((2,), scale=0.7, hidden=(3,), num_values=3, num_walkback=1, corruption=0.5)
    states = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0), indexing="ij"), -1).reshape(9, 2)
    transition = kernel(model, states)
    np.testing.assert_allclose(transition.sum(1), 1.0, rtol=1e-5)
    x = tf.constant(np.repeat(states[4:5], 20_000, axis=0), tf.float32)
    ended = model.chain(x, random.rows(SEED, 20_000), tf.ones([20_000], tf.int32)).numpy()
    assert_drawn_from((ended @ [3, 1]).astype(int), transition[4])
    (b, c), (w,) = weights(model)
    odds = np.exp((b + np.tanh(c + np.eye(3)[states.astype(int)].reshape(9, 6) @ w) @ w.T).reshape(9, 2, 3))
    means = (odds / odds.sum(-1, keepdims=True)) @ np.arange(3.0)
    np.testing.assert_allclose(model.reconstruct(states), means, rtol=1e-4)


def test_a_walk_that_ends_before_the_top_layer_matters_is_refused():
    with pytest.raises(ValueError, match="num_walkback=2 ends before the last of 4 hidden layers .* take 3"):
        GenerativeStochasticNetwork((3,), hidden=(4, 4, 4, 4), num_walkback=2)
    model = with_weights((3,), hidden=(4, 4, 4, 4), num_walkback=3)
    with tf.GradientTape() as tape:
        loss = model.objective({"x": tf.constant(BITS)}, SEED, 0)[0]
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert all(g is not None and np.abs(g).max() > 0 for g in gradients)


@pytest.mark.slow
def test_the_parzen_figure_stands_beside_that_of_training_examples(shallow):
    splits = [Split(BITS[np.random.default_rng(s).integers(0, 8, 60)].astype(np.uint8)) for s in range(3)]
    planted = Data("planted", "vector", (3,), 2, 2, None, None, *splits)
    found = report_parzen(shallow, planted, SEED)
    assert set(found) == {"parzen", "real_parzen"}
    for figure in found.values():
        assert figure["low"] < figure["value"] < figure["high"] and "not a likelihood" in figure["kind"]
    assert found["parzen"]["kind"].startswith("estimate, Parzen window of 60 means of samples, bandwidth")
    # Bits as reals: the data's own distribution is no density, and windows around it are ever better.
    assert found["real_parzen"]["value"] > found["parzen"]["value"]


def trained(steps=1500, **kwargs):
    """A network of one categorical entry trained on the toy's eight states, and its loss."""
    model = GenerativeStochasticNetwork((1,), corruption=0.5, num_values=8, **kwargs)
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    step = Step(model.updates(), {"gsn": keras.optimizers.Adam(rate)}, jit=True)
    odds = tf.constant(PLANTED, tf.float32)[None]

    def batch_at(i, seed):
        return {"x": tf.cast(random.pick(random.uniform(seed, (256,)), odds), tf.float32)[:, None]}

    @tf.function(autograph=False)
    def run():
        def body(i):
            step(batch_at, SEED, tf.cast(i, tf.int64))
            return (i + 1,)

        tf.while_loop(lambda i: i < steps, body, (tf.constant(0),))

    run()
    return model


@pytest.mark.learn(always=True)
@pytest.mark.slow
def test_the_stationary_distribution_is_that_of_the_data():
    """Of one layer exactly, by the eigenvector of the enumerated kernel."""
    found = stationary(kernel(trained(hidden=(32,), num_walkback=2), np.arange(8.0)[:, None]))
    assert 0.5 * np.abs(found - PLANTED).sum() < 0.05


@pytest.mark.learn
@pytest.mark.slow
def test_the_stationary_distribution_of_two_noisy_layers_is_that_of_the_data():
    """By 4,000 chains of 100 steps after 50, with a standard error over the chains."""
    model = trained(hidden=(32, 32), num_walkback=3, noise=2.0)
    film = tf.function(model.frames, autograph=False, jit_compile=True)(random.rows(SEED, 4000), 150)
    each = np.stack([(film[50:, :, 0] == k).numpy().mean(0) for k in range(8)], axis=-1)
    error = each.std(0, ddof=1) / np.sqrt(len(each))
    assert error.max() < 0.003
    assert 0.5 * np.abs(each.mean(0) - PLANTED).sum() + 4 * error.sum() / 2 < 0.05
