"""The gated blocks of PixelCNN++, in two streams and at one resolution after the other."""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.layers.conditioning import condition_bias, shifted
from tfgen.layers.streams import ShiftedConv2D, ShiftedUpsampling2D

KERNELS = {"down": (2, 3), "right": (2, 2)}


class Resolution(keras.layers.Layer):
    """What both streams pass at one resolution.

    Args:
      num_blocks: Blocks on the way down.
      lowest: Whether there is no lower resolution.
      index: Which resolution, from the top.
      block: Arguments of the blocks.
      **kwargs: Passed on to `keras.layers.Layer`.

    Attributes:
      encode: Blocks on the way down.
      decode: Blocks on the way up, with short-cuts.
      shrink: For each stream the convolution to the next lower resolution; empty in the lowest.
      grow: For each stream the convolution back.
    """

    def __init__(self, num_blocks, lowest, index, block, **kwargs):
        super().__init__(**kwargs)
        filters, policy = block["filters"], self.dtype_policy
        first, last = 1000 * index, num_blocks + (not lowest)
        self.encode = [TwoStreams(False, first + i, **block) for i in range(num_blocks)]
        self.decode = [TwoStreams(True, first + 500 + i, **block) for i in range(last)]
        streams = () if lowest else KERNELS.items()
        self.shrink = [ShiftedConv2D(filters, size, s, strides=2, dtype=policy) for s, size in streams]
        self.grow = [ShiftedUpsampling2D(filters, s, dtype=policy) for s, _ in streams]

    def build(self, input_shape):
        """Creates all weights."""
        for layer in (*self.encode, *self.shrink, *self.grow, *self.decode):
            layer.build(input_shape)
        self.built = True


class TwoStreams(keras.layers.Layer):
    """A gated block of each stream; the right one reads the down one's output.

    Args:
      shortcut: Whether there are short-cuts from the way down.
      index: Tells the dropout of this layer from that of others.
      filters: Features of each stream.
      dropout: Share of hidden features that training leaves out.
      condition: `Condition`, or None.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, shortcut, index, filters, dropout, condition, **kwargs):
        super().__init__(**kwargs)
        common = {"filters": filters, "dropout": dropout, "condition": condition, "dtype": self.dtype_policy}
        self.index = index
        self.down = GatedBlock("down", int(shortcut), **common)
        self.right = GatedBlock("right", 1 + shortcut, **common)

    def build(self, input_shape):
        """Creates the weights of both blocks."""
        self.down.build(input_shape)
        self.right.build(input_shape)
        self.built = True

    def call(self, streams, shortcuts=(), condition=None, seed=None):
        """Both streams, `[B, H, W, filters]` in and out; `shortcuts` are the two streams, or nothing."""
        seeds = (None, None) if seed is None else random.split(random.fold_in(seed, self.index))
        down = self.down(streams[0], shortcuts[:1], condition, seeds[0])
        return down, self.right(streams[1], (down, *shortcuts[1:]), condition, seeds[1])


class GatedBlock(keras.layers.Layer):
    """h + a * sigmoid(b) with (a, b) = conv(drop(f(conv(f(h)) + sum_s W_s f(side_s)))) + V condition.

    f(h) = elu(h, -h) is the paper's concat_elu.

    Args:
      stream: "down" or "right".
      num_sides: Number of other features that the block reads.
      filters: Features of h and of each side.
      dropout: Share of hidden features that training leaves out.
      condition: `Condition`, or None.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, stream, num_sides, filters, dropout, condition, **kwargs):
        super().__init__(**kwargs)
        self.num_sides, self.dropout, policy = num_sides, dropout, self.dtype_policy
        self.first = ShiftedConv2D(filters, KERNELS[stream], stream, dtype=policy)
        # A hundredth of the variance: a block is nearly the identity at first, as in the paper's code.
        small = keras.initializers.VarianceScaling(0.01, "fan_avg", "uniform")
        self.second = ShiftedConv2D(
            2 * filters, KERNELS[stream], stream, kernel_initializer=small, dtype=policy
        )  # fmt: skip
        self.bias = None if condition is None else condition_bias(2 * filters, condition, dtype=policy)

    def build(self, input_shape):
        """Creates the convolutions and the matrices W_s."""
        filters, wide = input_shape[-1], (*input_shape[:-1], 2 * input_shape[-1])
        self.first.build(wide)
        self.second.build(wide)
        if self.num_sides:
            shape = (self.num_sides, 2 * filters, filters)
            self.side = self.add_weight(shape, initializer="glorot_uniform", name="side")
        self.built = True

    def call(self, h, sides=(), condition=None, seed=None):
        """The block's output, `[B, H, W, filters]` as `h` and `sides`; a seed makes it drop features."""
        hidden = self.first(concat_elu(h))
        if sides:
            read = tf.concat([concat_elu(side) for side in sides], axis=-1)
            kernel = tf.reshape(tf.cast(self.side, self.compute_dtype), (1, 1, -1, hidden.shape[-1]))
            hidden += tf.nn.conv2d(read, kernel, strides=1, padding="VALID")
        hidden = concat_elu(hidden)
        if self.dropout and seed is not None:
            kept = random.uniform(seed, tf.shape(hidden)) >= self.dropout
            hidden = tf.where(kept, hidden / (1.0 - self.dropout), 0.0)
        shift = None if condition is None else self.bias(condition)
        a, b = tf.split(shifted(self.second(hidden), shift), 2, axis=-1)
        return h + a * tf.sigmoid(b)


def concat_elu(h):
    """elu(h) and elu(-h), `[..., 2 n]`."""
    return tf.nn.elu(tf.concat([h, -h], axis=-1))
