"""`load`: from a name to a `Data`."""

import difflib
import numbers
import os

from tfgen.data import catalog, folder
from tfgen.data.binarize import binarize as make_binary
from tfgen.data.dataset import Data, DataError
from tfgen.data.registry import EMBEDDED, ON_DISK, Request
from tfgen.data.splits import few_labels
from tfgen.media.text import UNITS

# What files of one's own may be, by how they are named.
OWN = {
    "folder:PHOTOS": "images, in sub-folders that are classes or train, validation and test, or neither",
    "folder:SOUNDS": "WAV files, the same way",
    "folder:TEXTS": "text files, one after the other; train, validation and test in sub-folders if you like",
    "file:TEXT": "one text, whatever its name",
    "file:TABLE.csv": "numeric columns as vectors; --label_column=NAME for classes",
    "file:ARRAYS.npz": "x and y, or x_train, y_train, x_test, y_test; file:X.npy for x alone",
    "file:LINES.jsonl": 'dialogues, {"messages": [...]} or {"turns": [...]}; drawings, {"strokes": [...]}',
    "file:STROKES.csv": "drawings, with columns x, y, stroke and perhaps drawing",
}
# Options of `load` for folders and files of one's own alone.
_FOR_OWN = ("background", "channels", "skip_bad", "encoding", "mono", "rate", "label_column", "stream")


def on_disk() -> dict[str, str]:
    """The data sets of which own files lie in `data_dir`, with a line about each."""
    return {name: description for name, (description, _) in ON_DISK.items()}


def names() -> dict[str, str]:
    """The embedded data sets, which need no network, with a line about each."""
    return {name: description for name, (description, _) in EMBEDDED.items()}


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
    binarize: str = "none",
    validation: int | float | str | None = None,
    seed: int = 0,
    image_size: int | None = None,
    unit: str = "character",
    window: int | None = None,
    num_labels: int | None = None,
    background: str | None = None,
    channels: int | None = None,
    skip_bad: bool = False,
    encoding: str | None = None,
    mono: bool = False,
    rate: int | None = None,
    label_column: str | None = None,
    stream: bool | None = None,
    counts: bool = False,
    missing: bool = False,
) -> Data:
    """Loads a data set.

    The name is looked for in this order: an embedded set (`names()`), or one whose own files lie
    in `data_dir`; a folder, as "folder:PATH" or as a path with a slash; a file, as "file:PATH" or so; a
    TFDS set, "NAME", "NAME/CONFIG" or with its splits "NAME:TRAIN,TEST", where slices as in
    "mnist:train[:1000],test" are TFDS's own.

    Real data, their splits and fixed binarization are the same for every seed.

    Args:
        name: The data set.
        data_dir: Where a set's files lie; of TFDS sets by default TFDS's own (`~/tensorflow_datasets`).
        download: Whether a TFDS set that is absent may be fetched and prepared.
        binarize: How levels become binary: "none", "threshold", "fixed" or "dynamic".
        validation: What to hold out of the training part: a count, a fraction, or None for the
            set's own validation split or a share that each loader states. "all", for images, arrays,
            tables, sounds and drawings of one's own, makes every example, in the order in which they
            lie there, one to train on, to validate and to test on: for what a trained model looks at.
        seed: Which points a synthetic set draws.
        image_size: The side in pixels to which images of TFDS sets and folders are cut (the
            square in the middle) and scaled; None takes them as they are.
        unit: What a token of a text is, "character" or "word".
        window: How many steps of a long text or recording make one example; None for the set's own
            number.
        num_labels: How many training examples, with the classes in their proportions, make the
            stream "labelled" (`data.train.streams["labelled"]`) for training with few labels; None for
            no such stream.
        background: The colour, a name or "#rrggbb", on which transparent images of one's own are laid.
        channels: 1 makes all images of one's own grey, 3 RGB; None takes them as they are, all alike.
        skip_bad: Whether files, and rows of a table, that cannot be used are left out; they are refused
            otherwise, all in one report.
        encoding: The encoding of text files of one's own; None for UTF-8, or UTF-16 where they are in it.
        mono: Whether recordings of several channels are mixed down to one.
        rate: Samples a second to which recordings are resampled; None takes them as they are, all alike.
        label_column: The column of a table that holds the classes.
        stream: Whether images and arrays of one's own stay on disk and are read as they are needed: slower
            where reading is, and equal otherwise. None for those that would take more than a third of the
            memory that is free.
        counts: Whether texts, and tables and arrays of one's own, are counts: of texts how often each word
            occurs in each file, or in each paragraph of a single one.
        missing: Whether empty cells of a table, and NaN in arrays of one's own, are entries that are not
            known, for models that take them as NaN; they are refused otherwise.

    Returns:
        The data set.

    Raises:
        DataError: If there is no such set or it is not as it should be, with the remedy.
    """
    if not isinstance(name, str) or not name:
        raise DataError(f"name={name!r} is no data set: take one of {', '.join(EMBEDDED)}")
    if image_size is not None and (not isinstance(image_size, numbers.Integral) or image_size < 1):
        raise DataError(f"image_size={image_size!r} is no positive number of pixels")
    place = None if data_dir is None else os.path.expanduser(data_dir)
    if window is not None and (not isinstance(window, numbers.Integral) or window < 1):
        raise DataError(f"window={window!r} is no positive number of steps")
    if unit not in UNITS:
        raise DataError(f"unit={unit!r} is none of {', '.join(UNITS)}")
    if channels not in (None, 1, 3):
        raise DataError(f"channels={channels!r} is neither 1, grey, nor 3, RGB")
    if rate is not None and (not isinstance(rate, numbers.Integral) or rate < 1):
        raise DataError(f"rate={rate!r} is no positive number of samples a second")
    request = Request(
        name, place, download, validation, seed, image_size, unit, window, background, channels, skip_bad,
        encoding, mono, rate, label_column, stream, counts, missing,
    )  # fmt: skip
    loader = _loader(request)
    _check_options(request, loader is folder.open_folder)
    data = loader(request)
    if counts and data.kind != "counts":
        raise DataError(
            f"counts=True is for texts, tables and arrays, but data set {name!r} holds examples of kind "
            f"{data.kind!r}: take another"
        )
    data = make_binary(data, binarize)
    return data if num_labels is None else few_labels(data, num_labels)


def _check_options(request: Request, own: bool) -> None:
    """Raises DataError where an option for files of one's own is given for another set."""
    if own:
        return
    for option in _FOR_OWN:
        value = getattr(request, option)
        if value not in (None, False):
            raise DataError(
                f"{option}={value} is for folders and files of your own: leave it out for data set "
                f"{request.name!r}"
            )


def _loader(request: Request):
    """The function that loads what the request names."""
    name = request.name
    if name in EMBEDDED or name in ON_DISK:
        if request.image_size is not None:
            raise DataError(
                f"image_size={request.image_size} is for TFDS sets and folders: data set {name!r} "
                "has one size, leave image_size out"
            )
        return (EMBEDDED | ON_DISK)[name][1]
    looks_like_path = name.startswith(("/", ".", "~")) or ("/" in name and os.path.exists(name))
    if name.startswith(("folder:", "file:")) or looks_like_path:
        return folder.open_folder
    _check_known(request)
    return catalog.open_catalog


def _check_known(request: Request) -> None:
    """Raises DataError, with what may have been meant, for a name that TFDS does not have."""
    name = request.name
    base = name.partition(":")[0].partition("/")[0]
    known = catalog.known()
    if base in known:
        return
    # TFDS also opens sets that somebody's own builder prepared, from their files alone.
    if base and request.data_dir and os.path.isdir(os.path.join(request.data_dir, base)):
        return
    close = difflib.get_close_matches(base, [*EMBEDDED, *ON_DISK, *known], 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if os.path.isdir(name):
        hint = f"for the folder write 'folder:{name}'; "
    elif os.path.isfile(name):
        hint = f"for the file write 'file:{name}'; "
    raise DataError(
        f"data set {name!r} is unknown: {hint}embedded are {', '.join(EMBEDDED)}; "
        f"{', '.join(ON_DISK)} and any TFDS name work with --data_dir or --download, any folder of images, "
        "texts or recordings as folder:PATH, one file (text, table, arrays) as file:PATH"
    )
