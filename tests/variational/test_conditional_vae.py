"""`ConditionalVAE`: the condition reaches both networks, and samples show what was asked for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.variational.linear_gaussian import SEED
from tfgen import data
from tfgen.estimators.samples import ClassifierFeatures
from tfgen.training import train
from tfgen.variational import ConditionalVAE


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_the_encoder_reads_x_and_its_condition(network):
    options = {"latent_size": 2, "hidden": (5,), "network": network, "filters": (3,)}
    vae = ConditionalVAE((4, 3, 1), num_classes=3, **options)
    x = np.random.RandomState(0).randint(0, 2, [5, 4, 3, 1]).astype(np.float32)
    label = np.array([0, 1, 2, 1, 0])
    read = vae.read(x, tf.constant(label)).numpy()
    one_hot = np.eye(3)[label]
    if network == "mlp":
        want = np.concatenate([2 * x.reshape(5, 12) - 1, one_hot], axis=1)
    else:
        maps = np.broadcast_to(one_hot[:, None, None], (5, 4, 3, 3))
        want = np.concatenate([2 * x - 1, maps], axis=-1)
    np.testing.assert_array_equal(read, want)
    means = [vae.encode(x, np.full(5, c))[0].numpy() for c in (0, 1)]
    assert np.abs(means[0] - means[1]).max() > 1e-3
    z = np.zeros([3, 2], np.float32)
    decoded = vae.decode(z, [0, 1, 2]).numpy()
    assert np.abs(decoded[0] - decoded[1]).max() > 1e-3
    # Of several samples of z each row has its own condition.
    many = vae.likelihood(tf.zeros([4, 3, 2]), condition=tf.constant([0, 1, 2])).mean().numpy()
    np.testing.assert_allclose(many, np.broadcast_to(decoded, (4, *decoded.shape)), rtol=1e-5)


def test_a_vector_is_a_condition_and_a_wrong_one_is_refused():
    vae = ConditionalVAE(4, condition="vector", condition_size=2, latent_size=2, hidden=(3,))
    x = np.zeros([3, 4], np.float32)
    assert vae.log_prob(x, np.ones([3, 2])).shape == (3,)
    with pytest.raises(ValueError, match=r"condition must have shape \[batch, 2\]"):
        vae.log_prob(x, np.ones([3, 3]))
    with pytest.raises(ValueError, match="needs a condition"):
        vae.sample(2)
    by_label = ConditionalVAE(4, num_classes=3, latent_size=2, hidden=(3,))
    with pytest.raises(ValueError, match="condition must hold 0 to 2"):
        by_label.log_prob(x, [0, 1, 7])
    with pytest.raises(ValueError, match="condition must be 'label' or 'vector', got 'none'"):
        ConditionalVAE(4, condition="none")


def test_grey_values_are_shares_of_the_highest_level():
    """Continuous Bernoulli, by a vector, through convolutions: x and samples lie in [0, 1]."""
    options = {"network": "conv", "filters": (3,), "likelihood": "continuous_bernoulli", "latent_size": 2}
    vae = ConditionalVAE((3, 2, 1), condition="vector", condition_size=2, hidden=(4,), **options)
    x, told = np.random.RandomState(0).rand(3, 3, 2, 1).astype(np.float32), np.ones([3, 2], np.float32)
    assert vae.values == "unit" and np.isfinite(vae.log_prob(x, told)).all()
    np.testing.assert_array_equal(vae.read(x, told)[..., 0], 2.0 * x[..., 0] - 1.0)
    drawn = vae.sample(50, condition=np.ones(2), seed=0).numpy()
    assert 0.0 <= drawn.min() < 0.2 and 0.8 < drawn.max() <= 1.0
    with pytest.raises(ValueError, match="values"):
        vae.log_prob(x + 1.0, told)


@pytest.mark.learn
@pytest.mark.slow
def test_a_classifier_finds_the_asked_digit():
    keras.utils.set_random_seed(0)
    digits = data.load("digits", binarize="threshold")
    vae = ConditionalVAE((8, 8, 1), num_classes=10, latent_size=8, hidden=(128,))
    train(
        vae, digits, steps=1200, batch_size=128, optimizer=keras.optimizers.Adam(2e-3), log=lambda line: None
    )
    asked = np.repeat(np.arange(10), 30)
    drawn = vae.sample(300, condition=asked, seed=SEED).numpy()
    x = digits.train.x.astype(np.float32)
    classifier = ClassifierFeatures(x, digits.train.label)
    found = classifier.classify(drawn) == asked
    assert found.mean() > 0.9
    assert min(found.reshape(10, 30).mean(1)) > 0.6
