"""Random numbers: published test vectors, distributions, independence, equality with and without XLA."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import random

SEED = random.as_seed(5)


def word(value):
    return tf.constant(value, tf.uint32)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        # Random123's known answers for threefry2x32 with 20 rounds.
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_answers(key, counter, expected):
    found = random.threefry([word(k) for k in key], [word(c) for c in counter])
    assert tuple(int(w) for w in found) == expected


def test_bits_are_equal_inside_and_outside_xla():
    def draw(seed):
        return random.bits(seed, [7, 11]), random.uniform(seed, [7, 11]), random.fold_in(seed, 3, 4)

    for one, two in zip(draw(SEED), tf.function(draw, jit_compile=True)(SEED), strict=True):
        np.testing.assert_array_equal(one, two)
    compiled = tf.function(lambda s: random.normal(s, [1000]), jit_compile=True)(SEED)
    np.testing.assert_allclose(random.normal(SEED, [1000]), compiled, atol=2e-5)


@pytest.mark.parametrize(
    ("draw", "law"),
    [(random.uniform, stats.uniform), (random.normal, stats.norm)],
)
def test_floats_follow_their_law(draw, law):
    """Kolmogorov-Smirnov on 100,000 numbers; false failures 1 in 10^4, and the seed is fixed."""
    x = draw(SEED, [100_001]).numpy()
    assert stats.kstest(x, law.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / np.sqrt(len(x))


def test_uniforms_never_reach_the_ends():
    extremes = (tf.constant([0, 2**23 - 1], tf.float32) + 0.5) * 2.0**-23
    assert float(extremes[0]) > 0 and float(extremes[1]) < 1
    assert np.all(np.isfinite(tf.math.ndtri(extremes)))


def test_discrete_draws_have_their_probabilities():
    probs = np.array([0.1, 0.2, 0.0, 0.7], np.float32)
    logits = tf.tile(tf.math.log(probs)[None], [20_000, 1])
    counts = np.bincount(random.categorical(SEED, logits), minlength=4)
    assert counts[2] == 0
    assert stats.chisquare(counts[[0, 1, 3]], 20_000 * probs[[0, 1, 3]]).pvalue > 1e-4
    ones = random.bernoulli(SEED, tf.fill([20_000], 0.3)).numpy().sum()
    assert stats.binomtest(int(ones), 20_000, 0.3).pvalue > 1e-4


def test_a_row_has_its_own_stream():
    rows = random.rows(SEED, 5)
    together = random.uniform(rows, [3, 2]).numpy()
    for i in range(5):
        np.testing.assert_array_equal(together[i], random.uniform(random.fold_in(SEED, i), [3, 2]))
    np.testing.assert_array_equal(rows[2:], random.rows(SEED, 3, start=2))
    probs = tf.fill([5, 4], 0.5)
    np.testing.assert_array_equal(
        random.bernoulli(rows, probs)[3], random.bernoulli(random.fold_in(SEED, 3), probs[3])
    )


def test_streams_do_not_meet():
    seeds = [
        SEED,
        *random.split(SEED, 3),
        *(random.fold_in(SEED, i) for i in range(3)),
        random.fold_in(SEED, 2**40),
    ]
    draws = np.stack([random.bits(s, [1000]) for s in seeds])
    assert len(np.unique(draws)) > 0.999 * draws.size
    assert not np.array_equal(random.fold_in(SEED, 0, 1), random.fold_in(SEED, 1, 0))
    # No word of a draw is a derived seed.
    derived = np.stack(seeds[1:]).astype(np.uint32)
    assert not set(map(tuple, draws[0].reshape(-1, 2))) & set(map(tuple, derived))


def test_seeds_are_told_apart():
    assert not np.array_equal(random.as_seed(1), random.as_seed(1 + 2**32))
    assert not np.array_equal(random.as_seed(-1), random.as_seed(1))
    np.testing.assert_array_equal(random.as_seed([3, 4]), [3, 4])
    assert not np.array_equal(random.as_seed(None), random.as_seed(None))
    np.testing.assert_array_equal(random.as_seed(2**63 - 1), [2**31 - 1, -1])
    np.testing.assert_array_equal(random.as_seed(-(2**63)), [-(2**31), 0])
    np.testing.assert_array_equal(random.as_seed(np.uint32([2**32 - 1, 4])), [-1, 4])
    for wrong in (
        "x",
        1.5j,
        [1, 2, 3],
        [[1, 2]],
        2**63,
        2**64,
        -(2**63) - 1,
        1.5,
        [1.5, 2.0],
        [2**40, 1],
        True,
    ):
        with pytest.raises(ValueError, match="seed must be an int from .* or two int32"):
            random.as_seed(wrong)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("shape", [(1,), (7,), (4, 5), (3, 5)])
@pytest.mark.parametrize("seed", [[1, 2], [[1, 2], [3, 4], [5, 6]]])
def test_words_in_vectors_are_the_same(seed, shape, jit):
    draw = tf.function(random.bits, jit_compile=jit, autograph=False)
    plain, vectors = (draw(tf.constant(seed), shape, vectors=v) for v in (False, True))
    np.testing.assert_array_equal(plain, vectors)
