"""Word counts of documents: the standard library's own documentation."""

import re

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import a_sixth, hold_out, stratified_order

_WORDS = 1_000
_LEAST = 20


@registry.embedded("documents", "word counts of paragraphs of Python's language reference, 1,000 words")
def documents(request: registry.Request) -> Data:
    """Paragraphs of the topics that `help()` shows, each as how often it holds the 1,000 commonest words.

    Paragraphs of fewer than 20 such words are joined to the next of their topic; English stop words and
    words of fewer than three letters are left out. A sixth tests, a sixth of the rest validates. The text
    differs a little between patch releases of Python; a run's `fingerprint` tells.
    """
    from pydoc_data.topics import topics

    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(stop_words="english", token_pattern=r"[a-z]{3,}")
    words_of = counter.build_analyzer()
    texts = []
    for key in sorted(topics):
        gathered = ""
        for paragraph in re.split(r"\n\s*\n", topics[key]):
            gathered += paragraph + "\n"
            if len(words_of(gathered)) >= _LEAST:
                texts.append(gathered)
                gathered = ""
    # Topics repeat each other's paragraphs, and none shall be tested on that was trained on.
    texts = list(dict.fromkeys(texts))
    order = stratified_order(len(texts))
    texts = [texts[i] for i in order]
    cut = len(texts) - a_sixth(len(texts))
    counter = CountVectorizer(
        stop_words="english", token_pattern=r"[a-z]{3,}", max_features=_WORDS, dtype=np.int32
    )
    rest = Split(counter.fit_transform(texts[:cut]).toarray())
    test = Split(counter.transform(texts[cut:]).toarray())
    train, validation = hold_out(rest, request.validation, default=a_sixth(cut))
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
        test=test,
        vocabulary=tuple(map(str, counter.get_feature_names_out())),
    )
