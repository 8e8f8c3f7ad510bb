"""What every test shares: two logical CPUs, so that two replicas can be tested in one process."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import hypothesis
import keras
import pytest
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
hypothesis.settings.register_profile("tfgen", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("tfgen")


@pytest.fixture(autouse=True)
def _seeded():
    """Weights start alike whatever ran before."""
    keras.utils.set_random_seed(0)
