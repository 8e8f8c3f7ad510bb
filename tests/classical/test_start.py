"""Starts of clusters against their laws by enumeration, and against scikit-learn."""

import collections
import itertools

import numpy as np
import pytest
import scipy.stats
import sklearn.cluster

from tfgen.classical import start


def blobs(num=400, dims=3, modes=6, offset=0.0):
    draw = np.random.RandomState(0)
    centers = 5.0 * draw.randn(modes, dims)
    return centers[draw.choice(modes, num)] + draw.randn(num, dims) + offset


def inertia(x, centers):
    return np.square(x[:, None] - centers).sum(-1).min(1).sum()


@pytest.mark.slow
def test_plus_plus_follows_its_law():
    """Two centers of five weighted points: the law of (first, second) by enumeration of both candidates.

    False-failure rate 1e-5.
    """
    x = np.array([[0.0], [1.0], [3.0], [3.5], [7.0]])
    weights = np.array([1.0, 2.0, 0.5, 0.0, 1.5])
    law = collections.Counter()
    for first in range(5):
        reach = weights * np.square(x - x[first])[:, 0]
        p = reach / reach.sum()
        # Of 2 + log(2) -> 2 candidates the better one.
        for pair in itertools.product(range(5), repeat=2):
            costs = [weights @ np.square(x - x[[first, c]].T).min(1) for c in pair]
            law[first, pair[int(np.argmin(costs))]] += (
                weights[first] / weights.sum() * p[pair[0]] * p[pair[1]]
            )
    counted = collections.Counter()
    draws = 700
    for seed in range(draws):
        found = start.kmeans_plus_plus(x + 1e6, 2, seed, weights) - 1e6
        counted[tuple(int(np.flatnonzero(x[:, 0] == c)[0]) for c in found[:, 0])] += 1
    possible = [pair for pair in law if law[pair] > 0]
    assert set(counted) <= set(possible)
    expected = [draws * law[pair] for pair in possible]
    assert scipy.stats.chisquare([counted[pair] for pair in possible], expected).pvalue > 1e-5


@pytest.mark.parametrize("choose", [start.kmeans_plus_plus, start.kmeans_parallel])
def test_starts_are_as_good_as_scikit_learns(choose):
    x = blobs()
    ours = [inertia(x, choose(x, 6, seed)) for seed in range(20)]
    theirs = [inertia(x, sklearn.cluster.kmeans_plusplus(x, 6, random_state=s)[0]) for s in range(20)]
    rows = np.random.RandomState(1)
    uniform = [inertia(x, x[rows.choice(len(x), 6, replace=False)]) for _ in range(20)]
    assert np.median(ours) < 1.1 * np.median(theirs)
    assert np.median(ours) < 0.7 * np.median(uniform)


@pytest.mark.parametrize("choose", [start.kmeans_plus_plus, start.kmeans_parallel])
def test_starts_take_rows_of_x_by_seed_and_weight(choose):
    x = blobs(50)
    weights = np.where(np.arange(50) < 25, 0.0, 1.0)
    chosen = choose(x, 10, 3, weights)
    rows = [int(np.flatnonzero((x == c).all(1))[0]) for c in chosen]
    assert len(set(rows)) == 10 and min(rows) >= 25
    np.testing.assert_array_equal(chosen, choose(x, 10, 3, weights))
    assert not np.array_equal(chosen, choose(x, 10, 4, weights))
    # All rows, some of them twice: what there is.
    twice = np.repeat(x[:3], 2, axis=0)
    assert {tuple(c) for c in choose(twice, 5, 0)} == {tuple(row) for row in x[:3]}


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_lloyd_equals_scikit_learn(offset):
    x = blobs(offset=offset)
    first = x[:6]
    weights = np.random.RandomState(2).rand(len(x))
    peer = sklearn.cluster.KMeans(6, init=first, n_init=1, tol=0.0).fit(x, sample_weight=weights)
    centers, labels, total = start.lloyd(x, first, weights)
    np.testing.assert_allclose(centers, peer.cluster_centers_, rtol=1e-9)
    np.testing.assert_array_equal(labels, peer.labels_)
    assert total == pytest.approx(peer.inertia_, rel=1e-6)


def test_a_center_without_rows_takes_the_farthest():
    x = np.array([[0.0], [1.0], [10.0]])
    centers, labels, total = start.lloyd(x, np.array([[0.5], [100.0], [101.0]]))
    assert sorted(centers[:, 0]) == [0.0, 1.0, 10.0] and len(set(labels)) == 3 and total == 0.0


def test_several_tries_find_better_clusters():
    x = blobs()
    one = [inertia(x, start.clusters(x, 9, seed, tries=1)[0]) for seed in range(6)]
    five = [inertia(x, start.clusters(x, 9, seed)[0]) for seed in range(6)]
    best = sklearn.cluster.KMeans(9, n_init=20, random_state=0).fit(x).inertia_
    assert np.mean(five) < np.mean(one) and np.mean(five) < 1.02 * best


def test_bad_arguments_are_named():
    x = blobs(5)
    broken = x.copy()
    broken[3, 1] = np.nan
    for arguments, message in [
        ((x, 6, 0), "num=6 clusters need as many rows, got 5: use fewer, or give more rows"),
        ((x[0], 2, 0), r"x must have shape \[rows, dims\], got \(3,\): reshape it"),
        ((broken, 2, 0), "x must hold finite values, got nan in row 3, column 1: replace"),
        ((x, 2, 0, np.ones(4)), r"weights must have shape \[5\], one for each row, got \(4,\)"),
        ((x, 2, 0, -np.ones(5)), "weights must be finite, not negative and not all zero, got -1.0 to -1.0"),
    ]:
        for choose in (start.kmeans_plus_plus, start.kmeans_parallel, start.clusters):
            with pytest.raises(ValueError, match=message):
                choose(*arguments)
    with pytest.raises(ValueError, match="start must be one of 'k-means\\+\\+', 'k-means||', got 'rows'"):
        start.clusters(x, 2, 0, start="rows")
