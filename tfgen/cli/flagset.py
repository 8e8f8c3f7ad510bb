"""The flags of an app: those that all share and one for each argument of the model's constructor."""

import ast
import dataclasses
import json
import math
import re

from absl import flags

from tfgen.cli.constructor import DATA, MODEL, RUN, read_arguments

COMMANDS = {
    "train": "train, then evaluate on the test split, draw samples and export (the default)",
    "sample": "draw samples from a run",
    "evaluate": "evaluate a run on the test split",
    "export": "write a run's SavedModel for TensorFlow Serving",
}
# Arguments of constructors that the data set, not a flag, gives to those that take them.
FROM_DATA = ("num_values", "num_classes", "vocabulary", "unit", "rate", "num_examples")
# Flags that are arguments of `tfgen.data.load`, beside the name of the set.
DATA_OPTIONS = (
    "binarize", "image_size", "unit", "window", "num_labels", "background", "channels", "skip_bad",
    "encoding", "mono", "rate", "label_column", "counts",
)  # fmt: skip
# Of these, flags of the models alone that have an argument of that name.
DATA_OPTIONS_OF_MODELS = ("missing",)
_NOT_FLAGS = {"event_shape", "name", "dtype", *FROM_DATA}


class _Number(flags.ArgumentParser):
    """A finite number, at least or above a bound."""

    def __init__(self, kind, low=None, strictly=False):
        super().__init__()
        self.kind, self.low, self.strictly = kind, low, strictly
        self.syntactic_help = "an integer" if kind is int else "a number"

    def parse(self, argument):
        """Parses the text of a flag."""
        try:
            value = self.kind(argument)
        except (TypeError, ValueError):
            raise ValueError(f"takes {self.syntactic_help}") from None
        if not math.isfinite(value):
            raise ValueError("takes a finite number")
        if self.low is not None and (value <= self.low if self.strictly else value < self.low):
            raise ValueError(
                f"takes {self.syntactic_help} {'above' if self.strictly else 'of at least'} {self.low}"
            )
        return value

    def flag_type(self):
        """Shown in absl's help."""
        return self.kind.__name__


class _Tuple(flags.ArgumentParser):
    """Numbers set apart by commas; an empty text is the empty tuple."""

    def __init__(self, element):
        super().__init__()
        self.element = _Number(element)
        self.syntactic_help = "numbers set apart by commas"

    def parse(self, argument):
        """Parses the text of a flag."""
        if isinstance(argument, (tuple, list)):
            return tuple(argument)
        return tuple(self.element.parse(a.strip()) for a in argument.split(",") if a.strip())

    def flag_type(self):
        """Shown in absl's help."""
        return "tuple"


class _Optimizer(flags.ArgumentParser):
    """A Keras optimizer by name with arguments, "sgd:momentum=0.9"; several by update or stage."""

    syntactic_help = "NAME, NAME:ARGUMENT=VALUE,... or UPDATE=NAME:...;UPDATE=NAME:..."

    def parse(self, argument):
        """Parses the text of a flag: a dict with the "name" and the arguments, or of such dicts by update."""
        if not isinstance(argument, str):
            return described(argument)
        by_owner = [re.fullmatch(r"\s*(\w+)\s*=(.*)", part) for part in argument.split(";")]
        if by_owner == [None]:
            return self._one(argument)
        if None in by_owner:
            raise ValueError(f"takes {self.syntactic_help}")
        return {match[1]: self._one(match[2]) for match in by_owner}

    def _one(self, text):
        name, _, rest = text.strip().partition(":")
        pairs = [pair.partition("=") for pair in rest.split(",") if pair.strip()]
        try:
            arguments = {key.strip(): ast.literal_eval(value.strip()) for key, _, value in pairs}
        except (ValueError, SyntaxError):
            arguments = {"": None}
        plain = all(key.isidentifier() and isinstance(v, (int, float)) for key, v in arguments.items())
        if not (name.isidentifier() and plain) or "name" in arguments:
            raise ValueError(f"takes {self.syntactic_help}, as in sgd:momentum=0.9")
        return {"name": name} | arguments

    def flag_type(self):
        """Shown in absl's help."""
        return "optimizer"


def described(optimizer):
    """An optimizer as text, "sgd:momentum=0.9", or a dict of such, as the dict that `--optimizer` gives."""
    if isinstance(optimizer, str):
        return _Optimizer().parse(optimizer)
    if isinstance(optimizer.get("name"), str):
        return dict(optimizer)
    return {owner: described(each) for owner, each in optimizer.items()}


def text_of(value):
    """A flag's value as it is written on a command line."""
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        given = ",".join(f"{k}={v}" for k, v in value.items() if k != "name")
        return value["name"] + (given and f":{given}")
    if isinstance(value, dict):
        return ";".join(f"{owner}={text_of(each)}" for owner, each in value.items())
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


@dataclasses.dataclass(frozen=True)
class Defaults:
    """Defaults of the shared flags that an app sets."""

    dataset: str
    binarize: str
    steps: int
    batch_size: int
    learning_rate: float
    optimizer: dict
    checkpoint_every: int | None
    run_dir: str


def define(model, defaults, overrides, presets):
    """The flags of an app.

    Args:
      model: Dotted path of the model class.
      defaults: `Defaults`.
      overrides: Other defaults than those of the constructor and of the shared flags.
      presets: Names of the presets.

    Returns:
      (absl FlagValues, dict by flag of the constructor's `Argument` that became flags).

    Raises:
      ValueError: If an override names no flag.
    """
    values = flags.FlagValues()
    arguments = {a.flag: a for a in read_arguments(model).values() if _becomes_flag(a)}
    _define_shared(values, _DEFAULTS | dataclasses.asdict(defaults) | overrides, _shared(presets))
    for name, argument in arguments.items():
        _define_argument(values, argument, overrides.get(name, argument.default))
    check_overrides(values, overrides, model)
    return values, arguments


def define_task(arguments, overrides):
    """The flags of a task: one for each argument but data sets, and those that all tasks share.

    Args:
      arguments: What `read_function` found, but for those that take no flag.
      overrides: Other defaults than the function's.

    Returns:
      absl FlagValues.
    """
    values = flags.FlagValues()
    for argument in arguments.values():
        if argument.kind not in (None, DATA):
            _define_argument(values, argument, overrides.get(argument.flag, argument.default))
    names = ("data_dir", "download", "help") if opens_runs(arguments) else ("help",)
    shared = [row for row in _SHARED if row[0] in names and row[0] not in values]
    _define_shared(values, overrides, shared)
    return values


def opens_runs(arguments):
    """Whether some of a function's arguments are runs, models or data."""
    return any(kind in (MODEL, RUN, DATA) for a in arguments.values() for kind in (a.kind, a.element))


def check_overrides(values, overrides, owner):
    """Checks that an app sets defaults of flags that exist.

    Raises:
      ValueError: If an override names no flag.
    """
    unknown = ", ".join(sorted(set(overrides) - set(values)))
    if unknown:
        raise ValueError(f"the app sets {unknown}, which is no flag of {owner}.")


def _becomes_flag(argument):
    if argument.name in _NOT_FLAGS:
        return False
    return argument.kind == MODEL or not (argument.required or argument.kind in (None, DATA, RUN))


def _define_argument(values, argument, default):
    kind, name, text = argument.kind, argument.flag, argument.help
    if kind == MODEL:
        text = f"directory of the run whose model is used: {text}"
    if kind is bool:
        flags.DEFINE_bool(name, default, text, flag_values=values, module_name="model")
    elif kind is list:
        flags.DEFINE_multi_string(name, list(default or ()), text, flag_values=values, module_name="model")
        # Without absl's own words on how to repeat it.
        values[name].help = text
    elif kind in (str, MODEL, RUN):
        flags.DEFINE_string(name, default, text, flag_values=values, module_name="model")
    elif argument.element in (str, MODEL, RUN):
        flags.DEFINE_list(name, list(default or ()), text, flag_values=values, module_name="model")
    else:
        parser = _Tuple(argument.element) if kind is tuple else _Number(kind)
        flags.DEFINE(parser, name, default, text, flag_values=values, module_name="model")


# Each: name, how it is read, what it is for. The reader is a `_Number`, a tuple of choices, str or bool; None
# is a bool that, where it is not given, is not decided yet.
_POSITIVE = _Number(int, 0, strictly=True)
_POSITIVE_FLOAT = _Number(float, 0, strictly=True)
_SHARED = (
    ("run_dir", str, "the run's directory"),
    ("dataset", str, "an embedded data set, a TFDS name, folder:PATH or file:PATH; docs/data.md shows all"),
    ("list_datasets", bool, "show the data sets that can be named, and what own files may be"),
    ("data_dir", str, "where TFDS data, or a data set's files, lie"),
    ("download", bool, "let TFDS download the data set"),
    ("binarize", ("none", "threshold", "fixed", "dynamic"), "how grey levels become 0 and 1"),
    ("image_size", _POSITIVE, "resize a folder's or a TFDS set's images to this many pixels"),
    ("channels", _POSITIVE, "1 makes own images grey, 3 RGB"),
    ("background", str, "colour on which own images that are transparent are laid, e.g. white or #ff8800"),
    ("stream", None, "read own images and arrays as they are needed; by default where they are large"),
    ("skip_bad", bool, "leave out own files, and rows of tables, that cannot be used"),
    ("label_column", str, "column of an own table that holds the classes"),
    ("counts", bool, "texts are counts of words, each file or paragraph an example; own numbers are counts"),
    ("encoding", str, "encoding of own text files; by default UTF-8, or UTF-16 where they are in it"),
    ("mono", bool, "mix own recordings of several channels down to one"),
    ("rate", _POSITIVE, "samples a second to which own recordings are resampled"),
    ("unit", ("character", "word"), "what a token of a text is"),
    ("window", _POSITIVE, "steps of an example cut from a long text or recording"),
    ("num_labels", _POSITIVE, "how many training examples show their labels, for training with few labels"),
    ("steps", _POSITIVE, "training steps"),
    ("start_from", str, "directory of a run of the same model, with whose weights the training begins"),
    ("batch_size", _POSITIVE, "examples in a batch, over all replicas"),
    ("learning_rate", _POSITIVE_FLOAT, "the optimizer's learning rate, or the highest one of a schedule"),
    (
        "optimizer",
        _Optimizer(),
        "a Keras optimizer and its arguments, as sgd:momentum=0.9, for all updates or as "
        "UPDATE=adam;UPDATE=sgd",
    ),
    ("schedule", ("constant", "cosine", "linear"), "how the learning rate falls to 0 over each stage"),
    ("warmup", _Number(int, 0), "steps at the beginning of each stage in which the learning rate rises"),
    ("clip_norm", _POSITIVE_FLOAT, "clip gradients to this global norm"),
    ("ema", _POSITIVE_FLOAT, "decay of a moving average of the weights, e.g. 0.999"),
    ("early_stopping", _POSITIVE, "stop after this many evaluations without a better validation loss"),
    (
        "checkpoint_every",
        _POSITIVE,
        "steps between evaluations, each with a checkpoint; by default a tenth of the steps",
    ),
    ("seed", _Number(int), "seed of all random numbers"),
    ("jit", ("auto", "on", "off"), "compile with XLA"),
    ("mixed_precision", ("off", "bfloat16"), "compute layers in bfloat16"),
    ("strategy", ("one_device", "mirrored", "multi_worker", "tpu"), "devices"),
    ("replicas", _POSITIVE, "GPUs, or logical CPUs, of --strategy=mirrored"),
    ("tpu", str, "name or address of the TPU"),
    ("resume", bool, "go on from the run's newest checkpoint"),
    ("overwrite", bool, "replace the run in run_dir"),
    ("dry_run", bool, "check the flags, the data and the model, then stop before anything is written"),
    ("num", _POSITIVE, "sample: how many"),
    ("temperature", _Number(float, 0), "sample: below 1 less varied, 0 the mode"),
    ("prompt", str, "sample: what to continue, to answer or to write"),
    ("label", list, "sample: the class by name or number, or one of each kind; by default all in turn"),
    (
        "input",
        str,
        "sample: a text file with a prompt a line, or pictures to complete; evaluate: own data in place of "
        "the test split; chat: a text file of what is said",
    ),
    (
        "keep",
        _Number(float, 0),
        "sample: share of the rows of --input's pictures, from the top, that is kept",
    ),
    (
        "output",
        str,
        "sample, evaluate: name of what is written, beside the training's own samples and figures",
    ),
    ("checkpoint", ("best", "last"), "which weights to use; by default best, or last without a density"),
    ("importance_samples", _POSITIVE, "evaluate: samples of a bound"),
    ("xla", bool, "export: add compiled variants, for servers started with XLA"),
    ("help", bool, "show this text"),
)
_DEFAULTS = {
    "seed": 0, "jit": "auto", "mixed_precision": "off", "strategy": "one_device", "num": 64,
    "importance_samples": 100, "unit": "character", "schedule": "constant", "warmup": 0, "keep": 0.5,
}  # fmt: skip


def _shared(presets):
    text = "a set of flags for a purpose; flags given beside it override"
    return (*_SHARED, ("preset", tuple(sorted(presets)) or ("none",), text))


def _define_shared(values, defaults, rows):
    for name, reader, text in rows:
        keywords = {"flag_values": values, "module_name": "shared"}
        default = defaults.get(name)
        if reader is bool:
            flags.DEFINE_bool(name, bool(default), text, **keywords)
        elif reader is None:
            flags.DEFINE_bool(name, default, text, **keywords)
        elif reader is list:
            flags.DEFINE_list(name, default, text, **keywords)
        elif reader is str:
            flags.DEFINE_string(name, default, text, **keywords)
        elif isinstance(reader, tuple):
            flags.DEFINE_enum(name, default, reader, text, **keywords)
        else:
            flags.DEFINE(reader, name, default, text, **keywords)


def chosen(values, names):
    """The values of these flags, as JSON has them."""
    return json.loads(json.dumps({name: values[name].value for name in names}))


def help_text(values, arguments, summary, program, commands):
    """Text of `--help`; `commands` are the texts of the commands by name, empty for a program without."""
    choice = f" [{'|'.join(commands)}]" if commands else ""
    lines = [summary.strip(), "", f"usage: {program}{choice} [--flags]", ""]
    lines += [f"  {name:<9} {text}" for name, text in commands.items()]
    return "\n".join([*lines, flags_text(values, arguments, "model flags" if commands else "flags")])


def flags_text(values, arguments, title):
    """The part of `--help` that lists flags: those of `arguments` under a title, then the others."""
    lines = []
    groups = {title: list(arguments), "other flags": [n for n in values if n not in arguments]}
    for group, names in groups.items():
        lines += ["", f"{group}:"]
        for name in names:
            flag = values[name]
            shown = "" if flag.default is None else text_of(flag.default)
            usage = f"--[no]{name}" if flag.boolean else f"--{name}={shown}"
            lines.append(f"  {usage:<34} {flag.help}")
    return "\n".join(lines)
