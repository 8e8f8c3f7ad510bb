"""What runs have measured, read from their directories without opening the models."""

import csv
import glob
import json
import math
import os
import pathlib
import re
from typing import NamedTuple

from tfgen.cli.run_directory import RunDirectory


class Record(NamedTuple):
    """The figures of a run.

    Args:
      name: How a table calls it.
      run: Its `RunDirectory`.
      config: Its `config.json`.
      report: Its `metrics.json`, or what `evaluate` found later.
    """

    name: str
    run: RunDirectory
    config: dict
    report: dict

    @property
    def figures(self):
        """Figures by name: {"value", "kind"} and perhaps "low" and "high"."""
        return self.report["metrics"]

    @property
    def model(self):
        """The model's name."""
        return self.config["model"].rpartition(".")[2]

    @property
    def data(self):
        """Description of the data that the figures are of."""
        return self.report["data"]

    @property
    def condition(self):
        """What the density is conditioned on, or None."""
        given = self.config.get("arguments", {}).get("condition")
        return None if given in (None, "none") else given

    def validation(self):
        """What the training measured on the validation split at the weights that the figures are of.

        Returns:
          {name: value} of the `val_*` columns of `metrics.csv`; empty without validation examples.
        """
        rows = [row for row in history(self.run) if row["step"] <= self.report["step"]]
        return {k: v for k, v in (rows[-1] if rows else {}).items() if k.startswith("val_")}


def read_record(path, name=None):
    """The figures of a run.

    Args:
      path: The run's directory, or a file of its `evaluations/`.
      name: How a table shall call it; None for its path.

    Raises:
      ValueError: If there is no run, or it has no figures yet.
    """
    path = pathlib.Path(path)
    file = path if path.suffix == ".json" and path.is_file() else path / "metrics.json"
    within = path.parent.parent if path.parent.name == "evaluations" else path.parent
    run = RunDirectory(within if file is path else path)
    config = run.config()
    if not file.is_file():
        raise ValueError(f"{run.path} has no figures yet: its training is not finished, go on with --resume.")
    try:
        report = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    if not (isinstance(report, dict) and {"metrics", "data", "step", "density"} <= report.keys()):
        raise ValueError(f"{file} is no report of figures: name a run, or a file of its evaluations.")
    return Record(name or str(path), run, config, report)


def find_runs(words):
    """The runs that words of a command line name.

    Args:
      words: Directories of runs; reports in their `evaluations/`; directories of sweeps, or any that hold
        runs, for all runs in them; and patterns with `*` of any of these.

    Returns:
      (paths in the order named, each once; those of runs in a directory named that have no figures yet).

    Raises:
      ValueError: If a word names none.
    """
    found, unfinished = [], []
    for word in words:
        paths = [word] if os.path.exists(word) else sorted(glob.glob(word), key=_natural)
        if not paths:
            what = "matches nothing" if glob.has_magic(word) else "is not there"
            raise ValueError(f"{word} {what}: name directories of runs or of sweeps.")
        several = glob.has_magic(word) and not os.path.exists(word)
        before = len(found) + len(unfinished)
        for path in map(pathlib.Path, paths):
            if path.is_file() or RunDirectory(path).holds_run:
                finished = path.is_file() or not several or (path / "metrics.json").is_file()
                (found if finished else unfinished).append(path)
                continue
            for run in sorted((p.parent for p in path.glob("*/config.json")), key=_natural):
                (found if (run / "metrics.json").is_file() else unfinished).append(run)
        if len(found) + len(unfinished) == before:
            raise ValueError(f"{word} holds no run: name directories of runs or of sweeps.")
    return list(dict.fromkeys(found)), list(dict.fromkeys(unfinished))


def short_names(paths):
    """Paths without the directory that all of them lie in."""
    texts = [str(path) for path in paths]
    if len(texts) < 2:
        return texts
    common = os.path.commonpath([os.path.dirname(os.path.abspath(text)) for text in texts])
    return [os.path.relpath(os.path.abspath(text), common) for text in texts]


def history(run):
    """The rows of a run's `metrics.csv`: {column: number}, of what was measured at a step; [] without."""
    path = run.path / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k and v} for row in csv.DictReader(file)]


def column(rows, name):
    """Steps and values of a column of a history, NaN where a row has none."""
    return [row["step"] for row in rows], [row.get(name, math.nan) for row in rows]


def _natural(path):
    """Key by which names sort with their numbers in order: seed=2 before seed=10."""
    return [
        (0, float(part), "") if re.fullmatch(r"\d+(\.\d+)?(e-?\d+)?", part) else (1, 0.0, part)
        for part in re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", str(path))
        if part
    ]
