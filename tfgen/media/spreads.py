"""Figures of several runs as pictures: points with their spread, intervals, curves with bands."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfgen.media.charts import COLORS, MUTED, TEXT, canvas, render

if TYPE_CHECKING:
    from PIL import Image

_GRID = "#e2e0d8"


def spreads(
    panes: Mapping[str, Mapping[str, Sequence[float]]],
    curves: Mapping[str, tuple[Sequence[float], np.ndarray]] | None = None,
    of_curves: str = "",
    step: str = "step",
) -> "Image.Image":
    """Each run of each setting as a point, with their mean and standard deviation; and curves with bands.

    A setting has one color everywhere. A band reaches one standard deviation to either side of the mean over
    the runs that are still there at a step; runs are thin lines.

    Args:
        panes: For each quantity, {setting: values of its runs}; values that are not finite are left out.
        curves: {setting: (steps `[T]`, values `[runs, T]`)}, NaN where a run has none.
        of_curves: What the curves show.
        step: What they are drawn against.

    Returns:
        An RGB picture.
    """
    names = list(dict.fromkeys(name for values in [*panes.values(), curves or {}] for name in values))
    colors = dict(zip(names, _colors(len(names)), strict=True))
    height = 110 + max(26 * len(names), 230 if curves else 60)
    labels = 7 * max(map(len, names), default=0)
    figure = canvas(labels + 330 * len(panes) + (460 if curves else 0), height)
    axes = figure.subplots(
        1, len(panes) + bool(curves), squeeze=False, width_ratios=[330] * len(panes) + [460] * bool(curves)
    )[0]
    for i, (title, values) in enumerate(panes.items()):
        _style(axes[i], title, "x")
        for row, name in enumerate(names):
            found = _finite(values.get(name, ()))
            if len(found):
                axes[i].plot(found, np.full(len(found), row), "o", ms=5, mfc="none", color=colors[name])
                axes[i].plot([found.mean()] * 2, [row - 0.28, row + 0.28], color=colors[name], lw=2.2)
            if len(found) > 1:
                half = found.std(ddof=1)
                ends = [found.mean() - half, found.mean() + half]
                axes[i].plot(ends, [row, row], color=colors[name], lw=1.4, alpha=0.7)
        _rows(axes[i], names if i == 0 else [""] * len(names))
    if curves:
        _bands(axes[-1], curves, colors, of_curves, step)
    return render(figure)


def _bands(axes, curves, colors, title, step):
    _style(axes, title, "y")
    shown_values = []
    for name, (steps, values) in curves.items():
        steps, values = np.asarray(steps, np.float64), np.asarray(values, np.float64)
        there = np.isfinite(values)
        shown = there.any(axis=0)
        if not shown.any():
            continue
        found = np.where(there, values, 0.0)[:, shown]
        count = there.sum(axis=0)[shown]
        mean = found.sum(axis=0) / count
        square = (np.where(there[:, shown], found - mean, 0.0) ** 2).sum(axis=0)
        deviation = np.sqrt(square / np.maximum(count - 1, 1))
        for run in values:
            axes.plot(steps, run, color=colors[name], lw=0.6, alpha=0.5)
        axes.fill_between(
            steps[shown], mean - deviation, mean + deviation, color=colors[name], alpha=0.15, lw=0
        )
        # Of long curves from the second value on: the first is far above what is to be told apart.
        later = slice(1 if len(mean) > 4 else 0, None)
        shown_values += [
            _finite(values[:, later].ravel()),
            (mean - deviation)[later],
            (mean + deviation)[later],
        ]
        marker = "o" if shown.sum() < 2 else None
        axes.plot(steps[shown], mean, color=colors[name], lw=1.8, marker=marker, label=name)
    axes.set_xlabel(step)
    axes.margins(x=0.01)
    if shown_values and np.ptp(late := np.concatenate(shown_values)) > 0:
        axes.set_ylim(late.min() - 0.05 * np.ptp(late), late.max() + 0.08 * np.ptp(late))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=8, framealpha=0.9, edgecolor="none")


def intervals(
    panes: Mapping[str, Mapping[str, tuple[float | None, float | None, float | None]]],
) -> "Image.Image":
    """Figures with their intervals, a row for each run and a pane for each quantity.

    Args:
        panes: For each quantity, {run: (value, low, high)}; low and high are None where there is no interval.

    Returns:
        An RGB picture.
    """
    names = list(dict.fromkeys(name for values in panes.values() for name in values))
    colors = _colors(len(names))
    labels = 7 * max(map(len, names), default=0)
    figure = canvas(labels + 420 * len(panes), 110 + 26 * max(3, len(names)))
    axes = figure.subplots(1, len(panes), squeeze=False)[0]
    for pane, (title, values) in zip(axes, panes.items(), strict=True):
        _style(pane, title, "x")
        for row, name in enumerate(names):
            value, low, high = values.get(name, (None, None, None))
            if value is None or not math.isfinite(value):
                continue
            pane.plot([value], [row], "o", ms=6, color=colors[row])
            if low is not None and high is not None:
                pane.plot([low, high], [row, row], color=colors[row], lw=2)
        _rows(pane, names if pane is axes[0] else [""] * len(names))
    return render(figure)


def _finite(values):
    values = np.array([math.nan if v is None else v for v in values], np.float64)
    return values[np.isfinite(values)]


def _colors(count):
    if count <= len(COLORS):
        return COLORS[:count]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    # In the order of the settings, so that neighbors in a grid look alike.
    return [to_hex(colormaps["viridis"](i / count)) for i in range(count)]


def _rows(axes, names):
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _style(axes, title, grid):
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(color=MUTED, labelcolor=TEXT, labelsize=9)
    axes.set_title(title, fontsize=10, color=TEXT)
    axes.grid(axis=grid, color=_GRID, lw=0.8)
