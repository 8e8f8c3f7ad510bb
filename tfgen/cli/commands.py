"""Commands of an app: train, sample, evaluate, export, and those of a model's own."""

import contextlib
import functools
import hashlib
import importlib
import inspect
import json
import math
import os
import shlex
import sys
import time

import numpy as np
import tensorflow as tf

from tfgen import data as datasets
from tfgen import progress, random, serving
from tfgen.cli import inputs
from tfgen.cli.constructor import MODEL
from tfgen.cli.flagset import DATA_OPTIONS, DATA_OPTIONS_OF_MODELS, FROM_DATA, text_of
from tfgen.cli.gallery import draw, save_curves, save_samples, save_views, tensorboard_pictures
from tfgen.cli.program import program
from tfgen.cli.run_models import (
    build,
    held_models,
    load_start,
    model_class,
    model_runs,
    restored,
    saver,
    source_of,
    starting_weights,
)
from tfgen.evaluation.report import evaluate as evaluate_model
from tfgen.keras_model import constructor_parameters
from tfgen.media import pictures
from tfgen.training import Interrupted, make_strategy
from tfgen.training import train as train_model
from tfgen.training.schedules import set_courses
from tfgen.training.strategies import is_chief
from tfgen.update import make_optimizers, trained_variables

_VERSIONED = ("tensorflow", "keras", "tensorflow_probability", "numpy")


def train(config, run, settings, arguments):
    """Trains, then evaluates, samples and exports."""
    flags = config["flags"]
    strategy = make_strategy(flags["strategy"], flags["replicas"], settings["tpu"])
    sources = {} if settings["resume"] else model_runs(flags, arguments)
    begun_with = None if settings["resume"] else source_of(config)
    data = load_data(flags, settings)
    taken = _flags_for(data, flags, settings)
    config["flags"] = flags = flags | taken
    if is_chief(strategy):
        told = "".join(f" --{name}={value}" for name, value in taken.items())
        progress.write(f"data: {datasets.summary(data)}{told and f'; for these data{told}'}")
    _check_condition(flags, data)
    if "arguments" not in config:
        config |= {"arguments": _constructor_arguments(config, data, arguments, sources)}
    config |= {"data": config.get("data") or describe(data)}
    check_same_data(config, run, data)
    with strategy.scope() if strategy else contextlib.nullcontext():
        if settings["resume"]:
            held = held_models(config, run.path / "models")
        else:
            held = {name: restored(stored, source, None) for name, (source, stored) in sources.items()}
        try:
            with progress.doing("building the model"):
                model = build(config, held)
        except ValueError as error:
            if "event_shape" in str(error):
                raise ValueError(f"{data.name} holds {data.kind} data: {error}") from error
            raise
    _check_start(model, data, flags, strategy)
    if settings["resume"]:
        start = load_start(config, run.path / "models")
    else:
        start = starting_weights(config, begun_with, model, held)
    _check_gradients(model, settings)
    optimizers = _optimizers(config, model)
    if settings["dry_run"]:
        _check_training(config, model, data, optimizers, strategy, settings)
        return
    if is_chief(strategy):
        if not settings["resume"]:
            begun = config | {"versions": _versions()}
            run.begin(begun, settings["overwrite"], saver(held, start))
        elif config.get("versions") != _versions():
            progress.write(
                f"trained with {config.get('versions')}, now {_versions()}: not the same to the last bit"
            )
        progress.write(_described(model, data, config, strategy))
    began = time.perf_counter()
    try:
        rows = train_model(
            model,
            data,
            config["steps"],
            run.path,
            flags["batch_size"],
            optimizers,
            flags["seed"],
            strategy,
            flags["jit"],
            flags["clip_norm"],
            flags["checkpoint_every"],
            settings["resume"],
            settings["early_stopping"],
            pictures=lambda m, views: tensorboard_pictures(m, data, views),
            log=progress.write,
            start=start,
        )
    except Interrupted as interrupted:
        again = f"{program()} {shlex.join([f'--run_dir={run.path}', '--resume'])}"
        progress.write(f"interrupted at step {interrupted.step}; go on with: {again}")
        sys.exit(130)
    except ValueError:
        if is_chief(strategy) and not settings["resume"]:
            run.forget_unless_saved()
        raise
    if is_chief(strategy):
        cost = {"seconds": round(time.perf_counter() - began, 1), "resumed": settings["resume"]}
        finish(config, run, settings, data, cost)
        progress.write(f"curves: {save_curves(rows, run.path, model)}")
        run.write_json("config.json", run.config() | {"finished": config["steps"]})


def finish(config, run, settings, data, cost):
    """Evaluates, draws and exports the best weights of a finished training."""
    model = restored(config, run, settings["checkpoint"])
    run.write_json("metrics.json", _evaluate(model, config, settings, data) | {"cost": cost})
    if model.samples:
        _sample(model, config, settings, data, run.path)
    _views(model, config, settings, data, run.path)
    _export(model, config, run, settings)


def sample(config, run, settings, arguments):
    """Draws samples from a run, into a directory of their own beneath `samples/`."""
    del arguments
    model = restored(config, run, settings["checkpoint"])
    if not model.samples:
        raise ValueError(f"{type(model).__name__} does not sample: evaluate or export the run instead.")
    # Conditions that nobody names are taken from the data, unless they are labels.
    told = settings["prompt"] or settings.get("input")
    wanted = model.condition is not None and model.condition.kind != "label" and not told
    data = load_data(config["flags"], settings) if wanted else None
    asked = {k: settings.get(k) for k in ("temperature", "length", "label", "prompt", "input", "checkpoint")}
    asked = {"seed": config["flags"]["seed"] if config.get("given_seed") else None} | asked
    named = ",".join(
        f"{k}={','.join(v) if isinstance(v, list) else v}" for k, v in asked.items() if v is not None
    )
    directory = run.place("samples", settings["output"], named[:60] or "samples")
    try:
        _sample(model, config, settings, data, directory)
        if set(asked) - {"seed", "checkpoint"} <= {k for k, v in asked.items() if v is None}:
            _views(model, config, settings, data, directory)
    except BaseException:
        with contextlib.suppress(OSError):
            directory.rmdir()
            directory.parent.rmdir()
        raise


def evaluate(config, run, settings, arguments):
    """Evaluates a run on a test split, into a file of its own beneath `evaluations/`."""
    del arguments
    if settings.get("input") is not None:
        data = inputs.own_data(settings["input"], config["flags"], settings, load_data)
    else:
        data = load_data(config["flags"], settings)
    _check_same_symbols(config, data)
    data = data.rescaled(_meaning(config))
    report = _evaluate(restored(config, run, settings["checkpoint"]), config, settings, data)
    path = run.place("evaluations", settings["output"], data.name, ".json")
    run.write_json(path.relative_to(run.path), report)
    progress.write(f"evaluation: {path}")


def export(config, run, settings, arguments):
    """Writes a run's SavedModel."""
    del arguments
    _export(restored(config, run, settings["checkpoint"]), config, run, settings)


def further(command, config, run, settings):
    """A command of the model's own: its method of that name, on a run's weights."""
    method = getattr(restored(config, run, settings["checkpoint"]), command)
    given = {"temperature": settings["temperature"], "seed": config["flags"]["seed"]}
    accepted = inspect.signature(method).parameters
    given = {name: value for name, value in given.items() if name in accepted and value is not None}
    with inputs.read_instead_of_terminal(settings.get("input")):
        method(**given)


def _check_start(model, data, flags, strategy):
    """Refuses what could not be trained before anything is written."""
    size, replicas = flags["batch_size"], strategy.num_replicas_in_sync if strategy else 1
    model.check_data(data)
    if size > len(data.train):
        raise ValueError(
            f"batch_size={size} is larger than the {len(data.train)} training examples; use "
            f"{len(data.train)} or less."
        )
    if size % replicas:
        raise ValueError(f"batch_size={size} does not divide into {replicas} replicas.")


class _Checked(Exception):  # noqa: N818
    """The checks of a training have passed."""


def _check_training(config, model, data, optimizers, strategy, settings):
    """Carries out what `train_model` checks before it writes, and stops there."""

    def stop():
        raise _Checked

    flags = config["flags"]
    with contextlib.suppress(_Checked):
        train_model(
            model,
            data,
            config["steps"],
            None,
            flags["batch_size"],
            optimizers,
            flags["seed"],
            strategy,
            flags["jit"],
            checkpoint_every=flags["checkpoint_every"],
            early_stopping=settings["early_stopping"],
            before_writing=stop,
        )
    if is_chief(strategy):
        progress.write("everything fits; nothing was trained or written")


def load_data(flags, settings):
    """The data set that a run's flags name, from where the settings say."""
    # Runs of earlier releases lack some of the flags.
    names = (*DATA_OPTIONS, *DATA_OPTIONS_OF_MODELS, "validation")
    options = {name: flags[name] for name in names if flags.get(name) is not None}
    options |= {name: settings.get(name) for name in ("data_dir", "download", "stream")}
    with progress.doing("reading the data"):
        return datasets.load(flags["dataset"], **options)


def _flags_for(data, flags, settings):
    """Flags that the app's defaults do not suit, since the data are not those that they are for."""
    if settings.get("own_data") is None:
        return {}
    values = "real" if data.num_values is None else "levels" if data.num_values > 2 else "binary"
    taken = dict(settings["own_data"].get(values, {}))
    replicas = flags["replicas"] or 1
    if flags["batch_size"] > len(data.train) >= replicas:
        taken["batch_size"] = len(data.train) // replicas * replicas
    condition = flags.get("condition")
    if condition not in (None, "none") and data.train.field(condition) is None:
        taken["condition"] = "none"
    return {name: value for name, value in taken.items() if name not in settings["given"]}


def _check_condition(flags, data):
    """Refuses a condition that the data do not have."""
    kind = flags.get("condition")
    if kind in (None, "none") or data.train.field(kind) is not None:
        return
    remedy = "leave --condition out"
    if kind == "label":
        remedy += ", or give classes: sub-folders, y beside x, or --label_column of a table"
    raise ValueError(f"--condition={kind}, but {data.name} has no {kind}s: {remedy}.")


def _meaning(config):
    return datasets.Meaning.from_facts(config.get("data") or {})


def check_same_data(config, run, data):
    """Checks that a data set is the one that a run was trained on.

    Raises:
      ValueError: If it is not.
    """
    if config["data"]["fingerprint"] != data.fingerprint():
        raise ValueError(f"data set {data.name!r} is not what run_dir={run.path} was trained on.")


def _check_same_symbols(config, data):
    """Refuses figures on data whose classes or symbols mean something else than those of the training."""
    trained = config["data"]
    for key, what in (("class_names", "classes"), ("vocabulary", "symbols")):
        if trained.get(key) is not None and trained[key] != describe(data)[key]:
            raise ValueError(
                f"data set {data.name!r} has other {what} than {trained['name']!r}, which the model was "
                "trained on: its figures would mean nothing."
            )


def _constructor_arguments(config, data, arguments, sources):
    given = {}
    for flag, argument in arguments.items():
        value = config["flags"][flag]
        if argument.kind == MODEL and value is not None:
            stored = sources[argument.name][1]
            value = {"model": stored["model"], "arguments": stored["arguments"], "run": value}
        given[argument.name] = value
    accepted = constructor_parameters(model_class(config["model"]))
    from_data = {name: getattr(data, name) for name in FROM_DATA if name != "num_examples"}
    from_data["num_examples"] = len(data.train)
    given |= {k: v for k, v in from_data.items() if k in accepted and v is not None}
    if config["flags"]["mixed_precision"] == "bfloat16":
        given["dtype"] = "mixed_bfloat16"
    return {"event_shape": list(data.event_shape)} | given


def describe(data):
    """Facts of a data set that a run keeps, as JSON has them."""
    symbols = None if data.vocabulary is None else repr((data.unit, data.vocabulary)).encode()
    facts = {
        "name": data.name, "fingerprint": data.fingerprint(), "event_shape": list(data.event_shape),
        "num_values": data.num_values, "binarize": data.binarize,
        "examples": {s: len(getattr(data, s).x) for s in ("train", "validation", "test")},
        "streams": {name: len(stream) for name, stream in data.train.streams.items()},
        "class_names": data.class_names,
        "vocabulary": symbols and hashlib.sha256(symbols).hexdigest()[:16],
    }  # fmt: skip
    return json.loads(json.dumps(facts | data.meaning.facts()))


def _check_gradients(model, settings):
    """Refuses flags about gradients where there are none."""
    if any(update.objective for stage in model.stages() for update in stage.updates):
        return
    for name in ("optimizer", "schedule", "warmup", "learning_rate", "clip_norm", "ema"):
        if name in settings.get("present", ()):
            raise ValueError(f"{type(model).__name__} is trained without gradients: leave --{name} out.")


def _described(model, data, config, strategy):
    """The line that says what is trained, and on what."""
    flags, stages = config["flags"], list(model.stages())
    updates, moved = [update for stage in stages for update in stage.updates], trained_variables(stages)
    count = sum(math.prod(v.shape) for v in moved)
    size = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in moved)
    if flags["jit"] != "auto":
        xla = f"XLA {flags['jit']}"
    elif model.jit_updates:
        xla = "XLA on"
    else:
        xla = "XLA off, which is faster here (--jit=on overrides)"
    parts = [f"{type(model).__name__}, {count:,} parameters ({_size(size)})", _devices(strategy), xla]
    parts.append(flags["mixed_precision"] if flags["mixed_precision"] != "off" else "float32")
    passes = config["steps"] * flags["batch_size"] / len(data.train)
    parts.append(f"{config['steps']:,} steps of {flags['batch_size']}, {passes:.3g} times through the data")
    if len(stages) > 1:
        parts.append(f"stages {', '.join(stage.name for stage in stages)}")
    if any(update.objective for update in updates):
        course = "" if flags["schedule"] == "constant" else f", {flags['schedule']}"
        course += f", {flags['warmup']} of warm-up" if flags["warmup"] else ""
        optimizer = text_of(config["optimizer"])
        rate = "" if "learning_rate" in optimizer else f" at {flags['learning_rate']:g}"
        parts.append(f"{optimizer}{rate}{course}")
    return f"model: {'; '.join(parts)}"


def _size(count):
    """Bytes as people say them."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _devices(strategy):
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{cores} CPU core{'s' if cores != 1 else ''}"
    if isinstance(strategy, tf.distribute.TPUStrategy):
        found = "TPU"
    elif gpus:
        found = f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''} ({', '.join(dict.fromkeys(gpus))})"
    replicas = strategy.num_replicas_in_sync if strategy else 1
    return found if replicas == 1 else f"{replicas} replicas on {found}"


def _optimizers(config, model):
    """The optimizers of a training by stage and update; the flags hold where the app says nothing else."""
    flags = config["flags"]
    defaults = {"learning_rate": flags["learning_rate"]}
    if flags["ema"] is not None:
        defaults |= {"use_ema": True, "ema_momentum": flags["ema"]}
    stages = list(model.stages())
    optimizers = make_optimizers(stages, config["optimizer"], **defaults)
    if flags["schedule"] != "constant" or flags["warmup"]:
        set_courses(optimizers, stages, config["steps"], flags["schedule"], flags["warmup"])
    return optimizers


def _versions():
    modules = {name: importlib.import_module(name) for name in _VERSIONED}
    return {"tfgen": sys.modules["tfgen"].__version__, "python": sys.version.split()[0]} | {
        name: module.__version__ for name, module in modules.items()
    }


def figures_seed(config):
    """The seed of a run's figures and samples, int32 [2]: evaluation does not reuse the training's draws."""
    return random.fold_in(random.as_seed(config["flags"]["seed"]), 1 << 40)


def _evaluate(model, config, settings, data):
    """The report on a test split, printed line by line: which weights, command, seed and data made it."""
    results = evaluate_model(model, data, figures_seed(config), settings["importance_samples"])
    for name, result in results.items():
        interval = f" [{result['low']:.4g}, {result['high']:.4g}]" if "low" in result else ""
        progress.write(f"test {name}: {result['value']:.5g}{interval} ({result['kind']})")
    return {
        "step": int(model.step.numpy()), "density": model.density, "metrics": results,
        "parameters": sum(math.prod(v.shape) for v in trained_variables(model.stages())),
        "command": shlex.join([*program().split(), *sys.argv[1:]]),
        "seed": config["flags"]["seed"], "data": describe(data),
    }  # fmt: skip


def _sample(model, config, settings, data, directory):
    keywords = {k: settings[k] for k in ("temperature", "length") if settings.get(k) is not None}
    meaning = _meaning(config)
    keywords |= _asked(model, settings, meaning)
    seed, num = _sample_seed(config), settings["num"]
    if settings.get("input") is not None:
        num = num if "num" in settings.get("present", ()) else None
        own = functools.partial(_pictures, model, config, settings)
        length = settings.get("length")
        num, more = inputs.asked(model, settings["input"], settings["keep"], num, length, own)
        keywords |= more
    with progress.doing("samples"):
        paths = save_samples(model, directory, num, seed, data, meaning, **keywords)
    if "given" in keywords and model.kind == "image":
        known = np.where(keywords["mask"] > 0, keywords["given"], model.space.value_range[0])
        paths.append(directory / "samples_given.png")
        pictures.save(draw(model, known), paths[-1])
    for path in paths:
        progress.write(f"samples: {path}")


def _pictures(model, config, settings):
    """The pictures of `--input`, cut and scaled to what the model draws."""
    height, width, channels = model.event_shape
    options = {"image_size": height} if height == width else {}
    options |= {"channels": channels} if channels in (1, 3) else {}
    return inputs.own_data(settings["input"], config["flags"], settings, load_data, **options)


def _views(model, config, settings, data, directory):
    seed = _sample_seed(config)
    with progress.doing("views"):
        paths = save_views(model, directory, settings["num"], seed, data, _meaning(config))
    for path in paths:
        progress.write(f"view: {path}")


def _sample_seed(config):
    return config["flags"]["seed"] if config.get("given_seed") else figures_seed(config)


def _asked(model, settings, meaning):
    """Arguments of `sample` that --prompt and --label ask for."""
    prompt, label = settings["prompt"], settings["label"]
    kind, name = getattr(model.condition, "kind", "none"), type(model).__name__
    if label is not None and kind != "label":
        raise ValueError(f"--label={','.join(label)}: {name} is not conditioned on labels.")
    if prompt is not None and kind != "text" and model.event_shape[0] is not None:
        raise ValueError(f"--prompt={prompt!r}: {name} neither continues nor answers a text.")
    asked = {} if prompt is None else {"condition" if kind == "text" else "prompt": prompt}
    if label is not None:
        wanted = model.condition.shape[0] if model.condition.shape else 1
        if len(label) != wanted:
            raise ValueError(f"--label={','.join(label)}: {name} takes {wanted} of them.")
        numbers = meaning.label(label)
        asked["condition"] = numbers if model.condition.shape else numbers[0]
    return asked


def _export(model, config, run, settings):
    facts = _meaning(config).facts()
    with progress.doing("exporting, every signature is tried"):
        path = serving.export(model, run.path / "export", xla=settings["xla"], facts=facts)
    progress.write(f"export: {path} answers {', '.join(model.signatures())}")
