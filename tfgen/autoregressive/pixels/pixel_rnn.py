"""PixelRNN: exact likelihood by LSTMs that run over an image's rows or diagonals."""

import keras

from tfgen import checks
from tfgen.autoregressive.pixels.lstm_walk import DiagonalByPixel, RowByPixel
from tfgen.autoregressive.pixels.masked_stack import MaskedStack
from tfgen.autoregressive.pixels.pixel_lstm import DiagonalBiLSTM, RowLSTM


@keras.saving.register_keras_serializable("tfgen")
class PixelRNN(MaskedStack):
    """PixelRNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016): Row LSTM or Diagonal BiLSTM.

    p(x) = prod_i p(x_i | x_<i), rows from above, pixels from the left, within a pixel R, then G given R, then
    B given both. A masked 7x7 convolution to 2h features is followed by residual LSTM layers of h units,

      x <- x + conv1x1(LSTM(x)),   [o, f, i, g] = K_is * x + K_ss * (states before),
      c = f c + i g,   h = o tanh(c),   o, f and i sigmoid, g tanh

    and two 1x1 convolutions. The states before are three of the row above ("row": each pixel sees a
    triangle), or those above and beside the pixel, once from the left and once from the right ("diagonal":
    each sees everything before it, the last pixel of the row above only by the first convolution, since a
    feature never knows its own pixel). A condition adds to that convolution and to every layer's gates.

    Args:
      event_shape: (rows, columns, channels), channels in the order of their generation.
      layer: Kind of the LSTM layers, "diagonal" or "row".
      num_layers: Number of LSTM layers.
      hidden: Units h of each LSTM; the residual stream has twice as many features.
      kernel_size: Odd length of the Row LSTM's kernels.
      **kwargs: Passed on to `MaskedStack`: `head`, `first_kernel_size`, `num_values` and others.

    Raises:
      ValueError: If an argument does not fit.

    References:
      van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016,
      arXiv:1601.06759.
    """

    def __init__(self, event_shape, layer="diagonal", num_layers=7, hidden=16, kernel_size=3, **kwargs):
        super().__init__(event_shape, **kwargs)
        channels = self.event_shape[-1]
        self.layer = checks.one_of("layer", layer, ("diagonal", "row"))
        self.jit_updates = layer == "diagonal"
        checks.whole("num_layers", num_layers)
        checks.whole("hidden", hidden, at_least=channels)
        checks.whole("kernel_size", kernel_size, at_least=3, odd=True)
        common = {"channels": channels, "dtype": self.dtype_policy}
        directions = 2 if layer == "diagonal" else 1
        blocks = [
            DiagonalBiLSTM(hidden, **common)
            if layer == "diagonal"
            else RowLSTM(hidden, kernel_size, **common)
            for _ in range(num_layers)
        ]
        self.build_stack(2 * hidden, blocks, 4 * directions * hidden)

    def walk(self, draw, num, shifts, with_logits):
        """The network, one pixel at a time."""
        cls = DiagonalByPixel if self.layer == "diagonal" else RowByPixel
        return cls(self, draw, num, shifts, with_logits)
