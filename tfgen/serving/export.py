"""Writes a model as a SavedModel that TensorFlow Serving loads."""

import contextlib
import json
import os
import re
import tempfile
from pathlib import Path

import tensorflow as tf

from tfgen.serving.check import check
from tfgen.serving.graphs import trace
from tfgen.serving.guide import models_config, readme, vocabularies
from tfgen.serving.requests import example, write_warmup


def export(model, directory, version=None, xla=False, warmup=True, name=None, base_path=None, facts=None):
    """Writes `<directory>/<version>/`, and models.config and README.md beside it.

    The version appears at once and complete, after every signature has answered from it; whatever
    fails before leaves the directory as it was.

    Args:
      model: A `GenerativeModel`; its `signatures()` are served.
      directory: Directory of this model's versions; made if absent.
      version: Positive int that is not there yet; None for one more than the highest.
      xla: Add `<name>_xla`, compiled by XLA, for every signature that takes seeds. A server runs
        it only when started with `--xla_cpu_compilation_enabled`.
      warmup: Write requests that the server answers before it takes the version into use, so that
        no client waits for the first run. There are none for the compiled variants: a server
        without XLA would fail them, and with them the version.
      name: Name under which the model is served; None for the class's name, as in `pixel_cnn`.
      facts: What outputs and labels mean, as JSON has it: "class_names", and "columns", "mean" and
        "deviation" of vectors that were standardised; it goes into `<version>/assets.extra/data.json`.
      base_path: Absolute path of `directory` where the server runs; None for `/models/<name>`.

    Returns:
      `pathlib.Path` of the new version.

    Raises:
      ValueError: If an argument does not fit, or a signature cannot be served or does not answer.
    """
    directory = Path(directory)
    name = _snake_case(type(model).__name__) if name is None else name
    base_path = f"/models/{name}" if base_path is None else str(base_path)
    config = models_config(name, base_path)
    _check_version(version, directory)
    graphs = trace(model, xla)
    texts = {key: signature.text for key, signature in model.signatures().items()}
    requests = {
        key: example(graph.structured_input_signature[1], text=texts[key])
        for key, graph in graphs.items()
        if not key.endswith("_xla")
    }
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as temporary:
            staged = Path(temporary, "version")
            _save(model, graphs, staged)
            symbols = vocabularies(model)
            if symbols:
                (staged / "assets.extra").mkdir(exist_ok=True)
                listed = json.dumps(symbols, ensure_ascii=False, indent=1)
                (staged / "assets.extra" / "vocabulary.json").write_text(listed + "\n", "utf-8")
            if warmup:
                write_warmup(staged, name, requests)
            if facts:
                (staged / "assets.extra").mkdir(exist_ok=True)
                (staged / "assets.extra/data.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
            check(staged, texts)
            version = _publish(staged, directory, version)
            texts = {
                "models.config": config,
                "README.md": readme(name, base_path, version, graphs, texts, symbols),
            }
            for file, text in texts.items():
                Path(temporary, file).write_text(text, "utf-8")
                os.replace(Path(temporary, file), directory / file)
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    return directory / str(version)


def _snake_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _check_version(version, directory):
    if version is None:
        return
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"version must be a positive int, got {version!r}.")
    if (directory / str(version)).exists():
        raise ValueError(f"version {version} is in {directory} already; leave version out for the next.")


def _save(model, graphs, path):
    module = tf.Module()
    # Not the model: with it would go the functions it has compiled for itself.
    module.variables_served = list({id(v): v for g in graphs.values() for v in g.variables}.values())
    module.resources = [
        part
        for part in tf.train.TrackableView(model).descendants()
        if isinstance(part, tf.saved_model.experimental.TrackableResource)
    ]
    tf.saved_model.save(module, str(path), signatures=graphs)


def _publish(staged, directory, version):
    """Moves the version to its place; another export may have taken the number meanwhile."""
    while True:
        taken = [int(path.name) for path in directory.iterdir() if re.fullmatch("[0-9]+", path.name)]
        number = version or max(taken, default=0) + 1
        try:
            os.rename(staged, directory / str(number))
            return number
        except OSError:
            if version or not (directory / str(number)).exists():
                raise
