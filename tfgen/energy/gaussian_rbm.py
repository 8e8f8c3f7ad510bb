"""Restricted Boltzmann machine of real visible and binary hidden units."""

import functools

import keras

from tfgen import checks
from tfgen.energy.energy_model import EnergyModel
from tfgen.energy.joint import Dense, Joint
from tfgen.energy.units import Binary, Gaussian


@keras.saving.register_keras_serializable("tfgen")
class GaussianBernoulliRBM(EnergyModel):
    """Gaussian-Bernoulli restricted Boltzmann machine, for real x, with learned variances.

    p(v, h) = exp(-E(v, h)) / Z, E(v, h) = sum_i (v_i - b_i)^2 / (2 s_i^2) - c . h - (v / s^2) W h. Then
    v | h ~ N(b + W h, s^2), h_j = 1 with probability sigmoid(c_j + ((v / s^2) W)_j), and `log_prob` is
    -F(v) = -sum_i (v_i - b_i)^2 / (2 s_i^2) + sum_j softplus(c_j + ((v / s^2) W)_j). log s^2 is learned. With
    centring, W couples (v - m) / s^2 and h - 1/2, m the data's mean.

    Training starts at the means and variances of the data. Vectors of tables and arrays have mean 0 and
    deviation 1 by themselves, pictures stand in [0, 1]; of natural images whitened patches give local,
    oriented weights.

    Args:
      event_shape: Shape of one v.
      num_hidden: Number of hidden units.
      learn_variance: Whether variances are learned; else they stay those of the data.
      centring: Whether W couples deviations of v and h from their offsets.
      **kwargs: Arguments of `EnergyModel`; those estimators that flip binary units are not for this one.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006. Hinton, "A
      practical guide to training RBMs", 2010. Cho, Ilin & Raiko, "Improved learning of Gaussian-Bernoulli
      restricted Boltzmann machines", 2011. Montavon & Mueller, "Deep Boltzmann machines and the centering
      trick", 2012.
    """

    values = "real"
    quantities = {"loss": "mean squared reconstruction error", "reconstruction_error": None}  # noqa: RUF012

    def __init__(self, event_shape, num_hidden=64, learn_variance=True, centring=False, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.num_hidden = checks.whole("num_hidden", num_hidden)
        # autocast=False: a difference of energies means nothing in bfloat16.
        add = functools.partial(self.add_weight, autocast=False)
        size = (self.num_visible,)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = add((self.num_visible, num_hidden), small, name="kernel")
        self.visible_mean = add(size, "zeros", name="visible_mean")
        self.log_variance = add(size, "zeros", trainable=bool(learn_variance), name="log_variance")
        self.hidden_bias = add((num_hidden,), "zeros", name="hidden_bias")
        # The independent units that chains, AIS and noise-contrastive estimation start from.
        self.base_mean = add(size, "zeros", trainable=False, name="base_mean")
        self.base_log_variance = add(size, "zeros", trainable=False, name="base_log_variance")
        base = self.base_mean, self.base_log_variance
        self.visible_offset = self.hidden_offset = None
        if centring:
            half = keras.initializers.Constant(0.5)
            self.visible_offset = add(size, "zeros", trainable=False, name="visible_offset")
            self.hidden_offset = add((num_hidden,), half, trainable=False, name="hidden_offset")
        units = {
            "v": Gaussian(self.visible_mean, self.log_variance, base, self.visible_offset),
            "h": Binary(self.hidden_bias, offset=self.hidden_offset),
        }
        self.couple(Joint(units, [Dense("v", "h", self.kernel)]))
        self.filters = self.kernel

    def energy(self, v, h):
        """E(v, h), float32 `[batch]`, of v `[batch, *event_shape]` and h `[batch, hidden]`."""
        return self.energy_of({"v": v, "h": h})
