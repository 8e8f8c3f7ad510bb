"""Aggregate posterior q(z) = E over x of q(z | x): its total correlation, and its distance from the prior."""

from typing import NamedTuple

import tensorflow as tf


class Decomposition(NamedTuple):
    """E over x of KL(q(z | x) || p(z)), for p(z) of independent entries, in three parts that add up to it.

    Args:
      information: I(x; z), nats.
      total_correlation: KL(q(z) || prod_j q(z_j)), nats.
      marginals: sum_j KL(q(z_j) || p(z_j)), nats.
    """

    information: tf.Tensor
    total_correlation: tf.Tensor
    marginals: tf.Tensor


def decompose_kl(entries, z, log_prior):
    """`Decomposition` by minibatch-weighted sampling, q(z) being the mixture of a batch's posteriors.

    log q(z_i) = log (1/M) sum_j q(z_i | x_j), and the same for each entry of z. For a data set of N examples
    Chen et al. divide by N M instead: the parts differ from theirs by constants that add up to zero. So
    estimated, the information is at most log M.

    Args:
      entries: The distribution of each entry of z given each x, batch_shape `[batch, ...]`.
      z: Samples, `[samples, batch, ...]`.
      log_prior: log p(z), `[samples, batch]`.

    References:
      Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", 2018,
      arXiv:1802.04942, appendix C.1.
    """
    log_q = entries.log_prob(z[:, :, None])  # [samples, batch, batch, ...]: of each z under each x
    log_q = tf.reshape(log_q, tf.concat([tf.shape(log_q)[:3], [-1]], axis=0))
    size = tf.shape(log_q)[2]
    log_size = tf.math.log(tf.cast(size, tf.float32))
    together = tf.reduce_sum(log_q, axis=-1)
    own = tf.reduce_sum(together * tf.eye(size), axis=2)
    joint = tf.reduce_logsumexp(together, axis=2) - log_size
    apart = tf.reduce_sum(tf.reduce_logsumexp(log_q, axis=2) - log_size, axis=-1)
    return Decomposition(
        tf.reduce_mean(own - joint), tf.reduce_mean(joint - apart), tf.reduce_mean(apart - log_prior)
    )


# Scales of the inverse multiquadratics, that of the prior's own distances being 1.
_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def _inverse_multiquadratics(squared, size):
    """sum_s C_s / (C_s + d^2) with C_s = 2 s size, of squared distances d^2."""
    return tf.add_n([2.0 * s * size / (2.0 * s * size + squared) for s in _SCALES])


def _gaussian(squared, size):
    """exp(-d^2 / (2 size)), of squared distances d^2."""
    return tf.exp(-squared / (2.0 * size))


# Kernels, of squared distances and the number of entries of z.
_KERNELS = {"imq": _inverse_multiquadratics, "rbf": _gaussian}


def mmd(x, y, kernel="imq"):
    """Squared maximum mean discrepancy between two sets of samples, without bias: a scalar.

    E k(x, x') + E k(y, y') - 2 E k(x, y) over pairs of different samples.

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      kernel: "imq" or "rbf".

    References:
      Gretton, Borgwardt, Rasch, Schoelkopf & Smola, "A kernel two-sample test", 2012. Kernels: Tolstikhin,
      Bousquet, Gelly & Schoelkopf, "Wasserstein auto-encoders", 2017, arXiv:1711.01558, appendix B.
    """
    size = float(tf.reshape(x[:1], [-1]).shape[0])
    function = _KERNELS[kernel]

    def similarity(a, b):
        a, b = (tf.reshape(each, [-1, int(size)]) for each in (a, b))
        squared = tf.reduce_sum((a[:, None] - b[None]) ** 2, axis=-1)
        return tf.reduce_sum(function(squared, size))

    n, m = (tf.cast(tf.shape(each)[0], tf.float32) for each in (x, y))
    itself = function(0.0, size)
    within = [(similarity(a, a) - k * itself) / (k * (k - 1.0)) for a, k in ((x, n), (y, m))]
    return within[0] + within[1] - 2.0 * similarity(x, y) / (n * m)
