"""Sounds as mu-law levels: synthetic tones, spoken digits, WAV files of one's own."""

import collections
import math
import pathlib

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, DataError, Split
from tfgen.data.folder import Listing, divide, report
from tfgen.data.memory import check_memory
from tfgen.data.ragged import joined
from tfgen.data.sequences import sequence_data
from tfgen.data.splits import hold_out, stratified_order
from tfgen.media import sounds
from tfgen.media.cepstra import cepstra, with_differences

_LEVELS = 256
_WINDOW = 4096
TONES_WINDOW, TONES_RATE = 1024, 8000
# Cycles in 1,024 samples: bins of a Fourier transform of that size. None is a multiple of another.
TONES = (24, 40, 66)
_TONES_TRAIN, _TONES_TEST = 2_000, 500
# The share of a recording's samples beyond [-1, 1] that may be clipped, and full scale of 16-bit numbers.
_MOST_CLIPPED, _PCM_SCALE = 0.01, 2.0**15
_DIGITS = "speech/free_spoken_digits_8k.npz"
_DIGIT_NAMES = tuple("0123456789")


@registry.embedded("tones", "sines of three pitches at 8 kHz with a little noise, 3 classes")
def tones(request: registry.Request) -> Data:
    """Windows of `request.window` (by default 1,024) samples, each of one sine, labelled by its pitch.

    The pitches are `TONES` cycles in 1,024 samples, that is 187.5, 312.5 and 515.6 Hz; amplitudes are
    uniform in [0.3, 0.9], phases uniform, the noise has an sd of 0.01. 2,000 windows to train on and hold a
    tenth out of, drawn from the seed, and a fixed 500 to test on.
    """
    window = request.window or TONES_WINDOW
    every = _tones(np.random.RandomState([request.seed % 2**32, 0]), _TONES_TRAIN, window)
    train, validation = hold_out(every, request.validation, default=_TONES_TRAIN // 10)
    test = _tones(np.random.RandomState([0, 1]), _TONES_TEST, window)
    return _data(request.name, (train, validation, test), TONES_RATE, len(TONES), None)


def _tones(random: np.random.RandomState, count: int, window: int) -> Split:
    label = random.randint(0, len(TONES), count)
    amplitude, phase = random.uniform(0.3, 0.9, count), random.uniform(0.0, 2.0 * np.pi, count)
    angle = 2.0 * np.pi * np.array(TONES)[label, None] * np.arange(window) / TONES_WINDOW
    noise = 0.01 * random.standard_normal((count, window))
    return Split(sounds.encode(amplitude[:, None] * np.sin(angle + phase[:, None]) + noise), label)


@registry.on_disk("spoken_digits", "3,000 recordings of six people saying digits, (6, 10) classes")
def spoken_digits(request: registry.Request) -> Data:
    """The Free Spoken Digit Dataset at 8 kHz, in windows of `request.window` (by default 4,096) samples.

    It is read from `DATA_DIR/speech/free_spoken_digits_8k.npz`: `audio` int16, all recordings end to end,
    `offsets` of each, `label`, `speaker`, `take`, and `speaker_names`. Labels are pairs (speaker, digit).
    Takes 0 to 4 test, as is customary; a tenth of the other recordings validates, with its share of every
    pair.

    References:
      Jackson et al., Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset.
    """
    recordings, label, parts, names = _spoken(request)
    parts = [_windows([recordings[i] for i in part], label[part], request) for part in parts]
    return _data(request.name, parts, 8000, (len(names), 10), (names, _DIGIT_NAMES))


@registry.on_disk("spoken_cepstra", "the recordings of spoken_digits as mel cepstra over time, 10 classes")
def spoken_cepstra(request: registry.Request) -> Data:
    """Whole recordings of `spoken_digits` as sequences of 39 numbers each 10 ms, labelled by the digit.

    13 mel cepstra (`tfgen.media.cepstra`), less their means over the recording, and their first and
    second differences over time; all divided by the training part's deviations. Splits are those of
    `spoken_digits`.

    References:
      Davis & Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", 1980.
    """
    recordings, label, parts, _ = _spoken(request)
    frames = [cepstra(wave, 8000) for wave in recordings]
    frames = [with_differences(each - each.mean(axis=0)) for each in frames]
    scale = np.concatenate([frames[i] for i in parts[0]]).std(axis=0)
    x, lengths = joined([each / scale for each in frames], request.name)
    splits = [Split(x[part], label[part, 1], {"lengths": lengths[part]}) for part in parts]
    return sequence_data(request.name, splits, class_names=_DIGIT_NAMES)


def _spoken(request: registry.Request):
    """The recordings, labels `[N, 2]`, indices of train, validation and test, the speakers' names."""
    if request.data_dir is None:
        raise DataError(f"data set {request.name!r} is read from DATA_DIR/{_DIGITS}: give --data_dir")
    path = pathlib.Path(request.data_dir) / _DIGITS
    if not path.is_file():
        raise DataError(f"data set {request.name!r} is not there, {path} is absent: give another --data_dir")
    try:
        with np.load(path) as file:
            audio, offsets = file["audio"], file["offsets"]
            label = np.stack([file["speaker"], file["label"]], axis=1).astype(np.int32)
            take, names = file["take"], tuple(str(name) for name in file["speaker_names"])
    except Exception as error:  # A broken archive raises many types.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} cannot be read ({reason}): fetch it again") from error
    recordings = [audio[a:b] / 2.0**15 for a, b in zip(offsets, offsets[1:], strict=False)]
    test, rest = np.flatnonzero(take < 5), np.flatnonzero(take >= 5)
    rest = rest[stratified_order(len(rest), label[rest] @ [10, 1])]
    cut = len(hold_out(Split(rest), request.validation, default=round(len(rest) / 10))[0])
    return recordings, label, (rest[:cut], rest[cut:], test), names


@registry.folder(".wav", ".wave")
def folder_of_recordings(listing: Listing, request: registry.Request) -> Data:
    """WAV files of one channel and one rate; sub-folders are classes, folders of splits are obeyed.

    `request.mono` mixes several channels down to their mean, `request.rate` resamples. Floats on the scale of
    16-bit numbers are brought to [-1, 1]. Three or more files are divided as files; one or two are each cut
    in time, 90 %, 5 % and 5 %.

    Raises:
      DataError: With all files that cannot be read, are silent, have several channels or would be clipped; or
        with a file of each rate, where these differ.
    """
    recordings, rates, bad, done = [], {}, [], collections.Counter()
    for path in listing.paths:
        try:
            sound, rate = _read(path, request, done)
            recordings.append(sound)
            rates.setdefault(rate, []).append(path)
        except ValueError as error:
            recordings.append(None)
            bad.append((path, str(error).removeprefix(f"{path} ").rstrip(".")))
    left_out = report(bad, len(listing.paths), listing.root, request, "recording")
    if len(rates) > 1:
        told = ", ".join(f"{len(paths)} have {rate} ({paths[0].name})" for rate, paths in rates.items())
        raise DataError(
            f"recordings differ in their samples a second, {told}: --rate={min(rates)} resamples all"
        )
    used = [number for number, sound in enumerate(recordings) if sound is not None]
    listing, recordings = listing.take(used), [recordings[number] for number in used]
    label = listing.label
    if listing.split is None and len(recordings) < 3:
        each = [np.split(r, [len(r) * 90 // 100, len(r) * 95 // 100]) for r in recordings]
        if min(len(part) for cut in each for part in cut) < 1:
            raise DataError(
                f"recording {listing.paths[0]} is too short to be cut in three: record a longer one"
            )
        parts = [_windows(part, label, request) for part in zip(*each, strict=True)]
    else:
        files = Split(np.arange(len(recordings)), label)
        parts = [
            _windows([recordings[i] for i in part.x], part.label, request)
            for part in divide(listing, files, request.validation)
        ]
    notes = [*listing.notes, *left_out, *(f"{n} {fact}" for fact, n in done.items())]
    silence = np.mean([(row == sounds.encode(0.0)).all() for part in parts for row in part.x])
    if silence >= 0.05:
        notes.append(f"{silence:.0%} of the windows are silent from beginning to end")
    names = listing.class_names
    return _data(request.name, parts, next(iter(rates)), None if names is None else len(names), names, notes)


def _read(path: pathlib.Path, request: registry.Request, done) -> tuple[np.ndarray, int]:
    """A recording in [-1, 1] and its rate, mixed down and resampled as asked; `done` counts what was done.

    Raises:
      ValueError: With the reason and the remedy.
    """
    try:
        sound, rate = sounds.read(path)
    except ValueError:
        if not request.mono:
            raise
        sound, rate = sounds.read(path, mono=True)
        done["mixed down to one channel"] += 1
    if not sound.any():
        raise ValueError(f"{path} is silent from beginning to end: remove it")
    peak, beyond = float(np.abs(sound).max()), float(np.mean(np.abs(sound) > 1.001))
    if beyond > _MOST_CLIPPED:
        if not _PCM_SCALE / 256 < peak <= _PCM_SCALE:
            raise ValueError(
                f"{path} would be clipped in {beyond:.0%} of its samples, with a peak of {peak:.4g}: "
                "scale it to 1"
            )
        done["on the scale of 16-bit numbers, divided by 32768"] += 1
        sound = sound / np.float32(_PCM_SCALE)
    elif beyond:
        done["clipped in less than 1 % of the samples"] += 1
    if request.rate is not None and request.rate != rate:
        from scipy.signal import resample_poly

        shared = math.gcd(request.rate, rate)
        done[f"resampled from {rate} to {request.rate} samples a second"] += 1
        sound = resample_poly(sound.astype(np.float64), request.rate // shared, rate // shared)
        rate = request.rate
    if (sounds.encode(sound, _LEVELS) == sounds.encode(0.0, _LEVELS)).all():
        raise ValueError(f"{path} is so soft that all of it is silence in {_LEVELS} levels: make it louder")
    return sound.astype(np.float32), rate


def _windows(recordings, label: np.ndarray | None, request: registry.Request) -> Split:
    """Recordings cut into windows, each with its recording's label; the last is filled up with silence."""
    window = request.window or _WINDOW
    counts = np.array([-(-len(r) // window) for r in recordings], int)
    check_memory(request.name, int(counts.sum()), (window,), "take fewer recordings")
    x = np.full((counts.sum(), window), sounds.encode(0.0, _LEVELS), np.uint8)
    lengths = np.full(len(x), window, np.int32)
    for recording, end in zip(recordings, np.cumsum(counts), strict=True):
        rows = -(-len(recording) // window)
        x[end - rows : end].reshape(-1)[: len(recording)] = sounds.encode(recording, _LEVELS)
        lengths[end - 1] = len(recording) - (rows - 1) * window
    return Split(x, None if label is None else np.repeat(label, counts, axis=0), {"lengths": lengths})


def _data(name, parts, rate, num_classes, class_names, notes=()) -> Data:
    train, validation, test = parts
    return Data(
        name=name,
        kind="audio",
        event_shape=(None,),
        num_values=_LEVELS,
        levels=_LEVELS,
        num_classes=num_classes,
        class_names=class_names,
        train=train,
        validation=validation,
        test=test,
        rate=rate,
        notes=tuple(notes),
    )
