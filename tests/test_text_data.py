"""Texts as data: windows, vocabularies, splits, and sources whose entropy is known."""

import numpy as np
import pytest

from tests.real_data import TFDS, needs_tfds
from tests.test_data import refused
from tfgen import data
from tfgen.data import chains


def read(found, part):
    """The text of a part."""
    separator = "" if found.unit == "character" else " "
    return separator.join(found.vocabulary[t] for t in getattr(found, part).x.ravel())


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("".join(chr(97 + i % 26) for i in range(1000)))
    return path


def test_a_file_is_cut_in_order_into_windows(book):
    found = data.load(f"file:{book}", window=10)
    assert found.vocabulary == tuple("abcdefghijklmnopqrstuvwxyz") and found.num_values == 26
    assert found.event_shape == (None,) and found.kind == "text"
    assert [len(getattr(found, part)) for part in ("train", "validation", "test")] == [90, 5, 5]
    whole = "".join(read(found, part) for part in ("train", "validation", "test"))
    assert whole == book.read_text()


def test_words_are_the_most_frequent_ones_and_one_for_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("tfgen.data.text._MOST_WORDS", 3)
    (tmp_path / "a.md").write_text("The cat, the dog. " * 40 + "A rare bird, the end. " * 4)
    found = data.load(f"folder:{tmp_path}", unit="word", window=4)
    assert len(found.vocabulary) == 4
    assert read(found, "train").startswith("the ")
    assert set(found.vocabulary) <= {"<unknown>", "the", "cat", "dog", ",", "."}
    assert "<unknown>" in read(found, "test")


def test_folders_of_splits_are_obeyed(tmp_path):
    for part in ("train", "validation", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.txt").write_text(part[0] * 10 + part[1] * 10)
    found = data.load(f"folder:{tmp_path}", window=5)
    assert [read(found, p) for p in ("train", "validation", "test")] == [
        "tttttttttt" + "rrrrrrrrrr", "vvvvvvvvvv" + "aaaaaaaaaa", "tttttttttt" + "eeeeeeeeee",
    ]  # fmt: skip


def test_images_keep_their_notes_out(tmp_path):
    from PIL import Image

    for i in range(4):
        Image.new("L", (3, 3), i).save(tmp_path / f"{i}.png")
    (tmp_path / "readme.txt").write_text("about these images")
    assert data.load(f"folder:{tmp_path}").kind == "image"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"\xff\xfe\x00abc", {}, "save it as UTF-8"),
        (b"", {}, "has 0 different characters"),
        (b"aaaaaaaaaaaaaaaaaaaaa", {}, "has 1 different characters"),
        (b"abcabc", {}, "less than one window of 100: give a longer text or a smaller --window"),
        (b"one two three", {"unit": "word", "window": 50}, "less than one window of 50"),
    ],
)
def test_what_is_wrong_with_a_text_is_named(tmp_path, content, options, words):
    (tmp_path / "book.txt").write_bytes(content)
    assert words in refused(f"file:{tmp_path / 'book.txt'}", **options)


def test_python_docs_are_plain_text():
    found = data.load("python_docs")
    text = read(found, "train")
    assert len(text) == 360_000 and text.count("the ") > 2000
    assert set(found.vocabulary) <= set("\n") | {chr(c) for c in range(32, 127)}


@needs_tfds
def test_tiny_shakespeare_has_its_splits():
    found = data.load("tiny_shakespeare", data_dir=TFDS)
    assert read(found, "train").startswith("First Citizen:\nBefore we proceed any further, hear me speak.")
    assert [len(getattr(found, p)) for p in ("train", "validation", "test")] == [10038, 557, 557]


@pytest.mark.parametrize(("name", "sources"), [("markov", 1), ("two_sources", 2)])
def test_chains_have_the_entropy_they_state(name, sources):
    """The mean nats of 1,000 strings, within four standard errors."""
    test = data.load(name).test
    label = np.zeros(1000, int) if sources == 1 else test.label
    for source in range(sources):
        c = chains.chain(source)
        np.testing.assert_allclose(c.sum(1), 1.0)
        np.testing.assert_allclose(chains.stationary(c) @ c, chains.stationary(c), atol=1e-12)
        x = test.x[label == source].astype(int)
        nats = -np.log(chains.stationary(c)[x[:, 0]]) - np.log(c[x[:, :-1], x[:, 1:]]).sum(1)
        error = nats.std() / np.sqrt(len(nats))
        assert abs(nats.mean() - chains.entropy(c)) < 4 * error and error < 1.0
