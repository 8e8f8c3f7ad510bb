"""Cost of refining a semi-amortized VAE's posteriors for 20 steps, over that of the encoder alone.

python -m tests.benchmarks.semi_amortized_vae

784-512-2x16 and back, Bernoulli; the ELBO of 128 random binary images by either posterior, in one graph each.
"""

import numpy as np

from tests.benchmarks import measure

SHAPE, BATCH, STEPS, CALLS, ROUNDS = (28, 28, 1), 128, 20, 5, 7


def main():
    """Measures and prints the figure."""
    import tensorflow as tf

    from tfgen.variational import VAE, SemiAmortizedVAE

    x = tf.constant((np.random.default_rng(0).random((BATCH, *SHAPE)) < 0.2).astype(np.float32))
    variants = {}
    for name, model in {
        "encoder alone": VAE(SHAPE),
        f"{STEPS} steps": SemiAmortizedVAE(SHAPE, refine_steps=STEPS),
    }.items():
        bound = tf.function(model.score, autograph=False)
        variants[name] = lambda bound=bound: [bound(x).numpy() for _ in range(CALLS)]
    result = measure.alternate(variants, ROUNDS)
    print(result.table())
    ratio = result.ratio(f"{STEPS} steps", "encoder alone")
    measure.report(f"{STEPS} steps of refinement over the encoder alone", ratio, 25)


if __name__ == "__main__":
    main()
