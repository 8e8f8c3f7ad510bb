"""Restricted Boltzmann machine."""

import functools
import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.energy.bipartite import BipartiteModel, bipartite_log_partition
from tfgen.energy.estimators import ESTIMATORS, softplus

tfd = tfp.distributions

_MAX_EXACT = 20


@keras.saving.register_keras_serializable("tfgen")
class RBM(BipartiteModel):
    """Restricted Boltzmann machine of binary units.

    p(v, h) = exp(-E(v, h)) / Z with the energy E(v, h) = -b . v - c . h - v W h.

    p(h | v) and p(v | h) are products of Bernoullis, so Gibbs sampling takes all hidden, then all visible
    units at once. F(v) = -log sum_h exp(-E(v, h)) = -b . v - sum_j softplus(c_j + (v W)_j) is the free
    energy; `log_prob` is -F(v), short of log p(v) by log Z (`log_partition`). Energies are float32 under
    every dtype policy.

    Args:
      event_shape: Shape of one v.
      num_hidden: Number of hidden units.
      estimator: How the gradient of log Z is estimated: "cd", "pcd" or "pt" (parallel tempering); or what
        takes the likelihood's place: "pseudo_likelihood" or "nce".
      num_gibbs: Gibbs sweeps in each step, the k of CD-k and PCD-k.
      num_chains: Persistent chains of "pcd" and "pt".
      num_temperatures: Temperatures of "pt".
      num_flips: Entries of each v that "pseudo_likelihood" looks at in a step.
      num_noise: Noise draws for each v, for "nce".
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Smolensky, "Harmony theory", 1986. Hinton, "Training products of experts by minimizing contrastive
      divergence", 2002. Tieleman, "Training restricted Boltzmann machines using approximations to the
      likelihood gradient", 2008. Hinton, "A practical guide to training RBMs", 2010.
    """

    def __init__(
        self,
        event_shape,
        num_hidden=128,
        estimator="pcd",
        num_gibbs=1,
        num_chains=100,
        num_temperatures=10,
        num_flips=16,
        num_noise=5,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.estimator = checks.one_of("estimator", estimator, tuple(ESTIMATORS))
        self.num_visible = math.prod(self.event_shape)
        self.num_hidden = checks.whole("num_hidden", num_hidden)
        self.num_gibbs = checks.whole("num_gibbs", num_gibbs)
        self.num_flips = checks.whole("num_flips", num_flips)
        self.num_noise = checks.whole("num_noise", num_noise)
        checks.whole("num_chains", num_chains)
        checks.whole("num_temperatures", num_temperatures, at_least=2)
        # autocast=False: a difference of energies means nothing in bfloat16.
        add = functools.partial(self.add_weight, autocast=False)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = add((self.num_visible, num_hidden), small, name="kernel")
        self.visible_bias = add((self.num_visible,), "zeros", name="visible_bias")
        self.hidden_bias = add((num_hidden,), "zeros", name="hidden_bias")
        # The independent units that chains, AIS and noise-contrastive estimation start from.
        self.base_logits = add((self.num_visible,), "zeros", trainable=False, name="base_logits")
        if estimator in ("pcd", "pt"):
            shape = (num_hidden,) if estimator == "pcd" else (num_temperatures, self.num_visible)
            self.chains = add((num_chains, *shape), _coins, trainable=False, aggregation="sum", name="chains")
        if estimator == "nce":
            start = keras.initializers.Constant((self.num_visible + num_hidden) * math.log(2.0))
            self.log_z = add((), start, name="log_z")

    def begin(self, batch, seed):
        """Starts the visible biases, and the base rates, at the data's log odds of 1 (Hinton 2010)."""
        x = np.asarray(batch["x"], np.float64)
        ones = x.reshape(len(x), -1).sum(0)
        logits = np.log(ones + 1.0) - np.log(len(x) - ones + 1.0)
        self.base_logits.assign(logits)
        self.visible_bias.assign(logits)
        if self.estimator == "nce":
            self.log_z.assign(np.logaddexp(0.0, logits).sum() + self.num_hidden * math.log(2.0))

    def hidden_logits(self, v):
        """c + v W: log odds of each hidden unit, `[..., hidden]` for flat v `[..., visible]`."""
        return self.hidden_bias.value + _product(v, self.kernel.value)

    def visible_logits(self, h):
        """b + W h: log odds of each visible unit, `[..., visible]` for h `[..., hidden]`."""
        return self.visible_bias.value + _product(h, self.kernel.value, transpose_b=True)

    def posterior(self, x):
        """p(h | x), a TFP distribution over h `[hidden]` for each x."""
        logits = self.hidden_logits(self.flat(self.space.check(x)))
        return tfd.Independent(tfd.Bernoulli(logits, dtype=tf.float32), 1)

    def likelihood(self, h):
        """p(v | h), a TFP distribution over v `event_shape` for each h `[batch, hidden]`."""
        logits = tf.reshape(self.visible_logits(tf.cast(h, tf.float32)), [-1, *self.event_shape])
        return tfd.Independent(tfd.Bernoulli(logits, dtype=tf.float32), len(self.event_shape))

    def energy(self, v, h):
        """E(v, h) = -b . v - c . h - v W h, float32, of v `[batch, *event_shape]` and h `[batch, hidden]`."""
        v = self.flat(self.space.check(v, "v"))
        h = tf.cast(h, tf.float32)
        if h.shape.rank != 2 or h.shape[1] != self.num_hidden:
            raise ValueError(f"h must have shape [batch, {self.num_hidden}], got {h.shape}.")
        bias = tf.linalg.matvec(v, self.visible_bias.value)
        return -bias - tf.reduce_sum(h * self.hidden_logits(v), axis=-1)

    def log_unnormalized(self, v, hidden_logits=None):
        """-F of flat v, whose hidden logits may be known already."""
        logits = self.hidden_logits(v) if hidden_logits is None else hidden_logits
        bias = tf.linalg.matvec(v, self.visible_bias.value)
        return bias + tf.reduce_sum(softplus(logits), axis=-1)

    def encode(self, x):
        """Probability of 1 of each hidden unit given x: float32 `[batch, hidden]`."""
        return tf.sigmoid(self.hidden_logits(self.flat(self.space.check(x))))

    def reconstruct(self, x):
        """p(v = 1 | h) at h = p(h = 1 | x): float32, the shape of x."""
        return tf.reshape(tf.sigmoid(self.visible_logits(self.encode(x))), [-1, *self.event_shape])

    def start(self, seed, num):
        """`num` flat v of independent units at the base rates."""
        return random.bernoulli(seed, tf.tile(tf.sigmoid(self.base_logits.value)[None], [num, 1]))

    def gibbs(self, v, seed, beta=1.0, temperature=1.0):
        """A sweep that leaves p_beta(v, h) = exp((1 - beta) base . v - beta E(v, h)) / Z_beta invariant."""
        hidden, visible = random.split(seed)
        # At temperature 0 the logits become huge; those that are 0 stay a fair coin.
        cold = tf.maximum(temperature, 1e-6)
        h = random.bernoulli(hidden, tf.sigmoid(beta * self.hidden_logits(v) / cold))
        base = (1.0 - beta) * self.base_logits.value
        return random.bernoulli(visible, tf.sigmoid((base + beta * self.visible_logits(h)) / cold))

    def log_ratio(self, v, beta, next_beta):
        """log f_{next_beta}(v) - log f_beta(v), f_beta(v) = sum_h exp((1 - beta) base . v - beta E(v, h)).

        With d = (next_beta - beta) a, softplus(next_beta a) - softplus(beta a) is relu(d) +
        log1p(sigmoid(-sign(d) beta a) expm1(-|d|)): small differences keep their digits.
        """
        step = next_beta - beta
        logits = self.hidden_logits(v)
        beta = beta[..., None]
        change = step[..., None] * logits
        side = tf.sigmoid(tf.where(change > 0, -beta, beta) * logits)
        hidden = tf.nn.relu(change) + tf.math.log1p(side * tf.math.expm1(-tf.abs(change)))
        bias = tf.linalg.matvec(v, self.visible_bias.value - self.base_logits.value)
        return step * bias + tf.reduce_sum(hidden, axis=-1)

    def log_z0(self):
        """log Z of independent visible units at the base rates and hidden fair coins."""
        hidden = self.num_hidden * math.log(2.0)
        return tf.reduce_sum(tf.nn.softplus(tf.cast(self.base_logits.value, tf.float64))) + hidden

    def exact_log_partition(self):
        """log Z, float32 scalar, by summing over all states of the smaller layer."""
        units = min(self.num_visible, self.num_hidden)
        if units > _MAX_EXACT:
            raise ValueError(
                f"method='exact' sums over 2^min(visible, hidden) states, at most 2^{_MAX_EXACT}, got "
                f'2^{units}; use method="ais".'
            )
        kernel = self.kernel.value
        if self.num_hidden < self.num_visible:
            log_z = bipartite_log_partition(
                tf.transpose(kernel), self.hidden_bias.value, self.visible_bias.value
            )
        else:
            log_z = bipartite_log_partition(kernel, self.visible_bias.value, self.hidden_bias.value)
        return tf.cast(log_z, tf.float32)


def _product(units, kernel, transpose_b=False):
    """`units @ kernel` of units `[..., n]`, as one matrix product."""
    shape = tf.concat([tf.shape(units)[:-1], [-1]], axis=0)
    flat = tf.reshape(units, [-1, units.shape[-1]])
    product = tf.reshape(tf.matmul(flat, kernel, transpose_b=transpose_b), shape)
    return tf.ensure_shape(product, [*units.shape[:-1], kernel.shape[0 if transpose_b else 1]])


def _coins(shape, dtype=None):
    return random.bernoulli(random.as_seed(0), tf.fill(shape, 0.5))
