"""Default encoders and decoders by the kind of network and the shape of x."""

from tfgen.networks.convolutional import convolutional_decoder, convolutional_encoder
from tfgen.networks.mlp import mlp


def default_encoder(network, event_shape, output_size, hidden, filters, activation="relu", dtype=None):
    """A network from x to a vector.

    Args:
      network: "mlp", or "conv" for images.
      event_shape: Shape of one x.
      output_size: Size of the vector.
      hidden: Sizes of the dense hidden layers.
      filters: Channels of the convolutions, for "conv".
      activation: Activation of the hidden layers.
      dtype: Keras dtype policy.

    Returns:
      `keras.Sequential`.

    Raises:
      ValueError: If the network is unknown or does not fit the shape.
    """
    _check(network, event_shape, hidden, filters)
    options = {"activation": activation, "dtype": dtype, "name": "encoder"}
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
    _check(network, output_shape[:-1], hidden, filters)
    options = {"activation": activation, "dtype": dtype, "name": "decoder"}
    hidden, filters = hidden[::-1], filters[::-1]
    if network == "mlp":
        return mlp((input_size,), hidden, output_shape, **options)
    return convolutional_decoder(input_size, hidden, filters, output_shape, **options)


def _check(network, event_shape, hidden, filters):
    if network not in ("mlp", "conv"):
        raise ValueError(f"network must be 'mlp' or 'conv', got {network!r}.")
    if None in event_shape:
        raise ValueError(f"event_shape must be fixed for these networks, got {event_shape}.")
    if network == "conv" and len(event_shape) != 3:
        raise ValueError(
            f"network='conv' needs event_shape (height, width, channels), got {event_shape}: take "
            "network='mlp'."
        )
    if network == "conv" and not filters:
        raise ValueError("filters must not be empty for network='conv'.")
    for name, sizes in (("hidden", hidden), ("filters", filters)):
        if any(size < 1 for size in sizes):
            raise ValueError(f"{name} must hold positive sizes, got {sizes}.")
