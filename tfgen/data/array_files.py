"""Files of arrays: `.npy` and `.npz`, read into memory or mapped."""

import pathlib
import re
import struct
import zipfile

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, DataError
from tfgen.data.folder import Listing, split_word
from tfgen.data.memory import note_of_stream
from tfgen.data.stream import Stream, joined

_X = {"x", "data", "image", "images", "sample", "samples", "features", "inputs", "arr"}
_Y = {"y", "label", "labels", "target", "targets", "class", "classes"}
_NAMES = {"names", "class_names", "classnames", "label_names", "target_names"}
_ASKED = "name them x and y, or x_train, y_train, x_test, y_test as keras.datasets does"


@registry.folder(".npy", ".npz", streams=True)
def folder_of_arrays(listing: Listing, request: registry.Request) -> Data:
    """NumPy files: x and perhaps y, or x_train, y_train, x_test, ..., as `Data.from_arrays` takes them.

    Of `.npz` files the arrays have these names, of several `.npy` the files; one `.npy` alone is x. Real
    vectors are standardised by the training split's statistics.

    Raises:
        DataError: If a file cannot be read, an array has another name, or x and y do not fit together.
    """
    if listing.label is not None:
        raise DataError(f"folder {listing.root} holds arrays by class: put x and y into one .npz")
    note = note_of_stream(request.stream, sum(map(_bytes, listing.paths)))
    arrays = {}
    for number, path in enumerate(listing.paths):
        # Of a .npy beside others the file's own name says which split it is.
        apart = path.parent != listing.root or path.suffix.lower() == ".npz"
        prefix = f"{listing.split[number]}_" if listing.split is not None and apart else ""
        for name, array in _load(path, note is not None).items():
            name = prefix + name
            if name in arrays:
                raise DataError(f"{listing.root} holds two arrays called {name}: rename one")
            arrays[name] = array
    x, y, names = _roles(arrays, listing)
    if "train" not in x:
        raise DataError(f"{_where(listing)} holds no x to train on, but {', '.join(arrays)}: {_ASKED}")
    notes = [*listing.notes, *([note] if note else [])]
    if set(x) == {"train", "validation"}:
        x["test"], y = x.pop("validation"), {("test" if k == "validation" else k): v for k, v in y.items()}
        notes.append("the validation arrays are the test split, since there is no other")
    given = {part: (x[part], y.get(part)) for part in x if part != "train"}
    validation = given.get("validation")
    if validation is None or request.validation is not None:
        if validation is not None:
            x["train"] = joined(x["train"], validation[0])
            if y.get("train") is not None:
                y["train"] = np.concatenate([y["train"], validation[1]])
        validation = request.validation
    return Data.from_arrays(
        x["train"],
        y.get("train"),
        test=given.get("test"),
        validation=validation,
        name=request.name,
        kind="counts" if request.counts else None,
        class_names=names,
        standardize=True,
        notes=tuple(notes),
        missing=request.missing,
    )


def _where(listing: Listing) -> str:
    one = len(listing.paths) == 1
    return f"file {listing.paths[0]}" if one else f"folder {listing.root}"


def _load(path: pathlib.Path, mapped: bool) -> dict:
    """The arrays of a file by name; of a `.npy` the name is the file's.

    Args:
        path: The file.
        mapped: Whether those of examples stay on disk, as streams.
    """
    try:
        if mapped:
            return _mapped(path)
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return {path.stem: stored}
        with stored:
            return {name: stored[name] for name in stored.files}
    except DataError:
        raise
    except Exception as error:  # A broken file raises many types.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "save it again with numpy.save or numpy.savez"
        if "allow_pickle" in reason or "Object arrays" in reason or "Python objects" in reason:
            reason, remedy = "it holds Python objects", "save arrays of numbers, all rows of one length"
        raise DataError(f"file {path} cannot be read as NumPy arrays ({reason}): {remedy}") from error


def _mapped(path: pathlib.Path) -> dict:
    """The arrays of a file by name, mapped into memory; labels and names of classes are read."""
    if path.suffix.lower() == ".npy":
        found = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}
    else:
        with zipfile.ZipFile(path) as members:
            found = {
                info.filename.removesuffix(".npy"): _map_member(path, info) for info in members.infolist()
            }
    few = {name for name in found if len(found) > 1 and (_is_y(name) or name.lower() in _NAMES)}
    return {name: np.array(a) if name in few or not a.ndim else Stream.of(a) for name, a in found.items()}


def _map_member(path: pathlib.Path, info: zipfile.ZipInfo) -> np.memmap:
    if info.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"file {path} is compressed and cannot be read in parts: save it with numpy.savez or, each "
            "array alone, with numpy.save"
        )
    with path.open("rb") as file:
        # The local header's own lengths: the central directory may hold others.
        file.seek(info.header_offset + 26)
        file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version](file)
        if dtype.hasobject:
            raise ValueError("Object arrays cannot be mapped")
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _bytes(path: pathlib.Path) -> int:
    """Bytes of a file's arrays."""
    if path.suffix.lower() == ".npz" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as members:
            return sum(info.file_size for info in members.infolist())
    return path.stat().st_size


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
