"""`Data`, the one kind of object that every data set becomes."""

import dataclasses
import functools
import hashlib

import numpy as np

from tfgen import stored
from tfgen.data.arrays import from_arrays
from tfgen.data.examples import PARTS, DataError, Split
from tfgen.data.meaning import Meaning
from tfgen.data.stream import Stream, apply, blocks

__all__ = ["KINDS", "PARTS", "Data", "DataError", "Meaning", "Split"]

KINDS = ("image", "video", "vector", "text", "audio", "strokes", "counts", "sequence")
_SPOKEN = {"train": "training", "validation": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """A data set.

    Args:
        name: What `load` was asked for.
        kind: What an example is, one of `KINDS`: "image" `[H, W, C]`, "video" `[T, H, W, C]`,
            "vector", "text", "audio", "strokes", "counts" (how often each of a number of things
            occurs: whole numbers from 0 on, with `levels` and `num_values` None), or "sequence" (real
            vectors over time, `[T, D]`).
        event_shape: The shape of one example; None in it for a length that varies.
        num_values: How many values an element of an example takes for the model, 2 after any
            binarization; None for real values.
        levels: How many values an element of the stored arrays takes; None for real values.
            Differs from `num_values` for dynamic binarization alone, where the training loop
            draws each pixel as 1 with probability `x / (levels - 1)`.
        num_classes: The number of classes, None without labels; a tuple where labels are of several
            kinds.
        class_names: A name for each class, or None; a tuple of such where labels are of several kinds.
        train: What to train on.
        validation: What to choose by; may be empty.
        test: What to report on, once.
        binarize: How values became binary: "none", "threshold", "fixed" or "dynamic".
        vocabulary: The symbols that tokens are numbers of, in x or in a text condition, or that are
            counted; None without.
        unit: What a token is, "character" or "word", where there is a vocabulary.
        rate: Samples a second, for audio.
        columns: Names of the entries of a vector, or None.
        mean: What was taken off each entry of a vector, and
        deviation: what it was divided by after that, one number for each; None where they are as they came.
        notes: What was done to the data, each a few words, for the line with which a run starts.
        missing: Whether NaN in real values stands for an entry that is not known.

    Raises:
        ValueError: If shapes, values, labels or lengths are not what the data are said to be; names the split
            and its first row that is not. Values of streams are looked at where they are used.
    """

    name: str
    kind: str
    event_shape: tuple[int | None, ...]
    num_values: int | None
    levels: int | None
    num_classes: int | tuple[int, ...] | None
    class_names: tuple | None
    train: Split
    validation: Split
    test: Split
    binarize: str = "none"
    vocabulary: tuple[str, ...] | None = None
    unit: str = "character"
    rate: int | None = None
    columns: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
    missing: bool = False

    from_arrays = classmethod(from_arrays)

    @property
    def meaning(self) -> Meaning:
        """Meaning of classes and numbers."""
        return Meaning(self.class_names, self.columns, self.mean, self.deviation)

    def rescaled(self, meaning: Meaning) -> "Data":
        """These vectors standardised by another set's statistics; others, and for none, as they are.

        Raises:
            DataError: If the columns differ.
        """
        if meaning.deviation is None or self.deviation is None or meaning == self.meaning:
            return self
        if meaning.columns != self.columns:
            raise DataError(f"{self.name} has other columns than {', '.join(meaning.columns or ())}")

        def rescale(x):
            x = self.meaning.original(x).astype(np.float64)
            return ((x - meaning.mean) / meaning.deviation).astype(np.float32)

        parts = {}
        for name in PARTS:
            part = getattr(self, name)
            parts[name] = dataclasses.replace(part, x=apply(part.x, rescale))
        return dataclasses.replace(self, mean=meaning.mean, deviation=meaning.deviation, **parts)

    def __post_init__(self):
        """Checks the kind, and that every split and stream holds examples of `event_shape`."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {self.kind!r}")
        if self.kind == "counts" and (self.levels, self.num_values) != (None, None):
            raise ValueError(f"counts have no levels, got levels={self.levels}: leave levels at None")
        for name in PARTS:
            part = getattr(self, name)
            self._check_examples(name, part, f"the {_SPOKEN[name]} split of {self.name}")
            for key, stream in part.streams.items():
                where = f"the stream {key} of the {_SPOKEN[name]} split of {self.name}"
                self._check_examples(f"stream {key!r} of {name}", stream, where)

    def _check_examples(self, name, part, where):
        shape = part.x.shape[1:]
        fits = len(shape) == len(self.event_shape) and all(
            want in (None, size) for want, size in zip(self.event_shape, shape, strict=True)
        )
        if not fits:
            raise ValueError(f"{name} holds examples of {shape}, not of {self.event_shape}")
        if part.x.dtype.kind not in "biuf":
            raise ValueError(f"{name} holds {part.x.dtype.name} values: give numbers")
        levels = self.num_values if self.levels is None else self.levels
        if isinstance(part.x, Stream):
            pass
        elif levels is not None:
            remedy = f"{self.name} has levels={levels}, give as many as it has"
            _check("x", part.x, f"integer values 0 to {levels - 1}", levels - 1, True, remedy, where)
        elif self.kind == "counts":
            _check("x", part.x, "counts, 0, 1, 2 ...", np.inf, True, "count in whole numbers", where)
        else:
            remedy = "replace or leave out what is not finite"
            gaps = self.missing
            _check("x", part.x, "finite values", np.inf, False, remedy, where, low=-np.inf, missing=gaps)
        if self.kind == "strokes":
            remedy = "1 where the pen lifts after the point"
            _check("pens, x[..., 2],", part.x[..., 2], "values 0 or 1", 1, True, remedy, where)
        if part.label is not None and self.num_classes is not None:
            self._check_labels(part.label, where)
        if "lengths" in part.extra:
            remedy, steps = "count the steps of each x, filling left out", part.x.shape[1]
            _check("lengths", part.extra["lengths"], "0 to the steps of x", steps, True, remedy, where)
        if "text" in part.extra and self.vocabulary is not None:
            size = len(self.vocabulary)
            remedy = f"{self.name} has a vocabulary of {size}, give as many symbols as it has"
            _check("text", part.extra["text"], f"tokens 0 to {size - 1}", size - 1, True, remedy, where)

    def _check_labels(self, label, where):
        several = isinstance(self.num_classes, tuple)
        if label.shape[1:] not in ({(len(self.num_classes),)} if several else {(), (1,)}):
            shape = f"[rows, {len(self.num_classes)}]" if several else "[rows]"
            raise ValueError(
                f"Data: label must have shape {shape}, got {label.shape} in {where}: give num_classes="
                f"{self.num_classes} accordingly."
            )
        high = tuple(n - 1 for n in self.num_classes) if several else self.num_classes - 1
        remedy = f"{self.name} has num_classes={self.num_classes}, give as many as it has"
        _check("label", label, f"0 to {high}", np.asarray(high)[()], True, remedy, where)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that any change of what a model sees would change.

        The name is left out: a folder that was moved is the same data. Examples that are read as they are
        needed have the fingerprint that they would have in memory; it reads all of them, once.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self):
        facts = (self.kind, self.event_shape, self.num_values, self.levels, self.num_classes)
        # Only where they are set: sets without them keep the fingerprints they had.
        facts += (self.class_names, self.binarize)
        optional = (self.vocabulary, self.rate, self.columns, self.mean, self.deviation)
        facts += tuple(fact for fact in optional if fact is not None)
        digest = hashlib.sha256(repr(facts).encode())
        for part in (self.train, self.validation, self.test):
            grouped = {k: s.group_size for k, s in sorted(part.streams.items()) if s.group_size > 1}
            digest.update(repr(grouped).encode() if grouped else b"")
            for key, array in part.arrays().items():
                little = array.dtype.newbyteorder("<")
                digest.update(repr((key, array.shape, little.str)).encode())
                for rows in blocks(array):
                    digest.update(np.ascontiguousarray(rows, little).data if rows.size else b"")
        return digest.hexdigest()[:16]


def _check(what, array, held, high, integer, remedy, where, low=0, missing=False):
    """Raises ValueError where an array holds other values, in the words of the models' own checks."""
    row = stored.first_bad_row(array, low, high, integer, missing)
    if row is not None:
        message = f"Data: {what} must hold {held}"
        raise ValueError(stored.told_of_row(message, array, row, remedy, where))
