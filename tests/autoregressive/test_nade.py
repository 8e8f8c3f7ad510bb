"""NADE against its formula entry by entry, its gradient against autodiff, EoNADE against all orders."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tests.autoregressive import vector_checks as vectors
from tfgen import random
from tfgen.autoregressive import FVBN, NADE
from tfgen.autoregressive.vectors.nade import recursion

PLAIN = {"event_shape": (10,), "hidden": (8,)}
ORDERS = {
    "event_shape": (5,), "hidden": (6,), "num_values": 3, "order": "random", "num_orders": 3,
    "activation": "relu",
}  # fmt: skip
DEEP = {"event_shape": (3, 2, 1), "hidden": (9, 8), "agnostic": True, "order": "random", "num_orders": 3}


@pytest.fixture(scope="module", params=[PLAIN, ORDERS, DEEP], ids=["plain", "orders", "agnostic"])
def model(request):
    return checks.randomize(NADE(**request.param))


def loop(model, x, order):
    """log p of each conditional of x `[batch, entries]`, by the formula in NumPy: float64 `[batch]`."""
    f = {"sigmoid": lambda a: 1 / (1 + np.exp(-a)), "relu": lambda a: np.maximum(a, 0)}[model.activation]
    value = {v.name: v.numpy().astype("float64") for v in model.trainable_variables}
    readout = value["readout"].reshape(model.entries, model.law.size, -1)
    total = 0.0
    for position, i in enumerate(order):
        known = list(order[:position])
        a = value["hidden_bias"] + x[:, known] / (model.num_values - 1) @ value["kernel"][known]
        if model.agnostic:
            a = a + value["mask_kernel"][known].sum(0)
        h = f(a)
        for layer in range(1, len(model.deep) + 1):
            h = f(h @ value[f"kernel_{layer}"] + value[f"hidden_bias_{layer}"])
        logits = h @ readout[i].T + value["bias"][i]
        total += vectors.taken(logits, x[:, i])
    return total


def test_log_prob_is_a_loop_over_the_entries(model):
    x = checks.random_images(model, 6)
    flat = x.reshape(6, -1)
    each = np.stack([loop(model, flat, order) for order in model.orders])
    for k, expected in enumerate(each):
        np.testing.assert_allclose(model.component_score(x, k), expected, rtol=1e-5, atol=1e-5)
    mixture = np.logaddexp.reduce(each) - np.log(len(each))
    np.testing.assert_allclose(model.log_prob(x), mixture, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "kwargs",
    [{"hidden": (7,), "order": "random", "num_orders": 2}, {"hidden": (7,), "num_values": 4}, DEEP],
    ids=["orders", "levels", "agnostic"],
)
def test_causal_for_every_order(kwargs):
    keras.utils.set_random_seed(3)
    vectors.assert_causal(NADE(**{"event_shape": (2, 3, 1)} | kwargs))


def test_sums_to_one(model):
    vectors.assert_sums_to_one(model)


@pytest.mark.slow
def test_compiled_samples_follow_the_density(model):
    checks.assert_compiled_samples_follow_the_density(model)


@pytest.mark.slow
def test_the_sampler_computes_the_raw_outputs_and_planted_errors_are_noticed():
    for kwargs in (PLAIN, ORDERS):
        model = checks.randomize(NADE(**kwargs))
        vectors.assert_sampler_computes_the_raw_outputs(model, [model.kernel, model.readout])


def test_the_agnostic_sampler_computes_the_raw_outputs_of_the_order_it_takes():
    """A third of the entries is known and comes first, in the component's order."""
    model = checks.randomize(NADE(**DEEP | {"num_orders": 1}))
    x = checks.random_images(model, 5)
    mask = np.zeros((5, model.entries), bool)
    mask[:, [4, 1]] = True
    mask = mask.reshape(x.shape)
    drawn = model.scan(checks.rows(5), given=tf.constant(x), mask=tf.constant(mask), with_raw=True)
    order = [i for i in model.orders[0] if i in (1, 4)] + [i for i in model.orders[0] if i not in (1, 4)]
    model.orders = np.array([order], np.int32)
    np.testing.assert_array_equal(drawn["x"].numpy()[mask], x[mask])
    np.testing.assert_allclose(drawn["raw"], model.raw(drawn["x"]), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [PLAIN, ORDERS], ids=["plain", "orders"])
def test_completion(kwargs):
    vectors.assert_completes(checks.randomize(NADE(**kwargs)))


def naive(x, kernel, readout, bias, activation):
    """The recursion with every hidden layer written out, `[entries, batch, hidden]`."""
    f = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu}[activation]
    a = bias + tf.cumsum(x[:, :, None] * kernel[:, None], axis=0, exclusive=True)
    return tf.einsum("dbh,doh->dbo", f(a), readout)


def differentiated(function, activation, tensors, upstream):
    """The gradients of sum(upstream * output)."""
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        out = function(*tensors, activation)
        total = tf.reduce_sum(upstream * out)
    return out, tape.gradient(total, tensors)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_the_reversed_recursion_is_the_gradient(activation, compiled):
    rng = np.random.default_rng(0)
    shapes = (9, 4), (9, 5), (9, 3, 5), (5,)
    tensors = [tf.constant(rng.normal(size=s), tf.float32) for s in shapes]
    upstream = tf.constant(rng.normal(size=(9, 4, 3)), tf.float32)
    run = tf.function(differentiated, autograph=False, jit_compile=compiled or None)
    out, found = run(recursion, activation, tensors, upstream)
    expected_out, expected = differentiated(naive, activation, tensors, upstream)
    np.testing.assert_allclose(out, expected_out, atol=1e-5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_one_shape_after_another():
    """A trace for each shape: a relaxed one would give gradients the shapes of an earlier call."""
    for entries, hidden, batch in ((6, 7, 8), (11, 13, 7), (6, 7, 3)):
        model = NADE((entries,), hidden=(hidden,))
        x = {"x": tf.constant(checks.random_images(model, batch))}
        objective = tf.function(model.updates()[0].objective, autograph=False)
        with tf.GradientTape() as tape:
            loss, _ = objective(x, random.as_seed(0), tf.constant(0, tf.int64))
        found = tape.gradient(loss, [v.value for v in model.trainable_variables])
        assert [g.shape for g in found] == [v.shape for v in model.trainable_variables]


def test_the_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(1)
    tensors = [tf.constant(rng.normal(size=s), tf.float32) for s in ((6, 3), (6, 4), (6, 1, 4), (4,))]
    upstream = tf.constant(rng.normal(size=(6, 3, 1)), tf.float32)
    _, gradients = differentiated(recursion, "sigmoid", tensors, upstream)
    for i, gradient in enumerate(gradients):
        direction = rng.choice([-1.0, 1.0], tensors[i].shape).astype("float32")
        ends = []
        for size in (1e-2, -1e-2):
            moved = [t + size * direction if j == i else t for j, t in enumerate(tensors)]
            ends.append(tf.reduce_sum(upstream * recursion(*moved, "sigmoid")).numpy())
        np.testing.assert_allclose(
            (ends[0] - ends[1]) / 2e-2, np.sum(direction * gradient), rtol=5e-3, atol=5e-3
        )


def test_the_gradient_keeps_no_hidden_layer_of_all_entries():
    """No tensor of the compiled training graph has entries x batch x hidden numbers."""
    model = NADE((11,), hidden=(13,))
    batch = {"x": tf.constant(checks.random_images(model, 7))}

    @tf.function(autograph=False)
    def gradients(batch):
        with tf.GradientTape() as tape:
            loss, _ = model.updates()[0].objective(batch, random.as_seed(0), tf.constant(0, tf.int64))
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    graph = gradients.get_concrete_function(batch).graph
    graphs, seen = [graph], set()
    while graphs:
        one = graphs.pop()
        sizes = [t.shape.num_elements() for op in one.get_operations() for t in op.outputs]
        assert max(s or 0 for s in sizes) < 11 * 7 * 13
        lists = [op for op in one.get_operations() if op.type == "TensorListReserve"]
        for op in lists:
            shape, number = (tf.get_static_value(t) for t in op.inputs)
            assert np.prod(np.append(shape, number)) < 11 * 7 * 13
        for function in one._functions.values():
            if function.cached_definition.signature.name not in seen:
                seen.add(function.cached_definition.signature.name)
                graphs.append(function.graph)
    assert len(seen) > 2


def test_the_agnostic_objective_is_the_mean_over_all_orders():
    """False failures 1 in 10^6: five standard errors."""
    model = checks.randomize(NADE((3,), hidden=(6, 5), agnostic=True))
    model.orders = np.array(list(itertools.permutations(range(3))), np.int32)
    x = np.array([[1.0, 0.0, 1.0]], np.float32)
    exact = -np.mean([model.component_score(x, k) for k in range(6)])
    batch = {"x": tf.constant(np.repeat(x, 4000, axis=0))}
    objective = tf.function(model.objective, autograph=False)
    means = [objective(batch, random.as_seed(s), tf.constant(0, tf.int64))[0] for s in range(25)]
    assert abs(np.mean(means) - exact) < 5 * np.std(means, ddof=1) / 5 + 1e-5
    assert np.std(means) < 0.05


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"hidden": (3, 4)}, r"hidden must be one size, or several with agnostic=True, got \(3, 4\)"),
        ({"hidden": ()}, r"hidden must be one size, or several with agnostic=True, got \(\)"),
        ({"hidden": (0,)}, "hidden must be a whole number of at least 1, got 0"),
        ({"activation": "step"}, "activation must be one of 'sigmoid', 'relu', got 'step'"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NADE(**{"event_shape": (4,)} | kwargs)


@pytest.mark.learn
@pytest.mark.slow
def test_learns_digits_better_than_fvbn():
    keras.utils.set_random_seed(17)
    nats, independent = vectors.digit_nats(NADE((8, 8, 1), hidden=(128,)))
    regressions, _ = vectors.digit_nats(FVBN((8, 8, 1)))
    assert nats < 0.85 * independent and nats < regressions - 0.3
