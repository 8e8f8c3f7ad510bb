"""Words of a text, in Python and in graphs."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.text import UNKNOWN, Vocabulary, join, split

TEXTS = {
    "I don't know.": "i don ’t know .",
    "i don ’ t know .": "i don ’t know .",
    "It’s 5 o'clock, isn't it?": "it ’s 5 o ' clock , isn ’t it ?",
    "rock 'n' roll": "rock ' n ' roll",
    "“We'll see,” they'd said;\tthen left\n": '" we ’ll see , " they ’d said ; then left',
    "Élan d'être (ÉTÉ)!": "élan d ' être ( été ) !",
    "I 'm sure we ’ve 'told' 'em": "i ’m sure we ’ve ' told ' ' em",
    "": "",
    "  ": "",
}


@pytest.mark.parametrize(("text", "words"), TEXTS.items())
def test_words_are_set_apart(text, words):
    assert split(text, "word") == words.split()


def test_words_read_as_they_were_written():
    assert join(split("I don ’ t know , it 's late .", "word"), "word") == "i don’t know, it’s late."
    assert split("a B", "character") == ["a", " ", "B"] and join(["a", " "], "character") == "a "


def test_graphs_have_the_same_words():
    known = sorted({word for words in TEXTS.values() for word in words.split()} - {"roll"})
    vocabulary = Vocabulary((UNKNOWN, *known), "word")
    tokens, lengths = tf.function(vocabulary.encode_graph)(tf.constant(list(TEXTS)))
    texts = tf.function(vocabulary.decode_graph)(tokens, lengths)
    for row, text in enumerate(TEXTS):
        expected = vocabulary.encode(text)
        np.testing.assert_array_equal(tokens[row, : lengths[row]], expected)
        assert np.all(tokens[row, lengths[row] :] == -1)
        assert texts[row].numpy().decode() == vocabulary.decode(expected)
    assert vocabulary.encode("rock roll")[1] == 0
