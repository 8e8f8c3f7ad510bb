"""Words of a text, in Python and in graphs."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from tfgen.media.text import UNKNOWN, Texts, Vocabulary, join, split, write_counts

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


CHARACTERS = tuple("\n abcABC.,!'’éßİσ漢😀") + ("\u2028", "\x7f")
WORDS = (UNKNOWN, "the", "a", "’s", "'", ".", "é", "ß", "ss", "ς", "k")
# A NUL ends a string for TensorFlow's lower case, and is in no text.
ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS_OF = {
    "character": st.text(st.sampled_from(CHARACTERS), max_size=8),
    "word": st.lists(st.sampled_from((*WORDS, *CHARACTERS, "The", "'S", "K", " ")), max_size=8).map("".join)
    | st.text(ANY, max_size=8),
}


@pytest.fixture(scope="module", params=[("character", CHARACTERS), ("word", WORDS)], ids=lambda p: p[0])
def both(request):
    """A vocabulary, and its graphs from texts to tokens and back."""
    unit, symbols = request.param
    vocabulary = Vocabulary(symbols, unit)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def there_and_back(texts):
        tokens, lengths = vocabulary.encode_graph(texts)
        return tokens, lengths, vocabulary.decode_graph(tokens, lengths)

    return vocabulary, there_and_back


@hypothesis.given(st.data())
def test_graphs_read_and_write_whatever_python_does(both, data):
    vocabulary, there_and_back = both
    texts = data.draw(st.lists(TEXTS_OF[vocabulary.unit], min_size=1, max_size=4))
    tokens, lengths, back = there_and_back(tf.constant([text.encode() for text in texts]))
    for row, text in enumerate(texts):
        expected = vocabulary.encode(text)
        assert tokens[row, : lengths[row]].numpy().tolist() == expected
        assert back[row].numpy().decode() == vocabulary.decode(expected)
        if vocabulary.unit == "character":
            assert vocabulary.decode(expected) == text


def test_lengths_are_looked_at_first_and_a_long_text_costs_little():
    """A text of 400,000 words over 5,000 symbols, which a table of all pairs has no room for."""
    vocabulary = Vocabulary((UNKNOWN, *(f"w{i}" for i in range(5000))), "word")
    encode = tf.function(vocabulary.encode_graph, autograph=False)
    long = tf.constant(["w7 strange " * 200_000, "w4999"])
    tokens, lengths = encode(long)
    assert list(lengths) == [400_000, 1] and list(tokens[0, :2]) == [8, 0] and tokens[1, 0] == 5000
    for least, most, says in (
        (0, 60, "a line must have 0 to 60 words"),
        (2, None, "a line must have 2 or more w"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=says):
            encode(long, name="a line", least=least, most=most)


def test_texts_of_a_batch_end_where_their_token_says():
    vocabulary = Vocabulary(("<end>", "a", "b"), "word")
    x = np.array([[1, 2, 0, 1], [0, 0, 0, 0], [2, 2, 2, 2]], np.float32)
    for end, expected in (
        (0, ["a b", "", "b b b b"]),
        (None, ["a b <end> a", "<end> <end> <end> <end>", "b b b b"]),
    ):
        codec = Texts(vocabulary, end)
        assert codec.decode(x) == expected
        assert [text.decode() for text in tf.function(codec.decode_graph)(x).numpy()] == expected
    np.testing.assert_array_equal(codec.encode("B a"), [2.0, 1.0])


@pytest.mark.parametrize(
    ("symbols", "unit", "most", "expected"),
    [
        (("t", "h", "e"), "character", 3, "the"),
        (("t", "h", "e"), "character", 2, "th"),
        (("A", "C", "'", "G", "T"), "character", 9, "ACG"),
        (("'", " "), "character", 3, "'"),
        (("<end>", "<unknown>", "yes"), "word", 3, "the"),
        (("yes", ".", "no"), "word", 3, "yes no"),
    ],
)
def test_an_example_is_a_text_of_the_vocabulary(symbols, unit, most, expected):
    vocabulary = Vocabulary(symbols, unit)
    assert vocabulary.example(most) == expected
    assert 1 <= len(vocabulary.encode(expected)) <= most


def test_counts_name_the_most_frequent_first():
    assert write_counts([0, 2, 5, 2], ("a", "b", "c", "d")) == "c 5  b 2  d 2"
    assert write_counts([0, 2, 5, 2], ("a", "b", "c", "d"), most=1) == "c 5"
    assert write_counts([0.0, 2.0]) == "0 2"
