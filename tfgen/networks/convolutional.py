"""Convolutional networks between images and vectors, for images of any size."""

import math

import keras
from keras import layers


def convolutional_encoder(
    image_shape, filters, hidden, output_size, activation="relu", dtype=None, name=None
):
    """Halves an image with each convolution, then dense layers.

    Args:
      image_shape: (height, width, channels).
      filters: Channels of each 4x4 convolution with stride 2.
      hidden: Sizes of the dense layers that follow.
      output_size: Size of the output; the last layer has no activation.
      activation: Activation of all other layers.
      dtype: Keras dtype policy.
      name: Keras name.

    Returns:
      `keras.Sequential`, `[batch, *image_shape]` to `[batch, output_size]`.
    """
    options = {"activation": activation, "dtype": dtype}
    convolutions = [layers.Conv2D(n, 4, strides=2, padding="same", **options) for n in filters]
    dense = [layers.Dense(n, **options) for n in hidden]
    return keras.Sequential(
        [
            keras.Input(image_shape),
            *convolutions,
            layers.Flatten(dtype=dtype),
            *dense,
            layers.Dense(output_size, dtype=dtype),
        ],
        name=name,
    )


def convolutional_decoder(
    input_size, hidden, filters, output_shape, activation="relu", dtype=None, name=None
):
    """Dense layers, then doubles the image with each transposed convolution and cuts it to size.

    Args:
      input_size: Size of the input vector.
      hidden: Sizes of the dense layers.
      filters: Channels before each 4x4 transposed convolution with stride 2.
      output_shape: (height, width, ...); the last layer has no activation.
      activation: Activation of all other layers.
      dtype: Keras dtype policy.
      name: Keras name.

    Returns:
      `keras.Sequential`, `[batch, input_size]` to `[batch, *output_shape]`.
    """
    options = {"activation": activation, "dtype": dtype}
    sizes = [output_shape[:2]]
    for _ in filters:
        sizes.append(tuple(-(-n // 2) for n in sizes[-1]))
    sizes.reverse()
    start = (*sizes[0], filters[0])
    stack = [keras.Input((input_size,)), *(layers.Dense(n, **options) for n in hidden)]
    stack += [layers.Dense(math.prod(start), **options), layers.Reshape(start, dtype=dtype)]
    channels = [*filters[1:], math.prod(output_shape[2:])]
    for i, (n, before, after) in enumerate(zip(channels, sizes[:-1], sizes[1:], strict=True)):
        kind = options if i + 1 < len(channels) else {"dtype": dtype}
        stack.append(layers.Conv2DTranspose(n, 4, strides=2, padding="same", **kind))
        # Odd sizes were rounded up on the way down.
        excess = [(0, 2 * b - a) for b, a in zip(before, after, strict=True)]
        if any(cut for _, cut in excess):
            stack.append(layers.Cropping2D(tuple(excess), dtype=dtype))
    stack.append(layers.Reshape(output_shape, dtype=dtype))
    return keras.Sequential(stack, name=name)
