"""Sequences of vectors as data: planted regimes, spoken digits as cepstra, sequences of one's own."""

import numpy as np
import pytest
import scipy.signal

from tests.real_data import REAL, needs
from tests.test_data import PARTS
from tfgen import data
from tfgen.data import DataError, regimes
from tfgen.media.cepstra import cepstra, mel_filters, with_differences


def test_regimes_are_drawn_from_their_law():
    found = data.load("regimes")
    assert (found.kind, found.event_shape, found.num_values) == ("sequence", (None, 2), None)
    assert [len(getattr(found, part)) for part in PARTS] == [900, 100, 300]
    assert "sequences of up to 100 steps of 2 numbers" in data.summary(found)
    start, transitions, means, covariances = regimes.law()
    x, states, lengths = found.train.x, found.train.extra["states"], found.train.extra["lengths"]
    assert lengths.min() >= 50 and lengths.max() == 100
    counted = np.arange(100) < lengths[:, None]
    assert not x[~counted].any()
    np.testing.assert_allclose(np.bincount(states[:, 0]) / 900, start, atol=0.05)
    pairs = np.zeros((3, 3))
    both = counted[:, 1:]
    np.add.at(pairs, (states[:, :-1][both], states[:, 1:][both]), 1)
    np.testing.assert_allclose(pairs / pairs.sum(1, keepdims=True), transitions, atol=0.01)
    for state in range(3):
        mine = x[counted & (states == state)]
        np.testing.assert_allclose(mine.mean(0), means[state], atol=0.03)
        np.testing.assert_allclose(np.cov(mine.T), covariances[state], atol=0.03)
    other = data.load("regimes", seed=1)
    np.testing.assert_array_equal(found.test.x, other.test.x)
    assert not np.array_equal(found.train.x, other.train.x)


def test_sequences_of_several_lengths_are_filled_up():
    draw = np.random.RandomState(0)
    sequences = [draw.randn(n, 3) for n in (4, 2, 5, 1, 3, 6)]
    labels = ["a", "b", "a", "b", "a", "b"]
    test = ([np.ones((9, 3))], ["b"])
    found = data.Data.from_arrays(sequences, labels, test=test, validation=0, kind="sequence", name="own")
    assert found.kind == "sequence" and found.event_shape == (None, 3) and found.class_names == ("a", "b")
    assert found.train.x.shape == (6, 9, 3) and found.test.x.shape == (1, 9, 3)
    kept = {}
    for x, label, n in zip(found.train.x, found.train.label, found.train.extra["lengths"], strict=True):
        assert not x[n:].any()
        kept[int(n)] = (x[:n], label)
    for sequence, label in zip(sequences, labels, strict=True):
        np.testing.assert_array_equal(kept[len(sequence)][0], sequence.astype(np.float32))
        assert found.class_names[kept[len(sequence)][1]] == label
    # A sixth is cut off where no test part is given; single numbers are vectors of one.
    cut = data.Data.from_arrays([row[:, 0] for row in sequences], kind="sequence")
    assert cut.event_shape == (None, 1) and [len(getattr(cut, part)) for part in PARTS] == [4, 1, 1]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.zeros((0, 2)), "row 1 of x has no steps: leave it out"),
        (np.zeros((3, 1)), "row 1 of x has steps of 1 numbers, row 0 of 2: give all one width"),
        (np.array([[0, 1], [np.nan, np.inf]]), "x misses values, nan in row 1, step 1, column 0 and 1 more"),
        (np.zeros((2, 2, 2)), r"row 1 of x holds float64 values \(2, 2, 2\): give numbers \[T, D\]"),
        (np.array([["a", "b"]]), r"row 1 of x holds str\d+ values \(1, 2\): give numbers"),
    ],
)
def test_broken_sequences_are_refused_by_row(broken, message):
    with pytest.raises(DataError, match=message):
        data.Data.from_arrays([np.zeros((4, 2)), broken, np.ones((2, 2))], kind="sequence")
    with pytest.raises(DataError, match="x holds no sequences"):
        data.Data.from_arrays([], kind="sequence")


def test_cepstra_are_the_cosine_transform_of_the_mel_spectrum():
    """By sums over sines and cosines, frame by frame."""
    draw = np.random.RandomState(0)
    sound, rate = draw.randn(900) * 0.1, 8000
    found = cepstra(sound, rate)
    # Frames of 200 samples, one each 80.
    assert found.shape == (9, 13)
    emphasized = np.append(sound[0], sound[1:] - 0.97 * sound[:-1])
    edges = 700.0 * (10.0 ** (np.linspace(0, 2595.0 * np.log10(1 + 4000 / 700), 28) / 2595.0) - 1.0)
    frequencies = np.arange(129) * rate / 256
    for number in (0, 5):
        frame = emphasized[80 * number : 80 * number + 200] * scipy.signal.get_window(
            "hamming", 200, fftbins=False
        )
        angle = 2.0 * np.pi * np.outer(np.arange(129), np.arange(200)) / 256
        power = ((np.cos(angle) @ frame) ** 2 + (np.sin(angle) @ frame) ** 2) / 256
        triangles = [np.interp(frequencies, edges[k : k + 3], [0.0, 1.0, 0.0], 0.0, 0.0) for k in range(26)]
        log_energy = np.log(np.array(triangles) @ power + 1e-10)
        k, n = np.arange(13)[:, None], np.arange(26)
        scale = np.where(k == 0, np.sqrt(1 / 26), np.sqrt(2 / 26))
        np.testing.assert_allclose(found[number], (scale * np.cos(np.pi * k * (n + 0.5) / 26)) @ log_energy)
    assert cepstra(sound[:50], rate).shape == (1, 13)
    assert mel_filters(26, 256, rate).shape == (129, 26)


def test_differences_are_slopes():
    line = np.arange(8.0)[:, None] * [1.0, -2.0] + 3.0
    found = with_differences(line)
    np.testing.assert_array_equal(found[:, :2], line)
    np.testing.assert_allclose(found[2:-2, 2:4], [[1.0, -2.0]] * 4)
    # Of a parabola t^2 the slope is 2 t, the second one 2.
    parabola = with_differences(np.square(np.arange(12.0))[:, None])
    np.testing.assert_allclose(parabola[4:-4, 1], 2.0 * np.arange(12)[4:-4])
    np.testing.assert_allclose(parabola[4:-4, 2], 2.0)


@pytest.mark.slow
@needs(REAL / "speech")
def test_spoken_cepstra_are_the_recordings_of_spoken_digits():
    found = data.load("spoken_cepstra", data_dir=REAL)
    with np.load(REAL / "speech" / "free_spoken_digits_8k.npz") as file:
        take, label, offsets, audio = (file[name] for name in ("take", "label", "offsets", "audio"))
    assert (found.kind, found.event_shape, found.num_classes) == ("sequence", (None, 39), 10)
    assert [len(getattr(found, part)) for part in PARTS] == [2430, 270, 300]
    np.testing.assert_array_equal(found.test.label, label[take < 5])
    samples = np.diff(offsets)[take < 5]
    np.testing.assert_array_equal(found.test.extra["lengths"], np.maximum(samples - 200, 0) // 80 + 1)
    counted = np.arange(found.train.x.shape[1]) < found.train.extra["lengths"][:, None]
    np.testing.assert_allclose(found.train.x[counted].std(axis=0), 1.0, atol=1e-3)
    first = int(np.flatnonzero(take < 5)[0])
    wave = audio[offsets[first] : offsets[first + 1]] / 2.0**15
    own = with_differences(cepstra(wave, 8000) - cepstra(wave, 8000).mean(axis=0))
    n = found.test.extra["lengths"][0]
    ratio = own[:n] / found.test.x[0, :n]
    np.testing.assert_allclose(ratio, np.broadcast_to(np.median(ratio, axis=0), ratio.shape), rtol=1e-2)
