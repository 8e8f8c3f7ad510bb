"""`Data`, the one kind of object that every data set becomes."""

import dataclasses
import difflib
import hashlib
import math
import os
import types
from collections.abc import Mapping

import numpy as np


class DataError(ValueError):
    """A data set that cannot be had as asked; the message is one line with the remedy."""


PARTS = ("train", "validation", "test")
KINDS = ("image", "video", "vector", "text", "audio", "strokes", "counts", "sequence")


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples in memory, read-only.

    Args:
        x: The examples, `[N, *event_shape]`; levels (uint8) or real values (float32).
        label: Class indices, int32 `[N]`, `[N, k]` for k kinds of class, or None.
        extra: Further arrays `[N, ...]` by name: "lengths" int32 `[N]` of sequences that are filled up,
            and what a model may be conditioned on, "text" (int32 tokens, filled up with 0) or
            "vector".
        streams: Further splits by name that training draws from beside this one, each in an order of
            its own: "labelled" (the few examples whose labels may be seen), a second domain. They
            hold examples of the same shape and values, any number of them, and no streams.
    """

    x: np.ndarray
    label: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    streams: Mapping[str, "Split"] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        """Checks the lengths and makes the arrays read-only."""
        label = None if self.label is None else np.asarray(self.label, np.int32)
        extra = {key: _read_only(value) for key, value in self.extra.items()}
        for key, value in {"label": label, **extra}.items():
            if value is not None and len(value) != len(self.x):
                raise ValueError(f"{key} has {len(value)} rows for {len(self.x)} examples of x")
        object.__setattr__(self, "x", _read_only(self.x))
        object.__setattr__(self, "label", None if label is None else _read_only(label))
        object.__setattr__(self, "extra", types.MappingProxyType(extra))
        for key, stream in self.streams.items():
            if not len(stream):
                raise ValueError(f"stream {key!r} holds no examples: leave it out")
            if stream.streams:
                raise ValueError(f"stream {key!r} has streams of its own: give them beside it")
        object.__setattr__(self, "streams", types.MappingProxyType(dict(self.streams)))

    def field(self, kind: str) -> np.ndarray | None:
        """The condition of that kind ("label", "text", "vector") of each example, or None."""
        return self.label if kind == "label" else self.extra.get(kind)

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.x)

    def take(self, index) -> "Split":
        """The examples of an index array, a mask or a slice, beside the same streams."""
        return Split(
            self.x[index],
            None if self.label is None else self.label[index],
            {key: value[index] for key, value in self.extra.items()},
            self.streams,
        )

    def join(self, other: "Split") -> "Split":
        """These examples and then the other's; so for streams that both have, others are kept."""
        both = self.label is not None and other.label is not None
        streams = {**other.streams, **self.streams}
        for key in self.streams.keys() & other.streams.keys():
            streams[key] = self.streams[key].join(other.streams[key])
        return Split(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.label, other.label]) if both else None,
            {key: np.concatenate([self.extra[key], other.extra[key]]) for key in self.extra},
            streams,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name: "x", "label", the extra ones, and those of a stream as "stream/name"."""
        found = {"x": self.x, **({} if self.label is None else {"label": self.label}), **self.extra}
        for key, stream in sorted(self.streams.items()):
            found |= {f"{key}/{name}": array for name, array in stream.arrays().items()}
        return found


@dataclasses.dataclass(frozen=True)
class Meaning:
    """Meaning of a data set's numbers to its owner: names of classes and columns, units.

    Args:
        class_names: As in `Data`.
        columns: As in `Data`.
        mean: As in `Data`.
        deviation: As in `Data`.
    """

    class_names: tuple | None = None
    columns: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None

    @classmethod
    def from_facts(cls, facts: Mapping) -> "Meaning":
        """The meaning that `config.json` keeps under "data"; what it lacks is None."""

        def frozen(value):
            return tuple(map(frozen, value)) if isinstance(value, list) else value

        return cls(**{f.name: frozen(facts.get(f.name)) for f in dataclasses.fields(cls)})

    def facts(self) -> dict:
        """Fields that are not None, by name."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

    def original(self, x: np.ndarray) -> np.ndarray:
        """Vectors in the units that they came in: x deviation + mean, float32; others as they are."""
        if self.deviation is None:
            return np.asarray(x)
        return (np.asarray(x, np.float64) * self.deviation + self.mean).astype(np.float32)

    def label(self, given) -> list[int]:
        """Class indices of names, one for each kind of class.

        Where all classes are called by numbers, a number is a name ("2" also that of "02"); elsewhere it may
        be an index.

        Args:
            given: The words, or numbers.

        Raises:
            DataError: If there is no such class, with those that there are.
        """
        words, kinds = [str(word).strip() for word in given], self._kinds()
        if not kinds or len(kinds) != len(words):
            kinds = ((),) * len(words)
        return [_class_index(word, names) for word, names in zip(words, kinds, strict=True)]

    def caption(self, label) -> str:
        """The name of a label, or names of labels of several kinds; numbers where there are none."""
        numbers, kinds = np.ravel(label), self._kinds()
        if len(kinds) != len(numbers):
            kinds = ((),) * len(numbers)
        named = [
            names[number] if number < len(names) else str(int(number))
            for number, names in zip(numbers, kinds, strict=True)
        ]
        return " ".join(named)

    def _kinds(self):
        """The names of each kind of class; empty where classes have none."""
        if not self.class_names:
            return ()
        several = isinstance(self.class_names[0], (tuple, type(None)))
        return tuple(names or () for names in self.class_names) if several else (self.class_names,)


def _class_index(word: str, names: tuple[str, ...]) -> int:
    folded = [name.casefold() for name in names]
    if word in names:
        return names.index(word)
    if folded.count(word.casefold()) == 1:
        return folded.index(word.casefold())
    if names and all(map(_is_number, names)):
        same = [i for i, name in enumerate(names) if _is_number(word) and float(name) == float(word)]
        if same:
            return same[0]
    elif word.isdecimal() and (not names or int(word) < len(names)):
        return int(word)
    if not names:
        raise DataError(f"--label={word}: the classes have no names, give their numbers, from 0 on")
    close = difflib.get_close_matches(word, names, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
    raise DataError(f"--label={word} is none of the classes: {hint}take of {shown}")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


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

    @classmethod
    def from_arrays(cls, x, y=None, **options) -> "Data":
        """A data set of arrays: `tfgen.data.arrays.from_arrays`, where the arguments are described."""
        from tfgen.data.arrays import from_arrays

        return from_arrays(x, y, **options)

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
        parts = {}
        for name in PARTS:
            part = getattr(self, name)
            x = self.meaning.original(part.x).astype(np.float64)
            x = ((x - meaning.mean) / meaning.deviation).astype(np.float32)
            parts[name] = dataclasses.replace(part, x=x)
        return dataclasses.replace(self, mean=meaning.mean, deviation=meaning.deviation, **parts)

    def __post_init__(self):
        """Checks the kind, and that every split and stream holds examples of `event_shape`."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {self.kind!r}")
        if self.kind == "counts" and (self.levels, self.num_values) != (None, None):
            raise ValueError(f"counts have no levels, got levels={self.levels}: leave levels at None")
        for name in PARTS:
            part = getattr(self, name)
            self._check_examples(name, part.x)
            for key, stream in part.streams.items():
                self._check_examples(f"stream {key!r} of {name}", stream.x)

    def _check_examples(self, name, x):
        shape = x.shape[1:]
        fits = len(shape) == len(self.event_shape) and all(
            want in (None, size) for want, size in zip(self.event_shape, shape, strict=True)
        )
        if not fits:
            raise ValueError(f"{name} holds examples of {shape}, not of {self.event_shape}")
        if self.kind == "counts" and not ((x >= 0) & (x == np.round(x)) & np.isfinite(x)).all():
            raise ValueError(f"{name} holds values that are no counts: counts are 0, 1, 2 and so on")

    def fingerprint(self) -> str:
        """16 hexadecimal digits that any change of what a model sees would change.

        The name is left out: a folder that was moved is the same data.
        """
        facts = (self.kind, self.event_shape, self.num_values, self.levels, self.num_classes)
        # Only where they are set: sets without them keep the fingerprints they had.
        facts += (self.class_names, self.binarize)
        optional = (self.vocabulary, self.rate, self.columns, self.mean, self.deviation)
        facts += tuple(fact for fact in optional if fact is not None)
        digest = hashlib.sha256(repr(facts).encode())
        for part in (self.train, self.validation, self.test):
            for key, array in part.arrays().items():
                little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
                digest.update(repr((key, little.shape, little.dtype.str)).encode())
                digest.update(little.data if little.size else b"")
        return digest.hexdigest()[:16]


def check_memory(name: str, count: int, event_shape: tuple[int, ...], remedy: str) -> None:
    """Raises DataError where `count` uint8 examples would not fit into this machine's memory."""
    needed = count * int(np.prod(event_shape, dtype=np.int64))
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.75 * available:
        raise DataError(
            f"data set {name!r} needs {needed / 2**30:.1f} GiB of memory and this machine has "
            f"{available / 2**30:.1f}: {remedy}"
        )


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
