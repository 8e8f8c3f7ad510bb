"""`VectorQuantizer` against brute force, Lloyd's step, the paper's averages and hand-made gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.vector_quantizer import VectorQuantizer, code_shares, perplexity

SEED = tf.constant([3, 5])


def make(codes, **kwargs):
    """A quantizer with these codes."""
    quantizer = VectorQuantizer(len(codes), **kwargs)
    quantizer.build((None, codes.shape[1]))
    set_codes(quantizer, codes)
    return quantizer


def set_codes(quantizer, codes):
    if quantizer.learning == "ema":
        quantizer.sums.assign(codes * quantizer.usage.numpy()[:, None])
    else:
        quantizer.vectors.assign(codes)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_the_code_is_the_nearest_by_brute_force_and_of_equals_the_first(offset):
    codes, z = normal(40, 3) + offset, normal(6, 5, 7, 3, seed=1) + offset
    quantizer = make(codes)
    kept = quantizer.codebook().numpy().astype("float64")
    distances = np.sum((z[..., None, :].astype("float64") - kept) ** 2, axis=-1)
    found = quantizer.nearest(tf.constant(z)).numpy()
    np.testing.assert_array_equal(found, distances.argmin(-1))
    np.testing.assert_allclose(quantizer.lookup(found), kept[found], rtol=1e-6)
    assert len(np.unique(found)) > 20
    twice = make(np.repeat(codes[:3], 2, axis=0))
    assert set(np.unique(twice.nearest(tf.constant(z)))) == {0, 2, 4}


def test_gradients_go_straight_through_to_z_and_the_ties_pull_each_side():
    codes, z = normal(5, 3), tf.constant(normal(4, 3, seed=1))
    quantizer, weights = make(codes, learning="gradient"), normal(4, 3, seed=2)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        vectors, k, commitment, distance = quantizer(z)
        read = tf.reduce_sum(tf.sin(vectors) * weights)
    nearest = codes[k.numpy()]
    np.testing.assert_allclose(vectors, nearest, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(read, z), np.cos(nearest) * weights, rtol=1e-5)
    assert tape.gradient(read, quantizer.vectors.value) is None
    np.testing.assert_allclose(commitment, np.sum((z - nearest) ** 2, -1), rtol=1e-5)
    np.testing.assert_allclose(distance, commitment, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(commitment, z), 2 * (z - nearest), rtol=1e-5)
    assert tape.gradient(commitment, quantizer.vectors.value) is None
    assert tape.gradient(distance, z) is None
    pulled = tf.convert_to_tensor(tape.gradient(distance, quantizer.vectors.value))
    want = np.zeros((5, 3))
    np.add.at(want, k.numpy(), 2 * (nearest - z))
    np.testing.assert_allclose(pulled, want, rtol=1e-4, atol=1e-5)


def lloyd(z, codes):
    """One of Lloyd's steps in float64; a code without vectors stays."""
    k = np.sum((z[:, None].astype("float64") - codes) ** 2, -1).argmin(1)
    means = [z[k == j].mean(0) if (k == j).any() else code for j, code in enumerate(codes)]
    return np.array(means), k


def test_without_decay_a_whole_batch_makes_one_of_lloyds_steps():
    codes, z = normal(8, 2), normal(300, 2, seed=1)
    codes[3] = 50.0  # Nearest to nothing.
    quantizer = make(codes, decay=0.0, revive=0.0)
    for _ in range(3):
        codes, k = lloyd(z, codes)
        quantizer.learn(tf.constant(z), quantizer.nearest(tf.constant(z)), SEED)
        np.testing.assert_allclose(quantizer.codebook(), codes, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(quantizer.usage, np.bincount(k, minlength=8) / 300, atol=1e-7)


def test_averages_are_the_papers_and_an_unused_code_stays_for_good():
    codes = normal(6, 3)
    codes[5] = 40.0
    quantizer = make(codes, decay=0.8, revive=0.0)
    counts, sums = np.full(6, 1 / 6), codes / 6
    for step in range(6):
        z = normal(50, 3, seed=10 + step)
        places = sums / counts[:, None]
        k = np.sum((z[:, None] - places) ** 2, -1).argmin(1)
        given = np.eye(6)[k]
        counts = 0.8 * counts + 0.2 * given.mean(0)
        sums = 0.8 * sums + 0.2 * given.T @ z / 50
        quantizer.learn(tf.constant(z), quantizer.nearest(tf.constant(z)), SEED)
        np.testing.assert_allclose(quantizer.codebook(), sums / counts[:, None], rtol=1e-4, atol=1e-5)
    learn = tf.function(quantizer.learn, autograph=False)
    for _ in range(600):  # 0.8 ** 600 is below the smallest float32.
        learn(tf.constant(z), tf.constant(k, tf.int32), SEED)
    np.testing.assert_allclose(quantizer.codebook()[5], 40.0, rtol=1e-4)


@pytest.mark.parametrize("learning", ["ema", "gradient"])
def test_a_dead_code_moves_to_a_vector_of_the_batch_before_and_others_stay(learning):
    codes = normal(4, 2)
    codes[2] = 90.0
    quantizer = make(codes, learning=learning, decay=0.5, revive=0.3)
    before = normal(30, 2, seed=1)
    for batch in range(3):
        z = before if batch < 2 else normal(30, 2, seed=2)
        # Its use: 1/4, 1/8, 1/16, below 0.3 / 4 after two batches; so the third revives it.
        assert (quantizer.usage.numpy()[2] < 0.3 / 4) == (batch == 2)
        kept = quantizer.codebook().numpy()
        quantizer.learn(tf.constant(z), quantizer.nearest(tf.constant(z)), SEED)
        place = quantizer.codebook().numpy()
        if batch < 2:
            np.testing.assert_allclose(place[2], 90.0, rtol=1e-5)
    assert np.abs(before - place[2]).sum(1).min() < 1e-5
    np.testing.assert_allclose(quantizer.usage[2], 0.5 / 4, rtol=1e-6)
    if learning == "gradient":
        np.testing.assert_allclose(place[[0, 1, 3]], kept[[0, 1, 3]], rtol=1e-6)
    # It is used from then on.
    again = np.concatenate([z, place[2:3]])
    assert 2 in quantizer.nearest(tf.constant(again)).numpy()


def test_revival_gives_a_codebook_that_follows_all_clusters():
    """All codes begin beside one of eight clusters; without revival most never see the others."""
    rng = np.random.default_rng(0)
    centers = 10.0 * np.eye(8, dtype="float32")
    start = (centers[0] + 0.01 * rng.normal(size=(24, 8))).astype("float32")
    found = {}
    for revive in (0.0, 0.1):
        quantizer = make(start, decay=0.9, revive=revive)
        learn = tf.function(lambda z, seed, q=quantizer: q.learn(z, q.nearest(z), seed), autograph=False)
        for step in range(300):
            z = centers[rng.integers(0, 8, 64)] + 0.1 * rng.normal(size=(64, 8)).astype("float32")
            learn(tf.constant(z, tf.float32), tf.constant([0, step]))
        found[revive] = float(perplexity(code_shares(quantizer.nearest(tf.constant(centers)), 24)))
    assert found[0.1] > 7.9 and found[0.0] < 3, found


def test_perplexity_counts_the_codes_in_use():
    assert float(perplexity(code_shares(tf.range(12) % 4, 7))) == pytest.approx(4.0, rel=1e-5)
    assert float(perplexity(code_shares(tf.zeros([3, 2], tf.int32), 7))) == pytest.approx(1.0)
    shares = code_shares(tf.constant([[0, 0], [0, 2]]), 3).numpy()
    np.testing.assert_allclose(shares, [0.75, 0.0, 0.25])


def test_bad_codebooks_are_refused():
    for wrong, name in (
        ({"num_codes": 1}, "num_codes"),
        ({"decay": 1.0}, "decay"),
        ({"revive": -1}, "revive"),
    ):
        with pytest.raises(ValueError, match=f"{name} must .*, got {next(iter(wrong.values()))}"):
            VectorQuantizer(**{"num_codes": 3} | wrong)
    with pytest.raises(ValueError, match="codebook must be one of 'ema', 'gradient', got 'kmeans'"):
        VectorQuantizer(3, learning="kmeans")


def test_a_layer_comes_back_from_its_configuration():
    layer = VectorQuantizer(5, "gradient", 0.5, 0.1)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (again.num_codes, again.learning, again.decay, again.revive) == (5, "gradient", 0.5, 0.1)
