"""Residual networks between images and maps of features, of VQ-VAE."""

import keras
from keras import layers

from tfgen import checks


def residual_encoder(
    image_shape, filters, halvings, num_blocks, hidden, output_size, dtype=None, name=None, further=0
):
    """Halves an image so many times, then residual blocks: to a map of features.

    Each halving is a 4x4 convolution of stride 2 and a ReLU, with half the filters but for the last one. Then
    follow a 3x3 convolution, the blocks, a ReLU and a 1x1 convolution.

    Args:
      image_shape: (rows, columns, channels), rows and columns divisible by 2^halvings.
      filters: Features of the residual stream.
      halvings: Number of halvings.
      num_blocks: Number of residual blocks, h <- h + conv1x1(relu(conv3x3(relu(h)))).
      hidden: Features inside a block.
      output_size: Features of the result.
      dtype: Keras dtype policy.
      name: Keras name.
      further: How often the result will be halved once more, by another network.

    Returns:
      `keras.Model`, `[batch, *image_shape]` to `[batch, rows / 2^halvings, columns / 2^halvings,
      output_size]`.

    Raises:
      ValueError: If a size does not fit.

    References:
      van den Oord, Vinyals & Kavukcuoglu, 2017, arXiv:1711.00937, section 4.1.
    """
    _check(filters, halvings, num_blocks, hidden)
    factor = 2 ** (halvings + further)
    if image_shape[0] % factor or image_shape[1] % factor:
        raise ValueError(
            f"event_shape {tuple(image_shape)} does not divide into {factor} x {factor} pixels a code, got "
            f"halvings={halvings}: take fewer, or images of such sizes."
        )
    inputs = h = keras.Input(image_shape)
    for i in range(halvings):
        units = filters if i + 1 == halvings else max(filters // 2, 1)
        h = layers.Conv2D(units, 4, 2, "same", activation="relu", dtype=dtype)(h)
    h = layers.Conv2D(filters, 3, padding="same", dtype=dtype)(h)
    h = _blocks(h, filters, num_blocks, hidden, dtype)
    return keras.Model(inputs, layers.Conv2D(output_size, 1, dtype=dtype)(h), name=name)


def residual_decoder(map_shape, filters, doublings, num_blocks, hidden, output_size, dtype=None, name=None):
    """Residual blocks, then doubles a map so many times: the encoder's mirror image.

    Args:
      map_shape: (rows, columns, features).
      filters: Features of the residual stream.
      doublings: Number of doublings, each a transposed 4x4 convolution of stride 2.
      num_blocks: Number of residual blocks.
      hidden: Features inside a block.
      output_size: Features of each pixel of the result.
      dtype: Keras dtype policy.
      name: Keras name.

    Returns:
      `keras.Model`, `[batch, *map_shape]` to `[batch, 2^doublings rows, 2^doublings columns, output_size]`.

    Raises:
      ValueError: If a size does not fit.
    """
    _check(filters, doublings, num_blocks, hidden)
    inputs = keras.Input(map_shape)
    h = layers.Conv2D(filters, 3, padding="same", dtype=dtype)(inputs)
    h = _blocks(h, filters, num_blocks, hidden, dtype)
    for i in range(doublings):
        last = i + 1 == doublings
        units, activation = (output_size, None) if last else (max(filters // 2, 1), "relu")
        h = layers.Conv2DTranspose(units, 4, 2, "same", activation=activation, dtype=dtype)(h)
    if not doublings:
        h = layers.Conv2D(output_size, 1, dtype=dtype)(h)
    return keras.Model(inputs, h, name=name)


def _check(filters, halvings, num_blocks, hidden):
    checks.whole("filters", filters)
    checks.whole("halvings", halvings, at_least=0)
    checks.whole("num_blocks", num_blocks, at_least=0)
    checks.whole("hidden", hidden)


def _blocks(h, filters, num_blocks, hidden, dtype):
    """The residual blocks and the ReLU after them."""
    for _ in range(num_blocks):
        inner = layers.Conv2D(hidden, 3, padding="same", activation="relu", dtype=dtype)(
            layers.ReLU(dtype=dtype)(h)
        )
        h = layers.Add(dtype=dtype)([h, layers.Conv2D(filters, 1, dtype=dtype)(inner)])
    return layers.ReLU(dtype=dtype)(h)


def default_halvings(rows, columns, most=2, even=False):
    """How often an image is halved unless it is said: evenly, and not below 4 pixels a side.

    Args:
      rows: Number of rows.
      columns: Number of columns.
      most: At most so often.
      even: Whether it can then be halved once more.
    """
    halvings = 0
    while halvings < most and not (rows % 2 or columns % 2) and min(rows, columns) >= 8:
        rows, columns = rows // 2, columns // 2
        if even and (rows % 2 or columns % 2):
            break
        halvings += 1
    return halvings
