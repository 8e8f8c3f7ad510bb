"""PixelRNN: drawing images against forward passes of the same network, and training steps.

python -m tests.benchmarks.pixel_rnn

A forward pass is itself a loop, over rows or diagonals: both sides run as they run faster, with XLA.
"""

import numpy as np

from tests.benchmarks import measure

ROUNDS, STEPS = 5, 2
ARGUMENTS = {"event_shape": (28, 28, 1)}


def variants(layer):
    """Variants of one kind of layer, at the default configuration."""
    import keras
    import tensorflow as tf

    from tfgen.autoregressive import PixelRNN

    keras.utils.set_random_seed(0)
    model = PixelRNN(layer=layer, **ARGUMENTS)
    shape = model.event_shape
    images = np.random.default_rng(0).integers(0, 2, (32, *shape)).astype("float32")
    batch = tf.constant(images[:16])
    forward = tf.function(model.raw, autograph=False, jit_compile=True)
    return {
        f"{layer} forward 16": lambda: forward(batch).numpy(),
        f"{layer} sample 16": lambda: model.sample(16, seed=1).numpy(),
        f"{layer} training steps, XLA off": steps(layer, images, False),
        f"{layer} training steps, XLA on": steps(layer, images, True),
    }


def steps(layer, images, jit):
    """Function that takes `STEPS` training steps with or without XLA."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import PixelRNN
    from tfgen.update import Step

    model, x = PixelRNN(layer=layer, **ARGUMENTS), tf.constant(images)
    (update,) = model.updates()
    step = Step([update], {update.name: keras.optimizers.Adam(1e-3)}, jit=jit)

    @tf.function(autograph=False)
    def train(number):
        return step(lambda i, seed: {"x": x}, random.as_seed(0), number)

    def run():
        for number in range(STEPS):
            scalars = train(tf.constant(number, tf.int64))
        return [float(s) for s in scalars.values()]

    return run


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.pixel_rnn"
    with measure.Worker(name, "diagonal") as diagonal, measure.Worker(name, "row") as row:
        result = measure.alternate(diagonal.variants() | row.variants(), ROUNDS)
    print(result.table())
    for layer in ("diagonal", "row"):
        ratio = result.ratio(f"{layer} sample 16", f"{layer} forward 16")
        measure.report(f"{layer}: sample 16 / forward 16", ratio, 4)


if __name__ == "__main__":
    measure.run({layer: lambda layer=layer: variants(layer) for layer in ("diagonal", "row")}, main)
