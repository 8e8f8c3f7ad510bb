"""Sounds: between waves in [-1, 1], mu-law levels and WAV files."""

import dataclasses
import os
import pathlib
import warnings
import wave
from typing import ClassVar

import numpy as np

# Full scale of what a WAV file may hold; 24 bits come as the upper ones of 32.
_FULL_SCALE = {"uint8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31, "float32": 1.0, "float64": 1.0}


def encode(sound, num_values=256):
    """Levels of a sound by mu-law companding.

    F(x) = sign(x) log(1 + mu |x|) / log(1 + mu), mu = num_values - 1, rounded to the nearest of `num_values`
    values evenly spread over [-1, 1]: steps are fine where a sound is soft.

    Args:
      sound: Floats in [-1, 1]; those beyond are clipped.
      num_values: Number of levels.

    Returns:
      Whole numbers 0 to num_values - 1 of the shape of `sound`: uint8 for up to 256 levels, else int32.

    Raises:
      ValueError: If there are fewer than two levels, or a value is not finite.

    References:
      ITU-T Recommendation G.711, 1988 (whose mu is 255, in segments that approximate this curve).
    """
    mu, sound = _mu(num_values), np.asarray(sound, np.float64)
    if not np.isfinite(sound).all():
        raise ValueError("sound must hold finite values.")
    sound = np.clip(sound, -1.0, 1.0)
    companded = np.sign(sound) * np.log1p(mu * np.abs(sound)) / np.log1p(mu)
    levels = np.floor((companded + 1.0) / 2.0 * mu + 0.5)
    return levels.astype(np.uint8 if num_values <= 256 else np.int32)


def decode(levels, num_values=256):
    """The wave of mu-law levels, `encode`'s inverse: F^-1(y) = sign(y) ((1 + mu)^|y| - 1) / mu.

    Args:
      levels: Numbers from 0 to num_values - 1.
      num_values: Number of levels.

    Returns:
      float32 in [-1, 1] of the shape of `levels`.

    Raises:
      ValueError: If there are fewer than two levels, or a level is none of them.
    """
    mu, levels = _mu(num_values), np.asarray(levels, np.float64)
    if not ((levels >= 0.0) & (levels <= mu)).all():
        raise ValueError(f"levels must hold values from 0 to {mu:g}.")
    y = 2.0 * levels / mu - 1.0
    return (np.sign(y) * np.expm1(np.abs(y) * np.log1p(mu)) / mu).astype(np.float32)


def read(path, mono=False):
    """Reads a WAV file: PCM of 8, 16, 24 or 32 bits, or floats.

    Args:
      path: The file.
      mono: Whether several channels become their mean.

    Returns:
      The wave, float32 `[samples]` in [-1, 1] (floats as they are), and its rate in samples a second.

    Raises:
      ValueError: If it cannot be read, has several channels, or holds no samples or none that are finite.
    """
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            # Chunks of other programs are skipped; a file cut short gives what there is.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, stored = wavfile.read(path)
    except Exception as error:  # The reader raises whatever a broken file makes it.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} cannot be read as WAV ({reason}): save it as 16-bit PCM.") from error
    channels = 1 if stored.ndim == 1 else stored.shape[1]
    if channels > 1 and not mono:
        raise ValueError(f"{path} has {channels} channels: mix them down to one, as --mono does for data.")
    if not stored.size:
        raise ValueError(f"{path} holds no samples: record it again or remove it.")
    scale = _FULL_SCALE.get(stored.dtype.name)
    if scale is None:
        raise ValueError(f"{path} holds {stored.dtype.name} samples: save it as 16-bit PCM.")
    sound = (stored.astype(np.float64) - (scale if stored.dtype == np.uint8 else 0.0)) / scale
    sound = sound.reshape(-1, channels).mean(axis=1)
    if not np.isfinite(sound).all():
        raise ValueError(f"{path} holds values that are not finite: save it again.")
    return sound.astype(np.float32), int(rate)


def write(path, sound, rate):
    """Writes a WAV file, 16-bit PCM of one channel, so that its reader finds the old one or the new one.

    Args:
      path: The file.
      sound: Floats `[samples]` in [-1, 1]; those beyond are clipped.
      rate: Samples a second.
    """
    path = pathlib.Path(path)
    stored = np.clip(np.rint(np.asarray(sound, np.float64) * 2.0**15), -(2.0**15), 2.0**15 - 1.0)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with wave.open(str(temporary), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(stored.astype("<i2").tobytes())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class MuLaw:
    """Codec of mu-law levels: recordings to levels, levels to waves.

    Args:
      num_values: Number of levels.
      rate: Samples a second.
    """

    num_values: int
    rate: int
    kind: ClassVar[str] = "audio"

    def encode(self, path, name="prompt"):
        """Levels of a recording, float32 `[samples]`.

        Args:
          path: A WAV file.
          name: What it is, for errors.

        Raises:
          ValueError: If it cannot be read, or has another rate.
        """
        sound, rate = read(path)
        if rate != self.rate:
            raise ValueError(
                f"{name} {path} has {rate} samples a second, the model {self.rate}: resample it."
            )
        return encode(sound, self.num_values).astype(np.float32)

    def decode(self, x):
        """Waves of levels `[num, T]`, float32 `[num, T]` in [-1, 1]."""
        return decode(x, self.num_values)

    def decode_graph(self, x):
        """As `decode`, in a graph."""
        import tensorflow as tf

        wave_of_level = decode(np.arange(self.num_values), self.num_values)
        return tf.gather(tf.constant(wave_of_level), tf.cast(x, tf.int32))


def _mu(num_values):
    if num_values < 2:
        raise ValueError(f"num_values must be at least 2, got {num_values!r}.")
    return num_values - 1.0
