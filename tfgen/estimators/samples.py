"""Distances between samples and data, without a density: FID, KID, manifolds, modes and neighbors.

All but `energy_distance` are NumPy in float64 on rows of features or of flattened x. What a number
means depends on the features and on the numbers of rows: compare only like with like, and with the
same number between two halves of the data.
"""

import numpy as np
import tensorflow as tf

from tfgen import checks

_ROWS = 1024  # Rows of a distance matrix held at once.
_PASSES = 50  # Over the data, when a classifier is fitted for its features.


def frechet_distance(a, b):
    """Squared Frechet distance between the Gaussians fitted to two samples (FID on its features).

    Args:
      a: Features `[n, size]`, n >= 2.
      b: Features `[m, size]`, m >= 2.

    Returns:
      Float. Biased upwards, by about size / n where the covariances are estimated from n rows.

    References:
      Heusel et al., 2017, GANs trained by a two time-scale update rule, arXiv:1706.08500.
    """
    a, b = _pair(a, b, at_least=2)
    moments = [(rows.mean(0), np.atleast_2d(np.cov(rows, rowvar=False))) for rows in (a, b)]
    return frechet_distance_of_gaussians(*moments[0], *moments[1])


def frechet_distance_of_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), A and B the covariances.

    Args:
      mean_a: `[size]`.
      covariance_a: `[size, size]`, positive semidefinite; singular will do.
      mean_b: `[size]`.
      covariance_b: As `covariance_a`.

    Returns:
      Float, at least 0.

    References:
      Dowson & Landau, 1982, The Frechet distance between multivariate normal distributions.
    """
    values, vectors = np.linalg.eigh(covariance_a)
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    # A^(1/2) B A^(1/2) is symmetric and has the eigenvalues of A B.
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_b @ root), 0.0)).sum()
    shift = np.sum(np.square(np.subtract(mean_a, mean_b)))
    return float(max(shift + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * cross, 0.0))


def kernel_distance(a, b):
    """Unbiased squared maximum mean discrepancy under k(x, y) = (x.y / size + 1)^3 (KID).

    Args:
      a: Features `[n, size]`, n >= 2.
      b: Features `[m, size]`, m >= 2.

    Returns:
      Float, 0 on average between samples of one distribution, so it may be negative.

    References:
      Binkowski et al., 2018, Demystifying MMD GANs, arXiv:1801.01401.
    """
    a, b = _pair(a, b, at_least=2)

    def total(x, y):
        parts = range(0, len(x), _ROWS)
        return sum(np.sum((x[i : i + _ROWS] @ y.T / x.shape[1] + 1.0) ** 3) for i in parts)

    def within(x):
        own = np.sum((np.sum(x * x, axis=1) / x.shape[1] + 1.0) ** 3)
        return (total(x, x) - own) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2.0 * total(a, b) / (len(a) * len(b)))


def energy_distance(a, b):
    """2 E|a - b| - E|a - a'| - E|b - b'|, unbiased, as a TensorFlow graph.

    Unlike `kernel_distance` it has no scale to choose and is 0 in expectation for equal
    distributions only.

    Args:
      a: `[n, ...]`; with n = 1 the term within is left out.
      b: `[m, ...]`.

    Returns:
      float32 scalar; below 0 at times, on average 0 between samples of one distribution.

    References:
      Szekely & Rizzo, 2013, Energy statistics: a class of statistics based on distances.
    """
    a, b = (tf.reshape(tf.cast(x, tf.float64), [tf.shape(x)[0], -1]) for x in (a, b))
    # Far from the origin, squares that are subtracted from each other would lose the distances. They stay
    # float64 to the end: float32 products lose 13 of their 23 bits to TF32 on GPUs that have it.
    center = tf.reduce_mean(a, axis=0)
    a, b = (x - center for x in (a, b))

    def mean_distance(x, y, same):
        square = tf.reduce_sum(x * x, 1)[:, None] + tf.reduce_sum(y * y, 1) - 2.0 * x @ tf.transpose(y)
        if same:
            square = tf.linalg.set_diag(square, tf.zeros(tf.shape(x)[:1], tf.float64))
        n, m = tf.cast(tf.shape(x)[0], tf.float64), tf.cast(tf.shape(y)[0], tf.float64)
        pairs = tf.maximum(n * (n - 1.0), 1.0) if same else n * m
        return tf.reduce_sum(tf.sqrt(tf.maximum(square, 0.0))) / pairs

    distance = 2.0 * mean_distance(a, b, False) - mean_distance(a, a, True) - mean_distance(b, b, True)
    return tf.cast(distance, tf.float32)


def manifold_metrics(real, fake, k=5):
    """Precision and recall, density and coverage by balls that reach to the k-th nearest neighbor.

    precision: share of fake inside some real ball. recall: share of real inside some fake ball.
    density: real balls around a fake, divided by k, on average; may exceed 1. coverage: share of
    real balls that hold a fake.

    Args:
      real: Features `[n, size]`, n > k.
      fake: Features `[m, size]`, m > k.
      k: Which neighbor sets a ball's radius, oneself not counted.

    Returns:
      Dict of floats: "precision", "recall", "density", "coverage".

    References:
      Kynkaanniemi et al., 2019, Improved precision and recall metric, arXiv:1904.06991.
      Naeem et al., 2020, Reliable fidelity and diversity metrics, arXiv:2002.09797.
    """
    real, fake = _pair(real, fake, at_least=checks.whole("k", k) + 1)
    real_radius, fake_radius = (
        np.concatenate([np.partition(d, k, axis=1)[:, k] for d in _distances(x, x)]) for x in (real, fake)
    )
    inside, covered = np.zeros(len(fake)), np.zeros(len(real), bool)
    recalled = []
    for i, distances in enumerate(_distances(real, fake)):
        part = slice(i * _ROWS, (i + 1) * _ROWS)
        hits = distances <= real_radius[part, None]
        inside += hits.sum(0)
        covered[part] = hits.any(1)
        recalled.append((distances <= fake_radius).any(1))
    return {
        "precision": float(np.mean(inside > 0)),
        "recall": float(np.mean(np.concatenate(recalled))),
        "density": float(np.mean(inside) / k),
        "coverage": float(np.mean(covered)),
    }


def mode_metrics(x, centers, scale, radius=3.0):
    """Modes of a mixture of equal, round Gaussians that samples reach, and the share of good samples.

    A sample is good within `radius` standard deviations of its nearest center (98.9 % of a perfect
    sampler's in the plane), and a mode is hit if some good sample is nearest to it.

    Args:
      x: Samples `[n, size]`.
      centers: `[modes, size]`.
      scale: Standard deviation of every mode in every direction.
      radius: In standard deviations.

    Returns:
      Dict: "modes_hit" (int), "good_share" (float).

    References:
      Srivastava et al., 2017, VEEGAN, arXiv:1705.07761.
    """
    x, centers = _pair(x, centers)
    nearest, distance = nearest_neighbors(x, centers)
    good = distance[:, 0] <= radius * scale
    return {
        "modes_hit": int(len(np.unique(nearest[good, 0]))),
        "good_share": float(np.mean(good)),
    }


def nearest_neighbors(x, data, num=1):
    """Rows of `data` nearest to each x, which tell whether samples are copies of the training data.

    Args:
      x: `[n, ...]`.
      data: `[m, ...]`.
      num: How many, at most m.

    Returns:
      Indices into data, int `[n, num]`, and Euclidean distances `[n, num]`, nearest first.
    """
    x, data = _pair(x, data)
    if checks.whole("num", num) > len(data):
        raise ValueError(f"num must be at most {len(data)}, the rows of data, got {num}.")
    index, distance = [], []
    for block in _distances(x, data):
        index.append(np.argsort(block, axis=1, kind="stable")[:, :num])
        distance.append(np.take_along_axis(block, index[-1], axis=1))
    return np.concatenate(index), np.concatenate(distance)


class ClassifierFeatures:
    """The hidden layer of a small classifier, fitted to labelled data: features for "digit-FID".

    The same data and seed give the same features on the same machine. Data and samples may be
    in any units that differ by one shift and factor, as long as both are in the same. Call it on x
    for the features, float64 `[n, hidden]`.

    Args:
      x: Training examples `[n, ...]`; never those that the distance is measured on.
      label: Classes, int `[n]`.
      hidden: Units of the hidden layer, ReLU.
      seed: Of the classifier's initial weights and batches.
    """

    def __init__(self, x, label, hidden=64, seed=0):
        from sklearn.neural_network import MLPClassifier

        self.event_shape = tuple(np.shape(x)[1:])
        rows = _rows(x)
        self._shift, self._scale = rows.mean(), rows.std()
        if not self._scale > 0:
            raise ValueError(f"x must hold more than one value, all are {self._shift:g}.")
        self._classifier = MLPClassifier((hidden,), random_state=seed)
        for _ in range(_PASSES):
            self._classifier.partial_fit(self._normalized(x), label, classes=np.unique(label))

    def __call__(self, x):
        """Features of x `[n, *event_shape]`."""
        weights, bias = self._classifier.coefs_[0], self._classifier.intercepts_[0]
        return np.maximum(self._normalized(x) @ weights + bias, 0.0)

    def classify(self, x):
        """Most probable class of each x, `[n]`."""
        return self._classifier.predict(self._normalized(x))

    def probabilities(self, x):
        """Probabilities of the classes of each x, `[n, classes]`."""
        return self._classifier.predict_proba(self._normalized(x))

    def _normalized(self, x):
        if tuple(np.shape(x)[1:]) != self.event_shape:
            raise ValueError(f"x must have shape [n, *{self.event_shape}], got {np.shape(x)}.")
        return (_rows(x) - self._shift) / self._scale


class RandomProjection:
    """Random projection of large x to few numbers, which keeps distances and makes covariances affordable.

    y = x P, P of independent N(0, 1 / outputs): E |y|^2 = |x|^2, with a relative standard deviation of
    sqrt(2 / outputs). The same sizes and seed give the same P. Call it on x for float64 `[n, outputs]`.

    Args:
      inputs: Entries of an x.
      outputs: Numbers of a projection.
      seed: Python int.

    References:
      Johnson & Lindenstrauss, 1984, Extensions of Lipschitz mappings into a Hilbert space.
    """

    def __init__(self, inputs, outputs=1024, seed=0):
        draw = np.random.Generator(np.random.Philox(seed))
        self._matrix = draw.standard_normal((inputs, outputs)) / np.sqrt(outputs)

    def __call__(self, x):
        """Projections of x `[n, ...]`, some rows at a time."""
        return np.concatenate([_rows(x[i : i + _ROWS]) @ self._matrix for i in range(0, len(x), _ROWS)])


def compare(real, fake, features=None, k=5):
    """All distances between data and samples on one kind of features.

    Args:
      real: Held-out data `[n, ...]`.
      fake: Samples `[m, ...]`, in the same values.
      features: Function from rows to features, e.g. `ClassifierFeatures`; None for x itself.
      k: As `manifold_metrics`.

    Returns:
      Dict of floats: "frechet_distance", "kernel_distance" and those of `manifold_metrics`.
    """
    real, fake = (_rows(x if features is None else features(x)) for x in (real, fake))
    return {
        "frechet_distance": frechet_distance(real, fake),
        "kernel_distance": kernel_distance(real, fake),
    } | manifold_metrics(real, fake, k)


def _rows(x):
    x = np.asarray(x, np.float64)
    return x.reshape(len(x), -1)


def _pair(a, b, at_least=1):
    a, b = _rows(a), _rows(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"both must have rows of one size, got {a.shape[1]} and {b.shape[1]}.")
    if min(len(a), len(b)) < at_least:
        raise ValueError(f"both need {at_least} rows or more, got {len(a)} and {len(b)}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("both must be finite, got NaN or infinite values.")
    return a, b


def _distances(a, b):
    """Blocks of the distance matrix `[len(a), len(b)]`, from differences: equal rows give 0."""
    from scipy.spatial.distance import cdist

    for i in range(0, len(a), _ROWS):
        yield cdist(a[i : i + _ROWS], b)
