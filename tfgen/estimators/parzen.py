"""Parzen window: a kernel density estimate of round Gaussians around samples.

Once the usual figure of models that only sample, it says little of a likelihood where x has more than a few
entries: it ranks models otherwise than their likelihoods do, and centers of k-means above samples of the
distribution itself (Theis, van den Oord & Bethge, "A note on the evaluation of generative models", 2015,
arXiv:1511.01844).
"""

import numpy as np

# Rows of a distance matrix held at once.
_ROWS = 500
# From far below to far above what is best for entries in [0, 1].
_BANDWIDTHS = np.geomspace(0.03, 1.0, 36)


def parzen_log_density(x, centers, bandwidths):
    """log (1/m) sum_j N(x; c_j, s^2 I) in nats, for one bandwidth s or several.

    Args:
      x: `[n, ...]`.
      centers: Samples `[m, ...]`, rows of the same size.
      bandwidths: A float, or `[k]`.

    Returns:
      float64 `[n]`, or `[k, n]`.

    Raises:
      ValueError: If the rows differ in size.
    """
    from scipy.special import logsumexp

    x, centers = (np.asarray(rows, np.float64).reshape(len(rows), -1) for rows in (x, centers))
    if x.shape[1] != centers.shape[1]:
        raise ValueError(
            f"x and centers must have rows of one size, got {x.shape[1]} and {centers.shape[1]}."
        )
    # Far from the origin, squares that are subtracted from each other would lose the distances.
    middle = centers.mean(axis=0)
    x, centers = x - middle, centers - middle
    squares, found = np.sum(centers * centers, axis=1), []
    variances = np.square(np.atleast_1d(np.asarray(bandwidths, np.float64)))
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS]
        distances = np.sum(rows * rows, axis=1)[:, None] + squares - 2.0 * rows @ centers.T
        found.append([logsumexp(-0.5 * distances / v, axis=1) for v in variances])
    constants = np.log(len(centers)) + 0.5 * x.shape[1] * np.log(2.0 * np.pi * variances)
    densities = np.concatenate(found, axis=1) - constants[:, None]
    return densities if np.ndim(bandwidths) else densities[0]


def best_bandwidth(x, centers):
    """The bandwidth, of 36 from 0.03 to 1, under which held-out x are likeliest.

    Args:
      x: `[n, ...]`, entries in [0, 1].
      centers: Samples `[m, ...]`.
    """
    return float(_BANDWIDTHS[np.argmax(parzen_log_density(x, centers, _BANDWIDTHS).mean(axis=1))])
