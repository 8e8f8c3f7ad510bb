"""Losses of the two players of a GAN, as pure functions of the discriminator's logits.

With D(x) = sigmoid(logit(x)), softplus(-logit) is -log D and softplus(logit) is -log(1 - D):
nothing here takes the logarithm of a sigmoid, so saturated logits keep their gradients.
"""

import tensorflow as tf


def discriminator(real, fake, label_smoothing=0.0):
    """Cross-entropy of telling real from fake, the negative of the game's value V(D, G).

    -E[(1 - s) log D(x) + s log(1 - D(x))] - E[log(1 - D(G(z)))], where s smooths the label of the
    real side only. It is 2 log 2 where D = 1/2, and at the best D (with s = 0) it is
    2 log 2 - 2 JSD(data, generator).

    Args:
      real: Logits of data, float `[batch]`.
      fake: Logits of generated samples, float `[batch]`.
      label_smoothing: s, in [0, 0.5).

    Returns:
      Scalar, in nats.

    References:
      [1] Goodfellow et al., 2014, Generative adversarial networks, arXiv:1406.2661.
      [2] Salimans et al., 2016, Improved techniques for training GANs, arXiv:1606.03498 (one-sided
        label smoothing).
    """
    # softplus(r) = softplus(-r) + r, so that the smoothed label costs one linear term.
    on_real = tf.math.softplus(-real) + label_smoothing * real
    return tf.reduce_mean(on_real) + tf.reduce_mean(tf.math.softplus(fake))


def minimax(fake):
    """E[log(1 - D(G(z)))], the generator's side of the two-player game.

    Its gradient by a logit is -D, which vanishes where the discriminator sees through the sample.

    Args:
      fake: Logits of generated samples, float `[batch]`.

    Returns:
      Scalar, in nats.

    References:
      Goodfellow et al., 2014, Generative adversarial networks, arXiv:1406.2661, section 3.
    """
    return -tf.reduce_mean(tf.math.softplus(fake))


def non_saturating(fake):
    """-E[log D(G(z))]: the same fixed point as `minimax`, with gradient -(1 - D) by a logit.

    Args:
      fake: Logits of generated samples, float `[batch]`.

    Returns:
      Scalar, in nats.

    References:
      Goodfellow et al., 2014, Generative adversarial networks, arXiv:1406.2661, section 3.
    """
    return tf.reduce_mean(tf.math.softplus(-fake))


# The generator's losses by the name that a model's `loss` argument takes.
GENERATOR = {"non_saturating": non_saturating, "minimax": minimax}
