"""Pen strokes as data: the embedded words, Omniglot, files of one's own."""

import json

import numpy as np
import pytest

from tests.real_data import REAL, needs
from tests.test_data import refused
from tfgen import data
from tfgen.data import scribbles, strokes
from tfgen.media import ink

OMNIGLOT = REAL / "strokes" / "omniglot_strokes_small.npz"


def check_common(loaded):
    """What every set of strokes has."""
    assert loaded.kind == "strokes" and loaded.event_shape == (None, 3) and loaded.num_values is None
    for split in (loaded.train, loaded.validation, loaded.test):
        lengths = split.extra["lengths"]
        assert split.x.dtype == np.float32 and lengths.dtype == np.int32 and lengths.min() >= 1
        assert set(np.unique(split.x[..., 2])) <= {0.0, 1.0}
        inside = np.arange(split.x.shape[1]) < lengths[:, None]
        assert not split.x[~inside].any()
        # The last step of each lifts the pen.
        assert np.all(split.x[np.arange(len(lengths)), lengths - 1, 2] == 1.0)
    train = loaded.train
    inside = np.arange(train.x.shape[1]) < train.extra["lengths"][:, None]
    np.testing.assert_allclose(train.x[inside][:, :2].std(), 1.0, rtol=1e-3)


def unscaled(split, row):
    """The strokes of an example, in the units of its source."""
    drawing = split.x[row, : split.extra["lengths"][row]]
    return [stroke * split.extra["scale"][row] for stroke in ink.strokes(drawing)]


@pytest.fixture(scope="module")
def words():
    return data.load("scribbles")


def test_resampled_strokes_have_even_steps_along_the_line():
    corner = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(
        strokes.resample(corner, 1.0), [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1], [3, 2], [3, 3], [3, 4]]
    )
    angle = np.linspace(0.0, np.pi, 1000)
    circle = strokes.resample(np.stack([np.cos(angle), np.sin(angle)], -1), 0.1)
    walked = np.hypot(*np.diff(circle, axis=0).T)
    assert len(circle) == round(np.pi / 0.1) + 1
    np.testing.assert_allclose(walked, walked[0], rtol=1e-3)
    np.testing.assert_allclose(circle[[0, -1]], [[1, 0], [-1, 0]], atol=1e-12)
    for dot in ([[2.0, 1.0]], [[2.0, 1.0], [2.1, 1.0]], [[2.0, 1.0]] * 3):
        np.testing.assert_array_equal(strokes.resample(np.array(dot), 1.0), [[2.0, 1.0]])


def test_scribbles_are_words_with_their_texts(words):
    check_common(words)
    assert (len(words.train), len(words.validation), len(words.test)) == (4500, 500, 1000)
    assert words.vocabulary[0] == "" and len(words.vocabulary) == 28
    text = words.train.extra["text"]
    assert text.dtype == np.int32 and text.shape[1] == 5
    lengths = (text != 0).sum(axis=1)
    assert np.all((text != 0) == (np.arange(5) < lengths[:, None])) and set(lengths) == {2, 3, 4, 5}
    # Letters equally often: chi-square would be 25 with a deviation of 7.
    counts = np.bincount(text[text > 1], minlength=28)[2:]
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 60


def test_a_word_has_the_strokes_of_its_letters(words):
    number = {letter: len(text.split(";")) for letter, text in scribbles._LETTERS.items()}
    for row in range(100):
        letters = [words.vocabulary[t] for t in words.train.extra["text"][row]]
        assert len(unscaled(words.train, row)) == sum(number.get(letter, 0) for letter in letters)


def test_letters_stand_on_the_line_from_left_to_right():
    for letter in scribbles._LETTERS:
        # Each is written often, so that the mean shows the letter of the table.
        drawn = [np.concatenate(scribbles.write(letter, np.random.RandomState(i))) for i in range(40)]
        low, high = (np.mean([f(p[:, 1]) for p in drawn]) for f in (np.min, np.max))
        assert low < (-3.0 if letter in "gjpqy" else 1.5) and low > (-8.0 if letter in "gjpqy" else -1.5)
        assert high > (8.0 if letter in "bdfhijklt" else 4.5) and high < 14.0
    left = [p[:, 0].mean() for p in scribbles.write("vvvv", np.random.RandomState(1))]
    assert np.all(np.diff(left) > 5.0)


@pytest.mark.slow
def test_scribbles_depend_on_the_seed_and_the_test_part_does_not(words):
    other = data.load("scribbles", seed=1)
    assert other.fingerprint() != words.fingerprint() == data.load("scribbles").fingerprint()
    assert not np.array_equal(other.train.x[:9, :40], words.train.x[:9, :40])
    mine, theirs = unscaled(words.test, 3), unscaled(other.test, 3)
    np.testing.assert_allclose(np.concatenate(mine), np.concatenate(theirs), atol=1e-3)
    assert len(data.load("scribbles", validation=7).validation) == 7


@needs(OMNIGLOT)
def test_omniglot_is_read_whole_and_once():
    loaded = data.load("omniglot_strokes", data_dir=str(REAL))
    check_common(loaded)
    parts = (loaded.train, loaded.validation, loaded.test)
    assert [len(part) for part in parts] == [242 * 15, 242 * 2, 242 * 3] and loaded.num_classes == 242
    for part, each in zip(parts, (15, 2, 3), strict=True):
        assert np.all(np.bincount(part.label) == each)
    every = np.concatenate([part.x for part in parts])
    assert len(np.unique(every.reshape(len(every), -1), axis=0)) == len(every)
    # The first row is the first drawing of the lowest drawer: its ends are those of the file.
    with np.load(OMNIGLOT) as stored:
        first = np.flatnonzero(stored["drawer"] == 0)[0]
        a, b = stored["drawing_offsets"][first : first + 2]
        ends = stored["stroke_offsets"][a : b + 1]
        raw = [stored["points"][s:e, :2] for s, e in zip(ends[:-1], ends[1:], strict=True)]
    mine = unscaled(loaded.train, 0)
    assert len(mine) == len(raw)
    shift = mine[0][0] - raw[0][0]
    for stroke, points in zip(mine, raw, strict=True):
        np.testing.assert_allclose(stroke[0], points[0] + shift, atol=0.01)
        if len(stroke) > 1:
            np.testing.assert_allclose(stroke[-1], points[-1] + shift, atol=0.01)
            steps = np.hypot(*np.diff(stroke, axis=0).T)
            assert steps.max() < 7.6  # at most half a step longer than asked


def test_omniglot_without_its_file_says_where_it_belongs(tmp_path):
    assert "--data_dir" in refused("omniglot_strokes")
    assert str(tmp_path / "strokes" / "omniglot_strokes_small.npz") in refused(
        "omniglot_strokes", data_dir=str(tmp_path)
    )
    (tmp_path / "strokes").mkdir()
    (tmp_path / "strokes" / "omniglot_strokes_small.npz").write_bytes(b"nothing")
    assert "cannot be read" in refused("omniglot_strokes", data_dir=str(tmp_path))


def write_csv(path, drawings, column=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["drawing,stroke,x,y" if column else "stroke,x,y"]
    for number, drawing in enumerate(drawings):
        for s, stroke in enumerate(drawing):
            lines += [f"{number},{s},{x},{y}" if column else f"{s},{x},{y}" for x, y in stroke]
    path.write_text("\n".join(lines) + "\n")


def some_drawings(count):
    rng = np.random.default_rng(count)
    return [
        [np.cumsum(rng.normal(size=(9, 2)), axis=0), np.array([[20.0 + i, 5.0], [30.0, 5.0]])]
        for i in range(count)
    ]


def test_a_file_of_drawings(tmp_path):
    drawings = some_drawings(12)
    write_csv(tmp_path / "own.csv", drawings)
    loaded = data.load(f"file:{tmp_path / 'own.csv'}")
    check_common(loaded)
    parts = (loaded.train, loaded.validation, loaded.test)
    assert sum(map(len, parts)) == 12 and loaded.class_names is None
    lengths = sorted(
        round(np.linalg.norm(unscaled(part, row)[1][-1] - unscaled(part, row)[1][0]), 2)
        for part in parts
        for row in range(len(part))
    )
    np.testing.assert_allclose(lengths, sorted(abs(10.0 - i) for i in range(12)), atol=1.0)


def test_folders_are_classes(tmp_path):
    for name in ("circle", "line"):
        for number in range(6):
            write_csv(tmp_path / name / f"{number}.csv", some_drawings(2), column=number % 2 == 0)
    loaded = data.load(f"folder:{tmp_path}")
    check_common(loaded)
    assert loaded.class_names == ("circle", "line")
    # Without the column a file is one drawing.
    assert sum(len(p) for p in (loaded.train, loaded.validation, loaded.test)) == 2 * (3 * 2 + 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,2\n", "1 examples"),
        ("", "is blank"),
        ("stroke,x,y\n", "no points"),
        ("stroke,x,y\n0,1,2\n0,nan,2\n", "line 3"),
        ("stroke,x,y\n0,1,two\n", "cannot be read"),
        ("stroke,x,y\n0,1\n", "cannot be read"),
    ],
)
def test_broken_files_are_named(tmp_path, content, says):
    path = tmp_path / "own.csv"
    path.write_text(content)
    message = refused(f"file:{path}")
    assert says in message and str(path) in message


def write_lines(path, drawings, **more):
    lines = [
        {"strokes": [stroke.tolist() for stroke in drawing]} | {key: words[i] for key, words in more.items()}
        for i, drawing in enumerate(drawings)
    ]
    path.write_text("\ufeff" + "\n".join(map(json.dumps, lines)))
    return f"file:{path}"


def test_lines_of_strokes_with_their_texts(tmp_path):
    words = [f"w{'ab'[i % 2]}{'c' * (i // 2)}" for i in range(12)]
    loaded = data.load(write_lines(tmp_path / "own.jsonl", some_drawings(12), text=words))
    check_common(loaded)
    assert loaded.vocabulary == ("", *"abcw") and "with their texts" in data.summary(loaded)
    found = []
    for part in (loaded.train, loaded.validation, loaded.test):
        for row, tokens in enumerate(part.extra["text"]):
            text = "".join(loaded.vocabulary[t] for t in tokens)
            # The second stroke of drawing i is 10 - i long: text and drawing belong together.
            line = unscaled(part, row)[1]
            assert abs(np.linalg.norm(line[-1] - line[0]) - abs(10 - words.index(text))) < 1
            found.append(text)
    assert sorted(found) == sorted(words)


def test_lines_of_strokes_have_classes(tmp_path):
    loaded = data.load(
        write_lines(tmp_path / "own.jsonl", some_drawings(12), label=[(10, 9)[i % 2] for i in range(12)])
    )
    assert loaded.class_names == ("9", "10") and set(loaded.train.label) == {0, 1}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"strokes": []}', "line 2 of"),
        ('{"strokes": [[1, 2]]}', "line 2 of"),
        ('{"strokes": [[[1, NaN]]]}', "is no drawing: write"),
        ('{"strokes": [[[1, 2]]], "text": "a"}', "differ in having a text"),
        ('{"lines": []}', "is no drawing"),
    ],
)
def test_what_is_wrong_with_a_line_is_named(tmp_path, line, words):
    path = tmp_path / "own.jsonl"
    path.write_text('{"strokes": [[[1, 2], [3, 4]]]}\n' + line)
    message = refused(f"file:{path}")
    assert words in message and str(path) in message
