"""The incremental loop: computing one step after the other, with what later steps need as its state."""

import tensorflow as tf


def scan(step, inputs, state, out, reverse=False, steps=None):
    """Runs a recurrence in a `tf.while_loop`.

    Args:
      step: `f(state, inputs_t) -> (state, out_t)`.
      inputs: Nest of `[T, ...]`: what each step is given, e.g. its noise; T may be dynamic.
      state: Nest of tensors that the first step finds.
      out: Nest of TensorSpecs: what a step returns.
      reverse: Begin with the last of the inputs; what is returned stands in their order all the same.
      steps: int32 scalar: how many of the T steps are run, what the others return is 0; None for all.

    Returns:
      The last state, and the nest of `[T, ...]` of what the steps returned.
    """
    each = tf.nest.map_structure
    flat = tf.nest.flatten(inputs)
    size = flat[0].shape[0] if flat[0].shape[0] is not None else tf.shape(flat[0])[0]

    def reader(tensor):
        elements = tf.TensorArray(tensor.dtype, size=size, element_shape=tensor.shape[1:])
        return elements.unstack(tensor)

    given = each(reader, inputs)
    written = each(lambda s: tf.TensorArray(s.dtype, size=size, element_shape=s.shape), out)

    def body(t, state, written):
        place = size - 1 - t if reverse else t
        state, values = step(state, each(lambda a: a.read(place), given))
        return t + 1, state, each(lambda a, v: a.write(place, v), written, values)

    variables = (0, state, written)
    end = size if steps is None else tf.minimum(steps, size)
    # The bound is what lets XLA differentiate the loop.
    _, state, written = tf.while_loop(lambda t, *_: t < end, body, variables, maximum_iterations=size)
    return state, each(lambda a: a.stack(), written)
