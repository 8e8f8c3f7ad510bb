"""FVBN against a loop over its logistic regressions, and what every model of vectors must satisfy."""

import keras
import numpy as np
import pytest

from tests.autoregressive import pixel_checks as checks
from tests.autoregressive import vector_checks as vectors
from tfgen.autoregressive import FVBN

CASES = [
    {"event_shape": (10,)},
    {"event_shape": (5,), "num_values": 3, "order": "random", "num_orders": 3},
]


@pytest.fixture(scope="module", params=CASES, ids=checks.name)
def model(request):
    return checks.randomize(FVBN(**request.param))


def test_log_prob_is_a_loop_over_regressions(model):
    x = checks.random_images(model, 6)
    kernel, bias = (v.numpy().astype("float64") for v in (model.kernel, model.bias))
    for k, order in enumerate(model.orders):
        total = 0.0
        for position, i in enumerate(order):
            logits = np.tile(bias[i], (len(x), 1))
            for j in order[:position]:
                logits += np.outer(x[:, j] / (model.num_values - 1), kernel[j, i])
            total += vectors.taken(logits, x[:, i])
        np.testing.assert_allclose(model.component_score(x, k), total, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kwargs", [{"order": "random", "num_orders": 2}, {"num_values": 4}], ids=checks.name)
def test_causal_for_every_order(kwargs):
    keras.utils.set_random_seed(3)
    vectors.assert_causal(FVBN((2, 3, 1), **kwargs))


def test_sums_to_one(model):
    vectors.assert_sums_to_one(model)


@pytest.mark.slow
def test_compiled_samples_follow_the_density(model):
    checks.assert_compiled_samples_follow_the_density(model)


def test_the_sampler_computes_the_raw_outputs_and_planted_errors_are_noticed(model):
    vectors.assert_sampler_computes_the_raw_outputs(model, [model.kernel])


@pytest.mark.slow
def test_completion(model):
    vectors.assert_completes(model)


def test_temperature_zero_takes_the_mode_of_each_conditional():
    model = checks.randomize(FVBN((3, 2, 1)))
    drawn = model.sample(4, seed=1, temperature=0.0).numpy()
    np.testing.assert_array_equal(drawn, model.raw(drawn).numpy()[..., 0] > 0.0)


def test_biases_start_at_the_data():
    for num_values in (2, 3):
        model = FVBN((4,), num_values=num_values)
        x = np.random.default_rng(0).integers(0, num_values, (500, 4)) * np.array([0, 1, 1, 1])
        model.begin({"x": x}, None)
        model.kernel.assign(0.0 * model.kernel)
        probs = np.exp(vectors.Component(model, 0).log_prob(x[:, None].astype("float32")).numpy())
        counts = np.stack([(x == v).sum(0) + 1 for v in range(num_values)]) / (500.0 + num_values)
        np.testing.assert_allclose(probs, np.prod(counts[x, np.arange(4)], axis=1), rtol=1e-4)


def test_the_drawing_order_is_when_a_pixel_is_whole():
    np.testing.assert_array_equal(FVBN((2, 2, 1)).drawing_order, [[0, 1], [2, 3]])
    model = FVBN((2, 3, 3), order="random", order_seed=4)
    last = [[max(list(model.orders[0]).index(9 * r + 3 * c + k) for k in range(3)) for c in range(3)]
            for r in range(2)]  # fmt: skip
    np.testing.assert_array_equal(model.drawing_order, last)
    assert FVBN((2, 3, 1), order="random", num_orders=3).drawing_order is None


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"event_shape": (None, 3)}, r"event_shape must hold fixed sizes, got \(None, 3\)"),
        ({"num_orders": 2}, "num_orders must be 1 unless order='random', got 2"),
        ({"order": "spiral"}, "order must be one of 'raster', 'random', got 'spiral'"),
        ({"order_seed": -1}, "order_seed must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FVBN(**{"event_shape": (4,)} | kwargs)


@pytest.mark.learn
@pytest.mark.slow
def test_learns_digits_better_than_independent_pixels():
    keras.utils.set_random_seed(17)
    nats, independent = vectors.digit_nats(FVBN((8, 8, 1)))
    assert nats < 0.85 * independent
