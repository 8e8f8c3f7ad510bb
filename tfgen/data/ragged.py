"""Sequences of several lengths as one array, filled up with zeros."""

import numpy as np

from tfgen.data.examples import DataError


def joined(sequences, name: str, what: str = "x") -> tuple[np.ndarray, np.ndarray]:
    """Sequences of several lengths as one array, filled up with zeros, and their lengths.

    Args:
        sequences: Arrays `[T, D]`, or `[T]` for single numbers.
        name: Of the data set, for errors.
        what: What the sequences are, for errors.

    Returns:
        float32 `[N, longest, D]` and int32 `[N]`.

    Raises:
        DataError: If there are none, one has no steps or another width, or values are missing; names row,
            step and column.
    """
    rows = [np.asarray(sequence) for sequence in sequences]
    if not rows:
        raise DataError(f"{name}: {what} holds no sequences: give one or more")
    rows = [row[:, np.newaxis] if row.ndim == 1 else row for row in rows]
    for number, row in enumerate(rows):
        if row.ndim != 2 or row.dtype.kind not in "biuf":
            raise DataError(
                f"{name}: row {number} of {what} holds {row.dtype.name} values {row.shape}: give numbers "
                "[T, D]"
            )
        if not len(row):
            raise DataError(f"{name}: row {number} of {what} has no steps: leave it out")
        if row.shape[1] != rows[0].shape[1]:
            raise DataError(
                f"{name}: row {number} of {what} has steps of {row.shape[1]} numbers, row 0 of "
                f"{rows[0].shape[1]}: give all one width"
            )
        wrong = np.argwhere(~np.isfinite(row))
        if len(wrong):
            step, column = wrong[0]
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise DataError(
                f"{name}: {what} misses values, {row[step, column]} in row {number}, step {step}, column "
                f"{column}{more}: fill them in or leave the sequence out"
            )
    lengths = np.array([len(row) for row in rows], np.int32)
    x = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), np.float32)
    for filled, row in zip(x, rows, strict=True):
        filled[: len(row)] = row
    return x, lengths
