"""PixelVAE: latent variables for what is global, an autoregressive likelihood of the pixels for the rest."""

import dataclasses
import math

import keras
import tensorflow as tf

from tfgen import checks, random
from tfgen.autoregressive.pixels.gated_pixel_cnn import GatedPixelCNN
from tfgen.distributions.draw import draw
from tfgen.model import View
from tfgen.networks.default import convolutional_decoder, default_encoder
from tfgen.variational.distributions import (
    checked_distributions,
    make_posterior,
    make_prior,
    posterior_of,
    prior_of,
)
from tfgen.variational.latent_variable import LatentVariableModel

# Rows and columns of the picture of what z leaves to the pixels.
_SHOWN, _EACH = 6, 8
# Most features that are computed at a time to evaluate a bound.
_FEATURES = 1 << 26


@keras.saving.register_keras_serializable("tfgen")
class PixelVAE(LatentVariableModel):
    """PixelVAE (Gulrajani et al. 2016): p(x) = E over p(z) of prod_i p(x_i | x_<i, z).

    A decoder makes of z a map of features; p(x | z) is a GatedPixelCNN whose every pixel is told the features
    that stand there. Its few layers see what is near; what is far apart they can only know by z, which keeps
    z in use. With features of 0 it is that GatedPixelCNN without z.

    Trained on the ELBO by q(z | x), as a VAE. What `decode` returns has each pixel's mode in turn, given
    those before it, for there is no mean in closed form.

    Args:
      event_shape: (rows, columns, channels).
      latent_size: Number of latent variables.
      hidden: Sizes of the encoder's dense hidden layers, reversed in the decoder.
      filters: Channels of the encoder's stride-2 convolutions, reversed in the decoder.
      activation: Activation of hidden layers of both.
      posterior: q(z | x), as VAE's.
      posterior_size: Size of the encoder's output, for a posterior of one's own.
      prior: p(z), as VAE's.
      features: Features of each pixel that the decoder makes.
      pixel_filters: Features of each stack of the GatedPixelCNN and of its last hidden layer.
      pixel_layers: Number of its layers.
      kernel_size: Odd kernel size of all of these but the first.
      first_kernel_size: Odd kernel size of the first.
      num_values: Number of levels of an entry; 2 for binary images.
      **kwargs: Arguments of `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Gulrajani, Kumar, Ahmed, Taiga, Visin, Vazquez & Courville, "PixelVAE: a latent variable model for
      natural images", ICLR 2017, arXiv:1611.05013.
    """

    jit_updates = False
    jit_sampler = True

    def __init__(
        self,
        event_shape,
        latent_size=32,
        hidden=(256,),
        filters=(32, 64),
        activation="relu",
        posterior="diagonal",
        posterior_size: int | None = None,
        prior="normal",
        features=16,
        pixel_filters=32,
        pixel_layers=3,
        kernel_size=3,
        first_kernel_size=5,
        num_values=2,
        **kwargs,
    ):
        super().__init__(checks.image_shape(event_shape), **kwargs)
        self.num_values = checks.whole("num_values", num_values, at_least=2)
        self.latent_shape = (checks.whole("latent_size", latent_size),)
        policy, size = self.dtype_policy, (*self.event_shape[:2], checks.whole("features", features))
        self._posterior, code = make_posterior(posterior, latent_size, posterior_size)
        self._prior = make_prior(prior, latent_size, self.event_shape)
        self.encoder = default_encoder("conv", self.event_shape, code, hidden, filters, activation, policy)
        self.decoder = convolutional_decoder(
            latent_size, hidden[::-1], filters[::-1], size, activation, policy, "decoder"
        )
        self.pixels = GatedPixelCNN(
            self.event_shape,
            filters=checks.whole("pixel_filters", pixel_filters),
            num_layers=checks.whole("pixel_layers", pixel_layers, at_least=2),
            head=pixel_filters,
            kernel_size=kernel_size,
            first_kernel_size=first_kernel_size,
            num_values=num_values,
            condition="image",
            condition_size=features,
            dtype=policy,
            name="pixels",
        )
        self.check_objective(*checked_distributions(self)[:2])

    @property
    def latent_size(self):
        """Number of latent variables."""
        return self.latent_shape[0]

    def prior(self, condition=None):
        """p(z), a TFP distribution over `[latent_size]`."""
        del condition
        return prior_of(self._prior, self.latent_size, self.posterior, self.space.value_range)

    def posterior(self, x, condition=None):
        """q(z | x), a TFP distribution over z for each x of `[batch, *event_shape]`."""
        del condition
        x = tf.convert_to_tensor(x, tf.float32) * (2.0 / (self.num_values - 1)) - 1.0
        return posterior_of(self._posterior, tf.cast(self.encoder(x), tf.float32))

    def features_of(self, z):
        """What each pixel is told, float32 `[..., rows, columns, features]`, of z `[..., latent_size]`."""
        features = tf.cast(self.decoder(tf.reshape(z, [-1, self.latent_size])), tf.float32)
        found = tf.reshape(features, tf.concat([tf.shape(z)[:-1], features.shape[1:]], axis=0))
        return tf.ensure_shape(found, [*z.shape[:-1], *features.shape[1:]])

    def likelihood(self, z, condition=None):
        """p(x | z), the distribution of the GatedPixelCNN told of each z of `[..., latent_size]`."""
        del condition
        return self.pixels.distribution(self.features_of(tf.convert_to_tensor(z, tf.float32)))

    def rows_at_once(self, split):
        """So many that a layer's features, of 128 samples of z for each x, take 256 MB at most."""
        features = 2 * self.pixels.stack[0].filters * math.prod(self.event_shape[:2])
        return max(1, min(super().rows_at_once(split), _FEATURES // (128 * features)))

    def views(self, data, num, seed):
        """Adds "pixels": several samples of p(x | z) for each z, which show what z leaves to the pixels."""
        shown = super().views(data, num, seed)
        if "mean" in shown:
            title = "modes of p(x | z), pixel after pixel, behind the samples"
            shown["mean"] = dataclasses.replace(shown["mean"], title=title)

        @tf.function(autograph=False)
        def draw_each(seeds, noise):
            z = tf.repeat(self.draw_prior(seeds), _EACH, axis=0)
            return draw(self.likelihood(z), noise)

        latent, observed = random.split(seed)
        x = draw_each(random.rows(latent, _SHOWN), random.rows(observed, _SHOWN * _EACH))
        x = tf.reshape(x, [_SHOWN, _EACH, *self.event_shape])
        shown["pixels"] = View(x, "rows", title="samples of p(x | z), a row for each z")
        return shown
