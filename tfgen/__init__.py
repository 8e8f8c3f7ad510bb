"""Deep generative models on TensorFlow, Keras 3 and TensorFlow Probability.

Every model is here by its name (`tfgen.VAE`, `tfgen.PixelCNN`, ...), and so is every package (`tfgen.data`,
`tfgen.training`, ...); each is imported when it is first asked for, so that `import tfgen` costs next to
nothing. After it, `keras.saving.load_model` knows the classes in `.keras` files of tfgen's models.
"""

from tfgen import on_demand

__version__ = "0.1.0"

on_demand.register_once_keras_is_there()


def __getattr__(name):
    return on_demand.public(name)


def __dir__():
    return sorted({*globals(), *on_demand.public_names()})
