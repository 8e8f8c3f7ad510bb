"""TFDS sets: finding, fetching and reading them, with one-line errors."""

import contextlib
import dataclasses
import functools
import logging
import threading
from collections.abc import Iterator, Sequence

from tfgen.data import registry
from tfgen.data.dataset import Data, DataError

_PATIENCE = 4.0  # Seconds in which some host must answer before TFDS may start to download.


@dataclasses.dataclass(frozen=True)
class Source:
    """A prepared TFDS set.

    Args:
        name: Its name, with the configuration.
        builder: The TFDS builder.
        splits: "train" and perhaps "validation" and "test", each to TFDS's name of the split.
    """

    name: str
    builder: object
    splits: dict[str, str]

    @property
    def features(self) -> dict:
        """TFDS's feature for each key."""
        return dict(self.builder.info.features.items())

    def count(self, split: str) -> int:
        """How many examples a split has."""
        return self.builder.info.splits[split].num_examples

    def batches(self, split: str, keys: Sequence[str], batched: bool = True) -> Iterator[dict]:
        """The examples of a split in their order, as NumPy.

        Args:
            split: TFDS's name of the split.
            keys: Which features to decode.
            batched: By the thousand; False for one at a time, for shapes that vary.

        Yields:
            Dictionaries of the features.

        Raises:
            DataError: If files are missing, broken or cut short.
        """
        import tensorflow as tf
        import tensorflow_datasets as tfds

        seen = 0
        try:
            dataset = self.builder.as_dataset(
                split=split,
                batch_size=1000 if batched else None,
                shuffle_files=False,
                decoders=tfds.decode.PartialDecoding(dict.fromkeys(keys, True)),
                # One file at a time keeps the order in which the set was written.
                read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
            )
            for batch in tfds.as_numpy(dataset):
                seen += len(batch[keys[0]]) if batched else 1
                if seen > self.count(split):
                    break
                yield batch
        except (tf.errors.OpError, OSError, AssertionError) as error:
            raise self._broken(split, _first_line(error)) from error
        if seen != self.count(split):
            raise self._broken(split, f"not {self.count(split)} examples")

    def _broken(self, split: str, reason: str) -> DataError:
        return DataError(
            f"split {split!r} of {self.name!r} in {self.builder.data_path} cannot be read "
            f"({reason}): remove that directory and prepare the set again with --download"
        )


@functools.cache
def known() -> frozenset[str]:
    """The names of TFDS's sets."""
    return frozenset(_tfds().list_builders(with_community_datasets=False))


def open_catalog(request: registry.Request) -> Data:
    """Reads the TFDS set that the request names with the reader of its features.

    The splits are those given after the colon, TRAIN or TRAIN,TEST. By default: "train", or the
    first one where there is none of that name; to test on, "test", or else "validation", or else,
    for a set without "train", the second one less what the first holds too (Omniglot's small1 and
    small2 share two alphabets); where none is left, the reader cuts one off.
    """
    name, _, wanted = request.name.partition(":")
    builder = _open(name, request)
    _prepare(builder, name, request)
    available = list(builder.info.splits)
    splits = _choose(request.name, wanted, available) if wanted else _default_splits(available)
    source = Source(name, builder, splits)
    for split in splits.values():
        try:
            count = source.count(split)
        except (KeyError, ValueError, AssertionError) as error:
            raise DataError(
                f"data set {name!r} has no split {split!r}: take of {', '.join(available)}"
            ) from error
        if count < 1:
            raise DataError(f"split {split!r} of data set {name!r} is empty: take another")
    for key, reader in registry.CATALOG.items():
        if key in source.features:
            return reader(source, request)
    raise DataError(
        f"data set {name!r} has the features {', '.join(source.features)} and tfgen reads "
        f"{', '.join(registry.CATALOG)} only: take another set"
    )


def _default_splits(available: list[str]) -> dict[str, str]:
    splits = {"train": "train" if "train" in available else available[0]}
    others = [name for name in available if name != splits["train"]]
    if "test" in others:
        splits["test"] = "test"
        if "validation" in others:
            splits["validation"] = "validation"
    elif "validation" in others:
        splits["test"] = "validation"
    elif splits["train"] != "train" and others:
        splits["test"] = others[0]
    return splits


def _choose(name: str, wanted: str, available: list[str]) -> dict[str, str]:
    parts = wanted.split(",")
    if len(parts) > 2 or not all(parts):
        raise DataError(
            f"data set {name!r} must end in :TRAIN or :TRAIN,TEST, with splits of {', '.join(available)}"
        )
    return dict(zip(("train", "test"), parts, strict=False))


def _tfds():
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"tensorflow_datasets cannot be imported ({_first_line(error)}): "
            "pip install tensorflow-datasets importlib_resources"
        ) from error
    return tfds


def _open(name: str, request: registry.Request):
    """The builder of a set that TFDS knows."""
    tfds = _tfds()
    try:
        with _quiet():
            return tfds.builder(name, data_dir=request.data_dir)
    except Exception as error:  # TFDS raises many types for a wrong configuration or version.
        base, _, config = name.partition("/")
        reason = _first_line(error)
        if config and base in known():
            configs = [config.name for config in tfds.builder_cls(base).BUILDER_CONFIGS]
            reason = f"its configurations are {', '.join(configs) or 'none, leave the slash out'}"
        raise DataError(f"data set {name!r} cannot be opened: {reason}") from error


def _prepare(builder, name: str, request: registry.Request) -> None:
    """Makes sure that the set is on disk, fetching it where that was asked for."""
    if builder.is_prepared():
        return
    if not request.download:
        raise DataError(
            f"data set {name!r} is not in {builder.data_path}: fetch it with --download, or say "
            "with --data_dir where TFDS prepared it"
        )
    if type(builder).MANUAL_DOWNLOAD_INSTRUCTIONS:
        raise DataError(
            f"data set {name!r} must be fetched by hand: see its page in the TFDS catalog, prepare "
            "it with 'tfds build' and give --data_dir"
        )
    urls = list(builder.url_infos or {})
    reason = _unreachable(urls[0]) if urls else None
    if reason is None:
        try:
            builder.download_and_prepare()
        except Exception as error:  # The network, the disk and every builder's own parsing.
            reason = _first_line(error)
    if reason is not None:
        raise DataError(
            f"data set {name!r} could not be fetched into {builder.data_path} ({reason}): check "
            "network and disk, or give with --data_dir a directory that has it"
        )


def _unreachable(url: str) -> str | None:
    """Why a URL does not answer, or None; TFDS itself would try for minutes before it said so."""
    import requests

    outcome = []

    def ask():
        try:
            with requests.get(url, stream=True, timeout=_PATIENCE):
                outcome.append(None)
        except Exception as error:
            # Anything but a lost connection (a scheme that is not HTTP) is for TFDS to judge.
            lost = isinstance(error, requests.ConnectionError | requests.Timeout)
            host = url.split("/")[2] if "//" in url else url
            outcome.append(f"no connection to {host}" if lost else None)

    # A thread, because looking a name up has no timeout of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return outcome[0] if outcome else f"no answer from {url.split('/')[2]} in {_PATIENCE:.0f} s"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Holds back TFDS's warning about directories that are absent, which our error repeats."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
