"""Machinery of the contract: samples of any number from few compiled programs, one gate for data."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.toys import Toy
from tfgen import random
from tfgen.autoregressive import CharRNN, HandwritingRNN
from tfgen.model import _rows_of_program, _steps_of_program

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


@pytest.mark.slow
def test_a_sequence_begins_alike_however_long_it_gets_and_few_lengths_are_compiled():
    """Every length, with and without a prompt, equals the sampler's own at that length."""
    model = CharRNN(num_values=5, units=6, embedding=3, length=20)
    seeds = random.rows(random.as_seed(4), 3)
    longest = model.sample(3, seed=4, length=40).numpy()
    for length in (20, 7, 6, 30, 5, 33):
        drawn = model.sample(3, seed=4, length=length).numpy()
        np.testing.assert_array_equal(drawn, longest[:, :length])
        np.testing.assert_array_equal(drawn, model.sample_rows(seeds, length=length))
    # 40 and 33 are drawn by 64, 20 by 20, 7, 6 and 5 by 8, 30 by 32.
    assert model._compiled_steps == {64, 32, 20, 8}
    assert model._sampler.experimental_get_tracing_count() == 4
    # The program of 64 stops after as many steps as are asked for.
    stopped = model.sample_rows(seeds, length=64, steps=tf.constant(33)).numpy()
    np.testing.assert_array_equal(stopped[:, :33], longest[:, :33])
    assert longest[:, 33:].any() and not stopped[:, 33:].any()
    prompted = model.sample(3, seed=4, prompt=[1, 2, 3], length=19).numpy()
    np.testing.assert_array_equal(prompted[:, :3], np.tile([1, 2, 3], (3, 1)))
    again = model.sample(3, seed=4, prompt=[1, 2, 3, *prompted[0, 3:6]], length=19).numpy()
    np.testing.assert_array_equal(again[0], prompted[0])
    assert _steps_of_program(100, 100, set()) == 100 and _steps_of_program(100, 99, {250}) == 128


@pytest.mark.slow
def test_texts_of_other_widths_are_no_other_program():
    model = HandwritingRNN(
        condition="text", vocabulary=("", "a", "b"), units=4, num_components=2, num_windows=2, length=6
    )
    for text in ("aba", "abab", "bab"):
        drawn = model.sample(2, seed=1, condition=text, stop=False).numpy()
        plain = model.sample_rows(
            random.rows(random.as_seed(1), 2),
            condition=tf.repeat(model.condition.encode(text)[None], 2, axis=0),
            length=6,
            stop=False,
        )
        np.testing.assert_allclose(drawn, plain, atol=1e-4)
    assert model._sampler.experimental_get_tracing_count() == 1
