"""Sounds as data: tones, spoken digits, folders of recordings."""

import numpy as np
import pytest
from scipy.io import wavfile

from tests.real_data import REAL, needs
from tests.test_data import PARTS, refused
from tfgen import data
from tfgen.data import audio
from tfgen.media import sounds

needs_speech = needs(REAL / "speech")


def test_tones_have_the_pitch_of_their_label():
    found = data.load("tones")
    assert (found.kind, found.event_shape, found.num_values, found.rate) == ("audio", (None,), 256, 8000)
    assert [len(getattr(found, part)) for part in PARTS] == [1800, 200, 500]
    assert found.num_classes == 3 and set(found.test.label) == {0, 1, 2}
    power = np.abs(np.fft.rfft(sounds.decode(found.test.x), axis=1)) ** 2
    np.testing.assert_array_equal(np.argmax(power, axis=1), np.array(audio.TONES)[found.test.label])
    # Noise and mu-law's error are all that is elsewhere.
    assert np.all(power.max(1) > 0.95 * power[:, 1:].sum(1))
    amplitude = 2 / 1024 * np.sqrt(power.max(1))
    assert 0.29 < amplitude.min() < 0.35 and 0.85 < amplitude.max() < 0.91
    assert data.load("tones", window=300).train.x.shape == (1800, 300)


def test_the_seed_draws_the_training_tones_and_never_the_test_tones():
    first, second = data.load("tones"), data.load("tones", seed=1)
    np.testing.assert_array_equal(first.test.x, second.test.x)
    assert not np.array_equal(first.train.x, second.train.x)


@needs_speech
def test_spoken_digits_are_the_recordings_in_windows():
    found = data.load("spoken_digits", data_dir=REAL)
    with np.load(REAL / "speech" / "free_spoken_digits_8k.npz") as file:
        stored = {name: file[name] for name in file.files}
    assert found.num_classes == (6, 10) and found.class_names[0] == tuple(stored["speaker_names"])
    assert found.class_names[1] == tuple("0123456789") and found.rate == 8000
    # The test part holds takes 0 to 4 in their order, and every sample of them.
    test = np.flatnonzero(stored["take"] < 5)
    wanted = [stored["audio"][stored["offsets"][i] : stored["offsets"][i + 1]] for i in test]
    inside = np.arange(4096) < found.test.extra["lengths"][:, None]
    np.testing.assert_array_equal(found.test.x[inside], sounds.encode(np.concatenate(wanted) / 32768.0))
    assert np.all(found.test.x[~inside] == sounds.encode(0.0))
    rows = np.repeat(test, [-(-len(w) // 4096) for w in wanted])
    np.testing.assert_array_equal(found.test.label, np.stack([stored["speaker"], stored["label"]], 1)[rows])
    total = sum(getattr(found, part).extra["lengths"].sum() for part in PARTS)
    assert total == len(stored["audio"])
    pairs = np.unique(found.validation.label @ [10, 1], return_counts=True)[1]
    assert len(pairs) == 60 and pairs.min() >= 3


@needs_speech
def test_a_recording_stays_on_one_side_of_the_cut():
    """Windows of the same recordings, whatever their size."""
    fine, whole = (data.load("spoken_digits", data_dir=REAL, window=w) for w in (2048, 20_000))
    for part in PARTS:
        a, b = getattr(fine, part), getattr(whole, part)
        assert a.extra["lengths"].sum() == b.extra["lengths"].sum()
        assert len(b) == {"train": 2430, "validation": 270, "test": 300}[part]


def test_absent_speech_names_the_path_and_the_remedy(tmp_path):
    assert "DATA_DIR/speech/free_spoken_digits_8k.npz: give --data_dir" in refused("spoken_digits")
    message = refused("spoken_digits", data_dir=tmp_path)
    assert f"{tmp_path}/speech/free_spoken_digits_8k.npz is absent" in message and "--data_dir" in message
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "free_spoken_digits_8k.npz").write_bytes(b"no archive")
    assert "cannot be read" in refused("spoken_digits", data_dir=tmp_path)


def record(path, samples, rate=8000, value=1000):
    path.parent.mkdir(exist_ok=True)
    wavfile.write(path, rate, np.full(samples, value, np.int16))


def test_a_folder_of_recordings_has_its_classes_and_windows(tmp_path):
    for i in range(6):
        record(tmp_path / "high" / f"{i}.wav", 25, value=20_000 + i)
        record(tmp_path / "low" / f"{i}.wav", 10, value=100 * (i + 1))
    found = data.load(f"folder:{tmp_path}", window=10)
    assert found.class_names == ("high", "low") and found.num_classes == 2 and found.rate == 8000
    rows = np.concatenate([getattr(found, part).x for part in PARTS])
    lengths = np.concatenate([getattr(found, part).extra["lengths"] for part in PARTS])
    label = np.concatenate([getattr(found, part).label for part in PARTS])
    assert len(rows) == 6 * 3 + 6 and sorted(lengths) == [5] * 6 + [10] * 18
    high = sounds.encode(20_000 / 32768)
    assert np.all((rows[:, 0] >= high) == (label == 0))
    np.testing.assert_array_equal(rows[lengths == 5][:, 5:], 128)


def test_one_file_is_cut_in_time(tmp_path):
    wave = np.arange(1000, dtype=np.int16) * 10
    wavfile.write(tmp_path / "a.wav", 16_000, wave)
    found = data.load(f"file:{tmp_path / 'a.wav'}", window=100)
    assert found.rate == 16_000 and found.num_classes is None
    assert [len(getattr(found, part)) for part in PARTS] == [9, 1, 1]
    assert [list(getattr(found, part).extra["lengths"]) for part in PARTS[1:]] == [[50], [50]]
    inside = [
        p.x[np.arange(100) < p.extra["lengths"][:, None]] for p in (found.train, found.validation, found.test)
    ]
    np.testing.assert_array_equal(np.concatenate(inside), sounds.encode(wave / 32768))


def test_folders_of_splits_are_obeyed(tmp_path):
    for part in PARTS:
        record(tmp_path / part / "a.wav", 7, value=1000)
    found = data.load(f"folder:{tmp_path}", window=4)
    assert [p.extra["lengths"].tolist() for p in (found.train, found.validation, found.test)] == [[4, 3]] * 3


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda d: record(d / "c.wav", 9, rate=44_100),
            "c.wav has 44100 samples a second and a.wav has",
        ),
        (lambda d: record(d / "c.wav", 9, value=0), "c.wav is silent from beginning to end"),
        (lambda d: record(d / "c.wav", 0), "c.wav holds no samples"),
        (lambda d: wavfile.write(d / "c.wav", 8000, np.ones((9, 2), np.int16)), "c.wav has 2 channels: mix"),
        (lambda d: (d / "c.wav").write_text("no sound"), "c.wav cannot be read as WAV"),
        (lambda d: (d / "c.png").write_text("no sound"), "mixes kinds"),
    ],
)
def test_what_is_wrong_with_a_recording_is_named(tmp_path, spoil, words):
    for name in ("a.wav", "b.wav"):
        record(tmp_path / name, 9)
    spoil(tmp_path)
    assert words in refused(f"folder:{tmp_path}")


def test_a_file_too_short_to_cut_is_named(tmp_path):
    record(tmp_path / "a.wav", 9)
    assert "a.wav is too short to be cut in three" in refused(f"file:{tmp_path / 'a.wav'}")
