"""What random numbers cost a program that XLA compiles for the CPU.

python -m tests.benchmarks.draws

Sweeps between 100 x 500 and 100 x 1,000 units, two matrix products each: of means alone, and with draws of
the wider layer, in vectors as the units of energies draw and without.
"""

import numpy as np

from tests.benchmarks import measure

ROWS, NARROW, WIDE, SWEEPS, ROUNDS = 100, 500, 1000, 50, 9


def sweeps():
    """{variant: function that takes so many sweeps}."""
    import tensorflow as tf

    from tfgen import random

    draw = np.random.default_rng(0)
    kernel = tf.Variable(draw.normal(size=(NARROW, WIDE), scale=0.03).astype(np.float32))
    bias, start = tf.Variable(tf.zeros([WIDE])), tf.constant(draw.random((ROWS, NARROW)), tf.float32)
    key = random.as_seed(0)

    def program(wide):
        @tf.function(jit_compile=True, autograph=False)
        def run():
            def sweep(i, narrow):
                drawn = wide(random.fold_in(key, i), tf.matmul(narrow, kernel) + bias)
                return i + 1, tf.sigmoid(tf.matmul(drawn, kernel, transpose_b=True))

            return tf.while_loop(lambda i, _: i < SWEEPS, sweep, (tf.constant(0), start))[1]

        return lambda: run().numpy()

    return {
        "means": program(lambda seed, field: tf.sigmoid(field)),
        "draws in vectors": program(lambda seed, f: random.bernoulli(seed, tf.sigmoid(f), vectors=True)),
        "draws": program(lambda seed, f: random.bernoulli(seed, tf.sigmoid(f))),
    }


def main():
    """Measures and prints the figures."""
    result = measure.alternate(sweeps(), ROUNDS, warmup=2)
    print(result.table())
    measure.report("in vectors: time over that of means", result.ratio("draws in vectors", "means"), 1.3)
    print(f"without: {result.ratio('draws', 'means'):.2f}")


if __name__ == "__main__":
    main()
