"""Loop of recurrent layers over the steps, and its gradient."""

import tensorflow as tf

from tfgen.layers.scan import scan


def recurrence(cell, kernel, added, state, beside=None, alive=None):
    """Runs state_t = cell(state_{t-1}, a_t + h_{t-1} U, b_t), where h is the first tensor of the state.

    Backward, the loop carries the gradient of the state only. That of U is one product over all steps after
    it, sum_t h_{t-1}^T g_t, where differentiating the loop would add a matrix of the size of U in each step.

    Args:
      cell: f(state, gates, b) -> state, entry by entry and without weights of its own.
      kernel: U, `[units, width]`, in the dtype of the products.
      added: a, float32 `[T, B, width]`.
      state: Tuple of float32 `[B, units]`, before the first step.
      beside: b, float32 `[T, B, ...]`, or None.
      alive: bool `[T, B, 1]`: where False, a state stays; None for everywhere.

    Returns:
      h of all steps, float32 `[T, B, units]`, and the last state.
    """
    size = len(state)
    inputs = {"added": added, "beside": beside, "alive": alive}
    inputs = {name: tensor for name, tensor in inputs.items() if tensor is not None}
    floats = [name for name in ("added", "beside") if name in inputs]

    def advance(state, gates, given):
        after = cell(state, gates, given.get("beside"))
        if alive is None:
            return after
        pairs = zip(after, state, strict=True)
        return tuple(tf.where(given["alive"], new, old) for new, old in pairs)

    def run(kernel, *tensors):
        begin, given = tensors[:size], inputs | dict(zip(floats, tensors[size:], strict=True))
        specs = {"before": tuple(tf.TensorSpec(part.shape) for part in begin)}
        specs |= {"gates": tf.TensorSpec(given["added"].shape[1:]), "output": specs["before"][0]}

        def step(state, given):
            gates = given["added"] + product(state[0], kernel)
            after = advance(state, gates, given)
            return after, {"before": state, "gates": gates, "output": after[0]}

        last, saved = scan(step, given, begin, specs)

        def gradient(d_outputs, *d_last):
            kept = {"before": saved["before"], "gates": saved["gates"], "d_output": d_outputs} | given
            kept.pop("added")
            out = [tf.TensorSpec(given[name].shape[1:]) for name in floats]
            d_begin, d_inputs = scan(backward(advance, kernel), kept, d_last, out, reverse=True)
            states, d_gates = saved["before"][0], d_inputs[0]
            states = tf.cast(tf.reshape(states, (-1, states.shape[-1])), kernel.dtype)
            d_gates = tf.cast(tf.reshape(d_gates, (-1, d_gates.shape[-1])), kernel.dtype)
            d_kernel = tf.matmul(states, d_gates, transpose_a=True)
            return d_kernel, *d_begin, *d_inputs

        return (saved["output"], *last), gradient

    outputs, *last = tf.custom_gradient(run)(kernel, *state, *(inputs[name] for name in floats))
    return outputs, tuple(last)


def backward(advance, kernel):
    """Step of the loop backward: from the gradient of a step's state to that of the one before it."""

    def step_back(d_state, given):
        sources = given["before"], given["gates"], *([given["beside"]] if "beside" in given else [])
        with tf.GradientTape() as tape:
            tape.watch(sources)
            after = advance(given["before"], given["gates"], given)
        d_state = (d_state[0] + given["d_output"], *d_state[1:])
        d_before, d_gates, *d_beside = tape.gradient(after, sources, d_state, "zero")
        d_before = (d_before[0] + product(d_gates, tf.transpose(kernel)), *d_before[1:])
        return d_before, [d_gates, *d_beside]

    return step_back


def product(a, kernel):
    """float32 a @ kernel, multiplied in the kernel's dtype."""
    return tf.cast(tf.cast(a, kernel.dtype) @ kernel, tf.float32)
