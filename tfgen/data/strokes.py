"""Pen strokes: Omniglot, files of one's own, and what all drawings have in common.

An example is `[T, 3]`, (dx, dy, pen): the offset from the last point, the first from the origin, and 1 where
the pen lifts after this point. y grows upwards. Offsets are divided by one number for the whole set, so that
those of the training part have unit deviation; `extra["scale"]` holds it, and multiplying by it gives the
units of the source. Examples are filled up with zeros, `extra["lengths"]` says where they end.
"""

import csv
import io
import pathlib

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, DataError, Split
from tfgen.data.folder import Listing, divide, in_number_order
from tfgen.data.reading import read_json_lines, read_text
from tfgen.data.splits import hold_out

_FILE = pathlib.Path("strokes", "omniglot_strokes_small.npz")
_OMNIGLOT_SPACING = 5.0  # In pixels of the 105 by 105 of a drawing.
_TEST_DRAWERS, _VALIDATION_DRAWERS = 3, 2
_STEPS_ACROSS = 20  # A drawing of one's own has about so many steps across.


def resample(points: np.ndarray, spacing: float) -> np.ndarray:
    """A stroke with even steps along its line, as near to `spacing` as a whole number of them allows.

    Args:
        points: `[n, 2]`, n positive.
        spacing: Length of a step.

    Returns:
        `[m, 2]`; both ends stay, and a stroke shorter than half a step becomes its first point.
    """
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    places = np.linspace(0.0, walked[-1], round(walked[-1] / spacing) + 1)
    return np.stack([np.interp(places, walked, points[:, axis]) for axis in (0, 1)], axis=-1)


def stroke_data(name, parts, class_names=None, vocabulary=None, notes=()) -> Data:
    """Drawings as a data set.

    Args:
        name: What `load` was asked for.
        parts: Train, validation and test: each a `Split` of as many rows, whose labels and extra are kept,
            and a list of drawings, each a list of strokes `[n, 2]`.
        class_names: A name for each class, or None without labels.
        vocabulary: The symbols of the texts in `extra`, or None.
        notes: What was done to the data.
    """
    made = [[_steps(strokes) for strokes in drawings] for _, drawings in parts]
    scale = float(np.concatenate(made[0])[:, :2].std()) or 1.0
    longest = max(len(drawing) for part in made for drawing in part)
    splits = []
    for (split, _), drawings in zip(parts, made, strict=True):
        x = np.zeros((len(drawings), longest, 3), np.float32)
        for row, drawing in zip(x, drawings, strict=True):
            row[: len(drawing)] = drawing / [scale, scale, 1.0]
        more = {
            "lengths": np.array([len(drawing) for drawing in drawings], np.int32),
            "scale": np.full(len(drawings), scale, np.float32),
        }
        splits.append(Split(x, split.label, dict(split.extra) | more))
    return Data(
        name=name,
        kind="strokes",
        event_shape=(None, 3),
        num_values=None,
        levels=None,
        num_classes=None if class_names is None else len(class_names),
        class_names=class_names,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        vocabulary=vocabulary,
        notes=notes,
    )


@registry.on_disk(
    "omniglot_strokes", "pen strokes of Omniglot's two small sets, by character (a file of --data_dir)"
)
def omniglot_strokes(request: registry.Request) -> Data:
    """The drawings of `DATA_DIR/strokes/omniglot_strokes_small.npz`, labelled by character.

    The file has `points` `[P, 3]` (x, y, time), `stroke_offsets`, `drawing_offsets`, and for each drawing
    `label`, `drawer` and others. The Greek and Latin drawings that both of its parts hold are taken once.
    Strokes have even steps of about 5 pixels of 105; the origin is the middle of a drawing's box. Three of
    the 20 drawers of each character test, and two of the others validate.

    Raises:
        DataError: If the file is absent or broken.

    References:
        Lake, Salakhutdinov & Tenenbaum, "Human-level concept learning through probabilistic program
        induction", Science 2015.
    """
    if request.data_dir is None:
        raise DataError(
            f"data set 'omniglot_strokes' is the file DATA_DIR/{_FILE}: name the folder, --data_dir=..."
        )
    path = pathlib.Path(request.data_dir) / _FILE
    if not path.is_file():
        raise DataError(
            f"file {path} is absent: data set 'omniglot_strokes' needs it, set --data_dir accordingly"
        )
    try:
        with np.load(path) as stored:
            fields = {name: stored[name] for name in ("points", "stroke_offsets", "drawing_offsets")}
            label, drawer, own = stored["label"], stored["drawer"], stored["character"]
            alphabet = stored["alphabet_names"][stored["alphabet"]]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"file {path} cannot be read ({error}): copy it anew") from error
    # A character and a drawer name a drawing; the parts share some.
    kept = np.sort(np.unique(label.astype(np.int64) * 1000 + drawer, return_index=True)[1])
    kept = kept[np.argsort(drawer[kept], kind="stable")]
    drawings = [_omniglot_drawing(fields, i) for i in kept]
    _, first, label = np.unique(label[kept], return_index=True, return_inverse=True)
    names = tuple(f"{alphabet[i]} {own[i]}" for i in kept[first])
    drawer = drawer[kept]
    tests = drawer >= drawer.max() + 1 - _TEST_DRAWERS
    # Row numbers stand for the drawings while splits are cut.
    every = Split(np.arange(len(kept))[:, None], label)
    held = np.count_nonzero(~tests & (drawer >= drawer.max() + 1 - _TEST_DRAWERS - _VALIDATION_DRAWERS))
    train, validation = hold_out(every.take(~tests), request.validation, held, groups=drawer[~tests])
    splits = (train, validation, every.take(tests))
    return stroke_data(request.name, [(s, [drawings[i] for i in s.x[:, 0]]) for s in splits], names)


def _omniglot_drawing(fields, number):
    first, last = fields["drawing_offsets"][number : number + 2]
    ends = fields["stroke_offsets"][first : last + 1]
    pairs = zip(ends[:-1], ends[1:], strict=True)
    strokes = [resample(fields["points"][a:b, :2].astype(np.float64), _OMNIGLOT_SPACING) for a, b in pairs]
    return _centered(strokes)


def folder_of_strokes(listing: Listing, request: registry.Request) -> Data:
    """CSV files with the columns x, y and stroke, and for several drawings in a file a column drawing.

    A row is a point; points with the same number of stroke and drawing, one after the other, are a stroke. y
    grows upwards. Strokes get even steps, a twentieth of the typical drawing's size; the origin is the middle
    of a drawing's box. Sub-folders are classes or splits, as for images.

    Raises:
        DataError: Naming the file, if it has other columns, no points, or numbers that are not finite.
    """
    found = [
        (number, strokes)
        for number, path in enumerate(listing.paths)
        for strokes in _read(path, request.encoding)
    ]
    label = None if listing.label is None else listing.label[[number for number, _ in found]]
    return _own_drawings(listing, request, found, label, listing.class_names)


def lines_of_strokes(listing: Listing, request: registry.Request) -> Data:
    """Files with a drawing a line: {"strokes": [[[x, y], ...], ...], "text": "...", "label": "..."}.

    Text and label may be left out, in all lines or in none. y grows upwards. Strokes become as
    `folder_of_strokes` makes them; the texts' characters are what a model is conditioned on, labels are
    classes.

    Raises:
        DataError: Naming file and line, if one is no drawing, or has no text where others have one.
    """
    found, told = [], {"text": [], "label": []}
    for number, path in enumerate(listing.paths):
        for line, value in read_json_lines(path, request.encoding, "strokes"):
            for key, words in told.items():
                word = value.get(key)
                if words and (word is None) != (words[0] is None):
                    raise DataError(
                        f"line {line} of {path} and the first differ in having a {key}: give all one"
                    )
                if word is not None and not (isinstance(word, (str, int)) and str(word)):
                    raise DataError(f"line {line} of {path} has the {key} {word!r}: write a string")
                words.append(None if word is None else str(word))
            found.append((number, _line_strokes(value, line, path)))
    if told["label"][0] is not None and listing.label is not None:
        raise DataError(f"folder {listing.root} has classes, and its lines have labels: have either")
    if told["label"][0] is not None:
        names = in_number_order(set(told["label"]))
        label = np.array([names.index(word) for word in told["label"]], np.int32)
    else:
        names = listing.class_names
        label = None if names is None else listing.label[[number for number, _ in found]]
    texts = None if told["text"][0] is None else told["text"]
    return _own_drawings(listing, request, found, label, names, texts)


def _line_strokes(value: dict, line: int, path: pathlib.Path) -> list[np.ndarray]:
    remedy = 'write {"strokes": [[[x, y], ...], ...]} with numbers that are finite'
    try:
        strokes = [np.asarray(stroke, np.float64) for stroke in value["strokes"]]
        good = all(stroke.ndim == 2 and len(stroke) and stroke.shape[1] in (2, 3) for stroke in strokes)
    except (KeyError, TypeError, ValueError):
        strokes, good = [], False
    if not strokes or not good or not all(np.isfinite(stroke).all() for stroke in strokes):
        raise DataError(f"line {line} of {path} is no drawing: {remedy}")
    # A third number is the time at which a pen was there.
    return [stroke[:, :2] for stroke in strokes]


def _own_drawings(listing, request, found, label, class_names, texts=None) -> Data:
    """Drawings of one's own: the number of its file and the strokes of each, its class, its text."""
    every = listing.take(np.array([number for number, _ in found]))
    sizes = [np.ptp(np.concatenate(strokes), axis=0).max() for _, strokes in found]
    spacing = max(float(np.median(sizes)) / _STEPS_ACROSS, 1e-6)
    drawings = [_centered([resample(stroke, spacing) for stroke in strokes]) for _, strokes in found]
    extra, vocabulary = {}, None
    if texts is not None:
        vocabulary = ("", *sorted(set("".join(texts))))
        tokens = np.zeros((len(texts), max(map(len, texts))), np.int32)
        for row, text in zip(tokens, texts, strict=True):
            row[: len(text)] = [vocabulary.index(letter) for letter in text]
        extra["text"] = tokens
    splits = divide(every, Split(np.arange(len(found))[:, None], label, extra), request.validation)
    parts = [(split, [drawings[i] for i in split.x[:, 0]]) for split in splits]
    notes = (*listing.notes, "strokes in even steps, offsets scaled to unit deviation")
    return stroke_data(request.name, parts, class_names, vocabulary, notes)


def _read(path, encoding):
    """The drawings of a file, each a list of strokes `[n, 2]`."""
    remedy = "give columns x, y, stroke, and maybe drawing, and a row for each point"
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, encoding, "file")))
        if not {"x", "y", "stroke"} <= set(reader.fieldnames or ()):
            raise DataError(f"file {path} has the columns {reader.fieldnames or 'none'}: {remedy}")
        rows = [(row.get("drawing"), row["stroke"], float(row["x"]), float(row["y"])) for row in reader]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"file {path} cannot be read ({error}): {remedy}") from error
    if not rows:
        raise DataError(f"file {path} has no points: {remedy}")
    points = np.array([row[2:] for row in rows])
    if not np.isfinite(points).all():
        line = 2 + int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise DataError(
            f"file {path} has a number that is not finite in line {line}: correct or leave it out"
        )
    drawings, before = [], (object(), None)
    for (drawing, stroke, *_), point in zip(rows, points, strict=True):
        if drawing != before[0]:
            drawings.append([])
        if (drawing, stroke) != before:
            drawings[-1].append([])
        drawings[-1][-1].append(point)
        before = (drawing, stroke)
    return [[np.array(stroke) for stroke in drawing] for drawing in drawings]


def _centered(strokes):
    points = np.concatenate(strokes)
    return [stroke - (points.min(axis=0) + points.max(axis=0)) / 2 for stroke in strokes]


def _steps(strokes):
    """`[T, 3]` of a drawing's strokes."""
    points, pens = np.concatenate(strokes), np.zeros(sum(map(len, strokes)))
    pens[np.cumsum([len(stroke) for stroke in strokes]) - 1] = 1.0
    return np.column_stack([np.diff(points, axis=0, prepend=0.0), pens])
