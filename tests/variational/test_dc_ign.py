"""`DCIGN`: clamping and the replaced gradient by hand, its measure on true pictures, and that it learns."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import data
from tfgen.data.factors import draw
from tfgen.distributions.draw import draw_and_log_prob
from tfgen.training import train
from tfgen.update import Step
from tfgen.variational import DCIGN
from tfgen.variational.distributions import diagonal_normal

SEED, STEP = tf.constant([2, 5]), tf.constant(0, tf.int64)
VARIED = np.array([0, 0, 0, 2, 2, 1], np.int32)
GROUP = np.array([7, 7, 7, 3, 3, 900], np.int32)
X = np.random.RandomState(0).randint(0, 2, (6, 4, 4, 1)).astype(np.float32)
CLAMPED = {"x": tf.constant(X), "varied": tf.constant(VARIED), "group": tf.constant(GROUP)}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return DCIGN((4, 4, 1), ("a", "b"), 2, 0.3, (6,), filters=(3,), likelihood="bernoulli")


def by_hand(raw):
    """What is active, and the group means, row by row and entry by entry; `[6, 8]` each."""
    active = np.zeros(raw.shape, bool)
    mean = np.zeros_like(raw)
    for row in range(6):
        for entry in range(8):
            latent = entry % 4  # a, b and two of what is shown; locations, then raw scales.
            active[row, entry] = latent == VARIED[row] or (VARIED[row] == 2 and latent >= 2)
            mean[row, entry] = np.mean([raw[r, entry] for r in range(6) if GROUP[r] == GROUP[row]])
    return active, mean


def test_inactive_latents_are_those_of_the_groups_mean(model):
    raw = model.encoder(model.read(X)).numpy()
    active, mean = by_hand(raw)
    q, spread = model.clamped_posterior(**CLAMPED)
    want = diagonal_normal(tf.constant(np.where(active, raw, mean)))
    np.testing.assert_allclose(q.mean(), want.mean(), atol=1e-6)
    np.testing.assert_allclose(q.stddev(), want.stddev(), atol=1e-6)
    np.testing.assert_allclose(spread, 0.5 * np.sum((raw - mean) ** 2 * ~active, axis=1), rtol=1e-5)
    # The first three differ in z_0 alone, the next two in z_2 and z_3.
    differs = np.ptp(q.mean().numpy()[:3], axis=0) > 1e-5
    assert differs.tolist() == [True, False, False, False]
    differs = np.ptp(q.mean().numpy()[3:5], axis=0) > 1e-5
    assert differs.tolist() == [False, False, True, True]
    # The order of the rows does not matter.
    order = np.array([5, 0, 3, 2, 4, 1])
    moved, _ = model.clamped_posterior(X[order], VARIED[order], tf.constant(GROUP[order]))
    np.testing.assert_allclose(moved.mean(), q.mean().numpy()[order], atol=1e-6)


def test_the_gradient_of_inactive_latents_is_their_difference_from_the_mean(model):
    """Backpropagation as the paper has it: the decoder's gradient, the replacement, the encoder's."""
    encoder, decoder = model.encoder.trainable_variables, model.decoder.trainable_variables
    with tf.GradientTape() as through_encoder:
        raw = model.encoder(model.read(X))
    active, mean = by_hand(raw.numpy())
    clamped = tf.constant(np.where(active, raw, mean).astype(np.float32))
    with tf.GradientTape() as through_decoder:
        through_decoder.watch(clamped)
        q = diagonal_normal(clamped)
        z, _ = draw_and_log_prob(q, SEED, [1])
        log_likelihood = model.likelihood(z).log_prob(X)[0]
        mu, sd = q.mean(), q.stddev()
        kl = 0.5 * tf.reduce_sum(mu**2 + sd**2 - 1.0 - 2.0 * tf.math.log(sd), axis=-1)
        loss = tf.reduce_mean(kl - log_likelihood)
    at_latents, *of_decoder = through_decoder.gradient(loss, [clamped, *decoder])
    replaced = np.where(active, at_latents, 0.3 * (raw.numpy() - mean) / 6)
    of_encoder = through_encoder.gradient(raw, encoder, output_gradients=tf.constant(replaced, tf.float32))

    with tf.GradientTape() as tape:
        found, terms = model.clamped({"clamped": CLAMPED}, SEED, STEP)
    gradients = tape.gradient(found, [*encoder, *decoder])
    for gradient, want in zip(gradients, [*of_encoder, *of_decoder], strict=True):
        np.testing.assert_allclose(gradient, want, rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(found, loss + 0.3 * terms["spread"], rtol=1e-5)
    np.testing.assert_allclose(terms["kl"], tf.reduce_mean(kl), rtol=1e-5)


def test_moving_a_factor_in_true_pictures_is_measured_as_that(monkeypatch):
    """Pictures that are drawn with one factor moved: the others' readings hardly change."""
    factors = data.load("factors")
    model = DCIGN(factors.event_shape, hidden=(4,), filters=(2,), num_values=factors.num_values)
    # Levels are shares of the highest, whatever the data say of themselves.
    assert model.values == "real"

    def drawn(x, **keywords):
        steps, test = np.linspace(-0.9, 0.9, 9), factors.test.take(slice(0, len(x)))
        every = np.tile(test.extra["factors"][:, None, None], (1, 5, 9, 1)).astype(float)
        for number in range(5):
            every[:, number, :, number] = steps
        shape = np.repeat(test.label, 45)
        return tf.constant(draw(shape, every.reshape(-1, 5))[0].reshape(len(x), 5, 9, 16, 16, 1) / 255.0)

    monkeypatch.setattr(model, "traverse", drawn)
    changes, fit = model.changes(factors)
    assert changes.shape == (5, 5) and np.all(fit > [0.98, 0.98, 0.8, 0.9, 0.95])
    # Even steps from -0.9 to 0.9 deviate by 0.58, as numbers uniform in [-1, 1] do.
    assert np.all(np.diag(changes) > 0.75) and np.all(np.diag(changes) < 1.1)
    np.fill_diagonal(changes, 0.0)
    assert changes.mean() * 5 / 4 < 0.2


def test_a_traversal_moves_one_latent_over_what_x_have(model):
    paths = model.traverse(X[:2], num=3, reach=2.0, around=X)
    assert paths.shape == (2, 2, 3, 4, 4, 1)
    means = model.encode(X)[0].numpy()
    for row, factor, step in ((0, 0, 0), (1, 1, 2), (1, 0, 1)):
        z = means[row].copy()
        z[factor] = means[:, factor].mean() + (step - 1) * 2.0 * means[:, factor].std()
        np.testing.assert_allclose(paths[row, factor, step], model.decode(z[None])[0], atol=1e-5)


def grouped(size, **changes):
    """Bits of 4x4 with a stream of three groups of four."""
    rows = np.arange(12)
    extra = {"varied": rows // 4, "group": rows // 4} | changes
    bits = np.random.RandomState(1).randint(0, 2, (12, 4, 4, 1)).astype(np.uint8)
    extra = {name: field.astype(np.int32) for name, field in extra.items() if field is not None}
    part = data.Split(bits, streams={"clamped": data.Split(bits, None, extra, group_size=size)})
    other = data.Split(bits)
    return data.Data("bits", "image", (4, 4, 1), 2, 2, None, None, part, other, other)


def test_a_training_has_whole_groups_and_says_what_is_missing(model):
    seen = []

    class Watches(DCIGN):
        def clamped(self, batch, seed, step):
            seen.append(batch["clamped"]["group"].numpy())
            return super().clamped(batch, seed, step)

    watching = Watches((4, 4, 1), ("a", "b"), 2, hidden=(2,), filters=(2,), likelihood="bernoulli")
    tf.config.run_functions_eagerly(True)
    try:
        train(watching, grouped(4), 3, batch_size=8, optimizer="sgd", log=lambda line: None)
    finally:
        tf.config.run_functions_eagerly(False)
    taken = np.stack(seen[-3:]).reshape(6, 4)
    assert np.all(taken == taken[:, :1]) and sorted(taken[:, 0]) == [0, 0, 1, 1, 2, 2]
    # Neither of two replicas can have half of a group.
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ValueError, match=r"groups of 4.*for each of 2 replicas: take a multiple of 8"):
        train(model, grouped(4), 3, batch_size=12, optimizer="sgd", strategy=two)
    with pytest.raises(ValueError, match=r"batch_size=6 does not divide into groups of 4.*multiple of 4"):
        train(model, grouped(4), 3, batch_size=6, optimizer="sgd")
    with pytest.raises(ValueError, match="reads group of the stream 'clamped', but that of bits has none"):
        train(model, grouped(4, group=None), 3, batch_size=8, optimizer="sgd")
    with pytest.raises(ValueError, match="varied must hold 0 to 2"):
        train(model, grouped(4, varied=np.full(12, 3)), 3, batch_size=8, optimizer="sgd")
    bare = dataclasses.replace(grouped(4), train=grouped(4).test)
    with pytest.raises(ValueError, match="reads the stream 'clamped'"):
        train(model, bare, 3, batch_size=8, optimizer="sgd")


def test_a_step_reads_the_stream_alone(model):
    """The examples beside the stream are for the evaluation; they move no weight."""
    x = tf.constant(X)
    before = model.get_weights()
    moved = []
    for others in (x, 1.0 - x):
        step = Step(model.updates(), {"dc_ign": keras.optimizers.SGD(0.1)})
        step(lambda i, seed, others=others: {"x": others, "clamped": CLAMPED}, SEED, STEP)
        moved.append(model.get_weights())
        model.set_weights(before)
    for one, two, start in zip(*moved, before, strict=True):
        np.testing.assert_array_equal(one, two)
        assert start.ndim == 0 or start.dtype != np.float32 or np.any(one != start)


@pytest.mark.slow
@pytest.mark.learn
def test_moving_a_latent_moves_its_factor():
    keras.utils.set_random_seed(0)
    factors = data.load("factors")
    learned = DCIGN(factors.event_shape)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, 4500)
    train(learned, factors, 4500, batch_size=64, optimizer=keras.optimizers.Adam(rate), log=lambda line: None)
    found = learned.test_metrics(factors, SEED)
    ratios = [found[f"{name}_ratio"]["value"] for name in learned.factors]
    assert min(ratios) > 1.5 and np.mean(ratios) > 3.0
