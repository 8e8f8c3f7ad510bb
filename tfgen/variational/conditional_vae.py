"""Conditional variational autoencoder."""

import keras

from tfgen.space import label_or_vector
from tfgen.variational.encoder_decoder import EncoderDecoder


@keras.saving.register_keras_serializable("tfgen")
class ConditionalVAE(EncoderDecoder):
    """Conditional variational autoencoder: p(x | c) = E over p(z) of p(x | z, c), by q(z | x, c).

    The label or vector c stands beside x before the encoder and beside z before the decoder, so that z tells
    what c does not: log p(x | c) >= E_q log p(x | z, c) - KL(q(z | x, c) || p(z)).

    Args:
      event_shape: Shape of one x.
      condition: "label" or "vector".
      num_classes: Number of labels, or a tuple of k numbers for k labels at once.
      condition_size: Length of the vector.
      posterior: q(z | x, c), as `VAE` takes q(z | x).
      posterior_size: Size of the encoder's output, for a posterior of one's own.
      **kwargs: Arguments of `EncoderDecoder` and `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Sohn, Lee & Yan, "Learning structured output representation using deep conditional generative models",
      NIPS 2015. Kingma, Rezende, Mohamed & Welling, 2014, arXiv:1406.5298 (M2 with labels that are known).
    """

    def __init__(
        self,
        event_shape,
        condition="label",
        num_classes: int | None = None,
        condition_size: int | None = None,
        posterior="diagonal",
        posterior_size: int | None = None,
        **kwargs,
    ):
        told = label_or_vector(condition, num_classes, condition_size)
        if told is None:
            raise ValueError("condition must be 'label' or 'vector', got 'none': without one it is a VAE.")
        super().__init__(event_shape, posterior, posterior_size, told, **kwargs)
