"""Passes over data by hand, for models whose updates sum statistics."""

import numpy as np
import tensorflow as tf

from tfgen.update import Step


def run_passes(model, fields, passes, batch_size=128, jit=False):
    """Full passes in batches, the last one smaller.

    Args:
      model: A model whose updates sum statistics.
      fields: The data: a dict of fields, or x alone.
      passes: How many.
      batch_size: Rows of a batch.
      jit: Whether XLA compiles what statistics name.

    Returns:
      The loss before each pass's step; of updates over a batch, of each pass's last batch: NumPy `[...]`.
    """
    engine, losses = Step(model.updates(), {}, jit), []
    fields = fields if isinstance(fields, dict) else {"x": np.asarray(fields, np.float32)}
    fields = {k: tf.constant(v) for k, v in fields.items()}
    spec = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in fields.items()}
    engine.prepare(spec)

    @tf.function(autograph=False, input_signature=[spec, tf.TensorSpec([], tf.int64)])
    def step(batch, number):
        return engine(lambda *_: batch, tf.constant([0, 1]), number)

    number = 0
    for _ in range(passes):
        for i in range(0, len(fields["x"]), batch_size):
            batch = {k: v[i : i + batch_size] for k, v in fields.items()}
            found = step(batch, tf.constant(number, tf.int64))
            number += 1
        if engine.over_epoch:
            found = engine.finish_epoch()
        losses += [float(v) for k, v in found.items() if k.endswith("/loss")]
    return np.array(losses)
