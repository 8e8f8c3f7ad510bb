"""DRAW: pictures drawn step by step onto a canvas, by recurrent networks with attention."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.variational.canvas_model import CanvasModel

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
class DRAW(CanvasModel):
    """Deep recurrent attentive writer: a variational autoencoder whose x is drawn in T steps.

      z_t ~ N(0, I),  h_t = LSTM(h_(t-1), z_t),  c_t = c_(t-1) + write(h_t),  x ~ p(x | c_T)

    q(z | x) = prod_t q(z_t | x, z_<t), by an LSTM that reads x and the error of the canvas so far where
    h_(t-1) looks (`CanvasModel`, equations 3 to 8). The loss is -log p(x | c_T) plus the sum over t of
    KL(q(z_t | x, z_<t) || N(0, I)), each in closed form along the path that was drawn (equations 9 to 12).

    Args:
      event_shape: (height, width, channels).
      **kwargs: Arguments of `CanvasModel` and `LatentVariableModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW: a recurrent neural network for image generation",
      2015, arXiv:1502.04623.
    """

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.check_objective(self.prior(), self.posterior(tf.zeros([1, *self.event_shape])))

    def prior(self, condition=None):
        """p(z), standard normal over `[num_steps, latent_size]`."""
        del condition
        return tfd.Independent(tfd.Normal(tf.zeros(self.latent_shape), 1.0), 2)
