"""Word counts of documents: the standard library's documentation, and texts of one's own."""

import re
from collections.abc import Sequence

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, DataError, Split
from tfgen.data.splits import a_sixth, hold_out, stratified_order

_DOCS_WORDS, _MOST_WORDS = 1_000, 5_000
_LEAST = 20
# Words of three letters or more, in any script that sets words apart.
_WORD = r"(?u)\b[^\W\d_]{3,}\b"


@registry.embedded("documents", "word counts of paragraphs of Python's language reference, 1,000 words")
def documents(request: registry.Request) -> Data:
    """Paragraphs of the topics that `help()` shows, each as how often it holds the 1,000 commonest words.

    A sixth tests, a sixth of the rest validates. The text differs a little between patch releases of Python;
    a run's `fingerprint` tells.
    """
    from pydoc_data.topics import topics

    texts = [text for key in sorted(topics) for text in paragraphs(topics[key])]
    # Topics repeat each other's paragraphs, and none shall be tested on that was trained on.
    return counts_data(request, {"train": list(dict.fromkeys(texts))}, most=_DOCS_WORDS)


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text; those of fewer than 20 counted words are joined to the next."""
    words_of = _counter(None).build_analyzer()
    found, gathered = [], ""
    for paragraph in re.split(r"\n\s*\n", text):
        gathered += paragraph + "\n"
        if len(words_of(gathered)) >= _LEAST:
            found.append(gathered)
            gathered = ""
    if gathered.strip() and found:
        found[-1] += gathered
    return found


def counts_data(
    request: registry.Request,
    texts: dict[str, Sequence[str]],
    notes: Sequence[str] = (),
    most: int = _MOST_WORDS,
) -> Data:
    """Texts as counts of their commonest words.

    Words have three letters or more; English stop words are left out, and so are texts without a word that is
    counted. The vocabulary is that of the training part.

    Args:
        request: What `load` was asked.
        texts: The texts of "train" and perhaps "validation" and "test"; without the latter a sixth tests, in
            a fixed order.
        notes: What was understood of them.
        most: How many words are counted.

    Raises:
        DataError: If no text has a word.
    """
    parts = {part: list(found) for part, found in texts.items() if found}
    if "test" not in parts:
        train = [parts["train"][i] for i in stratified_order(len(parts["train"]))]
        cut = len(train) - a_sixth(len(train))
        parts |= {"train": train[:cut], "test": train[cut:]}
    counter = _counter(most)
    try:
        counter.fit(parts["train"])
    except ValueError as error:
        raise DataError(
            f"the texts of data set {request.name!r} hold no words of three letters or more, which are "
            "counted: give other texts"
        ) from error
    splits, empty = {}, 0
    for part, found in parts.items():
        x = counter.transform(found).toarray()
        kept = x.any(axis=1)
        empty += int((~kept).sum())
        splits[part] = Split(x[kept])
    for part in ("train", "test"):
        if not len(splits[part]):
            raise DataError(
                f"no text of the {part} part of data set {request.name!r} has a word that is counted: give "
                "more texts"
            )
    train, validation = hold_out(
        splits["train"],
        request.validation,
        default=a_sixth(len(splits["train"])),
        published=splits.get("validation"),
    )
    notes = [*notes, *([f"{empty} texts without a counted word left out"] if empty else [])]
    return Data(
        name=request.name,
        kind="counts",
        event_shape=(len(counter.vocabulary_),),
        num_values=None,
        levels=None,
        num_classes=None,
        class_names=None,
        train=train,
        validation=validation,
        test=splits["test"],
        vocabulary=tuple(map(str, counter.get_feature_names_out())),
        notes=tuple(notes),
    )


def _counter(most: int | None):
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(stop_words="english", token_pattern=_WORD, max_features=most, dtype=np.int32)
