"""Restricted Boltzmann machine."""

import functools

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.energy.energy_model import EnergyModel
from tfgen.energy.joint import Binary, Dense, Joint

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
class RBM(EnergyModel):
    """Restricted Boltzmann machine of binary units.

    p(v, h) = exp(-E(v, h)) / Z with the energy E(v, h) = -b . v - c . h - v W h.

    p(h | v) and p(v | h) are products of Bernoullis, so Gibbs sampling takes all hidden, then all visible
    units at once. F(v) = -log sum_h exp(-E(v, h)) = -b . v - sum_j softplus(c_j + (v W)_j) is the free
    energy; `log_prob` is -F(v), short of log p(v) by log Z (`log_partition`). Energies are float32 under
    every dtype policy.

    Args:
      event_shape: Shape of one v.
      num_hidden: Number of hidden units.
      **kwargs: Arguments of `EnergyModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Smolensky, "Harmony theory", 1986. Hinton, "Training products of experts by minimizing contrastive
      divergence", 2002. Tieleman, "Training restricted Boltzmann machines using approximations to the
      likelihood gradient", 2008. Hinton, "A practical guide to training RBMs", 2010.
    """

    def __init__(self, event_shape, num_hidden=128, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.num_hidden = checks.whole("num_hidden", num_hidden)
        # autocast=False: a difference of energies means nothing in bfloat16.
        add = functools.partial(self.add_weight, autocast=False)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = add((self.num_visible, num_hidden), small, name="kernel")
        self.visible_bias = add((self.num_visible,), "zeros", name="visible_bias")
        self.hidden_bias = add((num_hidden,), "zeros", name="hidden_bias")
        # The independent units that chains, AIS and noise-contrastive estimation start from.
        self.base_logits = add((self.num_visible,), "zeros", trainable=False, name="base_logits")
        units = {"v": Binary(self.visible_bias, self.base_logits), "h": Binary(self.hidden_bias)}
        self.couple(Joint(units, [Dense("v", "h", self.kernel)]))
        self.filters = self.kernel

    def hidden_logits(self, v):
        """c + v W: log odds of each hidden unit, `[..., hidden]` for flat v `[..., visible]`."""
        return self.joint.units["h"].logits(self.joint.field("h", {"v": v}))

    def visible_logits(self, h):
        """b + W h: log odds of each visible unit, `[..., visible]` for h `[..., hidden]`."""
        return self.joint.units["v"].logits(self.joint.field("v", {"h": h}))

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
        return -self.joint.log_prob({"v": v, "h": h})
