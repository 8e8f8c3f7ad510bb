"""WaveNet against enumeration, its own whole network, and sines whose spectrum is known."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.autoregressive import token_checks as checks
from tfgen import data, random
from tfgen.autoregressive import WaveNet
from tfgen.data.audio import TONES, TONES_WINDOW
from tfgen.media import sounds
from tfgen.training import train
from tfgen.training.checkpoints import Checkpoints, weights_of

TINY = {"filters": 4, "num_layers": 3, "num_stacks": 1, "head": 6, "num_values": 4, "length": 4}


def make(seed=0, **kwargs):
    """A small WaveNet with random weights."""
    return checks.randomize(WaveNet(**TINY | kwargs), seed)


NETS = [
    {},
    {"num_layers": 2, "num_stacks": 2, "kernel_size": 3},
    {"num_values": 2, "one_hot": False},
    {"num_values": 5, "num_layers": 1, "num_stacks": 3},
]


def name(kwargs):
    return "-".join(f"{k}{v}" for k, v in kwargs.items()) or "default"


class TestTokens(checks.TokenModelTests):
    models = {name(kwargs): functools.partial(make, **kwargs) for kwargs in NETS}  # noqa: RUF012

    def steps(self, model):
        """More than the receptive field, so that every ring goes round."""
        return 2 * model.receptive_field + 3

    # The last layer's tap furthest back.
    forgotten = (lambda model: model.stack[-1].conv.kernel,)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({}, 2 + 7),
        ({"num_layers": 2, "num_stacks": 2, "kernel_size": 3}, 3 + 2 * 2 * 3),
        ({"num_layers": 1}, 3),
    ],
)
def test_a_step_reads_exactly_its_receptive_field(kwargs, field):
    model = WaveNet(**TINY | {"one_hot": False, "num_values": 256, "filters": 8} | kwargs)
    assert model.receptive_field == field
    steps = field + 3
    x = tf.constant(np.random.default_rng(2).integers(0, 256, (1, steps)), tf.float32)
    weights = np.arange(1.0, 257.0, dtype=np.float32)
    for trained in (False, True):
        if trained:
            checks.train(model)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            logits = tf.unstack(tf.linalg.matvec(tf.nn.log_softmax(model.raw(x)), weights)[0])
        # Step by step: a vectorized Jacobian runs into oneDNN's product that broadcasts a batch of one.
        reads = np.stack([tape.gradient(logit, x).numpy()[0] != 0.0 for logit in logits])
        back = np.arange(steps)[:, None] - np.arange(steps)
        np.testing.assert_array_equal(reads, (back >= 1) & (back <= field))


@pytest.mark.slow
def test_each_pair_of_labels_has_a_density_of_its_own_which_samples_follow():
    model = make(num_values=2, one_hot=False, condition="label", num_classes=(2, 3))
    x = checks.every(model, 4)
    seen = []
    for label in np.ndindex(2, 3):
        labels = np.tile(np.array(label, np.int32), (len(x), 1))
        probs = np.exp(model.log_prob(x, condition=labels).numpy().astype(np.float64))
        np.testing.assert_allclose(probs.sum(), 1.0, atol=1e-5)
        seen.append(probs)
    assert min(np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]) > 1e-3
    samples = model.sample(checks.SAMPLES, condition=[1, 2], seed=5).numpy()
    checks.assert_follows(model, samples, seen[-1])
    # Each layer's gate owns what it adds.
    model.stack[1].told.kernel.assign(tf.zeros_like(model.stack[1].told.kernel))
    assert np.abs(np.exp(model.log_prob(x, condition=labels)) - seen[-1]).max() > 1e-3


def test_a_vector_may_be_the_condition():
    model = make(condition="vector", condition_size=2)
    x = checks.every(model, 4)
    vectors = np.tile(np.array([0.3, -1.0], np.float32), (len(x), 1))
    np.testing.assert_allclose(np.exp(model.log_prob(x, condition=vectors)).sum(), 1.0, atol=1e-5)
    other = model.log_prob(x, condition=-vectors)
    assert np.abs(other - model.log_prob(x, condition=vectors)).max() > 1e-3


@pytest.mark.slow
def test_served_samples_are_levels_and_the_sound_they_stand_for():
    model = make(num_values=256, length=20)
    seeds = random.rows(random.as_seed(6), 3)
    served = tf.function(model.signatures()["sample"].function)(seeds=seeds)
    np.testing.assert_array_equal(served["x"], model.sample(3, seed=6))
    np.testing.assert_allclose(served["audio"], sounds.decode(served["x"].numpy(), 256), atol=1e-7)


@pytest.mark.slow
def test_a_recording_is_a_prompt(tmp_path):
    model = make(num_values=256, length=30)
    wave = 0.5 * np.sin(np.arange(12) / 2.0)
    sounds.write(tmp_path / "a.wav", wave, 8000)
    x = model.sample(1, prompt=str(tmp_path / "a.wav"), seed=1).numpy()[0]
    np.testing.assert_allclose(sounds.decode(x[:12], 256), wave, atol=0.02)
    sounds.write(tmp_path / "b.wav", wave, 44_100)
    with pytest.raises(ValueError, match="b.wav has 44100 samples a second, the model 8000: resample it"):
        model.sample(1, prompt=str(tmp_path / "b.wav"), seed=1)
    with pytest.raises(ValueError, match="prompt is empty"):
        model.sample(1, prompt=[], seed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters must be a whole number of at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1, got 0"),
        ({"kernel_size": 1}, "kernel_size must be a whole number of at least 2, got 1"),
        ({"rate": 0}, "rate must be a whole number of at least 1, got 0"),
        ({"event_shape": (None, 2)}, r"event_shape must be \(None,\), any number of steps, got \(None, 2\)"),
        ({"condition": "label"}, "condition='label' needs a positive num_classes, got None"),
        ({"condition": "vector"}, "condition='vector' needs a positive condition_size, got None"),
        ({"condition": "pitch"}, "condition must be one of 'none', 'label', 'vector', got 'pitch'"),
    ],
)
def test_bad_arguments_name_themselves(arguments, message):
    with pytest.raises(ValueError, match=message):
        WaveNet(**TINY | arguments)


def test_data_of_another_rate_are_refused():
    model = WaveNet(**TINY | {"num_values": 256, "rate": 16_000})
    with pytest.raises(ValueError, match="rate=16000, tones has 8000 samples a second"):
        model.check_data(data.load("tones"))
    with pytest.raises(ValueError, match="x must hold integer values 0 to 255"):
        model.log_prob(np.full((1, 4), 256.0))


@pytest.mark.slow
@pytest.mark.learn
def test_it_learns_three_sines(tmp_path):
    """The strongest frequency of its own sounds is within a bin of one of the three; all three occur."""
    tones = data.load("tones")
    keras.utils.set_random_seed(0)
    model = WaveNet(filters=24, num_layers=8, head=48, length=TONES_WINDOW)
    # Averaged weights: those of single steps often sing between two of the pitches.
    averaging = keras.optimizers.Adam(4e-3, use_ema=True, ema_momentum=0.99)
    train(
        model,
        tones,
        1000,
        tmp_path,
        batch_size=8,
        optimizer=averaging,
        seed=0,
        checkpoint_every=1000,
        validation_examples=50,
        log=lambda line: None,
        clip_norm=1.0,
    )
    Checkpoints(weights_of(model), tmp_path / "checkpoints" / "best", 1).restore()
    x = model.sample(64, length=2 * TONES_WINDOW, seed=13).numpy()[:, TONES_WINDOW:]
    spectrum = np.abs(np.fft.rfft(sounds.decode(x, 256) * np.hanning(TONES_WINDOW), axis=1))
    spectrum[:, :4] = 0.0
    peak = spectrum.argmax(axis=1)
    nearest = np.abs(peak[:, None] - np.array(TONES)).argmin(axis=1)
    close = np.abs(peak - np.array(TONES)[nearest]) <= 1
    assert close.mean() > 0.8
    assert set(nearest[close]) == {0, 1, 2}
    # Nothing of this is so before training.
    untrained = WaveNet(filters=24, num_layers=8, head=48).sample(24, length=TONES_WINDOW, seed=13).numpy()
    peak = np.abs(np.fft.rfft(sounds.decode(untrained, 256), axis=1)).argmax(axis=1)
    assert np.mean(np.abs(peak[:, None] - np.array(TONES)).min(axis=1) <= 1) < 0.3
