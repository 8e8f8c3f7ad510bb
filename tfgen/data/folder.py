"""Folders of files: which files, in which split, of which class."""

import dataclasses
import difflib
import os
import pathlib
import re

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data
from tfgen.data.examples import PARTS, DataError, Split
from tfgen.data.meaning import in_number_order
from tfgen.data.splits import arrange, cut

IGNORED = (".txt", ".json", ".csv", ".md")
# Words that name a split, in a name of their own or beside others: "Training", "test_set", "val2017".
_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainset"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "validate", "dev", "devel", "valset"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "testset", "eval", "evaluation"), "test"),
}
_FILLERS = {"set", "data", "dataset", "split", "part", "images", "imgs", "files", "folder"}
# What operating systems, archives and file servers leave in folders.
_SYSTEM = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "lost+found",
    "system volume information", "__pycache__", "#recycle",
}  # fmt: skip
# Kinds of file that one meets and that are not read, and what to do with them.
_FOREIGN = {
    **dict.fromkeys((".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus"), "save it as WAV"),
    **dict.fromkeys((".heic", ".heif", ".psd", ".svg", ".cr2", ".nef", ".dng"), "save it as PNG or JPEG"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm"), "save its frames as images or as .npy"),
    **dict.fromkeys((".pdf", ".docx", ".doc", ".odt", ".rtf", ".epub"), "save it as plain text"),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".parquet", ".feather"), "save it as CSV"),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth", ".mat", ".h5", ".hdf5"), "save its arrays as .npz"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"), "unpack it"),
}
_MOST_NAMED = 20


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files of a folder, in order of name.

    Args:
        root: The folder.
        paths: The files, N of them.
        label: Class index of each, int32 `[N]`, or None without sub-folders.
        class_names: The sub-folders' names, in the order of their numbers where all are numbers, or None.
        split: "train", "validation" or "test" for each, or None where the folder does not say.
        notes: What was understood or left out, to be said when a run starts.
    """

    root: pathlib.Path
    paths: tuple[pathlib.Path, ...]
    label: np.ndarray | None
    class_names: tuple[str, ...] | None
    split: np.ndarray | None
    notes: tuple[str, ...] = ()

    def take(self, index) -> "Listing":
        """The files of an index array."""
        return dataclasses.replace(
            self,
            paths=tuple(self.paths[i] for i in index),
            label=None if self.label is None else self.label[index],
            split=None if self.split is None else self.split[index],
        )


def open_folder(request: registry.Request) -> Data:
    """Reads the folder or the file that the request names with the reader of the kind of its files."""
    kind, _, path = request.name.partition(":")
    one = kind == "file" or (kind != "folder" and pathlib.Path(request.name).expanduser().is_file())
    if one:
        listing = single(path if kind == "file" else request.name)
    else:
        listing = find(request.name.removeprefix("folder:"))
    readers, foreign = {}, []
    for number, path in enumerate(listing.paths):
        reader = registry.FOLDER.get(path.suffix.lower())
        if reader is None and one and path.suffix.lower() not in _FOREIGN:
            reader = registry.FOLDER[".txt"]
        if reader is None:
            foreign.append((path, _kindless(path)))
        else:
            readers.setdefault(reader, []).append(number)
    if len(readers) > 1:
        first, second = (listing.paths[numbers[0]].name for numbers in list(readers.values())[:2])
        raise DataError(
            f"folder {listing.root} mixes kinds, {first} and {second}: split it, or name one file"
        )
    if not readers:
        raise DataError(f"file {foreign[0][0]} {foreign[0][1]}")
    left_out = report(foreign, len(listing.paths), listing.root, request, "file")
    reader, numbers = next(iter(readers.items()))
    if request.stream and reader not in registry.STREAMS:
        raise DataError(
            f"stream is for images, .npy and .npz: leave it out for {listing.paths[numbers[0]].name}, which "
            "is held in memory"
        )
    listing = dataclasses.replace(listing.take(numbers), notes=(*listing.notes, *left_out))
    return reader(listing, request)


def report(bad, total: int, root: pathlib.Path, request: registry.Request, what: str) -> tuple[str, ...]:
    """One report of all files that cannot be used.

    Args:
        bad: Pairs of a path and what is wrong with it, with its remedy after a colon.
        total: How many files there are.
        root: The folder.
        request: Its `skip_bad` says whether they are left out.
        what: "image", "recording", "text".

    Returns:
        A note on what was left out; empty where nothing was.

    Raises:
        DataError: If there are bad files and they are not to be left out, or no others.
    """
    if not bad:
        return ()
    if request.skip_bad and len(bad) < total:
        names = ", ".join(path.name for path, _ in bad[:3]) + (" ..." if len(bad) > 3 else "")
        return (f"{len(bad)} of {total} files left out ({names})",)
    if len(bad) == 1:
        path, reason = bad[0]
        other = " (--skip_bad leaves it out)" if total > 1 and not request.skip_bad else ""
        raise DataError(f"{what} {path} {reason}{other}")
    named: dict[str, list[str]] = {}
    for path, reason in bad[:_MOST_NAMED]:
        named.setdefault(reason, []).append(str(path.relative_to(root)))
    told = "; ".join(f"{', '.join(paths)} {reason}" for reason, paths in named.items())
    more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
    remedy = "" if len(bad) == total else " (--skip_bad leaves them out)"
    raise DataError(f"{len(bad)} of {total} files in {root} cannot be used{remedy}: {told}{more}")


def single(file: str) -> Listing:
    """The listing of one file.

    Raises:
        DataError: If it is absent.
    """
    path = pathlib.Path(file).expanduser()
    if file and path.is_dir():
        raise DataError(f"file {file!r} is a folder: write it as folder:{file}")
    if not file or not path.is_file():
        raise DataError(f"file {file!r} is absent or no file: write it as file:PATH")
    return Listing(path.parent, (path,), None, None, None)


def find(folder: str) -> Listing:
    """Lists the files of a folder.

    Files lie in the folder itself, or in sub-folders that are the classes. Sub-folders that are called as
    splits are (train, validation and test in their common spellings, in any case), with one to train on among
    them, are splits, each a folder like the others; so are files of which each is a split: train.txt,
    valid.txt. Without a split to test on, the validation split tests. Hidden files and those of operating
    systems are left out, and those of `IGNORED` where there are others.

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
    if root.is_file():
        raise DataError(f"folder {str(root)!r} is a file: write it as file:{folder}")
    if not root.is_dir():
        raise DataError(f"folder {str(root)!r} is absent: give the path of a folder of files")
    folders, files = _entries(root)
    named, notes = _split_names(root, folders, files), []
    if named:
        parts = _parts(root, named)
        if set(parts) == {"train", "validation"}:
            parts["test"] = parts.pop("validation")
            notes.append(f"{', '.join(parts['test'])} is the test split, since there is no other")
        found = []
        for part, name in ((part, name) for part, names in parts.items() for name in names):
            inside = [(root / name, None)] if name in files else _classes(root / name)
            if not inside:
                raise DataError(f"folder {str(root)!r} has no files in {name!r}: add some, or remove it")
            found += [(*item, part) for item in inside]
        found.sort(key=lambda item: item[0].relative_to(root).parts)
    else:
        found = [(*item, None) for item in _classes(root)]
    if not found:
        raise DataError(f"folder {str(root)!r} holds no files: put images into it")
    paths, classes, split = zip(*found, strict=True)
    with_class = {s: c is not None for _, c, s in found}
    if len(set(with_class.values())) > 1:
        told = ", ".join(
            f"{part} has {'classes' if has else 'files straight inside'}" for part, has in with_class.items()
        )
        raise DataError(f"folder {str(root)!r} has classes in some of its splits only ({told}): sort it out")
    class_names = None if classes[0] is None else in_number_order(set(classes))
    _check_case(root, class_names or ())
    label = None if class_names is None else np.array([class_names.index(c) for c in classes], np.int32)
    split = None if split[0] is None else np.array(split)
    return Listing(root, paths, label, class_names, split, tuple(notes))


def split_word(name: str) -> tuple[str | None, tuple[str, ...]]:
    """The split that a name speaks of, and its other words: "seg_Train2017" is ("train", ("seg",)).

    Returns:
        "train", "validation", "test" or None, and the words that say something else.
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W\d_]+|\d+", parted.lower())
    splits = [_WORDS[word] for word in words if word in _WORDS]
    if len(splits) != 1:
        return None, tuple(words)
    return splits[0], tuple(w for w in words if w not in _WORDS and w not in _FILLERS and not w.isdigit())


def divide(listing: Listing, every: Split, validation: int | float | None) -> tuple[Split, Split, Split]:
    """Cuts what was read of a listing into train, validation and test.

    Where the folder does not say, a fixed sixth of the files, at most 10,000, tests, and again a
    sixth of the rest validates; each class has its share in every part.
    """
    what = f"folder {str(listing.root)!r}"
    if listing.split is None:
        return cut(every, validation, what, "files")
    parts = {name: every.take(np.flatnonzero(listing.split == name)) for name in PARTS}
    for name in ("test", "train"):
        if not len(parts[name]):
            raise DataError(f"{what} has no files in {name!r}: add some")
    return arrange(parts, validation)


def _split_names(root: pathlib.Path, folders: list[str], files: list[str]) -> dict[str, str]:
    """The split of each entry of the folder where all entries are splits; empty where none is.

    Raises:
        DataError: If some are and some are not.
    """
    entries, groups = folders or files, {}
    for name in entries:
        stem = name if folders else pathlib.Path(name).stem
        split, rest = split_word(stem)
        # A file whose name has a number is one of a series, as in train_1.png.
        if split and (folders or not re.search(r"\d", stem)):
            groups.setdefault(rest, {})[name] = split
    # A class may be called "bullet train": other words count where splits differ in nothing else.
    alike = [
        group
        for rest, group in groups.items()
        if (folders and not rest) or (len(set(group.values())) > 1 and "train" in group.values())
    ]
    if not alike:
        return {}
    named = {name: split for group in alike for name, split in group.items()}
    for group in alike:
        for name, split in group.items():
            twin = next((other for other in group if other != name and group[other] == split), None)
            if twin:
                raise DataError(
                    f"folder {str(root)!r} has {name!r} and {twin!r}, both understood as the {split} split: "
                    "have one"
                )
    if folders and files:
        raise DataError(
            f"folder {str(root)!r} holds {', '.join(named)}, understood as splits, beside files "
            f"({files[0]}): move these into a split"
        )
    others = [name for name in entries if name not in named]
    if others:
        raise DataError(
            f"folder {str(root)!r} holds {', '.join(named)}, understood as splits, beside "
            f"{', '.join(others[:5])}: move these out, or into a split if they are classes; rename "
            f"{next(iter(named))!r} if it is a class"
        )
    return named


def _parts(root: pathlib.Path, named: dict[str, str]) -> dict[str, list[str]]:
    """The names of the entries of each split."""
    parts: dict[str, list[str]] = {}
    for name, split in named.items():
        parts.setdefault(split, []).append(name)
    if "train" not in parts:
        raise DataError(
            f"folder {str(root)!r} holds the splits {', '.join(named)} and none to train on: call it 'train'"
        )
    if len(parts) == 1:
        raise DataError(
            f"folder {str(root)!r} holds the split {parts['train'][0]!r} alone: give that folder's path, "
            "or add one to test on"
        )
    return parts


def _check_case(root: pathlib.Path, names) -> None:
    seen = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(f"folder {str(root)!r} has the classes {other!r} and {name!r}: spell them alike")


def _kindless(path: pathlib.Path) -> str:
    """Reason why a file is of no kind, with the remedy."""
    remedy = _FOREIGN.get(path.suffix.lower())
    if remedy:
        return f"is of no kind that tfgen reads: {remedy}"
    close = difflib.get_close_matches(path.suffix.lower(), registry.FOLDER, 1)
    hint = f"did you mean {close[0]}? " if close and path.suffix else ""
    return (
        f"is of no kind that tfgen reads ({', '.join(registry.FOLDER)}): {hint}move it out of the folder "
        f"({', '.join(IGNORED)} beside others and hidden files are ignored), or name a text alone, file:PATH"
    )


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
        with os.scandir(folder) as found:
            visible = sorted(
                (e for e in found if not e.name.startswith(".") and e.name.lower() not in _SYSTEM),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise DataError(f"folder {str(folder)!r} cannot be listed: {error.strerror}") from error
    folders, files = [e.name for e in visible if e.is_dir()], [e.name for e in visible if e.is_file()]
    shown = [name for name in files if not name.lower().endswith(IGNORED)]
    # A folder of notes and nothing else is a folder of texts.
    return folders, shown if shown or folders else files
