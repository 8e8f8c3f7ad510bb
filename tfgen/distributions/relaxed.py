"""Gumbel-softmax: discrete distributions with a temperature, whose draws are differentiable."""

import tensorflow_probability as tfp

tfd = tfp.distributions


def relaxed(distribution, temperature):
    """Gumbel-softmax, or concrete, relaxation of a discrete distribution: draws are points of the simplex.

    z = softmax((logits + g) / temperature) with Gumbel noise g, differentiable in the logits. Its largest
    entry is a draw of the discrete distribution, at any temperature; as that falls to 0, z becomes one-hot.
    For two levels z = sigmoid((logits + noise) / temperature), the noise logistic.

    Args:
      distribution: `tfd.OneHotCategorical`, `tfd.Bernoulli`, or `tfd.Independent` of either.
      temperature: Positive.

    Returns:
      `tfd.RelaxedOneHotCategorical`, `tfd.RelaxedBernoulli`, or `tfd.Independent` of either.

    Raises:
      ValueError: If there is no relaxation of the distribution.

    References:
      Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", 2016, arXiv:1611.01144.
      Maddison, Mnih & Teh, "The concrete distribution", 2016, arXiv:1611.00712.
    """
    if isinstance(distribution, tfd.Independent):
        return tfd.Independent(
            relaxed(distribution.distribution, temperature), distribution.reinterpreted_batch_ndims
        )
    for kind, relaxation in (
        (tfd.OneHotCategorical, tfd.RelaxedOneHotCategorical),
        (tfd.Bernoulli, tfd.RelaxedBernoulli),
    ):
        if isinstance(distribution, kind):
            return relaxation(temperature, logits=distribution.logits_parameter())
    raise ValueError(
        f"{type(distribution).__name__} has no relaxation: take OneHotCategorical, Bernoulli or Independent "
        "of either."
    )
