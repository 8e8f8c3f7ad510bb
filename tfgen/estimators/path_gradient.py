"""Gradients of bounds by the samples' paths alone: sticking the landing, and doubly reparameterized ones."""

import tensorflow as tf


def path_log_prob(distribution, z):
    """log q(z), differentiated through z alone: the score d log q / d parameters at fixed z is left out.

    In expectation the score is zero, so that the gradient of E_q log q(z) stays what it is, with less noise.

    Args:
      distribution: q, a TFP distribution whose parameters carry gradients.
      z: A reparameterized sample of it.

    Returns:
      `distribution.log_prob(z)`.

    References:
      Roeder, Wu & Duvenaud, "Sticking the landing", 2017, arXiv:1703.09194.
    """
    score = distribution.log_prob(tf.stop_gradient(z))
    return distribution.log_prob(z) - score + tf.stop_gradient(score)


class ScaledGradient:
    """Identity whose gradient is multiplied by `factor`, which may become known only after the call.

    Doubly reparameterized gradients weigh each sample's path by its share of the bound, and the bound is a
    function of the samples.

    Attributes:
      factor: Broadcasts against what the function was called with; set before gradients are taken.
    """

    factor = None

    def __call__(self, x):
        """`x`."""

        @tf.custom_gradient
        def identity(x):
            return tf.identity(x), lambda upstream: upstream * self.factor

        return identity(x)


def doubly_reparameterized_factor(log_weights, groups=1, elbo_share=0.0):
    """What the path of each sample is multiplied by, so that a bound's gradient becomes DReG's.

    In the gradient of log (1/K) sum_k w_k a path d log w_k / dz_k weighs v_k = w_k / sum_j w_j. The gradient
    for q has the same expectation with v_k^2 and without scores, and a signal-to-noise ratio that does not
    fall as K grows.

    Args:
      log_weights: log w, `[samples, batch]`.
      groups: Number of bounds that are averaged.
      elbo_share: Weight of the ELBO beside them.

    Returns:
      float32 `[samples, batch]`, without gradient.

    References:
      Tucker, Lawson, Gu & Maddison, "Doubly reparameterized gradient estimators for Monte Carlo objectives",
      2018, arXiv:1810.04152, equations 6 to 8.
    """
    samples = log_weights.shape[0] // groups
    share = tf.nn.softmax(tf.reshape(log_weights, [groups, samples, -1]), axis=1)
    once, twice = ((1.0 - elbo_share) * share**power + elbo_share / samples for power in (1, 2))
    factor = twice / tf.maximum(once, 1e-30)
    return tf.stop_gradient(tf.reshape(factor, tf.shape(log_weights)))
