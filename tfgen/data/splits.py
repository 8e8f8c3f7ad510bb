"""Deterministic cuts into train, validation and test.

All orders come from `numpy.random.RandomState`, whose stream NumPy keeps the same for ever, so
that a data set is the same in every release.
"""

import dataclasses
import functools
import numbers
from collections.abc import Mapping

import numpy as np

from tfgen.data.examples import PARTS, DataError, Split


def stratified_order(count: int, label: np.ndarray | None = None) -> np.ndarray:
    """A fixed permutation of which every stretch holds the classes in their proportions.

    The i-th example of a class of n, in random order, goes to place `(i + u) / n` with u uniform
    on [0, 1): of the places below f, `f n` are the class's, to within one, and so the first m of
    N examples hold `m n / N` of it to within `1 + K n / N` for K classes.

    Args:
        count: How many examples there are.
        label: Their classes, `[count]`; None for one class.

    Returns:
        Indices, `[count]`.
    """
    random = np.random.RandomState(0)
    label = np.zeros(count, np.int32) if label is None else np.asarray(label)
    place = np.empty(count)
    for value in np.unique(label):
        members = np.flatnonzero(label == value)
        ranks = random.permutation(len(members)) + random.random_sample(len(members))
        place[members] = ranks / len(members)
    return np.argsort(place, kind="stable")


def few_labels(data, num_labels: int):
    """Adds the stream "labelled" to the training part: so many of its examples, for few-label training.

    A class of n of the N training examples gets `num_labels n / N` of them, to within one and at
    least one. Which ones depends on the data and on `num_labels` alone; the training part keeps
    all its examples and their labels, which few-label training does not look at.

    Args:
        data: A `Data` with one label for each example.
        num_labels: How many examples, in all.

    Returns:
        The data set with `train.streams["labelled"]`.

    Raises:
        DataError: If there are no such labels, or the number does not fit them.
    """
    label = data.train.label
    if label is None or label.ndim != 1:
        has = "no labels" if label is None else "labels of several kinds"
        raise DataError(
            f"num_labels={num_labels} needs one label for each example, but data set {data.name!r} has {has}"
        )
    classes, counts = np.unique(label, return_counts=True)
    if isinstance(num_labels, bool) or not isinstance(num_labels, numbers.Integral):
        raise DataError(f"num_labels={num_labels!r} is no whole number of examples")
    if not len(classes) <= num_labels <= len(label):
        raise DataError(
            f"num_labels={num_labels} must be from {len(classes)}, one for each class of data set "
            f"{data.name!r}, to {len(label)}, its training examples"
        )
    share = num_labels * counts / len(label)
    quota = np.maximum(1, np.floor(share)).astype(int)
    while quota.sum() != num_labels:
        # One at a time to the class that lacks most, or from the one that has most beyond its share.
        lack = share - quota
        if quota.sum() < num_labels:
            quota[np.argmax(np.where(quota < counts, lack, -np.inf))] += 1
        else:
            quota[np.argmin(np.where(quota > 1, lack, np.inf))] -= 1
    random = np.random.RandomState(0)
    orders = [random.permutation(np.flatnonzero(label == value)) for value in classes]
    chosen = np.sort(np.concatenate([order[:q] for order, q in zip(orders, quota, strict=True)]))
    labelled = dataclasses.replace(data.train.take(chosen), streams={})
    streams = {**data.train.streams, "labelled": labelled}
    return dataclasses.replace(data, train=dataclasses.replace(data.train, streams=streams))


def a_sixth(count: int) -> int:
    """Examples held out where nothing else is said: one in six, at most 10,000."""
    return max(1, min(10_000, count // 6))


def hold_out(
    train: Split,
    validation: int | float | None,
    default: int,
    groups: np.ndarray | None = None,
    published: Split | None = None,
) -> tuple[Split, Split]:
    """Cuts the validation examples from the end of the training part.

    Args:
        train: What may be trained on.
        validation: How many to hold out: a count, a fraction in [0, 1), or None for `default`.
        default: The count that None means.
        groups: Group of each example, `[N]`, in runs: the cut moves to the nearest boundary of a
            group, so that examples of one group (overlapping patches) stay on one side.
        published: The validation split that the data set has. None means it; any other value
            appends it to `train` before the cut.

    Returns:
        Train and validation.

    Raises:
        DataError: If `validation` is no such number or leaves nothing to train on.
    """
    if validation is None and published is not None:
        return train, published
    if published is not None:
        train = train.join(published)
    cut = len(train) - _count(validation, default, len(train))
    if groups is not None:
        starts = np.flatnonzero(np.diff(groups)) + 1
        edges = np.concatenate([starts, [len(train)]])
        cut = int(edges[np.argmin(np.abs(edges - cut))])
    return train.take(slice(None, cut)), train.take(slice(cut, None))


def _count(validation: int | float | None, default: int, total: int) -> int:
    """The number of examples to hold out of `total`."""
    wrong = DataError(
        f"validation={validation!r} is neither a count from 0 to {total - 1} nor a fraction from 0 to below 1"
    )
    if validation is None:
        return min(default, total - 1)
    if isinstance(validation, bool) or not isinstance(validation, numbers.Real):
        raise wrong
    if isinstance(validation, numbers.Integral):
        count = int(validation)
    elif 0 <= validation < 1:
        count = round(float(validation) * total)
    else:
        raise wrong
    if not 0 <= count < total:
        raise wrong
    return count


def cut(every: Split, validation: int | float | None, what: str, unit: str) -> tuple[Split, Split, Split]:
    """Cuts examples into train, validation and test, with each class's share in every part.

    A fixed sixth, at most 10,000, tests, and a sixth of the rest validates.

    Args:
        every: All examples.
        validation: As `hold_out` takes it.
        what: What holds them, for the error.
        unit: What they are called there.

    Raises:
        DataError: If there are fewer than three.
    """
    if validation == "all":
        return every, every, every
    if len(every) < 3:
        raise DataError(f"{what} holds {len(every)} {unit}: train, validation and test need 3 at least")
    order, size = stratified_order(len(every), _one_label(every)), a_sixth(len(every))
    test, rest = every.take(order[:size]), every.take(order[size:])
    return (*hold_out(rest, validation, a_sixth(len(rest))), test)


def arrange(parts: Mapping[str, Split], validation: int | float | None) -> tuple[Split, Split, Split]:
    """Train, validation and test of splits that are given, in a fixed order that mixes classes.

    Args:
        parts: "train", "test" and perhaps "validation", which may be empty: a sixth of the training part
            validates then.
        validation: As `hold_out` takes it.
    """
    rest, published = parts["train"], parts.get("validation")
    if validation == "all":
        every = functools.reduce(Split.join, [parts[name] for name in PARTS if name in parts])
        return every, every, every
    rest = rest.take(stratified_order(len(rest), _one_label(rest)))
    published = published if published is not None and len(published) else None
    return (*hold_out(rest, validation, a_sixth(len(rest)), published=published), parts["test"])


def _one_label(every: Split) -> np.ndarray | None:
    """One class for each example, of labels of several kinds their combinations."""
    if every.label is None or every.label.ndim == 1:
        return every.label
    return np.unique(every.label, axis=0, return_inverse=True)[1].reshape(-1)
