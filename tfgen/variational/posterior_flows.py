"""Posteriors q(z | x) by flows: a diagonal Gaussian sent through invertible maps that the encoder steers."""

from typing import NamedTuple

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import checks
from tfgen.distributions.laws import positive_scale
from tfgen.keras_model import Layer
from tfgen.layers.masked_mlp import MaskedMLP

tfd, tfb = tfp.distributions, tfp.bijectors

# Flows start near the identity, m = 0 and s = sigmoid(3) = 0.95: far from it they would begin as posteriors
# thinner than the true ones, whose importance weights have no variance.
_OPEN = 3.0


@keras.saving.register_keras_serializable("tfgen")
class InverseAutoregressiveFlows(Layer):
    """Inverse autoregressive flows: z_t = s z_(t-1) + (1 - s) m, s = sigmoid(gate), in T steps.

    (m, gate) of entry j are a masked network's outputs for the entries before j of z_(t-1) and a context h;
    z_0 ~ N(mu, diag sigma^2); mu, sigma and h are the encoder's. A draw and its density take one pass of each
    network, log q = log N(z_0) - sum_t sum_j log s_tj; the density of any other z takes as many passes as it
    has entries. The order of the entries is reversed after each step.

    Args:
      num_flows: Number of steps T.
      hidden: Hidden units of each network.
      context: Size of h.
      **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
      ValueError: If a size is not positive.

    References:
      Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling, "Improving variational inference with inverse
      autoregressive flow", 2016, arXiv:1606.04934, algorithm 1.
    """

    def __init__(self, num_flows=2, hidden=64, context=16, **kwargs):
        super().__init__(**kwargs)
        self.num_flows = checks.whole("num_flows", num_flows)
        self.hidden = checks.whole("hidden", hidden)
        self.context = checks.whole("context", context)

    def size(self, latent_size):
        """Number of raw outputs of an encoder for so many latent variables: mu, raw sigma, h."""
        return 2 * latent_size + self.context

    def build(self, input_shape):
        """Makes the weights for z of the shape `input_shape`, `(batch, latent_size)`."""
        self.latent_size = input_shape[-1]
        self.networks = [MaskedMLP(2, self.hidden, self.context, "zeros") for _ in range(self.num_flows)]
        for network in self.networks:
            network.build(input_shape)
        self.built = True

    def distribution(self, raw):
        """q(z | x), a `tfd.TransformedDistribution`, of raw `[..., 2 latent_size + context]`."""
        loc, scale, context = tf.split(raw, [self.latent_size, self.latent_size, -1], axis=-1)
        steps = []
        for network in self.networks:
            steps += [self._step(network, context), tfb.Permute(range(self.latent_size)[::-1])]
        base = tfd.MultivariateNormalDiag(loc, positive_scale(scale))
        return tfd.TransformedDistribution(base, tfb.Chain(steps[-2::-1]))

    def _step(self, network, context):
        def inverted(z):  # TFP's flow goes from z_t to z_(t-1), of which it may read all at once.
            m, gate = tf.unstack(tf.cast(network(z, context), tf.float32), axis=-1)
            s = tf.sigmoid(gate + _OPEN)
            log_s = tf.math.log_sigmoid(gate + _OPEN)
            return tfb.Invert(tfb.Chain([tfb.Shift((1.0 - s) * m), tfb.Scale(log_scale=log_s)]))

        return tfb.Invert(tfb.MaskedAutoregressiveFlow(bijector_fn=inverted))

    def call(self, raw):
        """Means of z_0, `[..., latent_size]`."""
        return raw[..., : self.latent_size]


class PlanarFlow(tfb.Bijector):
    """Planar flow f(z) = z + u tanh(w z + b), whose inverse has no closed form.

    log |det df/dz| = log |1 + (1 - tanh(w z + b)^2) w u|; u is moved along w so that w u > -1, where f is
    invertible.

    Args:
      u: `[..., d]`.
      w: `[..., d]`.
      b: `[...]`.

    References:
      Rezende & Mohamed, "Variational inference with normalizing flows", 2015, arXiv:1505.05770, equation 10
      and appendix A.1.
    """

    def __init__(self, u, w, b, name="planar_flow"):
        parameters = dict(locals())
        with tf.name_scope(name):
            along = tf.reduce_sum(u * w, axis=-1, keepdims=True)
            length = tf.reduce_sum(w * w, axis=-1, keepdims=True) + 1e-6
            self.u, self.w, self.b = u + (tf.math.softplus(along) - 1.0 - along) * w / length, w, b
            super().__init__(forward_min_event_ndims=1, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype):
        vector, number = (tfp.util.ParameterProperties(event_ndims=n) for n in (1, 0))
        return {"u": vector, "w": vector, "b": number}

    def _tanh(self, z):
        return tf.tanh(tf.reduce_sum(z * self.w, axis=-1) + self.b)

    def _forward(self, z):
        return z + self.u * self._tanh(z)[..., None]

    def _forward_log_det_jacobian(self, z):
        slope = (1.0 - self._tanh(z) ** 2) * tf.reduce_sum(self.u * self.w, axis=-1)
        return tf.math.log1p(slope)


class PlanarFlows(NamedTuple):
    """Diagonal Gaussian through planar flows, a function of raw outputs.

    Args:
      num_flows: Number of flows T.
    """

    num_flows: int

    def __call__(self, raw):
        """`tfd.TransformedDistribution` of raw `[..., 2 d + T (2 d + 1)]`: locations, scales; u, w, b."""
        size = (raw.shape[-1] - self.num_flows) // (2 + 2 * self.num_flows)
        loc, scale, *rest = tf.split(raw, [size, size, *[size, size, 1] * self.num_flows], axis=-1)
        flows = [
            PlanarFlow(u, w, b[..., 0]) for u, w, b in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        ]
        base = tfd.MultivariateNormalDiag(loc, positive_scale(scale))
        return tfd.TransformedDistribution(base, tfb.Chain(flows))

    def size(self, latent_size):
        """Number of raw outputs for so many latent variables."""
        return 2 * latent_size + self.num_flows * (2 * latent_size + 1)
