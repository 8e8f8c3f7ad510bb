"""What TensorFlow and Keras keep of tests that are done, given back before the next ones begin."""

import contextlib
import ctypes
import gc

import keras
from tensorflow.python.framework import ops

# Names under which TensorFlow keeps, for good, the gradient of each call of a function with `custom_gradient`
# in a graph, and that of each function that it loads; and with it the graph.
_OF_ONE_GRAPH = "CustomGradient-"


def release():
    """Frees what no test can still ask for: to be called when all tests of a case or of a file are done."""
    keras.backend.clear_session()
    registry = ops.gradient_registry._registry
    for name in [name for name in registry if name.startswith(_OF_ONE_GRAPH)]:
        del registry[name]
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # The C library keeps what C++ gave back in small pieces, half of what a worker would grow by.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
