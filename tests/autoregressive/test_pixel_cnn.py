"""PixelCNN against enumeration: causality, normalization, and a sampler that agrees with the density."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import PixelCNN

TINY = {"filters": 15, "num_blocks": 2, "hidden": 13, "head": 12}
BINARY = {"event_shape": (3, 3, 1)}
SHAPES = [
    BINARY,
    {"event_shape": (2, 3, 3)},
    {"event_shape": (2, 2, 1), "num_values": 3},
    {"event_shape": (1, 1, 3), "num_values": 4},
    {"event_shape": (2, 2, 1), "num_values": 3, "one_hot": True},
    {"event_shape": (1, 1, 3), "num_values": 4, "one_hot": True},
]


def make(seed=0, gain=1.7, **kwargs):
    """A small PixelCNN with random weights."""
    return checks.randomize(PixelCNN(**TINY | kwargs), seed, gain)


@pytest.fixture(scope="module")
def binary():
    return make(**BINARY)


@pytest.mark.parametrize("num_values", [2, 4])
@pytest.mark.parametrize("shape", [(4, 3, 1), (2, 3, 3)])
def test_each_logit_depends_on_all_earlier_entries_and_no_other(shape, num_values):
    keras.utils.set_random_seed(3)
    model = PixelCNN(shape, num_values=num_values, **TINY | {"filters": 24, "hidden": 24, "head": 24})
    checks.assert_depends_on_all_earlier_entries_and_no_other(model)


@pytest.mark.parametrize("kwargs", SHAPES, ids=checks.name)
def test_changing_an_entry_changes_no_logit_up_to_it(kwargs):
    checks.assert_changing_an_entry_moves_later_logits_only(make(**kwargs))


@pytest.mark.parametrize("kwargs", SHAPES[:1] + SHAPES[2:], ids=checks.name)
def test_probabilities_of_all_images_sum_to_one(kwargs):
    checks.assert_sums_to_one(make(**kwargs))


@pytest.mark.parametrize("kwargs", SHAPES[:1] + SHAPES[2:], ids=checks.name)
def test_samples_follow_the_density(kwargs):
    checks.assert_samples_follow_the_density(make(**kwargs))


@pytest.mark.slow
def test_compiled_samples_follow_the_density_and_do_not_depend_on_their_number(binary):
    checks.assert_compiled_samples_follow_the_density(binary)


CACHED = [
    {"event_shape": (6, 5, 1)},
    {"event_shape": (5, 6, 3)},
    {"event_shape": (4, 5, 3), "num_values": 4, "one_hot": True},
    {"event_shape": (5, 7, 1), "num_values": 5, "kernel_size": 5, "first_kernel_size": 3},
    {"event_shape": (1, 4, 1)},
]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["initial", "trained", "large"])
@pytest.mark.parametrize("kwargs", CACHED, ids=checks.name)
def test_logits_of_the_sampler_equal_those_of_the_whole_network(kwargs, state):
    keras.utils.set_random_seed(6)
    model = make(gain=20.0, **kwargs) if state == "large" else PixelCNN(**TINY | kwargs)
    if state == "trained":
        checks.train(model)
    checks.assert_sampler_computes_the_logits(model)


def test_a_planted_error_in_one_tap_is_noticed():
    model = make(event_shape=(6, 5, 1))
    layers = (model.first, (0, 6)), (model.blocks[1].middle, (0, 2)), (model.blocks[0].middle, (1, 0))
    checks.assert_planted_errors_are_noticed(model, [(layer.kernel, tap) for layer, tap in layers])


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [BINARY, SHAPES[2], SHAPES[3]], ids=checks.name)
def test_completion_keeps_known_entries_and_draws_the_others_from_their_conditionals(kwargs):
    checks.assert_completes(make(seed=9, **kwargs))


@pytest.mark.parametrize("kwargs", SHAPES[1:4], ids=checks.name)
def test_temperature_zero_is_the_chain_of_modes(kwargs):
    checks.assert_temperature_zero_is_the_chain_of_modes(make(seed=12, **kwargs))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("kwargs", SHAPES[2:4], ids=checks.name)
def test_temperature_divides_the_logits(kwargs, temperature):
    checks.assert_temperature_divides_the_logits(make(seed=13, **kwargs), temperature)


def test_temperature_divides_the_logit_of_two_levels(binary):
    checks.assert_temperature_divides_the_logits(binary, 1.7, seed=14)


@pytest.mark.slow
def test_served_completion_is_the_sampler(binary):
    checks.assert_served_completion_is_the_sampler(binary)
    served = binary.signatures()["complete"]
    x, mask = np.zeros((2, 5, 3, 3, 1), "float32")
    with pytest.raises(tf.errors.InvalidArgumentError, match="mask must hold 0 and 1"):
        tf.function(served.function, autograph=False)(x=x, mask=mask + 2.0, seeds=checks.rows(5))


def test_objective_is_the_mean_of_minus_log_prob_and_reaches_every_weight(binary):
    checks.assert_objective_reaches_every_weight(binary)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"event_shape": (8, 8)}, r"event_shape must be \(rows, columns, channels\), got \(8, 8\)"),
        ({"event_shape": (None, 8, 1)}, "event_shape must be"),
        ({"filters": 0}, "filters must be a whole number of at least 1, got 0"),
        ({"event_shape": (2, 2, 3), "hidden": 2}, "hidden must be a whole number of at least 3, got 2"),
        ({"head": 1.5}, "head must be a whole number of at least 1, got 1.5"),
        ({"num_blocks": 0}, "num_blocks must be a whole number of at least 1, got 0"),
        ({"kernel_size": 4}, "kernel_size must be an odd whole number of at least 3, got 4"),
        ({"first_kernel_size": 1}, "first_kernel_size must be an odd whole number of at least 3, got 1"),
        ({"num_values": 1}, "num_values must be a whole number of at least 2, got 1"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PixelCNN(**{"event_shape": (4, 4, 1)} | TINY | kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"temperature": -1.0}, "temperature must be finite and not negative, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be finite and not negative, got nan"),
        ({"given": np.zeros((3, 3, 1))}, "given and mask go together, got mask=None"),
        ({"mask": np.zeros((3, 3, 1))}, "given and mask go together, got given=None"),
        ({"given": np.zeros((3, 3, 1)), "mask": np.zeros((3, 3))}, r"mask must have shape \[3, 3, 1\] or"),
        ({"given": np.zeros((5, 3, 3, 1)), "mask": np.zeros((3, 3, 1))}, "given must have shape"),
        (
            {"given": np.zeros((3, 3, 1)), "mask": np.full((3, 3, 1), 0.5)},
            "mask must hold 0 and 1; the values given range from 0.5",
        ),
        (
            {"given": np.full((3, 3, 1), 2.0), "mask": np.ones((3, 3, 1))},
            "given must hold integer values 0 to 1",
        ),
    ],
)
def test_bad_sampling_arguments_name_themselves(binary, kwargs, message):
    with pytest.raises(ValueError, match=message):
        binary.sample(2, seed=0, **kwargs)


@pytest.mark.slow
def test_learns_digits_better_than_independent_pixels():
    digits = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(digits.train.x, "float32"), np.asarray(digits.test.x, "float32")
    keras.utils.set_random_seed(17)
    model = PixelCNN(digits.event_shape, filters=32, num_blocks=3, hidden=16, head=16)
    model.compile(keras.optimizers.Adam(3e-3), seed=17)
    model.fit(train_x, batch_size=64, epochs=12, verbose=0)
    independent = checks.independent_nats(train_x, test_x)
    nats = -np.mean(model.log_prob(test_x))
    assert nats < 0.9 * independent
