"""The convolutional RBM against a dense one of tied weights, its blocks and stacks against enumeration.

Statistical tests use fixed seeds; chi-square tests fail falsely once in 100,000 runs.
"""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from scipy.special import logsumexp

from tfgen import data
from tfgen.energy import RBM, ConvolutionalRBM
from tfgen.energy.units import Blocks
from tfgen.estimators.samples import ClassifierFeatures, compare
from tfgen.training import train
from tfgen.training.checkpoints import restore_weights


def states(units):
    return ((np.arange(2**units)[:, None] >> np.arange(units)) & 1).astype(np.float64)


def array(variable):
    return np.asarray(variable.numpy(), np.float64)


def with_weights(shape, scale=1.0, **kwargs):
    draw = np.random.RandomState(0)
    model = ConvolutionalRBM(shape, **kwargs)
    for machine in model.machines():
        for variable in (machine.kernel, machine.visible_bias, machine.hidden_bias):
            variable.assign(scale * draw.randn(*variable.shape))
        if model.hidden_offset is not None:
            for variable in (machine.visible_offset, machine.hidden_offset):
                variable.assign(draw.uniform(0.1, 0.9, variable.shape))
    return model


def dense(machine):
    """The kernel as a matrix `[visible, detection units]`, by the definition of a correlation."""
    kernel, (rows, columns, channels) = array(machine.kernel), machine.event_shape
    out, size = machine.detection_shape, machine.kernel.shape[0]
    matrix = np.zeros([rows, columns, channels, *out])
    for r, c, k in np.ndindex(*out):
        matrix[r : r + size, c : c + size, :, r, c, k] = kernel[:, :, :, k]
    return matrix.reshape(rows * columns * channels, -1)


def assert_drawn_from(indices, p):
    """Chi-square at 1e-5; states expected fewer than five times are taken together."""
    count, expected = np.bincount(indices, minlength=len(p)), p * len(indices)
    rare = expected < 5
    if rare.any():
        count = np.append(count[~rare], count[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    kept = expected > 0
    assert count[~kept].sum() == 0
    statistic = ((count - expected)[kept] ** 2 / expected[kept]).sum()
    assert scipy.stats.chi2.sf(statistic, kept.sum() - 1) > 1e-5


def numbers(v):
    v = np.asarray(v).reshape(len(v), -1)
    return (v @ (1 << np.arange(v.shape[1]))).astype(int)


@pytest.mark.parametrize("centring", [False, True])
def test_is_the_dense_rbm_with_tied_weights(centring):
    """Without pooling, of two channels and no square: free energy, log Z, means, both maps, flips."""
    sizes = {"filters": (3,), "kernel_size": (2,), "pooling": (1,), "centring": centring}
    model = with_weights((3, 2, 2), 0.5, **sizes)
    matrix, size = dense(model), 6
    other = RBM(12, size, centring=centring)
    if centring:
        other.visible_offset.assign(np.tile(array(model.visible_offset), 6))
        other.hidden_offset.assign(np.tile(array(model.hidden_offset), 2))
    other.kernel.assign(matrix)
    other.visible_bias.assign(np.tile(array(model.visible_bias), 6))
    other.hidden_bias.assign(np.tile(array(model.hidden_bias), 2))
    x = states(12)[::7].reshape(-1, 3, 2, 2)
    np.testing.assert_allclose(model.log_prob(x), other.log_prob(x.reshape(-1, 12)), rtol=1e-5, atol=1e-5)
    assert float(model.log_partition()) == pytest.approx(float(other.log_partition()), abs=1e-4)
    np.testing.assert_allclose(model.encode(x), other.encode(x.reshape(-1, 12)), atol=1e-5)
    found = model.reconstruct(x).numpy().reshape(-1, 12)
    np.testing.assert_allclose(found, other.reconstruct(x.reshape(-1, 12)), atol=1e-5)
    (coupling,) = model.joint.couplings
    eye = tf.constant(np.eye(size), tf.float32)
    np.testing.assert_allclose(coupling.to_first(eye), matrix.T, atol=1e-6)
    np.testing.assert_allclose(coupling.rows("v", tf.range(12)), matrix, atol=1e-6)
    np.testing.assert_allclose(coupling.rows("h", tf.range(size)), matrix.T, atol=1e-6)


SHAPE, POOL = (2, 4, 2), 2  # Four blocks of four units.


def listed():
    """Every state of the blocks, `[625, 16]`, of each one of its units or none; and where the blocks are."""
    places = []
    for r, c, k in itertools.product(range(1), range(2), range(2)):
        inside = [(2 * r + i, 2 * c + j, k) for i in range(2) for j in range(2)]
        places.append([np.ravel_multi_index(each, SHAPE) for each in inside])
    found = []
    for choice in itertools.product(range(5), repeat=4):
        s = np.zeros(16)
        for block, which in zip(places, choice, strict=True):
            if which:
                s[block[which - 1]] = 1.0
        found.append(s)
    return np.array(found), places


def blocks_and_field(centring=False):
    draw = np.random.RandomState(1)
    model = ConvolutionalRBM((2, 4, 1), (2,), (1,), (2,), centring=centring)
    model.hidden_bias.assign(draw.randn(2))
    units = model.joint.units["h"]
    assert isinstance(units, Blocks) and units.shape == SHAPE
    field = draw.randn(3, 16)
    return units, field, np.tile(array(model.hidden_bias), 8)


@pytest.mark.parametrize("centring", [False, True])
def test_pooling_sums_are_those_of_the_listed_states(centring):
    """Centred ones see units less a fifth, which is their mean where nothing is known."""
    units, field, bias = blocks_and_field(centring)
    every, places = listed()
    given = tf.constant(field, tf.float32)
    offset = 0.2 * centring
    np.testing.assert_allclose(units.statistic(tf.ones([1, 16])), np.full((1, 16), 1 - offset), rtol=1e-6)
    for beta in (1.0, 0.3):
        log_f = beta * (every @ bias + field @ (every - offset).T)
        np.testing.assert_allclose(units.log_sum(given, beta), logsumexp(log_f, axis=1), rtol=1e-5)
        p = np.exp(log_f - logsumexp(log_f, axis=1)[:, None])
        np.testing.assert_allclose(units.mean(given, beta), p @ every, atol=1e-5)
    log_f = every @ bias + field @ (every - offset).T
    change = logsumexp(log_f, axis=1) - logsumexp(0.3 * log_f, axis=1)
    found = units.log_sum_change(given, tf.constant(0.3), tf.constant(1.0))
    np.testing.assert_allclose(found, change, rtol=1e-5)
    log_p = (field + bias) @ every.T
    log_p -= logsumexp(log_p, axis=1)[:, None]
    entropy = units.entropy(units.mean(given))
    np.testing.assert_allclose(entropy, -(np.exp(log_p) * log_p).sum(1), rtol=1e-4)
    # The states that are enumerated are these, each once.
    enumerated = units.states(tf.range(units.num_states, dtype=tf.int64)).numpy()
    assert units.num_states == 625
    assert {tuple(s) for s in enumerated} == {tuple(s) for s in every} and len(enumerated) == 625
    pooled = units.pooled(tf.constant(every, tf.float32)).numpy()
    np.testing.assert_array_equal(pooled, np.stack([every[:, block].sum(1) for block in places], axis=1))


def test_blocks_are_drawn_from_their_softmax_and_within_known_pools():
    units, field, bias = blocks_and_field()
    every, places = listed()
    number = {tuple(s): i for i, s in enumerate(every)}
    many = tf.constant(np.repeat(field[:1], 20_000, axis=0), tf.float32)
    log_p = (field[0] + bias) @ every.T
    drawn = units.draw(tf.constant([0, 1]), many).numpy()
    assert_drawn_from(np.array([number[tuple(s)] for s in drawn]), np.exp(log_p - logsumexp(log_p)))
    pools = np.array([1.0, 0.0, 0.0, 1.0])
    same = np.stack([every[:, block].sum(1) for block in places], axis=1) == pools
    log_p = np.where(same.all(1), log_p, -np.inf)
    known = tf.constant(np.repeat(pools[None], 20_000, axis=0), tf.float32)
    drawn = units.draw_within(tf.constant([0, 2]), many, known).numpy()
    assert_drawn_from(np.array([number[tuple(s)] for s in drawn]), np.exp(log_p - logsumexp(log_p)))


def pooled_table(machine):
    """-E of every v and every state of the blocks, and the pooled units of the latter."""
    units = machine.joint.units["h"]
    s = units.states(tf.range(units.num_states, dtype=tf.int64)).numpy()
    v = states(machine.num_visible)
    bias = np.tile(array(machine.hidden_bias), s.shape[1] // len(array(machine.hidden_bias)))
    log_f = v @ dense(machine) @ s.T + s @ bias
    log_f += (v @ np.tile(array(machine.visible_bias), machine.num_visible))[:, None]
    return log_f, units.pooled(tf.constant(s)).numpy()


def test_free_energy_and_partition_function_with_pooling():
    model = with_weights((3, 3, 1), 0.7, filters=(2,), kernel_size=(2,), pooling=(2,))
    log_f, _ = pooled_table(model)
    np.testing.assert_allclose(
        model.log_prob(states(9).reshape(-1, 3, 3, 1)), logsumexp(log_f, axis=1), rtol=1e-5, atol=1e-5
    )
    assert float(model.log_partition()) == pytest.approx(logsumexp(log_f), abs=1e-4)


@pytest.mark.slow
def test_a_stack_draws_from_the_machine_above_and_then_below():
    """p(v) = sum_p p_above(p) p(v | p), enumerated; and a sweep below leaves p(v | p) as it is."""
    model = with_weights((3, 3, 1), 0.7, filters=(2, 2), kernel_size=(2, 1), pooling=(2, 1))
    log_f, pools = pooled_table(model)
    p_above = np.exp(model.above.log_prob(states(2).reshape(-1, 1, 1, 2)).numpy().astype(np.float64))
    p_above /= p_above.sum()
    given = np.zeros([4, 512])
    for number, pool in enumerate(states(2)):
        log_p = logsumexp(log_f[:, (pools == pool).all(1)], axis=1)
        given[number] = np.exp(log_p - logsumexp(log_p))
    drawn = model.sample(20_000, seed=1, num_steps=40)
    assert_drawn_from(numbers(drawn), p_above @ given)
    start = np.random.RandomState(0).choice(512, 20_000, p=given[2])
    known = tf.constant(np.repeat(states(2)[2:3], 20_000, axis=0), tf.float32)
    v = tf.constant(states(9)[start], tf.float32)
    moved = model.given_pooled(v, known, tf.constant([0, 1]))
    assert np.mean(moved != v) > 0.1
    assert_drawn_from(numbers(moved), given[2])


def test_a_machine_of_a_stack_learns_from_pooled_draws_of_the_one_below():
    model = with_weights((3, 3, 1), filters=(2, 2), kernel_size=(2, 1), pooling=(2, 1))
    x = tf.constant(np.repeat(states(9)[[137]], 20_000, axis=0), tf.float32)
    drawn = model.inputs(1, x, tf.constant([0, 1])).numpy()
    log_f, pools = pooled_table(model)
    p = np.exp(log_f[137] - logsumexp(log_f[137]))
    np.testing.assert_allclose(drawn.mean(0), p @ pools, atol=0.02)
    # Each stage moves its own machine, and no other: three weights and the chains.
    stack = ConvolutionalRBM((6, 6, 1), (2, 2, 2), (3, 2, 1), (2, 1, 1))
    names = [update.name for stage in stack.stages() for update in stage.updates]
    assert names == ["layer_1", "layer_2", "layer_3"]
    moved = [v.path for stage in stack.stages() for v in stage.updates[0].variables]
    assert len(moved) == len(set(moved)) == 12


@pytest.mark.parametrize("centring", [False, True])
def test_gaussian_visible_units_integrate_to_the_partition_function(centring):
    sizes = {"filters": (2,), "kernel_size": (1,), "pooling": (1,), "centring": centring}
    model = with_weights((1, 2, 1), 0.7, values="real", **sizes)
    model.log_variance.assign([-0.4])
    edges = np.linspace(-9.0, 9.0, 601)
    middle = (edges[1:] + edges[:-1]) / 2
    grid = np.stack(np.meshgrid(middle, middle), -1).reshape(-1, 1, 2, 1)
    log_f = np.concatenate([model.log_prob(part).numpy() for part in np.split(grid, 10)]).astype(np.float64)
    assert float(model.log_partition()) == pytest.approx(logsumexp(log_f) + 2 * np.log(0.03), abs=1e-3)


def test_centred_filters_begin_at_the_mean_of_each_channel():
    model = ConvolutionalRBM((4, 4, 2), (2, 3), (3, 1), (2, 1), centring=True)
    x = tf.constant(np.random.RandomState(0).binomial(1, [0.2, 0.9], (50, 4, 4, 2)), tf.float32)
    model.stages()[0].on_enter({"x": x}, tf.constant([0, 1]))
    np.testing.assert_allclose(model.visible_offset, x.numpy().mean((0, 1, 2)), atol=0.02)
    np.testing.assert_allclose(model.hidden_offset, [0.2, 0.2], rtol=1e-6)
    np.testing.assert_allclose(model.above.hidden_offset, [0.5, 0.5, 0.5], rtol=1e-6)


@pytest.mark.learn
@pytest.mark.slow
def test_a_stack_draws_digits(tmp_path):
    """Samples of the app's stack beside test digits: digit-FID, and how many a classifier is sure of."""
    digits = data.load("digits", binarize="threshold")
    model = ConvolutionalRBM(digits.event_shape, (64, 200), (5, 2))
    options = {"batch_size": 100, "checkpoint_every": 3000, "log": lambda line: None}
    optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.998)
    train(model, digits, 6000, tmp_path, optimizer=optimizer, **options)
    restore_weights(model, tmp_path / "checkpoints", "last", options["log"])
    real, test = (s.x.astype(np.float32) for s in (digits.train, digits.test))
    reader = ClassifierFeatures(real, digits.train.label)
    drawn = model.sample(360, seed=1).numpy()
    distance = compare(test, drawn, reader)["frechet_distance"]
    sure = [np.mean(reader.probabilities(x).max(axis=1) > 0.9) for x in (drawn, test)]
    print(f"digit-FID {distance:.2f}, read with confidence {sure[0]:.3f}, test digits {sure[1]:.3f}")
    assert distance < 8.0 and sure[0] > 0.2


def test_bad_arguments_are_named():
    for arguments, message in [
        ({"event_shape": (8, 8)}, r"event_shape=\(8, 8\) must be \(height, width, channels\)"),
        ({"kernel_size": (9,)}, "kernel_size=9 is larger than the image of 8 x 8"),
        ({"kernel_size": (4,)}, "pooling=2 does not divide the 5 x 5 detection units of filters of 4"),
        ({"filters": (2, 2), "kernel_size": (3, 3, 3)}, r"kernel_size=\(3, 3, 3\) must be one number, or 2"),
        ({"filters": ()}, "filters"),
        ({"values": "unit"}, "values must be one of 'levels', 'real', got 'unit'"),
    ]:
        with pytest.raises(ValueError, match=message):
            ConvolutionalRBM(**{"event_shape": (8, 8, 1)} | arguments)
    stack = ConvolutionalRBM((8, 8, 1), (2, 2), pooling=(2, 1))
    with pytest.raises(ValueError, match="of several machines has no density"):
        stack.log_prob(np.zeros((1, 8, 8, 1)))
    with pytest.raises(ValueError, match="of several machines completes nothing"):
        stack.sample(1, given=np.zeros((8, 8, 1)), mask=np.zeros((8, 8, 1)))
