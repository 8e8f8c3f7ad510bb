"""Forward, backward, Viterbi and Baum-Welch against sums over all paths, TFP and hmmlearn."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tests.classical.passes import run_passes
from tfgen import data
from tfgen.classical import HiddenMarkovModel
from tfgen.data import regimes
from tfgen.media import charts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from hmmlearn import hmm

tfd = tfp.distributions

LENGTHS = np.array([1, 5, 3, 4], np.int32)
LABELS = np.array([0, 1, 1, 0], np.int32)
# Models of every kind, and whether they read labels.
KINDS = {
    "symbols": {"num_states": 3, "num_values": 4},
    "vectors": {"event_shape": (None, 2), "num_states": 3},
    "full": {"event_shape": (None, 2), "num_states": 3, "covariance": "full"},
    "mixtures": {"event_shape": (None, 2), "num_states": 2, "num_components": 2},
    "left-right": {"event_shape": (None, 1), "num_states": 3, "transitions": "left_right", "jump": 2},
    "left-right symbols": {"num_states": 3, "num_values": 4, "transitions": "left_right"},
    "tied": {"num_states": 3, "num_values": 4, "tied": True},
    "tied left-right": {
        "event_shape": (None, 1),
        "num_states": 3,
        "transitions": "left_right",
        "jump": 2,
        "tied": True,
    },
    "labels": {"num_states": 2, "num_values": 3, "condition": "label", "num_classes": 2},
    "labels of vectors": {
        "event_shape": (None, 2),
        "num_states": 2,
        "num_components": 2,
        "covariance": "full",
        "condition": "label",
        "num_classes": 2,
        "transitions": "left_right",
    },
}


class Planted:
    """A model with random weights, sequences of several lengths, and both in NumPy.

    Args:
      arguments: Of the model.
    """

    def __init__(self, arguments):
        draw = np.random.RandomState(1)
        self.model = model = HiddenMarkovModel(regularization=0.0, **arguments)
        for weight in model.updates()[0].variables:
            if "scales" in weight.path:
                size = weight.shape[-1]
                full = len(weight.shape) > 1 and model.emission.covariance == "full"
                matrix = np.tril(0.3 * draw.randn(*weight.shape)) + np.eye(size) if full else None
                weight.assign(matrix if full else draw.uniform(0.5, 2.0, weight.shape))
            else:
                weight.assign(draw.randn(*weight.shape))
        if model.tied:
            # As an update leaves them.
            logits = np.where(np.eye(3, dtype=bool), 0.5, 0.0)
            model.transition_logits.assign(logits)
        shape = (len(LENGTHS), LENGTHS.max(), *model.event_shape[1:])
        x = draw.randint(0, model.num_values, shape) if model.values == "levels" else draw.randn(*shape)
        self.x = x.astype(np.float32)
        self.labels = {} if model.condition is None else {"condition": LABELS}
        self.fields = {"x": self.x, "lengths": LENGTHS, **self.labels}

    def parameters(self, row):
        """log p(z_1), log p(z_t | z_(t-1)) and log p(x_t | z_t) `[T, S]` of one row, in float64."""
        model = self.model

        def own(weight):
            value = weight.numpy().astype(np.float64)
            return value[LABELS[row]] if self.labels else value

        with np.errstate(divide="ignore"):
            masked = np.where(model.allowed, own(model.transition_logits), -np.inf)
            transitions = scipy.special.log_softmax(masked, axis=-1)
            if model.start_logits is None:
                start = np.log(np.eye(model.num_states)[0])
            else:
                start = scipy.special.log_softmax(own(model.start_logits))
        emission, x = model.emission, self.x[row, : LENGTHS[row]].astype(np.float64)
        if model.values == "levels":
            return start, transitions, scipy.special.log_softmax(own(emission.logits), -1).T[x.astype(int)]
        weights = scipy.special.log_softmax(own(emission.logits), axis=-1)
        each = np.empty((len(x), *weights.shape))
        for state, component in np.ndindex(weights.shape):
            scale = own(emission.scales)[state, component]
            covariance = scale @ scale.T if emission.covariance == "full" else np.diag(scale**2)
            law = scipy.stats.multivariate_normal(own(emission.means)[state, component], covariance)
            each[:, state, component] = weights[state, component] + law.logpdf(x)
        self.components = each
        return start, transitions, scipy.special.logsumexp(each, axis=-1)


def brute_force(start, transitions, evidence):
    """By listing all paths: log p(x), p(z_t | x), expected transitions, the best path, p(z_t | x_1..t)."""

    def over_paths(steps):
        paths = np.array(list(itertools.product(range(len(start)), repeat=steps)))
        joint = start[paths[:, 0]] + evidence[np.arange(steps), paths].sum(axis=1)
        joint += transitions[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        log_p = scipy.special.logsumexp(joint)
        share = np.exp(joint - log_p)
        marginals = np.array([np.bincount(p, share, minlength=len(start)) for p in paths.T])
        return paths, share, log_p, marginals

    paths, share, log_p, posterior = over_paths(len(evidence))
    pairs = np.zeros((len(start),) * 2)
    for before, after in zip(paths.T[:-1], paths.T[1:], strict=True):
        np.add.at(pairs, (before, after), share)
    filtered = np.array([over_paths(t + 1)[3][-1] for t in range(len(evidence))])
    return log_p, posterior, pairs, paths[share.argmax()], filtered


@pytest.fixture(scope="module", params=KINDS)
def planted(request):
    found = Planted(KINDS[request.param])
    found.rows = [brute_force(*found.parameters(row)) for row in range(len(LENGTHS))]
    return found


@pytest.mark.slow
def test_every_recursion_equals_the_sum_over_all_paths(planted):
    model, fields = planted.model, planted.fields

    @tf.function(autograph=False)
    def infer(**fields):
        answers = {"states": model.states(**fields), "log_p": model.log_prob(**fields)}
        for name, function in (("posterior", model.posterior), ("filter", model.filter)):
            answers[name] = function(**fields).probs_parameter()
        return answers

    found = infer(**{k: tf.constant(v) for k, v in fields.items()})
    for row, (log_p, posterior, _, path, filtered) in enumerate(planted.rows):
        n = LENGTHS[row]
        np.testing.assert_allclose(found["log_p"][row], log_p, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found["posterior"][row, :n], posterior, atol=1e-5)
        np.testing.assert_allclose(found["filter"][row, :n], filtered, atol=1e-5)
        np.testing.assert_array_equal(found["states"][row], [*path, *[-1] * (LENGTHS.max() - n)])


def test_statistics_are_the_expected_counts(planted):
    model, emission = planted.model, planted.model.emission
    sums = model.expected(**{k: tf.constant(v) for k, v in planted.fields.items()})
    wanted = {name: np.zeros(value.shape) for name, value in sums.items()}
    middle = 0.0 if model.values == "levels" else emission._middle(tf.float64).numpy()
    for row, (log_p, posterior, pairs, _, _) in enumerate(planted.rows):
        at = (LABELS[row],) if planted.labels else ()
        wanted["log_p"] += log_p
        wanted["sequences"] += 1
        if planted.labels:
            wanted["classes"][at] += 1
        wanted["starts"][at] += posterior[0]
        wanted["transitions"][at] += pairs
        x = planted.x[row, : LENGTHS[row]]
        if model.values == "levels":
            np.add.at(wanted["symbols"][at].T, x.astype(int), posterior)
            continue
        planted.parameters(row)
        r = posterior[..., None] * scipy.special.softmax(planted.components, axis=-1)
        centered = x.astype(np.float64) - middle
        wanted["count"][at] += r.sum(axis=0)
        wanted["sum"][at] += np.einsum("tsm,td->smd", r, centered)
        squares = "tsm,td,td->smd" if emission.covariance == "diag" else "tsm,td,te->smde"
        wanted["squares"][at] += np.einsum(squares, r, centered, centered)
    for name, value in sums.items():
        np.testing.assert_allclose(value, wanted[name], rtol=2e-5, atol=2e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["symbols", "labels of vectors"])
def test_xla_computes_the_same(kind):
    """A chain scaled, and one in logarithms: density, posterior, path and statistics."""
    planted = Planted(KINDS[kind])
    model, fields = planted.model, {k: tf.constant(v) for k, v in planted.fields.items()}

    def infer(**fields):
        answers = model.expected(**fields)
        answers |= {"states": model.states(**fields), "each": model.log_prob(**fields)}
        return answers | {"posterior": model.posterior(**fields).probs_parameter()}

    plain = tf.function(infer, autograph=False)(**fields)
    compiled = tf.function(infer, autograph=False, jit_compile=True)(**fields)
    for name, value in plain.items():
        np.testing.assert_allclose(value, compiled[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["symbols", "full", "labels"])
def test_named_distributions_make_tfp_s_hidden_markov_model(kind):
    planted = Planted(KINDS[kind])
    model, given = planted.model, planted.labels
    x = planted.x
    theirs = tfd.HiddenMarkovModel(
        model.initial_distribution(**given),
        model.transition_distribution(**given),
        model.emission_distribution(**given),
        x.shape[1],
    )
    np.testing.assert_allclose(model.log_prob(x, **given), theirs.log_prob(x), rtol=1e-5, atol=1e-5)
    posterior = theirs.posterior_marginals(x).probs_parameter()
    np.testing.assert_allclose(model.posterior(x, **given).probs_parameter(), posterior, atol=1e-5)
    np.testing.assert_array_equal(model.states(x, **given), theirs.posterior_mode(x))


def peer(model, **arguments):
    """hmmlearn's model of the same parameters, in float64; its estimates then have no priors of hers."""
    emission = model.emission
    arguments = {"implementation": "scaling", "init_params": "", "tol": -np.inf} | arguments
    if model.values == "levels":
        theirs = hmm.CategoricalHMM(model.num_states, **arguments)
        theirs.n_features = model.num_values
        theirs.emissionprob_ = scipy.special.softmax(emission.logits.numpy().astype(np.float64), axis=-1)
    else:
        means, scales = (w.numpy().astype(np.float64) for w in (emission.means, emission.scales))
        covariance = scales @ scales.swapaxes(-1, -2) if emission.covariance == "full" else scales**2
        if emission.num_components == 1:
            arguments |= {"covars_prior": 0.0, "min_covar": 0.0}
            theirs = hmm.GaussianHMM(model.num_states, emission.covariance, **arguments)
            theirs.n_features, theirs.means_, theirs.covars_ = (
                model.event_shape[1],
                means[:, 0],
                covariance[:, 0],
            )
        else:
            theirs = hmm.GMMHMM(
                model.num_states, emission.num_components, covariance_type="diag", **arguments
            )
            theirs.n_features, theirs.means_, theirs.covars_ = model.event_shape[1], means, covariance
            theirs.weights_ = scipy.special.softmax(emission.logits.numpy().astype(np.float64), axis=-1)
    chain = model.chain()
    theirs.startprob_ = scipy.special.softmax(chain.start.numpy().astype(np.float64))
    theirs.transmat_ = scipy.special.softmax(chain.transitions.numpy().astype(np.float64), axis=-1)
    return theirs


def sequences(model, num=60, steps=30, seed=0):
    """Random walks as sequences of several lengths, and what hmmlearn takes of them."""
    draw = np.random.RandomState(seed)
    size = 1 if model.values == "levels" else model.event_shape[1]
    x = draw.randn(num, steps, size).cumsum(axis=1) * 0.7 + draw.randn(num, steps, size)
    if model.values == "levels":
        x = np.clip(np.round(x[..., 0] + 1.5), 0, model.num_values - 1)
    x, lengths = x.astype(np.float32), draw.randint(steps // 2, steps + 1, num).astype(np.int32)
    joined = np.concatenate([row[:n] for row, n in zip(x, lengths, strict=True)])
    joined = joined.astype(int)[:, None] if model.values == "levels" else joined.astype(np.float64)
    return {"x": x, "lengths": lengths}, (joined, lengths)


@pytest.mark.parametrize("kind", ["symbols", "vectors", "full", "mixtures", "left-right"])
def test_scores_and_paths_equal_hmmlearn_s(kind):
    model = Planted(KINDS[kind]).model
    fields, theirs = sequences(model)
    scored = float(tf.reduce_sum(model.log_prob(**fields)))
    assert scored == pytest.approx(peer(model).score(*theirs), rel=1e-6)
    score, path = peer(model).decode(*theirs)
    found = model.states(**fields).numpy()
    found = found[found >= 0]
    # Of symbols different paths may have the same factors, and the same probability.
    assert np.mean(found == path) > (0.95 if model.values == "levels" else 0.9999)
    assert joint(model, *theirs, found) == pytest.approx(score, rel=1e-6)


def joint(model, x, lengths, path):
    """log p(x, z) of joined sequences with their paths."""
    start, transitions = (np.float64(v) for v in model.chain()[:2])
    evidence = model.emission_distribution().log_prob(x if model.values == "levels" else x[:, None])
    first = np.cumsum(lengths) - lengths
    inside = np.setdiff1d(np.arange(1, len(x)), first)
    found = np.float64(evidence)[np.arange(len(x)), path].sum() + start[path[first]].sum()
    return found + transitions[path[inside - 1], path[inside]].sum()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "jit"),
    [("symbols", False), ("symbols", True), ("vectors", False), ("full", False), ("left-right", False)],
)
def test_baum_welch_equals_hmmlearn_s(kind, jit):
    """Five passes over batches are five iterations of hers over all sequences."""
    model = Planted(KINDS[kind]).model
    fields, theirs = sequences(model)
    other = peer(model, n_iter=5).fit(*theirs)
    run_passes(model, fields, passes=5, batch_size=16, jit=jit)
    np.testing.assert_allclose(np.exp(model.chain().transitions), other.transmat_, atol=1e-4)
    np.testing.assert_allclose(np.exp(model.chain().start), other.startprob_, atol=1e-4)
    if model.values == "levels":
        np.testing.assert_allclose(np.exp(model.emission.log_table()), other.emissionprob_, atol=1e-4)
        return
    scales = model.emission.scales.numpy()[:, 0].astype(np.float64)
    full = model.emission.covariance == "full"
    covariance = scales @ scales.swapaxes(-1, -2) if full else [np.diag(s**2) for s in scales]
    np.testing.assert_allclose(model.emission.means[:, 0], other.means_, atol=2e-4)
    np.testing.assert_allclose(covariance, other.covars_, atol=5e-4)


def test_batches_are_cut_to_few_numbers_of_steps(monkeypatch):
    """No step is lost, less than a quarter is computed in vain, and XLA compiles for four in an octave."""
    model, seen = HiddenMarkovModel(), {}
    monkeypatch.setattr(model, "_expected", lambda x, lengths: x.shape[1])
    for longest in range(1, 101):
        seen[longest] = model._statistics(
            {"x": tf.zeros([2, 100]), "lengths": tf.constant([longest, 1])}, None, None
        )
    assert all(longest <= steps < 1.25 * longest for longest, steps in seen.items())
    assert len([steps for steps in set(seen.values()) if 33 <= steps <= 64]) == 4


def test_smoothing_adds_counts_as_hmmlearn_s_priors_do():
    planted = Planted(KINDS["symbols"] | {"smoothing": 0.7})
    fields, theirs = sequences(planted.model)
    priors = {f"{name}_prior": 1.7 for name in ("startprob", "transmat", "emissionprob")}
    other = peer(planted.model, n_iter=2, **priors).fit(*theirs)
    run_passes(planted.model, fields, passes=2, batch_size=16)
    np.testing.assert_allclose(np.exp(planted.model.chain().transitions), other.transmat_, atol=1e-5)
    np.testing.assert_allclose(np.exp(planted.model.chain().start), other.startprob_, atol=1e-5)
    np.testing.assert_allclose(np.exp(planted.model.emission.log_table()), other.emissionprob_, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["symbols", "mixtures", "tied", "tied left-right", "labels of vectors"])
def test_em_never_lowers_the_likelihood(kind):
    model = Planted(KINDS[kind]).model
    fields, _ = sequences(model)
    if model.condition is not None:
        fields["condition"] = (np.arange(len(fields["x"])) % 2).astype(np.int32)
    before = float(tf.reduce_mean(model.log_prob(**fields)))
    losses = run_passes(model, fields, passes=12, batch_size=60)
    # Each pass reports the loss of the weights it began with; float32 has seven digits of it.
    assert losses[0] == pytest.approx(-before, rel=1e-6)
    assert np.all(np.diff(losses) < 2e-7 * losses[0]) and losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("kind", ["tied", "tied left-right"])
def test_tied_states_stay_with_one_probability_the_most_likely(kind):
    """The step's transitions against a search along that probability, from the expected counts."""
    planted = Planted(KINDS[kind])
    model, fields = planted.model, {k: tf.constant(v) for k, v in planted.fields.items()}
    counts = model.expected(**fields)["transitions"].numpy()
    model._maximize(model.expected(**fields))
    found = np.exp(model.chain().transitions.numpy())
    others = model.allowed.sum(axis=1) - 1

    def matrix(stay):
        leave = (1.0 - stay) / np.maximum(others, 1)[:, None] * model.allowed
        return np.where(np.eye(3, dtype=bool), np.where(others > 0, stay, 1.0)[:, None], leave)

    grid = np.linspace(0.001, 0.999, 999)
    scored = [np.sum(scipy.special.xlogy(counts, matrix(stay))) for stay in grid]
    np.testing.assert_allclose(found, matrix(grid[np.argmax(scored)]), atol=1e-3)


def test_a_path_that_looks_impossible_for_long_may_be_the_only_one_that_goes_on():
    """Left to right: leaving state 0 pays at once, e^300 times, and cannot be taken back. Sums in float64."""
    model = HiddenMarkovModel((None, 1), 2, "left_right", regularization=0.0)
    model.emission.means.assign([[[0.0]], [[10.0]]])
    model.emission.scales.assign([[[1.0]], [[0.3]]])
    x = np.array([0.0] * 3 + [10.0] * 6 + [0.0] * 20, np.float32)[:, None]
    chain = model.chain()
    evidence = model.emission_distribution().log_prob(x[:, None]).numpy().astype(np.float64)
    alpha = chain.start.numpy() + evidence[0]
    for step in evidence[1:]:
        alpha = scipy.special.logsumexp(alpha[:, None] + chain.transitions, axis=0) + step
    assert evidence[3:9].sum(axis=0) @ [-1, 1] > 290.0
    assert float(model.log_prob(x[None])[0]) == pytest.approx(scipy.special.logsumexp(alpha), rel=1e-6)
    np.testing.assert_array_equal(model.states(x[None])[0], np.zeros(29))
    np.testing.assert_allclose(model.posterior(x[None]).probs_parameter()[0, :, 0], 1.0, atol=1e-5)


@pytest.mark.parametrize("rare", [-25.0, -1000.0])
def test_states_far_from_all_x_are_weighed_all_the_same(rare):
    """Full chains: x lie e^-5000 from one state, changes are e^-25 or as rare as counts at least."""
    model = HiddenMarkovModel((None, 1), 2, regularization=0.0)
    model.transition_logits.assign([[0.0, rare], [rare, 0.0]])
    model.start_logits.assign([0.0, rare])
    model.emission.means.assign([[[0.0]], [[100.0]]])
    x = np.array([100.0] * 5 + [0.0] * 5, np.float32)[:, None]
    evidence = scipy.stats.norm.logpdf(x, [0.0, 100.0])
    start, transitions = (
        np.maximum(scipy.special.log_softmax(np.float64(weight), -1), np.log(1e-12))
        for weight in (model.start_logits, model.transition_logits)
    )
    wanted, posterior, _, path, _ = brute_force(start, transitions, evidence)
    assert float(model.log_prob(x[None])[0]) == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(model.posterior(x[None]).probs_parameter()[0], posterior, atol=1e-5)
    np.testing.assert_array_equal(model.states(x[None])[0], path)


def test_data_far_from_the_origin_lose_no_digits():
    near, far = (Planted(KINDS["full"]).model for _ in range(2))
    fields, _ = sequences(near)
    moved = fields | {"x": fields["x"] + np.float32(1000.0)}
    fields["x"] = moved["x"] - np.float32(1000.0)  # What float32 left of the data.
    far.emission.means.assign(near.emission.means + 1000.0)
    near.emission.means.assign(far.emission.means - 1000.0)
    for model, given in ((near, fields), (far, moved)):
        run_passes(model, given, passes=3, batch_size=16)
    np.testing.assert_allclose(far.emission.means - 1000.0, near.emission.means, atol=5e-4)
    np.testing.assert_allclose(far.emission.scales, near.emission.scales, atol=5e-4)


@pytest.mark.parametrize("kind", ["mixtures", "labels of vectors"])
def test_samples_follow_the_density(kind):
    """Kolmogorov-Smirnov on projections of two steps, whose laws are known mixtures; 1e-5 for each test."""
    planted = Planted(KINDS[kind])
    model = planted.model
    given = {"condition": np.int32(1)} if planted.labels else {}
    drawn = model.sample(20_000, seed=3, length=3, **given).numpy().astype(np.float64)
    chain = model.chain(np.array([1])) if planted.labels else model.chain()
    start, transitions = (np.exp(np.float64(v)).squeeze() for v in chain[:2])
    one = (1,) if planted.labels else ()
    emission = model.emission
    weights = scipy.special.softmax(np.float64(emission.logits), axis=-1)[one]
    means, scales = np.float64(emission.means)[one], np.float64(emission.scales)[one]
    scales = scales if emission.covariance == "full" else scales[..., None] * np.eye(2)
    # The last step and the one before, together, by pairs of states and of components.
    before = start @ transitions
    pairs = (before[:, None] * transitions)[:, None, :, None] * weights[:, :, None, None] * weights
    pairs = pairs.ravel()
    for direction in np.random.RandomState(2).randn(4, 2, 2):
        loc = np.einsum("smd,d->sm", means, direction[0])[..., None, None] + np.einsum(
            "smd,d->sm", means, direction[1]
        )
        variance = [np.square(np.einsum("d,smde->sme", v, scales)).sum(-1) for v in direction]
        scale = np.sqrt(variance[0][..., None, None] + variance[1])

        def cdf(v, loc=loc, scale=scale):
            return scipy.stats.norm.cdf((v[:, None] - loc.ravel()) / scale.ravel()) @ pairs

        projected = np.einsum("ntd,td->n", drawn[:, 1:], direction)
        assert scipy.stats.kstest(projected, cdf).pvalue > 1e-5


def test_labels_are_told_by_bayes_rule():
    planted = Planted(KINDS["labels of vectors"])
    model, fields = planted.model, {"x": planted.x, "lengths": LENGTHS}
    each = [model.log_prob(**fields, condition=np.full(4, c)).numpy() for c in range(2)]
    prior = scipy.special.log_softmax(np.float64(model.class_logits))
    expected = scipy.special.softmax(np.stack(each, -1) + prior, axis=-1)
    np.testing.assert_allclose(model.classes(**fields).probs_parameter(), expected, atol=1e-5)
    with pytest.raises(ValueError, match="has no labels: make it with condition='label'"):
        Planted(KINDS["vectors"]).model.classes(**fields)


@pytest.mark.learn
@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_planted_states_are_read_back(covariance):
    """The law of `regimes` is found again, and its states as well as by that law itself."""
    found = data.load("regimes")
    fields = {"x": found.train.x, "lengths": found.train.extra["lengths"]}
    model = HiddenMarkovModel((None, 2), 3, covariance=covariance)
    model.begin({k: tf.constant(v) for k, v in fields.items()}, seed=0)
    run_passes(model, fields, passes=25, batch_size=450)
    measured = model.test_metrics(found, tf.constant([0, 0]))["state_accuracy"]["value"]
    start, transitions, means, covariances = regimes.law()
    if covariance == "diag":
        assert measured > 0.93
        return
    order = np.argmin(np.linalg.norm(model.emission.means[:, 0] - means[:, None], axis=-1), axis=1)
    assert sorted(order) == [0, 1, 2]
    chain, scales = model.chain(), model.emission.scales.numpy()[order, 0]
    np.testing.assert_allclose(np.exp(chain.transitions)[order][:, order], transitions, atol=0.01)
    np.testing.assert_allclose(np.exp(chain.start)[order], start, atol=0.06)
    np.testing.assert_allclose(model.emission.means.numpy()[order, 0], means, atol=0.04)
    np.testing.assert_allclose(scales @ scales.swapaxes(-1, -2), covariances, atol=0.04)
    test = {"x": found.test.x, "lengths": found.test.extra["lengths"]}
    nats = -float(tf.reduce_mean(model.log_prob(**test)))
    planted = HiddenMarkovModel((None, 2), 3, covariance="full")
    planted.start_logits.assign(np.log(start))
    planted.transition_logits.assign(np.log(transitions))
    planted.emission.means.assign(means[:, None])
    planted.emission.scales.assign(np.linalg.cholesky(covariances)[:, None])
    assert nats == pytest.approx(-float(tf.reduce_mean(planted.log_prob(**test))), abs=0.3)
    best = planted.test_metrics(found, tf.constant([0, 0]))["state_accuracy"]["value"]
    assert best > 0.97 and measured > best - 0.003


def test_begin_depends_on_its_seed_alone_and_left_right_chains_begin_in_even_parts():
    fields, _ = sequences(HiddenMarkovModel((None, 2)))
    models = [HiddenMarkovModel((None, 2), 3) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        model.begin({k: tf.constant(v) for k, v in fields.items()}, seed)
    np.testing.assert_array_equal(models[0].emission.means, models[1].emission.means)
    assert not np.array_equal(models[0].emission.means, models[2].emission.means)
    x = np.repeat([[0.0], [5.0], [9.0]], [4, 4, 4], axis=0)[None] + np.zeros((3, 1, 1))
    x[1, 6:] = 1e3  # Beyond its length.
    x[1, :6] = np.repeat([[0.0], [5.0], [9.0]], 2, axis=0)
    model = HiddenMarkovModel((None, 1), 3, "left_right", regularization=0.01)
    model.begin({"x": tf.constant(x, tf.float32), "lengths": tf.constant([12, 6, 12])}, 0)
    np.testing.assert_allclose(model.emission.means[:, 0, 0], [0.0, 5.0, 9.0], atol=1e-5)
    np.testing.assert_allclose(model.emission.scales, 0.1, rtol=1e-4)
    # 7 transitions within states 0 and 1 each, 3 to the next one, and one more of each.
    np.testing.assert_allclose(
        np.exp(model.chain().transitions[:2, :2]), [[8 / 12, 4 / 12], [0.0, 8 / 12]], atol=1e-5
    )


def test_what_never_came_stays_as_it_was():
    """States and components that no x belong to keep their parameters, and nothing becomes NaN."""
    model = Planted(KINDS["mixtures"]).model
    means = model.emission.means.numpy()
    means[0, 1] = 1e4
    model.emission.means.assign(means)
    before = model.emission.scales.numpy()
    fields, _ = sequences(model)
    run_passes(model, fields, passes=1, batch_size=16)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    np.testing.assert_array_equal(model.emission.means[0, 1], means[0, 1])
    np.testing.assert_array_equal(model.emission.scales[0, 1], before[0, 1])
    assert float(tf.nn.softmax(model.emission.logits)[0, 1]) < 1e-6


def test_texts_are_taken_and_answered_as_strings():
    model = HiddenMarkovModel(vocabulary=("a", "b", " "), num_states=2, length=5)
    served = {name: s.function for name, s in model.signatures().items()}
    texts = tf.constant(["ab a", "b"])
    x, lengths = np.array([[0, 1, 2, 0], [1, 0, 0, 0]], np.float32), np.array([4, 1])
    np.testing.assert_allclose(served["log_prob"](text=texts)["log_prob"], model.log_prob(x, lengths=lengths))
    states = served["states"](text=texts)["states"]
    np.testing.assert_array_equal(states, model.states(x, lengths))
    assert list(states[1][1:]) == [-1] * 3
    filtered = served["filter"](text=texts)["probabilities"]
    np.testing.assert_allclose(filtered, model.filter(x, lengths).probs_parameter())
    drawn = model.decode(model.sample(3, seed=0))
    assert len(drawn) == 3 and set("".join(drawn)) <= set("ab ")


@pytest.mark.slow
def test_pictures_show_states_transitions_and_emissions():
    """Two steps of state 0, two of state 1: the picture's colours change in its middle."""
    x, path = np.array([[0.0], [0.0], [5.0], [5.0]]), np.array([0, 0, 1, 1])
    picture = np.asarray(charts.states(x, path, np.eye(2)[path]))
    row = picture[10, 60:-10].astype(int)
    changes = np.flatnonzero(np.abs(np.diff(row, axis=0)).sum(axis=1) > 30)
    assert np.any(row[100] != row[450]) and np.abs(changes - len(row) / 2).min() < 30
    shades = np.asarray(charts.matrix(np.array([[0.9, 0.1], [0.0, 1.0]]), numbers=False)).astype(int)
    blue = shades.sum(axis=-1) < 400
    assert (
        blue.any() and blue[:, : blue.shape[1] // 2].sum() > 10 and blue[:, blue.shape[1] // 2 :].sum() > 10
    )
    for kind in ("symbols", "full", "labels of vectors"):
        planted = Planted(KINDS[kind])
        views = planted.model.views(None, 2, tf.constant([0, 1]))
        assert list(views) == ["states", "transitions", "emissions"]
        classes = 2 if planted.labels else 1
        assert [len(view.array) for view in views.values()] == [2, classes, classes]
        assert views["transitions"].captions == (["0", "1"] if planted.labels else None)


def planted_data(x, num_values, **extra):
    """Symbols `[N, T]` as data, the same in each split unless `extra` says otherwise."""
    parts = [data.Split(np.asarray(extra.get(part, x), np.uint8)) for part in ("train", "validation", "test")]
    return data.Data("planted", "text", (None,), num_values, num_values, None, None, *parts)


@pytest.mark.slow
def test_bad_arguments_and_data_are_refused_by_name():
    for arguments, message in [
        ({"num_states": 0}, "num_states must be a whole number of at least 1, got 0"),
        ({"event_shape": (3, 2)}, r"event_shape must be \(None,\) or \(None, D\), sequences, got \(3, 2\)"),
        ({"transitions": "ring"}, "transitions must be one of 'full', 'left_right', got 'ring'"),
        ({"num_components": 2}, "num_components=2 is of vectors, but x are symbols"),
        ({"condition": "label", "num_classes": (2, 3)}, r"num_classes must be one number, got \(2, 3\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            HiddenMarkovModel(**{"num_values": 3} | arguments)
    symbols, vectors = HiddenMarkovModel(num_values=3), HiddenMarkovModel((None, 2), 4, covariance="full")
    with pytest.raises(ValueError, match="num_states=4 needs as many steps in the data, got 3: use fewer"):
        symbols.begin({"x": tf.zeros([1, 3])}, 0)
    with pytest.raises(ValueError, match="sequences must have steps.*0 to 3: leave out those of length 0"):
        symbols.log_prob(np.zeros((2, 3)), lengths=[3, 0])
    with pytest.raises(ValueError, match="sequences must have steps"):
        vectors.log_prob(np.zeros((2, 0, 2)))
    run_passes(symbols, {"x": np.array([[0, 1, 0, 1, 1]], np.float32)}, passes=1, batch_size=16)
    assert np.isfinite(symbols.log_prob([[0, 1, 1]])[0])
    np.testing.assert_array_equal(symbols.log_prob([[0, 2, 2]], lengths=[1]), symbols.log_prob([[0]]))
    with pytest.raises(
        ValueError, match="must hold symbols that occurred in training; .* from 2 to 2: leave"
    ):
        symbols.log_prob([[0, 2, 1]])
    with pytest.raises(
        ValueError, match="symbol 2 in row 1, step 0 of the test split of planted never occurs"
    ):
        symbols.check_data(planted_data([[0, 1], [1, 1]], 3, test=[[0, 0], [2, 1]]))
    HiddenMarkovModel(num_values=3, smoothing=0.1).check_data(planted_data([[0, 1]], 3, test=[[2, 1]]))
    x = np.random.RandomState(0).randn(5, 6, 1).repeat(2, axis=-1).astype(np.float32)
    singular = HiddenMarkovModel((None, 2), 2, covariance="full", regularization=0.0)
    with pytest.raises(ValueError, match="covariance is singular; .* raise regularization"):
        singular.begin({"x": tf.constant(x)}, 0)
    with pytest.raises(ValueError, match="covariance is singular"):
        run_passes(singular, {"x": x}, passes=1, batch_size=16)
    x[2, 3, 1] = np.nan
    with pytest.raises(ValueError, match="must hold finite values"):
        vectors.log_prob(x)
