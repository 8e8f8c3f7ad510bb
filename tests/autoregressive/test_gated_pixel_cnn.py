"""GatedPixelCNN against enumeration: no blind spot, causality, normalization, samples, conditions."""

import keras
import numpy as np
import pytest

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import GatedPixelCNN, PixelCNN

TINY = {"filters": 14, "num_layers": 3, "head": 13}
BINARY = {"event_shape": (3, 3, 1)}
SHAPES = [
    BINARY,
    {"event_shape": (2, 3, 3)},
    {"event_shape": (2, 2, 1), "num_values": 3},
    {"event_shape": (1, 1, 3), "num_values": 4},
    {"event_shape": (1, 1, 3), "num_values": 4, "one_hot": True},
]
LABELS = {"condition": "label", "num_classes": 3}


def make(seed=0, gain=1.7, **kwargs):
    """A small GatedPixelCNN with random weights."""
    return checks.randomize(GatedPixelCNN(**TINY | kwargs), seed, gain)


@pytest.fixture(scope="module")
def binary():
    return make(**BINARY)


@pytest.fixture(scope="module")
def labelled():
    return make(event_shape=(2, 3, 1), **LABELS)


@pytest.mark.parametrize("num_values", [2, 4])
@pytest.mark.parametrize("shape", [(4, 3, 1), (2, 3, 3)])
def test_each_logit_depends_on_all_earlier_entries_and_no_other(shape, num_values):
    keras.utils.set_random_seed(3)
    model = GatedPixelCNN(shape, num_values=num_values, **TINY | {"filters": 24, "head": 36})
    checks.assert_depends_on_all_earlier_entries_and_no_other(model)


def test_there_is_no_blind_spot_where_masked_kernels_have_one():
    keras.utils.set_random_seed(4)
    small = {"event_shape": (5, 7, 1), "kernel_size": 3, "first_kernel_size": 3, "head": 24}
    gated, masked = GatedPixelCNN(filters=16, num_layers=7, **small), PixelCNN(num_blocks=7, **small)
    x = checks.random_images(gated, 1, seed=5)[0]
    earlier = checks.earlier(gated)
    np.testing.assert_array_equal(checks.dependence(gated, x), earlier)
    row, column = np.divmod(np.arange(35), 7)
    up, right = row[:, None] - row, column - column[:, None]
    # Each 3x3 kernel that goes one pixel to the right goes one row up.
    np.testing.assert_array_equal(checks.dependence(masked, x), earlier & (right <= up))
    assert np.sum(earlier & (right > up)) > 50


@pytest.mark.parametrize("kwargs", SHAPES, ids=checks.name)
def test_changing_an_entry_changes_no_logit_up_to_it(kwargs):
    checks.assert_changing_an_entry_moves_later_logits_only(make(**kwargs))


@pytest.mark.parametrize("kwargs", [BINARY, *SHAPES[2:]], ids=checks.name)
def test_probabilities_of_all_images_sum_to_one(kwargs):
    checks.assert_sums_to_one(make(**kwargs))


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", SHAPES[2:4], ids=checks.name)
def test_samples_follow_the_density(kwargs):
    checks.assert_samples_follow_the_density(make(**kwargs))


@pytest.mark.slow
def test_compiled_samples_follow_the_density_and_do_not_depend_on_their_number(binary):
    checks.assert_compiled_samples_follow_the_density(binary)


CACHED = [
    {"event_shape": (6, 5, 1)},
    {"event_shape": (4, 5, 3), "num_values": 4, "one_hot": True},
    {"event_shape": (5, 7, 1), "num_values": 5, "kernel_size": 5, "first_kernel_size": 3},
    {"event_shape": (1, 4, 1)},
    {"event_shape": (5, 1, 3)},
]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["trained", "large"])
@pytest.mark.parametrize("kwargs", CACHED, ids=checks.name)
def test_logits_of_the_sampler_equal_those_of_the_whole_network(kwargs, state):
    keras.utils.set_random_seed(6)
    model = make(gain=20.0, **kwargs) if state == "large" else GatedPixelCNN(**TINY | kwargs)
    if state == "trained":
        checks.train(model)
    checks.assert_sampler_computes_the_logits(model)


def test_logits_of_the_sampler_equal_those_of_the_whole_network_given_labels(labelled):
    checks.assert_sampler_computes_the_logits(labelled, condition=np.array([2, 0, 1], "int32"))


@pytest.mark.slow
def test_a_planted_error_in_one_tap_is_noticed():
    model = make(event_shape=(6, 5, 1))
    first, middle, last = model.stack
    places = [
        (first.vertical.kernel, (0, 6)),
        (middle.vertical.kernel, (1, 2)),
        (last.vertical.kernel, (0, 0)),
        (first.horizontal.kernel, (0, 0)),
        (last.horizontal.kernel, (0, 0)),
        (middle.link.kernel, 3),
    ]
    checks.assert_planted_errors_are_noticed(model, places)


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [BINARY, SHAPES[3]], ids=checks.name)
def test_completion_keeps_known_entries_and_draws_the_others_from_their_conditionals(kwargs):
    checks.assert_completes(make(seed=9, **kwargs))


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", SHAPES[1:4], ids=checks.name)
def test_temperature_zero_is_the_chain_of_modes(kwargs):
    checks.assert_temperature_zero_is_the_chain_of_modes(make(seed=12, **kwargs))


@pytest.mark.parametrize(("kwargs", "temperature"), [(BINARY, 1.7), (SHAPES[2], 0.5)])
def test_temperature_divides_the_logits(kwargs, temperature):
    checks.assert_temperature_divides_the_logits(make(seed=13, **kwargs), temperature)


@pytest.mark.parametrize("label", range(3))
def test_given_a_label_probabilities_sum_to_one_and_samples_follow_them(labelled, label):
    label = np.int32(label)
    checks.assert_sums_to_one(labelled, label)
    checks.assert_samples_follow_the_density(labelled, seed=20, condition=label)


def test_each_layer_of_both_stacks_reads_the_condition(labelled):
    x = checks.random_images(labelled, 1)
    right = labelled.logits(x, np.array([1], "int32")).numpy()
    for bias in labelled.biases:
        kept = bias.kernel.numpy()
        bias.kernel.assign(np.zeros_like(kept))
        assert np.abs(labelled.logits(x, np.array([1], "int32")).numpy() - right).max() > 1e-3
        bias.kernel.assign(kept)


@pytest.mark.slow
def test_distribution_has_the_batch_shape_of_its_condition():
    labelled = make(event_shape=(2, 2, 1), **LABELS)
    distribution = labelled.distribution(np.array([[0, 1, 2], [2, 2, 0]], "int32"))
    assert distribution.batch_shape == (2, 3) and distribution.event_shape == (2, 2, 1)
    x = checks.every_image(labelled)[7]
    each = [labelled.log_prob(x[None], condition=np.array([c], "int32"))[0] for c in range(3)]
    np.testing.assert_allclose(distribution.log_prob(x), np.take(each, [[0, 1, 2], [2, 2, 0]]), rtol=1e-5)
    assert distribution.sample(4, seed=(1, 2)).shape == (4, 2, 3, 2, 2, 1)


def test_a_vector_conditions_all_logits():
    model = make(event_shape=(2, 2, 1), condition="vector", condition_size=4)
    vector = np.array([0.3, -1.0, 2.0, 0.5], "float32")
    checks.assert_sums_to_one(model, vector)
    checks.assert_sampler_computes_the_logits(model, condition=np.stack([vector, -vector, 0 * vector]))
    x = checks.every_image(model)[:1]
    assert np.all(np.abs(model.logits(x, vector[None]) - model.logits(x, -vector[None])) > 1e-3)


def test_objective_is_the_mean_of_minus_log_prob_and_reaches_every_weight(binary):
    checks.assert_objective_reaches_every_weight(binary)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"filters": 0}, "filters must be a whole number of at least 1, got 0"),
        ({"event_shape": (2, 2, 3), "head": 2}, "head must be a whole number of at least 3, got 2"),
        ({"num_layers": 1}, "num_layers must be a whole number of at least 2, got 1"),
        ({"kernel_size": 4}, "kernel_size must be an odd whole number of at least 3, got 4"),
        ({"first_kernel_size": 1}, "first_kernel_size must be an odd whole number of at least 3, got 1"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GatedPixelCNN(**{"event_shape": (4, 4, 1)} | TINY | kwargs)


@pytest.mark.slow
def test_learns_digits_better_than_independent_pixels_and_its_labels():
    digits = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(digits.train.x, "float32"), np.asarray(digits.test.x, "float32")
    keras.utils.set_random_seed(17)
    kwargs = {"condition": "label", "num_classes": 10}
    model = GatedPixelCNN(digits.event_shape, filters=24, num_layers=4, head=24, **kwargs)
    model.compile(keras.optimizers.Adam(3e-3), seed=17)
    model.fit(train_x, np.asarray(digits.train.label, "int32"), batch_size=64, epochs=12, verbose=0)
    every = [model.log_prob(test_x, condition=np.full(len(test_x), c, "int32")).numpy() for c in range(10)]
    truth = np.asarray(digits.test.label)
    nats = -np.mean(np.choose(truth, every))
    assert nats < 0.85 * checks.independent_nats(train_x, test_x)
    # Bayes' rule with equal priors.
    assert np.mean(np.argmax(every, axis=0) == truth) > 0.7
