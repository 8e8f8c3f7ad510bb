"""Plug & play networks: each term of a step, the density of the chain, and every kind of classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from tfgen import data, random, serving
from tfgen.adversarial import GAN
from tfgen.denoising import PlugAndPlay
from tfgen.energy import RBM
from tfgen.estimators.samples import ClassifierFeatures
from tfgen.training import train
from tfgen.update import Step
from tfgen.variational import VAE, Autoencoder

SEED = tf.constant([3, 4])
SHAPE, SIZE, CLASSES = (2,), 3, 4


def linear(inputs, outputs, scale=1.0, seed=0):
    """A Keras model x A + a, and (A, a)."""
    draw = np.random.default_rng(seed)
    made = keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs)])
    made.set_weights([scale * draw.normal(size=(inputs, outputs)), scale * draw.normal(size=outputs)])
    return made, made.get_weights()


def plugged(size=SIZE, classifier=None, **kwargs):
    """A model all of whose parts are linear, and their weights: G, classifier, R."""
    generator, of_generator = linear(size, 2)
    held = GAN(SHAPE, latent_size=size, generator=generator, name="held")
    layer, of_classifier = linear(2, CLASSES, seed=1)
    given = {"classifier": layer if classifier is None else classifier} | kwargs
    model = PlugAndPlay(SHAPE, held, num_classes=CLASSES, code_hidden=(), **given)
    draw = np.random.default_rng(2)
    of_denoiser = [0.5 * draw.normal(size=v.shape).astype(np.float32) for v in model.denoiser.weights]
    model.denoiser.set_weights(of_denoiser)
    return model, of_generator, of_classifier, of_denoiser


@pytest.fixture(scope="module")
def parts():
    return plugged(epsilon1=0.3, epsilon2=0.7, epsilon3=0.2, epsilon4=0.9)


def test_a_step_is_the_papers(parts):
    """Equation 11, term by term, in NumPy; and the pull of known entries."""
    model, (a, offset), (w, bias), (m, shift) = parts
    h = np.random.default_rng(3).normal(size=(6, SIZE)).astype(np.float32)
    y = np.array([0, 1, 2, 3, 3, 0], np.int32)
    x = h @ a + offset
    prior = h @ m + shift - h
    of_class = (w.T[y] - softmax(x @ w + bias, axis=1) @ w.T) @ a.T
    given, mask = np.float32([[0.5, -2.0]] * 6), np.array([[True, False]] * 6)
    known = np.where(mask, given - x, 0.0) @ a.T
    found = model.terms(tf.constant(h), y, given, mask)
    for one, other in zip(found, (prior, of_class, known), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    seeds = random.rows(SEED, 6)
    noise = random.normal(seeds, [SIZE]).numpy()
    expected = h + 0.3 * prior + 0.7 * of_class + 0.2 * noise
    after = model.advance(tf.constant(h), seeds, y)
    np.testing.assert_allclose(after, expected, rtol=2e-4, atol=2e-5)
    clamped = model.advance(tf.constant(h), seeds, y, 0.0, given, mask)
    np.testing.assert_allclose(clamped, expected - 0.2 * noise + 0.9 * known, rtol=2e-4, atol=5e-5)
    np.testing.assert_allclose(model.generate(h), x, rtol=1e-5, atol=1e-5)


def test_chains_begin_at_standard_normal_codes_and_end_at_g_of_theirs(parts):
    model = parts[0]
    seeds, y = random.rows(random.as_seed(8), 3), np.array([0, 1, 2])
    first, later = random.split(seeds)
    h = random.normal(first, [SIZE])
    np.testing.assert_allclose(model.start(first, y), h)
    for i in range(2):
        h = model.advance(h, random.fold_in(later, i), y)
    np.testing.assert_allclose(model.sample(3, y, seed=8, num_steps=2), model.generate(h), rtol=1e-5)
    film = model.frames(seeds, 2, condition=y)
    np.testing.assert_allclose(film[2], model.generate(h), rtol=1e-5)


def test_chains_sample_codes_given_the_class():
    """At epsilon1 s^2 = epsilon2 = epsilon3^2 / 2: means and variances of p(h) p(y | h) by quadrature.

    R(h) = h / (1 + s^2) is exact for codes N(0, 1), and its score that of N(0, 1 + s^2).
    """
    s2, step = 0.25, 0.01
    generator, (a, offset) = linear(1, 2)
    held = GAN(SHAPE, latent_size=1, generator=generator)
    classifier, (w, bias) = linear(2, 2, scale=2.0, seed=5)
    # The classes are told apart by three times h.
    w = np.linalg.pinv(a) @ np.array([[1.5, -1.5]])
    classifier.set_weights([w, bias])
    model = PlugAndPlay(
        SHAPE, held, classifier, num_classes=2, code_hidden=(), code_noise=0.5,
        epsilon1=step / s2, epsilon2=step, epsilon3=np.sqrt(2 * step),
    )  # fmt: skip
    model.denoiser.set_weights([np.array([[1 / (1 + s2)]]), np.zeros(1)])
    grid = np.linspace(-8, 8, 4001)[:, None]
    log_p = -0.5 * grid[:, 0] ** 2 / (1 + s2)
    of_class = log_softmax((grid @ a + offset) @ w + bias, axis=1)
    num = 4000
    y = np.repeat([0, 1], num).astype(np.int32)
    run = tf.function(model.chain, autograph=False)
    start = tf.zeros([2 * num, 1])
    h = run(start, y, random.rows(SEED, 2 * num), tf.fill([2 * num], 800)).numpy()[:, 0]
    for label in (0, 1):
        weight = np.exp(log_p + of_class[:, label])
        weight /= weight.sum()
        mean = weight @ grid[:, 0]
        variance = weight @ (grid[:, 0] - mean) ** 2
        found = h[y == label]
        assert abs(found.mean() - mean) < 5 * np.sqrt(variance / num)
        assert abs(found.var() / variance - 1) < 5 * np.sqrt(2 / num) + step
    # Both classes' codes are far from those of the prior, so the test can tell.
    assert abs(h[y == 0].mean() - h[y == 1].mean()) > 0.5


def test_the_denoisers_loss_is_least_at_the_exact_score():
    """Of codes N(0, I): d s^2 / (1 + s^2) at R(h) = h / (1 + s^2), where the slope is 0."""
    model, *_ = plugged(code_noise=0.5)
    best = [np.eye(SIZE) / 1.25, np.zeros(SIZE)]
    batch = {"x": tf.zeros([200_000, 2])}
    model.denoiser.set_weights(best)
    with tf.GradientTape() as tape:
        loss, _ = model.denoising_objective(batch, SEED, 0)
    slopes = tape.gradient(loss, [v.value for v in model.denoiser.weights])
    np.testing.assert_allclose(loss, SIZE * 0.25 / 1.25, rtol=0.01)
    assert max(np.abs(g).max() for g in slopes) < 0.01
    model.denoiser.set_weights([np.eye(SIZE) / 1.4, np.zeros(SIZE)])
    assert model.denoising_objective(batch, SEED, 0)[0] > loss + 0.02


def test_codes_are_those_of_the_encoder_where_there_is_one(parts):
    x = np.random.default_rng(0).integers(0, 2, (5, 2, 2, 1)).astype(np.float32)
    vae = VAE((2, 2, 1), latent_size=3, hidden=(4,), name="held")
    model = PlugAndPlay((2, 2, 1), vae, num_classes=2, num_values=2, code_hidden=(4,), hidden=(4,))
    mean, deviation = vae.encode(x)
    noise = random.normal(SEED, [5, 3])
    np.testing.assert_allclose(model.codes(tf.constant(x), SEED), mean + deviation * noise, rtol=1e-5)
    np.testing.assert_allclose(model.encode(x), mean, rtol=1e-6)
    np.testing.assert_array_equal(model.reconstruct(x), np.round(vae.reconstruct(x)))
    assert (model.values, model.num_values, model.latent_size) == ("levels", 2, 3)
    np.testing.assert_allclose(parts[0].codes(tf.zeros([5, 2]), SEED), noise)
    other = Autoencoder((2, 2, 1), code_size=3, hidden=(4,), name="held")
    model = PlugAndPlay((2, 2, 1), other, num_classes=2, code_hidden=(4,), hidden=(4,))
    np.testing.assert_allclose(model.codes(tf.constant(x), SEED), other.encode(x), rtol=1e-6)
    with pytest.raises(ValueError, match="GAN has no encoder"):
        parts[0].encode(np.zeros((1, 2)))


def test_what_is_given_is_not_trained():
    model, *_ = plugged()
    assert [stage.name for stage in model.stages()] == ["chain"]
    assert [update.name for update in model.updates()] == ["denoiser"]
    before = {v.path: v.numpy() for v in model.variables}
    step = Step(model.updates(), {"denoiser": keras.optimizers.SGD(0.1)})
    step(lambda i, seed: {"x": tf.ones([4, 2]), "condition": tf.zeros([4], tf.int32)}, SEED, tf.constant(0))
    moved = {v.path for v in model.variables if not np.array_equal(before[v.path], v.numpy())}
    assert moved == {v.path for v in model.denoiser.trainable_variables}
    own = PlugAndPlay((2, 2, 1), num_values=2, num_classes=2, latent_size=2, hidden=(4,), code_hidden=(4,))
    stages = {stage.name: [update.name for update in stage.updates] for stage in own.stages()}
    assert stages == {"generator": ["generator"], "chain": ["denoiser", "classifier"]}


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    """The same classifier in every form: {name: constructor arguments}."""
    folder = tmp_path_factory.mktemp("classifiers")
    layer, _ = linear(2, CLASSES, seed=1)
    probabilities = keras.Sequential([layer, keras.layers.Softmax()])
    layer.save(folder / "logits.keras")
    probabilities.export(str(folder / "exported"), verbose=False)
    whole, *_ = plugged()
    serving.export(whole, folder / "tfgen")
    return {
        "layer": {"classifier": layer},
        "layer of probabilities": {"classifier": probabilities, "classifier_outputs": "probabilities"},
        "keras file": {"classifier_path": str(folder / "logits.keras")},
        "SavedModel": {"classifier_path": str(folder / "exported"), "classifier_outputs": "probabilities"},
        "export of tfgen": {"classifier_path": str(folder / "tfgen/1")},
        "model": {"classifier": whole},
    }


def plugged_with(given):
    generator, _ = linear(SIZE, 2)
    held = GAN(SHAPE, latent_size=SIZE, generator=generator, name="held")
    return PlugAndPlay(SHAPE, held, num_classes=CLASSES, code_hidden=(), **given)


@pytest.mark.slow
def test_every_kind_of_classifier_gives_the_same_class_term(classifiers, parts):
    model, *_ = parts
    h = random.normal(SEED, [5, SIZE])
    y = tf.constant([0, 1, 2, 3, 0])
    expected = model.terms(h, y)[1]
    for name, given in classifiers.items():
        other = plugged_with(given)
        found = tf.function(other.terms, autograph=False)(h, y)[1]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(other(model.generate(h)), model(model.generate(h)), atol=1e-5)


@pytest.mark.slow
def test_an_export_holds_the_saved_model_that_it_was_given(classifiers, tmp_path):
    model = plugged_with(classifiers["SavedModel"])
    version = serving.export(model, tmp_path / "export")
    loaded = tf.saved_model.load(str(version))
    seeds, y = random.rows(SEED, 3), tf.constant([0, 1, 2])
    x = loaded.signatures["sample"](seeds=seeds, condition=y)["x"]
    np.testing.assert_allclose(x, model.sample_rows(seeds, y), rtol=1e-4, atol=1e-4)


def test_a_model_that_reads_levels_is_asked_for_the_nearest():
    """The class term is the gradient at rounded x, passed straight through."""
    options = {"num_values": 5, "num_classes": 3, "hidden": (6,), "code_hidden": (4,)}
    inner = PlugAndPlay((2, 2, 1), latent_size=2, **options, name="inner")
    outer = PlugAndPlay((2, 2, 1), inner.generator, inner, **options)
    h = random.normal(SEED, [4, 2])
    y = tf.constant([0, 1, 2, 0])
    with tf.GradientTape() as tape:
        tape.watch(h)
        x = inner.generate(h)
    with tf.GradientTape() as inside:
        rounded = tf.round(x)
        inside.watch(rounded)
        log_p = tf.math.log(tf.gather(inner.classify(rounded), y, axis=1, batch_dims=1))
    expected = tape.gradient(x, h, output_gradients=inside.gradient(log_p, rounded))
    np.testing.assert_allclose(outer.terms(h, y)[1], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_known_entries_are_kept_and_pull_at_the_code():
    model, *_ = plugged(epsilon1=0.1, epsilon2=0.0, epsilon3=0.05, epsilon4=0.2)
    model.denoiser.set_weights([np.eye(SIZE) / 1.25, np.zeros(SIZE)])
    seeds, y = random.rows(SEED, 200), tf.zeros([200], tf.int32)
    given = np.tile(np.float32([[2.0, 0.0]]), (200, 1))
    mask = np.tile(np.float32([[1.0, 0.0]]), (200, 1))
    complete = tf.function(model.complete, autograph=False)
    x = complete(given, mask, y, seeds)
    np.testing.assert_array_equal(x[:, 0], given[:, 0])
    pulled = model.run(model.start(seeds, y), seeds, 200, condition=y, given=given, mask=mask > 0)
    free = model.run(model.start(seeds, y), seeds, 200, condition=y)
    distance = [np.abs(model.generate(h)[:, 0] - 2.0).mean() for h in (pulled, free)]
    assert distance[0] < 0.3 * distance[1]


def test_what_does_not_fit_is_refused_in_a_sentence(parts, tmp_path):
    layer, _ = linear(2, 3)
    held = parts[0].generator
    for made, said in (
        (
            lambda: PlugAndPlay((2, 2, 1), RBM((2, 2, 1))),
            "generator must be a model that serves decode .* RBM",
        ),
        (lambda: PlugAndPlay((2,), "vae"), "generator must be a model .* got str"),
        (lambda: PlugAndPlay((3,), held), r"generator draws x \(2,\), the data have event_shape \(3,\)"),
        (lambda: PlugAndPlay((2,), held, layer, num_classes=4), r"must tell 4 classes.* it gives \(1, 3\)"),
        (
            lambda: PlugAndPlay((2,), held, RBM(2)),
            r"classifier must be a model .* got RBM of \(2,\) in 2 levels",
        ),
        (lambda: PlugAndPlay((2,), held, len), "classifier must be a Keras layer"),
        (lambda: PlugAndPlay((2,), held, layer, "a.keras"), "classifier_path=a.keras and classifier are two"),
        (
            lambda: PlugAndPlay((2,), held, classifier_path=str(tmp_path)),
            "neither a .keras file nor the directory",
        ),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            made()
        assert "\n" not in str(caught.value)


@pytest.mark.learn
@pytest.mark.slow
def test_the_asked_digit_is_read_by_a_classifier_of_its_own():
    """Seed 0 of the app: 93 % of the classes found, samples of a class 0.89 times as far apart as data."""
    keras.utils.set_random_seed(0)
    digits = data.load("digits")
    model = PlugAndPlay(digits.event_shape, num_values=digits.num_values)
    train(model, digits, steps=2000, optimizer=keras.optimizers.Adam(1e-3), log=lambda line: None)
    reader = ClassifierFeatures(digits.train.x.astype(np.float32), digits.train.label)
    asked = np.arange(400, dtype=np.int32) % 10
    x = model.sample(400, asked, seed=1).numpy()
    assert np.mean(reader.classify(x) == asked) > 0.8
    found = model.test_metrics(digits, SEED)["class_diversity"]
    assert 0.7 < found["value"] < 1.1 and found["low"] < found["value"] < found["high"]
