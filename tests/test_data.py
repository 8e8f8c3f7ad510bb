"""Data sets: contents, splits, binarization, and one-line errors."""

import collections
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from tests.real_data import TFDS, needs_tfds
from tfgen import data
from tfgen.data import catalog, points, registry, splits
from tfgen.data.binarize import binarize
from tfgen.data.splits import hold_out, stratified_order

ROOT = pathlib.Path(__file__).parents[1]
PARTS = ("train", "validation", "test")


def rows(split):
    return [row.tobytes() for row in split.x]


def refused(*args, **options):
    """The message of the DataError of `load`, which must be one line."""
    with pytest.raises(data.DataError) as caught:
        data.load(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Splits.


def test_stratified_order_keeps_every_class_in_its_proportion():
    label = np.random.RandomState(1).choice(4, 500, p=[0.5, 0.3, 0.15, 0.05])
    order = stratified_order(500, label)
    assert sorted(order) == list(range(500))
    for cut in range(501):
        for value in range(4):
            share = (label == value).mean()
            found = (label[order[:cut]] == value).sum()
            assert abs(found - share * cut) <= 1 + 4 * share


def test_hold_out_cuts_from_the_end():
    every = data.Split(np.arange(20)[:, None], np.arange(20))
    for validation, held in ((None, 3), (0, 0), (7, 7), (0.25, 5), (np.int64(2), 2), (19, 19)):
        train, rest = hold_out(every, validation, default=3)
        np.testing.assert_array_equal(train.label, np.arange(20 - held))
        np.testing.assert_array_equal(rest.x[:, 0], np.arange(20 - held, 20))


def test_hold_out_does_not_cut_a_group():
    every = data.Split(np.arange(12)[:, None])
    groups = np.repeat([5, 1, 8], [5, 4, 3])
    for validation, held in ((1, 0), (2, 3), (3, 3), (6, 7), (11, 7)):
        assert len(hold_out(every, validation, 0, groups)[1]) == held


def test_hold_out_prefers_a_published_split_unless_told_otherwise():
    every, published = data.Split(np.zeros((8, 1))), data.Split(np.ones((4, 1)))
    train, rest = hold_out(every, None, 2, published=published)
    assert len(train) == 8 and rest.x.all()
    train, rest = hold_out(every, 6, 2, published=published)
    assert len(train) == 6 and rest.x.sum() == 4


@pytest.mark.parametrize("wrong", [-1, 20, 1.0, 1.5, -0.1, True, "3", float("nan")])
def test_hold_out_refuses(wrong):
    with pytest.raises(data.DataError, match="validation="):
        hold_out(data.Split(np.zeros((20, 1))), wrong, 3)


# Objects.


def test_splits_are_aligned_and_read_only():
    every = data.Split(np.arange(6.0).reshape(3, 2), [4, 5, 6], {"length": np.array([1, 2, 3])})
    part = every.take([2, 0])
    assert part.x.tolist() == [[4, 5], [0, 1]] and part.label.tolist() == [6, 4]
    assert part.extra["length"].tolist() == [3, 1] and part.label.dtype == np.int32
    both = part.join(every)
    assert both.extra["length"].tolist() == [3, 1, 1, 2, 3] and len(both) == 5
    with pytest.raises(ValueError, match="read-only"):
        every.x[0] = 1
    with pytest.raises(ValueError, match="label has 2 rows for 3"):
        data.Split(np.zeros((3, 2)), np.zeros(2))


def test_streams_stay_beside_their_split():
    few = data.Split(np.array([[7.0, 7.0]]), [1])
    every = data.Split(np.arange(6.0).reshape(3, 2), streams={"labelled": few})
    assert every.take([2]).streams["labelled"] is few and len(every.take([2])) == 1
    both = every.join(data.Split(np.zeros((1, 2)), streams={"labelled": few, "target": few}))
    assert len(both) == 4 and both.streams["labelled"].label.tolist() == [1, 1]
    assert both.streams["target"] is few
    assert list(every.arrays()) == ["x", "labelled/x", "labelled/label"]
    for streams, words in (
        ({"a": few.take([])}, "stream 'a' holds no examples"),
        ({"a": every}, "stream 'a' has streams of its own"),
    ):
        with pytest.raises(ValueError, match=words):
            data.Split(np.zeros((3, 2)), streams=streams)


def test_few_labels_are_stratified_and_the_same_each_time():
    digits, few = data.load("digits"), data.load("digits", num_labels=100)
    labelled = few.train.streams["labelled"]
    assert len(labelled) == 100 and len(few.train) == len(digits.train) and few.train.label is not None
    share = 100 * np.bincount(digits.train.label) / len(digits.train)
    assert np.abs(np.bincount(labelled.label) - share).max() < 1.0
    again = data.load("digits", num_labels=100, seed=5)
    assert few.fingerprint() == again.fingerprint() != digits.fingerprint()
    # Each is a training example with that example's label.
    known = {x.tobytes(): label for x, label in zip(digits.train.x, digits.train.label, strict=True)}
    assert all(known[x.tobytes()] == k for x, k in zip(labelled.x, labelled.label, strict=True))
    one_each = data.load("digits", num_labels=10).train.streams["labelled"].label
    assert sorted(one_each) == list(range(10))
    everything = data.load("digits", num_labels=len(digits.train)).train.streams["labelled"]
    np.testing.assert_array_equal(everything.x, digits.train.x)


def test_a_rare_class_gets_one_label():
    split = data.Split(np.zeros((100, 1)), np.repeat([0, 1, 2], [96, 3, 1]))
    rare = data.Data("rare", "vector", (1,), None, None, 3, None, split, split, split)
    labelled = splits.few_labels(rare, 10).train.streams["labelled"]
    assert np.bincount(labelled.label).tolist() == [8, 1, 1]


@pytest.mark.parametrize("method", ["threshold", "fixed"])
def test_streams_become_binary_too(method):
    digits = data.load("digits")
    target = dataclasses.replace(digits.train, streams={"target": digits.test})
    both = binarize(dataclasses.replace(digits, train=target), method)
    stream = both.train.streams["target"].x
    assert set(np.unique(stream)) == {0, 1}
    if method == "threshold":
        np.testing.assert_array_equal(stream, binarize(digits, method).test.x)
    labelled = data.load("digits", num_labels=50, binarize=method).train
    rows = {x.tobytes() for x in labelled.x}
    assert all(x.tobytes() in rows for x in labelled.streams["labelled"].x)


def test_a_split_leaves_the_callers_array_writable():
    array = np.zeros((2, 2))
    data.Split(array)
    array[0] = 1


def test_fingerprint_changes_with_whatever_a_model_sees():
    digits = data.load("digits")
    assert digits.fingerprint() == data.load("digits", seed=3).fingerprint()
    assert digits.fingerprint() == dataclasses.replace(digits, name="other").fingerprint()
    assert len(digits.fingerprint()) == 16
    x = digits.train.x.copy()
    x[700, 3, 4, 0] ^= 1
    label = digits.test.label.copy()
    label[3] += 1
    others = [
        dataclasses.replace(digits, train=data.Split(x, digits.train.label)),
        dataclasses.replace(digits, test=data.Split(digits.test.x, label)),
        dataclasses.replace(digits, test=data.Split(digits.test.x)),
        dataclasses.replace(digits, train=digits.train.take(slice(None, None, -1))),
        dataclasses.replace(digits, class_names=None),
        dataclasses.replace(digits, train=dataclasses.replace(digits.train, streams={"target": digits.test})),
        data.load("digits", validation=10),
        *(data.load("digits", binarize=how) for how in ("threshold", "fixed", "dynamic")),
        data.load("ring8"),
        data.load("ring8", seed=1),
    ]
    assert len({digits.fingerprint(), *(other.fingerprint() for other in others)}) == 13


def test_fingerprint_is_the_same_in_every_process():
    """It is written to disk and compared by a later process: no hash seed may enter."""
    program = "from tfgen import data; print(data.load('digits').fingerprint())"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == data.load("digits").fingerprint()


def test_data_refuses_examples_of_another_shape():
    digits = data.load("digits")
    with pytest.raises(ValueError, match="train holds examples of"):
        dataclasses.replace(digits, event_shape=(8, 8, 3))
    wrong = dataclasses.replace(digits.train, streams={"target": data.load("ring8").train})
    with pytest.raises(ValueError, match="stream 'target' of train holds examples of \\(2,\\), not of"):
        dataclasses.replace(digits, train=wrong)


def test_data_says_what_kinds_there_are_and_what_counts_are():
    split = data.Split(np.array([[0.0, 3.0], [2.0, 1.0]], np.float32))
    counts = data.Data("bags", "counts", (2,), None, None, None, None, split, split, split)
    assert counts.kind == "counts"
    with pytest.raises(ValueError, match="counts have no levels, got levels=4"):
        dataclasses.replace(counts, levels=4)
    for x in (split.x - 1, split.x + 0.5, np.full((2, 2), np.inf)):
        with pytest.raises(ValueError, match="x must hold counts, 0, 1, 2 ...; the values given in row 0"):
            dataclasses.replace(counts, train=data.Split(x))
    with pytest.raises(ValueError, match="kind must be one of .*'counts', .*got 'sounds'"):
        dataclasses.replace(counts, kind="sounds")
    with pytest.raises(data.DataError, match="needs images in levels, but data set 'bags' holds counts data"):
        binarize(counts, "threshold")


def test_import_loads_nothing_heavy():
    program = (
        "import sys; from tfgen import data; from tfgen.media import pictures; data.names(); "
        "print([m for m in ('tensorflow', 'tensorflow_datasets', 'sklearn', 'PIL', 'matplotlib', 'keras') "
        "if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


# Embedded sets.


def test_digits_are_scikit_learns_each_once():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    digits = data.load("digits")
    assert [len(getattr(digits, part)) for part in PARTS] == [1293, 144, 360]
    assert (digits.num_values, digits.levels, digits.train.x.dtype) == (17, 17, np.uint8)

    def pairs(images, labels):
        return collections.Counter((x.tobytes(), int(y)) for x, y in zip(images, labels, strict=True))

    ours = sum(
        (pairs(s.x, s.label) for s in (getattr(digits, p) for p in PARTS)),
        start=collections.Counter(),
    )
    assert ours == pairs(bunch.images.astype(np.uint8), bunch.target)
    expected = np.bincount(bunch.target) * 360 / 1797
    assert (np.abs(np.bincount(digits.test.label) - expected) <= 1).all()


def test_test_part_does_not_move():
    base = data.load("digits")
    other = data.load("digits", seed=5, validation=0.4)
    np.testing.assert_array_equal(base.test.x, other.test.x)
    joined = [rows(d.train) + rows(d.validation) for d in (base, other)]
    assert joined[0] == joined[1]


def test_photos_share_no_pixel_between_parts():
    """Patches are searched for in the photographs; each pixel may serve one part only."""
    from sklearn.datasets import load_sample_images

    photos = data.load("photos", validation=1000)
    assert [len(getattr(photos, part)) for part in PARTS] == [3696, 1008, 1176]
    users = np.zeros((2, 427, 640, 3), int)  # How many patches of each part use a pixel.
    for which, picture in enumerate(load_sample_images().images):
        windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16), (0, 1))
        places = collections.defaultdict(list)
        for top in range(0, 427 - 15):
            for left in range(0, 640 - 15):
                if top % 61 % 8 == 0 and left % 64 % 8 == 0:
                    places[windows[top, left].transpose(1, 2, 0).tobytes()].append((top, left))
        for number, part in enumerate(PARTS):
            split = getattr(photos, part)
            for patch in split.x[split.label == which]:
                found = places[patch.tobytes()]
                assert found
                # Even patches of plain sky are unique here unless several places look the same.
                if len(found) == 1:
                    top, left = found[0]
                    users[which, top : top + 16, left : left + 16, number] += 1
    assert (users.max(axis=(0, 1, 2)) > 0).all()
    assert ((users > 0).sum(axis=-1) <= 1).all()


@pytest.mark.parametrize(
    ("name", "modes", "expected"),
    [
        (
            "gaussians25",
            points.grid_modes,
            ({(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}, 0.05),
        ),
        (
            "ring8",
            points.ring_modes,
            ({(2 * np.cos(k * np.pi / 4), 2 * np.sin(k * np.pi / 4)) for k in range(8)}, 0.02),
        ),
    ],
)
def test_mixtures_have_the_density_they_state(name, modes, expected):
    """Chi-square of the modes, Kolmogorov-Smirnov of the noise: false failure 1e-4 each."""
    centers, scale = modes()
    np.testing.assert_allclose(sorted(map(tuple, centers)), sorted(expected[0]), atol=1e-12)
    assert scale == expected[1]
    for split in (data.load(name, seed=4).train, data.load(name).test):
        counts = np.bincount(split.label, minlength=len(centers))
        assert scipy.stats.chisquare(counts).pvalue > 1e-4
        noise = (split.x - centers[split.label]) / scale
        for axis in range(2):
            assert scipy.stats.kstest(noise[:, axis], "norm").pvalue > 1e-4
        assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05


def test_moons_lie_on_two_half_circles():
    split = data.load("moons").test
    centers = np.array([[0.0, 0.0], [1.0, 0.5]])[split.label]
    offset = (split.x - centers) * np.array([[1.0], [-1.0]])[split.label]
    radius = np.hypot(*offset.T)
    # Noise of sd 0.1 lengthens the mean radius by 0.1^2 / 2.
    assert abs(radius.mean() - 1.005) < 0.006 and abs(radius.std() - 0.1) < 0.006
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    quarters = np.histogram(angle, np.linspace(0, np.pi, 5))[0] / len(split)
    assert (np.abs(quarters - 0.25) < 0.03).all()


def test_seed_draws_the_training_points_and_never_the_test_points():
    first, second = data.load("ring8", seed=0), data.load("ring8", seed=1)
    np.testing.assert_array_equal(first.test.x, second.test.x)
    assert (first.train.x != second.train.x).any()
    np.testing.assert_array_equal(first.train.x, data.load("ring8", seed=0).train.x)
    assert not set(rows(first.train)) & set(rows(first.test))


# Binarization.


def test_threshold_is_half_of_the_range():
    grey, binary = data.load("digits"), data.load("digits", binarize="threshold")
    for part in PARTS:
        expected = getattr(grey, part).x / 16 >= 0.5
        np.testing.assert_array_equal(getattr(binary, part).x, expected)
    assert (binary.num_values, binary.levels, binary.binarize) == (2, 2, "threshold")


def test_fixed_draws_each_level_with_its_probability():
    """Binomial tests over all pixels of a level: false failure 1e-5 each, 15 levels."""
    grey, binary = data.load("digits"), data.load("digits", binarize="fixed", seed=9)
    levels = np.concatenate([getattr(grey, part).x.ravel() for part in PARTS])
    bits = np.concatenate([getattr(binary, part).x.ravel() for part in PARTS])
    assert not bits[levels == 0].any() and bits[levels == 16].all()
    for level in range(1, 16):
        drawn = bits[levels == level]
        assert scipy.stats.binomtest(int(drawn.sum()), len(drawn), level / 16).pvalue > 1e-5
    # Independent from pixel to pixel: residuals of neighbors do not go together.
    rest = (binary.train.x - grey.train.x / 16.0)[..., 0]
    assert abs(np.mean(rest[:, :, 1:] * rest[:, :, :-1])) < 3e-3


def test_fixed_bits_depend_on_neither_seed_nor_validation():
    base = data.load("digits", binarize="fixed")
    for options in ({"seed": 1}, {"validation": 500}, {"validation": 0}):
        other = data.load("digits", binarize="fixed", **options)
        assert rows(base.train) + rows(base.validation) == rows(other.train) + rows(other.validation)
        np.testing.assert_array_equal(base.test.x, other.test.x)


def test_dynamic_keeps_the_levels():
    grey, dynamic = data.load("digits"), data.load("digits", binarize="dynamic")
    np.testing.assert_array_equal(grey.train.x, dynamic.train.x)
    assert (dynamic.num_values, dynamic.levels) == (2, 17)


# Folders.


def write(path, array=None, mode="L", size=(6, 5), value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new(mode, size, value) if array is None else Image.fromarray(array)
    image.save(path)


def cut_short(path):
    write(path, np.random.RandomState(0).randint(0, 256, (40, 40)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:800])


def test_folder_reads_every_image_once_with_its_class(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (24, 5, 6, 3)).astype(np.uint8)
    for i, image in enumerate(images):
        write(tmp_path / ("dogs" if i % 3 else "cats") / f"{i}.png", image)
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "cats" / "notes.txt").write_text("")
    found = data.load(f"folder:{tmp_path}")
    assert (found.kind, found.event_shape, found.levels) == ("image", (5, 6, 3), 256)
    assert (found.num_classes, found.class_names) == (2, ("cats", "dogs"))
    assert [len(getattr(found, part)) for part in PARTS] == [17, 3, 4]
    expected = {image.tobytes(): int(i % 3 > 0) for i, image in enumerate(images)}
    splits = [getattr(found, part) for part in PARTS]
    pairs = [(row, int(y)) for split in splits for row, y in zip(rows(split), split.label, strict=True)]
    assert dict(pairs) == expected and len(pairs) == 24
    assert data.load(str(tmp_path)).fingerprint() == found.fingerprint()


def test_folder_obeys_split_folders(tmp_path):
    for i, part in enumerate(["train"] * 6 + ["val"] * 2 + ["test"] * 3):
        write(tmp_path / part / f"{i}.png", value=10 * i)
    found = data.load(str(tmp_path))
    values = [sorted(set(getattr(found, part).x.ravel())) for part in PARTS]
    assert values == [[0, 10, 20, 30, 40, 50], [60, 70], [80, 90, 100]]
    assert found.event_shape == (5, 6, 1) and found.num_classes is None
    assert len(data.load(str(tmp_path), validation=3).train) == 5


def test_image_size_takes_the_square_in_the_middle(tmp_path):
    """A white square in the middle of a wide, black image fills the result."""
    array = np.zeros((12, 40), np.uint8)
    array[:, 14:26] = 255
    for i in range(3):
        write(tmp_path / f"{i}.png", array)
    write(tmp_path / "odd.png", np.full((20, 9), 255, np.uint8))
    found = data.load(str(tmp_path), image_size=6)
    assert found.event_shape == (6, 6, 1)
    assert all(getattr(found, part).x.min() == 255 for part in PARTS)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [("1", 1, [255]), ("P", 0, [0]), ("RGB", "red", [255, 0, 0])],
)
def test_folder_converts_what_loses_nothing(tmp_path, mode, value, expected):
    for i in range(4):
        write(tmp_path / f"{i}.png", mode=mode, value=value)
    assert data.load(str(tmp_path)).train.x[0, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: cut_short(d / "x.png"), "x.png cannot be read"),
        (lambda d: (d / "x.jpg").write_bytes(b""), "x.jpg cannot be read"),
        (lambda d: write(d / "x.png", size=(7, 5)), "4 6x5 grey (0.png), 1 7x5 grey (x.png): --image_size"),
        (lambda d: write(d / "x.png", mode="RGB"), "4 6x5 grey (0.png), 1 6x5 RGB (x.png): --channels=3"),
        (lambda d: write(d / "x.png", mode="RGBA"), "x.png is transparent"),
        (lambda d: write(d / "x.tif", mode="I", value=70_000), "x.tif holds whole numbers beyond 16 bits"),
        (lambda d: (d / "x.py").write_text(""), "x.py is of no kind"),
        (lambda d: write(d / "cats" / "x.png"), "mixes files (0.png) with sub-folders (cats)"),
        (lambda d: [p.unlink() for p in d.iterdir()], "holds no files"),
        (lambda d: [(d / f"{i}.png").unlink() for i in (0, 1)], "holds 2 files"),
        (lambda d: shutil.rmtree(d), "is absent"),
    ],
)
def test_folder_names_what_is_wrong(tmp_path, spoil, words):
    for i in range(4):
        write(tmp_path / f"{i}.png")
    spoil(tmp_path)
    message = refused(str(tmp_path))
    assert words in message and ": " in message


def test_folder_refuses_deep_layouts(tmp_path):
    write(tmp_path / "a" / "b" / "x.png")
    assert "lies too deep" in refused(str(tmp_path))


# Names and options.


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("dgits", {}, "did you mean 'digits'"),
        ("mnits", {}, "did you mean 'mnist'"),
        ("qqqqqq", {}, "embedded are "),
        ("", {}, "name=''"),
        (3, {}, "name=3"),
        ("mnist/foo", {}, "'mnist/foo' cannot be opened: its configurations are none"),
        ("digits", {"binarize": "fxed"}, "did you mean 'fixed'"),
        ("ring8", {"binarize": "fixed"}, "real-valued vector"),
        ("digits", {"validation": 1437}, "validation=1437"),
        ("digits", {"image_size": 16}, "image_size=16"),
        ("folder:nowhere", {"image_size": 0}, "image_size=0"),
        ("./nowhere", {}, "'nowhere' is absent"),
        ("folder:", {}, "lacks a path"),
        (":x", {"data_dir": "."}, "':x' is unknown"),
        ("digits", {"unit": "line"}, "unit='line'"),
        ("digits", {"window": 0}, "window=0"),
        ("file:nowhere.txt", {}, "file 'nowhere.txt' is absent"),
        ("digits", {"num_labels": 9}, "num_labels=9 must be from 10, one for each class of data set 'di"),
        ("digits", {"num_labels": 1294}, "to 1293, its training examples"),
        ("digits", {"num_labels": 10.5}, "num_labels=10.5 is no whole number"),
        ("replies", {"num_labels": 9}, "but data set 'replies' has no labels"),
    ],
)
def test_load_refuses_in_one_line(name, options, words):
    assert words in refused(name, **options)


def test_every_embedded_set_loads_and_is_described():
    for name, description in data.names().items():
        found = data.load(name)
        assert found.name == name and len(description) > 20
        for part in PARTS:
            label = getattr(found, part).label
            if found.num_classes is None:
                assert label is None
            else:
                assert label.min() >= 0 and np.all(label.max(axis=0) < found.num_classes)


def test_what_embedded_sets_hold_never_changes():
    """A run opens only on the data it was trained on."""
    expected = {
        "digits": "d26ea2606a36b254", "photos": "c9c1f9db100270f7", "replies": "4b4df2301e0aab6c",
    }  # fmt: skip
    assert {name: data.load(name).fingerprint() for name in expected} == expected


def test_a_new_loader_is_one_registration():
    def chimes(request):
        return dataclasses.replace(data.load("ring8", seed=request.seed), kind="audio")

    registry.embedded("chimes", "sounds made for this test")(chimes)
    try:
        assert data.load("chimes").kind == "audio" and "chimes" in data.names()
        assert "chimes" in refused("chmes")
    finally:
        del registry.EMBEDDED["chimes"]


# TFDS.


def test_absent_set_fails_at_once_with_the_place_and_the_remedy(tmp_path):
    start = time.monotonic()
    message = refused("mnist", data_dir=tmp_path)
    assert time.monotonic() - start < 5
    assert str(tmp_path) in message and "--download" in message and "--data_dir" in message


def test_download_without_a_network_fails_at_once(tmp_path, monkeypatch):
    import requests

    def lost(*args, **options):
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", lost)
    message = refused("mnist", data_dir=tmp_path, download=True)
    assert "no connection to storage.googleapis.com" in message and "--data_dir" in message


def test_download_from_a_silent_network_fails_in_time(tmp_path, monkeypatch):
    import requests

    monkeypatch.setattr(requests, "get", lambda *args, **options: time.sleep(3))
    monkeypatch.setattr(catalog, "_PATIENCE", 0.2)
    start = time.monotonic()
    assert "no answer from storage.googleapis.com" in refused("mnist", data_dir=tmp_path, download=True)
    assert time.monotonic() - start < 2.5


def test_a_set_to_be_fetched_by_hand_says_so(tmp_path):
    assert "by hand" in refused("imagenet2012", data_dir=tmp_path, download=True)


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (["train", "test"], {"train": "train", "test": "test"}),
        (
            ["test", "train", "validation"],
            {"train": "train", "test": "test", "validation": "validation"},
        ),
        (["train", "validation"], {"train": "train", "test": "validation"}),
        (["train"], {"train": "train"}),
        (["train", "extra"], {"train": "train"}),
        (["small1", "small2"], {"train": "small1", "test": "small2"}),
        (["test"], {"train": "test"}),
    ],
)
def test_default_splits(available, expected):
    assert catalog._default_splits(available) == expected


@pytest.mark.slow
@needs_tfds
def test_mnist_is_mnist():
    """Counts of labels as published; the last 10,000 training images validate, in their order."""
    import tensorflow_datasets as tfds

    mnist = data.load("mnist", data_dir=TFDS)
    assert [len(getattr(mnist, part)) for part in PARTS] == [50_000, 10_000, 10_000]
    assert mnist.event_shape == (28, 28, 1) and mnist.num_values == mnist.levels == 256
    assert mnist.class_names == tuple("0123456789")
    train = np.concatenate([mnist.train.label, mnist.validation.label])
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train).tolist() == counts
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(mnist.test.label).tolist() == counts
    raw = tfds.load("mnist", data_dir=TFDS, split="train[49990:50010]", batch_size=-1)
    images = np.concatenate([mnist.train.x[-10:], mnist.validation.x[:10]])
    np.testing.assert_array_equal(images, raw["image"])


@pytest.mark.slow
@needs_tfds
def test_omniglot_tests_on_nothing_it_trained_on():
    full = data.load("omniglot", data_dir=TFDS, validation=0)
    assert full.event_shape == (105, 105, 1) and full.class_names is None
    assert (len(full.train), len(full.test)) == (2720, 2120)
    assert not set(rows(full.train)) & set(rows(full.test))


@needs_tfds
def test_slices_and_resizing():
    part = data.load("mnist:train[100:130],test[:7]", data_dir=TFDS, validation=5)
    assert [len(getattr(part, p)) for p in PARTS] == [25, 5, 7]
    alone = data.load("mnist:train[100:130]", data_dir=TFDS, image_size=14, validation=5)
    assert [len(getattr(alone, p)) for p in PARTS] == [20, 5, 5]
    assert alone.event_shape == (14, 14, 1)
    # Scaling keeps the ink: means of the same 30 images agree to rounding and ringing.
    means = [np.concatenate([getattr(d, p).x for p in ("train", "validation")]).mean() for d in (part, alone)]
    assert abs(means[0] - means[1]) < 4


@needs_tfds
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist:tran", "no split 'tran': take of train, test"),
        ("mnist:train,test,test", ":TRAIN or :TRAIN,TEST"),
        ("mnist:train[:2]", "has 2 to train on"),
        ("mnist:train[10:5]", "split 'train[10:5]' of data set 'mnist' is empty"),
        ("mnist:train[:9],train[:5]", "tests on nothing new"),
    ],
)
def test_tfds_names_what_is_wrong(name, words):
    assert words in refused(name, data_dir=TFDS)


@needs_tfds
@pytest.mark.parametrize("damage", ["absent", "cut", "flipped", "fewer"])
def test_broken_record_files_are_named(tmp_path, damage):
    place = tmp_path / "omniglot" / "3.0.0"
    shutil.copytree(TFDS / "omniglot" / "3.0.0", place)
    record = place / "omniglot-small1.tfrecord-00000-of-00001"
    content = record.read_bytes()
    record.unlink()
    if damage == "cut":
        record.write_bytes(content[:-100])
    elif damage == "flipped":
        middle = len(content) // 2
        record.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif damage == "fewer":
        record.write_bytes(b"")
    message = refused("omniglot", data_dir=tmp_path)
    assert "split 'small1'" in message and str(place) in message and "--download" in message
