"""Pictures for people: grids of images, clouds of points, counts, sounds, curves of training."""

import math
import numbers
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_SIDE = 64  # A tile has at least this many pixels on its longer side.
_ALIKE = 5.0  # Two axes whose extents differ by no more have one scale.
_PAPER, _INK, _MUTED = (244, 243, 239), (60, 60, 60), "#b9b6ad"
_COLORS = ("#2f6f9f", "#c8553d", "#4f8a5b", "#8a63a5", "#b8862b", "#5b5b5b")


def grid(
    images: np.ndarray,
    columns: int | None = None,
    labels: Sequence | None = None,
    scale: int | None = None,
    gap: int = 2,
    levels: int = 256,
) -> "Image.Image":
    """Images side by side, each pixel a sharp square.

    Args:
        images: `[N, H, W, C]` with 1 or 3 channels; floats in [0, 1], or whole numbers or
            booleans from 0 to `levels - 1`.
        columns: How many to a row; by default what makes the picture about square.
        labels: N captions, written under the tiles and cut short where they are too wide.
        scale: By how much to enlarge, a whole number; by default until the longer side of an
            image has 64 pixels.
        gap: Space between tiles, in pixels of the picture.
        levels: The number of levels of whole numbers: 2 for binary images, 256 for bytes.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the images have another shape or range, or the labels another number.
    """
    from PIL import Image, ImageDraw, ImageFont

    tiles = _bytes(images, levels)  # [N, H, W, 3]
    count, height, width = tiles.shape[:3]
    for name, value in (("columns", columns), ("scale", scale)):
        if value is not None and (not isinstance(value, numbers.Integral) or value < 1):
            raise ValueError(f"{name}={value!r} must be a positive whole number")
    if labels is not None and len(labels) != count:
        raise ValueError(f"labels has {len(labels)} captions for {count} images: give one each")
    scale = scale or math.ceil(_SIDE / max(height, width))
    columns = min(count, columns or max(1, round(math.sqrt(count * height / width))))
    rows = math.ceil(count / columns)
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    font = ImageFont.load_default(size=13)
    across, down = width * scale + gap, height * scale + gap + (20 if labels is not None else 0)
    margin = gap + 4
    size = (2 * margin + columns * across - gap, 2 * margin + rows * down - gap)
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    for i, tile in enumerate(tiles):
        left, top = margin + i % columns * across, margin + i // columns * down
        picture.paste(Image.fromarray(tile), (left, top))
        if labels is not None:
            text = _shorten(str(labels[i]), font, width * scale)
            middle = (left + width * scale / 2, top + height * scale + 10)
            draw.text(middle, text, _INK, font, anchor="mm")
    return picture


def rows(
    images: np.ndarray, captions: Sequence[str] | None = None, scale: int | None = None, **options
) -> "Image.Image":
    """Rows of images that belong together column by column, e.g. inputs above their reconstructions.

    Args:
        images: `[rows, columns, H, W, C]`, values as `grid` takes them.
        captions: A line before each row.
        scale: As in `grid`; by default as much as there, but no picture gets wider than about 2,000 pixels.
        **options: Passed on to `grid`.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the images have another shape or range, or the captions another number.
    """
    from PIL import Image, ImageDraw, ImageFont

    images = np.asarray(images)
    if images.ndim != 5:
        raise ValueError(f"images has shape {images.shape}: give [rows, columns, H, W, C]")
    count, columns, height, width = images.shape[:4]
    if captions is not None and len(captions) != count:
        raise ValueError(f"captions has {len(captions)} lines for {count} rows: give one each")
    if scale is None:
        scale = max(1, min(math.ceil(_SIDE / max(height, width)), 2000 // (columns * width)))
    tiles = grid(images.reshape(-1, *images.shape[2:]), columns, scale=scale, **options)
    if captions is None:
        return tiles
    font = ImageFont.load_default(size=13)
    left = 8 + math.ceil(max(font.getlength(str(line)) for line in captions))
    picture = Image.new("RGB", (left + tiles.width, tiles.height), _PAPER)
    picture.paste(tiles, (left, 0))
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(captions):
        middle = tiles.height * (i + 0.5) / count
        draw.text((left - 2, middle), str(line), _INK, font, anchor="rm")
    return picture


def beside(images: "Sequence[Image.Image]") -> "Image.Image":
    """Pictures side by side in one."""
    from PIL import Image

    picture = Image.new("RGB", (sum(i.width for i in images), max(i.height for i in images)), _PAPER)
    left = 0
    for image in images:
        picture.paste(image, (left, 0))
        left += image.width
    return picture


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
    figure = _canvas(240 * columns, 200 * math.ceil(len(values) / columns))
    panes = figure.subplots(math.ceil(len(values) / columns), columns, squeeze=False).ravel()
    for i, axes in enumerate(panes):
        if i >= len(values):
            axes.set_axis_off()
            continue
        if names is None:
            axes.bar(np.arange(values.shape[1]), values[i], color=_COLORS[0], width=0.9)
        else:
            top = np.argsort(-values[i], kind="stable")[:most]
            axes.barh([str(names[k]) for k in top], values[i][top], color=_COLORS[0])
            axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(color=_MUTED, labelcolor="#3c3c3c", labelsize=8)
        if labels is not None:
            axes.set_title(str(labels[i]), fontsize=9, color="#3c3c3c")
    return _render(figure)


def scatter(
    points: np.ndarray,
    reference: np.ndarray | None = None,
    title: str | None = None,
    size: int = 512,
) -> "Image.Image":
    """Points in the plane over those that they should resemble.

    Both axes have one scale, unless one extent is more than 5 times the other. They are set by the
    reference where there is one, so that pictures of a run can be compared; how many points lie outside is
    written below.

    Args:
        points: `[N, 2]`.
        reference: `[M, 2]`, drawn larger and paler beneath.
        title: A line above.
        size: Width and height of the picture in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If an array is not a cloud of points in the plane.
    """
    clouds = {"points": points} | ({} if reference is None else {"reference": reference})
    clouds = {name: np.asarray(cloud, np.float64) for name, cloud in clouds.items()}
    for name, cloud in clouds.items():
        if cloud.ndim != 2 or cloud.shape[1] != 2 or not len(cloud):
            raise ValueError(f"{name} has shape {cloud.shape}: give [N, 2] with N positive")
    frame = clouds["points" if reference is None else "reference"]
    frame = frame[np.isfinite(frame).all(axis=1)]
    low, high = (frame.min(axis=0), frame.max(axis=0)) if len(frame) else (-np.ones(2), np.ones(2))
    center, half = (low + high) / 2, 0.58 * np.maximum(high - low, 1e-6)
    # Columns of a table may have units of their own; points of one plane keep their shape.
    alike = half.max() <= _ALIKE * half.min() or (high == low).any()
    half = np.full(2, half.max()) if alike else half
    figure, axes = _figure(size, size, title)
    if reference is not None:
        axes.scatter(*clouds["reference"].T, s=30, c=_MUTED, alpha=0.45, linewidths=0, label="data")
    axes.scatter(*clouds["points"].T, s=5, c=_COLORS[1], alpha=0.6, linewidths=0, label="samples")
    (left, bottom), (right, top) = center - half, center + half
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_aspect("equal" if alike else "auto")
    outside = int((~(np.abs(clouds["points"] - center) <= half).all(axis=1)).sum())
    if outside:
        axes.set_xlabel(f"{outside} of {len(points)} points lie outside", color=_COLORS[1])
    if reference is not None:
        # Outside the axes: no corner of a cloud of modes is free.
        figure.legend(loc="outside lower right", ncols=2, markerscale=2, frameon=False)
    return _render(figure)


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
    return _render(figure)


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
    figure = _canvas(720, 300)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]])
    for first, end in zip(edges[:-1], edges[1:], strict=True):
        color = _COLORS[int(path[first]) % len(_COLORS)]
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
        axes.tick_params(color=_MUTED, labelcolor="#3c3c3c", labelsize=8)
    return _render(figure)


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
        axes.scatter(*np.asarray(reference)[:5000].T, s=6, c=_MUTED, alpha=0.5, linewidths=0)
    for group, (centers, matrices) in enumerate(zip(means, covariances, strict=True)):
        color = _COLORS[group % len(_COLORS)]
        for center, matrix_ in zip(centers, matrices, strict=True):
            variances, axes_of = np.linalg.eigh(matrix_)
            angle = np.degrees(np.arctan2(axes_of[1, 1], axes_of[0, 1]))
            for scale in (1.0, 2.0):
                extent = 2.0 * scale * np.sqrt(np.maximum(variances[::-1], 0.0))
                axes.add_patch(Ellipse(center, *extent, angle=angle, fill=False, color=color, lw=1.8))
            axes.text(*center, str(group), color=color, ha="center", va="center", fontsize=10)
    axes.autoscale_view()
    return _render(figure)


def curves(
    history: Mapping[str, Sequence[float | None]],
    names: Sequence[str],
    title: str | None = None,
    step: str = "step",
    size: tuple[int, int] = (720, 400),
) -> "Image.Image":
    """Lines of training, each with its name and its last value.

    Args:
        history: A column of numbers `[T]` for each name; None or NaN where there is no value.
        names: The columns to draw.
        title: A line above.
        step: The column to draw against.
        size: Width and height of the picture in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If a column is missing or has another length.
    """
    for name in (step, *names):
        if name not in history:
            raise ValueError(f"history has no column {name!r}: take of {', '.join(history)}")
        if len(history[name]) != len(history[step]):
            raise ValueError(
                f"history column {name!r} has {len(history[name])} values for "
                f"{len(history[step])} of {step!r}: give one each"
            )
    figure, axes = _figure(*size, title)
    x = np.array(history[step], np.float64)
    for i, name in enumerate(names):
        y = np.array(history[name], np.float64)
        there = np.isfinite(y)
        last = f"  {y[there][-1]:.4g}" if there.any() else "  no values"
        marker = "o" if there.sum() < 20 else None
        color = _COLORS[i % len(_COLORS)]
        axes.plot(x[there], y[there], color=color, lw=1.8, marker=marker, ms=3, label=name + last)
    axes.set_xlabel(step)
    axes.grid(axis="y", color="#e2e0d8", lw=0.8)
    axes.margins(x=0.01)
    if names:
        axes.legend(loc="best", framealpha=0.9, edgecolor="none")
    return _render(figure)


def sounds(waves: np.ndarray, rate: int, labels: Sequence | None = None, columns: int = 4) -> "Image.Image":
    """Sounds as waves over time, each above its spectrogram: power in dB, black 80 below the highest of all.

    Args:
        waves: `[N, T]`, in [-1, 1].
        rate: Samples a second.
        labels: N captions.
        columns: How many to a row.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the waves have another shape, or the labels another number.
    """
    waves = np.asarray(waves, np.float64)
    if waves.ndim != 2 or 0 in waves.shape:
        raise ValueError(f"waves has shape {waves.shape}: give [N, T] with N and T positive")
    if labels is not None and len(labels) != len(waves):
        raise ValueError(f"labels has {len(labels)} captions for {len(waves)} sounds: give one each")
    columns = min(columns, len(waves))
    rows = math.ceil(len(waves) / columns)
    figure = _canvas(260 * columns, 230 * rows)
    panes = figure.add_gridspec(2 * rows, columns, height_ratios=[1, 2] * rows)
    power = [_spectrogram(wave, rate) for wave in waves]
    highest, seconds = max(p.max() for p in power), waves.shape[1] / rate
    for i, wave in enumerate(waves):
        above = figure.add_subplot(panes[2 * (i // columns), i % columns])
        above.plot(np.arange(len(wave)) / rate, wave, color=_COLORS[0], lw=0.6)
        above.set(xlim=(0.0, seconds), ylim=(-1.05, 1.05), xticks=[], yticks=[-1, 0, 1])
        if labels is not None:
            above.set_title(str(labels[i]), fontsize=9, color="#3c3c3c")
        below = figure.add_subplot(panes[2 * (i // columns) + 1, i % columns])
        range_ = {"vmin": highest - 80.0, "vmax": highest}
        extent = (0.0, seconds, 0.0, rate / 2000)
        below.imshow(power[i], origin="lower", aspect="auto", extent=extent, cmap="inferno", **range_)
        below.set_xlabel("s", fontsize=8, labelpad=0)
        below.set_ylabel("kHz", fontsize=8)
        for axes in (above, below):
            axes.tick_params(color=_MUTED, labelcolor="#3c3c3c", labelsize=8)
    return _render(figure)


def _spectrogram(wave: np.ndarray, rate: int) -> np.ndarray:
    """Power of windows of about 1/32 s in dB, `[frequencies, windows]`."""
    size = min(len(wave), 2 ** max(2, round(math.log2(rate / 32))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[:: max(1, size // 4)]
    power = np.abs(np.fft.rfft(frames * np.hanning(size + 2)[1:-1], axis=1)) ** 2
    return 10.0 * np.log10(power.T + 1e-12)


def reveal(images: np.ndarray, order: np.ndarray, frames: int = 40, **options) -> "list[Image.Image]":
    """Grids of images that are drawn pixel by pixel, one after the other.

    Args:
        images: As `grid` takes them.
        order: When each pixel is drawn, whole numbers `[H, W]`; equal ones at the same time.
        frames: How many pictures at most, the last one whole; grey is what is not drawn yet.
        **options: Passed on to `grid`.
    """
    times = np.unique(order)
    ends = times[np.unique(np.linspace(0, len(times) - 1, min(frames, len(times))).round().astype(int))]
    hidden = [(order > end)[None, :, :, None] for end in ends]
    return [grid(np.where(h, 0.6, images), **options) for h in hidden]


def save_animation(
    frames: "Sequence[Image.Image]", path: str | os.PathLike, seconds: float = 4.0, rest: float = 2.0
) -> None:
    """Writes a GIF that runs for so many seconds and rests on its last frame; by rename, as `save`."""
    each = max(20, int(1000 * seconds / len(frames)))
    durations = [each] * (len(frames) - 1) + [int(1000 * rest)]
    first, *rest = frames
    save(first, path, save_all=True, append_images=rest, duration=durations, loop=0)


def save(image: "Image.Image", path: str | os.PathLike, **options) -> None:
    """Writes a picture so that whoever reads the path finds the old one or the new one, whole.

    Args:
        image: The picture.
        path: Where to; the suffix says the format.
        **options: Passed on to Pillow.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        image.save(temporary, **options)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _bytes(images: np.ndarray, levels: int) -> np.ndarray:
    """Images as uint8 `[N, H, W, 3]`."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"images has shape {images.shape}: give [N, H, W, 1] or [N, H, W, 3]")
    top = 1.0 if images.dtype.kind == "f" else levels - 1.0
    low, high = float(images.min()), float(images.max())
    if not (low >= 0.0 and high <= top):
        raise ValueError(f"images has values from {low:g} to {high:g}: bring them into 0 to {top:g}")
    scaled = np.rint(images.astype(np.float64) * (255.0 / top)).astype(np.uint8)
    return np.broadcast_to(scaled, (*scaled.shape[:3], 3))


def _shorten(text: str, font, width: int) -> str:
    """As much of a text as fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _canvas(width: int, height: int) -> "Figure":
    """A matplotlib figure of so many pixels, without the global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _figure(width: int, height: int, title: str | None):
    """A matplotlib figure of so many pixels with one pair of axes."""
    figure = _canvas(width, height)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(color=_MUTED, labelcolor="#3c3c3c", labelsize=9)
    if title:
        axes.set_title(title, fontsize=11, color="#3c3c3c")
    return figure, axes


def _render(figure: "Figure") -> "Image.Image":
    from PIL import Image

    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
