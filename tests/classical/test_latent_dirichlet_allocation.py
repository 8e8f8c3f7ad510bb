"""Topics against scikit-learn, the bound against its definition and enumeration, planted topics, samples."""

import itertools

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.decomposition

from tests.classical.passes import run_passes
from tfgen import random
from tfgen.classical import LatentDirichletAllocation, conjugate
from tfgen.data import Data


def planted(num=300, words=60, seed=0, size=30):
    """Documents of three topics that hold ten words each of thirty; the topics."""
    draw = np.random.RandomState(seed)
    topics = np.zeros((3, size))
    for k in range(3):
        topics[k, 10 * k : 10 * k + 10] = draw.dirichlet(np.ones(10))
    shares = draw.dirichlet(np.full(3, 0.2), num)
    mixed = shares @ topics
    mixed /= mixed.sum(axis=1, keepdims=True)
    return np.stack([draw.multinomial(words, p) for p in mixed]).astype(np.float32), topics


def begun(x, **arguments):
    model = LatentDirichletAllocation(x.shape[1:], **arguments)
    model.begin({"x": x}, 1)
    return model


def peer_of(model, x):
    """scikit-learn's model with the same q(beta)."""
    peer = sklearn.decomposition.LatentDirichletAllocation(
        model.num_topics,
        doc_topic_prior=model.document_concentration,
        topic_word_prior=model.topic_concentration,
        max_doc_update_iter=1000,
        mean_change_tol=1e-6,
        max_iter=1,
        random_state=0,
    ).fit(x)
    peer.components_ = model.topic_concentration + model.topic_counts.numpy()
    log_topics = scipy.special.digamma(peer.components_)
    log_topics -= scipy.special.digamma(peer.components_.sum(axis=1, keepdims=True))
    peer.exp_dirichlet_component_ = np.exp(log_topics)
    return peer


@pytest.mark.slow
def test_posterior_and_bound_are_those_of_scikit_learn():
    """With the same topics: q(theta), and the bound of a set of documents."""
    x, _ = planted(40)
    model = begun(
        x, num_topics=4, document_concentration=0.3, topic_concentration=0.1, iterations=1000, tolerance=1e-6
    )
    run_passes(model, x, 3)
    x = x.astype(np.float64)
    peer = peer_of(model, x)
    np.testing.assert_allclose(model.posterior(x).mean(), peer.transform(x), atol=2e-3)
    gamma = peer._unnormalized_transform(x)
    np.testing.assert_allclose(model.elbo(x), peer._approx_bound(x, gamma, sub_sampling=False), rtol=1e-4)


@pytest.mark.parametrize("jit", [False, True])
def test_documents_by_their_words_end_where_all_words_lead(jit):
    """70 documents of 1 to 29 words, filled up and left out by the way; one pass against the dense steps."""
    draw = np.random.RandomState(0)
    x = draw.poisson(draw.uniform(0.05, 3.0, (70, 1)), (70, 29)).astype(np.float32)
    x[:, 0] += x.sum(axis=1) == 0
    model = begun(x, num_topics=4, document_concentration=0.4)
    model.topic_counts.assign(20.0 * draw.dirichlet(np.full(29, 0.2), 4))
    found = model._infer(x)
    shares = found["theta"].numpy().T @ (x / found["mixture"].numpy())
    run_passes(model, x, 1, batch_size=70, jit=jit)
    np.testing.assert_allclose(model.topic_counts, found["beta"] * shares, rtol=2e-3, atol=2e-4)


def test_words_of_other_topics_than_a_document_s_are_no_obstacle():
    """exp(E log theta) of a topic that a document does not have is 0 in float32, and so are such words."""
    x, topics = planted(40)
    model = begun(x, num_topics=3, document_concentration=0.002, topic_concentration=0.001)
    model.topic_counts.assign(1e6 * topics)
    one = np.zeros((2, 30), np.float32)
    one[0, 12], one[1, 25] = 5.0, 3.0
    nats = -np.array([5.0 * np.log(topics[1, 12]), 3.0 * np.log(topics[2, 25])]) + np.log(3.0)
    np.testing.assert_allclose(model.log_prob(one), -nats, rtol=0.01)
    assert np.isfinite(run_passes(model, one, 2)).all() and np.isfinite(model.topic_counts).all()


def test_exp_digamma_is_as_exact_as_rounding():
    x = np.exp(np.linspace(np.log(0.01), np.log(1e6), 10_000))
    exact = np.exp(scipy.special.digamma(x))
    np.testing.assert_allclose(conjugate.exp_digamma(x), exact, rtol=1e-7)
    single = x.astype(np.float32)
    exact = np.exp(scipy.special.digamma(single.astype(np.float64)))
    # An error of 6e-8 in the exponent -1 / x.
    np.testing.assert_allclose(conjugate.exp_digamma(single)[2000:], exact[2000:], rtol=3e-6)


def test_bound_of_a_document_is_below_its_evidence():
    """Exact by quadrature over theta, of two topics that are known."""
    draw = np.random.RandomState(3)
    model = begun(draw.poisson(3.0, (20, 5)).astype(np.float32), num_topics=2)
    run_passes(model, draw.poisson(3.0, (20, 5)).astype(np.float32), 2)
    # Topics without spread, so that the bound is of theta alone.
    model.topic_counts.assign(1e7 * draw.dirichlet(np.ones(5), 2))
    x = draw.poisson(1.0, (6, 5)).astype(np.float32)
    share = (np.arange(20_000) + 0.5) / 20_000
    prior = scipy.stats.beta(0.5, 0.5).cdf((np.arange(20_001)) / 20_000)
    mixed = np.log(np.stack([share, 1 - share], axis=1) @ model.topics().numpy().astype(np.float64))
    exact = scipy.special.logsumexp(x @ mixed.T + np.log(np.diff(prior)), axis=1)
    bound = model.log_prob(x).numpy()
    assert (bound <= exact + 1e-4).all() and (exact - bound < 1.0).all() and (exact - bound > 0.005).any()
    # Of one topic there is nothing to infer.
    one = begun(x, num_topics=1)
    one.topic_counts.assign(1e9 * draw.dirichlet(np.ones(5), 1))
    np.testing.assert_allclose(one.log_prob(x), x @ np.log(one.topics().numpy()[0]), rtol=1e-4)


def matched(found, planted):
    """Largest total variation between planted topics and those found, best matched."""
    distance = 0.5 * np.abs(found[:, None] - planted[None]).sum(axis=-1)
    return distance[scipy.optimize.linear_sum_assignment(distance)].max()


@pytest.mark.slow
@pytest.mark.parametrize("inference", ["batch", "svi"])
def test_planted_topics_are_found_at_scikit_learns_perplexity(inference):
    (x, topics), (held_out, _) = planted(), planted(100)
    held_out, _ = planted(400)
    x, held_out = held_out[:300], held_out[300:]
    model = begun(x, num_topics=3, inference=inference, num_examples=300)
    before = matched(model.topics().numpy(), topics)
    run_passes(model, x, 25 if inference == "batch" else 8, batch_size=100 if inference == "batch" else 30)
    assert before > 0.5 and matched(model.topics().numpy(), topics) < 0.08
    peer = sklearn.decomposition.LatentDirichletAllocation(3, max_iter=25, random_state=0).fit(x)
    words = held_out.sum()
    # scikit-learn adds the topics' own term to the bound of any documents.
    ours = np.exp(-float(model.elbo(held_out)) / words)
    np.testing.assert_allclose(ours, peer.perplexity(held_out), rtol=0.05)
    data = Data.from_arrays(x.astype(int), test=held_out.astype(int), kind="counts")
    figure = model.test_metrics(data, None)["perplexity"]["value"]
    assert figure == pytest.approx(np.exp(-model.log_prob(held_out).numpy().sum() / words), rel=1e-5)
    assert figure < 0.6 * 30


def test_a_stochastic_step_is_a_natural_gradient_step():
    x, _ = planted(50)
    whole = begun(x, num_topics=3)
    start = whole.topic_counts.numpy()
    run_passes(whole, x, 1, batch_size=50)
    model = begun(x, num_topics=3, inference="svi", num_examples=50, delay=3.0, forgetting=0.6)
    np.testing.assert_array_equal(model.topic_counts, start)
    run_passes(model, x, 1, batch_size=50)
    rate = 3.0**-0.6
    np.testing.assert_allclose(
        model.topic_counts, (1 - rate) * start + rate * whole.topic_counts.numpy(), rtol=1e-6
    )


def test_words_that_are_rare_in_all_topics_do_not_underflow():
    x, _ = planted(40)
    model = begun(np.pad(x, [(0, 0), (0, 1)]), num_topics=3, topic_concentration=0.005)
    run_passes(model, np.pad(x, [(0, 0), (0, 1)]), 2)
    unseen = np.pad(x[:2], [(0, 0), (0, 1)], constant_values=2.0)
    bound = model.log_prob(unseen).numpy()
    assert (
        np.isfinite(bound).all()
        and (bound < model.log_prob(np.pad(x[:2], [(0, 0), (0, 1)])).numpy() - 100).all()
    )


@pytest.mark.slow
def test_samples_are_documents_of_the_model():
    """Shares of words, of pairs (which say how documents mix topics), and the number of words."""
    x, topics = planted(10)
    model = begun(x, num_topics=3, document_concentration=0.2)
    model.topic_counts.assign(1e6 * topics)
    model.words_per_document.assign(7.0)
    drawn = model.sample(20_000, seed=3).numpy()
    sizes = drawn.sum(axis=1)
    np.testing.assert_allclose([sizes.mean(), sizes.var()], 7.0, rtol=0.05)
    beta = model.topics().numpy()
    np.testing.assert_allclose(drawn.mean(axis=0) / 7.0, beta.mean(axis=0), atol=0.003)
    two = model.sample(20_000, seed=4, num_words=2).numpy()
    assert (two.sum(axis=1) == 2).all()
    # E[theta_j theta_k] of a Dirichlet.
    same = (1 + 0.2) / (3 * (3 * 0.2 + 1))
    moment = np.full((3, 3), 0.2 / (3 * (3 * 0.2 + 1))) + np.diag(np.full(3, same - 0.2 / (3 * 1.6)))
    groups = two.reshape(-1, 3, 10).sum(axis=2)
    together = (groups.max(axis=1) == 2).mean()
    np.testing.assert_allclose(together, np.trace(moment), atol=0.012)
    np.testing.assert_array_equal(model.sample(3, seed=4, num_words=2), two[:3])


def test_top_words_and_empty_documents():
    x, topics = planted(10)
    words = tuple(f"w{i}" for i in range(30))
    model = begun(x, num_topics=3, vocabulary=words)
    model.topic_counts.assign(1e6 * topics)
    for k, row in enumerate(model.top_words(4)):
        assert row == [f"w{i}" for i in np.argsort(-topics[k])[:4]]
    np.testing.assert_allclose(model.log_prob(np.zeros((2, 30))), 0.0, atol=1e-5)
    with pytest.raises(
        ValueError, match=r"row \d of the training split of .* counts no word \(1 of 10 rows\)"
    ):
        model.check_data(
            Data.from_arrays(
                np.where(np.arange(10)[:, None] == 2, 0, x).astype(int),
                test=x[:2].astype(int),
                validation=0,
                kind="counts",
            )
        )
    with pytest.raises(ValueError, match="vocabulary holds 29 words"):
        LatentDirichletAllocation((30,), vocabulary=words[:29])
    with pytest.raises(ValueError, match="needs num_examples"):
        run_passes(begun(x, num_topics=2, inference="svi"), x, 1)


def test_gamma_dirichlet_and_poisson_draws():
    """Distribution functions against SciPy's, small and large parameters, alone and by rows."""
    for a in (0.02, 0.7, 1.0, 6.5, 300.0):
        drawn = np.exp(
            random.log_gamma(random.as_seed(1), np.full(20_000, a, np.float32)).numpy().astype(np.float64)
        )
        assert scipy.stats.kstest(drawn, scipy.stats.gamma(a).cdf).pvalue > 1e-3
    for rate in (0.3, 4.0, 60.0, 5000.0):
        drawn = random.poisson(random.as_seed(2), np.full(20_000, rate, np.float32)).numpy()
        edges = np.unique(scipy.stats.poisson(rate).ppf(np.linspace(0.02, 0.98, 12)))
        seen = np.searchsorted(edges, drawn)
        expected = np.diff(np.concatenate([[0], scipy.stats.poisson(rate).cdf(edges), [1]]))
        counts = np.bincount(seen, minlength=len(expected))
        kept = expected > 0
        assert scipy.stats.chisquare(counts[kept], 20_000 * expected[kept]).pvalue > 1e-3
    seeds = random.rows(random.as_seed(3), 4)
    shares = random.dirichlet(seeds, np.full((4, 3), 0.5, np.float32)).numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(
        shares[2], random.dirichlet(seeds[2:3], np.full((1, 3), 0.5, np.float32))[0]
    )
    assert len(set(itertools.chain(*shares.tolist()))) == 12
