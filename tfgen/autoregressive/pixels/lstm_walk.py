"""The LSTM blocks of a `PixelRNN` computed one pixel at a time."""

import tensorflow as tf

from tfgen.autoregressive.pixels.incremental import PixelByPixel, as_matrix, convolve_above, split_kernel
from tfgen.autoregressive.pixels.pixel_lstm import lstm
from tfgen.layers.scan import scan


class LSTMByPixel(PixelByPixel):
    """What both kinds of LSTM share: gates from the row above and from what stands beside the pixel.

    Args:
      model: The PixelRNN.
      draw: A `LevelDraw`.
      num: Number of images, an int where it is known.
      shifts: What the model's `condition_shifts` returned; None without a condition.
      with_logits: Return the logits of each pixel too.
      beside: Numbers of features that are kept of what stands beside the pixel.
    """

    def __init__(self, model, draw, num, shifts, with_logits, beside):
        blocks, self.dtype = model.blocks, model.compute_dtype
        first, shifts = (None, [0.0]) if shifts is None else shifts
        biases = tf.stack([tf.cast(b.input_to_state.bias, self.dtype) for b in blocks])[:, None]
        # [blocks, 1 or n, 4 * directions * units]
        self.gates_bias = biases + tf.stack(shifts)
        expand, expand_bias = zip(*(as_matrix(block.expand) for block in blocks), strict=True)
        self.expand, self.expand_bias = tf.stack(expand), tf.stack(expand_bias)[:, None]
        self.units, self.columns = blocks[0].units, model.event_shape[1]
        self.depth, self.filters = len(blocks), model.first.filters
        known = num if isinstance(num, int) else None
        above = tf.zeros((self.depth, 1, self.columns, num, self.units), self.dtype)
        left = tuple(tf.zeros((self.depth, num, size), self.dtype) for size in beside)
        state = tf.TensorSpec((self.depth, known, self.units), self.dtype)
        read = tf.TensorSpec((self.depth, known, self.filters), self.dtype)
        super().__init__(
            model, draw, num, first, with_logits, (above, above), left, (read, state, state),
        )  # fmt: skip

    def _blocks(self, h, above, beside, cells, bias):
        """The blocks' output, and what they read, their states and cells, `[blocks, n, ...]`.

        Args:
          h: `[n, filters]`.
          above: The gates' part from the rows above, `[blocks, n, 4 * units]`.
          beside: What the gates read beside the pixel, `[blocks, n, ...]`.
          cells: The cells before, `[blocks, n, units]`.
          bias: What is added to the residual stream, `[blocks, n, filters]`.
        """
        kept = []
        parts = (self.kernels, self.expand, above, beside, cells, bias)
        for kernel, expand, above, beside, cell, bias in zip(*map(tf.unstack, parts), strict=True):
            state, cell = lstm(tf.concat([beside, h], axis=1) @ kernel + above, cell)
            kept.append((h, state, cell))
            h += state @ expand + bias
        return h, tuple(tf.stack(each) for each in zip(*kept, strict=True))


class RowByPixel(LSTMByPixel):
    """Row LSTM: states come from the row above, inputs from the left. Arguments as in `LSTMByPixel`."""

    def __init__(self, model, draw, num, shifts=None, with_logits=False):
        blocks = model.blocks
        self.kernels = tf.stack([split_kernel(b.input_to_state.masked_kernel)[1] for b in blocks])
        self.state_kernels = tf.concat([block.state_kernels for block in blocks], axis=0)
        reach = blocks[0].kernel_size // 2 * model.first.filters
        super().__init__(model, draw, num, shifts, with_logits, (reach,))

    def blocks_above(self, above):
        """The gates' part from the states above, and the cells above: each `[columns, blocks, n, ...]`."""
        states, cells = above
        gates = convolve_above(states, self.state_kernels) + self.gates_bias
        return gates, tf.transpose(cells[:, 0], (1, 0, 2, 3))

    def blocks(self, h, context, left):
        """The LSTM blocks."""
        gates, cells = context
        bias = tf.broadcast_to(self.expand_bias, (self.depth, 1, self.filters))
        return self._blocks(h, gates, left[0], cells, bias)

    def after_pixel(self, left, hidden):
        """The last inputs of each block, this pixel's included."""
        return (tf.concat([left[0][..., self.filters :], hidden[0]], axis=-1),)

    def after_row(self, above, hidden):
        """The row's states and cells."""
        return tuple(tf.transpose(h, (1, 0, 2, 3))[:, None] for h in hidden[1:])


class DiagonalByPixel(LSTMByPixel):
    """Diagonal BiLSTM: left states come with the pixels, a row's right ones when it is finished.

    Arguments as in `LSTMByPixel`.
    """

    def __init__(self, model, draw, num, shifts=None, with_logits=False):
        blocks, units = model.blocks, model.blocks[0].units
        inputs = tf.stack([as_matrix(block.input_to_state)[0] for block in blocks])
        states = tf.stack([block.state_kernels for block in blocks], axis=1)
        left_inputs, self.right_inputs = tf.split(inputs, 2, axis=-1)  # [blocks, filters, 4 * units]
        beside, above = (
            tf.unstack(part) for part in tf.split(states, 2, axis=2)
        )  # [blocks, units, 4 * units]
        self.kernels, self.right = tf.concat([beside[0], left_inputs], axis=1), beside[1]
        self.left_above, self.right_above = above
        super().__init__(model, draw, num, shifts, with_logits, (units, units))

    def blocks_above(self, above):
        """Parts of the gates and of the residual stream that the rows above give."""
        states, right = above
        bias = self.gates_bias[..., : 4 * self.units]
        gates = convolve_above(states, self.left_above) + bias
        return gates, convolve_above(right, self.expand) + self.expand_bias

    def blocks(self, h, context, left):
        """The LSTM blocks."""
        gates, bias = context
        states, cells = left
        return self._blocks(h, gates, states, cells, bias)

    def after_pixel(self, left, hidden):
        """This pixel's states and cells."""
        return hidden[1:]

    def after_row(self, above, hidden):
        """The row's left states, and its right ones, of all blocks at once from the last pixel on."""
        read, states, _ = (tf.transpose(h, (1, 0, 2, 3))[:, None] for h in hidden)
        gates = convolve_above(above[1], self.right_above) + self.gates_bias[..., 4 * self.units :]
        gates += convolve_above(read, self.right_inputs)  # [columns, blocks, n, 4 * units]

        def step(state, gates):
            state = lstm(gates + tf.matmul(state[0], self.right), state[1])
            return state, state[0]

        zeros = tf.zeros_like(gates[0, ..., : self.units])
        out = tf.TensorSpec(zeros.shape, zeros.dtype)
        right = scan(step, gates, (zeros, zeros), out, reverse=True)[1]
        return states, tf.transpose(right, (1, 0, 2, 3))[:, None]
