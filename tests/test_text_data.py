"""Texts as data: windows, vocabularies, splits, and sources whose entropy is known."""

import numpy as np
import pytest

from tests.real_data import TFDS, needs_tfds
from tests.test_data import PARTS, refused
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
        (b"caf\xe9 noir", {}, "(byte 0xe9 at 3): name its encoding, as in --encoding=latin-1"),
        (b"abc", {"encoding": "latn1"}, "encoding='latn1' is unknown"),
        (b"abc\0\0\0def", {}, "holds zero bytes, it is no text"),
        (b"", {}, "book.txt is blank: give a file with a text in it"),
        (b" \n\n", {}, "book.txt is blank"),
        (b"\xef\xbb\xbf", {}, "book.txt is blank"),
        (b"aaaaaaaaaaaaaaaaaaaaa", {}, "holds one character only, 'a'"),
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


TEXT = "Zoë's naïve café.\n" * 40


@pytest.mark.parametrize(
    ("stored", "options"),
    [
        (TEXT.encode("utf-8"), {}),
        (TEXT.encode("utf-8-sig"), {}),
        (TEXT.encode("utf-16"), {}),
        (TEXT.encode("utf-16-le"), {}),
        (TEXT.encode("utf-16-be"), {}),
        (TEXT.encode("utf-32"), {}),
        (TEXT.encode("latin-1"), {"encoding": "latin-1"}),
        (TEXT.encode("cp1252"), {"encoding": "cp1252"}),
        (TEXT.encode("utf-8-sig"), {"encoding": "utf-8"}),
        (TEXT.encode("utf-16"), {"encoding": "utf-16"}),
        (TEXT.replace("\n", "\r\n").encode("utf-8"), {}),
    ],
)
def test_a_text_is_read_in_its_encoding(tmp_path, stored, options):
    (tmp_path / "book.txt").write_bytes(stored)
    found = data.load(f"file:{tmp_path / 'book.txt'}", window=18, **options)
    assert "".join(read(found, part) for part in PARTS) == TEXT
    assert set(found.vocabulary) == set(TEXT)


def test_a_named_text_may_have_any_suffix(tmp_path):
    for name in ("notes", "a.text", "a.tex", "a.py", "a.log", "a.MD", ".bashrc"):
        (tmp_path / name).write_bytes(TEXT.encode("utf-8-sig"))
        found = data.load(f"file:{tmp_path / name}", window=18)
        assert "".join(read(found, part) for part in PARTS) == TEXT


def test_marks_within_a_folder_are_no_symbols(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.txt").write_bytes(TEXT.encode("utf-8-sig"))
    found = data.load(f"folder:{tmp_path}", window=18)
    assert "\ufeff" not in found.vocabulary and read(found, "train").count("Zoë") > 80


def test_blank_files_are_left_out_and_bad_ones_reported_together(tmp_path):
    for name, stored in (("a.txt", TEXT.encode()), ("b.txt", b" \n"), ("c.md", b"\xef\xbb\xbf")):
        (tmp_path / name).write_bytes(stored)
    found = data.load(f"folder:{tmp_path}", window=18)
    assert "2 blank files left out (b.txt, c.md)" in data.summary(found)
    for name in ("d.txt", "e.txt"):
        (tmp_path / name).write_bytes(TEXT.encode("latin-1"))
    message = refused(f"folder:{tmp_path}")
    assert "2 of 5 files" in message and "d.txt, e.txt cannot be read as utf-8 (byte 0xeb at 2)" in message
    skipped = data.load(f"folder:{tmp_path}", window=18, skip_bad=True)
    assert skipped.fingerprint() == found.fingerprint()


def test_classes_of_texts_are_said_to_be_lost(tmp_path):
    for name in ("poems", "prose"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(TEXT)
    assert "poems, prose are read as one" in data.summary(data.load(f"folder:{tmp_path}", window=18))


def test_json_lines_of_texts(tmp_path):
    (tmp_path / "a.jsonl").write_text("\ufeff" + '{"text": "abcdefghi"}\n' * 20)
    found = data.load(f"file:{tmp_path / 'a.jsonl'}", window=10)
    assert read(found, "train") == "abcdefghi\n" * 17
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"txt": "a"}')
    assert "line 2 of" in refused(f"file:{tmp_path / 'a.jsonl'}")
