"""Agreement of two labellings whose labels have other names: the best one-to-one match."""

import numpy as np


def matched(counts):
    """Share of a table on which two labellings agree, and the match that makes it largest.

    Args:
      counts: How often each pair of labels occurs, `[labels, labels]`: one labelling down, the other across.

    Returns:
      (share, for each row the column that is matched to it, ints `[labels]`).

    References:
      Kuhn, "The Hungarian method for the assignment problem", 1955.
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.asarray(counts)
    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / counts.sum()), columns
