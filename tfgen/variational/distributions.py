"""Distributions between an encoder and a decoder: prior p(z), posterior q(z | x), likelihood p(x | z).

Each is named or a user's own. What has weights is a Keras layer whose `distribution()` is built from them;
posterior and likelihood are functions of raw outputs, of the encoder and of the decoder.
"""

import math
from typing import NamedTuple

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.distributions.laws import (
    ContinuousBernoulli,
    Gaussian,
    Law,
    Levels,
    Logistic,
    LogisticMixture,
    positive_scale,
)
from tfgen.variational.learned_priors import (
    AutoregressivePrior,
    CouplingFlowPrior,
    GaussianMixturePrior,
    VampPrior,
)
from tfgen.variational.posterior_flows import InverseAutoregressiveFlows, PlanarFlows

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
def standard_normal(latent_size):
    """N(0, 1) in each of `latent_size` dimensions."""
    return tfd.MultivariateNormalDiag(tf.zeros([latent_size]))


@keras.saving.register_keras_serializable("tfgen")
def standard_log_normal(latent_size):
    """exp of N(0, 1) in each of `latent_size` dimensions."""
    return tfd.Independent(tfd.LogNormal(tf.zeros([latent_size]), 1.0), 1)


@keras.saving.register_keras_serializable("tfgen")
def standard_exponential(latent_size):
    """Exponential of rate 1 in each of `latent_size` dimensions."""
    return tfd.Independent(tfd.Exponential(tf.ones([latent_size])), 1)


_PRIORS = {
    "normal": lambda: standard_normal,
    "mixture": GaussianMixturePrior,
    "vamp": VampPrior,
    "flow": CouplingFlowPrior,
    "autoregressive": AutoregressivePrior,
    "lognormal": lambda: standard_log_normal,
    "exponential": lambda: standard_exponential,
}


def make_prior(prior, latent_size, event_shape=None):
    """The prior named, or as given, its weights made.

    Args:
      prior: "normal", "mixture", "vamp", "flow", "autoregressive", "lognormal", "exponential", a function of
        latent_size to a TFP distribution, or a Keras layer with a method `distribution()`.
      latent_size: Number of latent variables.
      event_shape: Shape of one x, of which a `VampPrior` has some.

    Returns:
      The function or the built layer.

    Raises:
      ValueError: If `prior` is none of these.
    """
    own = "a function of latent_size or a Keras layer with a method distribution()"
    if isinstance(prior, keras.layers.Layer):
        if not callable(getattr(prior, "distribution", None)):
            raise ValueError(f"prior must be {own}, got {prior!r}.")
        if not prior.built:
            prior.build((None, *event_shape) if _of_posterior(prior) else (None, latent_size))
        return prior
    if callable(prior):
        return prior
    made = _PRIORS[checks.one_of("prior", prior, tuple(_PRIORS), own)]()
    return make_prior(made, latent_size, event_shape)


def diagonal_normal(raw):
    """Multivariate normal with diagonal covariance.

    Args:
      raw: `[..., 2 d]`: locations, then raw scales.
    """
    loc, scale = tf.split(raw, 2, axis=-1)
    return tfd.MultivariateNormalDiag(loc, positive_scale(scale))


def full_normal(raw):
    """Multivariate normal with a full covariance L L'.

    Args:
      raw: `[..., d + d (d + 1) / 2]`: locations, then the entries of L, its diagonal raw.
    """
    size = (math.isqrt(9 + 8 * raw.shape[-1]) - 3) // 2
    lower = tfp.math.fill_triangular(raw[..., size:])
    diagonal = tf.linalg.diag_part(lower)
    # Not set_diag: XLA does not compile its gradient where the batch size is not known.
    lower += tf.linalg.diag(positive_scale(diagonal) - diagonal)
    return tfd.MultivariateNormalTriL(raw[..., :size], lower)


def log_normal(raw):
    """exp of a normal distribution, each entry of z for itself.

    Args:
      raw: `[..., 2 d]`: locations, then raw scales, of log z.
    """
    loc, scale = tf.split(raw, 2, axis=-1)
    return tfd.Independent(tfd.LogNormal(loc, positive_scale(scale)), 1)


def exponential(raw):
    """Exponential distributions, each entry of z for itself.

    Args:
      raw: `[..., d]`: raw rates.
    """
    return tfd.Independent(tfd.Exponential(positive_scale(raw)), 1)


def logistic(raw):
    """Logistic distributions, each entry of z for itself.

    Args:
      raw: `[..., 2 d]`: locations, then raw scales.
    """
    loc, scale = tf.split(raw, 2, axis=-1)
    return tfd.Independent(tfd.Logistic(loc, positive_scale(scale)), 1)


class MixtureOfNormals(NamedTuple):
    """Mixture of Gaussians of diagonal covariance, as a function of raw outputs.

    Args:
      num_components: Number of Gaussians K.
    """

    num_components: int

    def __call__(self, raw):
        """`tfd.MixtureSameFamily` of raw `[..., K (1 + 2 d)]`: logits, then `diagonal_normal`'s of each."""
        logits, raw = raw[..., : self.num_components], raw[..., self.num_components :]
        each = tf.concat([tf.shape(raw)[:-1], [self.num_components, -1]], axis=0)
        size = raw.shape[-1] // self.num_components
        components = diagonal_normal(tf.ensure_shape(tf.reshape(raw, each), [*logits.shape, size]))
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)

    def size(self, latent_size):
        """Number of raw outputs for so many latent variables."""
        return self.num_components * (1 + 2 * latent_size)


# Name -> (distribution of raw outputs or a layer that has one, raw outputs for d latent variables; None where
# the distribution has a `size` that says how many).
_POSTERIORS = {
    "diagonal": lambda d: (diagonal_normal, 2 * d),
    "full": lambda d: (full_normal, d + d * (d + 1) // 2),
    "lognormal": lambda d: (log_normal, 2 * d),
    "exponential": lambda d: (exponential, d),
    "logistic": lambda d: (logistic, 2 * d),
    "mixture": lambda d: (MixtureOfNormals(4), None),
    "planar": lambda d: (PlanarFlows(4), None),
    "iaf": lambda d: (InverseAutoregressiveFlows(), None),
}


def make_posterior(posterior, latent_size, size=None):
    """The posterior named, or as given, and how many raw outputs of an encoder it reads.

    Args:
      posterior: "diagonal", "full", "lognormal", "exponential", "logistic", "mixture" (of 4 Gaussians),
        "planar" (4 flows), "iaf" (`InverseAutoregressiveFlows`), a function of raw outputs to a TFP
        distribution, or a Keras layer with a method `distribution(raw)`.
      latent_size: Number of latent variables.
      size: Number of raw outputs, for a function or layer; None for twice `latent_size`, or what the layer's
        own `size(latent_size)` says.

    Returns:
      Function of raw outputs or the built layer, number of raw outputs.

    Raises:
      ValueError: If the arguments do not fit.
    """
    own = "a function of raw outputs or a Keras layer with a method distribution(raw)"
    if isinstance(posterior, str) or not callable(posterior):
        checks.one_of("posterior", posterior, tuple(_POSTERIORS), own)
        if size is not None:
            raise ValueError(
                f"posterior_size={size} is for a posterior of your own, and posterior is {posterior!r}: "
                "leave it out."
            )
        posterior, size = _POSTERIORS[posterior](latent_size)
    if size is None:
        told = getattr(posterior, "size", None)
        size = told(latent_size) if callable(told) else 2 * latent_size
    size = checks.whole("posterior_size", size)
    if isinstance(posterior, keras.layers.Layer):
        if not callable(getattr(posterior, "distribution", None)):
            raise ValueError(f"posterior must be {own}, got {posterior!r}.")
        if not posterior.built:
            posterior.build((None, latent_size))
    return posterior, size


# Name -> law of an entry of x, of so many levels, a picture's channels and so many components.
_LIKELIHOODS = {
    "bernoulli": lambda num_values, channels, components: Levels(),
    "continuous_bernoulli": lambda num_values, channels, components: ContinuousBernoulli(),
    "categorical": lambda num_values, channels, components: Levels(num_values or 256),
    "gaussian": lambda num_values, channels, components: Gaussian(),
    "discretized_logistic": lambda num_values, channels, components: Logistic(num_values or 256),
    "logistic_mixture": lambda num_values, channels, components: LogisticMixture(
        channels, components, num_values or 256
    ),
}


def make_likelihood(likelihood, num_values=None, size=None, channels=None, num_logistics=5):
    """The law of an entry of x named, or the function given.

    Args:
      likelihood: "bernoulli", "continuous_bernoulli", "categorical", "gaussian", "discretized_logistic",
        "logistic_mixture" or a function of raw outputs to a TFP distribution.
      num_values: Number of levels of the data, None for the named law's own; "gaussian" and
        "continuous_bernoulli" take any data as real, and as shares of the highest level.
      size: Raw outputs for each entry of x, for a function; None for 1.
      channels: Channels of a pixel, which "logistic_mixture" takes together; None where there are none.
      num_logistics: Number of components, for "logistic_mixture".

    Returns:
      Law or function, raw outputs for each entry, number of levels (None for x that is not levels).

    Raises:
      ValueError: If the arguments do not fit.
    """
    if num_values is not None:
        checks.whole("num_values", num_values, at_least=2)
    if callable(likelihood):
        return likelihood, checks.whole("likelihood_size", 1 if size is None else size), num_values
    checks.one_of("likelihood", likelihood, tuple(_LIKELIHOODS), "a function")
    if size is not None:
        raise ValueError(
            f"likelihood_size={size} is for a likelihood of your own, and likelihood is {likelihood!r}: "
            "leave it out."
        )
    if likelihood == "bernoulli" and num_values not in (None, 2):
        raise ValueError(
            f"likelihood='bernoulli' takes 2 levels, got num_values={num_values}: binarize the data, or take "
            "likelihood='discretized_logistic'."
        )
    if likelihood == "logistic_mixture" and channels is None:
        raise ValueError(
            f"likelihood={likelihood!r} is of all channels of a pixel of images (height, width, channels), "
            "which this model or its event_shape does not have: take likelihood='discretized_logistic'."
        )
    components = checks.whole("num_logistics", num_logistics)
    law = _LIKELIHOODS[likelihood](num_values, channels, components)
    return law, law.size, law.num_values


def values_under(law, num_values):
    """What a model's `values` are under what `make_likelihood` made: "levels", "unit" or "real"."""
    if isinstance(law, Law):
        return law.values
    return "real" if num_values is None else "levels"


def prior_of(made, latent_size, posterior, value_range):
    """p(z), a TFP distribution, of what `make_prior` made.

    Args:
      made: A function or a layer.
      latent_size: Number of latent variables.
      posterior: `f(x)`, q(z | x), of which a `VampPrior` is made.
      value_range: Lowest and highest value of an entry of x.
    """
    if not isinstance(made, keras.layers.Layer):
        return made(latent_size)
    return made.distribution(posterior, *value_range) if _of_posterior(made) else made.distribution()


def posterior_of(made, raw):
    """q(z | x), a TFP distribution, of what `make_posterior` made and an encoder's raw outputs."""
    return made.distribution(raw) if isinstance(made, keras.layers.Layer) else made(raw)


def _of_posterior(prior):
    """Whether a prior is a mixture of posteriors, as `VampPrior`."""
    return getattr(prior, "of_posterior", False)


def above_zero(distribution):
    """Whether all z of a distribution are above 0; None where TFP does not know."""
    try:
        bijector = distribution.experimental_default_event_space_bijector()
    except (NotImplementedError, TypeError):  # That of a Dirichlet asks NumPy for an argument it has lost.
        return None
    if bijector is None:
        return None
    return bool(tf.reduce_all(bijector.forward(tf.fill(distribution.event_shape, -20.0)) >= 0.0))


def checked_distributions(model):
    """Prior, posterior and likelihood of one x, checked to fit each other.

    Args:
      model: Has `prior()`, `posterior(x)`, `likelihood(z)`, `event_shape`, `condition` and
        `latent_shape`.

    Returns:
      The three TFP distributions.

    Raises:
      ValueError: If a shape does not fit, or the posterior is not reparameterized.
    """
    x, z = tf.zeros([1, *model.event_shape]), tf.zeros([1, *model.latent_shape])
    told = {}
    if model.condition is not None:
        told["condition"] = tf.zeros([1, *model.condition.shape], model.condition.dtype)
    parts = {
        "prior": (model.prior(**told), (), model.latent_shape),
        "posterior": (model.posterior(x, **told), (1,), model.latent_shape),
        "likelihood": (model.likelihood(z, **told), (1,), model.event_shape),
    }
    for name, (found, batch, event) in parts.items():
        if (found.batch_shape, found.event_shape) != (batch, event):
            raise ValueError(
                f"{name} must have batch_shape {batch} and event_shape {event} for one x, got "
                f"{found.batch_shape} and {found.event_shape}."
            )
    posterior, prior = parts["posterior"][0], parts["prior"][0]
    # Of a mixture samples of each component are taken.
    drawn = getattr(posterior, "components_distribution", posterior)
    if drawn.reparameterization_type != tfd.FULLY_REPARAMETERIZED:
        raise ValueError(
            f"posterior must be reparameterized, got {posterior.name}: gradients through its samples would "
            "be wrong."
        )
    positive = [above_zero(posterior), above_zero(prior)]
    if set(positive) == {True, False}:
        raise ValueError(
            f"posterior {posterior.name} and prior {prior.name} do not fit: one has z above 0 alone. "
            "posterior='lognormal' and 'exponential' go with prior='lognormal', 'exponential' or 'vamp', the "
            "others with the other priors."
        )
    return [found for found, _, _ in parts.values()]
