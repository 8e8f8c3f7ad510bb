"""Drawings of a pen: steps (dx, dy, pen) as SVG and as pictures.

A drawing is `[T, 3]`: the offset from the last point, the first from the origin, and 1 where the pen lifts
after this point. y grows upwards.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar
from xml.sax.saxutils import escape

import numpy as np

from tfgen.media.pictures import font_of, shorten

if TYPE_CHECKING:
    from PIL import Image

_PAPER, _INK, _LIFT, _TEXT = "#fbfaf6", "#23324a", "#c8553d", "#3c3c3c"
# Size of a cell, of the caption below it and of the title, and how many times finer the picture is drawn than
# shown.
_CELL, _CAPTION, _TITLE, _MARGIN, _FINER = (200, 110), 26, 34, 12, 3
# Sizes of the words, in pixels, and width of the pen.
_SMALL, _LARGE, _PEN = 16, 18, 2.2


def strokes(drawing: np.ndarray) -> list[np.ndarray]:
    """The drawing's strokes, each the points `[n, 2]` between two lifts.

    Raises:
        ValueError: If the drawing has another shape, or numbers that are not finite.
    """
    drawing = np.asarray(drawing, np.float64)
    if drawing.ndim != 2 or drawing.shape[1] != 3:
        raise ValueError(f"drawing has shape {drawing.shape}: give [T, 3], (dx, dy, pen)")
    if not np.isfinite(drawing).all():
        raise ValueError("drawing has numbers that are not finite")
    points = np.cumsum(drawing[:, :2], axis=0)
    parts = np.split(points, np.flatnonzero(drawing[:, 2] > 0.5) + 1)
    return [part for part in parts if len(part)]


def steps(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The inverse of `strokes`: float32 `[T, 3]`, the last step a lift."""
    points = np.concatenate(parts).astype(np.float64)
    lifts = np.zeros(len(points))
    lifts[np.cumsum([len(part) for part in parts]) - 1] = 1.0
    return np.column_stack([np.diff(points, axis=0, prepend=0.0), lifts]).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Pen:
    """Codec of pen steps, whose end is filled up with zeros."""

    kind: ClassVar[str] = "strokes"

    def encode(self, text, name="prompt"):
        """Refuses strings: nothing says how they are drawn.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{name} must be steps [P, 3], (dx, dy, pen), got text {text!r}: give numbers.")

    def decode(self, x: np.ndarray) -> list[np.ndarray]:
        """Drawings `[steps, 3]` of steps `[num, T, 3]`, without the zeros at their ends."""
        return [row[: np.max(np.flatnonzero(row.any(axis=1)), initial=-1) + 1] for row in np.asarray(x)]


def svg(
    drawings: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    lifts: bool = False,
    title: str | None = None,
    like: Sequence[np.ndarray] | None = None,
) -> str:
    """A grid of drawings as SVG: a path for each stroke, in the drawing's own coordinates.

    Args:
        drawings: N of them.
        captions: N lines, written below.
        columns: How many to a row; by default what makes the picture about square.
        lifts: Mark the points after which the pen lifts.
        title: A line above.
        like: Drawings by whose size the scale is chosen, as those that these stand beside; None takes these.

    Every drawing lies whole within its cell. Letters have one size as far as that allows: a drawing is drawn
    as large as half of `like` could be, or smaller where it would not fit.

    Raises:
        ValueError: If a drawing does not fit, or the captions have another number.
    """
    cells, (width, height) = _layout(drawings, captions, columns, title, like)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
        f'<rect width="{width}" height="{height}" fill="{_PAPER}"/>',
    ]
    if title is not None:
        lines.append(_words(_MARGIN, _TITLE - 10, title, _LARGE, "start"))
    for number, (parts, scale, shift, corner) in enumerate(cells):
        matrix = f"matrix({scale:.6g} 0 0 {-scale:.6g} {shift[0]:.6g} {shift[1]:.6g})"
        lines.append(
            f'<g transform="{matrix}" fill="none" stroke="{_INK}" stroke-width="{_PEN / scale:.6g}" '
            'stroke-linecap="round" stroke-linejoin="round">'
        )
        for part in parts:
            # A stroke of one point is a dot: a line to itself with round ends.
            points = part if len(part) > 1 else np.repeat(part, 2, axis=0)
            lines.append(f'<path d="M{"L".join(f"{x:.6g} {y:.6g}" for x, y in points)}"/>')
        if lifts:
            lines += [
                f'<circle cx="{p[-1, 0]:.6g}" cy="{p[-1, 1]:.6g}" r="{2.5 / scale:.6g}" fill="{_LIFT}" '
                'stroke="none"/>'
                for p in parts
            ]
        lines.append("</g>")
        if captions is not None:
            middle, bottom = corner[0] + _CELL[0] / 2, corner[1] + _CELL[1] + _CAPTION - 9
            text = shorten(str(captions[number]), font_of(_SMALL), _CELL[0] - _MARGIN)
            lines.append(_words(middle, bottom, text, _SMALL, "middle"))
    return "\n".join([*lines, "</svg>", ""])


def picture(
    drawings: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    lifts: bool = False,
    title: str | None = None,
    like: Sequence[np.ndarray] | None = None,
) -> "Image.Image":
    """The same grid as an RGB picture; arguments as `svg` has them."""
    from PIL import Image, ImageDraw

    cells, (width, height) = _layout(drawings, captions, columns, title, like)
    image = Image.new("RGB", (width * _FINER, height * _FINER), _PAPER)
    draw, font = ImageDraw.Draw(image), font_of(_SMALL * _FINER)
    if title is not None:
        at = (_FINER * _MARGIN, _FINER * _TITLE / 2)
        draw.text(at, title, _TEXT, font_of(_LARGE * _FINER, bold=True), anchor="lm")
    pen = round(_PEN * _FINER)

    def dot(point, radius, color):
        draw.ellipse([*(point - radius), *(point + radius)], fill=color)

    for number, (parts, scale, shift, corner) in enumerate(cells):
        placed = [_FINER * (part * [scale, -scale] + shift) for part in parts]
        for part in placed:
            draw.line([tuple(point) for point in part], fill=_INK, width=pen, joint="curve")
            for end in (part[0], part[-1]):
                dot(end, pen / 2, _INK)
        for part in placed if lifts else ():
            dot(part[-1], 2.5 * _FINER, _LIFT)
        if captions is not None:
            at = (corner[0] + _CELL[0] / 2, corner[1] + _CELL[1] + _CAPTION / 2 - 2)
            text = shorten(str(captions[number]), font, _FINER * (_CELL[0] - _MARGIN))
            draw.text([_FINER * v for v in at], text, _TEXT, font, anchor="mm")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def save(path: str | os.PathLike, drawings: Sequence[np.ndarray], **options) -> None:
    """Writes `svg` or `picture`, as the suffix says, by rename: a reader finds the old file or the new one.

    Args:
        path: Where to; .svg, or what Pillow knows.
        drawings: As in `svg`.
        **options: As in `svg`.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        if path.suffix.lower() == ".svg":
            temporary.write_text(svg(drawings, **options), "utf-8")
        else:
            picture(drawings, **options).save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _words(x, y, text, size, anchor):
    """A line of words as SVG."""
    return (
        f'<text x="{x:.6g}" y="{y:.6g}" font-size="{size}" font-family="sans-serif" text-anchor="{anchor}" '
        f'fill="{_TEXT}">{escape(text)}</text>'
    )


def _layout(drawings, captions, columns, title, like):
    """For each drawing its strokes, their scale and shift into its cell, and its corner; and the size."""
    if captions is not None and len(captions) != len(drawings):
        raise ValueError(f"captions has {len(captions)} lines for {len(drawings)} drawings: give one each")
    if not len(drawings):
        raise ValueError("drawings is empty: give at least one")
    across, down = _CELL[0], _CELL[1] + (_CAPTION if captions is not None else 0)
    top, count = 0 if title is None else _TITLE, len(drawings)
    columns = min(count, columns or max(1, round(math.sqrt(count * down / across))))
    parts = [strokes(drawing) for drawing in drawings]
    corners = [np.array([i % columns * across, top + i // columns * down], np.float64) for i in range(count)]
    low, extents, largest = _sizes(parts)
    usual = largest if like is None else _sizes([strokes(drawing) for drawing in like])[2]
    # Not larger than so: a lone dot stays a dot.
    scales = np.minimum(largest, min(float(np.median(usual)), 60.0))
    cells = []
    for each, corner, bottom, extent, scale in zip(parts, corners, low, extents, scales, strict=True):
        middle = corner + np.array(_CELL) / 2
        cells.append((each, scale, middle - (bottom + extent / 2) * np.array([scale, -scale]), corner))
    return cells, (columns * across, top + math.ceil(count / columns) * down)


def _sizes(parts):
    """Lowest point and extent `[N, 2]` of each drawing, and the scale `[N]` at which it fills its cell."""
    points = [np.concatenate(each) if each else np.zeros((1, 2)) for each in parts]
    extents = np.maximum([np.ptp(p, axis=0) for p in points], 1e-3)
    largest = np.min((np.array(_CELL) - 2 * _MARGIN) / extents, axis=1)
    return np.array([p.min(axis=0) for p in points]), extents, largest
