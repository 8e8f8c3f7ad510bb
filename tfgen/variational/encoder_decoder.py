"""Latent variable models with a vector z between an encoder and a decoder: `EncoderDecoder`."""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks, random
from tfgen.distributions.draw import draws_are_ours
from tfgen.networks.default import default_decoder, default_encoder
from tfgen.variational.distributions import (
    checked_distributions,
    make_likelihood,
    make_posterior,
    make_prior,
    posterior_of,
    prior_of,
    values_under,
)
from tfgen.variational.latent_variable import LatentVariableModel

tfd = tfp.distributions


class EncoderDecoder(LatentVariableModel):
    """p(x | z) by a decoder and q(z | x) by an encoder, z a vector: what models of one such layer share.

    A network turns x, with the condition beside it, into the raw parameters of q(z | x), and another z, with
    the condition, into those of p(x | z); `tfgen.variational.distributions` makes TFP distributions of them.
    Where a distribution or network of the user's own takes part, XLA is left off by default.

    Args:
      event_shape: Shape of one x.
      posterior: q(z | x), as `make_posterior` takes it.
      posterior_size: Size of the encoder's output, for a posterior of one's own; None else.
      condition: `Condition`, or None.
      latent_size: Number of latent variables.
      hidden: Sizes of the encoder's dense hidden layers, reversed in the decoder; () is affine.
      network: "mlp", or "conv" for images.
      filters: Channels of the stride-2 convolutions for network "conv", reversed in the decoder.
      activation: Activation of hidden layers.
      likelihood: p(x | z), of each entry of x for itself: "bernoulli", "continuous_bernoulli" (x in [0, 1]),
        "categorical" and "discretized_logistic" (levels without and with an order), "gaussian" (a learned
        variance for each entry, standard deviations from 1e-4 on), "logistic_mixture" (of the channels of a
        pixel), or a registered function of the decoder's output `[..., *event_shape, likelihood_size]` to a
        TFP distribution.
      num_values: Number of levels of the data; None takes 2 for Bernoulli, else 256. For a likelihood of
        one's own None makes x real; Gaussian takes any data as real values, continuous Bernoulli as shares
        of the highest level.
      likelihood_size: Outputs of the decoder for each entry of x, for a likelihood of one's own.
      num_logistics: Components of "logistic_mixture".
      prior: p(z): "normal", "mixture" (10 learned Gaussians), "vamp" (posteriors of 50 pseudo-inputs),
        "flow" (4 affine couplings), "autoregressive"; for z above 0 "lognormal" and "exponential"; a
        registered function of latent_size to a TFP distribution; or a Keras layer, built on `(None,
        latent_size)`, whose `distribution()` returns one.
      encoder: A Keras layer from x, levels scaled to [-1, 1], to the posterior's raw parameters.
      decoder: A Keras layer from z to the likelihood's raw parameters.
      **kwargs: Arguments of `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(
        self,
        event_shape,
        posterior,
        posterior_size=None,
        condition=None,
        /,
        latent_size=16,
        hidden=(512,),
        network="mlp",
        filters=(32, 64),
        activation="relu",
        likelihood="bernoulli",
        num_values: int | None = None,
        likelihood_size: int | None = None,
        num_logistics=5,
        prior="normal",
        encoder: keras.layers.Layer | None = None,
        decoder: keras.layers.Layer | None = None,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        self.condition = condition
        self.latent_shape = (checks.whole("latent_size", latent_size),)
        channels = self.event_shape[-1] if len(self.event_shape) == 3 else None
        self._law, size, self.num_values = make_likelihood(
            likelihood, num_values, likelihood_size, channels, num_logistics
        )
        self.values = values_under(self._law, self.num_values)
        self._posterior, code = make_posterior(posterior, latent_size, posterior_size)
        self._prior = make_prior(prior, latent_size, self.event_shape)
        if getattr(self._prior, "of_posterior", False) and (condition or posterior in ("iaf", "planar")):
            raise ValueError(
                f"prior={prior!r} is made of posteriors of x alone whose density is known at every z, which "
                f"{'a condition' if condition else f'posterior={posterior!r}'} does not give: take another."
            )
        self.network = network
        options = (hidden, filters, activation, self.dtype_policy)
        width = 0 if condition is None else condition.width
        self.encoder = encoder or default_encoder(network, self._input_shape(width), code, *options)
        # A law of all channels of a pixel has one place for them.
        together = likelihood == "logistic_mixture"
        outputs = (*self.event_shape[:-1], 1, size) if together else (*self.event_shape, size)
        self._raw_shape = (*self.event_shape[:-1], size) if together else outputs
        self.decoder = decoder or default_decoder(network, latent_size + width, outputs, *options)
        parts = checked_distributions(self)
        self.check_objective(*parts[:2])
        ours = all(draws_are_ours(distribution) for distribution in parts)
        self.jit_updates = ours and network == "mlp" and encoder is decoder is None

    @property
    def latent_size(self):
        """Number of latent variables."""
        return self.latent_shape[0]

    def _input_shape(self, width):
        """Shape of what the encoder reads: x, with a condition of so many features beside it."""
        if not width:
            return self.event_shape
        if self.network == "conv" and len(self.event_shape) == 3:
            return (*self.event_shape[:-1], self.event_shape[-1] + width)
        return (math.prod(self.event_shape) + width,)

    def read(self, x, condition=None):
        """x as the encoder reads it, levels scaled to [-1, 1], and the condition beside it.

        For network "conv" the condition's features are channels that are the same in every pixel, for "mlp"
        they follow the entries of x.

        Args:
          x: `[batch, *event_shape]`.
          condition: `[batch, *condition.shape]`, for a conditional model.
        """
        x = tf.convert_to_tensor(x, tf.float32)
        if self.values == "levels":
            x = x * (2.0 / (self.num_values - 1)) - 1.0
        elif self.values == "unit":
            x = 2.0 * x - 1.0
        if condition is None:
            return x
        told = self.condition.features(condition)
        shape = self._input_shape(told.shape[-1])
        if len(shape) == 1:
            return tf.concat([tf.reshape(x, [-1, math.prod(self.event_shape)]), told], axis=-1)
        maps = tf.broadcast_to(told[:, None, None], tf.concat([tf.shape(x)[:-1], told.shape[-1:]], axis=0))
        return tf.concat([x, maps], axis=-1)

    def prior(self, condition=None):
        """p(z), a TFP distribution over `[latent_size]`, whatever the condition."""
        del condition
        return prior_of(self._prior, self.latent_size, self.posterior, self.space.value_range)

    def begin(self, batch, seed):
        """Starts the pseudo-inputs of a prior of posteriors at examples of the training data."""
        if getattr(self._prior, "of_posterior", False):
            num = self._prior.num_components
            rows = random.uniform(seed, [num]) * tf.cast(tf.shape(batch["x"])[0], tf.float32)
            x = tf.gather(batch["x"], tf.cast(rows, tf.int32))
            self._prior.start_from(x, *self.space.value_range)

    def posterior(self, x, condition=None):
        """q(z | x), a TFP distribution over z for each x of `[batch, *event_shape]`."""
        raw = tf.cast(self.encoder(self.read(x, condition)), tf.float32)
        return posterior_of(self._posterior, raw)

    def likelihood(self, z, condition=None):
        """p(x | z), a TFP distribution over x for each z of `[..., latent_size]`."""
        z = tf.convert_to_tensor(z, tf.float32)
        rows = tf.shape(z)[:-1]
        if condition is not None:
            told = self.condition.features(condition)
            z = tf.concat([z, tf.broadcast_to(told, tf.concat([rows, told.shape[-1:]], axis=0))], axis=-1)
        raw = tf.cast(self.decoder(tf.reshape(z, [-1, z.shape[-1]])), tf.float32)
        distribution = self._law(tf.reshape(raw, tf.concat([rows, self._raw_shape], axis=0)))
        apart = len(self.event_shape) - distribution.event_shape.rank
        return tfd.Independent(distribution, apart) if apart else distribution
