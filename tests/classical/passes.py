"""Passes over data by hand, for models whose updates sum statistics."""

import numpy as np
import tensorflow as tf

from tfgen.update import Step


def run_passes(model, x, passes, batch_size=128):
    """Full passes in batches, the last one smaller.

    Returns:
      The loss of each pass, or, of updates over a batch, of each batch: NumPy `[...]`.
    """
    engine, losses = Step(model.updates(), {}), []
    spec = {"x": tf.TensorSpec([None, *x.shape[1:]], tf.float32)}
    engine.prepare(spec)

    @tf.function(autograph=False, input_signature=[spec])
    def step(batch):
        return engine(lambda *_: batch, tf.constant([0, 1]), tf.constant(0, tf.int64))

    for _ in range(passes):
        for i in range(0, len(x), batch_size):
            found = step({"x": tf.constant(x[i : i + batch_size], tf.float32)})
        if engine.over_epoch:
            found = engine.finish_epoch()
        losses += [float(v) for k, v in found.items() if k.endswith("/loss")]
    return np.array(losses)
