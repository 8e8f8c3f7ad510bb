"""General Boltzmann machine."""

import functools

import keras

from tfgen import checks
from tfgen.energy.energy_model import EnergyModel
from tfgen.energy.joint import MOST_STATES, Dense, Joint, Within
from tfgen.energy.units import Binary, LogOdds


@keras.saving.register_keras_serializable("tfgen")
class BoltzmannMachine(EnergyModel):
    """Boltzmann machine whose visible and hidden binary units are coupled among themselves, too.

    p(v, h) = exp(-E(v, h)) / Z, E(v, h) = -v R v - v W h - h S h - b . v - c . h, with R and S above their
    diagonals, so that each pair of units counts once. Gibbs sampling takes the units of a group that is
    coupled within one after the other. Learning is Ackley et al.'s: statistics with data clamped, where
    hidden units are inferred by mean field or by Gibbs sampling, minus those of the machine running free,
    which `estimator` draws.

    `log_prob` is -F(v) = log sum_h exp(-E(v, h)), exact without S, and by enumeration up to 20 hidden units;
    with more `density` is "unnormalized_bound" and it is the mean-field bound max_q E_q(-E) + H(q).

    Args:
      event_shape: Shape of one v.
      num_hidden: Number of hidden units.
      visible_connections: Whether visible units are coupled (R).
      hidden_connections: Whether hidden units are coupled (S).
      centring: Whether R, W and S couple deviations of v and h from their offsets, the data's mean and 1/2.
      inference: Of hidden units with S: "mean_field", or "gibbs" by `num_gibbs` sweeps with data clamped.
      **kwargs: Arguments of `EnergyModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Ackley, Hinton & Sejnowski, "A learning algorithm for Boltzmann machines", 1985. Goodfellow, Bengio &
      Courville, "Deep learning", 2016, section 20.1.
    """

    def __init__(
        self,
        event_shape,
        num_hidden=16,
        visible_connections=True,
        hidden_connections=True,
        centring=False,
        inference="mean_field",
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.num_hidden = checks.whole("num_hidden", num_hidden)
        self.inference = checks.one_of("inference", inference, ("mean_field", "gibbs"))
        # autocast=False: a difference of energies means nothing in bfloat16.
        add = functools.partial(self.add_weight, autocast=False)
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = add((self.num_visible, num_hidden), small, name="kernel")
        self.visible_bias = add((self.num_visible,), "zeros", name="visible_bias")
        self.hidden_bias = add((num_hidden,), "zeros", name="hidden_bias")
        self.base_logits = add((self.num_visible,), "zeros", trainable=False, name="base_logits")
        half = {"initializer": keras.initializers.Constant(0.5), "trainable": False}
        self.visible_offset = self.hidden_offset = None
        if centring:
            self.visible_offset = add((self.num_visible,), **half, name="visible_offset")
            self.hidden_offset = add((num_hidden,), **half, name="hidden_offset")
        within, rates = [], {}
        if visible_connections:
            self.visible_kernel = add((self.num_visible,) * 2, "zeros", name="visible_kernel")
            within.append(Within("v", self.visible_kernel))
        if hidden_connections:
            self.hidden_kernel = add((num_hidden,) * 2, small, name="hidden_kernel")
            within.append(Within("h", self.hidden_kernel))
            rates["h"] = add((num_hidden,), **half, name="hidden_rates")
            self.density = "unnormalized" if num_hidden <= MOST_STATES else "unnormalized_bound"
        units = {
            "v": Binary(self.visible_bias, self.base_logits, self.visible_offset),
            "h": Binary(self.hidden_bias, LogOdds(rates["h"]) if rates else None, self.hidden_offset),
        }
        self.couple(Joint(units, [Dense("v", "h", self.kernel)], within), rates=rates)
        self.filters = self.kernel

    def energy(self, v, h):
        """E(v, h), float32 `[batch]`, of v `[batch, *event_shape]` and h `[batch, hidden]`."""
        return self.energy_of({"v": v, "h": h})
