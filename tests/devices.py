"""Two logical CPUs in this process, for two replicas, and the threads of a worker; imported before use."""

import os

import tensorflow as tf

_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of one that wait for work would take time from another. Programs that
    # tests start keep theirs.
    tf.config.threading.set_intra_op_parallelism_threads(1)
