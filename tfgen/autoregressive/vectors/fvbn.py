"""FVBN: a fully visible Bayes network, one logistic regression for each entry."""

import keras
import tensorflow as tf

from tfgen.autoregressive.vectors.vector_model import VectorModel, Walk, take


@keras.saving.register_keras_serializable("tfgen")
class FVBN(VectorModel):
    """Fully visible (sigmoid) Bayes network (Frey 1998).

    logit_i = b_i + sum_{j<i} W_ji x_j: each entry is a logistic regression on those before it, or with more
    than two levels a softmax regression on them, read as numbers in [0, 1]. The log-likelihood is concave.
    All orders share W: an order says which half of it is used.

    Args:
      event_shape: Shape of one x; an image's entries stand in raster order.
      **kwargs: Passed on to `VectorModel`: `num_values`, `order` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Frey, "Graphical models for machine learning and digital communication", MIT Press, 1998.
      Neal, "Connectionist learning of belief networks", Artificial Intelligence 56, 1992.
    """

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        shape, start = (
            (self.entries, self.entries, self.law.size),
            keras.initializers.RandomNormal(stddev=0.01),
        )
        self.kernel = self.add_weight(shape, start, autocast=False, name="kernel")  # from, to, size

    def component_raw(self, x, component):
        """b_i + sum_{j<i} W_ji x_j of all entries, float32 `[batch, entries, size]`."""
        kernel = self.kernel.value * self.earlier(component)[:, :, None]
        return tf.tensordot(self.encode(x), kernel, 1) + self.bias.value

    def walk(self, num, component, order):
        """The state is all entries' raw outputs as far as they are known, `[n, entries, size]`."""
        kernel, bias = self.kernel.value, self.bias.value

        def conditional(state, entry):
            return state, take(state, entry[:, None])[:, 0]

        def include(state, entry, value):
            return state + value[:, None, None] * tf.gather(kernel, entry)

        state = tf.broadcast_to(bias, [num, *bias.shape])
        return Walk(state, tf.transpose(order), conditional, include)
