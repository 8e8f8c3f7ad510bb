"""Components of a mixture as pictures and as a served function."""

import numpy as np
import tensorflow as tf

from tfgen.model import Signature, View


def means_by_weight(means, weights, num, event_shape):
    """Picture of the means of the heaviest components, with their shares.

    Args:
      means: `[components, dims]`.
      weights: `[components]`, of sum 1.
      num: How many components.
      event_shape: Shape of one x.
    """
    first = np.argsort(-weights, kind="stable")[:num]
    shown = np.asarray(means, np.float32)[first].reshape(-1, *event_shape)
    captions = [f"{100 * weight:.1f} %" for weight in weights[first]]
    return View(shown, captions=captions, title="means of the components, by weight")


def classify(model):
    """Signature `classify`: the responsibilities and the most probable component.

    Args:
      model: Its `responsibilities(x)` are `[batch, components]`.
    """

    def function(x):
        found = model.responsibilities(x)
        return {"probabilities": found, "component": tf.argmax(found, -1, output_type=tf.int32)}

    return Signature(function, {"x": tf.TensorSpec([None, *model.event_shape], tf.float32, name="x")})
