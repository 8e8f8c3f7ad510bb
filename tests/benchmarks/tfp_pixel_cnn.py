"""Drawing images with TFP's own PixelCNN (a PixelCNN++ on Keras 2) and with tfgen's, of equal size.

python -m tests.benchmarks.tfp_pixel_cnn

Both: 16 images of 28x28x1 in 256 levels, 32 filters, 2 blocks a resolution, 3 resolutions, 5 components, no
weight normalization, no dropout. TFP runs its whole network for each of the 784 pixels; its process has Keras
2 alone (TF_USE_LEGACY_KERAS). TFP draws in a tf.function, which XLA does not compile here.
"""

import os

from tests.benchmarks import measure

IMAGES, SHAPE, ROUNDS = 16, (28, 28, 1), 2
FILTERS, BLOCKS, RESOLUTIONS, COMPONENTS = 32, 2, 3, 5


def tfgen_side():
    """Variants of tfgen."""
    from tfgen.autoregressive import PixelCNNPlusPlus

    model = PixelCNNPlusPlus(
        SHAPE, filters=FILTERS, num_blocks=BLOCKS, num_resolutions=RESOLUTIONS, num_components=COMPONENTS,
        num_values=256,
    )  # fmt: skip
    print(
        "tfgen:", sum(int(v.shape.num_elements()) for v in model.trainable_variables), "weights", flush=True
    )
    return {"tfgen sample 16": lambda: model.sample(IMAGES, seed=1).numpy()}


def tfp_side():
    """Variants of TFP."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    import tensorflow_probability as tfp

    model = tfp.distributions.PixelCNN(
        SHAPE, num_resnet=BLOCKS, num_hierarchies=RESOLUTIONS, num_filters=FILTERS,
        num_logistic_mix=COMPONENTS, dropout_p=0.0, use_weight_norm=False, use_data_init=False,
    )  # fmt: skip
    model.log_prob(tf.zeros((IMAGES, *SHAPE)))
    print("tfp:", sum(v.shape.num_elements() for v in model.trainable_variables), "weights", flush=True)
    sample = tf.function(lambda: model.sample(IMAGES, seed=1))
    return {"tfp sample 16": lambda: sample().numpy()}


def main():
    """Measures and prints the figure."""
    name = "tests.benchmarks.tfp_pixel_cnn"
    with measure.Worker(name, "tfgen") as ours, measure.Worker(name, "tfp") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    ratio = result.ratio("tfp sample 16", "tfgen sample 16")
    measure.report("TFP's PixelCNN / drawing 16 images", ratio, 100, at_most=False)


if __name__ == "__main__":
    measure.run({"tfgen": tfgen_side, "tfp": tfp_side}, main)
