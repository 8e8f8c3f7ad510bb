"""Example requests: what a server warms up with, what `check` runs and what the examples show."""

import math
from pathlib import Path

import numpy as np
import tensorflow as tf

# For dimensions besides the batch that a signature leaves open; a multiple of common strides.
_OPEN_SIZE = 8


def example(specs, num=2, text="the"):
    """Valid inputs for a signature: zeros and ones in turn, row by row, a text, and lengths that count all.

    Args:
      specs: TensorSpec by input name, batch first.
      num: Number of rows.
      text: What strings are.

    Returns:
      Dict of arrays `[num, ...]`, strings as objects.
    """
    arrays = {}
    for name, spec in specs.items():
        shape = [num, *(_OPEN_SIZE if d is None else d for d in spec.shape[1:])]
        if spec.dtype == tf.string:
            arrays[name] = np.full(shape, text, object)
        elif name == "lengths":
            arrays[name] = np.full(shape, _OPEN_SIZE, spec.dtype.as_numpy_dtype)
        else:
            rows = np.arange(num).reshape([num] + [1] * (len(shape) - 1)) % 2
            arrays[name] = np.broadcast_to(rows, shape).astype(spec.dtype.as_numpy_dtype)
    return arrays


def size(arrays):
    """How many numbers and strings a request holds."""
    return sum(math.prod(array.shape) for array in arrays.values())


def write_warmup(version_directory, name, requests):
    """Writes the requests that a server answers before it takes the version into use.

    Args:
      version_directory: The SavedModel's directory.
      name: Name under which the model is served.
      requests: Dict of inputs (arrays by name) by signature name.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = _warmup_path(version_directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def read_warmup(version_directory):
    """The warm-up requests of an export: dict of inputs by signature name, empty without any.

    Args:
      version_directory: The SavedModel's directory.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    path, requests = _warmup_path(version_directory), {}
    for record in tf.data.TFRecordDataset(str(path)) if path.exists() else ():
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        requests[request.model_spec.signature_name] = inputs
    return requests


def _warmup_path(version_directory):
    return Path(version_directory, "assets.extra", "tf_serving_warmup_requests")
