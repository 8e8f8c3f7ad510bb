"""Exports answer in C++, as in memory, without XLA; what a server could not run is refused."""

import concurrent.futures
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.python.framework import op_def_registry
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests.serving import toys
from tests.serving.answers import (
    assert_same,
    check_answers,
    graphs_and_export,
    inputs_of,
    warmup,
)
from tfgen import random, serving
from tfgen.serving import graphs, requests

# `tfgen.serving.export` is the function.
exporting = sys.modules[serving.export.__module__]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    model = toys.Toy()
    return model, serving.export(model, tmp_path_factory.mktemp("toy"), xla=True)


@pytest.mark.slow
def test_every_signature_answers_in_cpp_as_in_memory(loader, tmp_path):
    model = toys.Toy()
    graphs, version = graphs_and_export(model, tmp_path / "export")
    check_answers(model, graphs, version, loader, tmp_path)


def test_no_xla_in_an_export_by_default(tmp_path):
    version = serving.export(toys.Plain(), tmp_path)
    assert b"_XlaMustCompile" not in (version / "saved_model.pb").read_bytes()


@pytest.mark.slow
def test_same_seeds_same_samples_eager_compiled_and_in_cpp(toy, loader, tmp_path):
    model, version = toy
    seeds, labels = random.rows(random.as_seed(7), 50), tf.range(50) % 3
    compiled = model.sample(50, condition=labels, seed=7).numpy()
    eager = model.sample_rows(seeds, labels).numpy()
    asked = {"sample": {"seeds": seeds.numpy(), "condition": labels.numpy()}}
    answers, _ = loader.ask(version, asked, tmp_path)
    np.testing.assert_array_equal(compiled, eager)
    np.testing.assert_array_equal(answers["sample"]["x"], eager)
    assert 0 < eager.mean() < 1 and np.ptp(eager, axis=0).all()


@pytest.mark.slow
def test_answers_are_the_models_own_numbers(toy, loader, tmp_path):
    x = np.array([[1, 0, 1, 1]], np.float32)
    words = np.array([["the", "of", "sum"]], object)
    asked = {"log_prob": {"x": x, "condition": np.array([2], np.int32)}, "look_up": {"text": words}}
    answers, _ = loader.ask(toy[1], asked, tmp_path)
    probs = 1 / (1 + np.exp(-(np.array(toys.LOGITS) - 2)))
    expected = np.log(np.where(x[0] == 1, probs, 1 - probs)).sum()
    np.testing.assert_allclose(answers["log_prob"]["log_prob"], [expected], rtol=1e-5)
    np.testing.assert_array_equal(answers["look_up"]["ids"], [[5, -1, 6]])


def test_invalid_requests_fail_and_say_why(toy, loader, tmp_path):
    bits, labels = np.ones([2, 4], np.float32), np.zeros(2, np.int32)
    # One column or one row would broadcast: answered, and wrong.
    wrong = {
        "log_prob.value": (
            {"x": bits / 2, "condition": labels},
            "x must hold integer values 0 to 1",
        ),
        "log_prob.narrow": (
            {"x": bits[:, :1], "condition": labels},
            r"_x_\S* \[2,1\].*expected shape \[\?,4\]",
        ),
        "log_prob.rank": ({"x": bits[0], "condition": labels}, r"_x_\S* \[4\].*expected shape \[\?,4\]"),
        "log_prob.rows": ({"x": bits[:1], "condition": labels}, "same number of rows"),
        "sample.label": (
            {"seeds": np.zeros([2, 2], np.int32), "condition": labels + 3},
            "condition must hold 0 to 2",
        ),
    }
    answers, _ = loader.ask(toy[1], {k: v[0] for k, v in wrong.items()}, tmp_path)
    for request, (_, message) in wrong.items():
        assert isinstance(answers[request], str), request
        assert answers[request].startswith("INVALID_ARGUMENT"), answers[request]
        assert re.search(message, answers[request]), answers[request]


def test_compiled_variants_need_xla_and_agree(toy, loader, tmp_path):
    model, version = toy
    assert b"_XlaMustCompile" in (version / "saved_model.pb").read_bytes()
    loaded = tf.saved_model.load(str(version))
    assert set(loaded.signatures) == {*model.signatures(), "sample_xla", "complete_xla"}
    seeds, labels = random.rows(random.as_seed(3), 20), tf.range(20) % 3
    asked = {"seeds": seeds, "condition": labels}
    drawn = loaded.signatures["sample"](**asked)["x"]
    np.testing.assert_array_equal(loaded.signatures["sample_xla"](**asked)["x"], drawn)
    inputs = {key: value.numpy() for key, value in asked.items()}
    answers, _ = loader.ask(version, {"sample": inputs, "sample_xla": inputs}, tmp_path)
    np.testing.assert_array_equal(answers["sample"]["x"], drawn)
    assert "XLA" in answers["sample_xla"] and "disabled" in answers["sample_xla"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="condition must hold 0 to 2"):
        loaded.signatures["sample_xla"](seeds=seeds, condition=labels + 3)
    x, mask = tf.fill([20, 4], 0.5), tf.ones([20, 4], tf.bool)
    with pytest.raises(tf.errors.InvalidArgumentError, match="x must hold integer values 0 to 1"):
        loaded.signatures["complete_xla"](x=x, mask=mask, seeds=seeds)
    assert {r.model_spec.signature_name for r in warmup(version)} == set(model.signatures())


@pytest.mark.parametrize(
    "function, spec, message",
    [
        (toys.in_python, None, "calls Python"),
        (toys.unseeded, None, r"no seed determines \(RandomUniform\)"),
        (toys.writing, None, r"writes to a variable \(AssignVariableOp\)"),
        (toys.compiled, None, "needs XLA"),
        (toys.infinite, None, "'y' that is not finite"),
        (toys.summed, None, "output 'y' must have a batch"),
        (toys.doubled, None, r"answers 2 rows with 'y' of shape \(4, 4\)"),
        (toys.bare, None, "must name its outputs in a dict"),
        (toys.half, None, "output 'y' is bfloat16"),
        (toys.same, tf.TensorSpec([None, 4], tf.float64), "input 'x' is float64"),
        (toys.same, tf.TensorSpec([1, 4], tf.float32), "input 'x' must have a batch"),
        (toys.same, tf.TensorSpec([], tf.float32), "input 'x' must have a batch"),
    ],
)
def test_refuses_what_a_server_cannot_answer(function, spec, message, tmp_path):
    with pytest.raises(ValueError, match=f"'faulty'.*{message}") as error:
        serving.export(toys.Faulty(function, spec), tmp_path / "new" / "export")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_knows_every_random_operation():
    # The registry says which operations draw from a state of their own.
    drawing = re.compile(
        "Random|TruncatedNormal|Multinomial|Stateful(Std|Unif)|Rng|Distorted|NonDet|Candidate"
    )
    other = re.compile("Dataset|Queue|SeedGenerator|GetAlg")
    names = [n for n in dir(tf.raw_ops) if drawing.search(n) and not other.search(n)]
    known = {n: bool(graphs._RANDOM.fullmatch(n)) for n in names}
    assert known == {n: op_def_registry.get(n).is_stateful for n in names}
    assert sum(known.values()) > 25 and len(known) > 45


def versions(directory):
    return sorted(path.name for path in directory.iterdir() if path.is_dir())


def test_version_numbers_go_up(tmp_path):
    model = toys.Plain()
    (tmp_path / "notes").mkdir()
    assert serving.export(model, tmp_path) == tmp_path / "1"
    assert serving.export(model, tmp_path, warmup=False) == tmp_path / "2"
    before = (tmp_path / "2" / "saved_model.pb").read_bytes()
    assert serving.export(model, tmp_path, version=10) == tmp_path / "10"
    (tmp_path / "1").rename(tmp_path / "old")
    assert serving.export(model, tmp_path) == tmp_path / "11"
    with pytest.raises(ValueError, match="version 2 is in .* already"):
        serving.export(model, tmp_path, version=2)
    assert versions(tmp_path) == ["10", "11", "2", "notes", "old"]
    assert (tmp_path / "2" / "saved_model.pb").read_bytes() == before
    assert not warmup_path(tmp_path / "2").exists() and warmup_path(tmp_path / "11").exists()
    assert "--dir 11 " in (tmp_path / "README.md").read_text()


def test_number_taken_by_another_export_meanwhile(tmp_path, monkeypatch):
    def check(staged, texts):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "file").touch()

    monkeypatch.setattr(exporting, "check", check)
    assert serving.export(toys.Plain(), tmp_path) == tmp_path / "2"
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["_save", "write_warmup", "check", "_publish"])
def test_an_interrupted_export_leaves_nothing(step, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    monkeypatch.setattr(exporting, step, interrupted)
    for directory in (tmp_path / "kept", tmp_path / "new" / "export"):
        with pytest.raises(KeyboardInterrupt):
            serving.export(toys.Plain(), directory)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["kept", "kept/file"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"version": 0}, "version must be a positive int, got 0"),
        ({"version": "7"}, "version must be a positive int, got '7'"),
        ({"name": "my model"}, "name must be letters, digits, _ and -, got 'my model'"),
        ({"base_path": "export"}, "base_path must be absolute where the server runs, got 'export'"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        serving.export(toys.Plain(), tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_check_of_what_is_no_export(tmp_path):
    with pytest.raises(ValueError, match=f"no export can be loaded from {tmp_path}") as error:
        serving.check(tmp_path)
    assert "\n" not in str(error.value)


def test_warmup_requests(toy):
    model, version = toy
    written = warmup(version)
    assert {r.model_spec.name for r in written} == {"toy"}
    assert [r.model_spec.signature_name for r in written] == list(model.signatures())
    answers, read = serving.check(version), requests.read_warmup(version)
    for request in written:
        name, inputs = request.model_spec.signature_name, inputs_of(request)
        tensors = {key: tf.convert_to_tensor(value) for key, value in inputs.items()}
        expected = model.signatures()[name].function(**tensors)
        for key, value in answers[name].items():
            assert_same(value, expected[key].numpy(), False, f"{name}: {key}")
        for key, value in inputs.items():
            np.testing.assert_array_equal(read[name][key], value)
            first, second = (b"the",) * 2 if value.dtype == object else (0, 1)
            assert (value[0] == first).all() and (value[1] == second).all()


def warmup_path(version):
    return version / "assets.extra" / "tf_serving_warmup_requests"


def test_models_config(tmp_path):
    serving.export(toys.Plain(), tmp_path, name="bits", base_path="/srv/bits", warmup=False)
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((tmp_path / "models.config").read_text(), config)
    (served,) = config.model_config_list.config
    assert (served.name, served.base_path) == ("bits", "/srv/bits")
    assert served.model_platform == "tensorflow"
    assert "target=/srv/bits" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    "name, snake",
    [("PixelCNN", "pixel_cnn"), ("VAE", "vae"), ("GaussianMixture", "gaussian_mixture")],
)
def test_names(name, snake):
    assert exporting._snake_case(name) == snake


class Server(prediction_service_pb2_grpc.PredictionServiceServicer):
    """TensorFlow Serving's gRPC interface over a loaded export."""

    def __init__(self, version):
        self.signatures, self.answered = tf.saved_model.load(str(version)).signatures, []

    def Predict(self, request, context):
        assert request.model_spec.name == "toy"
        name = request.model_spec.signature_name
        inputs = {k: tf.convert_to_tensor(v) for k, v in inputs_of(request).items()}
        response = predict_pb2.PredictResponse()
        for key, value in self.signatures[name](**inputs).items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        self.answered.append(name)
        return response


def test_examples_of_the_readme_work_over_grpc(toy, capsys):
    text = (toy[1].parent / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    port, servicer = server.add_insecure_port("127.0.0.1:0"), Server(toy[1])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    server.start()
    try:
        exec(program.replace("localhost:8500", f"127.0.0.1:{port}"), {})
    finally:
        server.stop(None)
    assert set(servicer.answered) == set(servicer.signatures)
    assert "sample {'x': (1, 4)}" in capsys.readouterr().out


def test_rest_examples_of_the_readme_fit_their_signatures(toy):
    text = (toy[1].parent / "README.md").read_text()
    signatures, seen = tf.saved_model.load(str(toy[1])).signatures, set()
    for example in re.findall(r"```sh\n([^`]*8501/v1[^`]*)```", text):
        words = shlex.split(example)
        assert "http://localhost:8501/v1/models/toy:predict" in words
        if words[0] == "python3":
            command = [sys.executable, *words[1 : words.index("|")]]
            body = subprocess.run(command, capture_output=True, check=True).stdout
        else:
            body = words[words.index("-d") + 1]
        request = json.loads(body)
        signature = signatures[request["signature_name"]]
        specs = signature.structured_input_signature[1]
        signature(**{k: tf.constant(v, specs[k].dtype) for k, v in request["inputs"].items()})
        seen.add(request["signature_name"])
    assert seen == set(signatures)


@pytest.mark.slow
def test_command_line_examples_of_the_readme(toy):
    text = (toy[1].parent / "README.md").read_text()
    example = re.search(r"^saved_model_cli run.*?(?=\n```)", text, re.DOTALL | re.MULTILINE).group()
    command = [
        str(Path(sys.executable).with_name("saved_model_cli")),
        *shlex.split(example.replace("\\\n", ""))[1:],
    ]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=toy[1].parent)
    assert ran.returncode == 0, ran.stderr
    drawn = toy[0].sample_rows(tf.zeros([1, 2], tf.int32), tf.constant([0])).numpy()
    assert f"Result for output key x:\n{drawn}" in ran.stdout
