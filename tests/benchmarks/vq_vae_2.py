"""VQ-VAE-2: drawing images through both priors against forward passes of them.

python -m tests.benchmarks.vq_vae_2

28x28 images, 7x7 top and 14x14 bottom codes, labels; a draw is codes of both levels and the decoder's image.
"""

import numpy as np
import tensorflow as tf

from tests.benchmarks import measure
from tfgen.variational import VQVAE2

ROUNDS, NUM = 9, 16


def main():
    """Measures and prints the figures."""
    model = VQVAE2((28, 28, 1), condition="label", num_classes=10)
    rng = np.random.default_rng(0)
    codes = [tf.constant(rng.integers(0, 64, (NUM, *p.event_shape)), tf.float32) for p in model.priors]
    labels = tf.range(NUM) % 10

    @tf.function(autograph=False)
    def forward(top, bottom):
        told = model.told(1, [tf.cast(top[..., 0], tf.int32)], labels)
        return model.priors[0].raw(top, labels), model.priors[1].raw(bottom, told)

    variants = {
        "forward 16": lambda: [raw.numpy() for raw in forward(*codes)],
        "sample 16": lambda: model.sample(NUM, condition=labels, seed=1).numpy(),
    }
    result = measure.alternate(variants, ROUNDS, warmup=2)
    print(result.table())
    figure = "VQ-VAE-2: sample 16 / forward 16 of both priors"
    measure.report(figure, result.ratio("sample 16", "forward 16"), 4)


if __name__ == "__main__":
    main()
