"""All-convolutional generators and discriminators, as in DCGAN, for pictures of any size.

A generator maps `[batch, latent_size]` to `[batch, *event_shape]`, a discriminator
`[batch, *event_shape]` to one logit, `[batch, 1]`. Both end in float32 whatever the dtype policy.
"""

import math

import keras
from keras import layers


def resolutions(height, width):
    """Sizes from the picture down to the smallest map, each half of the one before, rounded up.

    At least two halvings, and as many as leave the smaller side at 4 or more: 28x28 goes through
    14x14 to 7x7, 64x64 to 4x4, 8x8 to 2x2.

    Returns:
      List of (height, width).
    """
    sizes = [(height, width)]
    halvings = max(2, (min(height, width) // 4).bit_length() - 1)
    for _ in range(halvings):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


def conv_generator(event_shape, latent_size, base_filters, kernel_size=4, dtype=None):
    """Transposed convolutions of stride 2 with batch norm and ReLU, then tanh.

    A map of odd size is cropped from the next even one. Filters double as resolution halves.

    Args:
      event_shape: (height, width, channels).
      latent_size: Size of the latent vector.
      base_filters: Filters of the map before the last layer, at half the picture's size.
      kernel_size: Side of the kernels.
      dtype: Keras dtype policy.

    Returns:
      `keras.Sequential`.

    References:
      Radford, Metz & Chintala, 2015, Unsupervised representation learning with deep convolutional
      generative adversarial networks, arXiv:1511.06434.
    """
    *larger, smallest = resolutions(*event_shape[:2])
    filters = base_filters * 2 ** (len(larger) - 1)
    network = [
        keras.Input((latent_size,)),
        layers.Dense(math.prod(smallest) * filters, use_bias=False, **_normal(), dtype=dtype),
        layers.Reshape((*smallest, filters), dtype=dtype),
    ]
    below = smallest
    for size in reversed(larger):
        network += [_batch_norm(dtype), layers.ReLU(dtype=dtype)]
        last = size == larger[0]
        filters = filters // 2
        network.append(
            layers.Conv2DTranspose(
                event_shape[-1] if last else filters,
                kernel_size,
                2,
                "same",
                use_bias=last,
                **_normal(),
                dtype=dtype,
            )
        )
        surplus = [2 * b - side for b, side in zip(below, size, strict=True)]
        if any(surplus):
            network.append(layers.Cropping2D([(0, s) for s in surplus], dtype=dtype))
        below = size
    return keras.Sequential([*network, layers.Activation("tanh", dtype="float32")], name="generator")


def conv_discriminator(event_shape, base_filters, kernel_size=4, dtype=None):
    """Convolutions of stride 2 with leaky ReLU of slope 0.2, batch norm in all but the first.

    Args:
      event_shape: (height, width, channels).
      base_filters: Filters of the first layer; they double as resolution halves.
      kernel_size: Side of the kernels.
      dtype: Keras dtype policy.

    Returns:
      `keras.Sequential`.

    References:
      As `conv_generator`.
    """
    network = [keras.Input(event_shape)]
    for i in range(len(resolutions(*event_shape[:2])) - 1):
        convolution = layers.Conv2D(
            base_filters * 2**i, kernel_size, 2, "same", use_bias=i == 0, **_normal(), dtype=dtype
        )
        norm = [_batch_norm(dtype)] if i else []
        network += [convolution, *norm, layers.LeakyReLU(0.2, dtype=dtype)]
    network += [layers.Flatten(dtype=dtype), layers.Dense(1, **_normal(), dtype="float32")]
    return keras.Sequential(network, name="discriminator")


def _normal():
    # A Keras initializer repeats its numbers when it is used twice: one for each layer.
    return {"kernel_initializer": keras.initializers.RandomNormal(0.0, 0.02)}


def _batch_norm(dtype):
    return layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02),
        dtype=dtype,
    )
