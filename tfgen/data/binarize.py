"""From levels to binary values, said explicitly."""

import dataclasses
import difflib
import zlib

import numpy as np

from tfgen.data.dataset import PARTS, Data, DataError, Split
from tfgen.data.stream import Stream, apply

METHODS = ("none", "threshold", "fixed", "dynamic")


def binarize(data: Data, method: str) -> Data:
    """Makes the values of a data set binary.

    A level x of L is the probability `p = x / (L - 1)` of a one. `threshold` takes 1 where
    p >= 1/2. `fixed` draws each value once, from a seed that is part of this file: the same
    binary set for every run, whatever its seed and its share of validation. `dynamic` leaves the
    levels and the training loop draws them anew each time an example is seen.

    Args:
        data: A data set of levels.
        method: One of `METHODS`.

    Returns:
        The data set with `num_values` 2, or as it was for "none".

    Raises:
        DataError: If the method is unknown, or the data have no levels to binarize.

    References:
        Salakhutdinov and Murray, 2008, On the quantitative analysis of deep belief networks
        (fixed and dynamic binarization of MNIST; `fixed` here draws other bits than their file).
    """
    if method not in METHODS:
        close = difflib.get_close_matches(str(method), METHODS, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DataError(f"binarize={method!r} is unknown: {hint}take one of {', '.join(METHODS)}")
    if method == "none":
        return data
    if data.kind not in ("image", "video", "vector") or data.levels is None:
        what = data.kind if data.levels or data.kind == "counts" else f"real-valued {data.kind}"
        raise DataError(
            f"binarize={method!r} needs images in levels, but data set {data.name!r} holds "
            f"{what} data: leave binarize at 'none'"
        )
    parts = {part: getattr(data, part) for part in PARTS}
    if method == "fixed" and any(isinstance(part.x, Stream) for part in parts.values()):
        raise DataError(
            f"binarize='fixed' draws all values of data set {data.name!r} in one go, but they are read as "
            "they are needed: take 'threshold' or 'dynamic', or --nostream"
        )
    if method != "dynamic":
        values = _threshold(parts, data.levels) if method == "threshold" else _draw(parts, data)
        parts = {
            key: dataclasses.replace(part, x=values[key], streams=_streams(part, method, data.levels))
            for key, part in parts.items()
        }
    levels = data.levels if method == "dynamic" else 2
    return dataclasses.replace(data, num_values=2, levels=levels, binarize=method, **parts)


def _threshold(parts: dict[str, Split], levels: int) -> dict[str, np.ndarray]:
    # x / (L - 1) >= 1/2 in whole numbers, for odd and even L.
    return {
        key: apply(part.x, lambda rows: (rows >= levels // 2).astype(np.uint8)) for key, part in parts.items()
    }


def _draw(parts: dict[str, Split], data: Data) -> dict[str, np.ndarray]:
    # One draw over train and validation: the bits of an image do not depend on where the cut is.
    cut = len(parts["train"])
    both = _bernoulli(np.concatenate([parts["train"].x, parts["validation"].x]), data.levels, 2008)
    test = _bernoulli(parts["test"].x, data.levels, 2009)
    return {"train": both[:cut], "validation": both[cut:], "test": test}


def _streams(part: Split, method: str, levels: int) -> dict[str, Split]:
    """The binary streams of a split; each stream's bits are drawn from a seed that its name makes."""
    if method == "threshold":
        binary = _threshold(part.streams, levels)
    else:
        seeds = {key: zlib.crc32(key.encode()) for key in part.streams}
        binary = {key: _bernoulli(stream.x, levels, seeds[key]) for key, stream in part.streams.items()}
    return {key: dataclasses.replace(stream, x=binary[key]) for key, stream in part.streams.items()}


def _bernoulli(x: np.ndarray, levels: int, seed: int) -> np.ndarray:
    # A whole number u on 0 .. L - 2 is below x with probability x / (L - 1), exactly.
    u = np.random.RandomState(seed).randint(0, levels - 1, x.shape, np.uint16)
    return (u < x).astype(np.uint8)
