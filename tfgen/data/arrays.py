"""Arrays of one's own: `.npy`, `.npz`, and those in memory."""

import pathlib
import re

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, DataError, Split
from tfgen.data.folder import Listing, arrange, cut, in_number_order, split_word
from tfgen.data.sequences import joined
from tfgen.media import sounds

_X = {"x", "data", "image", "images", "sample", "samples", "features", "inputs", "arr"}
_Y = {"y", "label", "labels", "target", "targets", "class", "classes"}
_NAMES = {"names", "class_names", "classnames", "label_names", "target_names"}
_ASKED = "name them x and y, or x_train, y_train, x_test, y_test as keras.datasets does"


@registry.folder(".npy", ".npz")
def folder_of_arrays(listing: Listing, request: registry.Request) -> Data:
    """NumPy files: x and perhaps y, or x_train, y_train, x_test, ..., as `from_arrays` takes them.

    Of `.npz` files the arrays have these names, of several `.npy` the files; one `.npy` alone is x. Real
    vectors are standardised by the training split's statistics.

    Raises:
        DataError: If a file cannot be read, an array has another name, or x and y do not fit together.
    """
    if listing.label is not None:
        raise DataError(f"folder {listing.root} holds arrays by class: put x and y into one .npz")
    arrays = {}
    for number, path in enumerate(listing.paths):
        # Of a .npy beside others the file's own name says which split it is.
        apart = path.parent != listing.root or path.suffix.lower() == ".npz"
        prefix = f"{listing.split[number]}_" if listing.split is not None and apart else ""
        for name, array in _load(path).items():
            name = prefix + name
            if name in arrays:
                raise DataError(f"{listing.root} holds two arrays called {name}: rename one")
            arrays[name] = array
    x, y, names = _roles(arrays, listing)
    if "train" not in x:
        raise DataError(f"{_where(listing)} holds no x to train on, but {', '.join(arrays)}: {_ASKED}")
    notes = list(listing.notes)
    if set(x) == {"train", "validation"}:
        x["test"], y = x.pop("validation"), {("test" if k == "validation" else k): v for k, v in y.items()}
        notes.append("the validation arrays are the test split, since there is no other")
    given = {part: (x[part], y.get(part)) for part in x if part != "train"}
    validation = given.get("validation")
    if validation is None or request.validation is not None:
        if validation is not None:
            x["train"] = np.concatenate([x["train"], validation[0]])
            if y.get("train") is not None:
                y["train"] = np.concatenate([y["train"], validation[1]])
        validation = request.validation
    return from_arrays(
        x["train"],
        y.get("train"),
        test=given.get("test"),
        validation=validation,
        name=request.name,
        class_names=names,
        standardize=True,
        notes=tuple(notes),
    )


def from_arrays(
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
) -> Data:
    """A data set of arrays.

    Images are `[N, H, W]` or `[N, H, W, C]` with 1 or 3 channels, or `[N, C, H, W]`, videos
    `[N, T, H, W, C]`, vectors `[N, D]` or `[N]`. Whole numbers from 0 to 255, of pictures also floats in
    [0, 1], are 256 levels, zeros and ones two; other numbers are real values. Without `test` the examples are
    cut: a fixed sixth tests and a sixth of the rest validates, with each class's share in both.

    Args:
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
    named = {part: f"x of {part}" if len(pairs) > 1 else "x" for part in pairs}
    if kind == "sequence":
        xs, extra = _sequences({part: pair[0] for part, pair in pairs.items()}, named, name)
    else:
        xs, extra = {part: _numbers(named[part], pair[0], name) for part, pair in pairs.items()}, {}
    labels, num_classes, class_names = _labels(
        {part: pair[1] for part, pair in pairs.items()}, xs, class_names, name
    )
    shapes = {part: array.shape[1:] for part, array in xs.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{part} {shape}" for part, shape in shapes.items())
        raise DataError(f"{name}: examples differ in shape ({told}): give all in one")
    notes, more = list(notes), {}
    if kind == "audio":
        more = {"rate": rate or 8000, "event_shape": (None,), "num_values": 256, "levels": 256}
        xs = {part: sounds.encode(array) for part, array in xs.items()}
    elif kind == "text":
        xs, more = _tokens(xs, vocabulary, unit, name)
    elif kind == "counts":
        more = {"num_values": None, "levels": None, "event_shape": shapes["train"], "unit": "word"}
        more |= {} if vocabulary is None else {"vocabulary": tuple(vocabulary)}
        xs = {part: array.astype(np.float32) for part, array in xs.items()}
    elif kind == "sequence":
        more = {"num_values": None, "levels": None, "event_shape": (None, *shapes["train"][1:])}
    else:
        kind, xs, levels = _shaped(xs, kind, name, notes)
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
            Split(part.x.astype(np.float32), part.label, part.extra) for part in (train, held, tested)
        )
    return Data(
        name=name,
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
    train = np.asarray(parts[0].x, np.float64)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1.0)
    deviation = np.where(constant, 1.0, deviation)
    made = [
        Split(
            ((np.asarray(p.x, np.float64) - mean) / deviation).astype(np.float32), p.label, p.extra, p.streams
        )
        for p in parts
    ]
    notes.append(
        "standardised by the training split's mean and deviation, samples are in the data's own units"
    )
    if constant.any():
        which = [columns[i] if columns else str(i + 1) for i in np.flatnonzero(constant)]
        notes.append(f"column {', '.join(which[:5])} never changes")
    return made, {"mean": tuple(map(float, mean)), "deviation": tuple(map(float, deviation))}


def _where(listing: Listing) -> str:
    one = len(listing.paths) == 1
    return f"file {listing.paths[0]}" if one else f"folder {listing.root}"


def _load(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; of a `.npy` the name is the file's."""
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return {path.stem: stored}
        with stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # A broken file raises many types.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "save it again with numpy.save or numpy.savez"
        if "allow_pickle" in reason or "Object arrays" in reason:
            reason, remedy = "it holds Python objects", "save arrays of numbers, all rows of one length"
        raise DataError(f"file {path} cannot be read as NumPy arrays ({reason}): {remedy}") from error


def _roles(arrays: dict[str, np.ndarray], listing: Listing):
    """x and y by split, and names of the classes or None.

    Raises:
        DataError: If an array has a name that says none of it.
    """
    if len(arrays) == 1 and not _is_y(next(iter(arrays))):
        return {"train": next(iter(arrays.values()))}, {}, None
    if set(arrays) == {"arr_0", "arr_1"}:
        arrays = {"x": arrays["arr_0"], "y": arrays["arr_1"]}
    x, y, names = {}, {}, None
    for name, array in arrays.items():
        if name.lower() in _NAMES:
            names = tuple(map(str, array))
            continue
        split, others = split_word(name)
        if split is None:
            others = tuple(re.findall(r"[^\W\d_]+", name.lower()))
        is_y = _is_y(name)
        if not set(others) <= _X | _Y or not (others or split):
            raise DataError(f"{_where(listing)} holds an array called {name}: {_ASKED}")
        into, part = (y if is_y else x), split or "train"
        if part in into:
            raise DataError(
                f"{_where(listing)} holds two arrays for {'y' if is_y else 'x'} of {part}: {_ASKED}"
            )
        into[part] = array
    for part in y:
        if part not in x:
            raise DataError(f"{_where(listing)} holds y of {part} and no x of it: {_ASKED}")
    return x, y, names


def _is_y(name: str) -> bool:
    return bool(set(re.findall(r"[^\W\d_]+", name.lower())) & _Y)


def _numbers(what: str, x, name: str) -> np.ndarray:
    """An array of finite numbers, bools as zeros and ones."""
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
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        wrong = np.argwhere(~np.isfinite(array))
        place = ", column ".join(str(i) for i in (wrong[0] + 1)[: 2 if array.ndim == 2 else 1])
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        value = array[tuple(wrong[0])]
        raise DataError(
            f"{name}: {what} misses values, {value} in row {place}{more}: fill them in or leave the rows out"
        )
    return array[:, np.newaxis] if array.ndim == 1 else array


def _sequences(xs, named, name: str):
    """Sequences of each split, all as long as the longest, and their lengths as what else a split holds."""
    found = {part: joined(each, name, named[part]) for part, each in xs.items()}
    longest = max(x.shape[1] for x, _ in found.values())
    padded = {part: np.pad(x, ((0, 0), (0, longest - x.shape[1]), (0, 0))) for part, (x, _) in found.items()}
    return padded, {part: {"lengths": lengths} for part, (_, lengths) in found.items()}


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


def _tokens(xs, vocabulary, unit: str, name: str):
    if vocabulary is None:
        raise DataError(
            f"{name}: kind='text' needs the vocabulary that tokens are numbers of: give vocabulary="
        )
    symbols, largest = tuple(vocabulary), max(int(array.max(initial=0)) for array in xs.values())
    if any(array.ndim != 2 or array.dtype.kind not in "iu" for array in xs.values()) or largest >= len(
        symbols
    ):
        raise DataError(
            f"{name}: kind='text' takes whole numbers [N, T] below {len(symbols)}, the size of the vocabulary"
        )
    dtype = np.uint8 if len(symbols) <= 256 else np.int32
    more = {
        "vocabulary": symbols, "unit": unit, "event_shape": (None,), "num_values": len(symbols),
        "levels": len(symbols),
    }  # fmt: skip
    return {part: array.astype(dtype) for part, array in xs.items()}, more


def _shaped(xs, kind: str | None, name: str, notes: list[str]):
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
        xs = _channels_last(xs, name, notes)
    elif kind == "video" and len(shape) == 3:
        xs = {part: array[..., np.newaxis] for part, array in xs.items()}
    low = min(float(array.min(initial=0)) for array in xs.values())
    high = max(float(array.max(initial=0)) for array in xs.values())
    whole = all(a.dtype.kind in "iu" or (a == np.round(a)).all() for a in xs.values())
    stored_levels = all(a.dtype == np.uint8 for a in xs.values())
    if whole and low >= 0 and high <= 1:
        return kind, {part: array.astype(np.uint8) for part, array in xs.items()}, 2
    if stored_levels or (kind != "vector" and whole and low >= 0 and high <= 255):
        if not stored_levels:
            notes.append("whole numbers up to 255 are 256 levels")
        return kind, {part: array.astype(np.uint8) for part, array in xs.items()}, 256
    if kind != "vector" and low >= 0.0 and high <= 1.0:
        notes.append("values in [0, 1] rounded to 256 levels")
        return kind, {part: np.rint(array * 255.0).astype(np.uint8) for part, array in xs.items()}, 256
    # In float64 until vectors are standardised: far from the origin float32 has few digits left.
    return kind, {part: array.astype(np.float64) for part, array in xs.items()}, None


def _channels_last(xs, name: str, notes: list[str]):
    """Images `[N, H, W, C]` with 1 or 3 channels."""
    shape = xs["train"].shape[1:]
    if len(shape) == 2:
        return {part: array[..., np.newaxis] for part, array in xs.items()}
    if shape[-1] in (1, 3):
        return xs
    if shape[0] in (1, 3):
        notes.append("channels moved from the first place to the last")
        return {part: np.ascontiguousarray(np.moveaxis(array, 1, -1)) for part, array in xs.items()}
    if shape[-1] in (2, 4):
        full = 255 if max(array.max() for array in xs.values()) > 1 else 1
        if all((array[..., -1] == full).all() for array in xs.values()):
            notes.append("opaque alpha channel dropped")
            return {part: np.ascontiguousarray(array[..., :-1]) for part, array in xs.items()}
        raise DataError(
            f"{name}: images have {shape[-1]} channels, one transparent: lay them on a background"
        )
    raise DataError(f"{name}: images have shape {shape}: give [N, H, W, C] with 1 or 3 channels")
