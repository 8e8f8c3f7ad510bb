"""Nets of binary layers that generate, with nets that recognize: what Helmholtz machines and SBNs share."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.distributions.draw import draw
from tfgen.distributions.laws import Bernoulli
from tfgen.random import split
from tfgen.variational.belief_layers import BeliefLayers
from tfgen.variational.latent_variable import LatentVariableModel

tfd = tfp.distributions


class BeliefNet(LatentVariableModel):
    """Sigmoid belief net of binary layers x = h_0, h_1, ..., h_L, with a recognition net.

    It generates from the top: p(x, h) = p(h_L) prod_l p(h_{l-1} | h_l), and recognizes from below:
    q(h | x) = prod_l q(h_l | h_{l-1}). Each conditional is a product of Bernoullis whose log odds are affine
    in the layer given; the recognition net reads x less the mean of the data. z is (h_1, ..., h_L) side by
    side.

    Args:
      event_shape: Shape of one x.
      hidden: Units of h_1, ..., h_L.
      bound: The bound that is reported, "elbo" or "iwae".
      num_samples: Samples of h for each x in training, K.
      name: Keras name.
      dtype: Keras dtype policy.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, event_shape, hidden, bound, num_samples, /, name=None, dtype=None):
        super().__init__(event_shape, objective=bound, num_samples=num_samples, name=name, dtype=dtype)
        hidden = checks.sizes("hidden", hidden)
        if not hidden:
            raise ValueError(f"hidden must hold a layer or more, got {hidden}.")
        self.num_visible, self.latent_shape = math.prod(self.event_shape), (sum(hidden),)
        sizes = (self.num_visible, *hidden)
        self.generator = BeliefLayers(sizes, "down", name="generator")
        self.recognition = BeliefLayers(sizes, "up", name="recognition")
        options = {"initializer": "zeros", "autocast": False}
        self.top_logits = self.add_weight(shape=sizes[-1:], name="top_logits", **options)
        self.center = self.add_weight(shape=sizes[:1], trainable=False, name="center", **options)

    def begin(self, batch, seed):
        """Starts the visible biases at the data's log odds of 1; the recognition net is told their mean."""
        x = np.asarray(batch["x"], np.float64).reshape(-1, self.num_visible)
        self.center.assign(x.mean(0))
        ones = x.sum(0)
        self.generator.biases[0].assign(np.log(ones + 1.0) - np.log(len(x) - ones + 1.0))

    def prior(self, condition=None):
        """p(h_1, ..., h_L), drawn from the top."""
        del condition
        return self.generator.beginning(self.top_logits.value)

    def posterior(self, x, condition=None):
        """q(h_1, ..., h_L | x), drawn from below."""
        del condition
        return self.recognition.following(self.read(x))

    def likelihood(self, z, condition=None):
        """p(x | h_1), of z `[..., sum_l n_l]`, whose first entries are h_1."""
        del condition
        logits = self.generator.log_odds(0, z[..., : self.generator.sizes[1]])
        logits = tf.reshape(logits, tf.concat([tf.shape(z)[:-1], self.event_shape], axis=0))
        logits = tf.ensure_shape(logits, [*z.shape[:-1], *self.event_shape])
        return tfd.Independent(Bernoulli(logits), len(self.event_shape))

    def read(self, x):
        """x as the recognition net reads it: flat, less the mean of the data, `[batch, visible]`."""
        return tf.reshape(tf.cast(x, tf.float32), [-1, self.num_visible]) - self.center.value

    def asleep(self, seed, num):
        """-log q(h | x) averaged over `num` dreams (x, h) of p, a float32 scalar in nats.

        Args:
          seed: int32 `[2]`.
          num: How many dreams.
        """
        latent, observed = split(seed)
        z = draw(self.prior(), latent, [num])
        return -tf.reduce_mean(self.posterior(draw(self.likelihood(z), observed)).log_prob(z))
