"""Mixtures of Gaussians, or of Bernoullis, by expectation maximization."""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.classical.components import classify, means_by_weight
from tfgen.classical.start import STARTS, clusters
from tfgen.media import charts
from tfgen.model import GenerativeModel, Update, View

tfd, tfb = tfp.distributions, tfp.bijectors

_MIN_COUNT = 10.0 * np.finfo(np.float64).eps
# Of the largest variance: below it, rounding decides whether a covariance is positive definite.
_ROUNDING = 1e-10


@keras.saving.register_keras_serializable("tfgen")
class GaussianMixture(GenerativeModel):
    """Mixture p(x) = sum_k pi_k p(x | k) of Gaussians or of Bernoullis, fitted by expectation maximization.

    p(x | k) is N(x; mu_k, Sigma_k), or for binary x prod_i Bernoulli(x_i; p_ki). A pass sums, with
    responsibilities r_nk = p(k | x_n), the counts N_k = sum_n r_nk and the moments sum_n r_nk x_n and, for
    Gaussians, sum_n r_nk x_n x_n'; all in float64 and about the mixture's present mean, so that data far from
    the origin lose no digits. Then pi_k = N_k / N and so on.

    Gaussians: `regularization` is added to the variances. Given r, that maximizes E_r log p(x, k) -
    (regularization / 2) sum_k N_k tr Sigma_k^-1. Bernoullis: each p_ki is estimated as if `pseudo_count` ones
    and as many zeros had been seen besides, which maximizes E_r log p(x, k) + pseudo_count sum_ki log p_ki (1
    - p_ki). With neither the likelihood never falls, with them the penalized likelihood.

    EM needs a start: `begin(batch, seed)` clusters x by k-means. Training calls it; before `fit`, call it
    first.

    Args:
      event_shape: Shape of one x.
      num_components: Number of components.
      covariance: "diag" or "full", of Gaussians.
      regularization: Added to the variances of Gaussians in each step.
      likelihood: "gaussian", or "bernoulli" for binary x.
      pseudo_count: Ones and zeros, so many of each, added to what a Bernoulli component has seen of an entry.
      start: What k-means starts from, "k-means++" or "k-means||".
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
      k-means++: Arthur & Vassilvitskii, 2007. k-means||: Bahmani et al., 2012, arXiv:1203.6402.
    """

    density = "exact"
    values = "real"
    num_values = None
    jit_updates = False

    def __init__(
        self,
        event_shape,
        num_components=10,
        covariance="full",
        regularization=1e-6,
        likelihood="gaussian",
        pseudo_count=1.0,
        start="k-means++",
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.num_components = checks.whole("num_components", num_components)
        self.covariance = checks.one_of("covariance", covariance, ("diag", "full"))
        self.regularization = checks.number("regularization", regularization, at_least=0)
        self.likelihood = checks.one_of("likelihood", likelihood, ("gaussian", "bernoulli"))
        self.pseudo_count = checks.number("pseudo_count", pseudo_count, at_least=0)
        self.start = checks.one_of("start", start, STARTS)
        self.size = math.prod(self.event_shape)

        def add(name, shape, initializer):
            # autocast=False: densities are float32 under every dtype policy.
            shape = (num_components, *shape)
            return self.add_weight(shape, initializer, trainable=False, autocast=False, name=name)

        self.logits = add("logits", (), keras.initializers.Constant(-math.log(num_components)))
        if likelihood == "bernoulli":
            self.values, self.num_values = "levels", 2
            self.components = _Bernoullis(add, self.size, self.pseudo_count)
            self.entry_logits = self.components.entry_logits
        else:
            self.components = _Gaussians(add, self.size, covariance, self.regularization)
            self.means, self.scales = self.components.variables

    def begin(self, batch, seed):
        """Starts at clusters of x: k-means from several starts, the best taken.

        Args:
          batch: Dict with "x", `[num, *event_shape]`, a sample of the data.
          seed: Python int or int32 [2].

        Raises:
          ValueError: If there are fewer x than components, or x are not finite; without regularization also
            if a cluster's covariance is singular.
        """
        x = np.asarray(batch["x"], np.float64).reshape(-1, self.size)
        if len(x) < self.num_components:
            raise ValueError(f"num_components={self.num_components} needs as many x, got {len(x)}.")
        _, labels = clusters(x, self.num_components, seed, start=self.start, iterations=30)
        self._maximize(self._moments(tf.constant(x), tf.one_hot(labels, self.num_components)))

    def updates(self):
        """One step of EM for each pass over the data."""
        moved = [self.logits, *self.components.variables]
        return [
            Update("em", statistics=self._statistics, apply=self._maximize, variables=moved, over="epoch")
        ]

    def _statistics(self, batch, seed, step):
        del seed, step
        x = tf.cast(tf.reshape(batch["x"], [-1, self.size]), tf.float64)
        joint = self._joint(x)
        log_p = tf.reduce_logsumexp(joint, axis=-1, keepdims=True)
        return self._moments(x, tf.exp(joint - log_p)) | {"log_p": tf.reduce_sum(log_p)}

    def _shares(self):
        return tf.nn.softmax(tf.cast(self.logits.value, tf.float64))

    def _moments(self, x, responsibilities):
        r = tf.cast(responsibilities, tf.float64)
        return {"count": tf.reduce_sum(r, axis=0)} | self.components.moments(x, r, self._shares())

    def _maximize(self, sums):
        """Assigns the weights that the sums ask for; reports -mean log p(x) of the weights before."""
        count = sums["count"] + _MIN_COUNT
        total = tf.reduce_sum(count)
        self.components.maximize(sums, count, self._shares())
        self.logits.assign(tf.cast(tf.math.log(count / total), tf.float32))
        return {"loss": -sums["log_p"] / total} if "log_p" in sums else {}

    def _joint(self, x):
        """log pi_k + log p(x | k), float64 `[batch, components]`, of flat x in float64."""
        return tf.cast(self.logits.value, tf.float64) + self.components.log_prob(x, self._shares())

    def _flat(self, x):
        return tf.cast(tf.reshape(x, [-1, self.size]), tf.float64)

    def distribution(self):
        """p(x), a TFP mixture over `event_shape`."""
        components = self.components.distribution()
        if self.event_shape != (self.size,):
            components = tfb.Reshape(self.event_shape, [self.size])(components)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=self.logits.value), components)

    def score(self, x):
        """log p(x)."""
        return tf.cast(tf.reduce_logsumexp(self._joint(self._flat(x)), axis=-1), tf.float32)

    def responsibilities(self, x):
        """p(k | x), float32 `[batch, components]`."""
        return tf.cast(tf.nn.softmax(self._joint(self._flat(self.space.check(x)))), tf.float32)

    def classify(self, x):
        """The most probable component of each x, int32 `[batch]`."""
        return tf.argmax(self.responsibilities(x), axis=-1, output_type=tf.int32)

    def sample_rows(self, seeds):
        """A component, then a draw of it, for each row of seeds."""
        which, noise = random.split(seeds)
        logits = tf.tile(self.logits.value[None], [tf.shape(seeds)[0], 1])
        x = self.components.draw(noise, random.categorical(which, logits))
        return tf.reshape(x, [-1, *self.event_shape])

    def views(self, data, num, seed):
        """Ellipses of two standard deviations about the means, of points; of others the means, by weight.

        Args:
          data: Not needed.
          num: How many components, of others than points; the heaviest.
          seed: Not needed.
        """
        del data, seed
        if self.kind == "points" and self.likelihood == "gaussian":
            scales = tf.linalg.diag(self.scales.value) if self.covariance == "diag" else self.scales.value
            ellipses = charts.outlines(self.means.numpy(), scales.numpy())
            title = "components, two standard deviations about their means"
            return {"components": View(ellipses, "curves", title=title)}
        weights = tf.nn.softmax(self.logits.value).numpy()
        shown = means_by_weight(self.components.mean(), weights, num, self.event_shape)
        return {"components": shown}

    def signatures(self):
        """Adds `classify`: the responsibilities and the most probable component."""
        return super().signatures() | {"classify": classify(self)}


class _Gaussians:
    """Gaussian components N(x; mu_k, Sigma_k).

    Args:
      add: `f(name, shape, initializer)`, adds a weight with a row for each component.
      size: Length of a flat x.
      covariance: "diag" or "full".
      regularization: Added to the variances.
    """

    def __init__(self, add, size, covariance, regularization):
        self.size, self.covariance, self.regularization = size, covariance, regularization
        self.means = add("means", (size,), keras.initializers.RandomNormal(stddev=1.0))
        # Standard deviations, or the Cholesky factors of the covariances.
        self.scales = add("scales", (size,) if covariance == "diag" else (size, size), _unit_scales)
        self.variables = [self.means, self.scales]

    def _middle(self, shares):
        """The mixture's mean, about which everything is computed."""
        return tf.linalg.matvec(tf.cast(self.means.value, tf.float64), shares, transpose_a=True)

    def log_prob(self, x, shares):
        """log N(x; mu_k, Sigma_k), `[batch, components]`."""
        middle = self._middle(shares)
        means, scales = tf.cast(self.means.value, tf.float64) - middle, tf.cast(self.scales.value, tf.float64)
        x = x - middle
        if self.covariance == "diag":
            precisions = 1.0 / tf.square(scales)
            squared = tf.matmul(tf.square(x), precisions, transpose_b=True)
            squared += -2.0 * tf.matmul(x, means * precisions, transpose_b=True)
            squared += tf.reduce_sum(tf.square(means) * precisions, axis=-1)
            deviations = scales
        else:
            # L^-1 (x - mu) of all components by one matrix product.
            whitening = tf.linalg.triangular_solve(scales, tf.eye(self.size, dtype=tf.float64))
            shift = tf.linalg.matvec(whitening, means)
            white = tf.matmul(x, tf.reshape(whitening, [-1, self.size]), transpose_b=True)
            white = tf.reshape(white, [-1, *shift.shape]) - shift
            squared = tf.reduce_sum(tf.square(white), axis=-1)
            deviations = tf.linalg.diag_part(scales)
        constant = 0.5 * self.size * math.log(2.0 * math.pi)
        return -0.5 * squared - tf.reduce_sum(tf.math.log(deviations), axis=-1) - constant

    def moments(self, x, r, shares):
        """Sums of r x and of r x x' (of its diagonal, for "diag"), about the mixture's mean."""
        x = x - self._middle(shares)
        first = tf.matmul(r, x, transpose_a=True)
        if self.covariance == "diag":
            return {"first": first, "second": tf.matmul(r, tf.square(x), transpose_a=True)}
        # One matrix product: [components size, batch] by [batch, size].
        weighted = tf.reshape(r[..., None] * x[:, None], [-1, r.shape[1] * self.size])
        second = tf.reshape(tf.matmul(weighted, x, transpose_a=True), [-1, self.size, self.size])
        return {"first": first, "second": second}

    def maximize(self, sums, count, shares):
        """Assigns means and scales."""
        mean = sums["first"] / count[:, None]
        if self.covariance == "diag":
            variance = tf.nn.relu(sums["second"] / count[:, None] - tf.square(mean)) + self.regularization
            positive = tf.reduce_all(variance > 0.0)
            scales = tf.sqrt(checks.require(positive, variance, *_singular("variances")))
        else:
            covariance = sums["second"] / count[:, None, None] - mean[:, :, None] * mean[:, None]
            covariance += self.regularization * tf.eye(self.size, dtype=tf.float64)
            largest = tf.reduce_max(tf.abs(covariance))
            positive = tf.cond(
                self.regularization > _ROUNDING * largest,
                lambda: tf.constant(True),
                lambda: tf.reduce_all(tf.linalg.eigvalsh(covariance) > 1e-14 * largest),
            )
            covariance = checks.require(positive, covariance, *_singular("covariances"))
            scales = tf.linalg.cholesky(covariance)
        self.means.assign(tf.cast(self._middle(shares) + mean, tf.float32))
        self.scales.assign(tf.cast(scales, tf.float32))

    def distribution(self):
        """p(x | k), a TFP distribution over flat x, of all components."""
        if self.covariance == "diag":
            return tfd.MultivariateNormalDiag(self.means.value, self.scales.value)
        return tfd.MultivariateNormalTriL(self.means.value, self.scales.value)

    def mean(self):
        """E[x | k], `[components, size]`."""
        return tf.convert_to_tensor(self.means.value)

    def draw(self, seeds, k):
        """One x for each seed and component, `[num, size]`."""
        z = random.normal(seeds, [self.size])
        products = {"diag": "kd,nd->nkd", "full": "kde,ne->nkd"}[self.covariance]
        x = self.means.value + tf.einsum(products, self.scales.value, z)
        return tf.gather(x, k, axis=1, batch_dims=1)


class _Bernoullis:
    """Components of independent binary entries, prod_i Bernoulli(x_i; p_ki).

    Args:
      add: `f(name, shape, initializer)`, adds a weight with a row for each component.
      size: Length of a flat x.
      pseudo_count: Ones and zeros, so many of each, that are added to what was seen.
    """

    def __init__(self, add, size, pseudo_count):
        self.pseudo_count = pseudo_count
        self.entry_logits = add("entry_logits", (size,), keras.initializers.RandomNormal(stddev=1.0))
        self.variables = [self.entry_logits]

    def log_prob(self, x, shares):
        """log p(x | k), `[batch, components]`."""
        del shares
        logits = tf.cast(self.entry_logits.value, tf.float64)
        return tf.matmul(x, logits, transpose_b=True) - tf.reduce_sum(tf.math.softplus(logits), axis=-1)

    def moments(self, x, r, shares):
        """Sums of r x: how many ones were seen."""
        del shares
        return {"ones": tf.matmul(r, x, transpose_a=True)}

    def maximize(self, sums, count, shares):
        """Assigns the log odds."""
        del shares
        ones = sums["ones"] + self.pseudo_count + _MIN_COUNT
        # Ones that round to more than there were would have a log odds that is none.
        zeros = tf.nn.relu(count[:, None] - sums["ones"]) + self.pseudo_count + _MIN_COUNT
        self.entry_logits.assign(tf.cast(tf.math.log(ones) - tf.math.log(zeros), tf.float32))

    def distribution(self):
        """p(x | k), a TFP distribution over flat x, of all components."""
        return tfd.Independent(tfd.Bernoulli(self.entry_logits.value, dtype=tf.float32), 1)

    def mean(self):
        """E[x | k], `[components, size]`."""
        return tf.sigmoid(self.entry_logits.value)

    def draw(self, seeds, k):
        """One x for each seed and component, `[num, size]`."""
        return random.bernoulli(seeds, tf.sigmoid(tf.gather(self.entry_logits.value, k)))


def _singular(what):
    message = f"GaussianMixture: {what} of components must be positive definite"
    remedy = "raise regularization, use fewer components, or leave out columns that others determine"
    return message, remedy


def _unit_scales(shape, dtype=None):
    return tf.ones(shape, dtype) if len(shape) == 2 else tf.eye(shape[1], batch_shape=shape[:1], dtype=dtype)
