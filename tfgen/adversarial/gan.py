"""Generative adversarial networks.

References:
  Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville & Bengio, 2014, Generative
  adversarial networks, arXiv:1406.2661.
"""

import keras

from tfgen.adversarial.players import AdversarialModel, positive_int
from tfgen.networks.mlp import mlp


@keras.saving.register_keras_serializable("tfgen")
class GAN(AdversarialModel):
    """The original GAN: both players are dense networks.

    Args:
      event_shape: Shape of one x; pictures are in [-1, 1], vectors are any reals.
      hidden: Units of each hidden layer, of the generator and, reversed, of the discriminator.
      **kwargs: As `AdversarialModel`.

    Raises:
      ValueError: As `AdversarialModel`.
    """

    def __init__(self, event_shape, hidden=(128, 128), **kwargs):
        super().__init__(event_shape, **kwargs)
        self.hidden = tuple(positive_int("hidden", n) for n in hidden)
        self.create_players()

    def make_generator(self):
        """Dense layers with ReLU; tanh at the end for pictures."""
        network = mlp(
            (self.latent_size,),
            self.hidden,
            self.event_shape,
            dtype=self.dtype_policy,
            name="generator",
        )
        last = "tanh" if self.values == "symmetric" else "linear"
        network.add(keras.layers.Activation(last, dtype="float32"))
        return network

    def make_discriminator(self):
        """Dense layers with leaky ReLU of slope 0.2, in reverse order of the generator's."""
        hidden, dtype = self.hidden[::-1], self.dtype_policy
        return mlp(self.event_shape, hidden, (1,), "leaky_relu", dtype, name="discriminator")
