"""Variational autoencoder whose posterior is a mixture of Gaussians."""

import keras

from tfgen import checks
from tfgen.variational.distributions import MixtureOfNormals
from tfgen.variational.encoder_decoder import EncoderDecoder


@keras.saving.register_keras_serializable("tfgen")
class MixturePosteriorVAE(EncoderDecoder):
    """Variational autoencoder with q(z | x) = sum_k pi_k(x) N(z; mu_k(x), diag sigma_k(x)^2).

    Samples are taken from every component and weighed by its share: E_q f(z) = sum_k pi_k E_{N_k} f(z). No
    component is drawn, so means and variances have reparameterized gradients and the shares exact ones; with
    objective "iwae" log (1/T) sum_t sum_k pi_k w_tk (SIWAE).

    Args:
      event_shape: Shape of one x.
      num_components: Number of Gaussians; with one it is a VAE.
      **kwargs: Arguments of `EncoderDecoder` and `LatentVariableModel`; `num_samples` is of each component.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Morningstar, Vikram, Ham, Gallagher & Dillon, "Automatic differentiation variational inference with
      mixture posteriors", 2020, arXiv:2003.01687.
    """

    def __init__(self, event_shape, num_components=4, **kwargs):
        posterior = MixtureOfNormals(checks.whole("num_components", num_components))
        super().__init__(event_shape, posterior, **kwargs)
