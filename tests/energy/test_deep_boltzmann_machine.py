"""The deep Boltzmann machine's energy, bound, gradient, pretraining and samples against enumeration.

Statistical tests use fixed seeds; chi-square tests fail falsely once in 100,000 runs, gradients are compared
entry by entry at five standard errors of the mean over seeds.
"""

import dataclasses
import itertools
import math

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from scipy.special import expit, logsumexp

from tests.energy.machine_checks import assert_annealing_covers
from tfgen import data, random
from tfgen.energy import DeepBoltzmannMachine
from tfgen.training.batches import Examples

SIZES = (4, 3, 2)
SEED = random.as_seed(0)


def states(units):
    return ((np.arange(2**units)[:, None] >> np.arange(units)) & 1).astype(np.float64)


EVERY = [states(n) for n in SIZES]
ALL = EVERY[0]
DATA = ALL[[3, 5, 5, 12]].astype(np.float32)


def array(variable):
    return np.asarray(variable.numpy(), np.float64)


def with_weights(scale=1.0, hidden=SIZES[1:], **kwargs):
    draw = np.random.RandomState(0)
    model = DeepBoltzmannMachine(SIZES[0], hidden, **kwargs)
    for variable in (*model.kernels, *model.biases):
        variable.assign(scale * draw.randn(*variable.shape))
    model.base_logits.assign(0.5 * draw.randn(SIZES[0]))
    for variable in (*model.rates.values(), *model.offsets):
        variable.assign(draw.uniform(0.1, 0.9, variable.shape))
    return model


def offsets(model):
    return [array(offset) for offset in model.offsets] or [0.0, 0.0, 0.0]


def log_joint(model):
    """-E of every state, `[v, h_1, h_2]`."""
    (w1, w2), (b0, b1, b2) = map(array, model.kernels), map(array, model.biases)
    v, h1, h2 = EVERY
    c0, c1, c2 = offsets(model)
    below = (v @ b0)[:, None] + (v - c0) @ w1 @ (h1 - c1).T + h1 @ b1
    return below[:, :, None] + ((h1 - c1) @ w2 @ (h2 - c2).T + h2 @ b2)[None]


@pytest.mark.parametrize("centring", [False, True])
def test_energy_partition_function_and_conditionals(centring):
    model = with_weights(centring=centring)
    joint, (c0, c1, c2) = log_joint(model), offsets(model)
    assert float(model.log_partition()) == pytest.approx(logsumexp(joint), abs=1e-5)
    for i, j, k in itertools.product(range(16), range(8), range(4)):
        v, h1, h2 = EVERY[0][i], EVERY[1][j], EVERY[2][k]
        (w1, w2), (b0, b1, b2) = map(array, model.kernels), map(array, model.biases)
        t0, t1, t2 = v - c0, h1 - c1, h2 - c2
        pairs = sum(t0[a] * w1[a, b] * t1[b] for a in range(4) for b in range(3))
        pairs += sum(t1[a] * w2[a, b] * t2[b] for a in range(3) for b in range(2))
        assert joint[i, j, k] == pytest.approx(pairs + v @ b0 + h1 @ b1 + h2 @ b2)


def test_offsets_move_and_the_density_stays():
    """(s - m) K (s' - m') with other m, and biases that make up for them: energies but for a constant."""
    model = with_weights(centring=True)
    before, plain = log_joint(model), [model.joint.bias_without_offsets(n) for n in model.layer_names]
    means = np.random.RandomState(1).uniform(0.1, 0.9, sum(SIZES)).astype(np.float32)
    means = dict(zip(model.layer_names, np.split(means, np.cumsum(SIZES)[:-1]), strict=True))
    model.joint.recentre({name: tf.constant(mean) for name, mean in means.items()})
    for offset, mean in zip(model.offsets, means.values(), strict=True):
        np.testing.assert_array_equal(offset, mean)
    moved = log_joint(model) - before
    np.testing.assert_allclose(moved, np.full_like(moved, moved[0, 0, 0]), atol=1e-5)
    assert abs(moved[0, 0, 0]) > 0.1
    # Written without offsets it has these biases.
    again = [model.joint.bias_without_offsets(n) for n in model.layer_names]
    for one, other, bias in zip(plain, again, model.biases, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        bias.assign(one)
    for offset in model.offsets:
        offset.assign(np.zeros(offset.shape))
    moved = log_joint(model) - before
    np.testing.assert_allclose(moved, np.full_like(moved, moved[0, 0, 0]), atol=1e-5)


def test_the_path_begins_at_the_rates_of_the_layers_that_chains_walk_over():
    model = with_weights(centring=True)
    odds = array(model.base_logits), np.log(array(model.rates["h_2"]) / (1 - array(model.rates["h_2"])))
    base = (EVERY[0] @ odds[0])[:, None, None] + EVERY[2] @ odds[1]
    s = np.array([[*v, *h2] for v in EVERY[0] for h2 in EVERY[2]], np.float32)

    def log_f(beta):
        return logsumexp(beta * log_joint(model) + (1 - beta) * base, axis=1).reshape(-1)

    assert float(model.log_z0()) == pytest.approx(logsumexp(log_f(0.0)), abs=1e-5)
    for beta, next_beta in [(0.0, 1.0), (0.25, 0.25 + 2.0**-14), (0.75, 0.5)]:
        found = model.log_ratio(tf.constant(s), tf.constant(beta), tf.constant(next_beta))
        np.testing.assert_allclose(found, log_f(next_beta) - log_f(beta), rtol=1e-5, atol=1e-6)
    drawn = model.start(tf.constant([0, 1]), 20_000).numpy()
    np.testing.assert_allclose(drawn.mean(0), expit(np.concatenate(odds)), atol=0.02)


def test_rates_follow_the_means_of_the_data():
    model = with_weights()
    before, means = array(model.rates["h_2"]), model.encode(DATA).numpy()[:, SIZES[1] :]
    (update,) = model.updates()
    assert any(variable is model.rates["h_2"] for variable in update.variables)
    update.objective({"x": tf.constant(DATA)}, tf.constant([0, 1]), tf.constant(0, tf.int64))
    np.testing.assert_allclose(model.rates["h_2"], 0.99 * before + 0.01 * means.mean(0), atol=1e-4)


@pytest.mark.slow
def test_annealing_finds_a_mode_that_fair_coins_never_see():
    """All weights of a layer equal, so that log Z is a sum over how many units of each layer are 1.

    Where the mass is, one in 150 units of h_2 is 1. Where half of them are, as in fair coins, h_1 and h_2
    keep each other up: another mode, of e^-30 of the mass, which chains do not leave.
    """
    sizes, (w1, w2), (b0, b1, b2) = (20, 40, 200), (0.02, 0.125), (-1.0, -4.3, -5.0)
    model = DeepBoltzmannMachine(sizes[0], sizes[1:], pretraining=False)
    for variable, value in zip((*model.kernels, *model.biases), (w1, w2, b0, b1, b2), strict=True):
        variable.assign(np.full(variable.shape, value))
    k0, k1, k2 = np.meshgrid(*(np.arange(n + 1.0) for n in sizes), indexing="ij")
    log_f = b0 * k0 + b1 * k1 + b2 * k2 + w1 * k0 * k1 + w2 * k1 * k2
    for n, k in zip(sizes, (k0, k1, k2), strict=True):
        log_f += (
            scipy.special.gammaln(n + 1) - scipy.special.gammaln(k + 1) - scipy.special.gammaln(n - k + 1)
        )
    exact = logsumexp(log_f)
    assert np.exp(log_f - exact)[:, :, :50].sum() == pytest.approx(1.0, abs=1e-9)
    _, low, high = model.log_partition("ais", num_temperatures=300)
    assert low > exact - 31 and high < exact - 29
    model.rates["h_2"].assign(np.full(sizes[2], 0.01))
    estimate, low, high = model.log_partition("ais", num_temperatures=300)
    assert low <= exact <= high and abs(estimate - exact) < 0.1


def test_mean_field_bound_lies_below_and_is_its_fixed_point():
    model = with_weights()
    exact = logsumexp(log_joint(model), axis=(1, 2))
    bound = model.log_prob(ALL).numpy()
    assert np.all(bound < exact) and np.max(exact - bound) < 1.0
    (w1, w2), (_, b1, b2) = map(array, model.kernels), map(array, model.biases)
    mu1, mu2 = np.split(model.encode(ALL).numpy().astype(np.float64), [SIZES[1]], axis=1)
    np.testing.assert_allclose(mu1, expit(b1 + ALL @ w1 + mu2 @ w2.T), atol=1e-4)
    np.testing.assert_allclose(mu2, expit(b2 + mu1 @ w2), atol=1e-4)
    # By its definition: the energy at the means, and their entropy.
    energy = (ALL @ w1 * mu1).sum(1) + mu1 @ b1 + (mu1 @ w2 * mu2).sum(1) + mu2 @ b2
    energy += ALL @ array(model.biases[0])
    mu = np.concatenate([mu1, mu2], axis=1)
    entropy = -(mu * np.log(mu) + (1 - mu) * np.log1p(-mu)).sum(1)
    np.testing.assert_allclose(bound, energy + entropy, atol=1e-5)
    # Without the second layer's weights the posterior is independent, and the bound exact.
    model.kernels[1].assign(np.zeros(SIZES[1:]))
    exact = logsumexp(log_joint(model), axis=(1, 2))
    np.testing.assert_allclose(model.log_prob(ALL), exact, atol=1e-5)


def test_mean_field_begins_with_layers_that_make_up_for_those_not_yet_known():
    """Twice what is below for a layer with one above it, as Salakhutdinov & Larochelle 2010 begin."""
    model = with_weights(hidden=(3, 2, 2))
    (w1, w2, w3), (_, b1, b2, b3) = map(array, model.kernels), map(array, model.biases)
    h1 = expit(2 * ALL @ w1 + b1)
    h2 = expit(2 * h1 @ w2 + b2)
    expected = {"h_1": h1, "h_2": h2, "h_3": expit(h2 @ w3 + b3)}
    found = model.joint.mean_field({"v": tf.constant(ALL, tf.float32)}, num_sweeps=0)
    for name, means in expected.items():
        np.testing.assert_allclose(found[name], means, atol=1e-6)


def test_means_of_a_step_are_at_rest():
    """One sweep alone leaves means of h_2 that are 5e-3 away."""
    model = with_weights()
    observed = {"v": tf.constant(ALL, tf.float32)}
    at_rest = model.joint.mean_field(observed, num_sweeps=1000, tolerance=1e-7)["h_2"]
    found = model.joint.unpack(model.clamped(observed, SEED), model.kept)
    np.testing.assert_array_equal(found["v"], ALL)
    np.testing.assert_allclose(found["h_2"], at_rest, atol=1e-3)


def test_means_of_a_step_are_the_same_beside_samples():
    model = with_weights()
    observed = {"v": tf.constant(ALL, tf.float32)}
    samples = model.start(tf.constant([3, 4]), 5)
    found = model.clamped(observed, SEED, beside=samples)
    np.testing.assert_allclose(found, model.clamped(observed, SEED), atol=1e-6)


@pytest.mark.slow
def test_annealing_is_unbiased_and_its_intervals_cover():
    model = with_weights()
    assert_annealing_covers(model, logsumexp(log_joint(model)))


@pytest.mark.slow
def test_samples_follow_the_machine():
    model = with_weights(0.7)
    drawn = model.sample(20_000, seed=1, num_steps=60).numpy().reshape(-1, SIZES[0])
    count = np.bincount((drawn @ (1 << np.arange(SIZES[0]))).astype(int), minlength=len(ALL))
    log_p = logsumexp(log_joint(model), axis=(1, 2))
    expected = np.exp(log_p - logsumexp(log_p)) * len(drawn)
    assert expected.min() > 5
    assert scipy.stats.chi2.sf(((count - expected) ** 2 / expected).sum(), len(ALL) - 1) > 1e-5


@pytest.mark.parametrize("centring", [False, True])
def test_gradient_is_that_of_means_of_data_against_the_machine(centring):
    """PCD from chains that are draws of h_1: mean-field statistics of data minus the machine's own."""
    model = with_weights(num_chains=1000, centring=centring)
    (update,) = model.stages()[-1].updates
    variables = [*model.kernels, *model.biases]
    p = np.exp(log_joint(model) - logsumexp(log_joint(model)))
    draw = np.random.RandomState(0)
    copies = tf.constant(np.repeat(DATA, 250, axis=0))

    @tf.function(autograph=False)
    def run(seed):
        values = [tf.convert_to_tensor(v.value) for v in variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                loss, _ = update.objective({"x": copies}, seed, tf.constant(0, tf.int64))
        return tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, values)], 0)

    found = []
    for i in range(40):
        model.chains.assign(EVERY[1][draw.choice(8, 1000, p=p.sum((0, 2)))])
        found.append(run(random.fold_in(tf.constant([0, 1]), i)).numpy())
    mu1, mu2 = np.split(model.encode(DATA).numpy().astype(np.float64), [SIZES[1]], axis=1)
    (v, h1, h2), (c0, c1, c2) = EVERY, offsets(model)
    of_data = [(DATA - c0).T @ (mu1 - c1) / 4, (mu1 - c1).T @ (mu2 - c2) / 4]
    of_data += [DATA.mean(0), mu1.mean(0), mu2.mean(0)]
    of_model = [
        np.einsum("abc,ai,bj->ij", p, v - c0, h1 - c1),
        np.einsum("abc,bi,cj->ij", p, h1 - c1, h2 - c2),
        *(p.sum(tuple({0, 1, 2} - {axis})) @ s for axis, s in enumerate(EVERY)),
    ]
    expected = np.concatenate([(m - d).reshape(-1) for d, m in zip(of_data, of_model, strict=True)])
    found = np.stack(found)
    error = found.std(0, ddof=1) / math.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - expected) <= 5 * error + 2e-4)
    assert error.max() < 0.02


def test_pretraining_doubles_what_an_inner_layer_hears():
    """Bottom: v is there twice; top: h_2 is. Conditionals and free energies against their sums."""
    model = with_weights(num_chains=4000)
    bottom, top = model.machines
    top.joint.units["v"].bias.assign([0.3, -0.2, 0.5])
    (w1, w2), (b0, b1, b2) = map(array, model.kernels), map(array, model.biases)
    v = tf.constant(ALL, tf.float32)
    field = bottom.joint.field("h", {"v": v, "v_again": v})
    np.testing.assert_allclose(bottom.joint.units["h"].mean(field), expit(b1 + 2 * ALL @ w1), atol=1e-5)
    other = np.roll(ALL, 1, axis=0)
    free = bottom.joint.log_prob({"v": v, "v_again": tf.constant(other, tf.float32)})
    hidden = np.logaddexp(0, b1 + (ALL + other) @ w1).sum(1)
    np.testing.assert_allclose(free, (ALL + other) @ b0 + hidden, atol=1e-5)
    h1 = EVERY[1]
    free = top.joint.log_prob({"v": tf.constant(h1, tf.float32)})
    np.testing.assert_allclose(
        free, h1 @ [0.3, -0.2, 0.5] + 2 * np.logaddexp(0, b2 + h1 @ w2).sum(1), atol=1e-5
    )
    h2 = tf.constant(EVERY[2], tf.float32)
    mean = top.joint.units["v"].mean(top.joint.field("v", {"h": h2, "h_again": h2}))
    np.testing.assert_allclose(mean, expit(np.array([0.3, -0.2, 0.5]) + 2 * EVERY[2] @ w2.T), atol=1e-5)
    # What the top learns from: draws of h_1 that heard v twice.
    drawn = model.inputs(1, tf.repeat(v, 2000, axis=0), tf.constant([0, 1])).numpy().reshape(16, 2000, 3)
    np.testing.assert_allclose(drawn.mean(1), expit(b1 + 2 * ALL @ w1), atol=0.06)
    # All together: an inner layer's bias is the mean of its two; paths begin at the means of h_2.
    model.stages()[-1].on_enter({"x": tf.repeat(tf.constant(DATA), 1000, axis=0)}, tf.constant([0, 1]))
    np.testing.assert_allclose(model.biases[1], (b1 + [0.3, -0.2, 0.5]) / 2, atol=1e-6)
    # Half of its chains begin at draws of h_1 given the examples and the means of h_2, ...
    mu1 = model.encode(DATA).numpy()[:, : SIZES[1]]
    chains = model.chains.numpy()
    np.testing.assert_allclose(chains[::2].mean(0), mu1.mean(0), atol=0.05)
    # ... the others given units that are independent, v at its base rates and h_2 at its own.
    rates = expit(array(model.base_logits)), array(model.rates["h_2"])
    np.testing.assert_allclose(rates[1], model.encode(DATA).numpy()[:, SIZES[1] :].mean(0), atol=1e-4)
    of_v, of_h = (
        np.prod(np.where(s == 1, r, 1 - r), axis=1) for s, r in zip((ALL, EVERY[2]), rates, strict=True)
    )
    given = expit(array(model.biases[1]) + (ALL @ w1)[:, None] + EVERY[2] @ w2.T)
    np.testing.assert_allclose(chains[1::2].mean(0), np.einsum("a,b,abi->i", of_v, of_h, given), atol=0.05)


def test_centring_begins_at_the_means_of_the_data_when_all_layers_learn():
    model = with_weights(centring=True, pretraining=False)
    model.begin({"x": tf.constant(DATA)}, tf.constant([0, 1]))
    assert not any(np.any(array(offset)) for offset in model.offsets)
    before, means = log_joint(model), model.encode(DATA).numpy().mean(0)
    model.stages()[-1].on_enter({"x": tf.constant(DATA)}, tf.constant([0, 1]))
    np.testing.assert_allclose(model.offsets[0], DATA.mean(0), atol=1e-6)
    np.testing.assert_allclose(np.concatenate([array(o) for o in model.offsets[1:]]), means, atol=1e-4)
    moved = log_joint(model) - before
    np.testing.assert_allclose(moved, np.full_like(moved, moved[0, 0, 0]), atol=1e-5)


def test_three_layers_double_the_middle_pair_on_both_sides():
    model = DeepBoltzmannMachine(3, (3, 2, 2))
    assert [m.visible for m in model.machines] == [("v", "v_again"), ("v", "v_again"), ("v",)]
    assert [m.joint.others(m.visible) for m in model.machines] == [("h",), ("h", "h_again"), ("h", "h_again")]
    assert model.kept == ("v", "h_2") and model.held == ("h_1", "h_3")


@pytest.mark.parametrize("centring", [False, True])
def test_the_classifier_begins_at_the_means(centring):
    model = with_weights(fine_tuning="discriminative", num_classes=3, centring=centring)
    model.start_classifier()
    features = model.features(tf.constant(DATA))
    hidden = model.classifier.layers[0](features)
    means = np.split(model.encode(DATA).numpy(), [SIZES[1]], axis=1)
    np.testing.assert_allclose(hidden, means[0], atol=1e-4)
    np.testing.assert_allclose(model.classifier.layers[1](hidden), means[1], atol=1e-4)
    np.testing.assert_allclose(model.classify(DATA), tf.nn.softmax(model.classifier(features)), atol=1e-6)


def test_the_classifier_reads_means_where_x_is_drawn_anew():
    """Loss and errors are those at the probabilities of a one; the machine's figures are those of bits."""
    model = with_weights(fine_tuning="discriminative", num_classes=2)
    model.start_classifier()
    levels = np.random.RandomState(0).randint(0, 16, (30, 4)).astype(np.uint8)
    mean = levels / np.float32(15)
    read = model.features(tf.constant(mean))
    odds = np.diff(model.classifier(read), axis=1)
    model.classifier.layers[-1].bias.assign([0.0, -np.median(odds)])
    logits = model.classifier(read).numpy()
    label = logits.argmax(1)
    nats = -scipy.special.log_softmax(logits, axis=1)[np.arange(30), label].mean()
    bits = random.bernoulli(SEED, tf.constant(mean))
    assert np.mean(model.classify(bits).numpy().argmax(1) != label) > 0.2
    few = data.Split(levels, label.astype(np.int32))
    split = dataclasses.replace(few, streams={"labelled": few})
    grey = data.Data("grey", "vector", (4,), 2, 16, 2, None, split, split, split, "dynamic")
    model.check_data(grey)
    rows = np.arange(30)
    batch = Examples(split, grey, model).batch(rows, SEED, {"labelled": rows})
    loss, _ = model.stages()[-1].updates[0].objective(batch, SEED, None)
    assert float(loss) == pytest.approx(nats, abs=1e-5)
    found = model.validation_metrics(batch, SEED)
    assert float(found["label_nats"]) == pytest.approx(nats, abs=1e-5)
    assert float(found["loss"]) == float(found["label_error"]) == 0.0
    assert model.test_metrics(grey, SEED)["label_error"]["value"] == 0.0
    by_bits = model.validation_metrics({"x": batch["x"]}, SEED)
    assert float(found["pseudo_nats"]) == float(by_bits["pseudo_nats"])
    with pytest.raises(ValueError, match=r"x must hold values in \[0, 1\]"):
        model.classify(mean + 1.0)
    with pytest.raises(ValueError, match=r"x_mean must hold values in \[0, 1\]"):
        model.check_fields({"x": bits, "labelled": {"x": bits, "x_mean": mean - 1.0, "label": label}})
    assert model.log_prob(bits, x_mean=mean).shape == (30,)


def test_bad_arguments_are_named():
    for arguments, message in [
        ({"hidden": (3,)}, r"hidden=\(3,\) must hold two layers or more: of one it is an RBM"),
        ({"estimator": "nce"}, "estimator='nce' needs hidden units that are independent given v: use 'pcd'"),
        ({"fine_tuning": "all"}, "fine_tuning must be one of 'none', 'discriminative', got 'all'"),
        ({"fine_tuning": "discriminative"}, "num_classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            DeepBoltzmannMachine(4, **arguments)
    with pytest.raises(ValueError, match="train with fine_tuning='discriminative'"):
        with_weights().classify(DATA)
