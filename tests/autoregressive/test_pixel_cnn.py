"""PixelCNN: its convolutions hide what they must, bad arguments name themselves, and it learns digits."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import pixel_checks as checks
from tfgen import data
from tfgen.autoregressive import PixelCNN


@pytest.fixture(scope="module")
def binary():
    return checks.randomize(PixelCNN((3, 3, 1), filters=15, num_blocks=2, hidden=13, head=12))


@pytest.mark.slow
def test_completing_does_not_read_what_is_given_where_nothing_is_known(binary):
    oracle, rng = checks.Oracle(binary), np.random.default_rng(3)
    given, mask = rng.integers(0, 2, (2, 3, 3, 1)).astype("float32")
    completed = binary.sample(16, seed=4, given=np.where(mask, given, np.nan), mask=mask)
    np.testing.assert_array_equal(completed, oracle.samples(16, seed=4, given=given, mask=mask))


def test_served_completion_refuses_a_mask_of_other_numbers(binary):
    served = tf.function(binary.signatures()["complete"].function, autograph=False)
    x, mask = np.zeros((2, 5, 3, 3, 1), "float32")
    with pytest.raises(tf.errors.InvalidArgumentError, match="mask must hold 0 and 1"):
        served(x=x, mask=mask + 2.0, seeds=checks.rows(5))


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


@pytest.mark.learn(always=True)
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
