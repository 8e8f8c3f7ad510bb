"""Pictures of images: grids, rows with captions, animations; and how a picture becomes a file."""

import functools
import math
import numbers
import os
import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageFont

_SIDE = 64  # A tile has at least this many pixels on its longer side.
_PAGE = 1200  # Pixels that a grid has in width and height at most, unless it is told more.
_FEWEST = 16  # A page shows at least so many tiles, made smaller if need be.
_PAPER, _INK = (244, 243, 239), (60, 60, 60)
_CAPTION, _TITLE = 13, 16  # Sizes of words, in pixels.
_MOST_BEFORE = 200  # Pixels of the words before a row, at most.


def grid(
    images: np.ndarray,
    columns: int | None = None,
    labels: Sequence | None = None,
    scale: int | None = None,
    gap: int = 2,
    levels: int = 256,
    title: str | None = None,
    page: int = _PAGE,
) -> "Image.Image":
    """Images side by side, each pixel a sharp square.

    Args:
        images: `[N, H, W, C]` with 1 or 3 channels; floats in [0, 1], or whole numbers or
            booleans from 0 to `levels - 1`.
        columns: How many to a row; by default what makes the picture about square.
        labels: N captions, written under the tiles and cut short where they are too wide.
        scale: By how much to enlarge, a whole number; by default until the longer side of an
            image has 64 pixels. Images too large for the page are shown smaller by a whole factor.
        gap: Space between tiles, in pixels of the picture.
        levels: The number of levels of whole numbers: 2 for binary images, 256 for bytes.
        title: A line above.
        page: Width and height that the picture has at most, unless `scale` is given; the first images
            that fit, 16 or more, are shown then, and the title says how many they are.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the images have another shape or range, or the labels another number.
    """
    tiles = _bytes(images, levels)  # [N, H, W, 3]
    count, height, width = tiles.shape[:3]
    for name, value in (("columns", columns), ("scale", scale)):
        if value is not None and (not isinstance(value, numbers.Integral) or value < 1):
            raise ValueError(f"{name}={value!r} must be a positive whole number")
    if labels is not None and len(labels) != count:
        raise ValueError(f"labels has {len(labels)} captions for {count} images: give one each")
    shown = count
    if scale is None:
        shown, scale = _fitted(count, height, width, gap, page)
        if shown < count:
            title = f"{title}, {shown} of {count}" if title else f"{shown} of {count}"
    columns = min(shown, columns or max(1, round(math.sqrt(shown * height / width))))
    lines = [tiles[i : min(i + columns, shown)] for i in range(0, shown, columns)]
    under = labels and [[str(text) for text in labels[i : i + columns]] for i in range(0, shown, columns)]
    return _sheet(lines, scale, gap, under=under, title=title)


def rows(
    images: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    scale: int | None = None,
    gap: int = 2,
    levels: int = 256,
    heads: Sequence[str] | None = None,
    title: str | None = None,
    page: int = 2000,
) -> "Image.Image":
    """Rows of images that belong together column by column, e.g. inputs above their reconstructions.

    Args:
        images: `[rows, columns, H, W, C]`, values as `grid` takes them; or a sequence of rows, not all
            equally long.
        captions: A line before each row.
        scale: As in `grid`; by default as much as there, but no picture gets larger than `page`.
        gap: As in `grid`.
        levels: As in `grid`.
        heads: A line above each column, cut short where it is too wide.
        title: A line above all.
        page: Width and height that the tiles take at most, unless `scale` is given, in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If the images have another shape or range, or the captions another number.
    """
    lines = [np.asarray(line) for line in images]
    shapes = {line.shape[1:] for line in lines}
    if not lines or len(shapes) > 1 or any(line.ndim != 4 for line in lines):
        raise ValueError(
            f"images has rows of shapes {[x.shape for x in lines]}: give [rows, columns, H, W, C]"
        )
    longest, (height, width, _) = max(map(len, lines)), lines[0].shape[1:]
    for name, given, count in (("captions", captions, len(lines)), ("heads", heads, longest)):
        if given is not None and len(given) != count:
            raise ValueError(f"{name} has {len(given)} lines for {count}: give one each")
    if scale is None:
        most = min(page // longest - gap, (page // len(lines) - gap) * width // height)
        scale = _enlarged(height, width, max(1, most))
    lines = [_bytes(line, levels) if len(line) else line for line in lines]
    return _sheet(lines, scale, gap, before=captions, above=heads, title=title)


def beside(images: "Sequence[Image.Image]", gap: int = 0) -> "Image.Image":
    """Pictures side by side in one, so many pixels apart."""
    from PIL import Image

    width = sum(i.width for i in images) + gap * (len(images) - 1)
    picture = Image.new("RGB", (width, max(i.height for i in images)), _PAPER)
    left = 0
    for image in images:
        picture.paste(image, (left, 0))
        left += image.width + gap
    return picture


def _fitted(count: int, height: int, width: int, gap: int, page: int) -> tuple[int, int | Fraction]:
    """How many of so many tiles a page shows, and at which scale."""
    few, scale = min(count, _FEWEST), math.ceil(_SIDE / max(height, width))
    while True:
        across, down = (max(1, round(n * scale)) + gap for n in (width, height))
        room = (page // across) * (page // down)
        if room >= few or across == down == 1 + gap:
            return min(count, max(room, few)), scale
        scale = scale - 1 if scale > 1 else Fraction(1, Fraction(scale).denominator + 1)


def _enlarged(height: int, width: int, most: int) -> int | Fraction:
    """The scale, whole or one over a whole number, at which a tile is readable and at most so wide."""
    scale = math.ceil(_SIDE / max(height, width))
    if width * scale <= most:
        return scale
    return most // width or Fraction(1, math.ceil(width / most))


def _sheet(lines, scale, gap, under=None, before=None, above=None, title=None) -> "Image.Image":
    """Lines of tiles, each `[n, H, W, 3]` in bytes, with words under tiles, before lines, above columns."""
    from PIL import Image, ImageDraw

    longest = max(map(len, lines))
    height, width = next(line for line in lines if len(line)).shape[1:3]
    width, height = _scaled_size(width, height, scale)
    font, large, margin = font_of(_CAPTION), font_of(_TITLE, bold=True), gap + 4
    across, down = width + gap, height + gap + (20 if under else 0)
    before = before and [shorten(str(text), font, _MOST_BEFORE) for text in before]
    left = 0 if before is None else 8 + math.ceil(max(font.getlength(text) for text in before))
    top = (26 if title else 0) + (0 if above is None else 20)
    wide = left + 2 * margin + longest * across - gap
    if title:
        wide = max(wide, math.ceil(large.getlength(title)) + 2 * margin)
    picture = Image.new("RGB", (wide, top + 2 * margin + len(lines) * down - gap), _PAPER)
    draw = ImageDraw.Draw(picture)
    if title:
        draw.text((left + margin, margin + 11), title, _INK, large, anchor="lm")
    for j, text in enumerate(above or ()):
        x = left + margin + j * across + width / 2
        draw.text((x, top + margin - 14), shorten(str(text), font, width), _INK, font, anchor="mm")
    for i, line in enumerate(lines):
        y = top + margin + i * down
        if before is not None:
            draw.text((left - 2, y + height / 2), before[i], _INK, font, anchor="rm")
        for j, tile in enumerate(line):
            x = left + margin + j * across
            picture.paste(_scaled(tile, scale), (x, y))
            if under:
                at = (x + width / 2, y + height + 10)
                draw.text(at, shorten(under[i][j], font, width), _INK, font, anchor="mm")
    return picture


def _scaled_size(width: int, height: int, scale: int | Fraction) -> tuple[int, int]:
    return (max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale)))


def _scaled(tile: np.ndarray, scale: int | Fraction) -> "Image.Image":
    """A tile whose pixels are squares, or of which a pixel is the mean of a square."""
    from PIL import Image

    if scale >= 1:
        return Image.fromarray(tile.repeat(scale, axis=0).repeat(scale, axis=1))
    return Image.fromarray(np.ascontiguousarray(tile)).reduce(Fraction(scale).denominator)


def outlined(images: np.ndarray, boxes: np.ndarray, thickness: np.ndarray, scale: int = 8) -> np.ndarray:
    """Images enlarged, each with a red rectangle; what of it lies outside is cut off.

    Args:
        images: `[..., H, W, C]` with 1 or 3 channels, floats in [0, 1].
        boxes: `[..., 4]`: lowest and highest row, lowest and highest column; 1 is the middle of the first
            pixel.
        thickness: `[...]`: of the filters whose box it is, in pixels of the image; lines are a quarter of it
            wide, at least a pixel of the enlarged image and at most half a pixel of the image.
        scale: By how much to enlarge.

    Returns:
        uint8 `[..., scale H, scale W, 3]`.
    """
    from PIL import Image, ImageDraw

    height, width = images.shape[-3:-1]
    tiles = _bytes(images.reshape(-1, *images.shape[-3:]), 256)
    flat = boxes.reshape(-1, 4), thickness.reshape(-1)
    # Far outside is outside.
    places = np.clip(np.nan_to_num((flat[0] - 0.5) * scale), -1e6, 1e6)
    found = []
    for tile, (top, bottom, left, right), line in zip(tiles, places, flat[1], strict=True):
        picture = Image.fromarray(tile).resize((width * scale, height * scale), Image.Resampling.NEAREST)
        pen = int(np.clip(np.nan_to_num(line) * scale / 4, 1, scale / 2))
        ImageDraw.Draw(picture).rectangle([left, top, right, bottom], outline="red", width=pen)
        found.append(np.asarray(picture))
    return np.reshape(found, (*images.shape[:-3], height * scale, width * scale, 3))


def reveal(images: np.ndarray, order: np.ndarray, frames: int = 40, **options) -> "list[Image.Image]":
    """Grids of images that are drawn pixel by pixel, one after the other.

    Args:
        images: As `grid` takes them.
        order: When each pixel is drawn, whole numbers `[H, W]`; equal ones at the same time.
        frames: How many pictures at most, the last one whole; grey is what is not drawn yet.
        **options: Passed on to `grid`; `page` is 700 unless it is given.
    """
    options = {"page": 700} | options
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


def shorten(text: str, font: "ImageFont.FreeTypeFont", width: float) -> str:
    """As much of a text as fits into so many pixels, an ellipsis in place of the rest."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


@functools.cache
def font_of(size: int, bold: bool = False) -> "ImageFont.FreeTypeFont":
    """DejaVu Sans in so many pixels: Latin, Greek, Cyrillic and Arabic letters, and many signs."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", name), size)
