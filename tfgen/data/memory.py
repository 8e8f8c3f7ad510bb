"""Whether data fit into this machine's memory."""

import os
import pathlib

import numpy as np

from tfgen.data.examples import DataError

# A training holds its set twice, and a part of it while it is cut into splits.
_SHARE = 1 / 3
_GROUP = pathlib.Path("/sys/fs/cgroup")


def available() -> int:
    """Bytes that a new program could use without pushing others out, or that its container has left."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        lines = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
        found.append(1024 * int(lines["MemAvailable"].split()[0]))
    except (OSError, KeyError, ValueError):
        pass
    try:
        most, used = (int((_GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        found.append(max(0, most - used))
    except (OSError, ValueError):
        # No container, or one without a bound.
        pass
    return min(found)


def note_of_stream(stream: bool | None, needed: int) -> str | None:
    """What to say of data that are read as they are needed, or None for those that are held in memory.

    Args:
        stream: Whether it was asked for; None reads where more than a third of the memory that is free would
            be taken.
        needed: Bytes of all examples.
    """
    if stream is not None:
        return "read as they are needed" if stream else None
    free = available()
    if needed <= _SHARE * free:
        return None
    return (
        f"read as they are needed, since {needed / 2**30:.1f} GiB are more than a third of the "
        f"{free / 2**30:.1f} GiB of memory that are free (--nostream holds them in memory)"
    )


def check_memory(name: str, count: int, event_shape: tuple[int, ...], remedy: str) -> None:
    """Raises DataError where `count` uint8 examples would not fit into this machine's memory."""
    needed = count * int(np.prod(event_shape, dtype=np.int64))
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.75 * installed:
        raise DataError(
            f"data set {name!r} needs {needed / 2**30:.1f} GiB of memory and this machine has "
            f"{installed / 2**30:.1f}: {remedy}"
        )
