"""`SemiSupervisedVAE` against hand formulas, quadrature, and the same classifier from few labels alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from tfgen import data
from tfgen.networks.classifier import default_classifier
from tfgen.variational import SemiSupervisedVAE

SEED, STEP = tf.constant([2, 5]), tf.constant(0, tf.int64)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    weights = {"classifier_weight": 2.5, "labelled_weight": 0.75}
    made = SemiSupervisedVAE((2, 2, 1), 3, 1, (5,), classifier_hidden=(4,), **weights)
    for weight in (*made.decoder.weights, *made.classifier.weights):
        weight.assign(weight + 0.2)
    # q(z | x, y) near the prior, and another for every x and y.
    for weight in made.encoder.weights:
        weight.assign(0.3 * weight)
    return made


X = np.random.RandomState(0).randint(0, 2, (5, 2, 2, 1)).astype(np.float32)
LABEL = np.array([0, 2, 1, 1, 0], np.int32)


def log_joint(model, x):
    """log p(x, y) of every class by quadrature over z, `[classes, batch]`."""
    z = np.linspace(-8, 8, 2001, dtype=np.float32)[:, None, None]
    found = []
    for y in range(3):
        label = np.full(len(x), y, np.int32)
        each = model.likelihood(np.repeat(z, len(x), axis=1), label).log_prob(x)
        each += model.prior(label).log_prob(z)
        found.append(logsumexp(each, axis=0) + np.log(16 / 2000) - np.log(3))
    return np.stack(found)


def test_bounds_lie_below_the_joint_and_the_marginal(model):
    exact = log_joint(model, X)
    many = np.repeat(X, 2000, axis=0)
    for y in range(3):
        bound = model.joint_bound(many, tf.fill([len(many)], y), SEED).numpy().reshape(5, -1).mean(1)
        assert np.all(bound < exact[y] + 0.02) and np.all(bound > exact[y] - 1.0)
    marginal = model.marginal_bound(many, SEED).numpy().reshape(5, -1).mean(1)
    evidence = logsumexp(exact, axis=0)
    assert np.all(marginal < evidence + 0.02)
    # U(x) = log p(x) - KL(q(y | x) || p(y | x)) - sum_y q(y | x) (the gap of class y).
    q = model.classify(X).numpy().T
    gaps = [
        exact[y] - model.joint_bound(many, tf.fill([len(many)], y), SEED).numpy().reshape(5, -1).mean(1)
        for y in range(3)
    ]
    divergence = np.sum(q * (np.log(q) - (exact - evidence)), axis=0)
    np.testing.assert_allclose(marginal, evidence - divergence - np.sum(q * gaps, axis=0), atol=0.03)


def test_the_objective_by_hand(model):
    """The same noise for the same rows: all classes of x, then the labelled."""
    batch = {"x": tf.constant(X), "labelled": {"x": tf.constant(X[:4]), "condition": tf.constant(LABEL[:4])}}
    loss, terms = model.semi_supervised(batch, SEED, STEP)
    rows = np.concatenate([X, X, X, X[:4]])
    labels = np.concatenate([np.repeat(np.arange(3), 5), LABEL[:4]]).astype(np.int32)
    drawn = model.drawn(rows, SEED, labels)
    joint = (tf.reduce_mean(drawn.log_likelihood, axis=0) - drawn.kl).numpy() - np.log(3)
    q = model.classify(X).numpy().astype(np.float64)
    unlabelled = np.sum(q.T * (joint[:15].reshape(3, 5) - np.log(q.T)), axis=0).mean()
    nats = -np.log(q[np.arange(4), LABEL[:4]]).mean()
    np.testing.assert_allclose(loss, 2.5 * nats - unlabelled - 0.75 * joint[15:].mean(), rtol=1e-4)
    np.testing.assert_allclose(terms["label_nats"], nats, rtol=1e-4)
    np.testing.assert_allclose(terms["label_error"], np.mean(q[:4].argmax(1) != LABEL[:4]))


@pytest.mark.slow
@pytest.mark.learn
def test_it_beats_the_same_classifier_with_100_labels():
    """Three seeds of digits; the classifier alone is the same network, trained as long on the same labels."""
    few = data.load("digits", binarize="threshold", num_labels=100)
    labelled = few.train.streams["labelled"]
    x = few.train.x.astype(np.float32)
    batch = {
        "x": tf.constant(labelled.x.astype(np.float32)),
        "condition": tf.constant(labelled.label.astype(np.int32)),
    }
    every = tf.data.Dataset.from_tensor_slices({"x": x}).shuffle(2000, seed=0).repeat().batch(100)
    streamed = every.map(lambda b: b | {"labelled": batch}).take(1500)
    errors = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = SemiSupervisedVAE((8, 8, 1), classifier_hidden=(128,), hidden=(128,))
        model.compile(keras.optimizers.Adam(1e-3), seed=seed)
        model.fit(streamed, verbose=0)
        keras.utils.set_random_seed(seed)
        alone = default_classifier("mlp", (8, 8, 1), 10, (128,), ())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        alone.compile(keras.optimizers.Adam(1e-3), loss)
        some = tf.data.Dataset.from_tensors((2.0 * batch["x"] - 1.0, batch["condition"]))
        alone.fit(some.repeat(1500), verbose=0)
        test = few.test.x.astype(np.float32)
        found = np.argmax(model.classify(test), axis=1), np.argmax(alone(2.0 * test - 1.0), axis=1)
        errors.append([np.mean(f != few.test.label) for f in found])
    print(errors)
    assert all(ours < theirs for ours, theirs in errors)


def test_bad_arguments():
    for arguments, message in [
        ({"num_classes": 1}, "num_classes must be a whole number of at least 2, got 1"),
        ({"classifier_weight": -1.0}, "classifier_weight must be a finite number, at least 0, got -1.0"),
        ({"labelled_weight": -1.0}, "labelled_weight must be a finite number, at least 0, got -1.0"),
        ({"latent_size": 0}, "latent_size must be a whole number of at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            SemiSupervisedVAE(4, **{"hidden": (3,), "classifier_hidden": (3,)} | arguments)
    whole = data.load("digits", binarize="threshold")
    with pytest.raises(ValueError, match="reads the stream 'labelled' .* num_labels"):
        SemiSupervisedVAE((8, 8, 1), hidden=(3,), classifier_hidden=(3,)).check_data(whole)
