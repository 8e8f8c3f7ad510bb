"""Annealed importance sampling: estimates of a normalizing constant, with their error."""

import collections
import math

import numpy as np
import tensorflow as tf

from tfgen import checks, progress, random

# Temperatures between two words about how far it is.
_SEGMENT = 500

AISEstimate = collections.namedtuple(
    "AISEstimate", ["estimate", "low", "high", "effective_sample_size", "log_weights"]
)
AISEstimate.__doc__ = """Estimate of log Z by annealed importance sampling, in nats.

Args:
  estimate: log Z_0 + log of the mean weight, in reverse minus it, float32 scalar.
  low: `estimate` minus three standard errors.
  high: `estimate` plus three standard errors.
  effective_sample_size: (sum of weights)^2 / sum of squared weights, between 1 and the number of
    chains; the interval is not to be trusted when it is a small part of them.
  log_weights: float64 `[num_chains]`, without log Z_0.
"""


def annealed_importance_sampling(
    start,
    log_ratio,
    transition,
    log_z0,
    num_temperatures=10_000,
    num_chains=100,
    seed=0,
    temperatures=None,
    reverse=False,
):
    """Estimates log Z = log sum_x f_1(x) along a path f_beta from a density whose Z_0 is known.

    Each chain begins at x_0 ~ f_0 / Z_0 and, at each inverse temperature in turn, is weighed
    before it is moved (Neal's order):

      log w = sum_k log f_{beta_k}(x_{k-1}) - log f_{beta_{k-1}}(x_{k-1}),  x_k ~ T_{beta_k}(x_{k-1}),

    0 = beta_0 < ... < beta_K = 1, at equal distances unless they are given. E w = Z / Z_0 exactly, whatever
    the number of temperatures; log of the mean weight lies below log Z on average, the less so the more
    there are.
    The sum is accumulated in float64. The interval is the mean's plus or minus three standard errors,
    carried to the log scale by the delta method, s^2 = (1 / ESS - 1 / n) n / (n - 1): it covers log Z
    about 99.7 % of the time once the effective sample size is tens.

    In reverse the chains go from f_1 / Z to f_0 with the same weights, whose mean is Z_0 / Z: the estimate
    log Z_0 - log of the mean weight lies above log Z on average. Where both estimates meet, log Z lies.

    Args:
      start: `f(seed, num_chains) -> state`, exact draws from f_0 / Z_0, in reverse from f_1 / Z.
      log_ratio: `f(state, beta, next_beta) -> [num_chains]`, log f_{next_beta} - log f_beta. A form that
        does not subtract two large numbers keeps thousands of small terms precise.
      transition: `f(state, beta, seed) -> state`, leaves f_beta invariant.
      log_z0: log Z_0, scalar.
      num_temperatures: Number of inverse temperatures, 0 and 1 included.
      num_chains: Number of independent chains.
      seed: Python int or int32 [2].
      temperatures: The inverse temperatures themselves, rising from 0 to 1, in place of their number.
      reverse: Whether the chains go from f_1 to f_0.

    Returns:
      `AISEstimate`.

    Raises:
      ValueError: If there are not at least two temperatures and two chains, or the temperatures do not rise
        from 0 to 1.

    References:
      Neal, "Annealed importance sampling", 1998, arXiv:physics/9803008. Salakhutdinov & Murray,
      "On the quantitative analysis of deep belief networks", ICML 2008. Burda, Grosse & Salakhutdinov,
      "Accurate and conservative estimates of MRF log-likelihood using reverse annealing", 2015,
      arXiv:1412.8566.
    """
    checks.whole("num_chains", num_chains, at_least=2)
    betas = inverse_temperatures(num_temperatures, temperatures)[:: -1 if reverse else 1]
    last = len(betas) - 1
    start_seed, seed = random.split(random.as_seed(seed))

    @tf.function(jit_compile=True, autograph=False)
    def begin(seed):
        return start(seed, num_chains), tf.zeros([num_chains], tf.float64)

    @tf.function(jit_compile=True, autograph=False)
    def anneal(state, log_w, seed, first, end):
        return _anneal(log_ratio, transition, state, log_w, seed, first, end, betas)

    state, log_w = begin(start_seed)
    for first in progress.through(range(0, last, _SEGMENT), "annealed importance sampling"):
        first, end = tf.constant(first), tf.constant(min(first + _SEGMENT, last))
        state, log_w = anneal(state, log_w, seed, first, end)
    return log_mean_weight(log_w, log_z0, reverse)


def inverse_temperatures(num_temperatures, temperatures=None):
    """Inverse temperatures as float32 NumPy `[n]`: those given, or so many at equal distances.

    Raises:
      ValueError: If there are fewer than two, or they do not rise from 0 to 1.
    """
    if temperatures is None:
        last = checks.whole("num_temperatures", num_temperatures, at_least=2) - 1
        return np.arange(last + 1, dtype=np.float32) / np.float32(last)
    betas = np.asarray(temperatures, np.float32)
    rise = betas.ndim == 1 and len(betas) > 1 and np.all(np.diff(betas) > 0.0)
    if not rise or betas[0] != 0.0 or betas[-1] != 1.0:
        told = f"{betas[0]:g} to {betas[-1]:g}" if betas.ndim == 1 and len(betas) else repr(temperatures)
        raise ValueError(
            f"temperatures must be inverse temperatures that rise from 0 to 1, got {told}: give 0, ..., 1."
        )
    return betas


def annealed_log_weights(
    start, log_ratio, transition, seed, num_temperatures, num_chains, temperatures=None, reverse=False
):
    """The chains' log weights, float64 `[num_chains]`; as `annealed_importance_sampling`, in any graph."""
    start_seed, seed = random.split(random.as_seed(seed))
    betas = inverse_temperatures(num_temperatures, temperatures)[:: -1 if reverse else 1]
    state, log_w = start(start_seed, num_chains), tf.zeros([num_chains], tf.float64)
    return _anneal(log_ratio, transition, state, log_w, seed, tf.constant(0), len(betas) - 1, betas)[1]


def _anneal(log_ratio, transition, state, log_w, seed, first, end, betas):
    """State and log weights after the moves from `first` to `end` along all inverse temperatures."""
    last, betas = len(betas) - 1, tf.constant(betas)

    def step(k, state, log_w):
        beta, next_beta = betas[k], betas[k + 1]
        log_w += tf.cast(log_ratio(state, beta, next_beta), tf.float64)
        return k + 1, transition(state, next_beta, random.fold_in(seed, k)), log_w

    return tf.while_loop(lambda k, *_: k < end, step, (first, state, log_w), maximum_iterations=last)[1:]


def log_mean_weight(log_weights, log_z0=0.0, reverse=False):
    """log Z from independent log weights `[n]`, with the interval `annealed_importance_sampling` states."""
    log_weights = tf.cast(log_weights, tf.float64)
    num = int(log_weights.shape[0])
    once, twice = tf.reduce_logsumexp(log_weights), tf.reduce_logsumexp(2.0 * log_weights)
    share = tf.exp(twice - 2.0 * once)
    error = tf.sqrt(tf.nn.relu(share - 1.0 / num) * num / (num - 1))
    log_mean = once - math.log(num)
    estimate = tf.cast(log_z0, tf.float64) + (-log_mean if reverse else log_mean)
    scalars = (estimate, estimate - 3.0 * error, estimate + 3.0 * error, 1.0 / share)
    return AISEstimate(*(tf.cast(s, tf.float32) for s in scalars), log_weights)
