"""PixelCNN++: two streams at several resolutions, a mixture of discretized logistics for each pixel."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.pixels.pixel_model import PixelModel, Walk
from tfgen.autoregressive.pixels.two_streams import Resolution, ResolutionsByPixel
from tfgen.distributions.laws import LogisticMixture
from tfgen.layers.masked import convolve_above
from tfgen.layers.streams import ShiftedConv2D
from tfgen.space import label_or_vector


@keras.saving.register_keras_serializable("tfgen")
class PixelCNNPlusPlus(PixelModel):
    """PixelCNN++ (Salimans, Karpathy, Chen & Kingma 2017).

    p(x) = prod p(pixel | pixels before it), each pixel a mixture of K discretized logistics whose channels
    share the component: R, then G whose location is shifted by R, then B shifted by both
    (`DiscretizedLogisticMixture`).

    The stream "down" knows the rows above a pixel, the stream "right" those and what stands to the left.
    Gated blocks, in which the right stream also reads the down stream, are followed by a strided convolution
    to half the resolution, and so on; on the way up each block has a short-cut from its counterpart on the
    way down. The paper's weight normalization, initialized from a batch of data, is left out; its averaged
    weights are what a training with --ema gives.

    Args:
      event_shape: (rows, columns, channels) of any size, channels in the order of their generation.
      filters: Features of each stream.
      num_blocks: Gated blocks of each stream at each resolution on the way down; 5 in the paper.
      num_components: Components of the mixture.
      num_resolutions: Number of resolutions, each half the one before; 1 has no strided convolution.
      dropout: Share of a block's hidden features that training leaves out; 0.5 in the paper.
      num_values: Number of levels of an entry; 2 for binary images.
      condition: What p is conditioned on: "none", "label" or "vector"; it adds to every gated block.
      num_classes: Number of labels; a tuple for labels of several kinds at once.
      condition_size: Length of the vector.
      position: Add a learned bias for each row and each column wherever a condition adds; for images whose
        places differ, unlike patches of photographs.
      **kwargs: Passed on to `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.

    References:
      Salimans, Karpathy, Chen & Kingma, "PixelCNN++: improving the PixelCNN with discretized logistic mixture
      likelihood and other modifications", ICLR 2017, arXiv:1701.05517.
    """

    def __init__(
        self,
        event_shape,
        filters=64,
        num_blocks=2,
        num_components=5,
        num_resolutions=3,
        dropout=0.0,
        num_values=2,
        condition="none",
        num_classes: int | None = None,
        condition_size: int | None = None,
        position=False,
        **kwargs,
    ):
        law = LogisticMixture(checks.image_shape(event_shape)[-1], num_components, num_values)
        super().__init__(event_shape, law, label_or_vector(condition, num_classes, condition_size), **kwargs)
        self.filters = checks.whole("filters", filters)
        checks.whole("num_blocks", num_blocks)
        checks.whole("num_resolutions", num_resolutions)
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}.")
        policy = self.dtype_policy
        self.enter_down = ShiftedConv2D(filters, (2, 3), "down", strict=True, dtype=policy)
        self.enter_above = ShiftedConv2D(filters, (1, 3), "down", strict=True, dtype=policy)
        self.enter_left = ShiftedConv2D(filters, (2, 1), "right", strict=True, dtype=policy)
        for layer in (self.enter_down, self.enter_above, self.enter_left):
            layer.build((None, None, None, law.features(self.event_shape[-1])))
        self.resolutions, size = [], self.event_shape[:2]
        for k in range(num_resolutions):
            lowest, told = k == num_resolutions - 1, (self.condition_width, size if position else None)
            resolution = Resolution(num_blocks, lowest, k, filters, dropout, *told, dtype=policy)
            resolution.build((None, None, None, filters))
            self.resolutions.append(resolution)
            size = tuple(-(-each // 2) for each in size)
        self.last = keras.layers.Dense(law.size, dtype=policy)
        self.last.build((None, None, None, filters))

    def raw(self, x, condition=None, seed=None):
        """Parameters of each pixel's mixture given the pixels before it.

        Args:
          x: Levels `[batch, *event_shape]`.
          condition: As `condition` describes.
          seed: int32 [2] for dropout; None has none.

        Returns:
          float32 `[batch, rows, columns, law.size]`.
        """
        x = self.law.read(x)
        streams = (self.enter_down(x), self.enter_above(x) + self.enter_left(x))
        given = {"condition": self.condition_features(condition), "seed": seed}
        _, right = self._through(0, streams, given)
        return tf.cast(self.last(tf.nn.elu(right)), tf.float32)

    def _through(self, k, streams, given):
        """Both streams through resolution k and those below it, `[batch, h, w, filters]` in and out."""
        level, kept, size = self.resolutions[k], [streams], tuple(streams[0].shape[1:3])
        for blocks in level.encode:
            kept.append(blocks(kept[-1], **given))
        if level.shrink:
            lower = [shrink(h) for shrink, h in zip(level.shrink, kept[-1], strict=True)]
            lower = self._through(k + 1, lower, given)
            streams = [grow(h, size=size) for grow, h in zip(level.grow, lower, strict=True)]
        else:
            streams = kept.pop()
        for blocks in level.decode:
            streams = blocks(streams, kept.pop(), **given)
        return streams

    def walk(self, num, condition=None):
        """The network one pixel at a time: a row of the down stream, then the pixels of the right one."""
        _, columns, channels = self.event_shape
        features, dtype = self.law.features(channels), self.compute_dtype
        condition = self.condition_features(condition)
        top = ResolutionsByPixel(self.resolutions, columns, self.filters, num, condition)
        enter_down, enter_above = self.enter_down.by_pixel(), self.enter_above.by_pixel()
        enter_left = self.enter_left.by_pixel()
        # The pixel up and to the left is read with the three straight above.
        above_kernel = enter_above.above + tf.pad(enter_left.above, [[0, 2 * features], [0, 0]])
        above_bias = enter_above.bias + enter_left.bias
        kernel, bias = (tf.cast(w, dtype) for w in self.last.weights)

        def begin_row(rows, above, number):
            """The down stream of the row, and what the right one reads of it and of the row above."""
            h = convolve_above(rows[None], enter_down.above[None])[:, 0] + enter_down.bias
            _, above, context = top.row(h, number, above)
            enter = convolve_above(rows[None, 1:], above_kernel[None])[:, 0] + above_bias
            place = tf.fill([columns], number), tf.range(columns)
            return above, (enter, context, place)

        def conditional(context, taps, left, channel):
            del channel
            enter, context, place = context
            h, kept = top.pixel(taps @ enter_left.beside + enter, context, left, *place)
            return tf.cast(tf.nn.bias_add(tf.nn.elu(h) @ kernel, bias), tf.float32), kept

        def include(left, kept):
            del left
            return kept

        def end_row(above, kept, number):
            return top.end_row(number, above, kept)

        left = top.left()
        return Walk(
            reach=(2, 1),
            above=top.above(),
            left=left,
            kept=tf.nest.map_structure(lambda zeros: tf.TensorSpec(zeros.shape, zeros.dtype), left),
            begin_row=begin_row,
            conditional=conditional,
            include=include,
            end_row=end_row,
        )
