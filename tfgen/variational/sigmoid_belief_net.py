"""Sigmoid belief net by neural variational inference."""

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.estimators.gradients import (
    LearnedBaseline,
    reweighted,
    score_function,
    vimco,
    with_gradient_of,
)
from tfgen.model import Update
from tfgen.variational.belief_net import BeliefNet


@keras.saving.register_keras_serializable("tfgen")
class SigmoidBeliefNet(BeliefNet):
    """Sigmoid belief net of binary layers, trained on a bound of log p(x) by a recognition net.

    p(x, h) = p(h_L) prod_l p(h_{l-1} | h_l), q(h | x) = prod_l q(h_l | h_{l-1}), x = h_0, products of
    Bernoullis with affine log odds.

    estimator="nvil": the ELBO E_q [log p(x, h) - log q(h | x)] by the score function. The signal of layer l
    is what of the ELBO depends on it, log p(h_{l-1}, ..., h_L) - log q(h_l, ..., h_L | h_{l-1}), less a
    baseline that is learned from h_{l-1}, centered and scaled.
    estimator="vimco": E log (1/K) sum_k p(x, h_k) / q(h_k | x), each sample's baseline from the K - 1 others.
    estimator="rws" (reweighted wake-sleep): p by the gradient of that bound, q towards p(h | x) by the same
    weighted samples and by dreams of p.

    Args:
      event_shape: Shape of one x.
      hidden: Units of h_1, ..., h_L.
      estimator: "nvil", "vimco" or "rws".
      num_samples: Samples of h for each x in training, K; None for 1 with "nvil" and 5 with the others.
      baseline_hidden: Tanh units of the networks that learn the baselines, for "nvil".
      sleep_weight: Weight of the dreams, for "rws".
      **kwargs: `name` and `dtype`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Saul, Jaakkola & Jordan, "Mean field theory for sigmoid belief networks", 1996, arXiv:cs/9603102. NVIL:
      Mnih & Gregor, 2014, arXiv:1402.0030. VIMCO: Mnih & Rezende, 2016, arXiv:1602.06725. Reweighted
      wake-sleep: Bornschein & Bengio, 2015, arXiv:1406.2751.
    """

    def __init__(
        self,
        event_shape,
        hidden=(200, 200),
        estimator="vimco",
        num_samples: int | None = None,
        baseline_hidden=100,
        sleep_weight=1.0,
        **kwargs,
    ):
        checks.one_of("estimator", estimator, ("nvil", "vimco", "rws"))
        num_samples = (1 if estimator == "nvil" else 5) if num_samples is None else num_samples
        if estimator == "vimco":
            checks.whole("num_samples, of estimator='vimco',", num_samples, at_least=2)
        super().__init__(
            event_shape, hidden, "elbo" if estimator == "nvil" else "iwae", num_samples, **kwargs
        )
        self.estimator = estimator
        self.sleep_weight = checks.number("sleep_weight", sleep_weight, at_least=0)
        checks.whole("baseline_hidden", baseline_hidden)
        self.baselines = []
        if estimator == "nvil":
            read = self.generator.sizes[:-1]
            self.baselines = [
                LearnedBaseline(size, baseline_hidden, name=f"baseline_{i}") for i, size in enumerate(read)
            ]

    def updates(self):
        """One gradient step by the chosen estimator, which moves the baselines too."""
        objective = {"nvil": self.nvil, "vimco": self.vimco, "rws": self.rws}[self.estimator]
        moved = list(self.trainable_variables)
        for baseline in self.baselines:
            moved += baseline.non_trainable_variables
        return [Update(self.estimator, objective, moved, surrogate=True)]

    def nvil(self, batch, seed, step):
        """Minus the ELBO, by the score function with a signal and a baseline for each layer; as `Update`."""
        del step
        drawn = self.drawn(batch["x"], seed)
        log_p = tf.stack([drawn.log_likelihood, *drawn.prior.layer_log_probs(drawn.z)])  # [L + 1, K, batch]
        log_q = tf.stack(drawn.posterior.layer_log_probs(drawn.z))  # [L, K, batch]
        signals = tf.cumsum(log_p, reverse=True)[:-1] - tf.cumsum(log_q, reverse=True)
        given = [self.read(drawn.x), *drawn.posterior.layers(drawn.z)[:-1]]
        found = [
            baseline.centered(signal, h)
            for baseline, signal, h in zip(self.baselines, tf.unstack(signals), given, strict=True)
        ]
        reward = tf.reduce_sum(log_p, axis=0) - tf.stop_gradient(drawn.log_q)
        loss = score_function(reward, log_q, tf.stack([signal for signal, _ in found]))
        return loss + tf.add_n([fit for _, fit in found]), self._scalars(drawn)

    def vimco(self, batch, seed, step):
        """Minus the bound of K samples, by VIMCO; as `Update`."""
        del step
        drawn = self.drawn(batch["x"], seed)
        return vimco(drawn.log_likelihood + drawn.log_prior, drawn.log_q), self._scalars(drawn)

    def rws(self, batch, seed, step):
        """Minus the bound of K samples, by reweighted wake-sleep; as `Update`."""
        del step
        awake, asleep = random.split(seed)
        drawn = self.drawn(batch["x"], awake)
        loss = reweighted(drawn.log_likelihood + drawn.log_prior, drawn.log_q)
        if self.sleep_weight:
            dreams = self.asleep(asleep, tf.shape(batch["x"])[0])
            loss += with_gradient_of(0.0, self.sleep_weight * dreams)
        return loss, self._scalars(drawn)

    def _scalars(self, drawn):
        return {name: value for name, value in self.terms_of(drawn).items() if name != "loss"}
