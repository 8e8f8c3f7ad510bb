"""Variational autoencoder."""

import keras

from tfgen.variational.encoder_decoder import EncoderDecoder


@keras.saving.register_keras_serializable("tfgen")
class VAE(EncoderDecoder):
    """Variational autoencoder: p(x) = E over p(z) of p(x | z), trained on a bound of log p(x) by q(z | x).

    z ~ p(z), x ~ p(x | z) by a decoder, q(z | x) by an encoder; log p(x) >= E_q log p(x | z) - KL(q(z | x) ||
    p(z)). Other priors, posteriors, likelihoods and objectives are arguments.

    Args:
      event_shape: Shape of one x.
      latent_size: Number of latent variables.
      posterior: q(z | x): Gaussian of "diagonal" or "full" covariance; "logistic"; for z above 0 "lognormal"
        and "exponential"; "mixture" (4 Gaussians, samples of each); "planar" (4 flows); "iaf" (2 inverse
        autoregressive flows); a registered function of the encoder's output `[..., posterior_size]` to a
        reparameterized TFP distribution; or a Keras layer, built on `(None, latent_size)`, whose
        `distribution(raw)` returns one.
      posterior_size: Size of the encoder's output, for a posterior of one's own.
      **kwargs: Arguments of `EncoderDecoder` and `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Kingma & Welling, "Auto-encoding variational Bayes", 2013, arXiv:1312.6114. Rezende, Mohamed
      & Wierstra, 2014, arXiv:1401.4082.
    """

    def __init__(
        self, event_shape, latent_size=16, posterior="diagonal", posterior_size: int | None = None, **kwargs
    ):
        super().__init__(event_shape, posterior, posterior_size, latent_size=latent_size, **kwargs)
