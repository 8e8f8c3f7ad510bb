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
            "2 have 8000 (a.wav), 1 have 44100 (c.wav): --rate=8000",
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


def tone(path, rate=8000, channels=1, scale=0.5, dtype=np.float32, seconds=0.1, hertz=400):
    wave = scale * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    wave = wave if channels == 1 else np.stack([wave, 0 * wave], 1)
    path.parent.mkdir(exist_ok=True)
    wavfile.write(path, rate, wave.astype(dtype))


def waves(found):
    """The waves of all windows, what fills them up left out."""
    return np.concatenate([
        sounds.decode(part.x[np.arange(part.x.shape[1]) < part.extra["lengths"][:, None]])
        for part in (found.train, found.validation, found.test)
    ])  # fmt: skip


def test_floats_on_the_scale_of_16_bits_are_brought_to_1(tmp_path):
    for i in range(3):
        tone(tmp_path / f"{i}.wav", scale=16_384.0)
    found = data.load(f"folder:{tmp_path}", window=100)
    assert abs(np.abs(waves(found)).max() - 0.5) < 0.01
    assert "3 on the scale of 16-bit numbers, divided by 32768" in data.summary(found)


@pytest.mark.parametrize(
    ("scale", "words"), [(3.0, "with a peak of 3: scale it to 1"), (1e6, "a peak of 1e+06")]
)
def test_what_would_be_clipped_is_refused(tmp_path, scale, words):
    for i in range(3):
        tone(tmp_path / f"{i}.wav", scale=scale)
    message = refused(f"folder:{tmp_path}")
    assert "would be clipped in" in message and words in message


def test_a_little_clipping_is_said(tmp_path):
    for i in range(3):
        wave = 0.5 * np.sin(np.arange(1000.0)).astype(np.float32)
        wave[:5] = 1.2
        wavfile.write(tmp_path / f"{i}.wav", 8000, wave)
    assert "3 clipped in less than 1 % of the samples" in data.summary(data.load(f"folder:{tmp_path}"))


def test_channels_are_mixed_down_and_rates_made_one(tmp_path):
    tone(tmp_path / "a.wav", rate=16_000)
    tone(tmp_path / "b.wav", rate=44_100)
    tone(tmp_path / "c.wav", rate=8000, channels=2, dtype=np.float32)
    assert "c.wav has 2 channels: mix them down to one, as --mono does" in refused(f"folder:{tmp_path}")
    assert "--rate=8000 resamples all" in refused(f"folder:{tmp_path}", mono=True)
    found = data.load(f"folder:{tmp_path}", mono=True, rate=8000, window=800)
    assert found.rate == 8000 and "1 resampled from 44100 to 8000" in data.summary(found)
    assert "1 mixed down to one channel" in data.summary(found)
    rows = np.concatenate([getattr(found, part).x for part in PARTS])
    assert len(rows) == 3
    power = np.abs(np.fft.rfft(sounds.decode(rows), axis=1))
    # 400 Hz is bin 40 of 800 samples at 8 kHz, whatever rate it came in; the mixed one is half as loud.
    np.testing.assert_array_equal(power.argmax(1), 40)
    np.testing.assert_allclose(sorted(power.max(1) * 2 / 800), [0.25, 0.5, 0.5], atol=0.01)


def test_bad_recordings_are_in_one_report(tmp_path):
    for i in range(4):
        tone(tmp_path / f"{i}.wav")
    record(tmp_path / "soft.wav", 90, value=1)
    record(tmp_path / "zero.wav", 90, value=0)
    (tmp_path / "text.wav").write_text("no sound")
    message = refused(f"folder:{tmp_path}")
    assert "3 of 7 files" in message and "text.wav cannot be read as WAV" in message
    assert "soft.wav is so soft that all of it is silence in 256 levels" in message
    assert "zero.wav is silent from beginning to end" in message
    found = data.load(f"folder:{tmp_path}", skip_bad=True)
    assert "3 of 7 files left out" in data.summary(found)


def test_silent_windows_are_said(tmp_path):
    wave = np.zeros(4000, np.int16)
    wave[:1000] = 9000
    for i in range(3):
        wavfile.write(tmp_path / f"{i}.wav", 8000, wave)
    told = data.summary(data.load(f"folder:{tmp_path}", window=1000))
    assert "75% of the windows are silent" in told
