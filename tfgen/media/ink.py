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

if TYPE_CHECKING:
    from PIL import Image

_PAPER, _INK, _LIFT, _MUTED = "#fbfaf6", "#23324a", "#c8553d", "#6b6b6b"
# Size of a cell, of the caption below it, and how many times finer the picture is drawn than shown.
_CELL, _CAPTION, _MARGIN, _FINER = (240, 150), 18, 12, 3


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
) -> str:
    """A grid of drawings as SVG: a path for each stroke, in the drawing's own coordinates.

    Args:
        drawings: N of them.
        captions: N lines, written below.
        columns: How many to a row; by default what makes the picture about square.
        lifts: Mark the points after which the pen lifts.

    Raises:
        ValueError: If a drawing does not fit, or the captions have another number.
    """
    cells, (width, height) = _layout(drawings, captions, columns)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
        f'<rect width="{width}" height="{height}" fill="{_PAPER}"/>',
    ]
    for number, (parts, scale, shift, corner) in enumerate(cells):
        matrix = f"matrix({scale:.6g} 0 0 {-scale:.6g} {shift[0]:.6g} {shift[1]:.6g})"
        lines.append(
            f'<g transform="{matrix}" fill="none" stroke="{_INK}" stroke-width="{2.2 / scale:.6g}" '
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
            x, y = corner[0] + _CELL[0] / 2, corner[1] + _CELL[1] + _CAPTION - 5
            lines.append(
                f'<text x="{x:.6g}" y="{y:.6g}" font-size="13" font-family="sans-serif" text-anchor="middle" '
                f'fill="{_MUTED}">{escape(str(captions[number]))}</text>'
            )
    return "\n".join([*lines, "</svg>", ""])


def picture(
    drawings: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    lifts: bool = False,
) -> "Image.Image":
    """The same grid as an RGB picture; arguments as `svg` has them."""
    from PIL import Image, ImageDraw, ImageFont

    cells, (width, height) = _layout(drawings, captions, columns)
    image = Image.new("RGB", (width * _FINER, height * _FINER), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13 * _FINER)
    pen = round(2.2 * _FINER)

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
            at = (corner[0] + _CELL[0] / 2, corner[1] + _CELL[1] + _CAPTION / 2)
            draw.text([_FINER * v for v in at], str(captions[number]), _MUTED, font, anchor="mm")
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


def _layout(drawings, captions, columns):
    """For each drawing its strokes, their scale and shift into its cell, and its corner; and the size."""
    if captions is not None and len(captions) != len(drawings):
        raise ValueError(f"captions has {len(captions)} lines for {len(drawings)} drawings: give one each")
    if not len(drawings):
        raise ValueError("drawings is empty: give at least one")
    across, down = _CELL[0], _CELL[1] + (_CAPTION if captions is not None else 0)
    count = len(drawings)
    columns = min(count, columns or max(1, round(math.sqrt(count * down / across))))
    cells = []
    for number, drawing in enumerate(drawings):
        parts = strokes(drawing)
        corner = np.array([number % columns * across, number // columns * down], np.float64)
        points = np.concatenate(parts) if parts else np.zeros((1, 2))
        low, high = points.min(axis=0), points.max(axis=0)
        scale = float(np.min((np.array(_CELL) - 2 * _MARGIN) / np.maximum(high - low, 1e-3)))
        # Not larger than so: a lone dot stays a dot.
        scale = min(scale, 60.0)
        middle = corner + np.array(_CELL) / 2
        shift = middle - (low + high) / 2 * np.array([scale, -scale])
        cells.append((parts, scale, shift, corner))
    return cells, (columns * across, math.ceil(count / columns) * down)
