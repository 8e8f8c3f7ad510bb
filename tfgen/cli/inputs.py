"""Own files for commands on a trained run (`--input`): prompts, pictures to complete, data to evaluate on."""

import contextlib
import inspect
import io
import pathlib
import sys

import numpy as np

from tfgen import random
from tfgen.cli.flagset import DATA_OPTIONS, DATA_OPTIONS_OF_MODELS
from tfgen.data.reading import read_text


def lines(path):
    """The lines of a text file that are not blank.

    Args:
      path: The file, in UTF-8.

    Raises:
      ValueError: If it cannot be read, or all lines are blank.
    """
    found = [line for line in read_text(path).splitlines() if line.strip()]
    if not found:
        raise ValueError(f"--input={path} has no lines: write one for each sample.")
    return found


@contextlib.contextmanager
def read_instead_of_terminal(path):
    """Makes the lines of a text file what a program reads from the standard input; None leaves that."""
    if path is None:
        yield
        return
    kept, sys.stdin = sys.stdin, io.StringIO("\n".join(lines(path)) + "\n")
    try:
        yield
    finally:
        sys.stdin = kept


def own_data(path, flags, settings, load, **options):
    """All examples of a file or folder, in its order, as the splits of a `tfgen.data.Data`.

    Args:
      path: A file or a folder, with or without "file:" or "folder:".
      flags: The run's flags: the data are read as those that it was trained on.
      settings: As `load` takes them.
      load: `f(flags, settings) -> Data`.
      **options: Options of `tfgen.data.load` beside the run's own.
    """
    place = pathlib.Path(path.removeprefix("file:").removeprefix("folder:")).expanduser()
    if not place.exists():
        raise ValueError(f"--input={path}: there is no such file or folder.")
    kind = "folder" if place.is_dir() else "file"
    options_of_run = {*DATA_OPTIONS, *DATA_OPTIONS_OF_MODELS} - {"num_labels"}
    read = {name: flags.get(name) for name in ("dataset", *sorted(options_of_run))}
    return load(read | options | {"dataset": f"{kind}:{place}", "validation": "all"}, settings)


def asked(model, path, keep, num, length, data):
    """Arguments of `sample` by which a model goes on from an input: its prompts, or its pictures.

    Args:
      model: The model.
      path: As the user gave it.
      keep: Of pictures, the share of rows from the top that is kept.
      num: How many samples the user asks for; None for one of each prompt or picture.
      length: Steps of a sample of text; None for the model's.
      data: `f() -> Data` of the pictures.

    Returns:
      (number of samples, dict of arguments).

    Raises:
      ValueError: If the model does not go on from such an input.
    """
    if model.condition is not None and model.condition.kind == "text":
        told = lines(path)
        return num or len(told), {"condition": _repeated(told, num)}
    if model.kind == "text":
        return _continued(model, _repeated(lines(path), num), length or model.length)
    if model.kind != "image" or "given" not in inspect.signature(model.sample_rows).parameters:
        raise ValueError(
            f"--input={path}: {type(model).__name__} neither answers or continues texts nor completes "
            "pictures; leave --input out."
        )
    if not 0 < keep < 1:
        raise ValueError(f"--keep={keep}: takes a share between 0 and 1.")
    pictures = data()
    model.space.check_data(pictures)
    x = model.space.from_data(pictures.test.x, pictures, random.as_seed(0)).numpy()
    given = np.resize(x, (num or len(x), *x.shape[1:]))
    mask = np.zeros_like(given)
    mask[:, : round(keep * given.shape[1])] = 1.0
    return len(given), {"given": given, "mask": mask}


def _repeated(items, num):
    return items if num is None else [items[i % len(items)] for i in range(num)]


def _continued(model, prompts, length):
    """Known entries of texts that begin with these prompts, each with its own length."""
    tokens = [model.encode_prompt(prompt) for prompt in prompts]
    for prompt, each in zip(prompts, tokens, strict=True):
        if not 0 < len(each) <= length:
            raise ValueError(
                f"the prompt {prompt!r} has {len(each)} {model.text.unit}s, a sample of "
                f"{type(model).__name__} {length}: make it shorter, or raise --length."
            )
    given = np.zeros((len(tokens), length), np.float32)
    mask = np.zeros_like(given)
    for row, each in enumerate(tokens):
        given[row, : len(each)] = each
        mask[row, : len(each)] = 1.0
    return len(tokens), {"given": given, "mask": mask}
