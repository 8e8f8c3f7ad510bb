"""Boltzmann machines of several kinds against energies written out unit by unit and summed over all states.

Chi-square tests fail falsely once in 100,000 runs; gradients are compared entry by entry at five standard
errors of the mean over seeds, false-failure rate below 1e-4 a test. Seeds are fixed.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logsumexp

from tests.energy.machine_checks import assert_drawn_from, assert_mean_is, gradients, numbers, slope, states
from tfgen.energy import RBM, BoltzmannMachine, GaussianBernoulliRBM

NAMES = (
    "visible_bias",
    "hidden_bias",
    "kernel",
    "visible_kernel",
    "hidden_kernel",
    "label_kernel",
    "label_bias",
)


def one_hot(size):
    return np.eye(size)


class Machine:
    """A small machine with random weights, and its energies of all states, in NumPy.

    Attributes:
      states: {group: all its states}.
      theta: {weight: float64}.
      log_f: -E over all states, an axis for each group.
    """

    def __init__(self, model, scale=1.0):
        self.model = model
        draw = np.random.RandomState(0)
        for name in (*NAMES, "base_logits", "base_labels", "visible_offset", "hidden_offset"):
            variable = getattr(model, name, None)
            if variable is not None:
                size = scale if not name.endswith("offset") else 0.3
                variable.assign(size * draw.randn(*variable.shape) + 0.5 * name.endswith("offset"))
        for share in model.rates.values():
            share.assign(draw.uniform(0.1, 0.9, share.shape))
        self.names = [n for n in NAMES if getattr(model, n, None) is not None]
        self.theta = {n: np.asarray(getattr(model, n), np.float64) for n in self.names}
        listed = {"v": states(model.num_visible), "h": states(model.num_hidden)}
        if model.condition is not None:
            listed["y"] = one_hot(model.condition.num_classes)
        self.states = {name: listed[name] for name in model.joint.units}
        self.log_f = self.log_of_all(self.theta)
        self.log_z = logsumexp(self.log_f)
        self.p = np.exp(self.log_f - self.log_z)

    def log_of_all(self, theta):
        offsets = [getattr(self.model, f"{n}_offset", None) for n in ("visible", "hidden")]
        m, half = (0.0 if o is None else np.asarray(o, np.float64) for o in offsets)

        def log_f(v, h, y=None):
            total = v @ theta["visible_bias"] + h @ theta["hidden_bias"]
            for i, j in np.ndindex(theta["kernel"].shape):
                total += (v - m)[i] * theta["kernel"][i, j] * (h - half)[j]
            for name, s in (("visible_kernel", v - m), ("hidden_kernel", h - half)):
                for i, j in itertools.combinations(range(len(s)), 2) if name in theta else ():
                    total += s[i] * theta[name][i, j] * s[j]
            if y is not None:
                total += y @ theta["label_bias"] + y @ theta["label_kernel"] @ (h - half)
            return total

        listed = [self.states[name] for name in ("v", "h", *("y",) * ("y" in self.states))]
        found = np.array([log_f(*each) for each in itertools.product(*listed)])
        return found.reshape([len(each) for each in listed])

    def vector(self, theta):
        """log f over all states, for gradients by the weights in the order of the model's variables."""
        return self.log_of_all(dict(zip(self.trainable, theta, strict=True)))

    @property
    def trainable(self):
        return [v.name for v in self.model.trainable_variables]

    def slope(self, function):
        """Gradient of a function of log f over all states by all weights, in the model's order."""
        return slope(lambda theta: function(self.vector(theta)), [self.theta[n] for n in self.trainable])


MODELS = {
    "general": lambda **k: BoltzmannMachine(4, num_hidden=3, **k),
    "within v": lambda **k: BoltzmannMachine(4, num_hidden=3, hidden_connections=False, **k),
    "within h": lambda **k: BoltzmannMachine(4, num_hidden=3, visible_connections=False, **k),
    "general, centred": lambda **k: BoltzmannMachine(4, num_hidden=3, centring=True, **k),
    "centred": lambda **k: RBM(4, num_hidden=3, centring=True, **k),
    "labels": lambda **k: RBM(3, num_hidden=3, condition="label", num_classes=3, **k),
}


@pytest.fixture(scope="module")
def machines():
    return {name: Machine(make()) for name, make in MODELS.items()}


@pytest.fixture(params=MODELS)
def machine(request, machines):
    return machines[request.param]


def full_states(machine):
    """{group: float32 `[states, size]`} of the whole joint, in the order of `p` flattened."""
    names = ("v", "h", *("y",) * ("y" in machine.states))
    each = list(itertools.product(*(machine.states[n] for n in names)))
    return {n: np.array([e[i] for e in each], np.float32) for i, n in enumerate(names)}


def observed(machine):
    """Arguments of `log_prob` for all visible states, and log of the sum over hidden states."""
    v = machine.states["v"]
    log_f = logsumexp(machine.log_f, axis=1)
    if "y" not in machine.states:
        return {"x": v}, log_f
    k = len(machine.states["y"])
    return {"x": np.repeat(v, k, axis=0), "condition": np.tile(np.arange(k), len(v))}, log_f.reshape(-1)


@pytest.mark.slow
def test_energies_free_energies_and_log_z(machine):
    model, state = machine.model, full_states(machine)
    np.testing.assert_allclose(model.energy(**state), -machine.log_f.reshape(-1), atol=2e-5)
    given, log_f = observed(machine)
    np.testing.assert_allclose(model.log_prob(**given), log_f, atol=2e-5)
    assert model.density == "unnormalized"
    assert float(model.log_partition()) == pytest.approx(machine.log_z, abs=1e-5)
    total = np.exp(model.log_likelihood(given["x"], condition=given.get("condition"))).sum()
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_gradient_of_the_exact_likelihood(machine):
    model = machine.model
    given, _ = observed(machine)
    rows = [1, 5, 5, 6]
    given = {name: value[rows] for name, value in given.items()}
    values = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(model.log_likelihood(given.pop("x"), **given))
    found = np.concatenate([np.reshape(g, -1) for g in tape.gradient(loss, values)])

    def definition(log_f):
        return logsumexp(log_f) - logsumexp(log_f, axis=1).reshape(-1)[rows].mean()

    np.testing.assert_allclose(found, machine.slope(definition), atol=1e-4)


def log_base(machine):
    """log f_0 of `full_states`: base rates of v and labels, and of hidden units that chains walk over."""
    model, state = machine.model, full_states(machine)
    base = state["v"].astype(np.float64) @ model.base_logits.numpy()
    if "y" in state:
        base += state["y"] @ model.base_labels.numpy()
    if "h" in model.rates:
        share = np.asarray(model.rates["h"], np.float64)
        base += state["h"] @ np.log(share / (1 - share))
    return base


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_gibbs_leaves_the_path_invariant(machine, beta):
    """Exact draws of all groups, swept once: each group given the others, units of coupled groups in turn."""
    model, state = machine.model, full_states(machine)
    if beta < 1.0:
        log_f = beta * machine.log_f.reshape(-1) + (1 - beta) * log_base(machine)
        p = np.exp(log_f - logsumexp(log_f))
    else:
        p = machine.p.reshape(-1)
    drawn = np.random.RandomState(1).choice(len(p), 60_000, p=p)
    kept = model.joint.pack({n: tf.constant(state[n][drawn]) for n in model.kept})
    after = tf.function(model.gibbs, autograph=False)(kept, tf.constant([0, 3]), tf.constant(beta)).numpy()
    assert np.mean(np.any(after != kept.numpy(), axis=1)) > 0.2
    every = np.concatenate([state[n] for n in model.joint.units if n in model.kept], axis=1)
    number = numbers(every)
    assert_drawn_from(numbers(after), np.bincount(number, weights=p, minlength=2 ** every.shape[1]))


def test_ratios_of_the_path_are_differences_of_energies(machine):
    model, state = machine.model, full_states(machine)
    kept = model.joint.pack({n: tf.constant(s) for n, s in state.items() if n in model.kept})

    def log_f(beta):
        total = (beta * machine.log_f.reshape(-1) + (1 - beta) * log_base(machine)).reshape(
            machine.log_f.shape
        )
        if "h" in model.kept:
            return total.reshape(-1)
        return np.broadcast_to(logsumexp(total, axis=1, keepdims=True), total.shape).reshape(-1)

    assert float(model.log_z0()) == pytest.approx(
        logsumexp(log_f(0.0)) - (0 if "h" in model.kept else 3 * np.log(2)), abs=1e-5
    )
    for beta, next_beta in [(0.0, 1.0), (0.25, 0.25 + 2.0**-14), (0.75, 0.5)]:
        found = model.log_ratio(kept, tf.constant(beta), tf.constant(next_beta))
        expected = log_f(next_beta) - log_f(beta)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_mean_field_is_a_maximum_of_its_bound(machines):
    """At most the exact log f, and above what any of 2,000 other independent q reaches."""
    machine = machines["general"]
    model, v = machine.model, tf.constant(machine.states["v"], tf.float32)
    means = model.joint.mean_field({"v": v})
    bound = model.joint.bound({"v": v}, means).numpy()
    exact = logsumexp(machine.log_f, axis=1)
    assert np.all(bound <= exact + 1e-5) and np.all(exact - bound < 1.0)
    assert np.mean(exact - bound) > 1e-3
    q = np.random.RandomState(0).rand(2000, 3)
    weights = np.prod(np.where(states(3)[None] == 1, q[:, None], 1 - q[:, None]), axis=-1)
    entropy = -(q * np.log(q) + (1 - q) * np.log(1 - q)).sum(1)
    others = machine.log_f @ weights.T + entropy
    assert np.all(bound >= others.max(1) - 1e-4)
    np.testing.assert_allclose(model.encode(v), means["h"])


def test_more_than_20_hidden_units_leave_a_bound():
    big = BoltzmannMachine(3, num_hidden=21)
    assert big.density == "unnormalized_bound" and "free_energy_bound" in big.signatures()
    # Without any coupling the bound is exact.
    big.kernel.assign(np.zeros((3, 21)))
    big.hidden_kernel.assign(np.zeros((21, 21)))
    assert float(big.log_prob(np.ones((1, 3)))[0]) == pytest.approx(21 * np.log(2), rel=1e-6)
    with pytest.raises(ValueError, match=r"got 2\^24; use method=\"ais\""):
        big.log_partition()


@pytest.mark.slow
def test_gradient_of_the_general_machine_approaches_the_exact_one():
    """Ackley's two phases by Gibbs sampling, clamped and free; longer ones come nearer."""
    errors = []
    for sweeps in (1, 3, 12):
        machine = Machine(MODELS["general"](num_gibbs=sweeps, inference="gibbs", num_chains=1000), 0.7)
        data = machine.states["v"][[3, 5, 12]].astype(np.float32)

        def definition(log_f, rows=(3, 5, 12)):
            return logsumexp(log_f) - logsumexp(log_f, axis=1)[list(rows)].mean()

        exact = machine.slope(definition)
        found = gradients(machine.model, data, num_seeds=30)
        errors.append(np.linalg.norm(found.mean(0) - exact))
    assert errors[0] > 1.5 * errors[1] and errors[1] > errors[2]
    assert_mean_is(found, exact)


@pytest.mark.slow
def test_labels_follow_from_free_energies(machines):
    machine = machines["labels"]
    model, v = machine.model, machine.states["v"]
    joint = np.exp(logsumexp(machine.log_f, axis=1))
    np.testing.assert_allclose(model.classify(v), joint / joint.sum(1, keepdims=True), atol=1e-5)
    served = model.signatures()["classify"].function(x=tf.constant(v, tf.float32))
    np.testing.assert_array_equal(served["label"], joint.argmax(1))
    for label in (0, 2):
        drawn = model.sample(5_000, condition=label, seed=3, num_steps=30)
        p = machine.p.sum(1)[:, label]
        assert_drawn_from(numbers(drawn), p / p.sum())
    with pytest.raises(ValueError, match="RBM has no labels: give it condition='label'"):
        RBM(3, 2).classify(v)


@pytest.mark.slow
def test_gradients_of_labels():
    """Those of -log p(y | v), and of CD, which draws labels as it draws v."""
    labels = np.array([0, 2, 1], np.int32)
    machine = Machine(MODELS["labels"](label_weight=1.0, estimator="cd"))
    v = machine.states["v"][[1, 4, 6]].astype(np.float32)

    def told(log_f):
        log_p = logsumexp(log_f, axis=1)[[1, 4, 6]]
        return -np.mean(log_p[np.arange(3), labels] - logsumexp(log_p, axis=1))

    found = gradients(machine.model, v, num_seeds=2, copies=1, condition=labels)
    np.testing.assert_allclose(found[0], machine.slope(told), atol=1e-4)
    machine = Machine(MODELS["labels"](estimator="cd", num_gibbs=40), 0.5)

    def likelihood(log_f):
        return logsumexp(log_f) - logsumexp(log_f, axis=1)[[1, 4, 6], labels].mean()

    found = gradients(machine.model, v, num_seeds=30, condition=labels)
    assert_mean_is(found, machine.slope(likelihood))


def test_centred_weights_are_learned_from_deviations():
    """PCD from chains that are draws of the model is the exact gradient."""
    machine = Machine(MODELS["centred"](num_chains=8000))
    index = np.random.RandomState(2).choice(8, 8000, p=machine.p.sum(0))
    machine.model.chains.assign(states(3)[index])

    def likelihood(log_f):
        return logsumexp(log_f) - logsumexp(log_f, axis=1)[[3, 5, 12]].mean()

    found = gradients(machine.model, machine.states["v"][[3, 5, 12]].astype(np.float32), num_seeds=20)
    # The chains themselves are one draw of 8,000.
    np.testing.assert_allclose(found.mean(0), machine.slope(likelihood), atol=0.03)
    fresh = RBM(4, 3, centring=True)
    fresh.begin({"x": machine.states["v"][[3, 5, 5, 12]]}, 0)
    np.testing.assert_allclose(fresh.visible_offset, expit(fresh.visible_bias), rtol=1e-6)


@pytest.mark.slow
def test_completion_clamps_what_is_known(machines):
    """p(v | two known units) of a machine whose units are drawn in turn, hidden ones among its chains."""
    machine = machines["general"]
    given, mask = np.array([1.0, 0, 0, 0]), np.array([1, 1, 0, 0])
    drawn = machine.model.sample(5_000, seed=2, num_steps=30, given=given, mask=mask).numpy()
    v = machine.states["v"]
    allowed = (v[:, 0] == 1) & (v[:, 1] == 0)
    p = np.where(allowed, machine.p.sum(1), 0.0)
    assert_drawn_from(numbers(drawn), p / p.sum())


def test_walks_begin_at_x_and_take_the_steps_asked_for(machines):
    """No step leaves x as it is, one step is a sweep's transition, and rows do not meet."""
    machine = machines["general"]
    x = np.repeat(machine.states["v"][[6]], 20_000, axis=0)
    steps = np.resize([0, 1], 20_000).astype(np.int32)
    rows = tf.stack([tf.range(20_000), tf.range(20_000)], 1)
    walk = tf.function(machine.model.gibbs_rows, autograph=False)
    after = walk(tf.constant(x, tf.float32), rows, tf.constant(steps)).numpy()
    np.testing.assert_array_equal(after[steps == 0], x[steps == 0])
    # One sweep from h ~ p(h | v) draws h anew, then v in turn: a transition of v alone follows below.
    weights = machine.p[6] / machine.p[6].sum()
    p = np.zeros(16)
    for h, w in enumerate(weights):
        current = {6: w}
        for unit in range(4):
            moved = {}
            for v, mass in current.items():
                on, off = v | 1 << unit, v & ~(1 << unit)
                share = machine.p[on, h] / (machine.p[on, h] + machine.p[off, h])
                for to, part in ((on, share), (off, 1 - share)):
                    moved[to] = moved.get(to, 0.0) + mass * part
            current = moved
        for v, mass in current.items():
            p[v] += mass
    found = np.bincount(numbers(after[steps == 1]), minlength=16) / 10_000
    # The hidden units are visited one after the other before v is: from p(h | v) that leaves p(h | v).
    assert 0.5 * np.abs(found - p).sum() < 0.02


def test_bad_machines_are_named():
    with pytest.raises(ValueError, match="estimator='nce' needs hidden units that are independent given v"):
        BoltzmannMachine(4, 2, estimator="nce")
    with pytest.raises(ValueError, match="ratio_matching' knows no labels"):
        RBM(4, 2, condition="label", num_classes=2, estimator="ratio_matching")
    with pytest.raises(ValueError, match="label_weight=0.5 needs labels"):
        RBM(4, 2, label_weight=0.5)
    with pytest.raises(
        ValueError, match="sparsity must be a finite number, above 0.0 and below 1.0, got 1.5"
    ):
        RBM(4, 2, sparsity=1.5)
    with pytest.raises(ValueError, match="num_gibbs must be a whole number of at least 1, got 0"):
        RBM(4, 2, num_gibbs=0)
    with pytest.raises(ValueError, match="0 to 1"):
        RBM(4, 2).log_prob(np.full((1, 4), 0.5))
    with pytest.raises(ValueError, match="y is missing"):
        RBM(4, 2, condition="label", num_classes=2).energy(np.ones((1, 4)), np.ones((1, 2)))


@pytest.mark.parametrize("kept", [("v",), ("v", "h")], ids="-".join)
@pytest.mark.parametrize("kind", ["general", "labelled", "gaussian"])
def test_means_of_log_f_are_those_of_its_single_states(kind, kept):
    """Weighted sums of log f, whose own terms are taken at once, and their gradients."""
    if kind == "general":
        model = BoltzmannMachine(3, num_hidden=2)
    elif kind == "labelled":
        model = RBM(3, num_hidden=2, condition="label", num_classes=3, centring=True)
    else:
        model = GaussianBernoulliRBM(3, num_hidden=2)
    draw, variables = np.random.RandomState(0), model.trainable_variables
    for variable in (*variables, *(v for v in model.weights if "offset" in v.name)):
        variable.assign(draw.randn(*variable.shape))
    if model.condition is not None:
        kept = (*kept, "y")
    if not model.joint.independent(model.joint.others(kept)):
        kept = tuple(model.joint.units)
    state = {name: draw.uniform(size=(5, model.joint.units[name].size)) for name in kept}
    state = {name: tf.constant(s, tf.float32) for name, s in state.items()}
    shares = tf.constant(draw.uniform(-1.0, 1.0, (2, 5)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        found = model.joint.mean_log_prob(state, shares)
        each = tf.linalg.matvec(shares, model.joint.log_prob(state))
    np.testing.assert_allclose(found, each, rtol=1e-5, atol=1e-5)
    inside, zero = [v.value for v in variables], tf.UnconnectedGradients.ZERO
    slopes = [tape.gradient(of, inside, unconnected_gradients=zero) for of in (found, each)]
    for one, other in zip(*slopes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
