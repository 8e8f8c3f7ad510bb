"""`Autoencoder` against principal component analysis, hand formulas, and a classifier from scratch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.decomposition import PCA

from tfgen import data
from tfgen.variational import Autoencoder

SEED, STEP = tf.constant([2, 5]), tf.constant(0, tf.int64)


@pytest.mark.slow
def test_a_linear_one_spans_the_principal_subspace():
    """Of 300 points in five dimensions: the same subspace, and the same error, to 1e-3 of the variance."""
    rng = np.random.RandomState(0)
    x = rng.normal(size=(300, 5)) * [3.0, 2.0, 1.0, 0.5, 0.3] @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    x = (x + [1.0, -2.0, 0.5, 0.0, 3.0]).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = Autoencoder(5, code_size=2, hidden=(), output_activation="linear")
    model.compile(keras.optimizers.Adam(0.02), seed=0, jit_compile=True)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(1500), verbose=0)
    pca = PCA(2).fit(x)
    kernel = model.decoder.get_weights()[0]  # [code, x]
    angles = np.linalg.svd(np.linalg.qr(kernel.T)[0].T @ pca.components_.T)[1]
    np.testing.assert_allclose(angles, 1.0, atol=1e-3)
    best = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1).mean()
    found = np.square(x - model.reconstruct(x)).sum(1).mean()
    assert best <= found * (1 + 1e-6) < best + 1e-3 * np.square(x - x.mean(0)).sum(1).mean()


def test_losses_by_hand():
    x = np.random.RandomState(1).uniform(size=(6, 2, 2, 1)).astype(np.float32)
    plain = Autoencoder((2, 2, 1), 3, (4,), code_activation="sigmoid")
    heavy = Autoencoder((2, 2, 1), 3, (4,), code_activation="sigmoid", l2=0.1)
    heavy.set_weights(plain.get_weights())
    code = plain.encode(x)
    np.testing.assert_allclose(code, tf.sigmoid(plain.encoder(x)), rtol=1e-5)
    p = np.asarray(plain.decode(code), np.float64)
    np.testing.assert_allclose(plain.reconstruct(x), p, rtol=1e-5)
    nats = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3)).mean()
    loss, terms = plain.reconstruction({"x": x}, SEED, STEP)
    np.testing.assert_allclose(loss, nats, rtol=1e-5)
    np.testing.assert_allclose(terms["squared_error"], np.square(x - p).mean(), rtol=1e-4)
    squares = sum(np.square(w).sum() for w in plain.get_weights() if w.ndim == 2 and w.shape[0] > 1)
    np.testing.assert_allclose(heavy.reconstruction({"x": x}, SEED, STEP)[0] - loss, 0.1 * squares, rtol=1e-4)
    real = Autoencoder(4, 2, (3,), output_activation="linear")
    y = np.random.RandomState(1).normal(size=(6, 4)).astype(np.float32)
    squared = np.square(y - real.reconstruct(y)).sum(1).mean()
    np.testing.assert_allclose(real.reconstruction({"x": y}, SEED, STEP)[0], squared, rtol=1e-5)


def test_corruption_takes_its_share():
    x = np.full((4000, 5), 0.7, np.float32)
    for corruption, values in (("mask", (0.0, 0.7)), ("salt_and_pepper", (0.0, 0.7, 1.0))):
        seen = Autoencoder(5, 2, (), corruption=corruption, corruption_level=0.4).corrupt(x, SEED).numpy()
        assert set(np.unique(seen)) == set(np.float32(values))
        assert abs((seen != np.float32(0.7)).mean() - 0.4) < 0.015  # standard error 0.0035
        zeros = (seen == 0.0).mean()
        assert abs(zeros - (0.4 if corruption == "mask" else 0.2)) < 0.015
    noise = Autoencoder(5, 2, (), corruption="gaussian", corruption_level=0.4).corrupt(x, SEED) - x
    assert abs(float(tf.math.reduce_std(noise)) - 0.4) < 0.01 and abs(float(tf.reduce_mean(noise))) < 0.01
    np.testing.assert_array_equal(Autoencoder(5, 2, ()).corrupt(x, SEED), x)
    # The loss compares with what x was.
    model = Autoencoder(5, 2, (), corruption="mask", corruption_level=1.0)
    for weight in model.decoder.weights:
        weight.assign(weight + 0.5)
    loss, _ = model.reconstruction({"x": x}, SEED, STEP)
    np.testing.assert_allclose(loss, model.errors(x, tf.zeros_like(x))[0][0], rtol=1e-4)


@pytest.fixture(scope="module")
def few():
    return data.load("digits", num_labels=100)


@pytest.mark.slow
@pytest.mark.learn
def test_a_tuned_encoder_beats_one_from_scratch_with_100_labels():
    """Three seeds of binary digits; both classifiers are the same network, as long on the same labels."""
    few = data.load("digits", binarize="threshold", num_labels=100)
    labelled = few.train.streams["labelled"]
    batch = {
        "x": tf.constant(labelled.x.astype(np.float32)),
        "condition": tf.constant(labelled.label.astype(np.int32)),
    }
    every = tf.data.Dataset.from_tensor_slices(few.train.x.astype(np.float32))
    every = every.shuffle(2000, seed=0).repeat().batch(100).map(lambda x: {"x": x, "labelled": batch})
    some = tf.data.Dataset.from_tensors({"x": batch["x"], "labelled": batch}).repeat(200)
    x = few.test.x.astype(np.float32)

    def error(model, seed):
        model.compile(keras.optimizers.Adam(1e-3), seed=seed, stage="classify", jit_compile=True)
        model.fit(some, verbose=0)
        return np.mean(np.argmax(model.classify(x), axis=1) != few.test.label)

    errors = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = Autoencoder(
            (8, 8, 1),
            32,
            (256, 256, 128),
            activation="tanh",
            corruption="salt_and_pepper",
            corruption_level=0.3,
            fine_tune=1.0,
            num_classes=10,
        )
        start = model.get_weights()
        scratch = error(model, seed)
        model.set_weights(start)
        model.compile(keras.optimizers.Adam(1e-3), seed=seed, stage="reconstruct", jit_compile=True)
        model.fit(every.take(2500), verbose=0)
        model.take_encoder(None, SEED)
        errors.append((error(model, seed), scratch))
    print(errors)
    assert all(tuned < scratch for tuned, scratch in errors)


def test_the_second_stage_starts_at_the_encoder_and_leaves_it_alone():
    model = Autoencoder(4, 2, (3,), fine_tune=0.5, num_classes=2)
    first, second = model.stages()
    assert [first.share, second.share] == [1.0, 0.5] and model.streams == ("labelled",)
    second.on_enter(None, SEED)
    for one, two in zip(model.tuned.get_weights(), model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    moved = {v.path for v in second.updates[0].variables}
    assert not moved & {v.path for v in (*model.encoder.weights, *model.decoder.weights)}
    x = np.random.RandomState(0).uniform(size=(3, 4)).astype(np.float32)
    logits = model.encode(x) @ model.head.kernel + model.head.bias
    np.testing.assert_allclose(model.classify(x), tf.nn.softmax(logits), rtol=1e-5)


def test_test_metrics_are_of_the_whole_split(few):
    model = Autoencoder((8, 8, 1), 2, (4,), fine_tune=0.5, num_classes=10)
    metrics, x = model.test_metrics(few, SEED), few.test.x.astype(np.float32) / 16.0
    squared = np.square(x - model.reconstruct(x))
    assert metrics["squared_error"]["value"] == pytest.approx(squared.mean(), rel=1e-5)
    assert metrics["unexplained"]["value"] == pytest.approx(squared.mean() / x.var(0).mean(), rel=1e-4)
    wrong = np.mean(np.argmax(model.classify(x), axis=1) != few.test.label)
    found = metrics["label_error"]
    assert found["value"] == pytest.approx(wrong) and found["low"] < wrong < found["high"]


def test_bad_arguments():
    for arguments, message in [
        ({"code_size": 0}, "code_size must be a whole number of at least 1, got 0"),
        ({"output_activation": "tanh"}, "output_activation must be one of 'sigmoid', 'linear', got 'tanh'"),
        ({"corruption": "blur"}, "corruption must be one of .* got 'blur'"),
        (
            {"corruption": "mask", "corruption_level": 1.5},
            "corruption_level must be .* at most 1, got 1.5",
        ),
        (
            {"corruption": "salt_and_pepper", "output_activation": "linear"},
            r"is of x in \[0, 1\]: take output_activation='sigmoid'",
        ),
        ({"l2": -1.0}, "l2 must be a finite number, at least 0, got -1.0"),
        ({"fine_tune": 0.5}, "num_classes=None, and fine_tune=0.5 learns classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            Autoencoder(4, **{"hidden": (3,)} | arguments)
    with pytest.raises(ValueError, match="fine_tune=0 leaves the classifier out"):
        Autoencoder(4, 2, ()).classify(np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"code must have shape \[batch, 2\], got \(1, 3\)"):
        Autoencoder(4, 2, ()).decode(np.zeros((1, 3)))
