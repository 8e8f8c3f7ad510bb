"""PixelRNN: exact likelihood by LSTMs that run over an image's rows or diagonals."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.pixels.pixel_model import PixelModel, Walk
from tfgen.distributions.laws import Levels
from tfgen.keras_model import Layer
from tfgen.layers.masked import ByPixel, MaskedConv2D, Readout, convolve_above
from tfgen.layers.scan import scan
from tfgen.space import label_or_vector


@keras.saving.register_keras_serializable("tfgen")
class PixelRNN(PixelModel):
    """PixelRNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016): Row LSTM or Diagonal BiLSTM.

    p(x) = prod_i p(x_i | x_<i), rows from above, pixels from the left, within a pixel R, then G given R, then
    B given both. A masked 7x7 convolution to 2h features is followed by residual LSTM layers of h units,

      x <- x + conv1x1(LSTM(x)),   [o, f, i, g] = K_is * x + K_ss * (states before),
      c = f c + i g,   h = o tanh(c),   o, f and i sigmoid, g tanh

    and two 1x1 convolutions, which give a Bernoulli logit for two levels and a softmax for more. The states
    before are three of the row above ("row": each pixel sees a triangle), or those above and beside the
    pixel, once from the left and once from the right ("diagonal": each sees everything before it, the last
    pixel of the row above only by the first convolution, since a feature never knows its own pixel). A
    condition, and a bias for each row and column, add to that convolution and to every layer's gates.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      layer: Kind of the LSTM layers, "diagonal" or "row".
      num_layers: Number of LSTM layers.
      hidden: Units h of each LSTM; the residual stream has twice as many features.
      kernel_size: Odd length of the Row LSTM's kernels.
      head: Features of the hidden layer before the logits.
      first_kernel_size: Odd kernel size of the first convolution.
      num_values: Number of levels of an entry; 2 for binary images.
      one_hot: Read each level as a one-hot vector instead of a number.
      condition: What c is: "none", "label" or "vector".
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector.
      position: Add a learned bias for each row and each column wherever a condition adds.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016,
      arXiv:1601.06759.
    """

    def __init__(
        self,
        event_shape,
        layer="diagonal",
        num_layers=7,
        hidden=16,
        kernel_size=3,
        head=32,
        first_kernel_size=7,
        num_values=2,
        one_hot=False,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        position=True,
        **kwargs,
    ):
        law = Levels(num_values, one_hot)
        super().__init__(event_shape, law, label_or_vector(condition, num_classes, condition_size), **kwargs)
        channels = self.event_shape[-1]
        checks.one_of("layer", layer, ("diagonal", "row"))
        checks.whole("num_layers", num_layers)
        checks.whole("hidden", hidden, at_least=channels)
        checks.whole("kernel_size", kernel_size, at_least=3, odd=True)
        checks.whole("head", head, at_least=channels)
        checks.whole("first_kernel_size", first_kernel_size, at_least=3, odd=True)
        self.jit_updates = layer == "diagonal"
        told = {
            "condition_size": self.condition_width,
            "image_size": self.event_shape[:2] if position else None,
        }
        told |= {"channels": channels, "dtype": self.dtype_policy}
        self.first = MaskedConv2D(2 * hidden, first_kernel_size, "A", **told)
        self.blocks = [
            DiagonalBiLSTM(hidden, **told) if layer == "diagonal" else RowLSTM(hidden, kernel_size, **told)
            for _ in range(num_layers)
        ]
        self.readout = Readout(head, channels, law.size, dtype=self.dtype_policy)
        self.first.build((None, None, None, law.features(channels)))
        for block in (self.readout, *self.blocks):
            block.build((None, None, None, 2 * hidden))

    def raw(self, x, condition=None, seed=None):
        """Logits of all entries of `x` `[batch, *event_shape]`, each given those before it.

        Returns:
          float32 `[batch, *event_shape, law.size]`: one logit for two levels, `num_values` for more.
        """
        del seed
        condition = self.condition_features(condition)
        h = self.first(self.law.read(x), condition)  # [batch, rows, columns, 2 hidden]
        for block in self.blocks:
            h = block(h, condition)
        return tf.reshape(tf.cast(self.readout(h), tf.float32), (-1, *self.event_shape, self.law.size))

    def walk(self, num, condition=None):
        """The network one pixel at a time."""
        condition = self.condition_features(condition)
        first, raw = self.first.by_pixel(condition), self.readout.by_pixel()
        stack = type(self.blocks[0]).by_pixel(self.blocks, self.event_shape[1], num, condition)
        reach = self.first.kernel_size[0] // 2

        def begin_row(rows, above, row):
            entered = convolve_above(rows[None], first.above[None])[:, 0] + first.bias_of(row)
            return above, (entered, stack.context(above, row))

        def conditional(context, taps, left, channel):
            entered, context = context
            # Channels not yet drawn are absent from the taps, and their kernel rows are left out.
            h = taps @ first.beside[: taps.shape[-1]] + entered  # [n, 2 hidden]
            h, kept = stack.step(h, context, left)
            return raw(h, channel), kept

        return Walk(
            reach=(reach, reach),
            above=stack.above,
            left=stack.left,
            kept=stack.kept,
            begin_row=begin_row,
            conditional=conditional,
            include=stack.include,
            end_row=stack.end_row,
        )


class StackWalk(NamedTuple):
    """A stack of LSTM blocks computed one pixel at a time: `above`, `left` and so on as in `Walk`.

    All blocks' tensors are stacked, `[blocks, ...]`, so that what the rows above say is one product.

    Args:
      above: What the first row finds above it.
      left: What the first pixel of a row finds to its left.
      kept: TensorSpecs of what a pixel keeps for the rows below.
      context: `f(above, row) -> context`, a nest of `[columns, ...]`.
      step: `f(h, context, left) -> (h, kept)`: the residual stream `[n, features]` of a pixel.
      include: `f(left, kept) -> left`.
      end_row: `f(above, kept, row) -> above`.
    """

    above: tuple
    left: tuple
    kept: tuple
    context: Callable
    step: Callable
    include: Callable
    end_row: Callable


class LSTMBlock(Layer, abc.ABC):
    """h + conv1x1(LSTM(h)), `[B, H, W, features]` in and out; a subclass has the recurrence.

    Args:
      units: Features of the LSTM's state.
      kernel_size: Height and width of the input-to-state kernel.
      taps: How many earlier states a state-to-state kernel reads.
      directions: How many LSTMs run side by side, of the same inputs.
      channels: Number of color channels that the features are split into.
      condition_size: Length of a condition, which adds to the gates; None without.
      image_size: (rows, columns), for a location-dependent bias of the gates; None without.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(
        self,
        units,
        kernel_size,
        taps,
        directions,
        channels=1,
        condition_size=None,
        image_size=None,
        /,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units, self.taps, self.directions, self.channels = units, taps, directions, channels
        self.input_kernel_size = kernel_size
        self.condition_size, self.image_size = condition_size, image_size

    def build(self, input_shape):
        """Creates the kernels."""
        common = {"channels": self.channels, "dtype": self.dtype_policy}
        gates = 4 * self.directions
        self.input_to_state = MaskedConv2D(
            gates * self.units,
            self.input_kernel_size,
            runs=gates,
            condition_size=self.condition_size,
            image_size=self.image_size,
            **common,
        )
        self.expand = MaskedConv2D(input_shape[-1], 1, **common)
        self.input_to_state.build(input_shape)
        self.expand.build((*input_shape[:-1], self.units))
        self.state_to_state = [
            self.add_weight((self.taps * self.units, 4 * self.units), "glorot_uniform", name=f"state_{i}")
            for i in range(self.directions)
        ]
        self.built = True

    @property
    def state_kernels(self):
        """State-to-state kernels, a matrix for each direction: `[directions, taps * units, 4 * units]`."""
        return tf.stack([tf.cast(k, self.compute_dtype) for k in self.state_to_state])

    def call(self, h, condition=None):
        """The block's output; `condition` is float32 `[B, condition_size]`, or None."""
        # No kernel between states is masked: an earlier pixel is known with all its colors.
        return h + self.expand(self.states(self.input_to_state(h, condition)))

    @abc.abstractmethod
    def states(self, gates):
        """The states `[B, H, W, units]` from the input-to-state parts `[B, H, W, 4 * directions * units]`."""


def step_blocks(h, gates, beside, cells, kernels, expand, biases):
    """One pixel through the blocks, one after the other; everything but `h` is `[blocks, ...]`.

    Args:
      h: The residual stream, `[n, features]`.
      gates: What the gates read of the rows above, `[blocks, n, 4 * units]`.
      beside: What they read beside the pixel, `[blocks, n, ...]`.
      cells: The cells before, `[blocks, n, units]`.
      kernels: Of what stands beside the pixel and, behind it, of the pixel itself.
      expand: Kernels of the 1x1 convolutions, `[blocks, units, features]`.
      biases: What is added to the residual stream, `[blocks, n, features]`.

    Returns:
      The residual stream, and what the blocks read, their states and cells, `[blocks, n, ...]`.
    """
    kept = []
    parts = (gates, beside, cells, kernels, expand, biases)
    for gate, left, cell, kernel, out, bias in zip(*map(tf.unstack, parts), strict=True):
        state, cell = lstm(tf.concat([left, h], axis=1) @ kernel + gate, cell)
        kept.append((h, state, cell))
        h += state @ out + bias
    return h, tuple(tf.stack(each) for each in zip(*kept, strict=True))


class RowLSTM(LSTMBlock):
    """Row LSTM with a residual connection: an LSTM from row to row whose transitions are convolutions.

    [o, f, i, g] = K_is * x[r] + K_ss * h[r - 1], both one-dimensional convolutions along the row, K_is masked
    to the pixel and those to its left. A pixel sees a triangle above it.

    Args:
      units: Features of the state.
      kernel_size: Odd length of both kernels.
      channels: Number of color channels that the features are split into.
      condition_size: Length of a condition, which adds to the gates; None without.
      image_size: (rows, columns), for a location-dependent bias of the gates; None without.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, 2016, arXiv:1601.06759, section 3.1.
    """

    def __init__(self, units, kernel_size=3, channels=1, condition_size=None, image_size=None, **kwargs):
        told = (channels, condition_size, image_size)
        super().__init__(units, (1, kernel_size), kernel_size, 1, *told, **kwargs)

    def states(self, gates):
        """The states `[B, H, W, units]` from the input-to-state part `[B, H, W, 4 * units]`."""
        kernel = tf.reshape(self.state_kernels, (1, self.taps, self.units, -1))

        def step(state, gates):
            above, cell = state  # [B, 1, W, units]
            state = lstm(gates + tf.nn.conv2d(above, kernel, strides=1, padding="SAME"), cell)
            return state, state[0]

        rows = tf.transpose(gates, (1, 0, 2, 3))[:, :, None]
        zeros = tf.zeros_like(rows[0, ..., : self.units])
        states = scan(step, rows, (zeros, zeros), tf.TensorSpec(zeros.shape, zeros.dtype))[1]
        return tf.transpose(states[:, :, 0], (1, 0, 2, 3))

    @staticmethod
    def by_pixel(blocks, columns, num, condition=None):
        """`StackWalk` of `RowLSTM`s: states come from the row above, inputs from the left too."""
        units, depth, features = blocks[0].units, len(blocks), blocks[0].expand.filters
        inputs = ByPixel.together([block.input_to_state.by_pixel(condition) for block in blocks])
        state_kernels = tf.concat([block.state_kernels for block in blocks], axis=0)
        expand, expand_biases = _expansions(blocks)
        reach = blocks[0].taps // 2 * features

        def context(above, row):
            states, cells = above
            gates = convolve_above(states, state_kernels) + inputs.bias_of(row)
            return gates, tf.transpose(cells[:, 0], (1, 0, 2, 3))

        def step(h, context, left):
            gates, cells = context
            return step_blocks(h, gates, left[0], cells, inputs.beside, expand, expand_biases)

        def include(left, kept):
            return (tf.concat([left[0][..., features:], kept[0]], axis=-1),)

        def end_row(above, kept, row):
            del above, row
            _, states, cells = kept
            return _as_row(states), _as_row(cells)

        above = tf.zeros((depth, 1, columns, num, units), expand.dtype)
        left = (tf.zeros((depth, num, reach), expand.dtype),)
        kept = _kept(depth, num, (features, units, units), expand.dtype)
        return StackWalk((above, above), left, kept, context, step, include, end_row)


class DiagonalBiLSTM(LSTMBlock):
    """Diagonal BiLSTM with a residual connection: two LSTMs that reach a pixel from its left and its right.

    Left: [o, f, i, g] = K_is x[r, c] + K_ss [h[r, c - 1], h[r - 1, c]], with c[r, c - 1] as the cell before.
    Right: the same in the mirrored image. The right states, shifted down by one row so that they hold the
    past only, are added to the left ones: h is seen at all earlier pixels. All pixels of a diagonal are
    computed at once, in H + W - 1 steps.

    A state-to-state kernel has the state beside the pixel first.

    Args:
      units: Features of the state.
      channels: Number of color channels that the features are split into.
      condition_size: Length of a condition, which adds to the gates; None without.
      image_size: (rows, columns), for a location-dependent bias of the gates; None without.
      **kwargs: Passed on to `keras.layers.Layer`.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, 2016, arXiv:1601.06759, section 3.2.
    """

    def __init__(self, units, channels=1, condition_size=None, image_size=None, **kwargs):
        super().__init__(units, 1, 2, 2, channels, condition_size, image_size, **kwargs)

    def states(self, gates):
        """The states `[B, H, W, units]` from the input-to-state parts `[B, H, W, 8 * units]`."""
        width = gates.shape[2]
        left, right = tf.split(gates, 2, axis=-1)
        # Zeros outside the image keep the state there zero: the gates' bias is within them.
        skewed = tf.stack([skew(left), skew(right[:, :, ::-1])])
        both = self._scan(tf.transpose(skewed, (3, 0, 2, 1, 4)))  # [diagonals, 2, H, B, units]
        left, right = (unskew(h, width) for h in tf.unstack(tf.transpose(both, (1, 3, 2, 0, 4))))
        return left + tf.pad(right[:, :-1, ::-1], [[0, 0], [1, 0], [0, 0], [0, 0]])

    def _scan(self, gates):
        """States `[diagonals, 2, H, B, units]` from `[diagonals, 2, H, B, 4 * units]`."""
        kernels = self.state_kernels

        def step(state, gates):
            beside, cell = state  # [2, H, B, units]
            above = tf.pad(beside[:, :-1], [[0, 0], [1, 0], [0, 0], [0, 0]])
            taps = tf.reshape(tf.concat([beside, above], axis=-1), (2, -1, 2 * self.units))
            state = lstm(gates + tf.reshape(tf.matmul(taps, kernels), tf.shape(gates)), cell)
            return state, state[0]

        zeros = tf.zeros_like(gates[0, ..., : self.units])
        return scan(step, gates, (zeros, zeros), tf.TensorSpec(zeros.shape, zeros.dtype))[1]

    @staticmethod
    def by_pixel(blocks, columns, num, condition=None):
        """`StackWalk` of `DiagonalBiLSTM`s: left states come with the pixels, right ones after each row."""
        units, depth, features = blocks[0].units, len(blocks), blocks[0].expand.filters
        inputs = ByPixel.together([block.input_to_state.by_pixel(condition) for block in blocks])
        left_inputs, right_inputs = tf.split(inputs.beside, 2, axis=-1)
        states = tf.stack([block.state_kernels for block in blocks], axis=1)
        beside, above = tf.split(states, 2, axis=2)  # [2, blocks, units, 4 * units]
        left_beside, right_beside = tf.unstack(beside)
        left_above, right_above = tf.unstack(above)
        kernels = tf.concat([left_beside, left_inputs], axis=1)
        expand, expand_biases = _expansions(blocks)

        def context(above, row):
            states, right = above
            # The right states of the row above go through the 1x1 convolutions with the left ones.
            return (
                convolve_above(states, left_above) + inputs.bias_of(row)[..., : 4 * units],
                convolve_above(right, expand) + expand_biases,
            )

        def step(h, context, left):
            gates, biases = context
            states, cells = left
            return step_blocks(h, gates, states, cells, kernels, expand, biases)

        def include(left, kept):
            del left
            _, states, cells = kept
            return states, cells

        def end_row(above, kept, row):
            """The row's left states, and its right ones, of all blocks at once from the last pixel on."""
            read, states, _ = map(_as_row, kept)
            gates = convolve_above(above[1], right_above) + inputs.bias_of(row)[..., 4 * units :]
            gates += convolve_above(read, right_inputs)  # [columns, blocks, n, 4 * units]

            def from_the_right(state, gates):
                state = lstm(gates + tf.matmul(state[0], right_beside), state[1])
                return state, state[0]

            zeros = tf.zeros_like(gates[0, ..., :units])
            out = tf.TensorSpec(zeros.shape, zeros.dtype)
            right = scan(from_the_right, gates, (zeros, zeros), out, reverse=True)[1]
            return states, _as_row(right)

        above = tf.zeros((depth, 1, columns, num, units), expand.dtype)
        left = tf.zeros((depth, num, units), expand.dtype)
        kept = _kept(depth, num, (features, units, units), expand.dtype)
        return StackWalk((above, above), (left, left), kept, context, step, include, end_row)


def _expansions(blocks):
    """Kernels `[blocks, units, features]` and biases `[blocks, 1, features]` of the 1x1 convolutions."""
    each = [block.expand.by_pixel() for block in blocks]
    return tf.stack([e.beside for e in each]), tf.stack([e.bias for e in each])[:, None]


def _kept(depth, num, sizes, dtype):
    """TensorSpecs of what a pixel's blocks read, their states and cells."""
    known = num if isinstance(num, int) else None
    return tuple(tf.TensorSpec((depth, known, size), dtype) for size in sizes)


def _as_row(pixels):
    """`[columns, blocks, n, size]` as a row that `convolve_above` reads, `[blocks, 1, columns, n, size]`."""
    return tf.transpose(pixels, (1, 0, 2, 3))[:, None]


def lstm(gates, cell):
    """One step: c = f c + i g, h = o tanh(c), with [o, f, i] = sigmoid and g = tanh of the gates.

    Args:
      gates: `[..., 4 * units]`, input-to-state plus state-to-state part, in the order o, f, i, g.
      cell: `[..., units]`.

    Returns:
      h and c, each `[..., units]`.
    """
    units = gates.shape[-1] // 4
    o, f, i = tf.split(tf.sigmoid(gates[..., : 3 * units]), 3, axis=-1)
    cell = f * cell + i * tf.tanh(gates[..., 3 * units :])
    return o * tf.tanh(cell), cell


def skew(x):
    """Offsets each row by one column from the row above: diagonals become columns.

    Args:
      x: `[batch, H, W, features]`.

    Returns:
      `[batch, H, W + H - 1, features]`: column j of row r is x's column j - r, zeros outside of x.
    """
    height, width, features = x.shape[1:]
    # With H zeros behind each row, rows that are one shorter than these begin one later every time.
    padded = tf.reshape(
        tf.pad(x, [[0, 0], [0, 0], [0, height], [0, 0]]), (-1, height * (width + height), features)
    )
    return tf.reshape(padded[:, :-height], (-1, height, width + height - 1, features))


def unskew(x, width):
    """Takes the offsets away: `[batch, H, width + H - 1, features]` to `[batch, H, width, features]`."""
    height, features = x.shape[1], x.shape[3]
    flat = tf.pad(tf.reshape(x, (-1, height * (width + height - 1), features)), [[0, 0], [0, height], [0, 0]])
    return tf.reshape(flat, (-1, height, width + height, features))[:, :, :width]
