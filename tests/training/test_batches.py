"""Stored examples as what a model takes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training.toys import Bits, Moments, fitting
from tfgen import data, random
from tfgen.training.batches import Examples, spans

SEED = random.as_seed(1)


def grey(binarize, num_values):
    """20,000 examples of one pixel, a quarter of the way from 0 to 16."""
    split = data.Split(np.full((20_000, 1), 4, np.uint8))
    return data.Data("grey", "vector", (1,), num_values, 17, None, None, split, split, split, binarize)


def test_dynamic_binarization_draws_each_pixel_anew_with_its_probability():
    """A quarter of the pixels are 1; false failures 1 in 10^4, and the seed is fixed."""
    examples = Examples(grey("dynamic", 2).train, grey("dynamic", 2), Bits((1,)))
    drawn = [examples.batch(np.arange(20_000), random.as_seed(s))["x"].numpy() for s in (1, 2)]
    assert set(np.unique(drawn[0])) == {0.0, 1.0} and not np.array_equal(*drawn)
    assert abs(drawn[0].mean() - 0.25) < 3.9 * np.sqrt(0.25 * 0.75 / 20_000)


@pytest.mark.parametrize(("binarize", "mean"), [("dynamic", 0.25), ("fixed", 1.0)])
def test_the_mean_of_what_is_drawn_anew_is_its_probability(binarize, mean):
    split = data.Split(np.full((100, 1), 4 if binarize == "dynamic" else 1, np.uint8))
    split = dataclasses.replace(split, streams={"labelled": split})
    levels = 17 if binarize == "dynamic" else 2
    bits = data.Data("grey", "vector", (1,), 2, levels, None, None, split, split, split, binarize)
    model = Bits((1,))
    model.streams, model.reads_means = ("labelled",), True
    examples = Examples(split, bits, model)
    rows = tf.range(100)
    batch = examples.batch(rows, SEED, {"labelled": rows})
    for each in (batch, batch["labelled"], examples.following(rows, SEED)):
        np.testing.assert_array_equal(each["x_mean"], np.full((100, 1), mean))
        assert set(np.unique(each["x"])) <= {0.0, 1.0} and each["x"].numpy().mean() < mean + 0.2
    assert "x_mean" not in Examples(split, bits, Bits((1,))).batch(rows, SEED)


@pytest.mark.parametrize(
    ("values", "expected"), [("levels", 4.0), ("unit", 0.25), ("symmetric", -0.5), ("real", 0.25)]
)
def test_levels_are_scaled_as_the_model_says(values, expected):
    model = Bits((1,))
    model.values = values
    np.testing.assert_allclose(
        model.space.from_data(grey("none", 17).train.x[:3], grey("none", 17), SEED), expected
    )


def test_real_values_stay_as_they_are():
    model = Moments()
    x = fitting(model).train.x
    np.testing.assert_array_equal(model.space.from_data(x, fitting(model), SEED), x)


def test_what_a_model_cannot_take_is_said():
    fits = fitting(Bits())
    with pytest.raises(
        ValueError, match="Bits takes 2 levels, but planted has 17 levels; use --binarize=threshold"
    ):
        Bits().check_data(dataclasses.replace(fits, num_values=17))
    with pytest.raises(ValueError, match=r"event_shape \(4,\), planted has \(3,\)"):
        Bits((4,)).check_data(fits)
    with pytest.raises(ValueError, match="planted has real values"):
        Bits((2,)).check_data(fitting(Moments()))


def test_no_batch_of_held_out_rows_has_one_row():
    assert spans(10, 4) == [(0, 4), (4, 8), (8, 10)] and spans(8, 4) == [(0, 4), (4, 8)]
    assert spans(9, 4) == [(0, 4), (4, 9)] and spans(5, 4) == [(0, 5)]
    assert spans(1, 4) == [(0, 1)] and spans(0, 4) == [] and spans(3, 1) == [(0, 1), (1, 2), (2, 3)]
