"""Fully connected networks."""

import math

import keras


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
    layers = [keras.Input(input_shape)]
    if len(input_shape) > 1:
        layers.append(keras.layers.Flatten(dtype=dtype))
    layers += [keras.layers.Dense(n, activation=activation, dtype=dtype) for n in hidden]
    layers.append(keras.layers.Dense(math.prod(output_shape), dtype=dtype))
    if len(output_shape) > 1:
        layers.append(keras.layers.Reshape(output_shape, dtype=dtype))
    return keras.Sequential(layers, name=name)
