"""Variational autoencoder whose posterior goes through inverse autoregressive flows."""

import keras

from tfgen.variational.encoder_decoder import EncoderDecoder
from tfgen.variational.posterior_flows import InverseAutoregressiveFlows


@keras.saving.register_keras_serializable("tfgen")
class IAFVAE(EncoderDecoder):
    """Variational autoencoder with q(z | x) by inverse autoregressive flows.

    z_0 ~ N(mu(x), diag sigma(x)^2), z_t = s_t z_(t-1) + (1 - s_t) m_t, where m_t and s_t of an entry are a
    masked network's of the entries before it and of h(x); log q(z_T | x) = log N(z_0) - sum_t sum_j log s_tj.

    Args:
      event_shape: Shape of one x.
      num_flows: Number of flows T.
      flow_hidden: Hidden units of each flow's network.
      flow_context: Size of h(x).
      **kwargs: Arguments of `EncoderDecoder` and `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling, "Improving variational inference with inverse
      autoregressive flow", 2016, arXiv:1606.04934.
    """

    def __init__(self, event_shape, num_flows=2, flow_hidden=64, flow_context=16, **kwargs):
        posterior = InverseAutoregressiveFlows(num_flows, flow_hidden, flow_context)
        super().__init__(event_shape, posterior, **kwargs)
