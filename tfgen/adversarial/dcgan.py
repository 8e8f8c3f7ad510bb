"""Deep convolutional GAN.

References:
  Radford, Metz & Chintala, 2015, Unsupervised representation learning with deep convolutional
  generative adversarial networks, arXiv:1511.06434.
"""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.adversarial.players import AdversarialModel
from tfgen.networks.adversarial import conv_discriminator, conv_generator


@keras.saving.register_keras_serializable("tfgen")
class DCGAN(AdversarialModel):
    """All-convolutional GAN with batch norm in both players, for pictures of any size from 4x4.

    The paper trains with Adam at 2e-4 and beta_1 = 0.5. Samples and the served signatures use the
    moving statistics of batch norm.

    Args:
      event_shape: (height, width, channels) of one picture in [-1, 1].
      base_filters: Filters at half the picture's size; they double as resolution halves.
      kernel_size: Side of the kernels.
      latent_size: Size of the latent vector z.
      generator: Keras layer from `[batch, latent_size]` to `[batch, *event_shape]`; None for transposed
        convolutions of stride 2.
      discriminator: Keras layer from `[batch, *event_shape]` to logits `[batch, 1]`; None for convolutions of
        stride 2.
      **kwargs: As `AdversarialModel`.

    Raises:
      ValueError: If `event_shape` is not that of a picture of 4x4 or more; as `AdversarialModel`.
    """

    jit_updates = False

    def __init__(
        self,
        event_shape,
        base_filters=64,
        kernel_size=4,
        latent_size=64,
        generator: keras.layers.Layer | None = None,
        discriminator: keras.layers.Layer | None = None,
        **kwargs,
    ):
        shape = checks.shape("event_shape", event_shape)
        if len(shape) != 3 or min(shape[:2]) < 4:
            raise ValueError(
                "event_shape must be (height, width, channels) with sides of 4 or more, got "
                f"{shape}; for other shapes use GAN."
            )
        base_filters = checks.whole("base_filters", base_filters)
        kernel_size = checks.whole("kernel_size", kernel_size)
        latent_size = checks.whole("latent_size", latent_size)
        dtype = kwargs.get("dtype")
        if generator is None:
            generator = conv_generator(shape, latent_size, base_filters, kernel_size, dtype)
        if discriminator is None:
            discriminator = conv_discriminator(shape, base_filters, kernel_size, dtype)
        super().__init__(shape, generator, discriminator, latent_size, **kwargs)

    def combine(self, plus, minus, base):
        """G(mean(plus) - mean(minus) + mean(base)): arithmetic on what pictures show, section 6.3.2.

        Args:
          plus: Latent vectors `[any, latent_size]` of pictures that show one thing with a trait.
          minus: Latent vectors of the same thing without it.
          base: Latent vectors of another thing, to which the trait is given.

        Returns:
          float32 `event_shape`.
        """
        plus, minus, base = (tf.reduce_mean(z, axis=0) for z in (plus, minus, base))
        return self.generate((plus - minus + base)[None])[0]
