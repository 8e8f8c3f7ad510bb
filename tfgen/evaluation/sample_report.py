"""What a model without a density is judged by: its samples beside held-out data."""

import numpy as np

from tfgen.estimators import samples

_AT_MOST = 10_000


def report_samples(model, data, seed):
    """Distances between samples and the test split, and between the training split and the test split.

    Labelled images are compared by the hidden layer of a classifier fitted to the training split
    (`samples.ClassifierFeatures`; for digits the Frechet distance is known as digit-FID, which is not
    comparable with one by Inception), others and points as they are. Labelled points in the plane also get
    the number of modes reached: the labels' centers, with the pooled standard deviation around them.

    Args:
      model: A trained model.
      data: A `tfgen.data.Data`.
      seed: int32 [2].

    Returns:
      Dict by name of {"value", "kind"}.
    """
    num = min(len(data.test.x), _AT_MOST)
    train, test = (model.space.from_data(s.x[:_AT_MOST], data, seed).numpy() for s in (data.train, data.test))
    labels = None if data.train.label is None else data.train.label[: len(train)]
    fake = np.asarray(model.sample(num, seed=seed))
    features, extractor = None, "x itself"
    if labels is not None and len(model.event_shape) == 3:
        features, extractor = samples.ClassifierFeatures(train, labels), "features of a classifier, 64 units"
    results = {}
    for name, compared in (("", fake), ("real_", train[:num])):
        against = "samples" if not name else "training examples"
        kind = f"estimate, {len(compared)} {against} against {len(test)} test examples, {extractor}"
        found = samples.compare(test, compared, features)
        results |= {name + key: {"value": value, "kind": kind} for key, value in found.items()}
    if labels is not None and model.event_shape == (2,):
        centers = np.stack([train[labels == k].mean(axis=0) for k in np.unique(labels)])
        scale = float(np.sqrt(np.mean((train - centers[labels]) ** 2)))
        found = samples.mode_metrics(fake, centers, scale)
        kind = f"estimate, {num} samples, {len(centers)} modes, good within 3 standard deviations"
        results |= {key: {"value": value, "kind": kind} for key, value in found.items()}
    return results
