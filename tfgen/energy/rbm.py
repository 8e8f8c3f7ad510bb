"""Restricted Boltzmann machine."""

import functools

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.energy.energy_model import EnergyModel
from tfgen.energy.joint import Dense, Joint
from tfgen.energy.units import Binary, OneHot
from tfgen.space import label_or_vector

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
class RBM(EnergyModel):
    """Restricted Boltzmann machine of binary units.

    p(v, h) = exp(-E(v, h)) / Z with the energy E(v, h) = -b . v - c . h - v W h.
    With labels y, one-hot units of their own, E(v, y, h) = E(v, h) - d . y - y U h, `log_prob(v, y)` is
    -F(v, y), `classify` is p(y | v) and a sample is drawn given its label. With centring,
    E(v, h) = -b . v - c . h - (v - m) W (h - 1/2), m the data's mean.

    p(h | v) and p(v | h) are products of Bernoullis, so Gibbs sampling takes all hidden, then all visible
    units at once. F(v) = -log sum_h exp(-E(v, h)) = -b . v - sum_j softplus(c_j + (v W)_j) is the free
    energy; `log_prob` is -F(v), short of log p(v) by log Z (`log_partition`). Energies are float32 under
    every dtype policy.

    Args:
      event_shape: Shape of one v.
      num_hidden: Number of hidden units.
      condition: "none", or "label" for label units.
      num_classes: Number of labels.
      label_weight: From 0, where labels are modelled as v is, to 1, where the loss is -log p(y | v) alone;
        it is mixed in between.
      centring: Whether W couples deviations of v and h from their offsets.
      **kwargs: Arguments of `EnergyModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Smolensky, "Harmony theory", 1986. Hinton, "Training products of experts by minimizing contrastive
      divergence", 2002. Tieleman, "Training restricted Boltzmann machines using approximations to the
      likelihood gradient", 2008. Hinton, "A practical guide to training RBMs", 2010. Larochelle & Bengio,
      "Classification using discriminative restricted Boltzmann machines", 2008. Montavon & Mueller, "Deep
      Boltzmann machines and the centering trick", 2012.
    """

    def __init__(
        self,
        event_shape,
        num_hidden=128,
        condition="none",
        num_classes: int | None = None,
        label_weight=0.0,
        centring=False,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.num_hidden = checks.whole("num_hidden", num_hidden)
        self.condition = label_or_vector(
            checks.one_of("condition", condition, ("none", "label")), num_classes
        )
        self.label_weight = checks.number("label_weight", label_weight, at_least=0.0, at_most=1.0)
        if label_weight and self.condition is None:
            raise ValueError(f"label_weight={label_weight} needs labels: give condition='label'.")
        # autocast=False: a difference of energies means nothing in bfloat16.
        add = functools.partial(self.add_weight, autocast=False)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = add((self.num_visible, num_hidden), small, name="kernel")
        self.visible_bias = add((self.num_visible,), "zeros", name="visible_bias")
        self.hidden_bias = add((num_hidden,), "zeros", name="hidden_bias")
        # The independent units that chains, AIS and noise-contrastive estimation start from.
        self.base_logits = add((self.num_visible,), "zeros", trainable=False, name="base_logits")
        self.visible_offset = self.hidden_offset = None
        if centring:
            half = {"initializer": keras.initializers.Constant(0.5), "trainable": False}
            self.visible_offset = add((self.num_visible,), **half, name="visible_offset")
            self.hidden_offset = add((num_hidden,), **half, name="hidden_offset")
        units = {
            "v": Binary(self.visible_bias, self.base_logits, self.visible_offset),
            "h": Binary(self.hidden_bias, offset=self.hidden_offset),
        }
        couplings, visible = [Dense("v", "h", self.kernel)], ["v"]
        if self.condition is not None:
            self.label_kernel = add((num_classes, num_hidden), small, name="label_kernel")
            self.label_bias = add((num_classes,), "zeros", name="label_bias")
            self.base_labels = add((num_classes,), "zeros", trainable=False, name="base_labels")
            units["y"] = OneHot(self.label_bias, self.base_labels)
            couplings.append(Dense("y", "h", self.label_kernel))
            visible.append("y")
        self.couple(Joint(units, couplings), visible)
        self.filters = self.kernel

    def hidden_logits(self, v, y=None):
        """c + v W: log odds of each hidden unit, `[..., hidden]` for flat v `[..., visible]`; + y U."""
        return self.joint.units["h"].logits(self.joint.field("h", {"v": v} | ({} if y is None else {"y": y})))

    def visible_logits(self, h):
        """b + W h: log odds of each visible unit, `[..., visible]` for h `[..., hidden]`."""
        return self.joint.units["v"].logits(self.joint.field("v", {"h": h}))

    def posterior(self, x, condition=None):
        """p(h | x), of a model with labels p(h | x, y): a TFP distribution over h `[hidden]` for each x."""
        observed = self.observed(self.space.check(x), self.check_condition(condition))
        logits = self.hidden_logits(**observed)
        return tfd.Independent(tfd.Bernoulli(logits, dtype=tf.float32), 1)

    def likelihood(self, h):
        """p(v | h), a TFP distribution over v `event_shape` for each h `[batch, hidden]`."""
        logits = tf.reshape(self.visible_logits(tf.cast(h, tf.float32)), [-1, *self.event_shape])
        return tfd.Independent(tfd.Bernoulli(logits, dtype=tf.float32), len(self.event_shape))

    def energy(self, v, h, y=None):
        """E(v, h) = -b . v - c . h - v W h, float32 `[batch]`; of a model with labels E(v, y, h).

        Args:
          v: `[batch, *event_shape]`.
          h: `[batch, hidden]`.
          y: One-hot labels `[batch, classes]`.
        """
        return self.energy_of({"v": v, "h": h} | ({} if y is None else {"y": y}))
