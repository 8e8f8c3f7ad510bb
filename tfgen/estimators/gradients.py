"""Gradients of a lower bound of log p(x) through latent variables that are discrete.

A sample of q(z | x) that is discrete has no gradient, and what the chain rule gives is not that of the bound.
Each estimator is a scalar: its value is minus the bound, averaged over the batch, its gradient the estimate.
It is a function of log p(x, z) and log q(z | x) at samples of q, both `[K, batch]`, in nats.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.keras_model import Layer


def with_gradient_of(value, surrogate):
    """A number that is `value` and has the gradient of `surrogate`, both scalars."""
    return tf.stop_gradient(value - surrogate) + surrogate


def score_function(reward, log_q, signal=None):
    """Minus the mean of a reward f(z), by the score function: grad E_q f = E_q [grad f + f grad log q(z)].

    Any b that does not depend on z may be taken from the f that weighs grad log q, since E_q grad log q = 0:
    the estimate stays unbiased, and its variance falls. What stands there instead of f is the `signal`.

    Args:
      reward: f, float32 `[K, batch]`.
      log_q: log q of the samples, `[K, batch]`; or of their parts, `[parts, K, batch]`.
      signal: Of the shape of `log_q`; None for the reward itself.

    Returns:
      float32 scalar.

    References:
      Williams, "Simple statistical gradient-following algorithms", Machine Learning 8, 1992. Parts with
      signals of their own: Mnih & Gregor, "Neural variational inference and learning in belief networks",
      2014, arXiv:1402.0030.
    """
    signal = tf.stop_gradient(reward if signal is None else signal)
    value = -tf.reduce_mean(reward)
    weighed = tf.reduce_sum(signal * log_q) / tf.cast(tf.size(reward), tf.float32)
    return with_gradient_of(value, value - weighed)


def leave_one_out(reward):
    """A reward less the mean of the other samples' rewards, a signal for `score_function`.

    Args:
      reward: `[K, batch]`, K at least 2.

    References:
      Kool, van Hoof & Welling, "Buy 4 REINFORCE samples, get a baseline for free!", ICLR 2019 workshop.
    """
    num = several("leave_one_out", reward)
    return (reward - tf.reduce_mean(reward, axis=0)) * (num / (num - 1.0))


def vimco(log_p, log_q):
    """Minus the bound of K samples, L = log (1/K) sum_k w_k, by a baseline for each sample from the others.

    grad E L = E sum_k [(L - L_k) grad log q(z_k) + v_k grad log w_k], with w_k = p(x, z_k) / q(z_k | x),
    their shares v_k = w_k / sum_j w_j, and L_k the bound with w_k replaced by the geometric mean of the
    others.

    Args:
      log_p: log p(x, z_k), `[K, batch]`, K at least 2.
      log_q: log q(z_k | x), `[K, batch]`.

    Returns:
      float32 scalar.

    References:
      Mnih & Rezende, "Variational inference for Monte Carlo objectives", 2016, arXiv:1602.06725.
    """
    several("vimco", log_p)
    replaced, bound = tfp.stats.log_soomean_exp(log_p - log_q, axis=0)
    signal = tf.stop_gradient(bound - replaced)
    value = -tf.reduce_mean(bound)
    return with_gradient_of(value, value - tf.reduce_mean(tf.reduce_sum(signal * log_q, axis=0)))


def reweighted(log_p, log_q):
    """Minus the bound of K samples, by the wake phases of reweighted wake-sleep.

    With the shares v_k = w_k / sum_j w_j of the weights w_k = p(x, z_k) / q(z_k | x), p follows
    sum_k v_k grad log p(x, z_k), which is the gradient of the bound, and q follows
    sum_k v_k grad log q(z_k | x), towards the least KL(p(z | x) || q(z | x)): both by samples of q that count
    as those of the posterior. They are biased for what they stand for (log p(x), that KL), by O(1 / K).

    Args:
      log_p: log p(x, z_k), `[K, batch]`.
      log_q: log q(z_k | x), `[K, batch]`.

    Returns:
      float32 scalar.

    References:
      Bornschein & Bengio, "Reweighted wake-sleep", 2015, arXiv:1406.2751.
    """
    log_w = tf.stop_gradient(log_p - log_q)
    shares = tf.nn.softmax(log_w, axis=0)
    bound = tf.reduce_logsumexp(log_w, axis=0) - tf.math.log(tf.cast(tf.shape(log_w)[0], tf.float32))
    followed = tf.reduce_sum(shares * (log_p + log_q), axis=0)
    return with_gradient_of(-tf.reduce_mean(bound), -tf.reduce_mean(followed))


def straight_through(hard, soft):
    """`hard` going forward, with the gradient of `soft`: biased, and of little variance.

    Args:
      hard: What stands for z, e.g. a one-hot vector.
      soft: A function of the parameters of the same shape, e.g. the probabilities or a relaxed draw.

    References:
      Bengio, Leonard & Courville, "Estimating or propagating gradients through stochastic neurons", 2013,
      arXiv:1308.3432.
    """
    return tf.stop_gradient(hard - soft) + soft


def several(name, samples):
    """How many samples there are, as a float.

    Raises:
      ValueError: If there is one only.
    """
    if samples.shape[0] is not None and samples.shape[0] < 2:
        raise ValueError(
            f"{name} compares samples with each other, got {samples.shape[0]}: take two or more."
        )
    return tf.cast(tf.shape(samples)[0], tf.float32)


@keras.saving.register_keras_serializable("tfgen")
class LearnedBaseline(Layer):
    """Baseline of a learning signal l, as in neural variational inference: (l - C(x) - c) / max(1, sqrt(v)).

    C is a network of one hidden layer of tanh units, fitted to the signal; c and v are running averages of
    the mean and the variance of l - C(x). They are those of the steps before: the signal is shifted by
    nothing that depends on its own sample, and `score_function` stays unbiased, but for the common scale.

    Args:
      input_size: Size of what C reads.
      hidden: Tanh units of C.
      decay: Of the running averages.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Mnih & Gregor, "Neural variational inference and learning in belief networks", 2014, arXiv:1402.0030,
      algorithm 1.
    """

    def __init__(self, input_size, hidden=100, decay=0.8, **kwargs):
        super().__init__(**kwargs)
        checks.whole("input_size", input_size)
        checks.whole("hidden", hidden)
        self.decay = checks.number("decay", decay, at_least=0, below=1)
        self.network = keras.Sequential(
            [
                keras.Input((input_size,)),
                keras.layers.Dense(hidden, activation="tanh", dtype="float32"),
                keras.layers.Dense(1, dtype="float32"),
            ]
        )
        options = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.mean = self.add_weight(shape=(), name="mean", **options)
        self.variance = self.add_weight(shape=(), name="variance", **options)
        self.built = True

    def build(self, input_shape=None):
        """Nothing is left to build: the constructor made every weight."""

    def call(self, inputs):
        """C(x), float32 `[...]`, of inputs `[..., input_size]`."""
        flat = self.network(tf.reshape(inputs, [-1, inputs.shape[-1]]))
        return tf.reshape(flat, tf.shape(inputs)[:-1])

    def centered(self, signal, inputs):
        """The signal, centered and scaled, and the loss that fits C to it; the averages move on.

        Args:
          signal: l, `[K, batch]`.
          inputs: `[batch, input_size]` or `[K, batch, input_size]`.

        Returns:
          float32 `[K, batch]`, which has no gradient, and a scalar: 0, with the gradient of C's fit.
        """
        predicted = self(tf.stop_gradient(inputs))
        # Read before they move on.
        mean, variance = (tf.identity(v.value) for v in (self.mean, self.variance))
        found = tf.stop_gradient(signal - predicted)
        now, spread = tf.reduce_mean(found), tf.math.reduce_variance(found)
        self.mean.assign(self.decay * mean + (1.0 - self.decay) * now)
        self.variance.assign(self.decay * variance + (1.0 - self.decay) * spread)
        found = (found - mean) / tf.maximum(1.0, tf.sqrt(variance))
        return found, with_gradient_of(0.0, -tf.reduce_mean(found * predicted))
