"""Multiscale PixelCNN: drawing images against its own forward passes, and against a PixelCNN's.

python -m tests.benchmarks.multiscale_pixel_cnn
"""

import numpy as np

from tests.benchmarks import measure

ROUNDS = 7


def tensorflow_side():
    """Variants of tfgen, at the default configurations."""
    import tensorflow as tf

    from tfgen.autoregressive import MultiScalePixelCNN, PixelCNN

    model, large, pixels = (
        MultiScalePixelCNN((28, 28, 1)),
        MultiScalePixelCNN((56, 56, 1)),
        PixelCNN((28, 28, 1)),
    )
    images = tf.constant(np.random.default_rng(0).integers(0, 2, (16, 28, 28, 1)), tf.float32)
    forward = tf.function(model.raw, autograph=False)
    return {
        "multiscale forward 16": lambda: forward(images).numpy(),
        "multiscale sample 16": lambda: model.sample(16, seed=1).numpy(),
        "multiscale sample 16 of 56x56": lambda: large.sample(16, seed=1).numpy(),
        "pixel by pixel sample 16": lambda: pixels.sample(16, seed=1).numpy(),
    }


def main():
    """Measures and prints the figures."""
    with measure.Worker("tests.benchmarks.multiscale_pixel_cnn", "tensorflow") as ours:
        result = measure.alternate(ours.variants(), ROUNDS)
    print(result.table())
    sample, ratio = "multiscale sample 16", result.ratio
    measure.report("sample 16 / forward 16", ratio(sample, "multiscale forward 16"), 4)
    measure.report("sample 56x56 / 28x28", ratio("multiscale sample 16 of 56x56", sample), 4.5)
    faster = ratio("pixel by pixel sample 16", sample)
    measure.report("PixelCNN's sample 16 / multiscale's", faster, 1, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side}, main)
