"""Mu-law levels and WAV files."""

import struct
import wave

import numpy as np
import pytest
from scipy.io import wavfile

from tfgen.media import sounds


@pytest.mark.parametrize("num_values", [2, 3, 16, 256, 1024])
def test_every_level_comes_back_and_is_the_nearest_in_the_companded_scale(num_values):
    levels = np.arange(num_values)
    table = sounds.decode(levels, num_values)
    assert table[0] == -1.0 and table[-1] == 1.0 and table.dtype == np.float32
    assert np.all(np.diff(table) > 0.0)
    np.testing.assert_allclose(table, -table[::-1], atol=1e-7)
    np.testing.assert_array_equal(sounds.encode(table, num_values), levels)
    mu = num_values - 1
    x = np.linspace(-1.0, 1.0, 10_001)
    companded = np.sign(x) * np.log(1 + mu * np.abs(x)) / np.log(1 + mu)
    error = 2.0 * sounds.encode(x, num_values) / mu - 1.0 - companded
    assert np.abs(error).max() <= 1.0 / mu + 1e-12


def test_a_round_trip_stays_within_half_a_step():
    x = np.random.default_rng(0).uniform(-1.0, 1.0, 10_000)
    levels = sounds.encode(x).astype(int)
    table = sounds.decode(np.arange(256)).astype(float)
    # Within the cell of its level, whose ends are half a companded step away.
    ends = sounds.decode(np.clip(np.arange(257) - 0.5, 0, 255)).astype(float)
    assert np.all((x >= ends[levels] - 1e-7) & (x <= ends[levels + 1] + 1e-7))
    assert np.abs(table[levels] - x).max() < 0.022


def test_known_values():
    """mu = 255: F(1/255) = 1/8, F(3/255) = 1/4, F(15/255) = 1/2, F(1) = 1, by (1 + 255 x) = 256^F."""
    x = np.array([0.0, 1.0, 3.0, 15.0, 255.0]) / 255.0
    np.testing.assert_array_equal(
        sounds.encode(x), np.floor(127.5 * (1 + np.array([0, 1 / 8, 1 / 4, 1 / 2, 1])) + 0.5)
    )
    np.testing.assert_array_equal(sounds.encode(-x[1:]), 255 - sounds.encode(x[1:]))
    np.testing.assert_allclose(sounds.decode(127.5 * 1.5), 15.0 / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(sounds.encode([-7.0, 7.0]), [0, 255])
    assert sounds.encode(0.0) == 128 and sounds.encode(0.5).dtype == np.uint8
    assert sounds.encode(0.5, 300).dtype == np.int32


def test_g711_is_the_same_curve_in_segments():
    """ITU-T G.711's decoder: 8 segments of 16 steps, 4 ((2 m + 33) 2^e - 33) of 32,124.

    1 + f exceeds 2^f by 0.086 at most, half of which is left in the highest segment.
    """
    segment, mantissa = np.divmod(np.arange(128), 16)
    linear = 4 * (((2 * mantissa + 33) << segment) - 33) / 32124
    ours = sounds.decode(128 + np.arange(128)).astype(float)
    assert np.abs(linear - ours).max() < 0.043
    assert np.abs(linear - ours)[::16].max() < 0.011


@pytest.mark.parametrize("values", [[np.nan], [np.inf, 0.0]])
def test_what_is_not_finite_is_refused(values):
    with pytest.raises(ValueError, match="sound must hold finite values"):
        sounds.encode(values)


def test_levels_beyond_the_last_are_refused():
    with pytest.raises(ValueError, match="levels must hold values from 0 to 255"):
        sounds.decode([256])
    with pytest.raises(ValueError, match="num_values must be at least 2, got 1"):
        sounds.encode([0.0], 1)


def test_a_wav_file_comes_back_to_the_bit(tmp_path):
    stored = np.random.default_rng(1).integers(-32768, 32768, 1001).astype(np.int16)
    sounds.write(tmp_path / "a.wav", stored / 32768.0, 11025)
    rate, by_scipy = wavfile.read(tmp_path / "a.wav")
    assert rate == 11025 and by_scipy.dtype == np.int16
    np.testing.assert_array_equal(by_scipy, stored)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 11025, 1001)
    sound, rate = sounds.read(tmp_path / "a.wav")
    assert rate == 11025 and sound.dtype == np.float32
    np.testing.assert_array_equal(sound, (stored / 32768.0).astype(np.float32))
    sounds.write(tmp_path / "a.wav", [2.0, -2.0], 8000)
    np.testing.assert_array_equal(wavfile.read(tmp_path / "a.wav")[1], [32767, -32768])
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([0, 64, 128, 192, 255], np.uint8), [-1.0, -0.5, 0.0, 0.5, 127 / 128]),
        (np.array([-(2**31), 2**30], np.int32), [-1.0, 0.5]),
        (np.array([-1.0, 0.25], np.float32), [-1.0, 0.25]),
        (np.array([-1.0, 0.25], np.float64), [-1.0, 0.25]),
        (np.array([[16384], [-16384]], np.int16), [0.5, -0.5]),
    ],
)
def test_other_kinds_of_samples_are_read(tmp_path, stored, expected):
    wavfile.write(tmp_path / "a.wav", 8000, stored)
    np.testing.assert_array_equal(sounds.read(tmp_path / "a.wav")[0], np.float32(expected))


def test_24_bits_are_read(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 3, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<i", v << 8)[1:] for v in (2**22, -(2**22))))
    np.testing.assert_allclose(sounds.read(tmp_path / "a.wav")[0], [0.5, -0.5], atol=1e-6)


def test_what_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "a.wav"
    for write, words in (
        (
            lambda: wavfile.write(path, 8000, np.zeros((5, 2), np.int16)),
            "has 2 channels: mix them down to one",
        ),
        (lambda: wavfile.write(path, 8000, np.zeros(0, np.int16)), "holds no samples"),
        (
            lambda: wavfile.write(path, 8000, np.array([np.nan], np.float32)),
            "holds values that are not finite",
        ),
        (lambda: path.write_bytes(b"RIFF1234WAVE"), "cannot be read as WAV"),
        (lambda: path.write_bytes(b""), "cannot be read as WAV"),
        (path.unlink, "cannot be read as WAV"),
    ):
        write()
        with pytest.raises(ValueError, match=words) as caught:
            sounds.read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_codec_reads_recordings_of_its_rate_and_gives_waves_back(tmp_path):
    codec, wave = sounds.MuLaw(256, 8000), 0.5 * np.sin(np.arange(12) / 2.0)
    sounds.write(tmp_path / "a.wav", wave, 8000)
    levels = codec.encode(str(tmp_path / "a.wav"))
    assert levels.dtype == np.float32 and np.all(levels == np.round(levels))
    np.testing.assert_allclose(codec.decode(levels[None])[0], wave, atol=0.02)
    np.testing.assert_allclose(codec.decode_graph(levels[None]), codec.decode(levels[None]), atol=1e-7)
    sounds.write(tmp_path / "b.wav", wave, 44_100)
    with pytest.raises(ValueError, match="b.wav has 44100 samples a second, the model 8000: resample it"):
        codec.encode(str(tmp_path / "b.wav"))
