"""MultiScalePixelCNN against enumeration: its own order, normalization, samples, conditions, passes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import MultiScalePixelCNN
from tfgen.autoregressive.pixels.multiscale_pixel_cnn import merge, split

TINY = {"base_size": 2, "filters": 14, "num_blocks": 1, "base_filters": 13, "base_blocks": 1}
BINARY = {"event_shape": (3, 3, 1)}
LEVELS = {"event_shape": (2, 2, 1), "num_values": 3, "base_size": 1}
COLORS = {"event_shape": (1, 1, 3), "num_values": 4}
# Two scales, an odd height; one row or column, where groups are empty.
TALL = {"event_shape": (4, 3, 1), "base_size": 1}
ROW = {"event_shape": (1, 3, 2), "base_size": 1, "one_hot": True}
COLUMN = {"event_shape": (3, 1, 2), "base_size": 1}
LABELS = {"condition": "label", "num_classes": 3}


def make(seed=0, gain=1.7, **kwargs):
    """A small MultiScalePixelCNN with random weights."""
    return checks.randomize(MultiScalePixelCNN(**TINY | kwargs), seed, gain)


@pytest.fixture(scope="module")
def binary():
    return make(**BINARY)


@pytest.fixture(scope="module")
def labelled():
    return make(event_shape=(2, 3, 1), **LABELS | {"base_size": 1})


@pytest.mark.parametrize("shape", [(4, 6, 1), (5, 3, 2), (1, 4, 1), (3, 1, 3), (1, 1, 1)])
def test_merged_groups_are_the_image(shape):
    x = tf.constant(np.random.default_rng(0).normal(size=(2, *shape)), tf.float32)
    parts = split(x)
    np.testing.assert_array_equal(parts[0], x[:, ::2, ::2])
    assert {part.shape for part in parts} == {parts[0].shape}
    np.testing.assert_array_equal(merge(dict(enumerate(parts)), shape[:2]), x)


def test_order_goes_from_scale_to_scale_and_group_to_group():
    order = MultiScalePixelCNN((3, 5, 1), **TINY | {"base_size": 1}).drawing_order
    # The base pixel, its right neighbor of the 1x2 image, three groups of the 2x3 one, three of the 3x5 one.
    np.testing.assert_array_equal(order, [[0, 5, 2, 5, 1], [6, 7, 6, 7, 6], [3, 5, 4, 5, 3]])


@pytest.mark.slow
@pytest.mark.parametrize("num_values", [2, 4])
@pytest.mark.parametrize("shape", [(4, 3, 1), (2, 3, 3)])
def test_each_logit_depends_on_all_earlier_entries_and_no_other(shape, num_values):
    keras.utils.set_random_seed(3)
    wide = {"filters": 24, "base_filters": 24, "base_size": 1}
    model = MultiScalePixelCNN(shape, num_values=num_values, **TINY | wide)
    checks.assert_depends_on_all_earlier_entries_and_no_other(model)


@pytest.mark.parametrize("kwargs", [BINARY, COLORS, TALL, ROW, COLUMN], ids=checks.name)
def test_changing_an_entry_changes_no_logit_up_to_it(kwargs):
    checks.assert_changing_an_entry_moves_later_logits_only(make(**kwargs))


@pytest.mark.parametrize("kwargs", [BINARY, LEVELS, COLORS, TALL, ROW, COLUMN], ids=checks.name)
def test_probabilities_of_all_images_sum_to_one(kwargs):
    checks.assert_sums_to_one(make(**kwargs))


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [LEVELS, COLORS, TALL, ROW], ids=checks.name)
def test_samples_follow_the_density(kwargs):
    checks.assert_samples_follow_the_density(make(**kwargs))


@pytest.mark.slow
def test_compiled_samples_follow_the_density_and_do_not_depend_on_their_number(binary):
    checks.assert_compiled_samples_follow_the_density(binary)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    [
        {"event_shape": (7, 5, 1)},
        {"event_shape": (5, 6, 3), "num_values": 4, "one_hot": True},
        {"event_shape": (1, 4, 1)},
    ],
    ids=checks.name,
)
def test_logits_of_the_sampler_equal_those_of_the_whole_network(kwargs):
    checks.assert_sampler_computes_the_logits(make(**kwargs))


@pytest.mark.slow
def test_a_planted_error_in_one_tap_is_noticed():
    model = make(event_shape=(6, 5, 1))
    places = [(model.base.first.kernel, (2, 3)), (model.groups[0][3].first.kernel, (0, 2))]
    checks.assert_planted_errors_are_noticed(model, places)


@pytest.mark.parametrize(
    ("shape", "base_size", "passes"),
    [
        ((28, 28, 1), 4, 16 + 3 * 3),
        ((56, 56, 1), 4, 16 + 4 * 3),
        ((448, 448, 1), 4, 16 + 7 * 3),
        ((8, 8, 1), 8, 64),
        ((1, 8, 1), 1, 1 + 3),
        ((3, 5, 3), 1, 1 + 1 + 3 + 3),
    ],
)
def test_passes_grow_with_the_logarithm_of_the_size(shape, base_size, passes):
    assert MultiScalePixelCNN(shape, **TINY | {"base_size": base_size}).sampling_passes == passes


def test_each_network_runs_once_to_draw_images(monkeypatch):
    model = make(event_shape=(6, 5, 1))
    ran = []
    for groups in model.groups:
        for group in groups.values():
            trunk = group.trunk
            monkeypatch.setattr(group, "trunk", lambda *args, trunk=trunk: ran.append(trunk) or trunk(*args))
    draw = model.base.draw_by_pixel

    def by_pixel(draw_, inputs, *args):
        (drawn,) = {tuple(v.shape[:2]) for v in inputs.values()}
        ran.extend(["pixel"] * int(np.prod(drawn)))
        return draw(draw_, inputs, *args)

    monkeypatch.setattr(model.base, "draw_by_pixel", by_pixel)
    model.sample_rows(checks.rows(2))
    assert len(ran) == model.sampling_passes == 2 * 2 + 3 + 3
    assert len(set(ran)) == 1 + 3 + 3


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [BINARY, COLORS, COLUMN], ids=checks.name)
def test_completion_keeps_known_entries_and_draws_the_others_from_their_conditionals(kwargs):
    checks.assert_completes(make(seed=9, **kwargs))


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [LEVELS, TALL, ROW], ids=checks.name)
def test_temperature_zero_is_the_chain_of_modes(kwargs):
    checks.assert_temperature_zero_is_the_chain_of_modes(make(seed=12, **kwargs))


@pytest.mark.parametrize(("kwargs", "temperature"), [(BINARY, 1.7), (LEVELS, 0.5)])
def test_temperature_divides_the_logits(kwargs, temperature):
    checks.assert_temperature_divides_the_logits(make(seed=13, **kwargs), temperature)


@pytest.mark.parametrize("label", range(3))
def test_given_a_label_probabilities_sum_to_one_and_samples_follow_them(labelled, label):
    label = np.int32(label)
    checks.assert_sums_to_one(labelled, label)
    checks.assert_samples_follow_the_density(labelled, seed=20, condition=label)


def test_every_part_reads_the_condition(labelled):
    x = checks.random_images(labelled, 1)
    one, two = (labelled.logits(x, np.array([c], "int32")).numpy() for c in (1, 2))
    assert np.all(np.abs(one - two) > 1e-3)


def test_distribution_has_the_batch_shape_of_its_condition():
    vectors = np.random.default_rng(4).normal(size=(2, 3, 4)).astype("float32")
    model = make(event_shape=(2, 2, 1), base_size=1, condition="vector", condition_size=4)
    distribution = model.distribution(vectors)
    assert distribution.batch_shape == (2, 3) and distribution.event_shape == (2, 2, 1)
    x = checks.every_image(model)[7]
    each = [model.log_prob(x[None], condition=v[None])[0] for v in vectors.reshape(6, 4)]
    np.testing.assert_allclose(distribution.log_prob(x), np.reshape(each, (2, 3)), rtol=1e-5)
    checks.assert_sums_to_one(model, vectors[0, 0])


def test_objective_is_the_mean_of_minus_log_prob_and_reaches_every_weight(binary):
    checks.assert_objective_reaches_every_weight(binary)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"base_size": 0}, "base_size must be a whole number of at least 1, got 0"),
        ({"filters": 0}, "filters must be a whole number of at least 1, got 0"),
        ({"num_blocks": -1}, "num_blocks must be a whole number of at least 1, got -1"),
        ({"event_shape": (2, 2, 3), "base_filters": 2}, "base_filters must be a whole number of at least 3"),
        ({"base_blocks": 1.5}, "base_blocks must be a whole number of at least 1, got 1.5"),
    ],
)
def test_bad_constructor_arguments_name_themselves(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MultiScalePixelCNN(**{"event_shape": (4, 4, 1)} | TINY | kwargs)


@pytest.mark.slow
def test_learns_digits_better_than_independent_pixels():
    digits = data.load("digits", binarize="threshold")
    train_x, test_x = np.asarray(digits.train.x, "float32"), np.asarray(digits.test.x, "float32")
    keras.utils.set_random_seed(17)
    model = MultiScalePixelCNN(digits.event_shape, filters=24, base_filters=24, base_blocks=2)
    model.compile(keras.optimizers.Adam(3e-3), seed=17)
    model.fit(train_x, batch_size=64, epochs=12, verbose=0)
    assert -np.mean(model.log_prob(test_x)) < 0.9 * checks.independent_nats(train_x, test_x)
