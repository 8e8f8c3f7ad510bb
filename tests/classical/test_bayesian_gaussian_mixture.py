"""Evidence in closed form, the bound by hand, scikit-learn, quadrature, sampler against density."""

import dataclasses

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import sklearn.mixture
import tensorflow as tf

from tests.classical.passes import run_passes
from tfgen.classical import BayesianGaussianMixture, conjugate


def points(num=60, offset=0.0, seed=0):
    """Two clusters in the plane."""
    draw = np.random.RandomState(seed)
    centers = np.array([[0.0, 0.0], [3.0, -1.0]])
    x = centers[draw.choice(2, num, p=[0.6, 0.4])] + draw.randn(num, 2) @ np.array([[0.8, 0.3], [0.0, 0.4]])
    return (x + offset).astype(np.float32)


def begun(x, **arguments):
    model = BayesianGaussianMixture(x.shape[1:], **arguments)
    model.begin({"x": x}, 3)
    return model


def log_evidence(x, covariance, strength, dof, prior_scatter):
    """log p(x) of one Gaussian under the conjugate prior about the mean of x; diagonal ones by dimension."""
    if covariance == "diag":
        scatters = np.diag(prior_scatter)
        each = [
            log_evidence(x[:, [d]], "full", strength, dof, scatters[[d]][:, None]) for d in range(x.shape[1])
        ]
        return sum(each)
    n, d = x.shape
    about = x - x.mean(axis=0)
    after, new = prior_scatter + about.T @ about, dof + n
    log_gamma = scipy.special.multigammaln
    return (
        -0.5 * n * d * np.log(np.pi)
        + 0.5 * d * np.log(strength / (strength + n))
        + log_gamma(new / 2, d)
        - log_gamma(dof / 2, d)
        + 0.5 * dof * np.linalg.slogdet(prior_scatter)[1]
        - 0.5 * new * np.linalg.slogdet(after)[1]
    )


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_structured_is_exact_for_one_component_and_mean_field_is_below(covariance):
    """q(mu, Lambda) is the posterior then, and the bound the evidence; taking mu and Lambda apart costs."""
    x = points()
    bounds = {}
    for factorization in ("structured", "mean_field"):
        model = begun(
            x, num_components=1, covariance=covariance, factorization=factorization, mean_strength=0.5
        )
        run_passes(model, x, 1)
        bounds[factorization] = float(model.elbo(x))
    scatter = np.cov(x.T.astype(np.float64), bias=True) + 1e-6 * x.var(axis=0).mean() * np.eye(2)
    if covariance == "diag":
        scatter = np.diag(np.diag(scatter))
    exact = log_evidence(x.astype(np.float64), covariance, 0.5, 2.0, scatter)
    np.testing.assert_allclose(bounds["structured"], exact, rtol=1e-7)
    assert 1e-3 < exact - bounds["mean_field"] < 1.0


def by_hand(model, x):
    """E_q[log p(x, z, pi, mu, Lambda)] - E_q[log q], every term as its expectation is defined."""
    q, p = model.factors(), model.prior()
    mean, strength, dof = q.mean.numpy(), q.strength.numpy(), q.dof.numpy()
    scale = np.linalg.inv(q.scatter.numpy())
    x = x.astype(np.float64)
    d, k = x.shape[1], len(mean)
    psi = scipy.special.digamma
    log_det = np.array(
        [
            psi((dof[i] - np.arange(d)) / 2).sum() + d * np.log(2) + np.linalg.slogdet(scale[i])[1]
            for i in range(k)
        ]
    )
    a = model.concentration + model.counts.numpy()
    log_pi = psi(a) - psi(a.sum())
    difference = x[:, None] - mean
    quadratic = d / strength + dof * np.einsum("nkd,kde,nke->nk", difference, scale, difference)
    rho = log_pi + 0.5 * (log_det - d * np.log(2 * np.pi) - quadratic)
    r = scipy.special.softmax(rho, axis=1)
    total = (r * (rho - np.log(r))).sum()
    a0 = np.full(k, model.concentration)
    dirichlet = scipy.special.gammaln
    total += (dirichlet(a0.sum()) - dirichlet(a0).sum() + ((a0 - 1) * log_pi).sum()) - (
        dirichlet(a.sum()) - dirichlet(a).sum() + ((a - 1) * log_pi).sum()
    )
    m0, b0, n0, w0 = p.mean.numpy()[0], p.strength.numpy()[0], p.dof.numpy()[0], p.scatter.numpy()[0]

    def log_wishart(inverse_scale, dof, log_det, trace):
        normalizer = 0.5 * dof * np.linalg.slogdet(inverse_scale)[1] - 0.5 * dof * d * np.log(2)
        normalizer -= scipy.special.multigammaln(dof / 2, d)
        return normalizer + 0.5 * (dof - d - 1) * log_det - 0.5 * trace

    for i in range(k):
        shift = mean[i] - m0
        spread = b0 * (d / strength[i] + dof[i] * shift @ scale[i] @ shift)
        total += 0.5 * (d * np.log(b0 / (2 * np.pi)) + log_det[i] - spread)
        if q.structured:
            total -= 0.5 * (d * np.log(strength[i] / (2 * np.pi)) + log_det[i] - d)
        else:
            precision = strength[i] * dof[i] * scale[i]
            total += 0.5 * (d * np.log(2 * np.pi * np.e) - np.linalg.slogdet(precision)[1])
        total += log_wishart(w0, n0, log_det[i], dof[i] * np.trace(w0 @ scale[i]))
        total -= log_wishart(np.linalg.inv(scale[i]), dof[i], log_det[i], dof[i] * d)
    return total


@pytest.mark.parametrize("factorization", ["structured", "mean_field"])
def test_bound_is_that_of_its_definition(factorization):
    x = points(20)
    model = begun(x, num_components=3, factorization=factorization, concentration=0.7, degrees_of_freedom=3.5)
    run_passes(model, x, 2)
    np.testing.assert_allclose(model.elbo(x), by_hand(model, x), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("factorization", ["structured", "mean_field"])
def test_a_coordinate_step_ends_at_the_highest_bound(covariance, factorization):
    """Of one component: whatever of q is changed a little, the bound falls."""
    x = points(40)
    model = begun(x, num_components=1, covariance=covariance, factorization=factorization)
    run_passes(model, x, 1)
    q, best = model.factors(), float(model.elbo(x))
    for name in ("scatter", "dof", "strength", "mean"):
        for change in (0.97, 1.03):
            moved = dataclasses.replace(q, **{name: change * getattr(q, name)})
            model.factors = lambda moved=moved: moved
            assert float(model.elbo(x)) < best - 1e-6, (name, change)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("factorization", ["structured", "mean_field"])
def test_coordinate_ascent_never_lowers_the_bound(covariance, factorization):
    x = points(200, offset=1000.0)
    model = begun(x, num_components=4, covariance=covariance, factorization=factorization, prior_scale=0.1)
    losses = run_passes(model, x, 25, batch_size=200)
    assert (np.diff(losses) <= 1e-10 * np.abs(losses[1:])).all()
    assert losses[0] - losses[-1] > 0.02
    np.testing.assert_allclose(model.elbo(x), -200 * run_passes(model, x, 1)[0], rtol=1e-9)


@pytest.mark.slow
def test_components_that_the_data_do_not_need_vanish():
    x = np.concatenate([np.random.RandomState(s).randn(60, 2) + 6 * s for s in (0, 1)])
    model = begun(x.astype(np.float32), num_components=5, concentration=1e-3)
    assert float(model.components_used()) == 5
    run_passes(model, x, 150, batch_size=120)
    assert float(model.components_used()) == 2
    np.testing.assert_allclose(np.sort(model.counts.numpy())[-2:], [60, 60], atol=1)


def test_a_step_is_that_of_scikit_learn():
    """From equal responsibilities: the posterior's parameters after a coordinate step."""
    x = points(80)
    model = begun(x, num_components=3, concentration=0.3, mean_strength=0.8, degrees_of_freedom=3.0)
    peer = sklearn.mixture.BayesianGaussianMixture(
        n_components=3,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=0.3,
        mean_precision_prior=0.8,
        degrees_of_freedom_prior=3.0,
        mean_prior=model.center.numpy(),
        covariance_prior=model.prior_scatter.numpy(),
        reg_covar=0.0,
    )
    r = model.responsibilities(x).numpy().astype(np.float64)
    peer._check_parameters(x.astype(np.float64))
    peer._initialize(x.astype(np.float64), r)
    run_passes(model, x, 1)
    q = model.factors()
    np.testing.assert_allclose(q.mean, peer.means_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(q.strength, peer.mean_precision_, rtol=1e-5)
    np.testing.assert_allclose(q.dof, peer.degrees_of_freedom_, rtol=1e-5)
    expected = peer.covariances_ * peer.degrees_of_freedom_[:, None, None]
    np.testing.assert_allclose(q.scatter, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(model.weights_posterior().concentration, peer.weight_concentration_, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_batches_end_near_the_bound_of_whole_passes(covariance):
    """SVI within 1 % of CAVI's bound."""
    x = points(1000, seed=1)
    whole = begun(x, num_components=4, covariance=covariance)
    run_passes(whole, x, 80)
    batches = begun(x, num_components=4, covariance=covariance, inference="svi", num_examples=1000)
    run_passes(batches, x, 30, batch_size=100)
    np.testing.assert_allclose(batches.elbo(x), whole.elbo(x), rtol=0.01)
    assert float(batches.elbo(x)) != float(whole.elbo(x))


def test_a_natural_step_of_size_one_on_all_data_is_a_coordinate_step():
    x = points(50)
    whole = begun(x, num_components=3)
    batch = begun(x, num_components=3, inference="svi", num_examples=50, delay=1.0, forgetting=1.0)
    run_passes(whole, x, 1)
    run_passes(batch, x, 1, batch_size=50)
    np.testing.assert_allclose(batch.scatters, whole.scatters, rtol=1e-12)
    # The second has the size 1/2.
    middle = batch.counts.numpy()
    run_passes(batch, x, 1, batch_size=50)
    run_passes(whole, x, 1)
    np.testing.assert_allclose(batch.counts, 0.5 * (middle + whole.counts.numpy()), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_predictive_integrates_to_one_and_is_a_mixture_of_students(covariance):
    x = points(12)
    model = begun(x, num_components=2, covariance=covariance, concentration=1.0)
    run_passes(model, x, 3)
    # tan maps a square to the plane, heavy tails included.
    half = np.linspace(-1, 1, 402)[1:-1] * np.pi / 2
    axis, weight = np.tan(half), (half[1] - half[0]) / np.cos(half) ** 2
    grid = np.stack(np.meshgrid(axis + 1.0, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    p = np.exp(model.log_prob(grid.astype(np.float32)).numpy().astype(np.float64))
    np.testing.assert_allclose(p @ np.outer(weight, weight).ravel(), 1.0, atol=2e-3)
    q, a = model.factors(), model.weights_posterior().concentration.numpy()
    expected = 0.0
    for k in range(2):
        n, b, m, s = q.dof[k].numpy(), q.strength[k].numpy(), q.mean[k].numpy(), q.scatter[k].numpy()
        if covariance == "full":
            each = scipy.stats.multivariate_t(m, s * (1 + b) / (b * (n - 1)), df=n - 1).pdf(grid)
        else:
            each = scipy.stats.t(n, m, np.sqrt(s * (1 + b) / (b * n))).pdf(grid).prod(axis=1)
        expected += a[k] / a.sum() * each
    np.testing.assert_allclose(p, expected, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(
        model.distribution().log_prob(grid[:9].astype(np.float32)), np.log(expected[:9]), rtol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("covariance", "factorization"), [("full", "structured"), ("diag", "structured"), ("full", "mean_field")]
)
def test_samples_follow_the_predictive(covariance, factorization):
    """Distribution functions of a projection, against draws of q by SciPy."""
    x = points(9)
    model = begun(x, num_components=2, covariance=covariance, factorization=factorization)
    run_passes(model, x, 2)
    drawn = model.sample(20_000, seed=1).numpy() @ [1.0, 0.5]
    draw, q, a = np.random.RandomState(0), model.factors(), model.weights_posterior().concentration.numpy()
    factors = [value.numpy() for value in (q.dof, q.strength, q.mean, q.scatter)]
    expected = []
    for k in draw.choice(2, 20_000, p=a / a.sum()):
        n, b, m, scatter = (value[k] for value in factors)
        if covariance == "diag":
            precision = np.diag(draw.gamma(n / 2, 2 / scatter))
        else:
            root = np.linalg.cholesky(np.linalg.inv(scatter))
            bartlett = np.diag(np.sqrt(draw.chisquare(n - np.arange(2))))
            bartlett[1, 0] = draw.randn()
            precision = root @ bartlett @ bartlett.T @ root.T
        spread = precision if factorization == "structured" else n * np.linalg.inv(scatter)
        mean = m + np.linalg.solve(np.linalg.cholesky(b * spread).T, draw.randn(2))
        expected.append(mean + np.linalg.solve(np.linalg.cholesky(precision).T, draw.randn(2)))
    expected = np.array(expected) @ [1.0, 0.5]
    assert scipy.stats.ks_2samp(drawn, expected).pvalue > 1e-3


@pytest.mark.slow
def test_mean_field_bounds_its_predictive():
    x = points(9)
    model = begun(x, num_components=2, factorization="mean_field")
    run_passes(model, x, 2)
    assert model.density == "lower_bound"
    drawn = model.sample(40_000, seed=2).numpy()
    inside = (np.abs(drawn - model.center.numpy()) < 0.5).all(axis=1).mean()
    grid = (
        np.stack(np.meshgrid(*2 * [np.linspace(-0.5, 0.5, 21)]), axis=-1).reshape(-1, 2)
        + model.center.numpy()
    )
    bound = np.exp(model.log_prob(grid.astype(np.float32)).numpy()).mean()
    assert 0.3 * inside < bound < inside
    with pytest.raises(ValueError, match="no predictive distribution in closed form"):
        model.distribution()


@pytest.mark.slow
def test_components_are_remembered_after_0_1_2_4_rounds():
    x = points()
    model = begun(x, num_components=2)
    seen = {0: model.factors().mean.numpy()}
    for rounds in range(1, 10):
        run_passes(model, x, 1)
        seen[rounds] = model.factors().mean.numpy()
    course = model.course.numpy()
    for place, rounds in enumerate((0, 1, 2, 4, 8)):
        np.testing.assert_allclose(course[place, :, :2], seen[rounds], rtol=1e-12)
    assert not course[5:].any()


def test_bad_data_and_arguments():
    x = points(4)
    with pytest.raises(ValueError, match=r"num_components=5 needs as many x, got 4"):
        begun(x, num_components=5)
    with pytest.raises(ValueError, match=r"entry 1 of every x is 2, .* leave that entry out"):
        begun(np.where([True, False], x, 2.0), num_components=2)
    with pytest.raises(ValueError, match="inference='svi' steps in the natural parameters"):
        BayesianGaussianMixture((2,), inference="svi", factorization="mean_field")
    model = begun(x, num_components=2, inference="svi")
    with pytest.raises(ValueError, match="needs num_examples"):
        run_passes(model, x, 1)


def test_wisharts_of_one_dimension_are_gammas():
    """KL of diagonal factors equals that of full ones in one dimension, and TFP's of gammas."""
    draw = np.random.RandomState(1)
    mean, strength, dof = draw.randn(3, 1), draw.rand(3) + 0.5, draw.rand(3) + 1.5
    scatter = draw.rand(3, 1) + 0.2
    prior = (np.zeros((1, 1)), np.array([0.3]), np.array([[0.7]]), np.array([1.2]))

    def made(mean, strength, scatter, dof, full):
        scatter = scatter[..., None] if full else scatter
        return conjugate.NormalWishart(*map(tf.constant, (mean, strength, scatter, dof)))

    full, diag = (made(mean, strength, scatter, dof, f).kl(made(*prior, f)).numpy() for f in (True, False))
    np.testing.assert_allclose(full, diag, rtol=1e-12)
    for k in range(3):
        # By quadrature over the precision, of the joint density's logarithms.
        def integrand(log_precision, k=k):
            precision = np.exp(log_precision)
            q = scipy.stats.gamma(dof[k] / 2, scale=2 / scatter[k, 0])
            p = scipy.stats.gamma(0.6, scale=2 / 0.7)
            ratio = 0.3 / strength[k]
            of_mean = 0.5 * (ratio - 1 - np.log(ratio) + 0.3 * precision * mean[k, 0] ** 2)
            return precision * q.pdf(precision) * (q.logpdf(precision) - p.logpdf(precision) + of_mean)

        found = scipy.integrate.quad(integrand, -40, 8, limit=400)[0]
        np.testing.assert_allclose(full[k], found, rtol=1e-5)
