"""Bayesian Gaussian mixture by mean-field variational inference, on all data at once or on batches."""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.classical import conjugate
from tfgen.classical.components import classify, means_by_weight
from tfgen.classical.start import clusters
from tfgen.media import charts
from tfgen.model import GenerativeModel, Update, View

tfd, tfb = tfp.distributions, tfp.bijectors

# Passes whose components a GIF shows: 0, 1, 2, 4, ..., 2^22.
_REMEMBERED = 24
# Examples that are looked at together.
_ROWS = 10_000


@keras.saving.register_keras_serializable("tfgen")
class BayesianGaussianMixture(GenerativeModel):
    """Gaussian mixture whose weights, means and precisions have posteriors; unused components vanish.

      p(pi) = Dirichlet(concentration),  p(mu_k, Lambda_k) = N(mu_k; m, (mean_strength Lambda_k)^-1) Wishart,
      q(z, pi, mu, Lambda) = prod_n q(z_n) q(pi) prod_k q(mu_k, Lambda_k)

    Coordinate ascent (CAVI) takes a whole pass of the data for each step, and the evidence lower bound (ELBO)
    never falls; stochastic variational inference (SVI) takes a natural-gradient step on each batch. m is the
    mean of the data, and the Wishart's inverse scale matrix `prior_scale` times their covariance. `log_prob`
    is the posterior predictive density, a mixture of Student-t's. "mean_field" takes mu_k and Lambda_k apart
    as well: its bound is lower, its predictive density has no closed form, and `log_prob` is a lower bound.

    Inference needs a start: `begin(batch, seed)` clusters x by k-means. Training calls it; before `fit`, call
    it first.

    Args:
      event_shape: Shape of one x.
      num_components: Most components; the data choose how many of them are used.
      covariance: "diag" or "full".
      inference: "cavi" or "svi".
      factorization: "structured", q(mu_k, Lambda_k), or "mean_field", q(mu_k) q(Lambda_k); CAVI only.
      concentration: Of the Dirichlet, for each component; None for 1 / num_components. Less uses fewer.
      mean_strength: How many observations the prior of a mean is worth.
      degrees_of_freedom: Of the Wishart, above D - 1; None for D, the number of entries of x.
      prior_scale: The Wishart's inverse scale matrix, in covariances of the data.
      delay: SVI's step size is (step + delay)^-forgetting.
      forgetting: In (0.5, 1].
      num_examples: Size of the training set, which SVI needs.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Attias, "A variational Bayesian framework for graphical models", NIPS 1999.
      Hoffman, Blei, Wang & Paisley, "Stochastic variational inference", JMLR 2013, arXiv:1206.7051.
      Blei, Kucukelbir & McAuliffe, "Variational inference: a review for statisticians", 2017,
      arXiv:1601.00670.
    """

    density = "exact"
    values = "real"
    num_values = None
    quantities = {  # noqa: RUF012
        "val_loss": "-log p(x) [nats]",
        **dict.fromkeys(("cavi/loss", "svi/loss"), "-ELBO of all data over N [nats]"),
        "components": "components in use",
    }
    jit_updates = False

    def __init__(
        self,
        event_shape,
        num_components=20,
        covariance="full",
        inference="cavi",
        factorization="structured",
        concentration: float | None = None,
        mean_strength=1.0,
        degrees_of_freedom: float | None = None,
        prior_scale=1.0,
        delay=1.0,
        forgetting=0.7,
        num_examples=None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.size = math.prod(self.event_shape)
        self.num_components = checks.whole("num_components", num_components)
        self.covariance = checks.one_of("covariance", covariance, ("diag", "full"))
        self.inference = checks.one_of("inference", inference, ("cavi", "svi"))
        self.factorization = checks.one_of("factorization", factorization, ("structured", "mean_field"))
        if inference == "svi" and factorization == "mean_field":
            raise ValueError(
                "inference='svi' steps in the natural parameters of q(mu, Lambda): use "
                "factorization='structured', or inference='cavi'."
            )
        given = 1.0 / num_components if concentration is None else concentration
        self.concentration = checks.number("concentration", given, above=0)
        self.mean_strength = checks.number("mean_strength", mean_strength, above=0)
        least = self.size - 1 if covariance == "full" else 0
        given = float(self.size) if degrees_of_freedom is None else degrees_of_freedom
        self.degrees_of_freedom = checks.number("degrees_of_freedom", given, above=least)
        self.prior_scale = checks.number("prior_scale", prior_scale, above=0)
        self.delay = checks.number("delay", delay, at_least=1)
        self.forgetting = checks.number("forgetting", forgetting, above=0.5, at_most=1)
        self.num_examples = None if num_examples is None else checks.whole("num_examples", num_examples)
        if factorization == "mean_field":
            self.density = "lower_bound"

        def add(name, shape, initializer="zeros"):
            # Sums over many x keep their digits in float64, under every dtype policy.
            return self.add_weight(
                shape, initializer, dtype="float64", trainable=False, autocast=False, name=name
            )

        square = (self.size,) if covariance == "diag" else (self.size, self.size)
        unit = "ones" if covariance == "diag" else _identities
        self.center = add("center", (self.size,))
        # The inverse scale matrix of the Wishart prior, or its diagonal.
        self.prior_scatter = add("prior_scatter", square, unit)
        # Of each component, about the center: expected number of x, their sum, and their scatter.
        self.counts = add("counts", (num_components,))
        self.shifts = add("shifts", (num_components, self.size), "random_normal")
        self.scatters = add("scatters", (num_components, *square), unit)
        self.rounds = add("rounds", ())
        self.moved = [self.counts, self.shifts, self.scatters, self.rounds]
        if self.kind == "points":
            self.course = add("course", (_REMEMBERED, num_components, 7))
            self.moved.append(self.course)

    def begin(self, batch, seed):
        """Centers the priors on x, and starts at the clusters that k-means (k-means++, the best of 5) finds.

        Args:
          batch: Dict with "x", `[num, *event_shape]`, a sample of the data.
          seed: Python int or int32 [2].

        Raises:
          ValueError: If there are fewer x than components, or all x are equal in an entry.
        """
        x = np.asarray(batch["x"], np.float64).reshape(-1, self.size)
        if len(x) < self.num_components:
            raise ValueError(
                f"num_components={self.num_components} needs as many x, got {len(x)}: use fewer components."
            )
        variances = x.var(axis=0)
        if not (variances > 0).all():
            entry = int(np.argmin(variances))
            raise ValueError(
                f"{type(self).__name__}: entry {entry} of every x is {x[0, entry]:g}, and the prior's scale "
                "is that of the data: leave that entry out."
            )
        self.center.assign(x.mean(axis=0))
        spread = np.diag(variances) if self.covariance == "diag" else np.atleast_2d(np.cov(x.T, bias=True))
        # What a singular covariance lacks is a millionth of the mean variance.
        spread = self.prior_scale * (spread + 1e-6 * variances.mean() * np.eye(self.size))
        self.prior_scatter.assign(np.diag(spread) if self.covariance == "diag" else spread)
        _, labels = clusters(x, self.num_components, seed)
        sums = self._moments(tf.constant(x), tf.one_hot(labels, self.num_components, dtype=tf.float64))
        scale = 1.0 if self.num_examples is None else self.num_examples / len(x)
        self._assign({name: scale * value for name, value in sums.items()})
        self.rounds.assign(0.0)
        self._remember()

    def updates(self):
        """A coordinate step for each pass over the data, or a natural-gradient step for each batch."""
        over = "epoch" if self.inference == "cavi" else "batch"
        return [
            Update(
                self.inference,
                statistics=self._statistics,
                apply=self._step,
                variables=self.moved,
                over=over,
            )
        ]

    def _statistics(self, batch, seed, step):
        del seed, step
        x = self._flat(batch["x"])
        joint = self._joint(x, self.factors())
        log_z = tf.reduce_logsumexp(joint, axis=-1, keepdims=True)
        rows = tf.cast(tf.shape(x)[0], tf.float64)
        return self._moments(x, tf.exp(joint - log_z)) | {"log_z": tf.reduce_sum(log_z), "rows": rows}

    def _moments(self, x, responsibilities):
        """Sums over x of float64 `[batch, D]`, about the center."""
        x = x - self.center.value
        weighted = responsibilities[..., None] * x[:, None]
        products = {"diag": "nkd,nd->kd", "full": "nkd,ne->kde"}[self.covariance]
        return {
            "counts": tf.reduce_sum(responsibilities, axis=0),
            "shifts": tf.reduce_sum(weighted, axis=0),
            "scatters": tf.einsum(products, weighted, x),
        }

    def _step(self, sums):
        """Moves q as the sums ask for; reports -ELBO / N of the q before."""
        if self.inference == "svi" and self.num_examples is None:
            raise ValueError("inference='svi' needs num_examples, the size of the training set: give it.")
        total = sums["rows"] if self.inference == "cavi" else tf.cast(self.num_examples, tf.float64)
        scale = total / sums["rows"]
        elbo = scale * sums["log_z"] - self.divergence()
        new = {name: scale * sums[name] for name in ("counts", "shifts", "scatters")}
        if self.inference == "svi":
            rate = conjugate.robbins_monro(self.rounds.value, self.delay, self.forgetting)
            old = {name: getattr(self, name).value for name in new}
            new = {name: conjugate.blend(old[name], value, rate) for name, value in new.items()}
        self._assign(new)
        self.rounds.assign(self.rounds.value + 1.0)
        self._remember()
        return {"loss": -elbo / total, "components": self.components_used()}

    def _assign(self, sums):
        self.counts.assign(sums["counts"])
        self.shifts.assign(sums["shifts"])
        self.scatters.assign(sums["scatters"])

    def _flat(self, x):
        return tf.cast(tf.reshape(x, [-1, self.size]), tf.float64)

    def prior(self):
        """p(mu, Lambda), the `conjugate.NormalWishart` of one component."""
        return conjugate.NormalWishart(
            self.center.value[None],
            tf.constant([self.mean_strength], tf.float64),
            self.prior_scatter.value[None],
            tf.constant([self.degrees_of_freedom], tf.float64),
        )

    def factors(self):
        """q(mu_k, Lambda_k), the `conjugate.NormalWishart` of all components."""
        counts, shifts = self.counts.value, self.shifts.value
        strength = self.mean_strength + counts
        shift = shifts / strength[:, None]
        of_mean = shifts * shift if self.covariance == "diag" else shifts[:, :, None] * shift[:, None]
        scatter = self.prior_scatter.value + self.scatters.value - of_mean
        dof = self.degrees_of_freedom + counts
        structured = self.factorization == "structured"
        if not structured:
            # Both factors' coordinate steps at once: E[Lambda] stays, its spread does not depend on mu.
            dof += 1.0
            scatter *= tf.reshape(dof / (dof - 1.0), [-1] + [1] * (scatter.shape.rank - 1))
        return conjugate.NormalWishart(self.center.value + shift, strength, scatter, dof, structured)

    def weights_posterior(self):
        """q(pi), a `tfd.Dirichlet`."""
        return tfd.Dirichlet(self.concentration + self.counts.value)

    def divergence(self):
        """KL(q(pi, mu, Lambda) || p(pi, mu, Lambda)) in nats, a float64 scalar."""
        concentration = self.concentration + self.counts.value
        of_weights = conjugate.dirichlet_kl(concentration, self.concentration)
        return of_weights + tf.reduce_sum(self.factors().kl(self.prior()))

    def elbo(self, x):
        """Evidence lower bound on log p(x_1, ..., x_N) of a whole data set, q(z) being the best, in nats.

        Args:
          x: `[N, *event_shape]`.
        """
        joint = self._joint(self._flat(self.space.check(x)), self.factors())
        return tf.reduce_sum(tf.reduce_logsumexp(joint, axis=-1)) - self.divergence()

    def components_used(self):
        """Number of components that hold one example or more, in expectation."""
        return tf.reduce_sum(tf.cast(self.counts.value >= 1.0, tf.float32))

    def _joint(self, x, factors):
        """E[log pi_k] + E[log N(x; mu_k, Lambda_k^-1)], float64 `[batch, components]`."""
        log_weights = conjugate.expected_log(self.concentration + self.counts.value)
        joint = log_weights + factors.expected_log_normal(x)
        return tf.ensure_shape(joint, [None, self.num_components])

    def score(self, x):
        """log p(x | data), the posterior predictive; a lower bound of it under "mean_field"."""
        x, factors = self._flat(x), self.factors()
        if not factors.structured:
            return tf.cast(tf.reduce_logsumexp(self._joint(x, factors), axis=-1), tf.float32)
        weights = self.concentration + self.counts.value
        log_weights = tf.math.log(weights / tf.reduce_sum(weights))
        each = tf.ensure_shape(factors.predictive().log_prob(x[:, None]), [None, self.num_components])
        return tf.cast(tf.reduce_logsumexp(log_weights + each, axis=-1), tf.float32)

    def distribution(self):
        """p(x | data), a TFP mixture of Student-t's over `event_shape`.

        Raises:
          ValueError: Under "mean_field", which has none in closed form.
        """
        factors = self.factors()
        if not factors.structured:
            raise ValueError(
                "factorization='mean_field' has no predictive distribution in closed form: use log_prob, a "
                "bound, or 'structured'."
            )
        components = factors.predictive(tf.float32)
        if len(self.event_shape) > 1:
            components = tfb.Reshape(self.event_shape, [self.size])(components)
        weights = tf.cast(self.concentration + self.counts.value, tf.float32)
        return tfd.MixtureSameFamily(tfd.Categorical(probs=weights / tf.reduce_sum(weights)), components)

    def responsibilities(self, x):
        """q(k) of a new x, float32 `[batch, components]`."""
        joint = self._joint(self._flat(self.space.check(x)), self.factors())
        return tf.cast(tf.nn.softmax(joint), tf.float32)

    def sample_rows(self, seeds):
        """A component, then a draw of its Student-t; under "mean_field" about a mean that is drawn, too."""
        which, noise, spread, place = random.split(seeds, 4)
        weights = tf.cast(self.concentration + self.counts.value, tf.float32)
        k = random.categorical(which, tf.tile(tf.math.log(weights)[None], [tf.shape(seeds)[0], 1]))
        factors = self.factors()
        scatter, strength = factors.scatter, factors.strength
        rank = scatter.shape.rank
        if factors.structured:
            scatter *= tf.reshape((1.0 + strength) / strength, [-1] + [1] * (rank - 1))
        dof = factors.dof + 1.0 - self.size if factors.full else factors.dof
        # Student-t: normal over the square root of a chi-squared, that is of twice a gamma.
        dof = tf.gather(tf.cast(dof, tf.float32), k)[:, None]
        draws = [self.size] if self.covariance == "diag" else [1]
        half = tf.tile(0.5 * dof, [1, *draws])
        stretch = tf.exp(0.5 * (-tf.math.log(2.0) - random.log_gamma(spread, half)))
        root = tf.linalg.cholesky(scatter) if factors.full else tf.sqrt(scatter)
        root = tf.gather(tf.cast(root, tf.float32), k)

        def turned(z):
            return tf.einsum("nde,ne->nd", root, z) if factors.full else root * z

        x = tf.gather(tf.cast(factors.mean, tf.float32), k)
        x += stretch * turned(random.normal(noise, [self.size]))
        if not factors.structured:
            precision = tf.gather(tf.cast(factors.dof * strength, tf.float32), k)[:, None]
            x += turned(random.normal(place, [self.size])) / tf.sqrt(precision)
        return tf.reshape(x, [-1, *self.event_shape])

    def test_metrics(self, data, seed):
        """Adds the ELBO on the training set, each example's share, and how many components are used.

        Args:
          data: A `tfgen.data.Data`.
          seed: Not needed.
        """
        del seed
        x, factors, log_z = data.train.x, self.factors(), 0.0
        for start in range(0, len(x), _ROWS):
            joint = self._joint(self._flat(np.asarray(x[start : start + _ROWS], np.float32)), factors)
            log_z += float(tf.reduce_sum(tf.reduce_logsumexp(joint, axis=-1)))
        bound = (log_z - float(self.divergence())) / len(x)
        return {
            "elbo_per_example": {"value": bound, "kind": "lower bound of log evidence / N, training split"},
            "components_used": {
                "value": float(self.components_used()),
                "kind": "components that hold 1 example or more in expectation",
            },
        }

    def views(self, data, num, seed):
        """Of points, ellipses of two standard deviations about the components' means, as they moved.

        They are those after 0, 1, 2, 4, ... rounds and now; components without an example are points. Of
        other x the means of the heaviest components.

        Args:
          data: Not needed.
          num: How many components, of others than points.
          seed: Not needed.
        """
        del data, seed
        now = self._row().numpy()
        if self.kind == "points":
            rounds = int(self.rounds.numpy())
            # A model that was never begun has no course.
            passed = [0, *(2**i for i in range(_REMEMBERED - 1) if 2**i <= rounds)]
            passed = passed if self.course.numpy()[0].any() else []
            course = np.concatenate([self.course.numpy()[: len(passed)], now[None]])
            factors = np.linalg.cholesky(course[..., 2:6].reshape(*course.shape[:2], 2, 2))
            held = course[..., 6] * self.counts.numpy().sum() >= 1.0
            ellipses = charts.outlines(course[..., :2], factors * held[..., None, None])
            heads = [f"round {number}" for number in (*passed, rounds)]
            title = "components, two standard deviations about their means"
            return {"components": View(ellipses, "curves", title=title, heads=heads)}
        shown = means_by_weight(now[:, : self.size], now[:, -1], num, self.event_shape)
        return {"components": shown}

    def signatures(self):
        """Adds `classify`: the responsibilities and the most probable component."""
        return super().signatures() | {"classify": classify(self)}

    def _remember(self):
        """Writes down means, covariances and weights after 0, 1, 2, 4, ... rounds."""
        if self.kind != "points":
            return
        rounds = self.rounds.value
        place = tf.math.log(tf.maximum(rounds, 0.5)) / math.log(2.0)
        number = tf.cast(tf.round(place), tf.int64) + 1
        due = (tf.abs(place - tf.round(place)) < 1e-9) & (number < _REMEMBERED)
        chosen = tf.one_hot(number, _REMEMBERED, on_value=True, off_value=False) & due
        self.course.assign(tf.where(chosen[:, None, None], self._row(), self.course.value))

    def _row(self):
        """Mean, covariance and weight of each component: float64 `[components, D + D^2 + 1]`."""
        factors = self.factors()
        covariance = factors.scatter / tf.reshape(factors.dof, [-1] + [1] * (factors.scatter.shape.rank - 1))
        covariance = tf.linalg.diag(covariance) if self.covariance == "diag" else covariance
        weights = self.counts.value / tf.reduce_sum(self.counts.value)
        flat = tf.reshape(covariance, [self.num_components, self.size**2])
        return tf.concat([factors.mean, flat, weights[:, None]], axis=-1)


def _identities(shape, dtype=None):
    return tf.eye(shape[-1], batch_shape=shape[:-2], dtype=dtype)
