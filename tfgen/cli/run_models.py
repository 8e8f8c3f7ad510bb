"""Models of runs: made from a configuration, with the weights that a run has or takes from another."""

import importlib
import json
import sys

import keras
import numpy as np

from tfgen import progress
from tfgen.cli.constructor import MODEL, public_path
from tfgen.cli.flagset import text_of
from tfgen.cli.run_directory import RunDirectory
from tfgen.keras_model import constructor_parameters
from tfgen.model import GenerativeModel
from tfgen.training import restore_weights
from tfgen.training.checkpoints import variable_paths
from tfgen.update import trained_variables

_START = "start.npz"


def model_class(path):
    """The class of that dotted path.

    Raises:
      ValueError: If this release has no such class.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        version = sys.modules["tfgen"].__version__
        raise ValueError(
            f"model {path} is not in tfgen {version}: open its run with the release that trained it, which "
            "config.json names under versions."
        ) from error


def build(config, held=None):
    """The untrained model of a configuration; its starting weights are a function of the seed.

    Args:
      config: With "model", "arguments" and "flags".
      held: Models that are arguments of its constructor, by name.

    Raises:
      ValueError: If this release has no such model, or it takes other arguments.
    """
    keras.utils.set_random_seed(config["flags"]["seed"] % 2**32)
    known = model_class(config["model"])
    foreign = ", ".join(config["arguments"].keys() - constructor_parameters(known).keys())
    if foreign:
        raise ValueError(
            f"config.json gives {config['model']} the arguments {foreign}, which it does not take: take them "
            "out if they meant nothing, or open the run with the release that trained it."
        )
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in config["arguments"].items()}
    return known(**arguments | (held or {}))


def held_models(config, directory=None):
    """The models that are arguments of a run's model, by name, with the weights that lie in `directory`."""
    held = {}
    for name, value in config["arguments"].items():
        if isinstance(value, dict):
            inner = {"model": public_path(value["model"]), "arguments": value["arguments"]}
            inner |= {"flags": config["flags"]}
            held[name] = build(inner, held_models(inner))
            if directory is not None:
                held[name].load_weights(directory / f"{name}.weights.h5")
    return held


def saver(held, start):
    """Writer of what a run takes from others, which `held_models` and `load_start` read; None for nothing."""
    if not held and not start:
        return None

    def save(directory):
        for name, model in held.items():
            model.save_weights(directory / f"{name}.weights.h5")
        if start:
            np.savez(directory / _START, **start)

    return save


def model_runs(flags, arguments):
    """The runs that flags name as arguments: (RunDirectory, configuration) by the argument's name.

    Raises:
      ValueError: If one is no trained run of a model.
    """
    found = {}
    for flag, argument in arguments.items():
        if argument.kind != MODEL or flags[flag] is None:
            continue
        found[argument.name] = _trained_run(flag, flags[flag])
    return found


def _trained_run(flag, path):
    source = RunDirectory(path)
    try:
        stored = source.config()
        known = model_class(stored["model"])
    except ValueError as error:
        raise ValueError(f"--{flag}={path}: {error}") from error
    if not (isinstance(known, type) and issubclass(known, GenerativeModel)):
        raise ValueError(f"--{flag}={path}: {stored['model']} is no GenerativeModel.")
    if "arguments" not in stored:
        raise ValueError(f"--{flag}={path}: the run was not trained yet.")
    return source, stored


def source_of(config):
    """The run that --start_from names: (RunDirectory, configuration), or None.

    Raises:
      ValueError: If it is no trained run of the same model.
    """
    path = config["flags"].get("start_from")
    if path is None:
        return None
    source, stored = _trained_run("start_from", path)
    if stored["model"] != config["model"]:
        there, here = (each["model"].rpartition(".")[2] for each in (stored, config))
        raise ValueError(f"--start_from={path} holds a run of {there}, not of {here}.")
    return source, stored


def starting_weights(config, source, model, held):
    """The weights with which --start_from lets a training begin: {path: array}, empty without it.

    They are the other run's best ones, or its last where there is no density. All that the training moves
    must be there; what else has the same path and shape, such as the chains of a machine or the averages of
    a normalization, is taken too. Models that the model holds are those of this run.

    Args:
      config: The run's configuration.
      source: What `source_of` returned.
      model: The model, untrained.
      held: Models that are arguments of its constructor, by name.

    Raises:
      ValueError: If the other run's weights do not fit, or a stage would not keep them.
    """
    if source is None:
        return {}
    run, stored = source
    told = f"--start_from={run.path}"
    stages = list(model.stages())
    for stage in stages[1:]:
        if stage.on_enter:
            raise ValueError(
                f"{told}: the stage {stage.name!r} of {type(model).__name__} begins with weights of its own, "
                "made of those of the stage before: leave --start_from out."
            )
    for argument, fact, what in (
        ("vocabulary", "vocabulary", "symbols"),
        ("num_classes", "class_names", "classes"),
    ):
        there, here = (each.get("data", {}).get(fact) for each in (stored, config))
        if argument in config["arguments"] and there != here and None not in (there, here):
            raise ValueError(f"{told} was trained on other {what} than {config['data']['name']!r} has.")
    other = restored(stored, run, log=lambda line: progress.write(f"weights of {run.path}: {line}"))
    values = {path: variable.numpy() for path, variable in variable_paths(other).items()}
    own = {id(variable) for each in held.values() for variable in each.variables}
    own |= {id(model.step), id(model.stage)}
    moved = {id(variable) for variable in trained_variables(stages)}
    start = {}
    for path, variable in variable_paths(model).items():
        fits = path in values and values[path].shape == tuple(variable.shape)
        if id(variable) in moved - own and not fits:
            there = f"has shape {list(values[path].shape)}" if path in values else "is not"
            raise ValueError(
                f"{told}: {path} {there} there and has shape {list(variable.shape)} here"
                f"{_other_arguments(stored, config)}."
            )
        if fits and id(variable) not in own:
            start[path] = values[path]
    return start


def _other_arguments(stored, config):
    """Which flags of the model the two runs differ in, as part of a sentence."""
    there, here = (json.loads(json.dumps(each["arguments"])) for each in (stored, config))
    names = [name for name in there if name in here and there[name] != here[name] and name != "num_examples"]
    if not names:
        return ""
    return "; it was trained with " + ", ".join(f"{name}={text_of(there[name])}" for name in names)


def load_start(config, directory):
    """The weights that `saver` wrote for a run that began with another's: {path: array}."""
    if config["flags"].get("start_from") is None:
        return {}
    with np.load(directory / _START) as stored:
        return dict(stored)


def restored(config, run, checkpoint=None, log=progress.write):
    """The model of a run with its best weights or its last ones, averaged where the training averages.

    Args:
      config: The run's configuration.
      run: `RunDirectory`.
      checkpoint: "best" or "last"; None for the best, or the last where there is no density.
      log: Called with the line that says which it is, or None.

    Raises:
      ValueError: If there is no complete checkpoint.
    """
    if "arguments" not in config:
        raise ValueError(f"run_dir={run.path} was not trained yet; go on with --resume.")
    log = log or (lambda line: None)
    model = build(config, held_models(config, run.path / "models"))
    # What chooses the best checkpoint says little of a model without a density.
    chosen = checkpoint or ("last" if model.density == "none" else "best")
    found = restore_weights(model, run.path / "checkpoints", chosen)
    if found is None:
        raise ValueError(f"run_dir={run.path} has no complete checkpoint; go on training with --resume.")
    which, step = found
    log(f"{which} checkpoint, step {step}")
    return model
