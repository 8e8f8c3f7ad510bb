"""Meaning of a data set's numbers to its owner: names of classes and columns, units."""

import dataclasses
import difflib
import math
from collections.abc import Mapping

import numpy as np

from tfgen.data.examples import DataError


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


def in_number_order(names) -> tuple[str, ...]:
    """Names sorted: by their numbers where all of them are numbers, else as text."""
    try:
        values = {name: float(name) for name in names}
    except ValueError:
        return tuple(sorted(names))
    if not all(map(math.isfinite, values.values())):
        return tuple(sorted(names))
    return tuple(sorted(names, key=lambda name: (values[name], name)))
