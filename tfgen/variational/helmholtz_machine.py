"""Helmholtz machine."""

import keras
import tensorflow as tf

from tfgen.model import Update
from tfgen.variational.belief_net import BeliefNet


@keras.saving.register_keras_serializable("tfgen")
class HelmholtzMachine(BeliefNet):
    """Helmholtz machine: binary layers that generate and binary layers that recognize, by wake-sleep.

    p(x, h) = p(h_L) prod_l p(h_{l-1} | h_l), q(h | x) = prod_l q(h_l | h_{l-1}), x = h_0, products of
    Bernoullis with affine log odds.

    Awake, h is recognized from data and the generating net moves along grad log p(x, h). Asleep, x and h are
    dreamt by the generating net and the recognition net moves along grad log q(h | x). So p follows the
    gradient of the ELBO, while q comes near p(h | x) in KL(p(h | x) || q(h | x)) on dreams: no bound of log
    p(x) is followed by both, and none needs samples to be differentiated.

    Args:
      event_shape: Shape of one x.
      hidden: Units of h_1, ..., h_L.
      **kwargs: `name` and `dtype`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Dayan, Hinton, Neal & Zemel, "The Helmholtz machine", Neural Computation 7, 1995. Hinton, Dayan, Frey &
      Neal, "The wake-sleep algorithm for unsupervised neural networks", Science 268, 1995.
    """

    def __init__(self, event_shape, hidden=(200, 200, 200), **kwargs):
        super().__init__(event_shape, hidden, "elbo", 1, **kwargs)

    @property
    def quantities(self):
        """Quantities of the curves of a training, whose two losses are parts of bounds only."""
        return super().quantities | {
            "wake/loss": "-log p(x, h) of data [nats]",
            "sleep/loss": "-log q(h | x) of dreams [nats]",
        }

    def updates(self):
        """The wake phase, which moves the generating net, and the sleep phase, which moves the other."""
        generating = [*self.generator.trainable_variables, self.top_logits]
        return [
            Update("wake", self.wake, generating),
            Update("sleep", self.sleep, self.recognition.trainable_variables, share_batch=True),
        ]

    def wake(self, batch, seed, step):
        """-log p(x, h) of data, h drawn from q(h | x); as `Update`."""
        del step
        drawn = self.drawn(batch["x"], seed)
        loss = -tf.reduce_mean(drawn.log_likelihood + drawn.log_prior)
        return loss, self.terms_of(drawn) | {"loss": loss}

    def sleep(self, batch, seed, step):
        """-log q(h | x) of as many dreams as there are data; as `Update`."""
        del step
        return self.asleep(seed, tf.shape(batch["x"])[0]), {}
