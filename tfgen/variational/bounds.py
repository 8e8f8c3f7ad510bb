"""Terms of variational bounds, from TFP distributions and samples z of `[K, batch, ...]`."""

import tensorflow as tf
import tensorflow_probability as tfp


def log_weights(x, z, posterior, prior, likelihood):
    """log p(x | z) + log p(z) - log q(z | x), whose mean is the ELBO and whose log-mean-exp IWAE's.

    Args:
      x: `[batch, *event_shape]`.
      z: `[K, batch, latent_size]`.
      posterior: q(z | x), batch_shape `[batch]`.
      prior: p(z), batch_shape `[]` or `[batch]`.
      likelihood: p(x | z), batch_shape `[K, batch]`.

    Returns:
      float32 `[K, batch]`, in nats.
    """
    return likelihood.log_prob(x) + prior.log_prob(z) - posterior.log_prob(z)


def kl(posterior, prior, z):
    """KL(q(z | x) || p(z)): in closed form where TFP has it, else the average over the samples z.

    Args:
      posterior: q(z | x), batch_shape `[batch]`.
      prior: p(z), batch_shape `[]` or `[batch]`.
      z: Samples of q, `[K, batch, latent_size]`.

    Returns:
      float32 `[batch]`, in nats.
    """
    try:
        return tfp.distributions.kl_divergence(posterior, prior)
    except NotImplementedError:
        return tf.reduce_mean(posterior.log_prob(z) - prior.log_prob(z), axis=0)


def free_bits_kl(posterior, free):
    """sum_j max(free, mean over the batch of KL(q(z_j | x) || N(0, 1))), a scalar.

    Args:
      posterior: A normal distribution with independent entries, batch_shape `[batch]`.
      free: Nats that each latent variable may use free of charge.

    References:
      Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016,
      arXiv:1606.04934, equation 15.
    """
    normal = tfp.distributions.Normal
    each = tfp.distributions.kl_divergence(normal(posterior.mean(), posterior.stddev()), normal(0.0, 1.0))
    return tf.reduce_sum(tf.maximum(free, tf.reduce_mean(each, axis=0)))
