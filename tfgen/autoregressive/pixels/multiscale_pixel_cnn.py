"""Multiscale PixelCNN: a small image pixel by pixel, then ever larger ones, many pixels at a time."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.autoregressive_model import AutoregressiveModel
from tfgen.autoregressive.pixels.pixel_cnn import PixelCNN
from tfgen.distributions.laws import Draws, Levels
from tfgen.keras_model import Layer
from tfgen.layers.masked import condition_matrix, location_bias
from tfgen.space import label_or_vector

# Where the groups of a 2x2 block lie: what is known first, then to its right, below, across.
POSITIONS = ((0, 0), (0, 1), (1, 0), (1, 1))


@keras.saving.register_keras_serializable("tfgen")
class MultiScalePixelCNN(AutoregressiveModel):
    """Parallel multiscale autoregressive density (Reed et al. 2017).

    x_S is every 2^S-th pixel of the image x_0, and p(x_0 | c) = p(x_S | c) prod_s prod_g p(g_s | earlier
    groups, x_{s+1}, c). A PixelCNN models x_S. The pixels of x_s form 2x2 blocks, whose upper left one is in
    x_{s+1}; the upper right ones of all blocks are the first group g, then the lower left, then the lower
    right ones. A group is drawn at once, its pixels independent given what came before: first R of all of
    them, then G given R, then B given both. So the number of passes grows with log N, not with the N pixels.

    Each group of each scale has a residual network on the grid of blocks, which reads all earlier groups; a
    color channel adds a 3x3 convolution of the group's earlier channels. A condition, and a bias for each row
    and column of the blocks, add to its first layer, and inside the PixelCNN.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      base_size: Largest number of rows or columns of the image that is drawn pixel by pixel.
      filters: Features of the groups' networks.
      num_blocks: Number of residual blocks in each of them.
      base_filters: Features of the PixelCNN.
      base_blocks: Number of residual blocks of the PixelCNN.
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
      Reed, van den Oord, Kalchbrenner, Gomez Colmenarejo, Wang, Belov & de Freitas, "Parallel multiscale
      autoregressive density estimation", ICML 2017, arXiv:1703.03664.
    """

    jit_updates = False

    def __init__(
        self,
        event_shape,
        base_size=4,
        filters=48,
        num_blocks=2,
        base_filters=32,
        base_blocks=4,
        num_values=2,
        one_hot=False,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        position=True,
        **kwargs,
    ):
        law, told = Levels(num_values, one_hot), label_or_vector(condition, num_classes, condition_size)
        super().__init__(checks.image_shape(event_shape), law, told, **kwargs)
        channels = self.event_shape[-1]
        checks.whole("base_size", base_size)
        checks.whole("filters", filters)
        checks.whole("num_blocks", num_blocks)
        checks.whole("base_filters", base_filters, at_least=channels)
        checks.whole("base_blocks", base_blocks)
        sizes = [self.event_shape[:2]]
        while max(sizes[-1]) > base_size:
            sizes.append(tuple(-(-size // 2) for size in sizes[-1]))
        self.sizes = sizes  # of x_0 to x_S
        self.base = PixelCNN(
            (*sizes[-1], channels),
            filters=base_filters,
            num_blocks=base_blocks,
            hidden=base_filters,
            head=base_filters,
            num_values=num_values,
            one_hot=one_hot,
            condition=condition,
            num_classes=num_classes,
            condition_size=condition_size,
            position=position,
            dtype=self.dtype_policy,
        )
        self.groups = []
        for scale in range(len(sizes) - 1):
            present = [p for p in range(1, 4) if self._present(scale, p).any()]
            places = sizes[scale + 1] if position else None
            networks = [
                self._group(before, filters, num_blocks, places) for before in range(1, len(present) + 1)
            ]
            self.groups.append(dict(zip(present, networks, strict=True)))

    def _group(self, before, filters, num_blocks, places):
        """The network of a group that reads so many earlier ones."""
        channels, read = self.event_shape[-1], self.law.features()
        width = None if self.condition is None else self.condition.width
        told = {"condition_size": width, "image_size": places, "dtype": self.dtype_policy}
        group = Group(filters, num_blocks, channels, read, self.law.size, **told)
        group.build((None, None, None, before * channels * read))
        return group

    def _present(self, scale, position):
        """Which blocks of x_scale have a pixel at that position: bool `[rows, columns]` of blocks."""
        inside = [
            2 * np.arange(-(-size // 2)) + offset < size
            for size, offset in zip(self.sizes[scale], POSITIONS[position], strict=True)
        ]
        return np.logical_and.outer(*inside)

    @property
    def sampling_passes(self):
        """How many times a network runs to draw images: the PixelCNN once a pixel, each group's once."""
        return int(np.prod(self.sizes[-1])) + sum(len(groups) for groups in self.groups)

    @property
    def drawing_order(self):
        """When each pixel is drawn: ints `[rows, columns]`, equal within a group."""
        rows, columns = self.sizes[-1]
        order = np.arange(rows * columns).reshape(rows, columns)
        for scale in reversed(range(len(self.groups))):
            fine, before = np.zeros(self.sizes[scale], int), order.max()
            fine[::2, ::2] = order
            for number, position in enumerate(self.groups[scale], 1):
                row, column = POSITIONS[position]
                fine[row::2, column::2] = before + number
            order = fine
        return order

    def raw(self, x, condition=None, seed=None):
        """Logits of all entries of `x` `[batch, *event_shape]`, each given those drawn before it.

        Returns:
          float32 `[batch, *event_shape, law.size]`: one logit for two levels, `num_values` for more.
        """
        del seed
        images = [x[:, :: 2**s, :: 2**s] for s in range(len(self.sizes))]
        blocks = [split(tf.convert_to_tensor(image)) for image in images[:-1]]

        def known(scale, position, channel, raw):
            del raw
            return blocks[scale][position][..., channel]

        return self._upscale(images[-1], self.base.raw(images[-1], condition), condition, known)[1]

    def scan(
        self, seeds, temperature=1.0, given=None, mask=None, condition=None, length=None, with_raw=False
    ):
        """As in `AutoregressiveModel`: the smallest image pixel by pixel, then group by group."""
        del length
        draws = self.law.draws(seeds, self.event_shape, temperature, given, mask)
        stride = 2 ** len(self.groups)
        smallest = Draws({k: v[::stride, ::stride] for k, v in draws.noise.items()}, draws.entry)
        drawn = self.base.draw(smallest, seeds.shape[0] or tf.shape(seeds)[0], condition, with_raw=True)
        noise = {k: tf.transpose(v, (3, 0, 1, 2)) for k, v in draws.noise.items()}  # [n, *event_shape]
        scales = range(len(self.groups))
        noise = [{k: split(v[:, :: 2**s, :: 2**s]) for k, v in noise.items()} for s in scales]

        def choose(scale, position, channel, raw):
            return draws.entry(raw, {k: v[position][..., channel] for k, v in noise[scale].items()})

        x, raw = self._upscale(drawn["x"], drawn["raw"], condition, choose)
        return {"x": x, "raw": raw} if with_raw else {"x": x}

    def _upscale(self, x, raw, condition, choose):
        """From the smallest image to the largest.

        Args:
          x: The smallest image, `[n, rows, columns, channels]`.
          raw: Its raw outputs, `[n, rows, columns, channels, size]`.
          condition: `[n, *condition.shape]`, or None.
          choose: `f(scale, position, channel, raw) -> levels`, `[n, rows, columns]` of blocks, of one color
            channel of a group with raw outputs `[n, rows, columns, size]`.

        Returns:
          The largest image and its raw outputs.
        """
        features = None if condition is None else self.condition.features(condition)
        for scale in reversed(range(len(self.groups))):
            parts, all_raw, context = {0: x}, {0: raw}, [self.law.read(x)]
            for position, group in self.groups[scale].items():
                present = self._present(scale, position)[..., None].astype("float32")
                h = group.trunk(tf.concat(context, axis=-1), features)
                levels, read, outputs = [], [], []
                for channel in range(self.event_shape[-1]):
                    one = tf.cast(group.channel(h, channel, read), tf.float32)
                    outputs.append(tf.reshape(one, (-1, *self.sizes[scale + 1], self.law.size)))
                    levels.append(choose(scale, position, channel, outputs[-1]))
                    # Pixels outside the image read as zeros, as what is around it.
                    read.append(self.law.read(levels[-1][..., None]) * present)
                parts[position], all_raw[position] = tf.stack(levels, axis=-1), tf.stack(outputs, axis=3)
                context += read
            x, raw = (merge(found, self.sizes[scale]) for found in (parts, all_raw))
        return x, raw


def split(x):
    """The four groups of the 2x2 blocks of `x` `[n, rows, columns, ...]`, with zeros outside the image."""
    even = [[0, size % 2] for size in x.shape[1:3]]
    x = tf.pad(x, [[0, 0], *even] + [[0, 0]] * (x.shape.rank - 3))
    return [x[:, row::2, column::2] for row, column in POSITIONS]


def merge(parts, size):
    """The image of `size` (rows, columns) whose groups `parts` are by position; `split` undone."""
    a, b, c, d = (parts.get(position, tf.zeros_like(parts[0])) for position in range(4))
    blocks = tf.stack([tf.stack([a, b], 3), tf.stack([c, d], 3)], 2)  # [n, rows, 2, columns, 2, ...]
    rows, columns = a.shape[1:3]
    image = tf.reshape(blocks, (-1, 2 * rows, 2 * columns, *a.shape[3:]))
    return image[:, : size[0], : size[1]]


class Group(Layer):
    """Network of one group of pixels: h of all earlier groups, then raw outputs channel by channel.

    Args:
      filters: Features of the residual stream.
      num_blocks: Number of residual blocks, h <- h + conv3x3(relu(conv3x3(relu(h)))).
      channels: Number of color channels.
      read: Number of features that are read of a channel's levels.
      outputs: Number of raw outputs of an entry.
      condition_size: Length of a condition, which adds to the first convolution; None without.
      image_size: (rows, columns) of blocks, for a location-dependent bias there; None without.
      **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(
        self,
        filters,
        num_blocks,
        channels,
        read,
        outputs,
        condition_size=None,
        image_size=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.num_blocks, self.channels = filters, num_blocks, channels
        self.read, self.outputs = read, outputs
        self.condition_size, self.image_size = condition_size, image_size

    def build(self, input_shape):
        """Creates all convolutions."""

        def conv(units, size, features, bias=True):
            layer = keras.layers.Conv2D(units, size, padding="same", use_bias=bias, dtype=self.dtype_policy)
            layer.build((None, None, None, features))
            return layer

        n = self.filters
        self.first = conv(n, 3, input_shape[-1])
        self.blocks = [(conv(n, 3, n), conv(n, 3, n)) for _ in range(self.num_blocks)]
        self.earlier = [conv(n, 3, c * self.read, bias=False) for c in range(1, self.channels)]
        self.heads = [(conv(n, 1, n), conv(self.outputs, 1, n)) for _ in range(self.channels)]
        self.condition = self.position = None
        if self.condition_size is not None:
            self.condition = condition_matrix(n, self.condition_size, self.dtype_policy)
        if self.image_size is not None:
            self.position = location_bias(n, self.image_size, self.dtype_policy)
        self.built = True

    def trunk(self, context, condition=None):
        """Features of each block, from the earlier groups.

        Args:
          context: `[n, rows, columns, features]`.
          condition: float32 `[n, condition_size]`, or None.

        Returns:
          `[n, rows, columns, filters]`.
        """
        h = self.first(context)
        if self.position is not None:
            h += self.position.map()
        if condition is not None:
            h += self.condition(condition)[:, None, None]
        for one, two in self.blocks:
            h += two(tf.nn.relu(one(tf.nn.relu(h))))
        return h

    def channel(self, h, channel, read):
        """Raw outputs of a channel, `[n, rows, columns, outputs]`, given what is read of the earlier ones."""
        if channel:
            h += self.earlier[channel - 1](tf.concat(read, -1))
        hidden, out = self.heads[channel]
        return out(tf.nn.relu(hidden(tf.nn.relu(h))))
