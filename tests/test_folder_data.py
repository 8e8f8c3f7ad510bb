"""Folders: splits and classes, in the spellings and with the strays that folders come with."""

import numpy as np
import pytest
from PIL import Image

from tests.test_data import PARTS, refused, write
from tfgen import data
from tfgen.data.folder import in_number_order, split_word


def images(root, names, each=3):
    """`each` images in every folder of `root`, all of one value that tells the folder."""
    for value, name in enumerate(names, 1):
        for i in range(each):
            write(root / name / f"{i}.png", value=20 * value)


def values(found):
    return [sorted(set(getattr(found, part).x.ravel())) for part in PARTS]


@pytest.mark.parametrize(
    "names",
    [
        ("train", "valid", "test"),
        ("Train", "Val", "Test"),
        ("TRAINING", "VALIDATION", "TESTING"),
        ("training_set", "dev_set", "test_set"),
        ("train2017", "val2017", "test2017"),
        ("train_images", "val_images", "test_images"),
        ("seg_train", "seg_valid", "seg_test"),
        ("trainSet", "devSet", "testSet"),
        ("1-train", "2-eval", "3-test"),
    ],
)
def test_splits_are_no_classes(tmp_path, names):
    if names[1] == "2-eval":
        assert "both understood as the test split" in _with(tmp_path, names)
        return
    images(tmp_path, names)
    found = data.load(f"folder:{tmp_path}")
    assert found.class_names is None and found.train.label is None
    assert values(found) == [[20], [40], [60]]


def _with(root, names):
    images(root, names)
    return refused(f"folder:{root}")


def test_splits_with_classes_inside(tmp_path):
    images(tmp_path, ("Train/cat", "Train/dog", "valid/cat", "valid/dog", "TEST/cat", "TEST/dog"))
    found = data.load(f"folder:{tmp_path}")
    assert found.class_names == ("cat", "dog") and values(found) == [[20, 40], [60, 80], [100, 120]]
    for part in PARTS:
        split = getattr(found, part)
        np.testing.assert_array_equal(split.label, split.x[:, 0, 0, 0] // 20 % 2 == 0)


def test_without_a_test_split_the_validation_split_tests(tmp_path):
    images(tmp_path, ("train", "val"), each=6)
    found = data.load(f"folder:{tmp_path}")
    assert values(found) == [[20], [20], [40]] and len(found.validation) == 1
    assert "val is the test split, since there is no other" in data.summary(found)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("train", "test", "extra"), "holds test, train, understood as splits, beside extra: move these out"),
        (("bus", "car", "train"), "train, understood as splits, beside bus, car"),
        (("test", "cats", "dogs"), "rename 'test' if it is a class"),
        (("seg_train", "seg_test", "seg_pred"), "understood as splits, beside seg_pred"),
        (("valid", "test"), "holds the splits test, valid and none to train on: call it 'train'"),
        (("train",), "holds the split 'train' alone"),
        (("train", "Training", "test"), "both understood as the train split"),
        (("train/cat", "test"), "(test has files straight inside, train has classes)"),
        (("train/cat", "train/dog", "test/Cat", "test/dog"), "'Cat' and 'cat': spell them alike"),
    ],
)
def test_what_is_neither_is_refused_as_it_was_understood(tmp_path, names, words):
    assert words in _with(tmp_path, names)


def test_splits_beside_files_and_empty_splits_are_refused(tmp_path):
    images(tmp_path, ("train", "test"))
    write(tmp_path / "x.png")
    assert "understood as splits, beside files (x.png)" in refused(f"folder:{tmp_path}")
    (tmp_path / "x.png").unlink()
    (tmp_path / "val").mkdir()
    assert "has no files in 'val': add some, or remove it" in refused(f"folder:{tmp_path}")


def test_classes_may_have_words_of_splits_in_their_names(tmp_path):
    names = ("bullet train", "test tube", "airplane")
    images(tmp_path, names)
    assert data.load(f"folder:{tmp_path}").class_names == tuple(sorted(names))


def test_strays_of_systems_are_passed_over(tmp_path):
    images(tmp_path, ("train", "test"))
    for name in ("__MACOSX", ".ipynb_checkpoints", "@eaDir", "System Volume Information", "$RECYCLE.BIN"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "0.png", value=255)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (tmp_path / name).write_bytes(b"x")
        (tmp_path / "train" / name).write_bytes(b"x")
    assert values(data.load(f"folder:{tmp_path}", validation=0))[::2] == [[20], [40]]


def test_files_that_are_splits(tmp_path):
    """Texts as they are often published: a file each."""
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text(part[0] * 30 + part[1] * 30)
    found = data.load(f"folder:{tmp_path}", window=10)
    words = ["".join(found.vocabulary[t] for t in getattr(found, p).x.ravel()) for p in PARTS]
    assert words == ["t" * 30 + "r" * 30, "v" * 30 + "a" * 30, "t" * 30 + "e" * 30]
    (tmp_path / "ptb.other.txt").write_text("abc")
    assert "beside ptb.other.txt" in refused(f"folder:{tmp_path}")


def test_a_series_of_files_is_no_split(tmp_path):
    for i in range(6):
        write(tmp_path / f"train_{i}.png", value=i)
    assert sum(len(getattr(data.load(f"folder:{tmp_path}"), part)) for part in PARTS) == 6


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    images(tmp_path, ("0", "1", "2", "10"), each=6)
    found = data.load(f"folder:{tmp_path}")
    assert found.class_names == ("0", "1", "2", "10")
    np.testing.assert_array_equal(found.train.label, found.train.x[:, 0, 0, 0] // 20 - 1)
    assert found.meaning.label(["10"]) == [3] and found.meaning.caption(3) == "10"
    assert in_number_order({"-1", "0.5", "3e-1", "02"}) == ("-1", "3e-1", "0.5", "02")
    assert in_number_order({"10", "9", "x"}) == ("10", "9", "x")
    assert in_number_order({"nan", "1"}) == ("1", "nan")


def test_classes_are_found_by_their_names():
    animals = data.Meaning(("cat", "Dog", "old cat"))
    assert [animals.label([word]) for word in ("cat", "dog", " Dog", "2", 1)] == [[0], [1], [1], [2], [1]]
    assert data.Meaning(("0", "1", "02", "10")).label(["2"]) == [2]
    assert data.Meaning(None).label(["3"]) == [3] and data.Meaning(None).caption(3) == "3"
    several = data.Meaning((("ann", "bob"), tuple("0123")))
    assert several.label(["bob", "3"]) == [1, 3] and several.caption([1, 3]) == "bob 3"
    assert data.Meaning.from_facts({"class_names": [["ann", "bob"], list("0123")]}) == several
    for meaning, word, words in (
        (animals, "cot", "--label=cot is none of the classes: did you mean 'cat'? take of cat, Dog, old cat"),
        (animals, "3", "--label=3 is none of the classes"),
        (data.Meaning(("0", "1", "10")), "2", "take of 0, 1, 10"),
        (data.Meaning(None), "cat", "the classes have no names"),
        (data.Meaning(None), "-1", "the classes have no names"),
    ):
        with pytest.raises(data.DataError) as caught:
            meaning.label([word])
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Train", ("train", ())),
        ("test_data", ("test", ())),
        ("ptb.valid", ("validation", ("ptb",))),
        ("x_train", ("train", ("x",))),
        ("val2017", ("validation", ())),
        ("trainval", (None, ("trainval",))),
        ("train_test", (None, ("train", "test"))),
        ("contest", (None, ("contest",))),
    ],
)
def test_names_of_splits(name, expected):
    assert split_word(name) == expected


def test_kinds_that_are_not_read_have_a_remedy(tmp_path):
    for suffix, words in ((".mp3", "save it as WAV"), (".zip", "unpack it"), (".xlsx", "save it as CSV")):
        (tmp_path / f"a{suffix}").write_bytes(b"x")
        assert words in refused(f"file:{tmp_path / f'a{suffix}'}")
    assert f"write it as folder:{tmp_path}" in refused(f"file:{tmp_path}")
    assert "is a file: write it as file:" in refused(f"folder:{tmp_path / 'a.zip'}")


def test_foreign_files_are_reported_together_or_left_out(tmp_path):
    images(tmp_path, ("a",), each=4)
    for name in ("x.py", "y.mp4"):
        (tmp_path / "a" / name).write_bytes(b"x")
    message = refused(f"folder:{tmp_path}")
    assert "2 of 6 files" in message and "a/x.py is of no kind" in message and "a/y.mp4 is of" in message
    found = data.load(f"folder:{tmp_path}", skip_bad=True)
    assert "2 of 6 files left out (x.py, y.mp4)" in data.summary(found)


def test_the_line_says_what_was_understood():
    assert data.summary(data.load("digits", binarize="threshold", num_labels=20)) == (
        "digits: 8x8 grey images in 2 levels, 1293 train + 144 validation + 360 test, 10 classes (0, 1, 2, "
        "3, 4, 5, 6, 7, 8, 9), stream 'labelled' of 20; made binary, 1 from half of the range on "
        "(--binarize=none keeps the levels)"
    )
    assert "vectors of 2 numbers of real values" in data.summary(data.load("moons"))
    assert "with their texts" in data.summary(data.load("scribbles"))


def test_options_for_own_files_are_refused_elsewhere(tmp_path):
    for option, value in (("background", "white"), ("mono", True), ("label_column", "y"), ("channels", 3)):
        assert f"{option}={value} is for folders and files of your own" in refused(
            "digits", **{option: value}
        )
    assert "channels=2 is neither 1" in refused(f"folder:{tmp_path}", channels=2)
    assert "rate=0" in refused(f"folder:{tmp_path}", rate=0)


def test_a_path_needs_no_prefix(tmp_path, monkeypatch):
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    (tmp_path / "notes").write_text("abcdefghij" * 30)
    assert data.load(str(tmp_path / "notes"), window=5).kind == "text"
    monkeypatch.chdir(tmp_path)
    assert "for the file write 'file:notes'" in refused("notes")
