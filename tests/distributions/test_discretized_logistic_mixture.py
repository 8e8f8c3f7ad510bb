"""`DiscretizedLogisticMixture` against float64 formulas and enumeration."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from tfgen import random
from tfgen.distributions import DiscretizedLogistic, DiscretizedLogisticMixture, draw, draws_are_ours
from tfgen.distributions.laws import LogisticMixture

# Every chi-square below fails once in 10,000 seeds; seeds are fixed.
FALSE_FAILURE, SAMPLES = 1e-4, 20_000


def parameters(channels, components=3, num_values=4, seed=0, batch=()):
    """Random parameters with locations inside and outside the levels."""
    rng = np.random.default_rng(seed)
    pairs = channels * (channels - 1) // 2
    return {
        "logits": rng.normal(size=(*batch, components)),
        "loc": rng.uniform(-0.5, num_values - 0.5, (*batch, channels, components)),
        "scale": rng.uniform(0.1, 0.4, (*batch, channels, components)) * num_values / 4,
        "coefficients": rng.uniform(-1.0, 1.0, (*batch, pairs, components)),
    }


def every_pixel(channels, num_values):
    return np.array(list(itertools.product(range(num_values), repeat=channels)), np.float32)


def brute_force(x, logits, loc, scale, coefficients, num_values):
    """log P(x_c | x_<c) of one pixel `[C]` in float64: differences of distribution functions."""
    middle, conditionals = (num_values - 1) / 2, []
    weights = special.softmax(logits)
    for c, level in enumerate(x):
        mean = loc[c].copy()
        for b in range(c):
            mean += coefficients[c * (c - 1) // 2 + b] * (x[b] - middle)
        cdf = stats.logistic(mean, scale[c]).cdf
        upper = 1.0 if level == num_values - 1 else cdf(level + 0.5)
        lower = 0.0 if level == 0 else cdf(level - 0.5)
        joint = weights * (upper - lower)
        conditionals.append(np.log(joint.sum() / weights.sum()))
        weights = joint
    return np.array(conditionals)


def make(channels, num_values=4, **kwargs):
    given = parameters(channels, num_values=num_values, **kwargs)
    return DiscretizedLogisticMixture(**given, num_values=num_values), given


@pytest.mark.parametrize("channels,num_values", [(1, 2), (1, 5), (2, 3), (3, 4), (4, 2)])
def test_log_prob_is_the_formula_and_sums_to_one(channels, num_values):
    mixture, given = make(channels, num_values)
    pixels = every_pixel(channels, num_values)
    want = np.array([brute_force(x, **given, num_values=num_values) for x in pixels])
    np.testing.assert_allclose(mixture.channel_log_probs(pixels), want, rtol=1e-4, atol=1e-4)
    log_prob = mixture.log_prob(pixels).numpy()
    np.testing.assert_allclose(log_prob, want.sum(1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.exp(log_prob.astype("float64")).sum(), 1.0, atol=1e-5)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_mass_of_256_levels_of_one_channel_given_those_before_it_is_one(channel):
    mixture, given = make(3, 256, components=10, seed=channel)
    x = np.tile(np.array([0.0, 255.0, 17.0], np.float32), (256, 1))
    x[:, channel] = np.arange(256)
    got = mixture.channel_log_probs(x).numpy()[:, channel].astype("float64")
    np.testing.assert_allclose(np.exp(got).sum(), 1.0, atol=2e-5)
    # Float64's differences of distribution functions are right where the mass is not tiny.
    want = np.array([brute_force(row, **given, num_values=256)[channel] for row in x.astype("float64")])
    likely = want > -15.0
    assert likely.sum() > 100
    np.testing.assert_allclose(got[likely], want[likely], atol=2e-3)


def test_one_component_of_one_channel_is_the_discretized_logistic():
    levels = np.arange(256, dtype=np.float32)
    mixture = DiscretizedLogisticMixture([0.3], [[90.0]], [[7.0]])
    want = DiscretizedLogistic(90.0, 7.0).log_prob(levels)
    np.testing.assert_allclose(mixture.log_prob(levels[:, None]), want, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_log_probs_and_gradients_are_finite_everywhere(scale):
    places = np.array([-1e4, 0.0, 127.5, 255.0, 1e4])
    variables = {
        "logits": tf.Variable([0.0, 50.0, -50.0, 0.0, 1.0]),
        "loc": tf.Variable(np.tile(places, (3, 1)), dtype=tf.float32),
        "scale": tf.Variable(np.full((3, 5), scale), dtype=tf.float32),
        "coefficients": tf.Variable(np.linspace(-1, 1, 15).reshape(3, 5), dtype=tf.float32),
    }
    x = np.array([[0, 0, 0], [255, 255, 255], [0, 255, 17], [128, 3, 255]], np.float32)
    with tf.GradientTape() as tape:
        log_prob = DiscretizedLogisticMixture(**variables).log_prob(x)
        total = tf.reduce_sum(log_prob)
    assert np.isfinite(log_prob).all()
    for gradient in tape.gradient(total, list(variables.values())):
        assert np.isfinite(gradient.numpy()).all()


def test_gradients_are_those_of_float64_differences():
    given, x = parameters(3, num_values=8, seed=3), np.array([2.0, 7.0, 4.0])
    variables = {k: tf.Variable(v, dtype=tf.float32) for k, v in given.items()}
    with tf.GradientTape() as tape:
        log_prob = DiscretizedLogisticMixture(**variables, num_values=8).log_prob(x.astype("float32"))
    got = tape.gradient(log_prob, variables)
    for name, value in given.items():
        for place in np.ndindex(value.shape):
            ends = []
            for size in (1e-5, -1e-5):
                moved = value.copy()
                moved[place] += size
                ends.append(brute_force(x, **given | {name: moved}, num_values=8).sum())
            np.testing.assert_allclose(got[name].numpy()[place], (ends[0] - ends[1]) / 2e-5, atol=2e-3)


def follows(samples, probs, num_values):
    """Chi-square of pixels `[num, C]` against the probability of each of `every_pixel`."""
    index = np.ravel_multi_index(samples.T.astype(int), (num_values,) * samples.shape[1])
    counts, expected = np.bincount(index, minlength=len(probs)), probs / probs.sum() * len(samples)
    assert counts[expected == 0.0].sum() == 0
    rare = expected < 5.0
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    keep = expected > 0.0
    return stats.chisquare(counts[keep], expected[keep]).pvalue > FALSE_FAILURE


def test_samples_follow_the_masses():
    mixture, _ = make(3, seed=1)
    probs = np.exp(mixture.log_prob(every_pixel(3, 4)).numpy().astype("float64"))
    assert follows(mixture.sample(SAMPLES, seed=tf.constant([3, 4])).numpy(), probs, 4)
    assert draws_are_ours(mixture)
    assert follows(draw(mixture, random.as_seed(5), (SAMPLES,)).numpy(), probs, 4)
    assert not follows(mixture.sample(SAMPLES, seed=tf.constant([3, 4])).numpy(), probs[::-1], 4)


@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_temperature_divides_logits_and_multiplies_scales(temperature):
    mixture, given = make(3, seed=1)
    given |= {"logits": given["logits"] / temperature, "scale": given["scale"] * temperature}
    pixels = every_pixel(3, 4)
    probs = np.exp([brute_force(x, **given, num_values=4).sum() for x in pixels])
    cold = draw(mixture, random.as_seed(6), (SAMPLES,), temperature=temperature).numpy()
    assert follows(cold, probs, 4)
    np.testing.assert_allclose(np.exp(mixture.tempered(temperature).log_prob(pixels)), probs, atol=1e-5)


def test_temperature_zero_is_the_location_of_the_heaviest_component():
    mixture, given = make(3, num_values=9, seed=2)
    best, want = given["logits"].argmax(), []
    for c in range(3):
        mean = given["loc"][c, best]
        mean += sum(given["coefficients"][c * (c - 1) // 2 + b, best] * (want[b] - 4) for b in range(c))
        want.append(np.clip(np.round(mean), 0, 8))
    got = draw(mixture, random.as_seed(7), (6,), temperature=0.0)
    np.testing.assert_array_equal(got, np.tile(want, (6, 1)))


@pytest.mark.parametrize("known_channel,temperature", [(0, 1.0), (1, 1.0), (2, 1.0), (0, 0.6)])
def test_channels_given_another_follow_the_components_that_it_leaves(known_channel, temperature):
    """Drawing goes on from a known channel exactly; what precedes it is drawn as if it were not known."""
    mixture, given = make(3, seed=4)
    given |= {"logits": given["logits"] / temperature, "scale": given["scale"] * temperature}
    pixels = every_pixel(3, 4)
    conditionals = np.array([brute_force(x, **given, num_values=4) for x in pixels])
    free = [c for c in range(3) if c != known_channel]
    probs = np.exp(conditionals[:, free].sum(1)) * (pixels[:, known_channel] == 3.0)
    known = np.full((SAMPLES, 3), -1.0, np.float32)
    known[:, known_channel] = 3.0
    uniform = random.uniform(random.as_seed(8), (SAMPLES, 3, 2))
    samples = mixture.tempered(temperature).from_uniform(uniform, known).numpy()
    assert follows(samples, probs, 4)


def test_a_known_channel_decides_between_components_at_temperature_zero():
    mixture = DiscretizedLogisticMixture([0.2, 0.0], [[1.0, 8.0], [1.0, 8.0]], [[1.0, 1.0]] * 2, num_values=9)
    known = np.array([[-1.0, -1.0], [7.0, -1.0], [2.0, -1.0]], np.float32)
    uniform = random.uniform(random.as_seed(9), (3, 2, 2))
    got = mixture.tempered(0.0).from_uniform(uniform, known)
    np.testing.assert_array_equal(got, [[1.0, 1.0], [7.0, 8.0], [2.0, 1.0]])


@pytest.mark.slow
def test_it_is_a_distribution_like_any_other():
    mixture, given = make(3, seed=5, batch=(2, 5))
    assert mixture.batch_shape == (2, 5) and mixture.event_shape == (3,)
    assert mixture.sample(4, seed=tf.constant([0, 1])).shape == (4, 2, 5, 3)
    x = np.random.default_rng(0).integers(0, 4, (2, 5, 3)).astype("float32")
    image = tfp.distributions.Independent(mixture, 2)
    np.testing.assert_allclose(image.log_prob(x), np.sum(mixture.log_prob(x)), rtol=1e-5)
    np.testing.assert_allclose(mixture[1, 2].log_prob(x[1, 2]), mixture.log_prob(x)[1, 2], rtol=1e-5)
    plain = DiscretizedLogisticMixture(given["logits"], given["loc"], given["scale"], num_values=4)
    zero = mixture.copy(coefficients=np.zeros((2, 5, 3, 3)))
    np.testing.assert_allclose(plain.log_prob(x), zero.log_prob(x), rtol=1e-6)
    compiled = tf.function(lambda s: mixture.sample(100, seed=s), jit_compile=True)
    seed = tf.constant([5, 6])
    np.testing.assert_array_equal(compiled(seed), mixture.sample(100, seed=seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_raw_outputs_give_the_parameters_of_the_paper(channels):
    components, levels = 2, 256
    law = LogisticMixture(channels, components, levels)
    raw = np.random.default_rng(1).normal(size=(3, law.size))
    mixture = law(tf.constant(raw, tf.float32))
    groups = raw.reshape(3, -1, components)
    np.testing.assert_allclose(mixture.logits, groups[:, 0], rtol=1e-6)
    np.testing.assert_allclose(mixture.loc, 127.5 + 127.5 * groups[:, 1 : channels + 1], rtol=1e-5, atol=1e-3)
    log_scale = groups[:, channels + 1 : 2 * channels + 1]
    np.testing.assert_allclose(mixture.scale, 127.5 * np.exp(log_scale), rtol=1e-5)
    if channels == 1:
        assert mixture.coefficients is None
    else:
        np.testing.assert_allclose(mixture.coefficients, np.tanh(groups[:, 7:]), rtol=1e-5)
    extreme = law(tf.constant(raw * 1e4, tf.float32))
    assert np.isfinite(extreme.log_prob(np.zeros((3, channels), "float32"))).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_values": 1}, "num_values must be a whole number of at least 2, got 1"),
        ({"coefficients": np.zeros((2, 3))}, r"coefficients must have shape \[..., 3, K\] for 3 channels"),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DiscretizedLogisticMixture(**parameters(3) | kwargs)
