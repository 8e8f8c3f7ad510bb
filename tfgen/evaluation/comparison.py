"""Figures of several runs side by side: which of them may be compared, and how they spread over seeds."""

import math
import re

import numpy as np

# Of the figures of a report, the one to put first: the first of these that it has. Less is better of each.
_FIRST = ("bits_per_dim", "bits_per_step", "nats_per_step", "nats", "frechet_distance")
_DATA = ("name", "event_shape", "num_values", "binarize", "examples", "class_names", "vocabulary")


def quantity(figure):
    """What a figure measures: a bound of the nats measures the nats."""
    return figure.removesuffix("_bound")


def headline(figures, num_values=None):
    """The quantity by which to know a model, of those that a report has; None where it has none.

    Args:
      figures: Names of figures.
      num_values: Levels of the data: of two levels nats are told, of more bits a dimension.
    """
    quantities = sorted({quantity(name) for name in figures})
    order = _FIRST[1:] if num_values == 2 else _FIRST
    return next((name for name in (*order, *quantities) if name in quantities), None)


def of_quantity(figures, name):
    """The figure that measures a quantity, exactly or by a bound: (its name, itself) or (None, {})."""
    return next(((k, v) for k, v in figures.items() if quantity(k) == name), (None, {}))


def short_kind(kind):
    """A figure's kind in two or three words, for a column: "exact", "upper bound, K=100", "estimate"."""
    if kind.startswith("exact"):
        return "exact"
    if kind.startswith("upper bound"):
        samples = re.search(r"\bK=\d+", kind)
        return f"upper bound, {samples[0]}" if samples else "upper bound"
    if "annealed importance sampling" in kind:
        return "estimate, AIS"
    return "estimate" if kind.startswith("estimate") else kind.partition(",")[0]


def spread(values):
    """Mean of a figure over runs that differ in their seed, with their sample standard deviation.

    mean = sum(v) / n,  deviation = sqrt(sum((v - mean)^2) / (n - 1))

    Args:
      values: A number for each run; None or not finite where a run's figure is no number.

    Returns:
      {"mean", "deviation", "n", "values"}: the mean is None where a value is no number, and the deviation
      also where there is one run only.
    """
    values = [math.nan if v is None else float(v) for v in values]
    there = bool(values) and all(map(math.isfinite, values))
    return {
        "mean": float(np.mean(values)) if there else None,
        "deviation": float(np.std(values, ddof=1)) if there and len(values) > 1 else None,
        "n": len(values),
        "values": [v if math.isfinite(v) else None for v in values],
    }


def differences(a, b):
    """In which words the descriptions of two data sets differ, e.g. "binarize threshold and fixed"."""
    told = [
        f"{name} {_told(a.get(name))} and {_told(b.get(name))}"
        for name in _DATA
        if a.get(name) != b.get(name)
    ]
    return ", ".join(told) or "other examples under one name"


def _told(value):
    if isinstance(value, dict):
        return " + ".join(f"{count} {split}" for split, count in value.items())
    if isinstance(value, (list, tuple)):
        text = "x".join(map(str, value)) if len(value) < 5 else f"{len(value)} of them"
        return text or "none"
    return "none" if value is None else str(value)


def number(value, deviation=None):
    """A figure as a table shows it: four digits, and all before the point; "-" where it is none."""
    if value is None or not math.isfinite(value):
        return "-"
    text = f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.5g}" if abs(value) >= 1e3 else f"{value:.4g}"
    return text if deviation is None else f"{text} ± {deviation:.2g}"


def markdown(header, rows):
    """A table in Markdown, its columns aligned for those who read the text itself.

    Args:
      header: Names of the columns.
      rows: Lists of as many cells.
    """
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])
