"""Models of pixels with and without location-dependent biases, on MNIST at equal steps and seeds.

python -m tests.benchmarks.position --data_dir=... [--models=PixelCNN,GatedPixelCNN] [--seeds=2] [--steps=200]

Printed are nats of 1,000 validation images, exact; what the biases change in them, with its 95 % interval, by
images and of the mean over the seeds; the share of samples that have ink in the last row, beside that of the
training images; and CPU-seconds of a training step, which other processes lengthen less than real ones.
"""

import argparse
import time

import numpy as np

LEARNING_RATE, BATCH, FIRST, VALIDATION, SAMPLES = 2e-3, 16, 20, 1000, 64
Z95 = 1.959964


def trained(name, data, seed, steps, position):
    """A model after so many steps, and the CPU-seconds of one of them."""
    import keras
    import tensorflow as tf

    from tfgen import autoregressive

    order = np.random.default_rng(seed).permutation(len(data.train))
    x = tf.data.Dataset.from_tensor_slices(np.asarray(data.train.x, "float32")[order])
    batches = x.repeat().batch(BATCH)
    keras.utils.set_random_seed(seed)
    model = getattr(autoregressive, name)(data.event_shape, position=position)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), seed=seed)
    model.fit(batches.take(FIRST), verbose=0)
    began = time.process_time()
    model.fit(batches.skip(FIRST).take(steps - FIRST), verbose=0)
    return model, (time.process_time() - began) / (steps - FIRST)


def inked(x):
    """The share of images `[n, rows, columns, 1]` that have ink in the last row."""
    return float(np.mean(np.max(np.asarray(x)[:, -1], axis=(1, 2)) > 0))


def main():
    """Trains and prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir", default=None)
    parser.add_argument("--models", default="PixelCNN,GatedPixelCNN")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    if options.data_dir is None:
        print("not run: MNIST is read from DATA_DIR, give --data_dir")
        return
    import tensorflow as tf

    from tfgen import data as datasets

    data = datasets.load("mnist", binarize="fixed", data_dir=options.data_dir)
    held_out = np.split(np.asarray(data.validation.x[:VALIDATION], "float32"), 4)
    print(f"training images with ink in the last row: {inked(data.train.x):.3f}")
    for name in options.models.split(","):
        gaps = []
        for seed in range(options.seeds):
            nats = {}
            for position in (False, True):
                model, cost = trained(name, data, seed, options.steps, position)
                log_prob = tf.function(model.log_prob, autograph=False)
                nats[position] = -np.concatenate([log_prob(x).numpy() for x in held_out])
                ink = inked(model.sample(SAMPLES, seed=seed))
                print(f"{name}, seed {seed}, {options.steps} steps, position={position}:", end=" ")
                print(f"{nats[position].mean():.2f} nats, last row inked {ink:.2f},", end=" ")
                print(f"{cost:.4f} CPU-seconds a step, {model.count_params()} weights", flush=True)
            gaps.append(nats[True] - nats[False])
        gap = np.mean(gaps, axis=0)
        half, mean = Z95 * gap.std(ddof=1) / np.sqrt(len(gap)), gap.mean()
        print(f"{name}, with less without: {mean:+.2f} nats [{mean - half:+.2f}, {mean + half:+.2f}]")


if __name__ == "__main__":
    main()
