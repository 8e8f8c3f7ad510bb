"""HandwritingRNN: its network against the paper's equations, its sampler against its density."""

import dataclasses

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.planted import perturb
from tests.real_data import REAL, needs
from tfgen import data, random
from tfgen.autoregressive import HandwritingRNN
from tfgen.cli.gallery import save_samples
from tfgen.distributions.laws import Strokes
from tfgen.training import train

OMNIGLOT = REAL / "strokes" / "omniglot_strokes_small.npz"
TINY = {"units": 6, "num_components": 2, "num_windows": 2, "length": 5}
SYMBOLS = ("", "a", "b", "c")


def make(**changes):
    keras.utils.set_random_seed(1)
    model = perturb(HandwritingRNN(**TINY | changes), 0.3)
    # XLA gives the same samples, as the conformance tests find, and takes long to compile them.
    model.jit_sampler = False
    return model


@pytest.fixture(scope="module")
def free():
    return make(layers=3)


@pytest.fixture(scope="module")
def writer():
    return make(condition="text", vocabulary=SYMBOLS)


def steps(num, length, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num, length, 3)).astype(np.float32)
    x[..., 2] = x[..., 2] > 0
    return x


def by_hand(model, x, text):
    """Raw outputs `[B, T, outputs]` by the equations of the paper, step by step in NumPy."""
    net, sigmoid = model.network, scipy.special.expit

    def lstm(cell, h, c, inputs):
        gates = inputs @ cell.kernel.numpy() + h @ cell.recurrent_kernel.numpy() + cell.bias.numpy()
        i, f, g, o = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    num, units = len(x), TINY["units"]
    states = [(np.zeros((num, units)),) * 2 for _ in net.cells]
    kappa, before, out = 0.0, np.zeros((num, 3)), []
    seen = np.zeros((num, 0 if text is None else len(SYMBOLS)))
    for t in range(x.shape[1]):
        states[0] = lstm(net.cells[0], *states[0], np.concatenate([before, seen], 1))
        if text is not None:
            raw = states[0][0] @ net.window.kernel.numpy() + net.window.bias.numpy()
            alpha, beta, move = np.split(np.exp(raw), 3, axis=1)
            kappa = kappa + move
            seen = np.zeros_like(seen)
            for n, tokens in enumerate(text):
                for u, token in enumerate(tokens[tokens > 0], 1):
                    seen[n, token] += (alpha[n] * np.exp(-beta[n] * (kappa[n] - u) ** 2)).sum()
        for number, cell in enumerate(net.cells[1:], 1):
            inputs = np.concatenate([before, seen, states[number - 1][0]], 1)
            states[number] = lstm(cell, *states[number], inputs)
        every = np.concatenate([h for h, _ in states], 1)
        out.append(every @ net.head.kernel.numpy() + net.head.bias.numpy())
        before = x[:, t]
    return np.stack(out, 1)


@pytest.mark.parametrize("kind", ["free", "writer"])
def test_the_network_is_the_papers(kind, request):
    model, x = request.getfixturevalue(kind), steps(3, 6)
    text = None if kind == "free" else np.array([[1, 2, 3], [3, 0, 0], [2, 2, 0]], np.int32)
    found = model.raw(x, None if text is None else tf.constant(text))
    np.testing.assert_allclose(found, by_hand(model, x, text), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["free", "writer"])
def test_the_sampler_finds_the_networks_outputs(kind, request):
    model = request.getfixturevalue(kind)
    given = {} if kind == "free" else {"condition": tf.constant([[1, 2, 3], [3, 0, 0], [2, 2, 0]])}
    seeds = random.rows(random.as_seed(4), 3)
    drawn = model.scan(seeds, length=7, with_raw=True, stop=False, **given)
    np.testing.assert_allclose(drawn["raw"], model.raw(drawn["x"], **given), rtol=1e-4, atol=1e-5)
    # Other steps, or another text, give other outputs: the agreement means something.
    planted = drawn["x"] + [[[0.0, 0.01, 0.0]]]
    assert np.abs(drawn["raw"] - model.raw(planted, **given)).max() > 1e-3
    if given:
        other = {"condition": tf.constant([[1, 2, 2], [3, 3, 0], [2, 1, 0]])}
        assert np.abs(drawn["raw"] - model.raw(drawn["x"], **other)).max() > 1e-3


@pytest.mark.parametrize("kind", ["free", "writer"])
def test_outputs_depend_on_all_earlier_steps_and_no_others(kind, request):
    model = request.getfixturevalue(kind)
    given = {} if kind == "free" else {"condition": tf.constant([[1, 2, 3]])}
    x = tf.constant(steps(1, 4))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        raw = tf.reduce_sum(model.raw(x, **given)[0] * np.arange(1.0, 14.0, dtype=np.float32), axis=-1)
    slopes = np.abs(tape.jacobian(raw, x, experimental_use_pfor=False)[:, 0]).max(axis=-1)
    assert np.all(slopes[np.tril_indices(4, -1)] > 1e-6)
    assert np.all(slopes[np.triu_indices(4)] == 0.0)


def test_two_steps_integrate_to_one(writer):
    """Importance sampling: the mean of p / q within five of its own standard errors."""
    rng, num = np.random.default_rng(0), 40_000
    offsets = 2.5 * rng.standard_t(5, size=(num, 2, 2))
    x = np.concatenate([offsets, rng.integers(0, 2, (num, 2, 1))], -1).astype(np.float32)
    log_q = (scipy.stats.t(5, scale=2.5).logpdf(offsets)).sum(axis=(1, 2)) - 2 * np.log(2)
    ratio = np.exp(writer.log_prob(x, np.tile([[1, 3]], (num, 1))).numpy().astype(np.float64) - log_q)
    error = ratio.std() / np.sqrt(num)
    assert error < 0.04 and abs(ratio.mean() - 1.0) < 5 * error


@pytest.mark.parametrize("prompt", [None, [[0.5, -1.0, 1.0], [2.0, 0.0, 0.0]]])
def test_samples_follow_the_density(writer, prompt):
    """Kolmogorov-Smirnov on two projections, a binomial test of the pen: false failures 1 in 10^4 each."""
    known = 0 if prompt is None else len(prompt)
    drawn = writer.sample(20_000, condition="ab", prompt=prompt, length=known + 1, stop=False, seed=2).numpy()
    before = np.zeros((1, known + 1, 3), np.float32)
    before[0, :known] = prompt or np.zeros((0, 3))
    np.testing.assert_array_equal(drawn[:, :known], np.repeat(before[:, :known], 20_000, 0))
    step = writer.law(writer.raw(before, tf.constant([[1, 2]]))[0, known])
    weights = tf.nn.softmax(step.logits).numpy()
    for a, b in ((1.0, 0.0), (0.6, 0.8)):
        center = a * step.loc[0] + b * step.loc[1]
        (sx, sy), rho = step.scale, step.correlation
        spread = np.sqrt((a * sx) ** 2 + (b * sy) ** 2 + 2 * a * b * rho * sx * sy)

        def cdf(value, center=center, spread=spread):
            return (weights * scipy.stats.norm.cdf((value[:, None] - center) / spread)).sum(axis=1)

        assert scipy.stats.kstest(drawn[:, known, :2] @ [a, b], cdf).pvalue > 1e-4
    lifts = int(drawn[:, known, 2].sum())
    assert scipy.stats.binomtest(lifts, 20_000, float(tf.sigmoid(step.pen))).pvalue > 1e-4


def test_known_pens_and_offsets_are_kept(free):
    given, mask = steps(1, 5)[0], np.zeros((5, 3))
    mask[1], mask[3, 2] = 1, 1
    x = free.sample(3, given=given, mask=mask, seed=1).numpy()
    np.testing.assert_array_equal(x[:, 1], np.repeat(given[None, 1], 3, 0))
    assert np.all(x[:, 3, 2] == given[3, 2]) and not np.any(x[:, 3, 0] == given[3, 0])
    mask[2, 0] = 1
    with pytest.raises(ValueError, match="both offsets of a step or none"):
        free.sample(3, given=given, mask=mask)


@pytest.mark.slow
def test_writing_stops_at_the_first_lift_behind_the_text():
    moved = make(condition="text", vocabulary=SYMBOLS)
    bias = moved.network.window.bias
    # Narrow, and a third of a symbol to each step: past the end of u symbols after about 3 (u + 1/2).
    bias.assign([0, 0, 1, 1, np.log(1 / 3), np.log(1 / 3)])
    moved.network.window.kernel.assign(tf.zeros_like(moved.network.window.kernel))
    texts = ["a", "cb", "abc"]
    x = moved.sample(3, condition=texts, length=20, seed=2).numpy()
    whole = moved.sample(3, condition=texts, length=20, seed=2, stop=False).numpy()
    ends = [next(t for t in range(first, 20) if whole[row, t - 1, 2]) for row, first in enumerate((4, 7, 10))]
    # Some strokes are begun where the text ends, and some end there.
    assert ends[0] > 4 and ends[1] == 7
    for row, drawing in enumerate(moved.decode(x)):
        assert len(drawing) == ends[row]
        np.testing.assert_array_equal(drawing, whole[row, : ends[row]])
        assert whole[row, ends[row] :].any(axis=1).all()
    # Steps that are given stay, wherever the window is.
    prompt = steps(1, 7)[0]
    prompt[:, 2] = 1.0
    kept = moved.sample(1, condition="a", prompt=prompt, length=9, seed=1).numpy()
    np.testing.assert_array_equal(kept[0, :7], prompt)
    assert not kept[0, 7:].any()
    moved.length = 20
    served = tf.function(moved.signatures()["write"].function)
    answer = served(text=tf.constant(texts), seeds=random.rows(random.as_seed(2), 3))
    np.testing.assert_allclose(answer["strokes"], x, atol=1e-4)
    np.testing.assert_array_equal(answer["lengths"], ends)
    for wrong in (["a", "", "c"], ["ax", "b", "c"]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            served(text=tf.constant(wrong), seeds=random.rows(random.as_seed(1), 3))


@pytest.mark.slow
def test_bias_and_temperature_are_those_of_the_head(free):
    cold = free.sample(4, temperature=0.0, seed=1, length=3).numpy()
    assert np.all(cold == cold[:1])
    raw = free.raw(cold[:1])
    np.testing.assert_allclose(
        cold[0], free.law(raw[0]).tempered(0.0).from_uniform(tf.fill((3, 4), 0.5)), atol=1e-5
    )
    # Each step draws from a seed of its own.
    uniform = random.uniform(random.fold_in(random.rows(random.as_seed(3), 2)[:, None], tf.range(3)), (4,))
    biased = free.sample(2, bias=2.0, seed=3, length=3)
    expected = Strokes(free.law.num_components, bias=2.0)(free.raw(biased)).from_uniform(uniform)
    np.testing.assert_allclose(biased, expected, atol=1e-4)
    # Neater: the first steps lie closer together.
    plain = free.sample(500, seed=3, length=1).numpy()[..., :2].std()
    assert free.sample(500, seed=3, length=1, bias=3.0).numpy()[..., :2].std() < 0.8 * plain
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="bias must be a finite number, at least 0, got"):
            free.sample(1, bias=wrong)


def test_texts_are_strings_or_tokens(writer):
    x = steps(2, 5)
    tokens = writer.log_prob(x, np.array([[1, 2, 3], [2, 0, 0]], np.int32))
    np.testing.assert_allclose(writer.log_prob(x, ["abc", "b"]), tokens, rtol=1e-5)
    # How far a text is filled up does not matter.
    more = np.array([[1, 2, 3, 0, 0], [2, 0, 0, 0, 0]], np.int32)
    np.testing.assert_allclose(writer.log_prob(x, more), tokens, rtol=1e-5)
    np.testing.assert_array_equal(
        writer.sample(2, condition="ca", seed=1), writer.sample(2, condition=["ca", "ca"], seed=1)
    )


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("abx", "'x', which the model does not know"),
        ("", "empty text"),
        (["a", ""], "empty text"),
        ([[1, 0, 2]], "zeros after the text"),
        ([[0, 1]], "zeros after the text"),
        ([[1, 4]], "0 to 3"),
    ],
)
def test_texts_that_cannot_be_written_are_refused(writer, condition, says):
    with pytest.raises(ValueError, match=says) as caught:
        writer.sample(1, condition=condition)
    assert "\n" not in str(caught.value)


def test_pens_are_bits_and_offsets_finite(free):
    x = steps(2, 3)
    for value, column, says in ((0.5, 2, "0 or 1"), (2.0, 2, "0 or 1"), (np.inf, 0, "finite")):
        wrong = x.copy()
        wrong[1, 1, column] = value
        with pytest.raises(ValueError, match=says):
            free.log_prob(wrong)


def test_a_distribution_goes_on_behind_the_text(writer):
    distribution = writer.distribution(tf.constant([[1], [2]]), length=30)
    x = distribution.sample(3, seed=[1, 2])
    assert x.shape == (3, 2, 30, 3) and np.all(np.any(x != 0.0, axis=-1))
    flat = np.reshape(np.swapaxes(x, 0, 1), (6, 30, 3))
    expected = writer.log_prob(flat, np.repeat([[1], [2]], 3, axis=0)).numpy().reshape(2, 3).T
    np.testing.assert_allclose(distribution.log_prob(x), expected, rtol=1e-4)


def test_the_gallery_draws_samples(writer, free, tmp_path):
    for model, more in ((writer, {"condition": "abc"}), (free, {})):
        paths = save_samples(model, tmp_path, 3, 1, **more)
        assert sorted(p.name for p in paths) == ["samples.npy", "samples.png", "samples.svg"]
        assert (">abc</text>" in paths[0].read_text()) == (model is writer)


def gaussian_nats_per_step(split, of):
    """Of one Gaussian and one Bernoulli, fitted to `of` by maximum likelihood."""

    def inside(part):
        return part.x[np.arange(part.x.shape[1]) < part.extra["lengths"][:, None]].astype(np.float64)

    fitted, x = inside(of), inside(split)
    normal = scipy.stats.multivariate_normal(fitted[:, :2].mean(axis=0), np.cov(fitted[:, :2].T, bias=True))
    pen = scipy.stats.bernoulli(fitted[:, 2].mean())
    return -(normal.logpdf(x[:, :2]) + pen.logpmf(x[:, 2])).mean()


def learn(loaded, directory, **arguments):
    """Nats per step of 300 held-out examples after 120 steps of a small network."""
    keras.utils.set_random_seed(2)
    model = HandwritingRNN(units=48, layers=1, num_components=8, **arguments)
    train(
        model,
        loaded,
        120,
        directory,
        batch_size=32,
        optimizer=keras.optimizers.Adam(0.01),
        seed=3,
        checkpoint_every=120,
        log=lambda line: None,
    )
    batch = model.fields(loaded.test.take(slice(0, 300)))
    return float(
        model.validation_metrics({k: tf.constant(v) for k, v in batch.items()}, None)["nats_per_step"]
    )


@pytest.mark.slow
@pytest.mark.learn
def test_learns_words_better_than_a_gaussian(tmp_path):
    loaded = data.load("scribbles")
    baseline = gaussian_nats_per_step(loaded.test, loaded.train)
    with_text = learn(loaded, tmp_path, condition="text", vocabulary=loaded.vocabulary)
    assert with_text < baseline - 1.0


@pytest.mark.slow
@pytest.mark.learn
@needs(OMNIGLOT)
def test_learns_omniglot_better_than_a_gaussian(tmp_path):
    loaded = data.load("omniglot_strokes", data_dir=str(REAL))
    few = dataclasses.replace(loaded, validation=loaded.validation.take(slice(0, 64)))
    assert learn(few, tmp_path) < gaussian_nats_per_step(loaded.test, loaded.train) - 0.5
