"""PixelCNN++: two streams at several resolutions, a mixture of discretized logistics for each pixel."""

import keras
import tensorflow as tf

from tfgen import checks
from tfgen.autoregressive.levels import read_levels
from tfgen.autoregressive.pixels.mixture_draw import MixtureDraw
from tfgen.autoregressive.pixels.pixel_model import PixelModel
from tfgen.autoregressive.pixels.two_streams import Resolution
from tfgen.autoregressive.pixels.two_streams_walk import StreamsByPixel
from tfgen.distributions.heads import discretized_logistic_mixture, mixture_outputs
from tfgen.layers.streams import ShiftedConv2D


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
      **kwargs: Passed on to `PixelModel`: `condition` and others.

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
        **kwargs,
    ):
        super().__init__(event_shape, num_values, **kwargs)
        self.filters = checks.whole("filters", filters)
        checks.whole("num_blocks", num_blocks)
        checks.whole("num_components", num_components)
        checks.whole("num_resolutions", num_resolutions)
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}.")
        channels, policy = self.event_shape[-1], self.dtype_policy
        first = {"strict": True, "dtype": policy}
        self.enter_down = ShiftedConv2D(filters, (2, 3), "down", **first)
        self.enter_above = ShiftedConv2D(filters, (1, 3), "down", **first)
        self.enter_left = ShiftedConv2D(filters, (2, 1), "right", **first)
        for layer in (self.enter_down, self.enter_above, self.enter_left):
            layer.build((None, None, None, channels + 1))
        self.resolutions = []
        for k in range(num_resolutions):
            lowest = k == num_resolutions - 1
            block = {"filters": filters, "dropout": dropout, "condition": self.condition, "dtype": policy}
            self.resolutions.append(Resolution(num_blocks, lowest, k, block, dtype=policy))
            self.resolutions[-1].build((None, None, None, filters))
        self.last = keras.layers.Dense(num_components * mixture_outputs(channels), dtype=policy)
        self.last.build((None, None, None, filters))

    def encode(self, x):
        """Levels `[..., channels]` in [-1, 1], and a one that tells them from what is outside the image."""
        return tf.concat([read_levels(x, self.num_values), tf.ones_like(x[..., :1])], axis=-1)

    def logits(self, x, condition=None, seed=None):
        """What `conditionals` are made of, `[batch, rows, columns, outputs]`, for each pixel of levels `x`.

        Args:
          x: `[batch, *event_shape]`.
          condition: As `condition` describes.
          seed: int32 [2] for dropout; None has none.
        """
        x = self.encode(x)
        streams = (self.enter_down(x), self.enter_above(x) + self.enter_left(x))
        _, right = self._through(0, streams, {"condition": self.shifts(condition), "seed": seed})
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

    def pixels(self, logits):
        """The distribution of a pixel, `DiscretizedLogisticMixture`, from `logits` `[..., outputs]`."""
        return discretized_logistic_mixture(logits, self.event_shape[-1], self.num_values)

    def conditionals(self, x, condition=None):
        """p(pixel | pixels before it) for each pixel of `x`: batch shape `[batch, rows, columns]`."""
        return self.pixels(self.logits(x, condition))

    def score(self, x, condition=None):
        """log p(x) of unchecked levels `x` `[batch, *event_shape]`: float32 `[batch]`, in nats."""
        return tf.reduce_sum(self.conditionals(x, condition).log_prob(x), axis=(1, 2))

    def _negative_log_likelihood(self, batch, seed, step):
        del step
        logits = self.logits(**batch, seed=seed)
        return -tf.reduce_mean(tf.reduce_sum(self.pixels(logits).log_prob(batch["x"]), axis=(1, 2))), {}

    def condition_shifts(self, condition):
        """The condition `[batch, width]` itself: each block has its own matrix for it."""
        return condition

    def entry_draw(self, seeds, temperature, given, mask):
        """What draws one pixel after the other."""
        return MixtureDraw(self, seeds, temperature, given, mask)

    def walk(self, draw, num, shifts, with_logits):
        """The network, one pixel at a time."""
        return StreamsByPixel(self, draw, num, shifts, with_logits)
