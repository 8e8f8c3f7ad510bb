"""Charts: clouds of points, counts, tables, matrices, sounds, curves of training."""

import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

COLORS = ("#2f6f9f", "#c8553d", "#4f8a5b", "#8a63a5", "#b8862b", "#5b5b5b")
TEXT, MUTED, _INK_LINE = "#3c3c3c", "#b9b6ad", "#1d1d1d"
_FEW = 20  # Fewer points than so are drawn large, and make no histogram.
_ALIKE = 5.0  # Two axes whose extents differ by no more have one scale.


def counts(
    values: np.ndarray,
    names: Sequence[str] | None = None,
    labels: Sequence | None = None,
    columns: int = 4,
    most: int = 12,
) -> "Image.Image":
    """Counts as bars: of the most frequent names, or of all entries in their order.

    Args:
        values: `[N, V]`, whole numbers from 0 on.
        names: What is counted, V of them; None shows entries by their number.
        labels: N captions.
        columns: How many to a row.
        most: How many names are shown.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the counts have another shape, or the names or labels another number.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"counts has shape {values.shape}: give [N, V] with N and V positive")
    for name, given, count in (("names", names, values.shape[1]), ("labels", labels, len(values))):
        if given is not None and len(given) != count:
            raise ValueError(f"{name} has {len(given)} entries for {count}: give one each")
    columns = min(columns, len(values))
    figure = canvas(240 * columns, 200 * math.ceil(len(values) / columns))
    panes = figure.subplots(math.ceil(len(values) / columns), columns, squeeze=False).ravel()
    for i, axes in enumerate(panes):
        if i >= len(values):
            axes.set_axis_off()
            continue
        if names is None:
            axes.bar(np.arange(values.shape[1]), values[i], color=COLORS[0], width=0.9)
        else:
            top = np.argsort(-values[i], kind="stable")[:most]
            axes.barh([str(names[k]) for k in top], values[i][top], color=COLORS[0])
            axes.invert_yaxis()
        _plain(axes, 8)
        axes.set_xlabel("entry" if names is None else "count", fontsize=8, color=TEXT)
        if names is None:
            axes.set_ylabel("count", fontsize=8, color=TEXT)
        if labels is not None:
            axes.set_title(str(labels[i]), fontsize=9, color=TEXT)
    return render(figure)


def histograms(groups: Mapping[str, np.ndarray], words: str, bins: int = 40) -> "Image.Image":
    """Histograms of several groups of numbers over the same bins, each of area 1.

    The bins leave out a few numbers far from all others, and those that are not finite; how many stands
    beside the group's name.

    Args:
        groups: Numbers `[N]` by name.
        words: What the numbers are, below the axis.
        bins: How many.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If a group holds no finite number.
    """
    figure, axes = _figure(720, 400, None)
    found = {name: np.asarray(values, np.float64).ravel() for name, values in groups.items()}
    finite = {name: values[np.isfinite(values)] for name, values in found.items()}
    for name, values in finite.items():
        if not len(values):
            raise ValueError(f"group {name!r} holds no finite number: leave it out")
    every = np.concatenate(list(finite.values()))
    lower, middle, upper = np.quantile(every, [0.005, 0.5, 0.995])
    far = 2.0 * max(upper - middle, middle - lower)
    edges = np.histogram_bin_edges(every[(every >= lower - far) & (every <= upper + far)], bins)
    for i, (name, values) in enumerate(finite.items()):
        inside = values[(values >= edges[0]) & (values <= edges[-1])]
        beyond = len(found[name]) - len(inside)
        told = f"{name}, {len(found[name])}" + (f" ({beyond} beyond)" if beyond else "")
        color = COLORS[i % len(COLORS)]
        axes.hist(inside, edges, density=True, color=color, alpha=0.45, label=told)
        axes.hist(inside, edges, density=True, color=color, histtype="step", lw=1.4)
    axes.set_xlabel(words, color=TEXT)
    axes.set_ylabel("density", color=TEXT)
    axes.legend(frameon=False, fontsize=9)
    return render(figure)


def scatter(
    clouds: Mapping[str, np.ndarray],
    names: Sequence[str] = ("x[0]", "x[1]"),
    lines: Sequence[np.ndarray] = (),
    captions: Sequence[str] | None = None,
    size: int = 460,
) -> "Image.Image":
    """Clouds of points in the plane, side by side between the same axes.

    Both axes have one scale, unless one extent is more than 5 times the other. The first cloud sets them, so
    that pictures of a run can be compared; how many points of another lie outside stands in its title.

    Args:
        clouds: `[N, 2]` by title, from left to right.
        names: Of the two axes.
        lines: Curves `[n, 2]`, drawn over every cloud: outlines, paths.
        captions: Words at the middles of the curves.
        size: Width and height of a panel in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If an array is not a cloud of points in the plane, or the captions have another number.
    """
    clouds = {name: _checked_points(name, cloud) for name, cloud in clouds.items()}
    lines = [_checked_points("a line", line) for line in lines]
    if captions is not None and len(captions) != len(lines):
        raise ValueError(f"captions has {len(captions)} words for {len(lines)} lines: give one each")
    center, half, alike = _frame(next(iter(clouds.values())))
    figure = canvas(size * len(clouds), size + 20)
    for i, (axes, (name, cloud)) in enumerate(
        zip(figure.subplots(1, len(clouds), squeeze=False)[0], clouds.items(), strict=True)
    ):
        _plain(axes)
        area = float(np.clip(8000 / len(cloud), 8, 36))
        axes.scatter(*cloud.T, s=area, c=COLORS[i % 2], alpha=0.55, linewidths=0)
        for j, line in enumerate(lines):
            axes.plot(*line.T, color=_INK_LINE, lw=1.4)
            if captions is not None:
                axes.annotate(
                    captions[j], line.mean(axis=0), fontsize=8, color=TEXT, ha="center", va="center"
                )
        outside = int((~(np.abs(cloud - center) <= half).all(axis=1)).sum())
        # The first cloud sets the axes, which leave out none of it.
        told = f", {outside} outside" if outside else ""
        axes.set_title(f"{name}, {len(cloud)} points{told}", fontsize=11, color=COLORS[1] if told else TEXT)
        axes.set_xlabel(names[0], color=TEXT)
        axes.set_ylabel(names[1], color=TEXT)
        (left, bottom), (right, top) = center - half, center + half
        axes.set(xlim=(left, right), ylim=(bottom, top))
        axes.set_aspect("equal" if alike else "auto")
    return render(figure)


def outlines(means: np.ndarray, factors: np.ndarray, deviations: float = 2.0) -> np.ndarray:
    """Outlines of Gaussians in the plane, so many standard deviations about their means: `[..., 65, 2]`.

    Args:
        means: `[..., 2]`.
        factors: Square roots of their covariances, such as Cholesky factors, `[..., 2, 2]`.
        deviations: 2 holds 86 % of a Gaussian.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, 65)
    circle = deviations * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(means)[..., None, :] + np.einsum("...de,ne->...nd", factors, circle)


def classes(
    points: np.ndarray,
    labels: Sequence[str] | None = None,
    names: Sequence[str] = ("z[0]", "z[1]"),
    title: str | None = None,
    size: int = 560,
) -> "Image.Image":
    """Points in a plane, in the color of their class.

    Args:
        points: `[N, 2]`.
        labels: The class of each point; None draws all alike. Ten or fewer get a color of their own each,
            20 at most are named.
        names: Of the two axes.
        title: A line above.
        size: Height of the picture in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the points are not in a plane, or the labels have another number.
    """
    import matplotlib

    points = _checked_points("points", points)
    if labels is not None and len(labels) != len(points):
        raise ValueError(f"labels has {len(labels)} classes for {len(points)} points: give one each")
    figure, axes = _figure(size + (0 if labels is None else 120), size, title)
    area = float(np.clip(8000 / len(points), 8, 36))
    found = [None] if labels is None else sorted(set(labels), key=_in_order)
    colors = matplotlib.colormaps["tab10" if len(found) <= 10 else "tab20"].colors
    for i, label in enumerate(found):
        of_it = points if labels is None else points[[other == label for other in labels]]
        color = COLORS[0] if labels is None else colors[i % len(colors)]
        axes.scatter(*of_it.T, s=area, color=color, alpha=0.7, linewidths=0, label=str(label))
    axes.set_xlabel(names[0], color=TEXT)
    axes.set_ylabel(names[1], color=TEXT)
    if labels is not None and len(found) <= 20:
        figure.legend(loc="outside right center", frameon=False, markerscale=1.5, fontsize=9)
    return render(figure)


def pairs(clouds: Mapping[str, np.ndarray], names: Sequence[str], most: int = 6) -> "Image.Image":
    """Vectors as a matrix of scatter plots, a column against each other, and histograms on the diagonal.

    Args:
        clouds: `[N, D]` by name, drawn over each other. The first sets the axes; of fewer than 20 others each
            is a line in the histograms.
        names: Of the D columns.
        most: How many columns are shown, the first ones.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If an array has another shape.
    """
    clouds = {name: np.asarray(cloud, np.float64) for name, cloud in clouds.items()}
    for name, cloud in clouds.items():
        if cloud.ndim != 2 or cloud.shape[1] != len(names) or not len(cloud):
            raise ValueError(f"{name} has shape {cloud.shape}: give [N, {len(names)}] with N positive")
    shown = min(most, len(names))
    first = next(iter(clouds.values()))[:, :shown]
    edges = [_edges(column[np.isfinite(column)]) for column in first.T]
    side = 190 if shown > 2 else 300
    figure = canvas(max(side * shown, 420), max(side * shown, 300) + 30)
    panes = figure.subplots(shown, shown, squeeze=False)
    for i in range(shown):
        for j in range(shown):
            axes = panes[i, j]
            if j > i:
                axes.set_axis_off()
                continue
            _plain(axes, 8)
            for k, (name, cloud) in enumerate(clouds.items()):
                told = {"label": f"{name}, {len(cloud)} rows"} if i == j == 0 else {}
                color = COLORS[k % len(COLORS)]
                few = k > 0 and len(cloud) < _FEW
                if i == j and few:
                    axes.vlines(cloud[:, i], 0.0, axes.get_ylim()[1], color=color, lw=1.8, **told)
                elif i == j:
                    filled = (
                        {"histtype": "stepfilled", "alpha": 0.4}
                        if k == 0
                        else {"histtype": "step", "lw": 1.6}
                    )
                    axes.hist(cloud[:, i], edges[i], density=True, color=color, **filled, **told)
                else:
                    area = 44.0 if few else float(np.clip(5000 / len(cloud), 4, 20))
                    alpha = 1.0 if few else 0.5
                    axes.scatter(cloud[:, j], cloud[:, i], s=area, c=color, alpha=alpha, linewidths=0)
                    axes.set_ylim(edges[i][0], edges[i][-1])
            axes.set_xlim(edges[j][0], edges[j][-1])
            axes.locator_params(nbins=4)
            if i == j:
                axes.set_yticks([])
            if i == shown - 1:
                axes.set_xlabel(_cut(names[j]), fontsize=9, color=TEXT)
            if j == 0:
                axes.set_ylabel("density" if i == 0 else _cut(names[i]), fontsize=9, color=TEXT)
    if shown < len(names):
        figure.suptitle(f"{shown} of {len(names)} columns", fontsize=10, color=TEXT)
    place = {"loc": "upper right"} if shown > 1 else {"loc": "outside upper right"}
    figure.legend(frameon=False, fontsize=11, **place)
    return render(figure)


def shades(panels: Mapping[str, np.ndarray], most: tuple[int, int] = (64, 256)) -> "Image.Image":
    """Rows of numbers as shades, side by side in one scale of colors.

    Args:
        panels: `[N, D]` by title.
        most: Most rows and most entries that are shown, the first ones.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If an array has another shape.
    """
    panels = {name: np.asarray(panel, np.float64) for name, panel in panels.items()}
    for name, panel in panels.items():
        if panel.ndim != 2 or 0 in panel.shape:
            raise ValueError(f"{name} has shape {panel.shape}: give [N, D] with N and D positive")
    shown = {name: panel[: most[0], : most[1]] for name, panel in panels.items()}
    low, high = min(p.min() for p in shown.values()), max(p.max() for p in shown.values())
    rows_shown = max(len(panel) for panel in shown.values())
    figure = canvas(440 * len(panels) + 80, 120 + max(160, min(6 * rows_shown, 420)))
    panes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, panel) in zip(panes, shown.items(), strict=True):
        image = axes.imshow(
            panel, vmin=low, vmax=high, aspect="auto", interpolation="nearest", cmap="viridis"
        )
        axes.tick_params(color=MUTED, labelcolor=TEXT, labelsize=8)
        more = panels[name].shape[1] - panel.shape[1]
        axes.set_xlabel(f"entry, {more} more" if more else "entry", fontsize=9, color=TEXT)
        axes.set_ylabel("row", fontsize=9, color=TEXT)
        axes.set_title(f"{name}, {len(panel)} rows", fontsize=11, color=TEXT)
    figure.colorbar(image, ax=list(panes), label="value", pad=0.01)
    return render(figure)


def matrix(
    values: np.ndarray,
    columns: Sequence | None = None,
    title: str | None = None,
    numbers: bool = True,
    signed: bool = False,
) -> "Image.Image":
    """A table of numbers as shades, rows counted from 0.

    Args:
        values: `[rows, columns]`.
        columns: A name for each column; None numbers them.
        title: A line above.
        numbers: Write the values into a small table.
        signed: Shades from blue over white to red, white at 0; otherwise from white to blue.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the values are no table.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"values has shape {values.shape}: give [rows, columns]")
    width, height = (min(900, 90 + 26 * count) for count in values.shape[::-1])
    figure, axes = _figure(max(260, width), max(220, height), title)
    most = max(float(np.abs(values).max()), 1e-12)
    shades = {"cmap": "RdBu_r", "vmin": -most} if signed else {"cmap": "Blues", "vmin": 0.0}
    axes.imshow(values, aspect="auto", vmax=most, **shades)
    axes.set_yticks(range(len(values)))
    if columns is not None:
        axes.set_xticks(range(values.shape[1]), [str(name) for name in columns])
    if numbers and values.size <= 100:
        for (row, column), value in np.ndenumerate(values):
            color = "white" if value > 0.6 * most else "#3c3c3c"
            axes.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=8, color=color)
    return render(figure)


def states(
    x: np.ndarray, path: np.ndarray, probabilities: np.ndarray, symbols: Sequence | None = None
) -> "Image.Image":
    """A sequence over time on the colours of its states, above the probability of each state.

    Args:
        x: `[T]`, symbols by number, or `[T, D]`.
        path: The state of each step, ints `[T]`.
        probabilities: `[T, S]`.
        symbols: The symbols, or None for numbers.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the lengths differ.
    """
    x, path, probabilities = np.asarray(x), np.asarray(path), np.asarray(probabilities)
    if not len(x) == len(path) == len(probabilities) or not len(x):
        raise ValueError(
            f"x, path and probabilities have {len(x)}, {len(path)} and {len(probabilities)} steps"
        )
    figure = canvas(720, 300)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]])
    for first, end in zip(edges[:-1], edges[1:], strict=True):
        color = COLORS[int(path[first]) % len(COLORS)]
        above.axvspan(first - 0.5, end - 0.5, color=color, alpha=0.25, lw=0)
    if x.ndim == 1 and symbols is not None and len(x) <= 120:
        for step, symbol in enumerate(x):
            above.text(step, 0.5, str(symbols[int(symbol)]), ha="center", va="center", fontsize=8)
        above.set_yticks([])
    elif x.ndim == 1:
        above.plot(x, color="#3c3c3c", lw=0.9, drawstyle="steps-mid")
    else:
        above.plot(x, lw=0.9)
    below.imshow(probabilities.T, aspect="auto", cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    below.set_yticks(range(probabilities.shape[1]) if probabilities.shape[1] <= 12 else [])
    below.set_ylabel("state", fontsize=8)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(color=MUTED, labelcolor="#3c3c3c", labelsize=8)
    return render(figure)


def ellipses(
    means: np.ndarray, covariances: np.ndarray, reference: np.ndarray | None = None, size: int = 400
) -> "Image.Image":
    """Gaussians in the plane as ellipses of one and two standard deviations, over points.

    Args:
        means: `[groups, M, 2]`: a colour for each group.
        covariances: `[groups, M, 2, 2]`.
        reference: Points `[N, 2]`, or None.
        size: Width and height of the picture in pixels.

    Returns:
        An RGB picture.
    """
    from matplotlib.patches import Ellipse

    figure, axes = _figure(size, size, None)
    if reference is not None:
        axes.scatter(*np.asarray(reference)[:5000].T, s=6, c=MUTED, alpha=0.5, linewidths=0)
    for group, (centers, matrices) in enumerate(zip(means, covariances, strict=True)):
        color = COLORS[group % len(COLORS)]
        for center, matrix_ in zip(centers, matrices, strict=True):
            variances, axes_of = np.linalg.eigh(matrix_)
            angle = np.degrees(np.arctan2(axes_of[1, 1], axes_of[0, 1]))
            for scale in (1.0, 2.0):
                extent = 2.0 * scale * np.sqrt(np.maximum(variances[::-1], 0.0))
                axes.add_patch(Ellipse(center, *extent, angle=angle, fill=False, color=color, lw=1.8))
            axes.text(*center, str(group), color=color, ha="center", va="center", fontsize=10)
    axes.autoscale_view()
    return render(figure)


def _in_order(text: str) -> tuple:
    """The key by which numbers come in their order, before words in theirs."""
    return (0, int(text), "") if str(text).isdecimal() else (1, 0, str(text))


def _cut(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _edges(column: np.ndarray, bins: int = 30) -> np.ndarray:
    """Edges of a histogram around the values of a column."""
    low, high = (column.min(), column.max()) if len(column) else (-1.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, bins + 1)


def _checked_points(name: str, cloud) -> np.ndarray:
    cloud = np.asarray(cloud, np.float64)
    if cloud.ndim != 2 or cloud.shape[1] != 2 or not len(cloud):
        raise ValueError(f"{name} has shape {cloud.shape}: give [N, 2] with N positive")
    return cloud


def _frame(cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Middle and half extents of axes around a cloud, and whether both have one scale."""
    cloud = cloud[np.isfinite(cloud).all(axis=1)]
    low, high = (cloud.min(axis=0), cloud.max(axis=0)) if len(cloud) else (-np.ones(2), np.ones(2))
    half = 0.58 * np.maximum(high - low, 1e-6)
    # Columns of a table may have units of their own; points of one plane keep their shape.
    alike = half.max() <= _ALIKE * half.min() or bool((high == low).any())
    return (low + high) / 2, np.full(2, half.max()) if alike else half, alike


def curves(
    history: Mapping[str, Sequence[float | None]],
    names: Sequence[str] | Mapping[str, Mapping[str, str]],
    title: str | None = None,
    step: str = "step",
    size: tuple[int, int] | None = None,
    second: Mapping[str, tuple[str, float]] | None = None,
    best: str | None = None,
    after: float = -math.inf,
) -> "Image.Image":
    """Lines of training, each with its name and its last value, a panel for each quantity.

    Args:
        history: A column of numbers `[T]` for each name; None or NaN where there is no value.
        names: The columns to draw in one panel; or by the words at a panel's axis the columns that are
            drawn in it, each with the name of its line.
        title: A line above.
        step: The column to draw against.
        size: Width and height of the picture in pixels.
        second: A second scale of a panel, by the words at its axis: what it is called, and its units in one
            of the first.
        best: The column whose lowest value is marked.
        after: The step after which it is looked for: what came before was another stage.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If a column is missing or has another length.
    """
    panels = names if isinstance(names, Mapping) else {"": {name: name for name in names}}
    for name in (step, *(name for panel in panels.values() for name in panel)):
        if name not in history:
            raise ValueError(f"history has no column {name!r}: take of {', '.join(history)}")
        if len(history[name]) != len(history[step]):
            raise ValueError(
                f"history column {name!r} has {len(history[name])} values for "
                f"{len(history[step])} of {step!r}: give one each"
            )
    # Lines of one name have one color in all panels.
    every = dict.fromkeys(told for lines in panels.values() for told in lines.values())
    colors = {told: COLORS[i % len(COLORS)] for i, told in enumerate(every)}
    across = 1 if len(panels) == 1 else 2 if len(panels) in (2, 4) else 3
    down = math.ceil(len(panels) / across)
    figure = canvas(*(size or ((720, 400) if len(panels) == 1 else (470 * across, 330 * down))))
    panes = figure.subplots(max(1, down), across, squeeze=False).ravel()
    for axes in panes[len(panels) :]:
        axes.set_axis_off()
    for axes, (words, lines) in zip(panes, panels.items(), strict=False):
        _plain(axes)
        for name, told in lines.items():
            _line(axes, history[step], history[name], told, colors[told], after if name == best else None)
        axes.set_xlabel(step, color=TEXT)
        # Steps of six digits stand apart.
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
        axes.set_ylabel(textwrap.fill(words, 36), color=TEXT)
        axes.grid(axis="y", color="#e2e0d8", lw=0.8)
        axes.margins(x=0.03)
        if second and words in second:
            other, ratio = second[words]
            right = axes.secondary_yaxis(
                "right", functions=(lambda y, r=ratio: y * r, lambda y, r=ratio: y / r)
            )
            right.set_ylabel(other, color=TEXT)
            right.tick_params(color=MUTED, labelcolor=TEXT, labelsize=9)
            right.spines["right"].set_color(MUTED)
        if lines:
            # Above the lines, of which it would else hide one.
            place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0)}
            ncols = 1 if max(map(len, lines.values())) > 12 else 2
            axes.legend(**place, ncols=ncols, frameon=False, fontsize=9, borderaxespad=0.2, columnspacing=1.2)
    if title:
        figure.suptitle(title, fontsize=11, color=TEXT)
    return render(figure)


def _line(axes, steps, values, name: str, color: str, after: float | None) -> None:
    """One line of a panel, and a ring around its lowest point after a step; none with None."""
    x, y = np.array(steps, np.float64), np.array(values, np.float64)
    there = np.isfinite(y)
    told = f"{name}  {y[there][-1]:.4g}" if there.any() else f"{name}  no values"
    marker = "o" if there.sum() < 20 else None
    candidates = [] if after is None else np.flatnonzero(there & (x > after))
    if len(candidates):
        lowest = candidates[np.argmin(y[candidates])]
        told += f" (lowest {y[lowest]:.4g} at {x[lowest]:g})"
        axes.plot(x[lowest], y[lowest], "o", ms=10, mfc="none", mec=color, mew=1.6)
    axes.plot(x[there], y[there], color=color, lw=1.8, marker=marker, ms=4, label=told)


def sounds(
    waves: np.ndarray | Mapping[str, np.ndarray],
    rate: int,
    labels: Sequence | Mapping[str, Sequence] | None = None,
    columns: int = 4,
) -> "Image.Image":
    """Sounds as waves over time, each above its spectrogram: power in dB of the highest of all, down to -80.

    Args:
        waves: `[N, T]`, in [-1, 1]; or several such by title, one group below the other.
        rate: Samples a second.
        labels: N captions; by the same titles where there are several groups.
        columns: How many to a row.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the waves have another shape, or the labels another number.
    """
    groups = waves if isinstance(waves, Mapping) else {"": waves}
    labels = labels if isinstance(labels, Mapping) else {"": labels}
    groups = {name: np.asarray(group, np.float64) for name, group in groups.items()}
    for name, group in groups.items():
        told = labels.get(name)
        if group.ndim != 2 or 0 in group.shape:
            raise ValueError(f"waves has shape {group.shape}: give [N, T] with N and T positive")
        if told is not None and len(told) != len(group):
            raise ValueError(f"labels has {len(told)} captions for {len(group)} sounds: give one each")
    columns = min(columns, max(map(len, groups.values())))
    lines = {name: math.ceil(len(group) / columns) for name, group in groups.items()}
    titled = 26 * sum(bool(name) for name in groups)
    figure = canvas(260 * columns + 70, 250 * sum(lines.values()) + titled)
    power = {name: [_spectrogram(wave, rate) for wave in group] for name, group in groups.items()}
    # Silence is black, not as bright as itself.
    highest = max(-40.0, *(p.max() for each in power.values() for p in each))
    parts = figure.subfigures(len(groups), 1, height_ratios=list(lines.values()), squeeze=False)[:, 0]
    for part, (name, group) in zip(parts, groups.items(), strict=True):
        if name:
            part.suptitle(name, fontsize=12, fontweight="bold", color=TEXT)
        panes = part.add_gridspec(2 * lines[name], columns, height_ratios=[1, 2] * lines[name])
        below = []
        for i, wave in enumerate(group):
            place = 2 * (i // columns), i % columns
            told = None if labels.get(name) is None else str(labels[name][i])
            above = part.add_subplot(panes[place])
            below.append(part.add_subplot(panes[place[0] + 1, place[1]]))
            image = _sound(
                above, below[-1], wave, rate, power[name][i] - highest, told, first=i % columns == 0
            )
        part.colorbar(image, ax=below, pad=0.01, aspect=40, ticks=range(-80, 1, 20)).set_label(
            "power [dB of the highest]", fontsize=8, color=TEXT
        )
    return render(figure)


def _sound(above, below, wave, rate, power, caption, first):
    """A wave, and below it its spectrogram, whose image it returns."""
    seconds = len(wave) / rate
    above.plot(np.arange(len(wave)) / rate, wave, color=COLORS[0], lw=0.6)
    above.set(xlim=(0.0, seconds), ylim=(-1.05, 1.05), xticks=[], yticks=[-1, 0, 1])
    if caption is not None:
        above.set_title(caption, fontsize=10, color=TEXT)
    extent = (0.0, seconds, 0.0, rate / 2000)
    image = below.imshow(
        power, origin="lower", aspect="auto", extent=extent, cmap="inferno", vmin=-80.0, vmax=0.0
    )
    below.set_xlabel("time [s]", fontsize=9, color=TEXT)
    if first:
        above.set_ylabel("amplitude", fontsize=9, color=TEXT)
        below.set_ylabel("frequency [kHz]", fontsize=9, color=TEXT)
    for axes in (above, below):
        axes.tick_params(color=MUTED, labelcolor=TEXT, labelsize=8)
    return image


def _spectrogram(wave: np.ndarray, rate: int) -> np.ndarray:
    """Power of windows of about 1/32 s in dB, `[frequencies, windows]`."""
    size = min(len(wave), 2 ** max(2, round(math.log2(rate / 32))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[:: max(1, size // 4)]
    power = np.abs(np.fft.rfft(frames * np.hanning(size + 2)[1:-1], axis=1)) ** 2
    return 10.0 * np.log10(power.T + 1e-12)


def canvas(width: int, height: int) -> "Figure":
    """A matplotlib figure of so many pixels, without the global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(axes, size: int = 9) -> None:
    """Axes with two quiet lines and ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(color=MUTED, labelcolor=TEXT, labelsize=size)


def _figure(width: int, height: int, title: str | None):
    """A matplotlib figure of so many pixels with one pair of axes."""
    figure = canvas(width, height)
    axes = figure.add_subplot()
    _plain(axes)
    if title:
        axes.set_title(title, fontsize=11, color=TEXT)
    return figure, axes


def render(figure: "Figure") -> "Image.Image":
    """A matplotlib figure as an RGB picture."""
    import matplotlib
    from matplotlib.text import Text
    from PIL import Image

    # Names of columns and classes are no formulas, whatever dollars they hold; nor is a letter that the font
    # lacks, which is drawn as a box, worth a warning in the middle of a training.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
