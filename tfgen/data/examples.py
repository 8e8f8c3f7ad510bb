"""Examples of a data set: `Split`, and the error that says why data cannot be had."""

import dataclasses
import types
from collections.abc import Mapping

import numpy as np

from tfgen.data.stream import Stream, chosen, is_sliceable, joined


class DataError(ValueError):
    """A data set that cannot be had as asked; the message is one line with the remedy."""


PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples in memory, read-only, or a `tfgen.data.stream.Stream` of them.

    Args:
        x: The examples, `[N, *event_shape]`; levels (uint8) or real values (float32). A memory map becomes a
            stream.
        label: Class indices, int32 `[N]`, `[N, k]` for k kinds of class, or None.
        extra: Further arrays `[N, ...]` by name: "lengths" int32 `[N]` of sequences that are filled up,
            and what a model may be conditioned on, "text" (int32 tokens, filled up with 0) or
            "vector".
        streams: Further splits by name that training draws from beside this one, each in an order of
            its own: "labelled" (the few examples whose labels may be seen), a second domain. They
            hold examples of the same shape and values, any number of them, and no streams.
        group_size: How many examples in a row belong together: in training every batch of a stream has
            whole groups, each in its order, as clamped mini-batches are.
    """

    x: np.ndarray | Stream
    label: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    streams: Mapping[str, "Split"] = dataclasses.field(default_factory=dict)
    group_size: int = 1

    def __post_init__(self):
        """Checks the lengths and makes the arrays read-only."""
        if self.group_size < 1 or len(self.x) % self.group_size:
            raise ValueError(
                f"group_size={self.group_size} does not divide {len(self.x)} examples of x: give whole groups"
            )
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
        """The examples of an index array, a mask or a slice, each for itself, beside the same streams."""
        return Split(
            chosen(self.x, index),
            None if self.label is None else self.label[index],
            {key: value[index] for key, value in self.extra.items()},
            self.streams,
        )

    def join(self, other: "Split") -> "Split":
        """These examples and then the other's; so for streams that both have, others are kept.

        They stay in groups where both have groups of one size.
        """
        both = self.label is not None and other.label is not None
        streams = {**other.streams, **self.streams}
        for key in self.streams.keys() & other.streams.keys():
            streams[key] = self.streams[key].join(other.streams[key])
        return Split(
            joined(self.x, other.x),
            np.concatenate([self.label, other.label]) if both else None,
            {key: np.concatenate([self.extra[key], other.extra[key]]) for key in self.extra},
            streams,
            self.group_size if self.group_size == other.group_size else 1,
        )

    def arrays(self) -> dict[str, np.ndarray | Stream]:
        """All arrays by name: "x", "label", the extra ones, and those of a stream as "stream/name"."""
        found = {"x": self.x, **({} if self.label is None else {"label": self.label}), **self.extra}
        for key, stream in sorted(self.streams.items()):
            found |= {f"{key}/{name}": array for name, array in stream.arrays().items()}
        return found


def _read_only(array):
    if isinstance(array, Stream):
        return array
    if is_sliceable(array):
        return Stream.of(array)
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
