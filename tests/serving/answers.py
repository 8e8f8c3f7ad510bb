"""Whether an export answers in C++ as its graphs do in memory."""

import contextlib
import sys
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfgen import serving
from tfgen.serving import requests

# `tfgen.serving.export` is the function.
exporting = sys.modules[serving.export.__module__]


@contextlib.contextmanager
def keeping(module, name):
    """Within it a function of a module works as ever, and the list yielded keeps what it returns."""
    function, kept = getattr(module, name), []

    def keep(*args, **kwargs):
        kept.append(function(*args, **kwargs))
        return kept[-1]

    with mock.patch.object(module, name, keep):
        yield kept


def graphs_and_export(model, directory, **arguments):
    """The graphs that an export traces, and its directory."""
    with keeping(exporting, "trace") as graphs:
        version = serving.export(model, directory, **arguments)
    return graphs[0], version


def warmup(version):
    """The warm-up requests as a server reads them."""
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    return [log.predict_log.request for log in logs]


def inputs_of(request):
    """The inputs of a request, as arrays by name."""
    return {key: tf.make_ndarray(value) for key, value in request.inputs.items()}


def random_inputs(model, specs, num, rng, text="the"):
    """Valid inputs that differ from row to row."""
    inputs = requests.example(specs, num, text)
    for key, spec in specs.items():
        shape = inputs[key].shape
        if key == "seeds":
            inputs[key] = rng.integers(-(2**31), 2**31, shape).astype(np.int32)
        elif spec.dtype == tf.float32 and key == "x":
            low, high = np.clip(model.space.value_range, -2, 300)
            draw = rng.uniform(low, high, shape)
            whole = model.values in ("levels", "counts")
            inputs[key] = (np.round(draw) if whole else draw).astype(np.float32)
            if model.kind == "strokes":
                inputs[key][..., 2] = inputs[key][..., 2] > 0.0
    return inputs


def assert_same(actual, expected, exact, what):
    """Equal, or, where computed in floating point, within 1e-5 of the output's largest entry."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, what
    if exact or actual.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected, err_msg=what)
    else:
        atol = 1e-5 * np.max(np.abs(expected), initial=1e-30)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol, err_msg=what)


def check_answers(model, graphs, version, loader, scratch, more=None):
    """Asks every signature in C++: what a server warms up with, random rows, one of these alone, and no rows.

    Args:
      model: What was exported.
      graphs: What was traced of it, by signature.
      version: The export.
      loader: The C++ program.
      scratch: Empty directory.
      more: Further requests, whose answers are returned unchecked.

    Returns:
      Answers by request.
    """
    rng, served = np.random.default_rng(0), model.signatures()
    asked = {f"{r.model_spec.signature_name}.warmup": inputs_of(r) for r in warmup(version)}
    for name, signature in served.items():
        asked[f"{name}.random"] = random_inputs(model, signature.inputs, 3, rng, signature.text)
        # What a server batches is answered as it would be alone.
        asked[f"{name}.row"] = {k: v[1:2] for k, v in asked[f"{name}.random"].items()}
        asked[f"{name}.none"] = {k: v[:0] for k, v in asked[f"{name}.random"].items()}
    answers, names = loader.ask(version, asked | (more or {}), scratch)
    assert names == set(served) == {request.split(".")[0] for request in asked}
    for request, answer in answers.items():
        assert isinstance(answer, dict), f"{request}: {answer}"
    for request in asked:
        answer, (name, kind) = answers[request], request.split(".")
        if kind in ("row", "none"):
            rows = slice(1, 2) if kind == "row" else slice(0, 0)
            whole = answers[f"{name}.random"]
            expected = {key: value[rows] for key, value in whole.items()}
        else:
            inputs = {k: tf.convert_to_tensor(v) for k, v in asked[request].items()}
            expected = {k: v.numpy() for k, v in graphs[name](**inputs).items()}
        assert answer.keys() == expected.keys()
        for key, value in answer.items():
            exact = key == "x" and model.values in ("levels", "counts") and "seeds" in served[name].inputs
            assert_same(value, expected[key], exact, f"{request}: {key}")
            if value.dtype.kind == "f":
                assert np.isfinite(value).all(), f"{request}: {key}"
    return answers
