"""Priors p(z) with weights: mixtures, flows, autoregressive ones, and mixtures of the posterior itself."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.distributions.laws import positive_scale
from tfgen.keras_model import Layer
from tfgen.layers.masked_mlp import MaskedMLP

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
class AutoregressivePrior(_LearnedPrior):
    """p(z) = prod_j N(z_j | m_j(z_<j), s_j(z_<j)^2), by one masked network; it starts as a standard normal.

    Args:
      hidden: Size of the network's hidden layer.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If `hidden` is not positive.

    References:
      Chen et al., "Variational lossy autoencoder", 2016, arXiv:1611.02731. Papamakarios, Pavlakou & Murray,
      "Masked autoregressive flow", 2017, arXiv:1705.07057.
    """

    def __init__(self, hidden=64, **kwargs):
        super().__init__(**kwargs)
        self.hidden = checks.whole("hidden", hidden)

    def build(self, input_shape):
        """Makes the weights for z of the shape `input_shape`, `(batch, latent_size)`."""
        self.size = input_shape[-1]
        self.network = MaskedMLP(2, self.hidden, last_initializer="zeros")
        self.network.build(input_shape)

    def distribution(self):
        """The prior, as a `tfd.TransformedDistribution`."""

        def shift_and_log_scale(z):
            shift, log_scale = tf.unstack(tf.cast(self.network(z), tf.float32), axis=-1)
            return shift, 2.0 * tf.tanh(log_scale / 2.0)  # a scale within e^-2 and e^2

        base = tfd.MultivariateNormalDiag(tf.zeros([self.size]))
        return tfd.TransformedDistribution(base, tfb.MaskedAutoregressiveFlow(shift_and_log_scale))


@keras.saving.register_keras_serializable("tfgen")
class VampPrior(Layer):
    """Variational mixture of posteriors p(z) = (1/K) sum_k q(z | u_k), at learned pseudo-inputs u_k.

    The pseudo-inputs start as examples of the training data.

    Args:
      num_components: Number of pseudo-inputs K.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If `num_components` is not positive.

    References:
      Tomczak & Welling, "VAE with a VampPrior", 2017, arXiv:1705.07120.
    """

    # It is built for x, and its distribution is made of a model's posterior.
    of_posterior = True

    def __init__(self, num_components=50, **kwargs):
        super().__init__(**kwargs)
        self.num_components = checks.whole("num_components", num_components)

    def build(self, input_shape):
        """Makes the pseudo-inputs for x of the shape `input_shape`, `(batch, *event_shape)`."""
        shape = (self.num_components, *input_shape[1:])
        self.raw_inputs = self.add_weight(shape=shape, initializer="random_normal", name="pseudo_inputs")

    def pseudo_inputs(self, low, high):
        """Pseudo-inputs u_k within the range of x's values: float32 `[K, *event_shape]`."""
        raw = tf.convert_to_tensor(self.raw_inputs)
        return raw if low == -float("inf") else low + (high - low) * tf.sigmoid(raw)

    def start_from(self, x, low, high):
        """Sets the pseudo-inputs to examples x `[K, *event_shape]`, moved off the ends of their range."""
        if low > -float("inf"):
            share = tf.clip_by_value((x - low) / (high - low), 0.02, 0.98)
            x = tf.math.log(share) - tf.math.log1p(-share)
        self.raw_inputs.assign(x)

    def distribution(self, posterior, low, high):
        """The prior, as a `tfd.MixtureSameFamily`.

        Args:
          posterior: `f(x)`, q(z | x).
          low: Lowest value of an entry of x.
          high: Highest value.
        """
        components = posterior(self.pseudo_inputs(low, high))
        return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.zeros([self.num_components])), components)
