"""Encoders and decoders by the shape of x: fully connected, or convolutional for images of any size."""

import math

import keras
from keras import layers

from tfgen import checks


def default_encoder(
    network, event_shape, output_size, hidden, filters, activation="relu", dtype=None, name="encoder"
):
    """A network from x to a vector.

    Args:
      network: "mlp", or "conv" for images.
      event_shape: Shape of one x.
      output_size: Size of the vector.
      hidden: Sizes of the dense hidden layers.
      filters: Channels of the convolutions, for "conv".
      activation: Activation of the hidden layers.
      dtype: Keras dtype policy.
      name: Keras name.

    Returns:
      `keras.Sequential`.

    Raises:
      ValueError: If the network is unknown or does not fit the shape.
    """
    hidden, filters = _check(network, event_shape, hidden, filters)
    options = {"activation": activation, "dtype": dtype, "name": name}
    if network == "mlp":
        return mlp(event_shape, hidden, (output_size,), **options)
    return convolutional_encoder(event_shape, filters, hidden, output_size, **options)


def default_decoder(network, input_size, output_shape, hidden, filters, activation="relu", dtype=None):
    """A network from a vector to parameters of each entry of x: the encoder's mirror image.

    Args:
      network: "mlp", or "conv" for images.
      input_size: Size of the vector.
      output_shape: Shape of one x and, after it, the number of parameters of each entry.
      hidden: Sizes of the encoder's dense hidden layers; used in reverse.
      filters: Channels of the encoder's convolutions, for "conv"; used in reverse.
      activation: Activation of the hidden layers.
      dtype: Keras dtype policy.

    Returns:
      `keras.Sequential`.

    Raises:
      ValueError: If the network is unknown or does not fit the shape.
    """
    hidden, filters = _check(network, output_shape[:-1], hidden, filters)
    options = {"activation": activation, "dtype": dtype, "name": "decoder"}
    hidden, filters = hidden[::-1], filters[::-1]
    if network == "mlp":
        return mlp((input_size,), hidden, output_shape, **options)
    return convolutional_decoder(input_size, hidden, filters, output_shape, **options)


def _check(network, event_shape, hidden, filters):
    """`hidden` and `filters` as tuples, all four fitting each other."""
    checks.one_of("network", network, ("mlp", "conv"))
    if None in event_shape:
        raise ValueError(f"event_shape must be fixed for these networks, got {event_shape}.")
    if network == "conv" and len(event_shape) != 3:
        raise ValueError(
            f"network='conv' needs event_shape (height, width, channels), got {event_shape}: take "
            "network='mlp'."
        )
    if network == "conv" and not filters:
        raise ValueError("filters must not be empty for network='conv'.")
    return checks.sizes("hidden", hidden), checks.sizes("filters", filters)


def mlp(input_shape, hidden, output_shape, activation="relu", dtype=None, name=None):
    """A multilayer perceptron from any shape to any shape, its weights made at once.

    Args:
      input_shape: Shape of one input.
      hidden: Sizes of the hidden layers; () makes the map affine.
      output_shape: Shape of one output; the last layer has no activation.
      activation: Activation of the hidden layers.
      dtype: Keras dtype policy.
      name: Keras name.

    Returns:
      `keras.Sequential`, `[batch, *input_shape]` to `[batch, *output_shape]`.
    """
    stack = [keras.Input(input_shape)]
    if len(input_shape) > 1:
        stack.append(layers.Flatten(dtype=dtype))
    stack += [layers.Dense(n, activation=activation, dtype=dtype) for n in hidden]
    stack.append(layers.Dense(math.prod(output_shape), dtype=dtype))
    if len(output_shape) > 1:
        stack.append(layers.Reshape(output_shape, dtype=dtype))
    return keras.Sequential(stack, name=name)


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
