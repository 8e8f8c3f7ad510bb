"""What the commands do: train, sample, evaluate, export, and those of a model's own."""

import contextlib
import importlib
import inspect
import shlex
import sys
import time

import keras

from tfgen import data as datasets
from tfgen import random, serving
from tfgen.cli.gallery import save_curves, save_samples, tensorboard_pictures
from tfgen.cli.program import program
from tfgen.evaluation.report import evaluate as evaluate_model
from tfgen.keras_model import constructor_parameters
from tfgen.training import Interrupted, make_strategy
from tfgen.training import train as train_model
from tfgen.training.checkpoints import Checkpoints, load_averages, weights_of
from tfgen.training.strategies import is_chief
from tfgen.update import optimizers_by_update

_VERSIONED = ("tensorflow", "keras", "tensorflow_probability", "numpy")


def train(config, run, settings, arguments):
    """Trains, then evaluates, samples and exports."""
    flags = config["flags"]
    strategy = make_strategy(flags["strategy"], flags["replicas"], settings["tpu"])
    data = _load_data(flags, settings)
    config |= {"arguments": config.get("arguments") or _constructor_arguments(config, data, arguments)}
    config |= {"data": config.get("data") or _describe(data)}
    if config["data"]["fingerprint"] != data.fingerprint():
        raise ValueError(f"data set {flags['dataset']!r} is not what run_dir={run.path} was trained on.")
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = build(config)
    if is_chief(strategy):
        if not settings["resume"]:
            run.begin(config | {"versions": _versions()}, settings["overwrite"])
        elif config.get("versions") != _versions():
            print(f"trained with {config.get('versions')}, now {_versions()}: not the same to the last bit")
    began = time.perf_counter()
    if flags["jit"] == "auto" and not model.jit_updates and type(model).jit_updates:
        print("XLA off: it is slower with the layers or distributions chosen (--jit=on overrides)")
    try:
        rows = train_model(
            model, data, config["steps"], run.path, flags["batch_size"], _optimizer(config), flags["seed"],
            strategy, flags["jit"], flags["clip_norm"], flags["checkpoint_every"], settings["resume"],
            settings["early_stopping"], pictures=lambda m: tensorboard_pictures(m, data),
        )  # fmt: skip
    except Interrupted as interrupted:
        again = f"{program()} {shlex.join([f'--run_dir={run.path}', '--resume'])}"
        print(f"interrupted at step {interrupted.step}; go on with: {again}")
        sys.exit(130)
    if is_chief(strategy):
        cost = {"seconds": round(time.perf_counter() - began, 1), "resumed": settings["resume"]}
        finish(config | {"cost": cost}, run, settings, data)
        print(f"curves: {save_curves(rows, run.path)}")
        run.write_json("config.json", run.config() | {"finished": config["steps"]})


def finish(config, run, settings, data):
    """Evaluates, draws and exports the best weights of a finished training."""
    model = restored(config, run, settings)
    _evaluate(model, config, run, settings, data)
    _sample(model, config, run, settings, data)
    _export(model, run, settings)


def sample(config, run, settings, arguments):
    """Draws samples from a run."""
    del arguments
    model = restored(config, run, settings)
    # Conditions that nobody names are taken from the data, unless they are labels.
    wanted = model.condition is not None and model.condition.kind != "label" and not settings["prompt"]
    _sample(model, config, run, settings, _load_data(config["flags"], settings) if wanted else None)


def evaluate(config, run, settings, arguments):
    """Evaluates a run on the test split."""
    del arguments
    data = _load_data(config["flags"], settings)
    _evaluate(restored(config, run, settings), config, run, settings, data)


def export(config, run, settings, arguments):
    """Writes a run's SavedModel."""
    del arguments
    _export(restored(config, run, settings), run, settings)


def further(command, config, run, settings):
    """A command of the model's own: its method of that name, on a run's weights."""
    method = getattr(restored(config, run, settings), command)
    given = {"temperature": settings["temperature"], "seed": config["flags"]["seed"]}
    accepted = inspect.signature(method).parameters
    method(**{name: value for name, value in given.items() if name in accepted and value is not None})


def model_class(path):
    """The class of that dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def build(config):
    """The untrained model of a configuration; its starting weights are a function of the seed."""
    keras.utils.set_random_seed(config["flags"]["seed"] % 2**32)
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in config["arguments"].items()}
    return model_class(config["model"])(**arguments)


def restored(config, run, settings):
    """The model of a run with its best weights or its last ones, averaged where the training averages.

    Raises:
      ValueError: If there is no complete checkpoint.
    """
    if "arguments" not in config:
        raise ValueError(f"run_dir={run.path} was not trained yet; go on with --resume.")
    model = build(config)
    where, optimizers = run.path / "checkpoints", _optimizers(config, model)
    # What chooses the best checkpoint says little of a model without a density.
    chosen = settings["checkpoint"] or ("last" if model.density == "none" else "best")
    if chosen == "best" and Checkpoints(weights_of(model), where / "best", 1).restore() is not None:
        print(f"best checkpoint, step {int(model.step)}")
        return model
    if Checkpoints(weights_of(model) | {"optimizers": optimizers}, where, 1).restore() is not None:
        load_averages([o for each in optimizers.values() for o in each.values()])
        print(f"last checkpoint, step {int(model.step)}")
        return model
    raise ValueError(f"run_dir={run.path} has no complete checkpoint; go on training with --resume.")


def _load_data(flags, settings):
    return datasets.load(
        flags["dataset"], data_dir=settings["data_dir"], download=settings["download"],
        binarize=flags["binarize"], image_size=flags["image_size"], unit=flags["unit"],
        window=flags["window"],
    )  # fmt: skip


def _constructor_arguments(config, data, names):
    given = {name: config["flags"][name] for name in names}
    accepted = constructor_parameters(model_class(config["model"]))
    from_data = {
        name: getattr(data, name) for name in ("num_values", "num_classes", "vocabulary", "unit", "rate")
    }
    given |= {k: v for k, v in from_data.items() if k in accepted and v is not None}
    if config["flags"]["mixed_precision"] == "bfloat16":
        given["dtype"] = "mixed_bfloat16"
    return {"event_shape": list(data.event_shape)} | given


def _describe(data):
    return {
        "name": data.name, "fingerprint": data.fingerprint(), "event_shape": list(data.event_shape),
        "num_values": data.num_values, "binarize": data.binarize,
        "examples": {s: len(getattr(data, s).x) for s in ("train", "validation", "test")},
    }  # fmt: skip


def _optimizer(config):
    chosen, flags = config["optimizer"], config["flags"]
    chosen = {"name": chosen} if isinstance(chosen, str) else dict(chosen)
    averaging = {"use_ema": True, "ema_momentum": flags["ema"]} if flags["ema"] is not None else {}
    name = chosen.pop("name")
    settings = {"learning_rate": flags["learning_rate"]} | averaging | chosen
    return keras.optimizers.get({"class_name": name, "config": settings})


def _optimizers(config, model):
    """The optimizers of a training by stage and update, as its checkpoints hold them."""
    optimizers = {}
    for stage in model.stages():
        optimizers[stage.name] = optimizers_by_update(stage.updates, _optimizer(config))
        for update in stage.updates:
            if update.trainable:
                optimizers[stage.name][update.name].build(update.trainable)
    return optimizers


def _versions():
    modules = {name: importlib.import_module(name) for name in _VERSIONED}
    return {"tfgen": sys.modules["tfgen"].__version__, "python": sys.version.split()[0]} | {
        name: module.__version__ for name, module in modules.items()
    }


def _seed(config):
    # Evaluation and samples do not reuse the training's draws.
    return random.fold_in(random.as_seed(config["flags"]["seed"]), 1 << 40)


def _evaluate(model, config, run, settings, data):
    results = evaluate_model(model, data, _seed(config), settings["importance_samples"])
    cost = config.get("cost") or run.read_json("metrics.json").get("cost")
    report = {
        "step": int(model.step.numpy()), "density": model.density, "metrics": results,
        "command": shlex.join([*program().split(), *sys.argv[1:]]),
        "seed": config["flags"]["seed"], "data": config["data"], "cost": cost,
    }  # fmt: skip
    run.write_json("metrics.json", report)
    for name, result in results.items():
        interval = f" [{result['low']:.4g}, {result['high']:.4g}]" if "low" in result else ""
        print(f"test {name}: {result['value']:.5g}{interval} ({result['kind']})")


def _sample(model, config, run, settings, data):
    keywords = {k: settings[k] for k in ("temperature", "length") if settings.get(k) is not None}
    keywords |= _asked(model, settings)
    seed = config["flags"]["seed"] if config.get("given_seed") else _seed(config)
    for path in save_samples(model, run.path, settings["num"], seed, data, **keywords):
        print(f"samples: {path}")


def _asked(model, settings):
    """What --prompt and --label ask for, as arguments of `sample`."""
    prompt, label = settings["prompt"], settings["label"]
    kind, name = getattr(model.condition, "kind", "none"), type(model).__name__
    if label is not None and kind != "label":
        raise ValueError(f"--label={','.join(map(str, label))}: {name} is not conditioned on labels.")
    if prompt is not None and kind != "text" and model.event_shape[0] is not None:
        raise ValueError(f"--prompt={prompt!r}: {name} neither continues nor answers a text.")
    asked = {} if prompt is None else {"condition" if kind == "text" else "prompt": prompt}
    if label is not None:
        wanted = model.condition.shape[0] if model.condition.shape else 1
        if len(label) != wanted:
            raise ValueError(f"--label={','.join(map(str, label))}: {name} takes {wanted} of them.")
        asked["condition"] = label if model.condition.shape else label[0]
    return asked


def _export(model, run, settings):
    path = serving.export(model, run.path / "export", xla=settings["xla"])
    print(f"export: {path} answers {', '.join(model.signatures())}")
