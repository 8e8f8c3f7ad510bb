"""Data that stay on disk: read as arrays are, and equal to what memory would hold."""

import concurrent.futures
import errno
import gc
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.test_cli import trains
from tests.test_data import PARTS, refused
from tests.test_own_data import photos
from tfgen import data
from tfgen.cli import App
from tfgen.data import memory
from tfgen.data.kept import Kept, keeping
from tfgen.data.stream import Stream, blocks, joined

RNG = np.random.RandomState(0)


class Ascending:
    """Rows that, as HDF5 has it, are indexed by slices and by ascending numbers alone."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        if not isinstance(index, slice):
            assert len(index) and (np.diff(index) > 0).all()
        return self.array[index]


def alike(streamed, held, notes=True):
    """Checks that two data sets hold the same, the first as streams."""
    for part in PARTS:
        one, other = getattr(streamed, part), getattr(held, part)
        assert isinstance(one.x, Stream) and not isinstance(other.x, Stream)
        assert one.x.dtype == other.x.dtype and one.x.shape == other.x.shape
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.label, other.label)
    assert streamed.fingerprint() == held.fingerprint()
    assert streamed.meaning == held.meaning
    if notes:
        assert [note for note in streamed.notes if "as they are needed" not in note] == list(held.notes)


# Streams.


@pytest.mark.parametrize("taken", [False, True])
def test_a_stream_is_indexed_as_an_array(taken):
    array = RNG.randint(0, 256, (30, 4, 2))
    stream, order = Stream.of(Ascending(array)), RNG.permutation(30)[:20]
    if taken:
        stream, array = stream.take(order), array[order]
    many = [3, 1, 1, -2, 7]
    for index in (
        4,
        -1,
        np.int64(2),
        slice(2, 9),
        slice(None, None, -3),
        many,
        np.array([], int),
        array[:, 0, 0] > 99,
    ):
        np.testing.assert_array_equal(stream[index], array[index])
        if isinstance(index, slice) or np.ndim(index):
            np.testing.assert_array_equal(stream.take(index), array[index])
    np.testing.assert_array_equal(stream.map(lambda rows: rows.mean(axis=1))[many], array[many].mean(axis=1))
    assert (len(stream), stream.shape, stream.ndim, stream.size) == (len(array), array.shape, 3, array.size)
    np.testing.assert_array_equal(tf.cast(stream, tf.int32), array)
    for index in ([len(array)], [-len(array) - 1], np.zeros((2, 2), int), [0.5], [True, False]):
        with pytest.raises(IndexError):
            stream[index]


def test_streams_are_joined_and_come_in_blocks():
    array = RNG.normal(size=(50, 3))
    both = joined(Stream.of(Ascending(array[:20])), array[20:])
    index = RNG.randint(0, 50, 200)
    np.testing.assert_array_equal(both[index], array[index])
    np.testing.assert_array_equal(joined(array[:0], both), array)
    parts = list(blocks(both, 7 * 24))
    assert [len(part) for part in parts] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate(parts), array)
    assert list(blocks(both.take([]))) == []


def test_maps_are_read_from_their_files(tmp_path):
    """Views of a map lie at an offset, with a stride, or in Fortran's order."""
    array = RNG.normal(size=(9000, 5))
    np.save(tmp_path / "c.npy", array)
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    index = RNG.permutation(1000)[:300]
    for name in ("c", "f"):
        mapped = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        for view in (slice(None), slice(777, None), slice(1, None, 3), (slice(None), slice(1, 4))):
            np.testing.assert_array_equal(Stream.of(mapped[view])[index], array[view][index])
    written = np.load(tmp_path / "c.npy", mmap_mode="r+")
    stream = Stream.of(written)
    written[8, 2] = 77.0
    assert stream[8][2] == 77.0
    with open(tmp_path / "c.npy", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(OSError, match="c.npy has become shorter since it was opened"):
        stream[100:200]


# Images.


def test_a_folder_is_the_same_streamed_and_in_memory(tmp_path):
    name = photos(tmp_path, ("cat", "dog"))
    for options in (
        {}, {"binarize": "threshold"}, {"binarize": "dynamic"}, {"image_size": 3}, {"channels": 1},
        {"validation": 5}, {"num_labels": 4},
    ):  # fmt: skip
        streamed, held = (data.load(name, stream=stream, **options) for stream in (True, False))
        alike(streamed, held)
        if "num_labels" in options:
            few = [each.train.streams["labelled"] for each in (streamed, held)]
            np.testing.assert_array_equal(few[0].x, few[1].x)
    assert "binarize='fixed' draws all values" in refused(name, stream=True, binarize="fixed")
    assert "; read as they are needed, and, once decoded, kept in" in data.summary(streamed)


def test_bad_images_are_reported_alike_before_anything_is_trained(tmp_path):
    name = photos(tmp_path)
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:50])
    (tmp_path / "7.png").write_text("no image")
    told = refused(name, stream=True)
    assert told == refused(name)
    assert "3.png cannot be read (image file is truncated" in told
    assert "7.png cannot be read (is no image)" in told
    alike(*(data.load(name, stream=stream, skip_bad=True) for stream in (True, False)))
    Image.fromarray(np.zeros((6, 4, 3), np.uint8)).save(tmp_path / "9.png")
    told = refused(name, stream=True, skip_bad=True)
    assert told == refused(name, skip_bad=True) and "images differ" in told


def test_what_would_take_a_third_of_the_free_memory_is_streamed(tmp_path, monkeypatch):
    name, size = photos(tmp_path / "photos"), 18 * 48
    np.save(tmp_path / "x.npy", np.zeros((20, 100), np.uint8))
    monkeypatch.setattr(memory, "available", lambda: 3 * size)
    assert not isinstance(data.load(name).train.x, Stream)
    monkeypatch.setattr(memory, "available", lambda: 3 * size - 3)
    found = data.load(name)
    assert isinstance(found.train.x, Stream) and "(--nostream holds them in memory)" in data.summary(found)
    assert not isinstance(data.load(name, stream=False).train.x, Stream)
    assert isinstance(data.load(f"file:{tmp_path / 'x.npy'}").train.x, Stream)
    monkeypatch.undo()
    assert 0 < memory.available() <= 1 << 60


# What was decoded once.


class Decoder:
    """Rows of an array, and how often each was asked for."""

    def __init__(self, array):
        self.array, self.times = array, np.zeros(len(array), int)

    def __call__(self, numbers):
        assert (np.diff(numbers) > 0).all()
        self.times[numbers] += 1
        return self.array[numbers]

    def kept(self, folder):
        return Kept(self, len(self.array), self.array.shape[1:], self.array.dtype, folder)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_was_decoded_is_read_back_and_no_other(dtype, tmp_path):
    """Choices that overlap, alone and by threads; two readers in one folder; a file that nobody can leave."""
    array = RNG.randint(0, 256, (300, 5, 3)).astype(dtype)
    decoders = Decoder(array), Decoder(array + 1)
    one, other = (decoder.kept(tmp_path) for decoder in decoders)
    choices = [RNG.permutation(300)[: RNG.randint(1, 80)] for _ in range(12)]
    for choice in choices:
        np.testing.assert_array_equal(Stream(one, 300, (5, 3), dtype)[choice], array[choice])
        np.testing.assert_array_equal(other(np.sort(choice)), array[np.sort(choice)] + 1)
    seen = np.unique(np.concatenate(choices))
    for decoder in decoders:
        assert (decoder.times[seen] == 1).all() and decoder.times.sum() == len(seen)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for choice, rows in zip(
            choices, pool.map(decoders[0].kept(tmp_path), map(np.sort, choices)), strict=True
        ):
            np.testing.assert_array_equal(rows, array[np.sort(choice)])
    assert not list(tmp_path.iterdir())
    file = one._file
    assert os.fstat(file).st_size > 0
    del one
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_a_disk_that_fills_up_is_said_once_and_nothing_is_lost(tmp_path, monkeypatch, capsys):
    array = RNG.randint(0, 256, (60, 100)).astype(np.uint8)
    decoder = Decoder(array)
    kept, write, left = decoder.kept(tmp_path), os.pwrite, [2550]

    def fills(file, part, place):
        count = min(len(part), left[0])
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= count
        return write(file, part[:count], place)

    monkeypatch.setattr(os, "pwrite", fills)
    for _ in range(2):
        for start in (0, 20, 40):
            numbers = np.arange(start, start + 20)
            np.testing.assert_array_equal(kept(numbers), array[numbers])
    assert (decoder.times == 2).all() and os.fstat(kept._file).st_size == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"decoded examples are no longer kept in {tmp_path} (No space left on device): they are decoded "
        "anew in each pass, and the space is free again"
    ]


def test_what_would_fill_the_disk_is_decoded_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    usage, decoder = shutil.disk_usage(tmp_path), Decoder(np.zeros((30, 2**20), np.uint8))
    for free, share in ((90, True), (89, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free * 2**20))
        read, told = keeping(decoder, 30, (2**20,), np.uint8)
        assert isinstance(read, Kept) == share
        if share:
            assert told == f"and, once decoded, kept in {tmp_path} until the run ends (30.0 MiB)"
        else:
            assert read is decoder and told == (
                "and decoded anew in each pass, since 30.0 MiB are more than a third of the 89.0 MiB that "
                f"are free in {tmp_path}; TMPDIR names another folder to keep them in"
            )


def test_a_folder_is_decoded_no_more_than_twice(tmp_path, monkeypatch):
    """Once to be looked at, once for the fingerprint; not for the passes."""
    from tfgen.data import images

    streamed, calls, read = data.load(photos(tmp_path), stream=True), [], images._read
    monkeypatch.setattr(
        streamed.train.x.read.read, "decode", lambda path: calls.append(path) or read(path, None, None, None)
    )
    streamed.fingerprint()
    assert len(calls) == len(set(calls)) == 18
    np.testing.assert_array_equal(streamed.train.x, streamed.train.x[:])
    assert len(calls) == 18


# Arrays.


@pytest.mark.parametrize(
    "x",
    [
        RNG.randint(0, 256, (30, 4, 4), np.uint8),
        RNG.uniform(size=(30, 4, 4, 3)).astype(np.float32),
        RNG.randint(0, 256, (30, 3, 4, 4)),
        np.concatenate([RNG.randint(0, 99, (30, 4, 4, 3)), np.full((30, 4, 4, 1), 255)], -1).astype(np.uint8),
        RNG.normal(size=(30, 5)) * 3 + 1000,
        RNG.normal(size=30),
        RNG.uniform(size=(30, 2)) > 0.5,
    ],
    ids=["grey", "unit", "channels first", "alpha", "vectors", "numbers", "bools"],
)
def test_files_of_arrays_are_the_same_streamed_and_in_memory(x, tmp_path):
    y = np.arange(30) % 3
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "xy.npz", x=x, y=y)
    for name in ("x.npy", "xy.npz"):
        alike(*(data.load(f"file:{tmp_path / name}", stream=stream) for stream in (True, False)))
    held = data.Data.from_arrays(x, y, standardize=True)
    alike(data.Data.from_arrays(Ascending(x), y, standardize=True), held)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    alike(data.Data.from_arrays(mapped, y, standardize=True), held)
    assert data.Data.from_arrays(np.array(mapped), y, standardize=True).fingerprint() == held.fingerprint()


def test_arrays_by_split_are_streamed(tmp_path):
    for name, count in (("x_train", 20), ("x_valid", 6), ("x_test", 5)):
        np.save(tmp_path / f"{name}.npy", RNG.normal(size=(count, 3)))
        np.save(tmp_path / f"{name.replace('x', 'y')}.npy", np.arange(count) % 2)
    for options in ({}, {"validation": 4}):
        alike(*(data.load(f"folder:{tmp_path}", stream=stream, **options) for stream in (True, False)))


def test_statistics_do_not_depend_on_where_the_examples_are(monkeypatch):
    """Blocks of 7 rows, in memory as in a stream, and up to rounding what NumPy says."""
    monkeypatch.setattr("tfgen.data.stream._BLOCK", 7 * 24)
    x = RNG.normal(size=(100, 3)) + [0.0, 100.0, 1e4]
    found = [
        data.Data.from_arrays(each, test=x[:5], validation=x[:5], standardize=True)
        for each in (Ascending(x), x)
    ]
    assert found[0].fingerprint() == found[1].fingerprint()
    np.testing.assert_allclose(found[0].mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found[0].deviation, x.std(axis=0), rtol=1e-10)


def test_streams_are_refused_as_arrays_are(tmp_path, monkeypatch):
    monkeypatch.setattr("tfgen.data.stream._BLOCK", 64)
    x = RNG.normal(size=(40, 2))
    x[[17, 30], 1] = np.nan
    told = []
    for each in (Ascending(x), x):
        with pytest.raises(data.DataError) as caught:
            data.Data.from_arrays(each)
        told.append(str(caught.value))
    assert told[0] == told[1] and "nan in row 18, column 2 and 1 more" in told[0]
    np.savez_compressed(tmp_path / "packed.npz", x=x)
    assert "is compressed and cannot be read in parts" in refused(f"file:{tmp_path}/packed.npz", stream=True)
    np.savez(tmp_path / "objects.npz", x=np.array([{}, []], object))
    assert "it holds Python objects" in refused(f"file:{tmp_path}/objects.npz", stream=True)
    (tmp_path / "t.csv").write_text("a\n1\n2\n3\n")
    assert "stream is for images, .npy and .npz: leave it out for t.csv" in refused(
        f"file:{tmp_path}/t.csv", stream=True
    )
    assert "stream=True is for folders and files of your own" in refused("digits", stream=True)


# Runs.


@pytest.mark.slow
def test_a_run_says_that_it_streams_and_ends_with_the_same_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tfgen.training.batches._WINDOW", 400)
    own = f"--dataset={photos(tmp_path / 'photos', each=40)}", "--binarize=dynamic", "--seed=1"
    trains("Pixels", tmp_path / "a", *own, "--stream", batch_size=8)
    assert "; read as they are needed" in capsys.readouterr().out.splitlines()[0]
    trains("Pixels", tmp_path / "b", *own, batch_size=8, steps=10)
    assert "as they are needed" not in capsys.readouterr().out
    # Where the examples lie may change on the way.
    trains("Pixels", tmp_path / "b", "--resume", "--stream", "--steps=20", batch_size=8)
    assert "; read as they are needed" in capsys.readouterr().out.splitlines()[0]
    App("tests.cli_toys.Pixels").main(["evaluate", "--stream", f"--run_dir={tmp_path / 'a'}"])
    figures = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in "ab"]
    again = json.loads(next((tmp_path / "a/evaluations").iterdir()).read_text())
    assert figures[0]["metrics"] == figures[1]["metrics"] == again["metrics"]
    assert figures[0]["data"] == figures[1]["data"] == again["data"]
    assert (tmp_path / "a/metrics.csv").read_bytes() == (tmp_path / "b/metrics.csv").read_bytes()
