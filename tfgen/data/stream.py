"""Examples that stay on disk: `Stream`, which stands for an array and reads rows when they are asked for."""

import concurrent.futures
import mmap
import operator
import os
import weakref
from collections.abc import Callable, Iterable, Iterator

import numpy as np

# How much of an array is looked at together.
_BLOCK = 1 << 24


class Stream:
    """Examples that are read when they are asked for.

    Indexed as an array is, by a number, a slice, numbers or a mask of examples, it gives arrays;
    `numpy.asarray` reads all of it. What is asked for together is read once and in ascending order.

    Args:
        read: `f(numbers) -> [len(numbers), *shape]`: the examples of these numbers, int64, ascending, each
            once. It may be called by several threads.
        count: How many examples there are.
        shape: The shape of one.
        dtype: Their dtype.
        numbers: The numbers of the examples that the stream consists of, in its order; None for all in
            theirs.

    Attributes:
        found: What a pass over its values found out, by the question: answers that need no second pass.
    """

    def __init__(self, read: Callable, count: int, shape, dtype, numbers: np.ndarray | None = None):
        self.read = read
        self.count = count
        self.dtype = np.dtype(dtype)
        self.numbers = numbers
        self.shape = (count if numbers is None else len(numbers), *shape)
        self.found = {}

    @classmethod
    def of(cls, array) -> "Stream":
        """The rows of what has `shape`, `dtype` and `array[numbers]`: a memory map, an HDF5 data set."""
        read = _FileRows(array) if _FileRows.can(array) else _Rows(array)
        return cls(read, array.shape[0], array.shape[1:], array.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes that it would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        """The number of examples."""
        return self.shape[0]

    def __getitem__(self, index) -> np.ndarray:
        """One example, or several as an array."""
        if isinstance(index, int | np.integer):
            return self[np.array([operator.index(index)])][0]
        numbers = self._chosen(index)
        if len(numbers) < 2 or (np.diff(numbers) > 0).all():
            return self._read(numbers)
        unique, places = np.unique(numbers, return_inverse=True)
        return self._read(unique)[places.reshape(-1)]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """All examples."""
        return np.asarray(self[:], dtype)

    def take(self, index) -> "Stream":
        """The stream of the examples of a slice, of numbers or of a mask; reads nothing."""
        return Stream(self.read, self.count, self.shape[1:], self.dtype, self._chosen(index))

    def map(self, function: Callable) -> "Stream":
        """The stream of what a function of rows makes of them; it must take no rows, too."""
        sample = function(np.zeros((0, *self.shape[1:]), self.dtype))
        read = self.read
        return Stream(
            lambda numbers: function(read(numbers)), self.count, sample.shape[1:], sample.dtype, self.numbers
        )

    def _chosen(self, index) -> np.ndarray:
        if isinstance(index, slice):
            if self.numbers is not None:
                return self.numbers[index]
            return np.arange(*index.indices(self.count), dtype=np.int64)
        index = np.asarray(index)
        if index.dtype == bool:
            if index.shape != self.shape[:1]:
                raise IndexError(f"a mask of {index.shape} is none of {len(self)} examples")
            index = np.flatnonzero(index)
        if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
            raise IndexError("a stream is indexed by examples alone: a slice, their numbers or a mask")
        index = index.astype(np.int64)
        if index.size and (index.min() < -len(self) or index.max() >= len(self)):
            raise IndexError(f"example {index.max()} is none of {len(self)}")
        index = np.where(index < 0, index + len(self), index)
        return index if self.numbers is None else self.numbers[index]

    def _read(self, numbers) -> np.ndarray:
        if not len(numbers):
            return np.zeros((0, *self.shape[1:]), self.dtype)
        return np.asarray(self.read(numbers), self.dtype)


class _Rows:
    """Reader of the rows of something that is indexed by ascending numbers."""

    def __init__(self, array):
        self.array = array

    def __call__(self, numbers):
        first, end = int(numbers[0]), int(numbers[-1]) + 1
        return np.array(self.array[slice(first, end) if end - first == len(numbers) else numbers])


class _FileRows:
    """Reader of the rows of a memory map from its file.

    Through the map the process would be charged with all pages that it has ever seen, and with those around
    them.
    """

    def __init__(self, array: np.memmap):
        self.name = array.filename
        self.shape, self.dtype, self.stride = array.shape[1:], array.dtype, array.strides[0]
        file = os.open(self.name, os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        self.file = file
        # A map begins at a whole page, and a view of it anywhere.
        start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
        self.offset = start + array.ctypes.data - np.frombuffer(array._mmap, np.uint8).ctypes.data

    def __call__(self, numbers):
        rows = np.empty((len(numbers), *self.shape), self.dtype)
        if not read_rows(self.file, self.offset, self.stride, numbers, rows):
            raise OSError(f"{self.name} has become shorter since it was opened: put it back")
        return rows

    @staticmethod
    def can(array) -> bool:
        """Whether it is the map of a file that has a name, each of its rows in one piece."""
        shared = isinstance(array, np.memmap) and array.mode in ("r", "r+") and array.filename is not None
        return shared and array.size > 0 and array[0].flags.c_contiguous and array.strides[0] > 0


def runs(numbers) -> Iterator[tuple[int, int]]:
    """Places at which neighbors among ascending numbers begin and end."""
    ends = np.append(np.flatnonzero(np.diff(numbers) != 1) + 1, len(numbers)).tolist()
    return zip([0, *ends[:-1]], ends, strict=True)


def read_rows(file: int, offset: int, stride: int, numbers, rows: np.ndarray) -> bool:
    """Fills rows from a file; False where it ends before them.

    Args:
        file: Its descriptor.
        offset: Where the row of number 0 begins.
        stride: Bytes from a row to the next.
        numbers: Which rows, ascending.
        rows: `[len(numbers), ...]`, contiguous.
    """
    into, size = memoryview(rows.reshape(-1).view(np.uint8)), rows.nbytes // max(1, len(rows))
    # Neighbors are read together.
    for first, end in runs(numbers) if stride == size else ((i, i + 1) for i in range(len(numbers))):
        place, part = offset + int(numbers[first]) * stride, into[first * size : end * size]
        while len(part):
            # One call reads 2 GiB at most.
            count = os.preadv(file, [part], place)
            if not count:
                return False
            part, place = part[count:], place + count
    return True


def is_sliceable(x) -> bool:
    """Whether x is rows of numbers that lie elsewhere than in memory: a memory map, an HDF5 data set."""
    if isinstance(x, np.ndarray):
        return isinstance(x, np.memmap) and x.ndim > 0 and isinstance(getattr(x, "_mmap", None), mmap.mmap)
    indexed = all(hasattr(x, name) for name in ("shape", "dtype", "__getitem__", "__len__"))
    # A column of a table is indexed by names.
    return indexed and isinstance(x.dtype, np.dtype) and len(x.shape) > 0 and not hasattr(x, "iloc")


def apply(array, function: Callable):
    """What a function of rows makes of an array, at once; of a stream, whenever rows are read."""
    return array.map(function) if isinstance(array, Stream) else function(array)


def chosen(array, index):
    """The rows of an index, as an array of an array and as a stream of a stream."""
    return array.take(index) if isinstance(array, Stream) else array[index]


def joined(first, second):
    """The rows of one and then of the other; a stream where one of them is."""
    if not (isinstance(first, Stream) or isinstance(second, Stream)):
        return np.concatenate([first, second])
    cut = len(first)
    dtype = np.result_type(first.dtype, second.dtype)

    def read(numbers):
        k = int(np.searchsorted(numbers, cut))
        return np.concatenate([first[numbers[:k]], second[numbers[k:] - cut]])

    return Stream(read, cut + len(second), first.shape[1:], dtype)


def blocks(array, nbytes: int | None = None) -> Iterator[np.ndarray]:
    """An array, or a stream, in parts of its rows; of a stream the next part is read meanwhile.

    Args:
        array: The array, its rows of the same size.
        nbytes: Bytes of a part, at most, if that is a row; None for 16 MiB.
    """
    row = max(1, array.nbytes // max(1, len(array)))
    step = max(1, (nbytes or _BLOCK) // row)
    parts = (array[start : start + step] for start in range(0, len(array), step))
    return ahead(parts) if isinstance(array, Stream) else parts


def ahead(items: Iterable) -> Iterator:
    """The items, each made by a thread while the one before it is used."""
    iterator, end = iter(items), object()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, iterator, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, iterator, end)
            yield item
