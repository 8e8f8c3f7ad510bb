"""Stored values: the first row that is refused, and the sentence about values that are refused."""

import numpy as np

# What comes between a sentence and the values, where these are all that were given.
RANGE = "; the values given range from"
# Entries of an array that are looked at together.
_LOOKED_AT = 1 << 22


def told(message, low, high, missing, remedy="", where=""):
    """The sentence about values that are refused, the same whatever door they came through.

    Args:
      message: What must hold.
      low: Lowest of the values given.
      high: Highest of them.
      missing: How many are NaN.
      remedy: What to do.
      where: Which of the values are told of, e.g. a row of a data set; by default all.
    """
    given = f"the values given{where} range from {float(low):g} to {float(high):g}"
    if low > high:
        given = f"the values given{where} are all NaN"
    elif missing:
        given += f", and {int(missing)} NaN"
    return f"{message}; {given}{remedy and ': '}{remedy}."


def first_bad_row(array, low, high, integer, missing=False):
    """The first row of an array whose values are not all finite, within bounds and, where asked, whole.

    Args:
      array: NumPy numbers `[rows, ...]`; of a `tfgen.data.stream.Stream` the answer is kept.
      low: Lowest value that is taken, a number or an array of the shape of a row.
      high: Highest, the same.
      integer: Whether values must be whole.
      missing: Whether NaN is taken, too.

    Returns:
      An int, or None where all is well.
    """
    if not hasattr(array, "found"):
        return _first_bad_row(array, low, high, integer, missing)
    question = low, high, integer, missing
    if question not in array.found:
        array.found[question] = _first_bad_row(array, *question)
    return array.found[question]


def _first_bad_row(array, low, high, integer, missing):
    if not array.size:
        return None
    scalars = np.ndim(low) == np.ndim(high) == 0
    kind = array.dtype.kind
    if kind == "u" and scalars and low <= 0 and np.iinfo(array.dtype).max <= high:
        return None
    step = max(1, _LOOKED_AT * len(array) // array.size)
    for start in range(0, len(array), step):
        part = array[start : start + step]
        if scalars:
            # Two passes without memory of their own; NaN comes through both.
            ends = part.min(), part.max()
            inside = low <= ends[0] and ends[1] <= high and np.isfinite(ends).all()
            if inside and (not integer or kind in "biu" or np.array_equal(np.rint(part), part)):
                continue
        valid = (part >= low) & (part <= high) & np.isfinite(part)
        if integer:
            valid &= np.rint(part) == part
        if missing:
            valid |= np.isnan(part)
        bad = ~valid.reshape(len(part), -1).all(axis=1)
        if bad.any():
            return start + int(np.argmax(bad))
    return None


def told_of_row(message, array, row, remedy, where):
    """The sentence about a row of a data set that is refused, as `told`; of a vector with the column.

    Args:
      message: What must hold.
      array: NumPy numbers `[rows, ...]`.
      row: Which row.
      remedy: What to do.
      where: What the array is a part of, e.g. "the training split of digits".
    """
    values = np.asarray(array[row], np.float64)
    missing = np.isnan(values)
    low, high = np.where(missing, np.inf, values).min(), np.where(missing, -np.inf, values).max()
    lost = np.flatnonzero(~np.isfinite(values)) if values.ndim == 1 else ()
    column = f", column {lost[0]}" if len(lost) else ""
    return told(message, low, high, missing.sum(), remedy, f" in row {row}{column} of {where}")
