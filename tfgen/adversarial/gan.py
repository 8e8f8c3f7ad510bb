"""Generative adversarial network.

References:
  Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville & Bengio, 2014, Generative
  adversarial networks, arXiv:1406.2661.
"""

import keras

from tfgen import checks
from tfgen.adversarial.players import AdversarialModel
from tfgen.networks.default import mlp


@keras.saving.register_keras_serializable("tfgen")
class GAN(AdversarialModel):
    """Original GAN: both players are dense networks.

    The generator has ReLUs, and tanh at the end for pictures; the discriminator leaky ReLUs of slope 0.2.

    Args:
      event_shape: Shape of one x; pictures are in [-1, 1], vectors are any reals.
      hidden: Units of each hidden layer, of the generator and, reversed, of the discriminator.
      latent_size: Size of the latent vector z.
      generator: Keras layer from `[batch, latent_size]` to `[batch, *event_shape]`; None for dense layers.
      discriminator: Keras layer from `[batch, *event_shape]` to logits `[batch, 1]`; None for dense layers.
      **kwargs: As `AdversarialModel`.

    Raises:
      ValueError: As `AdversarialModel`.
    """

    def __init__(
        self,
        event_shape,
        hidden=(128, 128),
        latent_size=64,
        generator: keras.layers.Layer | None = None,
        discriminator: keras.layers.Layer | None = None,
        **kwargs,
    ):
        shape = checks.shape("event_shape", event_shape)
        hidden = checks.sizes("hidden", hidden)
        latent_size = checks.whole("latent_size", latent_size)
        dtype = kwargs.get("dtype")
        if generator is None:
            generator = mlp((latent_size,), hidden, shape, "relu", dtype, "generator")
            last = "linear" if len(shape) == 1 else "tanh"
            generator.add(keras.layers.Activation(last, dtype="float32"))
        if discriminator is None:
            discriminator = mlp(shape, hidden[::-1], (1,), "leaky_relu", dtype, "discriminator")
        super().__init__(shape, generator, discriminator, latent_size, **kwargs)
