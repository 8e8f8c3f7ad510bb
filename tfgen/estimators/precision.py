"""Full float32 where TensorFlow would round to TF32."""

import contextlib

import tensorflow as tf


@contextlib.contextmanager
def full_float32():
    """Keeps float32 products and convolutions exact on GPUs that have TF32; on others nothing changes.

    TF32 reads 10 bits of a float32's 23, which training bears and figures do not: an energy is the difference
    of sums, off in the fourth digit. The switch is the process's. TensorFlow reads it when an operation runs,
    XLA when it compiles, so what XLA compiled before stays as it was compiled.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
