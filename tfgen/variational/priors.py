"""Learned priors p(z): Keras layers whose `distribution()` is built from their weights."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.heads import positive_scale

tfd, tfb = tfp.distributions, tfp.bijectors


class _LearnedPrior(keras.layers.Layer):
    def call(self, z):
        """log p(z), `[...]` for z `[..., latent_size]`."""
        return self.distribution().log_prob(z)


@keras.saving.register_keras_serializable("tfgen")
class GaussianMixturePrior(_LearnedPrior):
    """p(z) = sum_k pi_k N(z | mu_k, diag sigma_k^2), all of it learned.

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
        if num_components < 1:
            raise ValueError(f"num_components must be positive, got {num_components}.")
        self.num_components = num_components

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

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {"num_components": self.num_components}


@keras.saving.register_keras_serializable("tfgen")
class CouplingFlowPrior(_LearnedPrior):
    """A standard normal sent through affine couplings, each moving one half of z given the other.

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
        for name, value in (("num_couplings", num_couplings), ("hidden", hidden)):
            if value < 1:
                raise ValueError(f"{name} must be positive, got {value}.")
        self.num_couplings, self.hidden = num_couplings, hidden

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

    def get_config(self):
        """The constructor's arguments."""
        own = {"num_couplings": self.num_couplings, "hidden": self.hidden}
        return super().get_config() | own


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
    if isinstance(prior, str) and prior in _PRIORS:
        prior = _PRIORS[prior]()
    if isinstance(prior, keras.layers.Layer) and hasattr(prior, "distribution"):
        if not prior.built:
            prior.build((None, latent_size))
    elif not callable(prior) or isinstance(prior, keras.layers.Layer):
        names = ", ".join(map(repr, _PRIORS))
        raise ValueError(
            f"prior must be one of {names}, a function of latent_size, or a Keras layer with a "
            f"method distribution(), got {prior!r}."
        )
    return prior
