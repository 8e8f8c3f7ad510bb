"""Examples that were decoded once, kept as raw bytes on disk for the passes after it."""

import os
import pathlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable

import numpy as np

from tfgen import progress
from tfgen.data.stream import read_rows, runs

# Of the space that is free: others, checkpoints among them, need some, and each worker keeps its own.
_SHARE = 1 / 3


class Kept:
    """Reader that keeps what another one decodes, and reads it back the next time.

    The file has no name, so that nothing is left of it when the process ends, however it ends. Where it can
    grow no further it is given up, which one line says, and everything is decoded again.

    Args:
        read: `f(numbers)`, as `Stream` takes it; its rows never change.
        count: How many examples there are.
        shape: The shape of one.
        dtype: Their dtype.
        folder: Where the file shall lie.

    Raises:
        OSError: If no file can be made there.
    """

    def __init__(self, read: Callable, count: int, shape, dtype, folder: pathlib.Path):
        self.read, self.shape, self.dtype, self.folder = read, tuple(shape), np.dtype(dtype), folder
        self.size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        self.there = np.zeros(count, bool)
        with tempfile.TemporaryFile(dir=folder) as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self._writing, self._given_up = threading.Lock(), False

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of ascending numbers."""
        there = self.there[numbers]
        rows = np.empty((len(numbers), *self.shape), self.dtype)
        if there.all():
            return rows if self._read_back(numbers, rows) else self.read(numbers)
        if there.any():
            kept = np.empty((int(there.sum()), *self.shape), self.dtype)
            if not self._read_back(numbers[there], kept):
                return self.read(numbers)
            rows[there] = kept
        rows[~there] = fresh = self.read(numbers[~there])
        self._keep(numbers[~there], np.ascontiguousarray(fresh, self.dtype))
        return rows

    def _read_back(self, numbers, rows):
        """Whether the rows could be filled: not where the file was given up meanwhile."""
        return read_rows(self._file, 0, self.size, numbers, rows)

    def _keep(self, numbers, rows):
        # One at a time: what is given up must not grow again.
        with self._writing:
            if self._given_up:
                return
            try:
                self._write(numbers, rows)
            except OSError as error:
                self._given_up = True
                self.there[:] = False
                os.ftruncate(self._file, 0)
                progress.write(
                    f"decoded examples are no longer kept in {self.folder} ({error.strerror}): they are "
                    "decoded anew in each pass, and the space is free again"
                )
                return
            self.there[numbers] = True

    def _write(self, numbers, rows):
        out = memoryview(rows.reshape(-1).view(np.uint8))
        for first, end in runs(numbers):
            place, part = int(numbers[first]) * self.size, out[first * self.size : end * self.size]
            while len(part):
                count = os.pwrite(self._file, part, place)
                part, place = part[count:], place + count


def keeping(read: Callable, count: int, shape, dtype) -> tuple[Callable, str]:
    """The reader of decoded examples that keeps them where there is room, and what to say of it.

    Args:
        read: As `Kept` takes it, and the others.
        count: How many examples there are.
        shape: The shape of one.
        dtype: Their dtype.
    """
    needed = count * int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    folder = _folder()
    try:
        free = shutil.disk_usage(folder).free
        if needed <= _SHARE * free:
            kept = Kept(read, count, shape, dtype, folder)
            return kept, f"and, once decoded, kept in {folder} until the run ends ({_size(needed)})"
        reason = f"{_size(needed)} are more than a third of the {_size(free)} that are free in {folder}"
    except OSError as error:
        reason = f"{folder} takes no file ({error.strerror})"
    return read, f"and decoded anew in each pass, since {reason}; TMPDIR names another folder to keep them in"


def _folder():
    """TMPDIR, or where large files may lie: /tmp is in memory on some machines."""
    large = pathlib.Path("/var/tmp")  # noqa: S108
    named = os.environ.get("TMPDIR")
    return large if not named and os.access(large, os.W_OK) else pathlib.Path(tempfile.gettempdir())


def _size(count):
    """Bytes as people say them."""
    return f"{count / 2**30:.1f} GiB" if count >= 0.1 * 2**30 else f"{count / 2**20:.1f} MiB"
