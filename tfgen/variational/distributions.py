"""Distributions of latent variable models: prior p(z), posterior q(z | x) and likelihood p(x | z).

Each is named or a user's own. A learned prior is a Keras layer whose `distribution()` is built from its
weights; posterior and likelihood are functions of raw outputs, of the encoder and of the decoder.
"""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.distributions.laws import Gaussian, Levels, Logistic, positive_scale
from tfgen.keras_model import Layer

tfd, tfb = tfp.distributions, tfp.bijectors


class _LearnedPrior(Layer):
    def call(self, z):
        """log p(z), `[...]` for z `[..., latent_size]`."""
        return self.distribution().log_prob(z)


@keras.saving.register_keras_serializable("tfgen")
class GaussianMixturePrior(_LearnedPrior):
    """Mixture of Gaussians p(z) = sum_k pi_k N(z | mu_k, diag sigma_k^2), all of it learned.

    Args:
      num_components: Number of components.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If `num_components` is not positive.

    References:
      Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational
      autoencoders", 2016, arXiv:1611.02648.
    """

    def __init__(self, num_components=10, **kwargs):
        super().__init__(**kwargs)
        self.num_components = checks.whole("num_components", num_components)

    def build(self, input_shape):
        """Makes the weights for z of the shape `input_shape`, `(batch, latent_size)`."""
        shape = (self.num_components, input_shape[-1])
        self.logits = self.add_weight(shape=shape[:1], initializer="zeros", name="logits")
        # Components that start in one place would stay together.
        self.loc = self.add_weight(shape=shape, initializer="random_normal", name="loc")
        self.loc.assign(20.0 * self.loc)
        self.raw_scale = self.add_weight(shape=shape, initializer="zeros", name="raw_scale")

    def distribution(self):
        """The prior, as a `tfd.MixtureSameFamily`."""
        scale = positive_scale(tf.convert_to_tensor(self.raw_scale))
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=tf.convert_to_tensor(self.logits)),
            tfd.MultivariateNormalDiag(tf.convert_to_tensor(self.loc), scale),
        )


@keras.saving.register_keras_serializable("tfgen")
class CouplingFlowPrior(_LearnedPrior):
    """Normalizing flow: a standard normal sent through affine couplings, one half of z given the other.

    z_b = u_b exp(s(u_a)) + t(u_a), z_a = u_a, the halves in turn; log p(z) is exact. The couplings
    start as the identity.

    Args:
      num_couplings: Number of couplings.
      hidden: Size of the one hidden layer of each coupling's network.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If a size is not positive, or the latent size is below 2.

    References:
      Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", 2016, arXiv:1605.08803.
    """

    def __init__(self, num_couplings=4, hidden=64, **kwargs):
        super().__init__(**kwargs)
        self.num_couplings = checks.whole("num_couplings", num_couplings)
        self.hidden = checks.whole("hidden", hidden)

    def build(self, input_shape):
        """Makes the weights for z of the shape `input_shape`, `(batch, latent_size)`."""
        self.size = input_shape[-1]
        if self.size < 2:
            raise ValueError(f"a coupling flow needs latent_size of at least 2, got {self.size}.")
        self.networks = [self._network(i) for i in range(self.num_couplings)]

    def _network(self, i):
        kept = self._kept(i)
        last = keras.layers.Dense(2 * (self.size - kept), kernel_initializer="zeros")
        hidden = keras.layers.Dense(self.hidden, activation="tanh")
        return keras.Sequential([keras.Input((kept,)), hidden, last])

    def _kept(self, i):
        return self.size // 2 if i % 2 == 0 else self.size - self.size // 2

    def distribution(self):
        """The prior, as a `tfd.TransformedDistribution`."""
        base = tfd.MultivariateNormalDiag(tf.zeros([self.size]))
        couplings = [self._coupling(i) for i in range(self.num_couplings)]
        return tfd.TransformedDistribution(base, tfb.Chain(couplings))

    def _coupling(self, i):
        def shift_and_log_scale(kept, output_units, **_):
            del output_units
            raw = tf.reshape(kept, [-1, kept.shape[-1]])
            raw = tf.cast(self.networks[i](raw), tf.float32)
            raw = tf.reshape(raw, tf.concat([tf.shape(kept)[:-1], raw.shape[-1:]], axis=0))
            shift, log_scale = tf.split(raw, 2, axis=-1)
            return shift, 2.0 * tf.tanh(log_scale / 2.0)  # a scale within e^-2 and e^2

        # TFP keeps the first entries where the number is positive, the last where it is negative.
        kept = self._kept(i) if i % 2 == 0 else -self._kept(i)
        return tfb.RealNVP(num_masked=kept, shift_and_log_scale_fn=shift_and_log_scale)


@keras.saving.register_keras_serializable("tfgen")
def standard_normal(latent_size):
    """N(0, 1) in each of `latent_size` dimensions."""
    return tfd.MultivariateNormalDiag(tf.zeros([latent_size]))


_PRIORS = {
    "normal": lambda: standard_normal,
    "mixture": GaussianMixturePrior,
    "flow": CouplingFlowPrior,
}


def make_prior(prior, latent_size):
    """The prior named, or as given, its weights made.

    Args:
      prior: "normal", "mixture", "flow", a function of latent_size to a TFP distribution, or a
        Keras layer with a method `distribution()`.
      latent_size: Number of latent variables.

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
            prior.build((None, latent_size))
        return prior
    if callable(prior):
        return prior
    return make_prior(_PRIORS[checks.one_of("prior", prior, tuple(_PRIORS), own)](), latent_size)


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


# Name -> (distribution of raw outputs, number of raw outputs for d latent variables).
_POSTERIORS = {
    "diagonal": (diagonal_normal, lambda d: 2 * d),
    "full": (full_normal, lambda d: d + d * (d + 1) // 2),
}


def make_posterior(posterior, latent_size, size=None):
    """The posterior named, or as given, and how many raw outputs of an encoder it reads.

    Args:
      posterior: "diagonal", "full" or a function of raw outputs to a TFP distribution.
      latent_size: Number of latent variables.
      size: Number of raw outputs, for a function; None for twice `latent_size`.

    Returns:
      Function of raw outputs, number of raw outputs.

    Raises:
      ValueError: If the arguments do not fit.
    """
    if callable(posterior):
        return posterior, checks.whole("posterior_size", 2 * latent_size if size is None else size)
    function, count = _POSTERIORS[checks.one_of("posterior", posterior, tuple(_POSTERIORS), "a function")]
    if size is not None:
        raise ValueError(
            f"posterior_size={size} is for a posterior of your own, and posterior is {posterior!r}: "
            "leave it out."
        )
    return function, count(latent_size)


# Name -> law of an entry of x, of so many levels.
_LIKELIHOODS = {
    "bernoulli": lambda num_values: Levels(),
    "gaussian": lambda num_values: Gaussian(),
    "discretized_logistic": lambda num_values: Logistic(num_values or 256),
}


def make_likelihood(likelihood, num_values=None, size=None):
    """The law of an entry of x named, or the function given.

    Args:
      likelihood: "bernoulli", "gaussian", "discretized_logistic" or a function of raw outputs to a TFP
        distribution.
      num_values: Number of levels of the data, None for the named law's own; "gaussian" takes any data as
        real.
      size: Raw outputs for each entry of x, for a function; None for 1.

    Returns:
      Law or function, raw outputs for each entry, number of levels (None for real x).

    Raises:
      ValueError: If the arguments do not fit.
    """
    if num_values is not None:
        checks.whole("num_values", num_values, at_least=2)
    if callable(likelihood):
        return likelihood, checks.whole("likelihood_size", 1 if size is None else size), num_values
    law = _LIKELIHOODS[checks.one_of("likelihood", likelihood, tuple(_LIKELIHOODS), "a function")](num_values)
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
    return law, law.size, law.num_values


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
    posterior = parts["posterior"][0]
    if posterior.reparameterization_type != tfd.FULLY_REPARAMETERIZED:
        raise ValueError(
            f"posterior must be reparameterized, got {posterior.name}: gradients through its samples would "
            "be wrong."
        )
    return [found for found, _, _ in parts.values()]
