"""Starts of clusters and mixtures: k-means++, k-means|| and Lloyd's iterations on a sample in memory.

Everything here is NumPy in float64, about the mean of the data, where |x|^2 + |c|^2 - 2xc loses no digits,
and a function of its arguments alone: equal seeds give equal bits in every process.
"""

import math

import numpy as np

from tfgen import checks, random

STARTS = ("k-means++", "k-means||")

# Rows whose distances to all centers are in memory at once, and iterations that tell a good start.
_ROWS, _FEW = 4096, 3


def clusters(x, num, seed, weights=None, start="k-means++", tries=5, iterations=100):
    """Clusters of a sample: of several starts, the best after a few of Lloyd's iterations, carried on.

    Args:
      x: `[rows, dims]`.
      num: Number of clusters.
      seed: Python int or int32 [2].
      weights: How much each row counts, `[rows]`; None counts each once.
      start: "k-means++" or "k-means||".
      tries: Number of starts.
      iterations: Most iterations of the best.

    Returns:
      (centers float64 `[num, dims]`, labels int64 `[rows]`, each in 0 to num - 1).

    Raises:
      ValueError: If there are fewer rows than clusters, or x or weights do not fit.
    """
    choose = {"k-means++": kmeans_plus_plus, "k-means||": kmeans_parallel}
    choose = choose[checks.one_of("start", start, STARTS)]
    seed = random.as_seed(seed)
    found = []
    for trial in range(checks.whole("tries", tries)):
        centers = choose(x, num, random.fold_in(seed, trial), weights)
        found.append(lloyd(x, centers, weights, min(_FEW, iterations)))
    centers, _, _ = min(found, key=lambda each: each[2])
    centers, labels, _ = lloyd(x, centers, weights, iterations)
    return centers, labels


def kmeans_plus_plus(x, num, seed, weights=None):
    """Centers chosen one after the other in proportion to weight times squared distance to those chosen.

    Of 2 + log(num) candidates the one that lowers the sum of squared distances most is taken (greedy
    k-means++). Where all distances are zero, rows are taken in proportion to their weights.

    Args:
      x: `[rows, dims]`.
      num: Number of centers.
      seed: Python int or int32 [2].
      weights: How much each row counts, `[rows]`; None counts each once.

    Returns:
      float64 `[num, dims]`, rows of x.

    Raises:
      ValueError: If there are fewer rows than centers, or x or weights do not fit.

    References:
      Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    x, weights = _checked(x, num, weights)
    centered = x - x.mean(axis=0)
    trials = 2 + int(math.log(num))
    uniforms = random.uniform(random.rows(random.as_seed(seed), num), [trials]).numpy()
    chosen = [_pick(uniforms[0, :1], weights)[0]]
    closest = _squared_distances(centered, centered[chosen])[:, 0]
    for draws in uniforms[1:]:
        weighted = weights * closest
        candidates = _pick(draws, weighted if weighted.sum() > 0 else weights)
        lowered = np.minimum(closest[:, None], _squared_distances(centered, centered[candidates]))
        best = int(np.argmin(weights @ lowered))
        chosen.append(candidates[best])
        closest = lowered[:, best]
        closest[chosen[-1]] = 0.0
    return x[chosen]


def kmeans_parallel(x, num, seed, weights=None, rounds=5, oversampling=2.0):
    """Centers by k-means||: a few rounds that take many rows at once, then k-means++ of what they took.

    Every round takes each row independently with probability oversampling * num * weight * squared distance
    / sum of these. The rows taken, weighted by all rows nearest to them, are clustered by `kmeans_plus_plus`.

    Args:
      x: `[rows, dims]`.
      num: Number of centers.
      seed: Python int or int32 [2].
      weights: How much each row counts, `[rows]`; None counts each once.
      rounds: Number of rounds; more follow while fewer than `num` rows are taken.
      oversampling: Rows that a round takes in expectation, relative to `num`.

    Returns:
      float64 `[num, dims]`, rows of x.

    Raises:
      ValueError: If there are fewer rows than centers, or x, weights, rounds or oversampling do not fit.

    References:
      Bahmani et al., "Scalable k-means++", VLDB 2012, arXiv:1203.6402.
    """
    x, weights = _checked(x, num, weights)
    checks.whole("rounds", rounds)
    checks.number("oversampling", oversampling, above=0)
    first, rest, last = random.split(random.as_seed(seed), 3)
    centered = x - x.mean(axis=0)
    taken = np.zeros(len(x), bool)
    taken[_pick(random.uniform(first, [1]).numpy(), weights)] = True
    closest = _squared_distances(centered, centered[taken])[:, 0]
    done = 0
    while done < rounds or taken.sum() < num:
        potential = weights * np.where(taken, 0.0, closest)
        if potential.sum() == 0.0:
            break
        draws = random.uniform(random.fold_in(rest, done), [len(x)]).numpy()
        new = draws < oversampling * num * potential / potential.sum()
        if new.any():
            closest = np.minimum(closest, nearest(centered, centered[new])[1])
        taken |= new
        done += 1
    # What is left lies on rows that are taken.
    missing = np.flatnonzero(~taken & (weights > 0))[: max(0, num - int(taken.sum()))]
    taken[missing] = True
    candidates = x[taken]
    labels, _ = nearest(x, candidates)
    mass = np.bincount(labels, weights, minlength=len(candidates))
    if len(candidates) <= num:
        return np.resize(candidates, (num, x.shape[1]))
    return kmeans_plus_plus(candidates, num, last, mass)


def lloyd(x, centers, weights=None, iterations=100):
    """Lloyd's iterations: rows go to the nearest center, centers to the mean of their rows, until all stay.

    A center without rows takes the row that is farthest from its own center.

    Args:
      x: `[rows, dims]`.
      centers: Where they start, `[num, dims]`.
      weights: How much each row counts, `[rows]`; None counts each once.
      iterations: Most iterations.

    Returns:
      (centers float64 `[num, dims]`, labels int64 `[rows]`, weighted sum of squared distances).

    Raises:
      ValueError: If there are fewer rows than centers, or x or weights do not fit.

    References:
      Lloyd, "Least squares quantization in PCM", 1982.
    """
    checks.whole("iterations", iterations, at_least=0)
    x, weights = _checked(x, len(centers), weights)
    middle = x.mean(axis=0)
    x, centers = x - middle, np.array(centers, np.float64) - middle
    weighted = weights[:, None] * x
    labels, squared = nearest(x, centers)
    for _ in range(iterations):
        mass = np.bincount(labels, weights, minlength=len(centers))
        order = np.argsort(labels, kind="stable")
        used, firsts = np.unique(labels[order], return_index=True)
        moved = np.zeros_like(centers)
        moved[used] = np.add.reduceat(weighted[order], firsts, axis=0)
        moved /= np.where(mass > 0, mass, 1.0)[:, None]
        empty = np.flatnonzero(mass == 0)
        farthest = np.argsort(-weights * squared, kind="stable")[: len(empty)]
        moved[empty] = x[farthest]
        centers, before = moved, labels
        labels, squared = nearest(x, centers)
        if np.array_equal(labels, before) and not empty.size:
            break
    return centers + middle, labels, float(weights @ squared)


def nearest(x, centers):
    """The nearest center of each row, the first of equals.

    Args:
      x: `[rows, dims]`.
      centers: `[num, dims]`.

    Returns:
      (labels int64 `[rows]`, squared distances float64 `[rows]`).
    """
    x, centers = np.asarray(x, np.float64), np.asarray(centers, np.float64)
    middle = centers.mean(axis=0)
    labels = np.empty(len(x), np.int64)
    for first in range(0, len(x), _ROWS):
        distances = _squared_distances(x[first : first + _ROWS] - middle, centers - middle)
        labels[first : first + _ROWS] = distances.argmin(axis=1)
    return labels, np.square(x - centers[labels]).sum(axis=1)


def _squared_distances(x, centers):
    """Squared distances `[rows, num]` of what lies about the origin."""
    products = x @ centers.T
    squared = np.square(x).sum(axis=1)[:, None] + np.square(centers).sum(axis=1) - 2.0 * products
    return np.maximum(squared, 0.0)


def _pick(uniforms, weights):
    """Rows in proportion to their weights, one for each uniform number; never one of weight zero."""
    cumulative = np.cumsum(weights)
    rows = np.searchsorted(cumulative, uniforms * cumulative[-1], side="right")
    return np.minimum(rows, np.flatnonzero(weights)[-1])


def _checked(x, num, weights):
    """x and weights in float64."""
    checks.whole("num", num)
    x = np.asarray(x, np.float64)
    if x.ndim != 2:
        raise ValueError(f"x must have shape [rows, dims], got {x.shape}: reshape it.")
    if len(x) < num:
        raise ValueError(f"num={num} clusters need as many rows, got {len(x)}: use fewer, or give more rows.")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"x must hold finite values, got {x[row, column]} in row {row}, column {column}: replace or "
            "leave out what is not finite."
        )
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (len(x),):
        raise ValueError(f"weights must have shape [{len(x)}], one for each row, got {weights.shape}.")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError(
            f"weights must be finite, not negative and not all zero, got {weights.min()} to {weights.max()}."
        )
    return x, weights
