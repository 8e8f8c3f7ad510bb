"""Folders of files: which files, in which split, of which class."""

import dataclasses
import pathlib

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, DataError, Split
from tfgen.data.splits import a_sixth, hold_out, stratified_order

IGNORED = (".txt", ".json", ".csv", ".md")
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files of a folder, in order of name.

    Args:
        root: The folder.
        paths: The files, N of them.
        label: Class index of each, int32 `[N]`, or None without sub-folders.
        class_names: The sub-folders' names, or None.
        split: "train", "validation" or "test" for each, or None where the folder does not say.
    """

    root: pathlib.Path
    paths: tuple[pathlib.Path, ...]
    label: np.ndarray | None
    class_names: tuple[str, ...] | None
    split: np.ndarray | None


def open_folder(request: registry.Request) -> Data:
    """Reads the folder that the request names with the reader of the kind of its files."""
    kind, _, path = request.name.partition(":")
    listing = single(path) if kind == "file" else find(request.name.removeprefix("folder:"))
    readers = {}
    for path in listing.paths:
        reader = registry.FOLDER.get(path.suffix.lower())
        if reader is None:
            raise DataError(
                f"file {path} is of no kind that tfgen reads ({', '.join(registry.FOLDER)}): "
                f"move it out of the folder ({', '.join(IGNORED)} beside others and hidden files are ignored)"
            )
        readers.setdefault(reader, path)
    if len(readers) > 1:
        first, second = list(readers.values())[:2]
        raise DataError(f"folder {listing.root} mixes kinds, {first.name} and {second.name}: split")
    return next(iter(readers))(listing, request)


def single(file: str) -> Listing:
    """The listing of one file.

    Raises:
        DataError: If it is absent.
    """
    path = pathlib.Path(file).expanduser()
    if not file or not path.is_file():
        raise DataError(f"file {file!r} is absent or no file: write it as file:PATH")
    return Listing(path.parent, (path,), None, None, None)


def find(folder: str) -> Listing:
    """Lists the files of a folder.

    Files lie in the folder itself, or in sub-folders that are the classes. Sub-folders called
    train, validation (or val) and test, with train among them, are splits, each a folder like
    the others. Hidden files are left out, and those of `IGNORED` where there are others.

    Args:
        folder: The path.

    Returns:
        The listing.

    Raises:
        DataError: If the folder is absent, empty, or of another layout.
    """
    if not folder:
        raise DataError("folder: lacks a path: write it as folder:PATH")
    root = pathlib.Path(folder).expanduser()
    if not root.is_dir():
        what = "a file" if root.exists() else "absent"
        raise DataError(f"folder {str(root)!r} is {what}: give the path of a folder of files")
    folders, _ = _entries(root)
    if "train" in folders and set(folders) <= set(_SPLITS):
        found = [(*item, _SPLITS[name]) for name in folders for item in _classes(root / name)]
    else:
        found = [(*item, None) for item in _classes(root)]
    if not found:
        raise DataError(f"folder {str(root)!r} holds no files: put images into it")
    paths, classes, split = zip(*found, strict=True)
    if any(name is None for name in classes) and any(name is not None for name in classes):
        raise DataError(f"folder {str(root)!r} has classes in some of its splits only: sort it out")
    class_names = None if classes[0] is None else tuple(sorted(set(classes)))
    label = None if class_names is None else np.array([class_names.index(c) for c in classes])
    return Listing(root, paths, label, class_names, None if split[0] is None else np.array(split))


def divide(listing: Listing, every: Split, validation: int | float | None) -> tuple[Split, Split, Split]:
    """Cuts what was read of a listing into train, validation and test.

    Where the folder does not say, a fixed sixth of the files, at most 10,000, tests, and again a
    sixth of the rest validates; each class has its share in every part.
    """
    if listing.split is None:
        if len(every) < 3:
            raise DataError(
                f"folder {str(listing.root)!r} holds {len(every)} files: train, validation and "
                "test need 3 at least"
            )
        order = stratified_order(len(every), listing.label)
        cut = a_sixth(len(every))
        test, rest, published = every.take(order[:cut]), every.take(order[cut:]), None
    else:
        parts = {name: np.flatnonzero(listing.split == name) for name in set(_SPLITS.values())}
        test, rest = every.take(parts["test"]), every.take(parts["train"])
        order = stratified_order(len(rest), rest.label)
        rest = rest.take(order)
        published = every.take(parts["validation"]) if len(parts["validation"]) else None
        for name, part in (("test", test), ("train", rest)):
            if not len(part):
                raise DataError(f"folder {str(listing.root)!r} has no files in {name!r}: add some")
    train, held = hold_out(rest, validation, a_sixth(len(rest)), published=published)
    return train, held, test


def _classes(folder: pathlib.Path) -> list[tuple[pathlib.Path, str | None]]:
    """Files with their class, None where they lie in the folder itself."""
    folders, files = _entries(folder)
    if folders and files:
        raise DataError(
            f"folder {str(folder)!r} mixes files ({files[0]}) with sub-folders ({folders[0]}): have either"
        )
    found: list[tuple[pathlib.Path, str | None]] = [(folder / name, None) for name in files]
    for name in folders:
        deeper, files = _entries(folder / name)
        if deeper:
            raise DataError(
                f"folder {str(folder / name / deeper[0])!r} lies too deep: sub-folders are "
                "classes and hold files only"
            )
        found += [(folder / name / file, name) for file in files]
    return found


def _entries(folder: pathlib.Path) -> tuple[list[str], list[str]]:
    """Names of the sub-folders and of the files that are not ignored, sorted."""
    try:
        visible = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"folder {str(folder)!r} cannot be listed: {error.strerror}") from error
    folders, files = [e.name for e in visible if e.is_dir()], [e for e in visible if e.is_file()]
    shown = [e.name for e in files if e.suffix.lower() not in IGNORED]
    # A folder of notes and nothing else is a folder of texts.
    return folders, shown if shown or folders else [e.name for e in files]
