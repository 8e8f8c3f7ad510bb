"""Signal and noise of the encoder's gradient of the K-sample bound, reparameterized once and twice.

python -m tests.benchmarks.importance_gradients [--seeds=1000]

The linear-Gaussian VAE of tests/variational/linear_gaussian.py, three x, posteriors wider than the best
diagonal ones and 0.2 beside them. Of each estimator the norm of the mean over seeds, divided by sqrt(tr Cov).
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"


def signal_to_noise(objective, num_samples, num):
    """|E g| / sqrt(tr Cov g) of the encoder's gradient g, over `num` seeds."""
    import numpy as np
    import tensorflow as tf

    from tests.variational.linear_gaussian import SEED, linear_data, linear_vae
    from tfgen import random

    vae = linear_vae("diagonal", objective=objective, num_samples=num_samples)
    kernel, bias = vae.encoder.get_weights()
    vae.encoder.set_weights([kernel, bias + np.float32([0.2, 0.2, 1.5, 1.5])])
    x, weights = tf.constant(linear_data(3)), [v.value for v in vae.encoder.trainable_variables]

    def one(seed):
        with tf.GradientTape() as tape:
            loss, _ = vae.objective({"x": x}, seed, tf.constant(0, tf.int64))
        return tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, weights)], axis=0)

    every = tf.function(lambda s: tf.map_fn(one, s, fn_output_signature=tf.float32), autograph=False)
    found = every(random.rows(SEED, num)).numpy().astype(np.float64)
    return np.linalg.norm(found.mean(0)) / np.sqrt(found.var(0, ddof=1).sum())


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1000)
    num = parser.parse_args().seeds
    print("| K | IWAE | DReG |\n|---|---|---|")
    for num_samples in (1, 4, 16, 64, 256):
        iwae, dreg = (signal_to_noise(name, num_samples, num) for name in ("iwae", "dreg"))
        print(f"| {num_samples} | {iwae:.2f} | {dreg:.2f} |", flush=True)


if __name__ == "__main__":
    main()
