"""Where modules of this package put their loaders.

Four tables, filled by decorators:

* `embedded(name, description)`: a data set by its own name, `function(request) -> Data`.
* `on_disk(name, description)`: the same of a set whose files lie in `request.data_dir`.
* `catalog(feature)`: TFDS sets that have this feature, `function(source, request) -> Data` with
  a `tfgen.data.catalog.Source`.
* `folder(*suffixes)`: folders that hold such files, `function(listing, request) -> Data` with a
  `tfgen.data.folder.Listing`.
"""

import dataclasses
from collections.abc import Callable

EMBEDDED: dict[str, tuple[str, Callable]] = {}
ON_DISK: dict[str, tuple[str, Callable]] = {}
CATALOG: dict[str, Callable] = {}
FOLDER: dict[str, Callable] = {}
STREAMS: set[Callable] = set()


@dataclasses.dataclass(frozen=True)
class Request:
    """Arguments of `load`, where they are described."""

    name: str
    data_dir: str | None = None
    download: bool = False
    validation: int | float | None = None
    seed: int = 0
    image_size: int | None = None
    unit: str = "character"
    window: int | None = None
    background: str | None = None
    channels: int | None = None
    skip_bad: bool = False
    encoding: str | None = None
    mono: bool = False
    rate: int | None = None
    label_column: str | None = None
    stream: bool | None = None
    counts: bool = False
    missing: bool = False


def embedded(name: str, description: str) -> Callable:
    """Registers the loader of the data set `name`, which `names()` then describes."""
    return lambda function: EMBEDDED.setdefault(name, (description, function))[1]


def on_disk(name: str, description: str) -> Callable:
    """Registers the loader of the data set `name`, whose files lie in `request.data_dir`."""
    return lambda function: ON_DISK.setdefault(name, (description, function))[1]


def catalog(feature: str) -> Callable:
    """Registers the reader of TFDS sets with a feature called `feature`."""
    return lambda function: CATALOG.setdefault(feature, function)


def folder(*suffixes: str, streams: bool = False) -> Callable:
    """Registers the reader of files that end in one of `suffixes` (lower case, with the dot).

    Args:
        *suffixes: The suffixes.
        streams: Whether the reader can leave examples on disk, as `request.stream` says.
    """

    def register(function):
        FOLDER.update(dict.fromkeys(suffixes, function))
        STREAMS.update({function} if streams else ())
        return function

    return register
