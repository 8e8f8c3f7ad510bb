"""Machinery of the contract: samples of any number from few compiled programs, one gate for data."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.toys import Toy
from tfgen import random
from tfgen.model import _rows_of_program

NUMBERS = (1, 2, 3, 16, 5, 40, 17, 64, 700, 1500)


def test_a_program_serves_numbers_near_its_size():
    assert [_rows_of_program(n, set()) for n in (1, 3, 16, 17, 1024, 5000)] == [1, 4, 16, 32, 1024, 1024]
    assert _rows_of_program(4, {16}) == 16 and _rows_of_program(64, {16}) == 16
    assert _rows_of_program(65, {16}) == 128 and _rows_of_program(3, {16}) == 4
    assert _rows_of_program(40, {64, 16}) == 64 and _rows_of_program(100, {256, 32}) == 32


def test_rows_do_not_depend_on_their_number_and_few_programs_are_compiled():
    """Row i is drawn from `fold_in(seed, i)` and its own condition, by whatever program."""
    model, every = Toy(), np.arange(max(NUMBERS)) % 3
    seeds = random.rows(random.as_seed(9), max(NUMBERS))
    expected = model.sample_rows(seeds, tf.constant(every, tf.int32)).numpy()
    assert len(np.unique(expected, axis=0)) == 16
    for num in NUMBERS:
        np.testing.assert_array_equal(model.sample(num, every[:num], seed=9), expected[:num])
    assert model._sampler.experimental_get_tracing_count() == 3
    # Another shape of an argument would be another program; another value is not.
    model.sample(3, 1, seed=9)
    assert model._sampler.experimental_get_tracing_count() == 3


def test_numbers_of_conditions_and_lengths_are_those_of_x():
    model = Toy()
    for wrong in ([1], [0, 1, 2]):
        with pytest.raises(ValueError, match=rf"Toy: condition holds {len(wrong)} rows for 2 samples"):
            model.sample(2, np.array(wrong))
        with pytest.raises(ValueError, match=rf"Toy: condition holds {len(wrong)} rows for 2 of x"):
            model.log_prob(np.zeros((2, 4)), np.array(wrong))
    with pytest.raises(ValueError, match="Toy reads no colour: leave it out"):
        model.check_fields({"x": np.zeros((2, 4)), "condition": np.zeros(2, int), "colour": 1})
