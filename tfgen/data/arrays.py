"""Arrays of one's own, in memory or larger than it, as a data set."""

import dataclasses
import math

import numpy as np

from tfgen.data.examples import DataError, Split
from tfgen.data.meaning import in_number_order
from tfgen.data.ragged import joined
from tfgen.data.splits import arrange, cut
from tfgen.data.stream import Stream, apply, blocks, is_sliceable
from tfgen.media import sounds


def from_arrays(
    cls,
    x,
    y=None,
    test=None,
    validation=None,
    name="arrays",
    kind: str | None = None,
    class_names=None,
    columns=None,
    standardize=False,
    rate: int | None = None,
    vocabulary=None,
    unit="character",
    notes=(),
    missing=False,
):
    """A data set of arrays.

    Images are `[N, H, W]` or `[N, H, W, C]` with 1 or 3 channels, or `[N, C, H, W]`, videos
    `[N, T, H, W, C]`, vectors `[N, D]` or `[N]`. Whole numbers from 0 to 255, of pictures also floats in
    [0, 1], are 256 levels, zeros and ones two; other numbers are real values. Without `test` the examples are
    cut: a fixed sixth tests and a sixth of the rest validates, with each class's share in both.

    Of memory maps, HDF5 data sets and whatever else has `shape`, `dtype` and `x[numbers]` the examples stay
    where they are, and rows are read as they are needed.

    Args:
        cls: `tfgen.data.Data`, whose class method this is.
        x: The examples, or those to train on where `test` is given.
        y: A class for each: whole numbers, names, or one-hot rows; `[N, k]` for k kinds of class; None
            without.
        test: What to test on: x, or a pair (x, y); None cuts it off.
        validation: What to validate on: x, a pair (x, y), a count or a fraction; None for a sixth.
        name: What the data are called.
        kind: "image", "video", "vector", "counts", "text" (tokens `[N, T]` of `vocabulary`), "audio" (waves
            `[N, T]` in [-1, 1] of `rate`) or "sequence" (arrays `[T, D]`, each of any number of steps); None
            for what the shape says.
        class_names: A name for each class; None for the names or numbers in y.
        columns: A name for each entry of a vector.
        standardize: Whether real vectors get mean 0 and deviation 1 by the training split's statistics, which
            `mean` and `deviation` of the data keep.
        rate: Samples a second, for "audio".
        vocabulary: The symbols of the tokens of "text", or what "counts" count.
        unit: What a token is, "character" or "word".
        notes: Notes to be said when a run starts.
        missing: Whether NaN in x stands for an entry that is not known, for models that take it.

    Returns:
        The data set.

    Raises:
        DataError: If x, y and the options do not fit together.
    """
    pairs = {"train": (x, y)}
    for part, given in (("validation", validation), ("test", test)):
        if given is not None and not np.isscalar(given):
            pairs[part] = given if isinstance(given, tuple) else (given, None)
    share = validation if np.isscalar(validation) else None
    xs, ranges, extra = {}, {}, {}
    for part, pair in pairs.items():
        named = f"x of {part}" if len(pairs) > 1 else "x"
        if kind == "sequence":
            xs[part], lengths = joined(pair[0], name, named)
            extra[part] = {"lengths": lengths}
        else:
            xs[part], ranges[part] = _numbers(named, pair[0], name, missing)
    if kind == "sequence":
        longest = max(x.shape[1] for x in xs.values())
        xs = {part: np.pad(x, ((0, 0), (0, longest - x.shape[1]), (0, 0))) for part, x in xs.items()}
    every = _Range.of(ranges.values()) if ranges else None
    labels, num_classes, class_names = _labels(
        {part: pair[1] for part, pair in pairs.items()}, xs, class_names, name
    )
    shapes = {part: array.shape[1:] for part, array in xs.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{part} {shape}" for part, shape in shapes.items())
        raise DataError(f"{name}: examples differ in shape ({told}): give all in one")
    notes, more = list(notes), {}
    if missing:
        gaps = sum(int(np.isnan(rows).sum()) for array in xs.values() for rows in blocks(array))
        notes.append(f"{gaps} of {sum(math.prod(array.shape) for array in xs.values())} values are missing")
    if kind == "audio":
        more = {"rate": rate or 8000, "event_shape": (None,), "num_values": 256, "levels": 256}
        xs = {part: apply(array, sounds.encode) for part, array in xs.items()}
    elif kind == "text":
        xs, more = _tokens(xs, every, vocabulary, unit, name)
    elif kind == "counts":
        more = {"num_values": None, "levels": None, "event_shape": shapes["train"], "unit": "word"}
        more |= {} if vocabulary is None else {"vocabulary": tuple(vocabulary)}
        xs = _cast(xs, np.float32)
    elif kind == "sequence":
        more = {"num_values": None, "levels": None, "event_shape": (None, *shapes["train"][1:])}
    else:
        kind, xs, levels = _shaped(xs, every, kind, name, notes)
        more = {"num_values": levels, "levels": levels, "event_shape": xs["train"].shape[1:]}
    parts = {part: Split(array, labels.get(part), extra.get(part, {})) for part, array in xs.items()}
    if "test" in parts and "validation" in parts:
        train, held, tested = parts["train"], parts["validation"], parts["test"]
    elif "test" in parts:
        train, held, tested = arrange(parts, share)
    else:
        if "validation" in parts:
            raise DataError(f"{name} has examples to validate but none to test on: give test= too")
        train, held, tested = cut(parts["train"], share, f"data set {name!r}", "examples")
    if kind == "vector" and columns is not None:
        more["columns"] = tuple(map(str, columns))
        if len(more["columns"]) != more["event_shape"][0]:
            raise DataError(
                f"{name}: {len(more['columns'])} columns for vectors of {more['event_shape'][0]}: name each"
            )
    if kind == "vector" and standardize and more["levels"] is None:
        (train, held, tested), statistics = standardized((train, held, tested), more.get("columns"), notes)
        more |= statistics
    if more["levels"] is None:
        train, held, tested = (
            dataclasses.replace(part, x=apply(part.x, _floats)) for part in (train, held, tested)
        )
    return cls(
        name=name,
        missing=missing,
        kind=kind,
        num_classes=num_classes,
        class_names=class_names,
        train=train,
        validation=held,
        test=tested,
        notes=tuple(notes),
        **more,
    )


def standardized(parts, columns, notes: list[str]) -> tuple[list[Split], dict]:
    """Splits whose training part has mean 0 and deviation 1 in each entry, and the `Data` fields that say so.

    An entry that never changes in training has its mean taken off and is not divided.

    Args:
        parts: Train, validation and test, their x real `[N, D]`.
        columns: Names of the entries, or None.
        notes: What was done is added here.
    """
    mean, deviation = _moments(parts[0].x)
    if np.isnan(mean).any():
        column = int(np.argmax(np.isnan(mean)))
        raise DataError(
            f"column {columns[column] if columns else column + 1} is missing in every row to train on: leave "
            "it out"
        )
    constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1.0)
    deviation = np.where(constant, 1.0, deviation)

    def standardize(x):
        return ((np.asarray(x, np.float64) - mean) / deviation).astype(np.float32)

    made = [dataclasses.replace(part, x=apply(part.x, standardize)) for part in parts]
    notes.append(
        "standardised by the training split's mean and deviation, samples are in the data's own units"
    )
    if constant.any():
        which = [columns[i] if columns else str(i + 1) for i in np.flatnonzero(constant)]
        notes.append(f"column {', '.join(which[:5])} never changes")
    return made, {"mean": tuple(map(float, mean)), "deviation": tuple(map(float, deviation))}


def _moments(x):
    """Mean and standard deviation of each entry, float64, block by block; NaN where there is none."""
    count = sum((~np.isnan(rows)).sum(axis=0) for rows in blocks(x))
    with np.errstate(invalid="ignore"):
        mean = sum(np.nansum(np.asarray(rows, np.float64), axis=0) for rows in blocks(x)) / count
    square = sum(np.nansum(np.square(np.asarray(rows, np.float64) - mean), axis=0) for rows in blocks(x))
    return mean, np.sqrt(square / np.maximum(count, 1))


@dataclasses.dataclass(frozen=True)
class _Range:
    """The lowest and the highest of some numbers and 0, and whether all of them are whole."""

    low: float
    high: float
    whole: bool

    @classmethod
    def of(cls, ranges):
        ranges = list(ranges)
        return cls(min(r.low for r in ranges), max(r.high for r in ranges), all(r.whole for r in ranges))


def _numbers(what: str, x, name: str, missing: bool = False):
    """An array, or a stream, of finite numbers, bools as zeros and ones; and its `_Range`.

    Where entries may be missing, also of NaN.
    """
    if isinstance(x, Stream) or is_sliceable(x):
        array = x if isinstance(x, Stream) else Stream.of(x)
    else:
        try:
            array = np.asarray(x)
        except ValueError as error:
            raise DataError(
                f"{name}: {what} has rows of different shapes: give all examples one shape"
            ) from error
    if array.dtype.kind not in "biuf" or array.ndim < 1:
        raise DataError(
            f"{name}: {what} holds {array.dtype.name} values {array.shape}: give numbers [N, ...]"
        )
    if array.dtype.kind == "b":
        return apply(array, lambda rows: rows.astype(np.uint8)), _Range(0.0, 1.0, True)
    found, start, wrong, first = [_Range(0.0, 0.0, True)], 0, 0, None
    for rows in blocks(array):
        bad = np.isinf(rows) if missing else ~np.isfinite(rows)
        if rows.dtype.kind == "f" and bad.any():
            places = np.argwhere(bad)
            if first is None:
                first = (rows[tuple(places[0])], places[0] + 1)
                first[1][0] += start
            wrong += len(places)
        elif rows.size:
            whole = rows.dtype.kind in "iu" or bool((rows == np.round(rows)).all())
            least = _Range(0.0, 0.0, False) if np.isnan(rows).all() else None
            found.append(least or _Range(float(np.nanmin(rows)), float(np.nanmax(rows)), whole))
        start += len(rows)
    if wrong:
        value, places = first
        place = ", column ".join(str(i) for i in places[: 2 if array.ndim == 2 else 1])
        more = f" and {wrong - 1} more" if wrong > 1 else ""
        raise DataError(
            f"{name}: {what} misses values, {value} in row {place}{more}: fill them in or leave the rows out"
        )
    column = apply(array, lambda rows: rows[:, np.newaxis]) if array.ndim == 1 else array
    return column, _Range.of(found)


def _cast(xs, dtype):
    return {part: apply(array, lambda rows: rows.astype(dtype)) for part, array in xs.items()}


def _floats(rows):
    return rows.astype(np.float32)


def _labels(ys, xs, class_names, name: str):
    """Labels by split from 0 on, the number of classes and their names."""
    given = {part: np.asarray(y) for part, y in ys.items() if y is not None}
    if not given:
        return {}, None, None
    missing = [part for part in ys if part not in given]
    if missing:
        raise DataError(f"{name}: {', '.join(missing)} has no y, {', '.join(given)} has: give both or none")
    for part, y in given.items():
        if len(y) != len(xs[part]):
            raise DataError(
                f"{name}: y of {part} has {len(y)} rows for {len(xs[part])} of x: give one for each"
            )
        if y.ndim == 2 and y.shape[1] == 1:
            given[part] = y[:, 0]
    if all(_one_hot(y) for y in given.values()):
        width = {y.shape[1] for y in given.values()}
        if len(width) == 1:
            labels = {part: y.argmax(axis=1) for part, y in given.items()}
            names = tuple(map(str, class_names or range(width.pop())))
            return labels, len(names), names
    if any(y.ndim > 2 for y in given.values()):
        raise DataError(
            f"{name}: y has shape {given['train'].shape}: give [N], or [N, k] for k kinds of class"
        )
    if any(y.ndim == 2 for y in given.values()):
        columns = [
            _coded([y[:, k] for y in given.values()], None, name) for k in range(given["train"].shape[1])
        ]
        stacked = [np.stack([codes[i] for codes, _ in columns], 1) for i in range(len(given))]
        names = tuple(found for _, found in columns)
        return dict(zip(given, stacked, strict=True)), tuple(map(len, names)), names
    codes, names = _coded(list(given.values()), class_names, name)
    return dict(zip(given, codes, strict=True)), len(names), names


def _one_hot(y: np.ndarray) -> bool:
    return (
        y.ndim == 2 and y.dtype.kind in "biuf" and bool(((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all())
    )


def _coded(ys: list[np.ndarray], class_names, name: str):
    """Class indices of values, and the classes' names: in number order where they are numbers."""
    every = np.concatenate([np.asarray(y) for y in ys])
    if every.dtype.kind == "f":
        if not (every == np.round(every)).all():
            wrong = every[every != np.round(every)][0]
            raise DataError(f"{name}: y holds {wrong:g}, which is no class: give whole numbers or names")
        every = every.astype(np.int64)
    elif every.dtype.kind not in "biuUSO":
        raise DataError(f"{name}: y holds {every.dtype.name} values: give whole numbers or names")
    if every.dtype.kind == "S":
        every = np.char.decode(every, "utf-8")
    if class_names is not None:
        names = tuple(map(str, class_names))
        if every.dtype.kind in "biu":
            codes = every.astype(np.int64)
            if codes.min() < 0 or codes.max() >= len(names):
                raise DataError(
                    f"{name}: y holds {codes.max()} for {len(names)} class names: name each class"
                )
            return np.split(codes, np.cumsum([len(y) for y in ys])[:-1]), names
    else:
        names = in_number_order(
            {str(value) for value in np.unique(every.astype(str) if every.dtype == object else every)}
        )
    index = {value: number for number, value in enumerate(names)}
    foreign = next((v for v in every if str(v) not in index), None)
    if foreign is not None:
        raise DataError(
            f"{name}: y holds {str(foreign)!r}, none of the class names {', '.join(names[:10])}: add it"
        )
    codes = np.array([index[str(value)] for value in every], np.int32)
    return np.split(codes, np.cumsum([len(y) for y in ys])[:-1]), names


def _tokens(xs, every, vocabulary, unit: str, name: str):
    if vocabulary is None:
        raise DataError(
            f"{name}: kind='text' needs the vocabulary that tokens are numbers of: give vocabulary="
        )
    symbols = tuple(vocabulary)
    whole = all(array.ndim == 2 and array.dtype.kind in "iu" for array in xs.values())
    if not whole or every.low < 0 or every.high >= len(symbols):
        raise DataError(
            f"{name}: kind='text' takes whole numbers [N, T] below {len(symbols)}, the size of the vocabulary"
        )
    dtype = np.uint8 if len(symbols) <= 256 else np.int32
    more = {
        "vocabulary": symbols, "unit": unit, "event_shape": (None,), "num_values": len(symbols),
        "levels": len(symbols),
    }  # fmt: skip
    return _cast(xs, dtype), more


def _shaped(xs, every, kind: str | None, name: str, notes: list[str]):
    """The kind of x, its arrays as they are stored, and how many levels they have or None."""
    shape = xs["train"].shape[1:]
    if kind is None:
        kind = {1: "vector", 2: "image", 3: "image", 4: "video"}.get(len(shape))
    rank = {"vector": (1,), "image": (2, 3), "video": (3, 4)}.get(kind, ())
    if len(shape) not in rank:
        raise DataError(
            f"{name}: examples have shape {shape}: give vectors [N, D], images [N, H, W, C] or videos "
            "[N, T, H, W, C]"
        )
    if kind == "image":
        xs = _channels_last(xs, every, name, notes)
    elif kind == "video" and len(shape) == 3:
        xs = {part: apply(array, lambda rows: rows[..., np.newaxis]) for part, array in xs.items()}
    low, high, whole = every.low, every.high, every.whole
    stored_levels = all(a.dtype == np.uint8 for a in xs.values())
    if whole and low >= 0 and high <= 1:
        return kind, _cast(xs, np.uint8), 2
    if stored_levels or (kind != "vector" and whole and low >= 0 and high <= 255):
        if not stored_levels:
            notes.append("whole numbers up to 255 are 256 levels")
        return kind, _cast(xs, np.uint8), 256
    if kind != "vector" and low >= 0.0 and high <= 1.0:
        notes.append("values in [0, 1] rounded to 256 levels")
        return kind, {part: apply(array, _levels_of_unit) for part, array in xs.items()}, 256
    # In float64 until vectors are standardised: far from the origin float32 has few digits left.
    return kind, _cast(xs, np.float64), None


def _levels_of_unit(rows):
    return np.rint(rows * 255.0).astype(np.uint8)


def _channels_last(xs, every, name: str, notes: list[str]):
    """Images `[N, H, W, C]` with 1 or 3 channels."""
    shape = xs["train"].shape[1:]

    def each(function):
        return {part: apply(array, function) for part, array in xs.items()}

    if len(shape) == 2:
        return each(lambda rows: rows[..., np.newaxis])
    if shape[-1] in (1, 3):
        return xs
    if shape[0] in (1, 3):
        notes.append("channels moved from the first place to the last")
        return each(lambda rows: np.ascontiguousarray(np.moveaxis(rows, 1, -1)))
    if shape[-1] in (2, 4):
        full = 255 if every.high > 1 else 1
        if all((rows[..., -1] == full).all() for array in xs.values() for rows in blocks(array)):
            notes.append("opaque alpha channel dropped")
            return each(lambda rows: np.ascontiguousarray(rows[..., :-1]))
        raise DataError(
            f"{name}: images have {shape[-1]} channels, one transparent: lay them on a background"
        )
    raise DataError(f"{name}: images have shape {shape}: give [N, H, W, C] with 1 or 3 channels")
