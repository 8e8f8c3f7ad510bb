"""Text files of any encoding, lines of JSON in them, and byte order marks that are none of their symbols."""

import codecs
import json
import os
import pathlib

from tfgen.data.dataset import DataError

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 4096


def read_text(path: os.PathLike, encoding: str | None = None, what: str = "text") -> str:
    r"""The text of a file, its line ends as "\n", without a byte order mark.

    Args:
        path: The file.
        encoding: Its encoding, by a name that Python knows; None for what its byte order mark says, for
            UTF-16 where every other byte of a plain text is zero, and else for UTF-8.
        what: What the file is, for errors.

    Raises:
        DataError: If it cannot be read, is no text or is encoded otherwise, with the remedy.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{what} {path} cannot be read ({error.strerror}): make it readable") from error
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise DataError(
                f"encoding={encoding!r} is unknown to Python: take utf-8, utf-16, latin-1, cp1252 ..."
            ) from error
    name = encoding or recognized(content)
    try:
        text = content.decode(name)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{content[error.start]:02x} at {error.start}"
        remedy = "name its encoding" if encoding is None else "name another"
        raise DataError(
            f"{what} {path} cannot be read as {name} ({byte}): {remedy}, as in --encoding=latin-1, or "
            "save it as UTF-8"
        ) from error
    if "\0" in text:
        raise DataError(f"{what} {path} holds zero bytes, it is no text: save it as UTF-8")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def recognized(content: bytes) -> str:
    """The encoding of a text file by its first bytes: "utf-8" unless a mark or zeros say otherwise."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    start = content[: min(_LOOKED_AT, len(content) // 2 * 2)]
    half = len(start) // 2
    # In UTF-16 one byte of each plain character is zero: the second of the two, or the first.
    if half and start[1::2].count(0) > 0.4 * half and start[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if half and start[::2].count(0) > 0.4 * half and start[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return "utf-8"


def read_json_lines(path: os.PathLike, encoding: str | None, what: str) -> list[tuple[int, dict]]:
    """The JSON objects of a file with one on each line: [(number of its line, object)]; empty lines are none.

    Raises:
        DataError: Naming file and line.
    """
    found = []
    for number, line in enumerate(read_text(path, encoding, what).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"line {number} of {path} is no JSON ({error}): write one object on each line"
            ) from error
        if not isinstance(value, dict):
            raise DataError(f"line {number} of {path} is no JSON object: write {{...}} on each line")
        found.append((number, value))
    return found
