"""Parzen windows against scikit-learn's kernel density estimate."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.neighbors import KernelDensity

from tfgen.estimators.parzen import best_bandwidth, parzen_log_density


def test_log_density_is_scikit_learns():
    # Far from the origin, and in more rows than are held at once.
    draw = np.random.default_rng(0)
    x, centers = 1e4 + draw.normal(size=(700, 2, 3)), 1e4 + draw.normal(size=(40, 2, 3))
    bandwidths = [0.3, 2.0]
    found = parzen_log_density(x, centers, bandwidths)
    for one, s in zip(found, bandwidths, strict=True):
        expected = KernelDensity(bandwidth=s).fit(centers.reshape(40, 6)).score_samples(x.reshape(700, 6))
        np.testing.assert_allclose(one, expected, rtol=1e-6)
        np.testing.assert_array_equal(one, parzen_log_density(x, centers, s))
    with pytest.raises(ValueError, match="rows of one size, got 6 and 5"):
        parzen_log_density(x, centers.reshape(40, 6)[:, :5], 1.0)


def test_bandwidth_is_the_likeliest_of_held_out_data():
    draw = np.random.default_rng(1)
    x = draw.normal(0.5, 0.2, (300, 4))
    # Around one center the best bandwidth is the deviation from it.
    assert abs(best_bandwidth(x, np.full((1, 4), 0.5)) / 0.2 - 1) < 0.1


def test_centers_of_k_means_beat_samples_of_the_distribution_itself():
    """Why the figure is no likelihood: Theis, van den Oord & Bethge 2015, table 1."""
    draw = np.random.default_rng(2)

    def sample(num):
        return 0.5 + 0.1 * draw.normal(size=(num, 20))

    train, held_out, test = sample(2000), sample(300), sample(300)
    centers = KMeans(50, n_init=1, random_state=0).fit(train).cluster_centers_
    found = [parzen_log_density(test, c, best_bandwidth(held_out, c)).mean() for c in (centers, train[:50])]
    assert found[0] > found[1] + 1.0
