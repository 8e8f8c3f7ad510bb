"""Summary of a data set in one line: what was understood of it, and what was done to it."""

import math

from tfgen.data.dataset import PARTS, Data

_LARGE = 128 * 128
_BINARY = {
    "threshold": "made binary, 1 from half of the range on (--binarize=none keeps the levels)",
    "fixed": "made binary, each value drawn once with its level as probability",
    "dynamic": "made binary anew in each batch, with a value's level as probability",
}
_NAMED = 10


def summary(data: Data) -> str:
    """A line such as "folder:pets: 32x32 RGB images in 256 levels, 60 train + 10 validation + 14 test"."""
    parts = [_kind(data), " + ".join(f"{len(getattr(data, part))} {part}" for part in PARTS)]
    if data.num_classes is not None:
        parts.append(_classes(data))
    if data.kind == "strokes" and "text" in data.train.extra:
        parts.append("with their texts")
    parts += [f"stream {name!r} of {len(stream)}" for name, stream in data.train.streams.items()]
    done = list(data.notes)
    if data.kind == "image" and math.prod(data.event_shape[:2]) > _LARGE:
        done.append("large images, --image_size=64 makes them small")
    if data.binarize != "none":
        done.append(_BINARY[data.binarize])
    return f"{data.name}: {'; '.join([', '.join(parts), *done])}"


def _kind(data: Data) -> str:
    shape = data.event_shape
    values = "of real values" if data.levels is None else f"in {data.levels} levels"
    if data.kind in ("image", "video"):
        height, width, channels = shape[-3:]
        colour = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
        what = "images" if data.kind == "image" else f"videos of {shape[0]} frames"
        return f"{width}x{height} {colour} {what} {values}"
    if data.kind == "vector":
        named = f" ({_listed(data.columns)})" if data.columns else ""
        return f"vectors of {math.prod(shape)} numbers{named} {values}"
    steps = data.train.x.shape[1]
    if data.kind == "text":
        return f"texts of up to {steps} {data.unit}s, a vocabulary of {data.num_values}"
    if data.kind == "audio":
        rate = f" at {data.rate} samples a second" if data.rate else ""
        return f"sounds in windows of {steps} samples{rate} {values}"
    if data.kind == "sequence":
        return f"sequences of up to {steps} steps of {shape[1]} numbers"
    if data.kind == "strokes":
        return f"drawings of up to {steps} pen steps"
    return f"counts of {math.prod(shape)} things"


def _classes(data: Data) -> str:
    if isinstance(data.num_classes, tuple):
        return f"{' x '.join(map(str, data.num_classes))} classes"
    named = f" ({_listed(data.class_names)})" if data.class_names else ""
    return f"{data.num_classes} class{'es' if data.num_classes != 1 else ''}{named}"


def _listed(names) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
