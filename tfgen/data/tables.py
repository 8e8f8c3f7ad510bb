"""Tables in CSV: numbers as vectors, a column as classes."""

import csv
import difflib
import io
import math
import os
import re

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import PARTS, Data, DataError
from tfgen.data.folder import Listing
from tfgen.data.reading import read_text
from tfgen.data.strokes import folder_of_strokes

_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "nil", "#n/a"}
_LABELS = {"label", "class", "target", "species", "category", "y"}
_INDEX = {"", "id", "index", "unnamed: 0", "row"}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


@registry.folder(".csv", ".tsv")
def folder_of_csv(listing: Listing, request: registry.Request) -> Data:
    """CSV files: drawings where they have the columns x, y and stroke, else a table."""
    header = read_rows(listing.paths[0], request.encoding)[0][1]
    if {"x", "y", "stroke"} <= set(header):
        return folder_of_strokes(listing, request)
    return table(listing, request)


def table(listing: Listing, request: registry.Request) -> Data:
    """Columns of numbers as vectors, standardised by the training split's statistics.

    The first row names the columns, unless it holds numbers only. Columns of text are left out, and so is one
    that only counts the rows; `request.label_column` is the class of each row. Files of a folder, train.csv
    and test.csv, or in folders of splits, have the same columns; others are read one after the other.

    Raises:
        DataError: Naming row and column, where a value is no number, or is missing and `request.missing` does
            not let it, or the columns differ.
    """
    if listing.label is not None:
        raise DataError(
            f"folder {listing.root} holds tables by class: put them into one, and name --label_column"
        )
    columns, rows = None, {part: [] for part in PARTS}
    for number, path in enumerate(listing.paths):
        names, found = _named(path, request.encoding)
        if columns is not None and names != columns:
            differ = sorted(set(names) ^ set(columns)) or names
            raise DataError(
                f"{path} has other columns than {listing.paths[0]} ({', '.join(differ[:5])}): give all "
                "the same"
            )
        columns = names
        part = "train" if listing.split is None else str(listing.split[number])
        rows[part] += [(path, line, row, values) for line, row, values in found]
    every = [row for part in PARTS for row in rows[part]]
    if not every:
        raise DataError(f"table {listing.paths[0]} has no rows: give a row for each example")
    label = _place(request.label_column, columns, listing) if request.label_column is not None else None
    numeric, notes = _numeric(columns, label, every)
    if not numeric:
        raise DataError(f"table {listing.paths[0]} has no column of numbers: give one or more")
    wrong, parsed = [], {}
    for part in PARTS:
        parsed[part] = []
        for path, line, row, values in rows[part]:
            read = [_number(values[i]) for i in numeric]
            if request.missing:
                read = [math.nan if _is_missing(values[i]) else v for i, v in zip(numeric, read, strict=True)]
            bad = [(i, values[i]) for i, v in zip(numeric, read, strict=True) if v is None]
            if label is not None and _is_missing(values[label]):
                bad.append((label, values[label]))
            if bad:
                wrong += [(path, line, row, columns[i], value) for i, value in bad]
            else:
                classed = None if label is None else values[label].strip()
                parsed[part].append((read, classed))
    notes = [*listing.notes, *notes, *_report(wrong, len(every), request)]
    x = {part: np.array([v for v, _ in found], np.float64) for part, found in parsed.items() if found}
    y = {part: None if label is None else [c for _, c in found] for part, found in parsed.items() if found}
    if label is not None:
        _check_classes(y, columns[label])
    if "train" not in x:
        raise DataError(f"table {listing.paths[0]} has no rows to train on that are whole: fill values in")
    validation = request.validation
    if "validation" in x and validation is None:
        validation = (x["validation"], y["validation"])
    elif "validation" in x:
        x["train"] = np.concatenate([x["train"], x["validation"]])
        y["train"] = None if label is None else y["train"] + y["validation"]
    return Data.from_arrays(
        x["train"],
        y["train"],
        test=(x["test"], y["test"]) if "test" in x else None,
        validation=validation,
        name=request.name,
        kind="counts" if request.counts else "vector",
        **{"vocabulary" if request.counts else "columns": [columns[i] for i in numeric]},
        standardize=True,
        notes=tuple(notes),
        missing=request.missing,
    )


def read_rows(path: os.PathLike, encoding: str | None) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, each with its line; set apart by comma, semicolon, tab or |.

    Raises:
        DataError: If it cannot be read or has none.
    """
    text = read_text(path, encoding, "table")
    first = next((line for line in text.split("\n") if line.strip()), "")
    separator = max(",;\t|", key=lambda mark: (_outside_quotes(first).count(mark), mark == ","))
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except csv.Error as error:
        raise DataError(f"table {path} cannot be read ({error}): save it as CSV") from error
    if not rows:
        raise DataError(f"table {path} is blank: give a row for each example")
    if separator != ",":
        # Where a comma sets nothing apart it is the decimal mark of many countries.
        rows = [(line, [_decimal(value.strip()) for value in row]) for line, row in rows]
    return [(line, [value.strip() for value in row]) for line, row in rows]


def _decimal(value: str) -> str:
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _named(path, encoding):
    """The names of a table's columns, and its rows as (line, number of the row, values)."""
    rows = read_rows(path, encoding)
    if all(_number(value) is not None for value in rows[0][1]):
        names, body = [f"column {i + 1}" for i in range(len(rows[0][1]))], rows
    else:
        names, body = rows[0][1], rows[1:]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise DataError(f"table {path} has two columns called {twice!r}: rename one")
    for number, (line, values) in enumerate(body, 1):
        if len(values) != len(names):
            raise DataError(
                f"table {path} has {len(values)} values in row {number} (line {line}) for {len(names)} "
                "columns: correct the row"
            )
    return names, [(line, number, values) for number, (line, values) in enumerate(body, 1)]


def _place(label_column: str, columns: list[str], listing: Listing) -> int:
    if label_column in columns:
        return columns.index(label_column)
    close = difflib.get_close_matches(label_column, columns, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise DataError(
        f"label_column={label_column!r} is no column of {listing.paths[0]}: {hint}take of "
        f"{', '.join(columns[:20])}{' ...' if len(columns) > 20 else ''}"
    )


def _numeric(columns: list[str], label: int | None, every):
    """Which columns are numbers, and notes on those that are left out."""
    numeric, texts, notes = [], [], []
    for i, name in enumerate(columns):
        if i == label:
            continue
        given = [row[3][i] for row in every if not _is_missing(row[3][i])]
        numbers = [_number(value) for value in given]
        readable = [value for value in numbers if value is not None]
        if given and 2 * len(readable) < len(given):
            texts.append(name)
        elif name.lower() in _INDEX and _counts_up(readable):
            notes.append(f"column {name!r} left out, it counts the rows")
        else:
            numeric.append(i)
    if texts:
        likely = next((name for name in texts if name.lower() in _LABELS), texts[0])
        how = "" if label is not None else f" (--label_column={likely} makes it the class)"
        notes.append(f"columns of text left out: {', '.join(texts)}{how}")
    elif label is None:
        likely = next((columns[i] for i in numeric if columns[i].lower() in _LABELS), None)
        if likely:
            notes.append(
                f"column {likely!r} is one of the numbers (--label_column={likely} makes it the class)"
            )
    return numeric, notes


def _counts_up(numbers: list[float]) -> bool:
    return len(numbers) > 1 and numbers == [numbers[0] + i for i in range(len(numbers))]


def _report(wrong, count: int, request: registry.Request) -> list[str]:
    """A note on rows left out.

    Raises:
        DataError: If rows have missing or foreign values and are not to be left out.
    """
    if not wrong:
        return []
    broken = len({(path, row) for path, _, row, _, _ in wrong})
    if request.skip_bad and broken < count:
        return [f"{broken} of {count} rows left out, which miss values"]
    told = ", ".join(
        f"row {row} (line {line}), column {column!r} "
        + ("is missing" if _is_missing(value) else f"is {value!r}, no number")
        for _, line, row, column, value in wrong[:10]
    )
    more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
    raise DataError(
        f"table {wrong[0][0]} lacks values in {broken} of {count} rows: {told}{more}: fill them in, leave "
        "these rows out with --skip_bad, or take a model that integrates out what is missing, as tfgen pca "
        "--missing does"
    )


def _check_classes(y, name: str) -> None:
    """Raises DataError where a label column holds measurements."""
    values = {value for found in y.values() for value in found}
    numbers = {value: _number(value) for value in values}
    if None in numbers.values():
        return
    broken = next((value for value, number in numbers.items() if number != round(number)), None)
    if broken is not None:
        raise DataError(
            f"label_column={name!r} holds {broken}, which is no class: take a column of names or of "
            "whole numbers"
        )
    for part, found in y.items():
        # "1" and "1.0" are one class.
        y[part] = [str(round(numbers[value])) for value in found]


def _is_missing(value: str) -> bool:
    return value.lower() in _MISSING


def _number(value: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value)
    except ValueError:
        return None
    # Python reads 1_000, which no other program writes.
    return number if math.isfinite(number) and "_" not in value else None
