"""Samples of a model beside held-out data: distances, modes, and whether they show what was asked for."""

import numpy as np

from tfgen import progress, random
from tfgen.estimators import samples

_AT_MOST = 10_000
# Sets of samples of which figures are the mean, of as many samples as there are test examples each.
_DRAWS = 10
# Samples of a model with a density whose labels are looked at: pixel by pixel they take their time.
_LABELLED_AT_MOST = 500
# Samples, and numbers in them, that are drawn at once.
_ROWS_AT_ONCE, _NUMBERS_AT_ONCE = 1000, 1 << 22
# Entries of an x beyond which x is compared by a projection to as many numbers: covariances grow by the
# square of it, and the time for their roots by the cube.
_LARGEST = 1024
# To which neighbor the balls of `samples.manifold_metrics` reach.
_NEIGHBOR = 5


def report_samples(model, data, seed):
    """Distances between samples and the test split, and between the training split and the test split.

    A conditional model draws under the conditions of the test split.

    From few samples the distances vary with the draw: they are means over ten draws of as many samples as
    there are test examples, or over fewer that make 10,000 samples, with the 95 % interval of that mean
    (Student's t). It is of this model's samples against these test examples: another training of the same
    model, from another seed, differs by more.

    Labelled images are compared by the hidden layer of a classifier fitted to the training split
    (`samples.ClassifierFeatures`; for digits the Frechet distance is known as digit-FID, which is not
    comparable with one by Inception). Others and points are compared as they are, but x of more than 1,024
    entries by a random projection to 1,024 numbers (`samples.RandomProjection`). A figure's kind says which.
    With 5 test examples or fewer there are no distances. Labelled points in the plane also get the number of
    modes reached: the labels' centers, with the pooled standard deviation around them.

    Args:
      model: A trained model.
      data: A `tfgen.data.Data`.
      seed: int32 [2].

    Returns:
      Dict by name of {"value", "kind"} and, of means, {"low", "high"}.
    """
    num = min(len(data.test.x), _AT_MOST)
    draws = max(1, min(_DRAWS, _AT_MOST // num))
    train, test = (model.space.from_data(s.x[:_AT_MOST], data, seed).numpy() for s in (data.train, data.test))
    labels = None if data.train.label is None else _as_classes(data.train.label)[: len(train)]
    # The first draw is that of a single call.
    seeds = [seed, *(random.fold_in(seed, _AT_MOST, draw) for draw in range(1, draws))]
    fakes = [_draw(model, data, num, each) for each in seeds]
    features, extractor, results = None, "x itself", {}
    if test[0].size > _LARGEST:
        features = samples.RandomProjection(test[0].size, _LARGEST)
        extractor = f"random projection of x, {test[0].size} entries, to {_LARGEST} numbers"
    if labels is not None and model.kind == "image":
        features, extractor = samples.ClassifierFeatures(train, labels), "features of a classifier, 64 units"
        if model.condition is not None and model.condition.kind == "label":
            results |= _labels_found(features, fakes[0], test[:num], _as_classes(data.test.label)[:num])
    comparable = min(len(test), len(train)) > _NEIGHBOR
    parts = [train[i * num : (i + 1) * num] for i in range(max(1, min(draws, len(train) // num)))]
    for name, compared in (("", fakes), ("real_", parts)) if comparable else ():
        against = "samples" if not name else "training examples"
        kind = f"{len(compared[0])} {against} against {len(test)} test examples, {extractor}"
        kind = f"estimate, mean of {len(compared)} x {kind}" if len(compared) > 1 else f"estimate, {kind}"
        found = [samples.compare(test, each, features, _NEIGHBOR) for each in compared]
        results |= {
            name + key: _mean_of_draws([each[key] for each in found]) | {"kind": kind} for key in found[0]
        }
    if labels is not None and model.event_shape == (2,):
        centers = np.stack([train[labels == k].mean(axis=0) for k in np.unique(labels)])
        scale = float(np.sqrt(np.mean((train - centers[labels]) ** 2)))
        found = samples.mode_metrics(fakes[0], centers, scale)
        kind = f"estimate, {num} samples, {len(centers)} modes, good within 3 standard deviations"
        results |= {key: {"value": value, "kind": kind} for key, value in found.items()}
    return results


def _mean_of_draws(values):
    """The mean of a figure over draws and, of several, its 95 % interval by Student's t."""
    if len(values) < 2:
        return {"value": values[0]}
    from scipy.stats import t

    mean = float(np.mean(values))
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return {"value": mean, "low": mean - half, "high": mean + half}


def report_labels(model, data, seed):
    """Share of samples of a class in which a classifier finds that class, for images by label.

    The classifier is fitted to the training split (`samples.ClassifierFeatures`); what it finds in the test
    examples themselves says how far it can be trusted.

    Args:
      model: A trained model.
      data: A `tfgen.data.Data`.
      seed: int32 [2].

    Returns:
      Dict by name of {"value", "low", "high", "kind"}; empty for other models.
    """
    by_label = model.condition is not None and model.condition.kind == "label"
    if not (by_label and model.kind == "image" and model.samples):
        return {}
    num = min(len(data.test.x), _LABELLED_AT_MOST)
    train = model.space.from_data(data.train.x[:_AT_MOST], data, seed).numpy()
    test = model.space.from_data(data.test.x[:num], data, seed).numpy()
    classifier = samples.ClassifierFeatures(train, _as_classes(data.train.label)[: len(train)])
    fake = _draw(model, data, num, seed)
    return _labels_found(classifier, fake, test, _as_classes(data.test.label)[:num])


def _draw(model, data, num, seed):
    """Samples under the conditions of the first `num` test examples, as an array; so many at once as fit."""
    condition = None if model.condition is None else data.test.field(model.condition.kind)
    rows = max(1, min(_ROWS_AT_ONCE, _NUMBERS_AT_ONCE // max(1, data.test.x[0].size)))
    parts = []
    for start in progress.through(range(0, num, rows), "samples"):
        end = min(start + rows, num)
        keywords = {} if condition is None else {"condition": condition[start:end]}
        # The first rows are those of a single call.
        part_seed = random.fold_in(seed, start) if start else seed
        parts.append(np.asarray(model.sample(end - start, seed=part_seed, **keywords)))
    return np.concatenate(parts)


def _as_classes(label):
    """One number for each combination of labels, int64 `[num]` of labels `[num]` or `[num, k]`."""
    label = np.asarray(label, np.int64).reshape(len(label), -1)
    number = np.zeros(len(label), np.int64)
    for part in label.T:
        # Not the number of classes, which differs between splits: far more than labels have.
        number = number * 65_536 + part
    return number


def _labels_found(classifier, fake, real, asked):
    results = {}
    for name, what, x in (("", "samples", fake), ("real_", "test examples", real)):
        found = np.mean(classifier.classify(x) == asked)
        half = 1.959964 * np.sqrt(found * (1.0 - found) / len(asked))
        kind = f"share of {len(asked)} {what} in which a classifier of the training split finds the label"
        results[f"{name}labels_found"] = {
            "value": found, "low": found - half, "high": found + half, "kind": kind
        }  # fmt: skip
    return results
