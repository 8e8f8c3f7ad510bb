"""Texts: the standard library's own documentation, TFDS sets, files of one's own."""

import collections
import re

import numpy as np

from tfgen.data import registry
from tfgen.data.catalog import Source
from tfgen.data.dataset import PARTS, Data, DataError, Split
from tfgen.data.documents import counts_data, paragraphs
from tfgen.data.folder import Listing, report
from tfgen.data.reading import read_text
from tfgen.media.text import UNKNOWN, split

_WINDOW = 100
_MOST_WORDS = 5_000
_DOCS_SIZE = 400_000


@registry.embedded("python_docs", "400,000 characters of Python's language reference, windows of 100")
def python_docs(request: registry.Request) -> Data:
    """The topics that `help()` shows, as the interpreter carries them: printable ASCII and line ends.

    The text differs a little between patch releases of Python; a run's `fingerprint` tells.
    """
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[key].strip() for key in sorted(topics))
    text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[^\n -~]", "", text))[:_DOCS_SIZE]
    return text_data(request, *cut(text))


@registry.catalog("text")
def catalog_of_texts(source: Source, request: registry.Request) -> Data:
    """A TFDS set of texts; its examples are put one after the other, a line apart."""
    texts = {}
    for part, name in source.splits.items():
        batches = source.batches(name, ("text",), batched=False)
        texts[part] = [batch["text"].decode("utf-8", "replace") for batch in batches]
    if request.counts:
        return counts_data(request, texts)
    texts = {part: "\n".join(found) for part, found in texts.items()}
    if set(texts) != set(PARTS):
        return text_data(request, *cut(texts["train"], texts.get("test")))
    return text_data(request, *(texts[part] for part in PARTS))


@registry.folder(".txt", ".md", ".text", ".tex", ".rst")
def folder_of_texts(listing: Listing, request: registry.Request) -> Data:
    """Text files, one after the other, a line apart; folders of splits are obeyed.

    One file that is named may have any suffix. Texts are in UTF-8, in UTF-16 or what their byte order mark
    says, or in `request.encoding`. Blank files are left out beside others.

    Raises:
        DataError: With all files that cannot be read.
    """
    texts, bad = [], []
    for path in listing.paths:
        try:
            texts.append(read_text(path, request.encoding))
        except DataError as error:
            texts.append("")
            bad.append((path, str(error).removeprefix(f"text {path} ")))
    left_out = report(bad, len(listing.paths), listing.root, request, "text")
    unread = {path for path, _ in bad}
    blank = [p for p, text in zip(listing.paths, texts, strict=True) if not text.strip() and p not in unread]
    if len(blank) + len(bad) == len(listing.paths):
        raise DataError(f"text {blank[0]} is blank: give a file with a text in it")
    parts = {part: [] for part in PARTS}
    for number, (path, text) in enumerate(zip(listing.paths, texts, strict=True)):
        if path not in unread and path not in blank:
            parts["train" if listing.split is None else str(listing.split[number])].append(text)
    notes = [*listing.notes, *left_out, *class_note(listing)]
    if blank:
        notes.append(f"{len(blank)} blank files left out ({', '.join(path.name for path in blank[:3])})")
    return texts_data(request, parts, notes)


def class_note(listing: Listing) -> list[str]:
    """Note about sub-folders whose names are not kept."""
    if listing.class_names is None:
        return []
    return [f"the sub-folders {', '.join(listing.class_names[:5])} are read as one, their names are not kept"]


def texts_data(request: registry.Request, parts: dict[str, list[str]], notes) -> Data:
    """Texts of each split, one after the other, a line apart; what is not given is cut off.

    Where counts are asked for, each text is an example, and of one text each paragraph.
    """
    if request.counts:
        if sum(map(len, parts.values())) == 1:
            parts = {"train": paragraphs(parts["train"][0])}
        return counts_data(request, parts, notes)
    train, validation, test = ("\n".join(parts[part]) for part in PARTS)
    if validation and test:
        return text_data(request, train, validation, test, notes)
    return text_data(request, *cut(train, test or None), notes)


def cut(text: str, test: str | None = None) -> tuple[str, str, str]:
    """Train, validation and test: by default the first 90 %, then 5 % and 5 % of a text.

    Args:
        text: What is cut.
        test: The test part, where there is one already; 5 % of `text` validate then.
    """
    if test is not None:
        end = len(text) * 95 // 100
        return text[:end], text[end:], test
    first, second = len(text) * 90 // 100, len(text) * 95 // 100
    return text[:first], text[first:second], text[second:]


def text_data(request: registry.Request, train: str, validation: str, test: str, notes=()) -> Data:
    """Three texts as windows of tokens, `request.window` (by default 100) to an example.

    Characters: the vocabulary holds all that occur. Words: the 5,000 most frequent of the training part,
    and one for all others. What does not fill a window at the end of a part is left out.

    Raises:
        DataError: If a part is shorter than a window.
    """
    window, unit = request.window or _WINDOW, request.unit
    tokens = [split(text, unit) for text in (train, validation, test)]
    if unit == "character":
        vocabulary = tuple(sorted(set().union(*map(set, tokens))))
    else:
        common = collections.Counter(tokens[0]).most_common(_MOST_WORDS)
        vocabulary = (UNKNOWN, *sorted(word for word, _ in common if word != UNKNOWN))
    if not tokens[0]:
        raise DataError(
            f"the train part of data set {request.name!r} is blank: give a text with {unit}s in it"
        )
    if len(set(tokens[0])) < 2:
        raise DataError(
            f"data set {request.name!r} holds one {unit} only, {tokens[0][0]!r}, {len(tokens[0])} times: "
            "give a text of different ones"
        )
    numbers = {symbol: number for number, symbol in enumerate(vocabulary)}
    parts = []
    for name, part in zip(PARTS, tokens, strict=True):
        count = len(part) // window
        if not count:
            raise DataError(
                f"the {name} part of data set {request.name!r} has {len(part)} {unit}s, less than one window "
                f"of {window}: give a longer text or a smaller --window"
            )
        x = np.array([numbers.get(token, 0) for token in part[: count * window]])
        parts.append(Split(x.reshape(count, window).astype(np.uint8 if len(vocabulary) <= 256 else np.int32)))
    return tokens_data(request.name, parts, vocabulary, unit, notes=tuple(notes))


def tokens_data(name: str, parts: list[Split], vocabulary: tuple[str, ...], unit: str, **more) -> Data:
    """Splits of tokens `[N, T]` as a data set; `more` are further fields of `Data`."""
    train, validation, test = parts
    return Data(
        name=name,
        kind="text",
        event_shape=(None,),
        num_values=len(vocabulary),
        levels=len(vocabulary),
        num_classes=more.pop("num_classes", None),
        class_names=more.pop("class_names", None),
        train=train,
        validation=validation,
        test=test,
        vocabulary=vocabulary,
        unit=unit,
        **more,
    )
