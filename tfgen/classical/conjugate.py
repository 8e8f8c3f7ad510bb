"""Conjugate exponential families for mean-field variational inference: Dirichlet, normal-Wishart, their KL.

Global factors are kept as sums of expected sufficient statistics, in which their natural parameters are
affine: prior + sums. So a step of coordinate ascent sets the sums, and a natural-gradient step of stochastic
variational inference is a convex combination of sums (`blend`). All in float64.

References:
  Hoffman, Blei, Wang & Paisley, "Stochastic variational inference", JMLR 2013, arXiv:1206.7051.
  Bishop, "Pattern recognition and machine learning", 2006, section 10.2.
"""

import dataclasses
import math

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def robbins_monro(rounds, delay, forgetting):
    """Step size (rounds + delay)^-forgetting of a natural-gradient step, with forgetting in (0.5, 1].

    Args:
      rounds: Steps so far, a float tensor.
      delay: At least 1: how much the first steps are damped.
      forgetting: How fast old sums are forgotten; 1 averages all.
    """
    return (rounds + delay) ** -forgetting


def blend(old, new, rate):
    """(1 - rate) old + rate new: a natural-gradient step of that size."""
    return (1.0 - rate) * old + rate * new


def expected_log(concentration):
    """E[log p] under Dirichlet distributions: digamma(c_i) - digamma(sum c), `[..., k]`."""
    whole = tf.reduce_sum(concentration, axis=-1, keepdims=True)
    return tf.math.digamma(concentration) - tf.math.digamma(whole)


def exp_digamma(x):
    """exp(digamma(x)) of x > 0, by the asymptotic series of digamma about x + 11/2 and its recurrence.

    exp(E[log p_i]) under a Dirichlet is that of its concentration c_i over that of their sum. In float32 as
    exact as rounding is, a tenth of the time of `tf.math.digamma` under XLA, and a third without.

    Args:
      x: Positive floats.
    """
    # digamma(x) = digamma(x + 6) - sum_(k<6) 1 / (x + k), by pairs.
    y = x * (x + 5.0)
    below = (2.0 * x + 5.0) * (1.0 / y + 1.0 / (y + 4.0) + 1.0 / (y + 6.0))
    h = x + 5.5
    r = 1.0 / (h * h)
    above = h * (1.0 + r * (1.0 / 24.0 - r * (37.0 / 5760.0 - r * (10313.0 / 2903040.0))))
    return above * tf.exp(-below)


def dirichlet_kl(concentration, prior):
    """KL(Dirichlet(concentration) || Dirichlet(prior)) in nats, `[...]` of `[..., k]`.

    Args:
      concentration: `[..., k]`.
      prior: A number for all k.
    """
    prior = tf.cast(prior, concentration.dtype) + tf.zeros_like(concentration)

    def log_normalizer(concentration):
        each = tf.reduce_sum(tf.math.lgamma(concentration), axis=-1)
        return each - tf.math.lgamma(tf.reduce_sum(concentration, axis=-1))

    moved = tf.reduce_sum((concentration - prior) * expected_log(concentration), axis=-1)
    return log_normalizer(prior) - log_normalizer(concentration) + moved


@dataclasses.dataclass(frozen=True)
class NormalWishart:
    """Means and precisions of K Gaussians: N(mu; mean, (strength Lambda)^-1) Wishart(Lambda; scale^-1, dof).

    "Structured" is that joint distribution. "mean_field" is N(mu; mean, (strength E[Lambda])^-1) times the
    Wishart. Diagonal precisions are D independent Wisharts of one dimension each, that is Gammas.

    Args:
      mean: float64 `[K, D]`.
      strength: How many observations the mean is worth, `[K]`.
      scatter: Inverse of the Wishart's scale matrix, `[K, D, D]`, or `[K, D]` for diagonal precisions.
      dof: Degrees of freedom, `[K]`.
      structured: Whether mu depends on Lambda.
    """

    mean: tf.Tensor
    strength: tf.Tensor
    scatter: tf.Tensor
    dof: tf.Tensor
    structured: bool = True

    @property
    def full(self):
        """Whether precisions are full matrices."""
        return self.scatter.shape.rank == 3

    @property
    def dims(self):
        """D."""
        return self.mean.shape[-1]

    def factor(self):
        """Cholesky factors of the scatters `[K, D, D]`, or their square roots `[K, D]`."""
        return tf.linalg.cholesky(self.scatter) if self.full else tf.sqrt(self.scatter)

    def _log_det(self):
        """log |scatter|: `[K]`, or `[K, D]` by dimension where precisions are diagonal."""
        if not self.full:
            return tf.math.log(self.scatter)
        return 2.0 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(self.factor())), axis=-1)

    def expected_log_det(self):
        """E[log |Lambda|], `[K]`."""
        if not self.full:
            each = tf.math.digamma(0.5 * self.dof)[:, None] + math.log(2.0) - self._log_det()
            return tf.reduce_sum(each, axis=-1)
        halves = 0.5 * (self.dof[:, None] - tf.range(self.dims, dtype=self.dof.dtype))
        log_two = self.dims * math.log(2.0)
        return tf.reduce_sum(tf.math.digamma(halves), axis=-1) + log_two - self._log_det()

    def _whitened(self, difference):
        """factor^-1 of `[..., K, D]`."""
        factor = self.factor()
        if not self.full:
            return difference / factor
        columns = tf.einsum("...kd->kd...", difference)
        flat = tf.reshape(columns, [tf.shape(columns)[0], self.dims, -1])
        solved = tf.reshape(tf.linalg.triangular_solve(factor, flat), tf.shape(columns))
        return tf.einsum("kd...->...kd", solved)

    def expected_log_normal(self, x):
        """E[log N(x; mu, Lambda^-1)] of each Gaussian, `[batch, K]` of float64 x `[batch, D]`."""
        squared = tf.reduce_sum(tf.square(self._whitened(x[:, None] - self.mean)), axis=-1)
        quadratic = self.dims / self.strength + self.dof * squared
        return 0.5 * (self.expected_log_det() - self.dims * math.log(2.0 * math.pi) - quadratic)

    def kl(self, prior):
        """KL of each from its prior, `[K]`; the prior is structured, whatever this is.

        Args:
          prior: `NormalWishart` of K, or of one.
        """
        dims = self.dims
        shift = tf.reduce_sum(tf.square(self._whitened(self.mean - prior.mean)), axis=-1)
        ratio = prior.strength / self.strength
        # Of the mean: E over Lambda of KL(q(mu | Lambda) || p(mu | Lambda)), or of that of q(mu).
        of_mean = 0.5 * (prior.strength * self.dof * shift + dims * (ratio - 1.0 - tf.math.log(ratio)))
        if not self.structured:
            whole = self._log_det() if self.full else tf.reduce_sum(self._log_det(), axis=-1)
            of_mean += 0.5 * (dims * tf.math.log(self.dof) - whole - self.expected_log_det())
        return of_mean + self._wishart_kl(prior)

    def _wishart_kl(self, prior):
        log_det, before = self._log_det(), prior._log_det()
        if self.full:
            solved = tf.linalg.triangular_solve(
                self.factor(), tf.broadcast_to(tf.linalg.cholesky(prior.scatter), tf.shape(self.scatter))
            )
            trace = tf.reduce_sum(tf.square(solved), axis=(-2, -1))
            return _wishart_kl(self.dims, self.dof, log_det, prior.dof, before, trace)
        trace = prior.scatter / self.scatter
        each = _wishart_kl(1, self.dof[:, None], log_det, prior.dof[:, None], before, trace)
        return tf.reduce_sum(each, axis=-1)

    def predictive(self, dtype=tf.float64):
        """Distributions of a new x with mu and Lambda integrated out: K Student-t's over D.

        Of diagonal precisions D independent ones. For "structured" only.

        Args:
          dtype: Of x.
        """
        widened = self.scatter * _like((1.0 + self.strength) / self.strength, self.scatter)
        dof = self.dof + 1.0 - self.dims if self.full else self.dof
        scale = widened / _like(dof, widened)
        root = tf.linalg.cholesky(scale) if self.full else tf.sqrt(scale)
        dof, mean, root = (tf.cast(value, dtype) for value in (dof, self.mean, root))
        if self.full:
            root = tf.linalg.LinearOperatorLowerTriangular(root)
            return tfd.MultivariateStudentTLinearOperator(df=dof, loc=mean, scale=root)
        return tfd.Independent(tfd.StudentT(df=dof[:, None], loc=mean, scale=root), 1)


def _wishart_kl(dims, dof, log_det, prior_dof, prior_log_det, trace):
    """KL(W(A^-1, dof) || W(B^-1, prior_dof)) from log |A|, log |B| and tr(B A^-1)."""
    index = tf.range(dims, dtype=tf.float64)
    digamma = tf.reduce_sum(tf.math.digamma(0.5 * (dof[..., None] - index)), axis=-1)

    def log_multigamma(dof):
        return tf.reduce_sum(tf.math.lgamma(0.5 * (dof[..., None] - index)), axis=-1)

    return (
        0.5 * prior_dof * (log_det - prior_log_det)
        + 0.5 * dof * (trace - dims)
        + log_multigamma(prior_dof)
        - log_multigamma(dof)
        + 0.5 * (dof - prior_dof) * digamma
    )


def _like(values, tensor):
    """`[K]` with axes of size 1 after it, as many as `tensor` has."""
    return tf.reshape(values, [-1] + [1] * (tensor.shape.rank - 1))
