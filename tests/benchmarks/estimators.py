"""Bias and variance of gradient estimators of the ELBO in the recognition net, against enumeration.

python -m tests.benchmarks.estimators [--seeds=4000]

Two categorical latent variables of four categories, encoder and decoder of one affine map each, eight x of
six bits; the weights are drawn once (seed 0). An estimate is of one batch: the eight x, one sample of z for
each, or K. Printed are, relative to the norm |g| of the enumerated gradient of the ELBO: the bias of the mean
estimate, that bias's standard error, and the standard deviation sqrt(tr Cov) of an estimate. VIMCO and
reweighted wake-sleep follow another gradient than the ELBO's: their deviation is relative to their own mean.
The last lines are of two Gaussian latent variables, where the exact gradient is the reparameterized mean of
250,000 samples for each x.
"""

import argparse
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

LATENTS, CATEGORIES, BITS, EXAMPLES, K = 2, 4, 6, 8, 5


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=4000)
    num = parser.parse_args().seeds
    import numpy as np
    import tensorflow as tf
    import tensorflow_probability as tfp

    from tfgen import random
    from tfgen.distributions import draw, relaxed
    from tfgen.estimators import gradients as estimators

    tf.get_logger().setLevel("ERROR")
    tfd = tfp.distributions
    rng = np.random.RandomState(0)
    x = rng.randint(0, 2, (EXAMPLES, BITS)).astype(np.float32)
    decoder = tf.constant(rng.normal(0, 1.5, (LATENTS * CATEGORIES, BITS)).astype(np.float32))
    encoder = tf.constant(rng.normal(0, 0.7, (BITS, LATENTS * CATEGORIES)).astype(np.float32))
    centered = 2.0 * x - 1.0

    def posterior(w):
        logits = tf.reshape(centered @ w, [-1, LATENTS, CATEGORIES])
        return tfd.Independent(tfd.OneHotCategorical(logits, dtype=tf.float32), 1)

    prior = tfd.Independent(tfd.OneHotCategorical(tf.zeros([LATENTS, CATEGORIES]), dtype=tf.float32), 1)

    def log_likelihood(z):
        logits = tf.tensordot(tf.reshape(z, [*z.shape[:2], LATENTS * CATEGORIES]), decoder, 1)
        return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x + 0.0 * logits, logits), axis=-1)

    def enumerated(w):
        """-ELBO."""
        states = np.array(list(itertools.product(range(CATEGORIES), repeat=LATENTS)))
        z, q = tf.one_hot(states, CATEGORIES)[:, None], posterior(w)
        reward = log_likelihood(tf.tile(z, [1, EXAMPLES, 1, 1])) + prior.log_prob(z)
        log_q = q.log_prob(z)
        return -tf.reduce_mean(tf.reduce_sum(tf.exp(log_q) * (reward - log_q), axis=0))

    def sampled(w, seed, num_samples):
        q = posterior(w)
        z = draw(q, seed, [num_samples])
        return log_likelihood(z) + prior.log_prob(z), q.log_prob(z)

    baseline = estimators.LearnedBaseline(BITS, hidden=20)

    def score(w, seed, signal=None, num_samples=1):
        log_p, log_q = sampled(w, seed, num_samples)
        reward = log_p - tf.stop_gradient(log_q)
        return estimators.score_function(reward, log_q, signal and signal(reward))

    def by_relaxation(w, seed, temperature, hard=False):
        q = posterior(w)
        z = draw(relaxed(q, temperature), seed, [1])
        if hard:
            z = estimators.straight_through(tf.one_hot(tf.argmax(z, axis=-1), CATEGORIES), z)
        return tf.reduce_mean(tfd.kl_divergence(q, prior)) - tf.reduce_mean(log_likelihood(z))

    def learned(reward):
        predicted = baseline(x)
        return reward - predicted - baseline.mean.value

    def fit_baseline():
        """C(x) by least squares to the signal, 600 steps of Adam; the scale stays 1."""
        import keras

        optimizer = keras.optimizers.Adam(0.02)
        optimizer.build(baseline.network.trainable_variables)
        variables = [v.value for v in baseline.network.trainable_variables]

        @tf.function(autograph=False)
        def slopes(seed):
            log_p, log_q = sampled(encoder, seed, 20)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(log_p - log_q - baseline(x)))
            return tape.gradient(loss, variables)

        for step in range(600):
            optimizer.apply(slopes(random.fold_in(tf.constant([1, 1]), step)))

    def of_seeds(loss, parameters=encoder):
        """Estimates `[num, ...]`, one for each seed."""

        def one(seed):
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                value = loss(parameters, seed)
            return tape.gradient(value, parameters)

        every = tf.function(lambda s: tf.map_fn(one, s, fn_output_signature=tf.float32), autograph=False)
        return every(random.rows(tf.constant([7, 7]), num)).numpy().astype(np.float64)

    def report(name, each, exact):
        size, flat = np.linalg.norm(exact), each.reshape(num, -1)
        deviation = np.sqrt(flat.var(0, ddof=1).sum())
        bias = np.linalg.norm(flat.mean(0) - np.ravel(exact))
        print(
            f"| {name} | {bias / size:.3f} | {deviation / np.sqrt(num) / size:.3f} | {deviation / size:.2f} |"
        )

    with tf.GradientTape() as tape:
        tape.watch(encoder)
        loss = enumerated(encoder)
    exact = tape.gradient(loss, encoder).numpy()
    fit_baseline()
    print(f"{num} estimates each; |g| = {np.linalg.norm(exact):.3f}")
    print("| estimator | bias / abs(g) | its standard error | deviation / abs(g) |")
    print("|---|---|---|---|")
    report("score function", of_seeds(score), exact)
    constant = float(tf.reduce_mean(sampled(encoder, tf.constant([3, 3]), 5000)[0])) + 1.0
    report(
        "score function, constant baseline", of_seeds(lambda w, s: score(w, s, lambda r: r - constant)), exact
    )
    report("score function, learned baseline C(x)", of_seeds(lambda w, s: score(w, s, learned)), exact)
    report(f"score function, K={K}", of_seeds(lambda w, s: score(w, s, None, K)), exact)
    report(
        f"score function, leave one out, K={K}",
        of_seeds(lambda w, s: score(w, s, estimators.leave_one_out, K)),
        exact,
    )
    for temperature in (2.0, 1.0, 0.3):
        report(
            f"Gumbel-softmax, temperature {temperature}",
            of_seeds(lambda w, s, t=temperature: by_relaxation(w, s, t)),
            exact,
        )
    report("straight-through, temperature 1.0", of_seeds(lambda w, s: by_relaxation(w, s, 1.0, True)), exact)
    for name, estimator in (("VIMCO", estimators.vimco), ("reweighted wake-sleep", estimators.reweighted)):
        each = of_seeds(lambda w, s, f=estimator: f(*sampled(w, s, K)))
        report_own(name, each, np)

    mean, scale = (tf.constant(rng.normal(0, s, (BITS, LATENTS)).astype(np.float32)) for s in (0.7, 0.2))
    gaussian_decoder = tf.constant(rng.normal(0, 1.5, (LATENTS, BITS)).astype(np.float32))
    normal = tfd.MultivariateNormalDiag(tf.zeros([LATENTS]))

    def gaussian(w, seed, num_samples, reparameterized):
        q = tfd.MultivariateNormalDiag(centered @ w, tf.exp(centered @ scale))
        z = draw(q, seed, [num_samples])
        z = z if reparameterized else tf.stop_gradient(z)
        logits = tf.tensordot(z, gaussian_decoder, 1)
        likelihood = -tf.reduce_sum(
            tf.nn.sigmoid_cross_entropy_with_logits(x + 0.0 * logits, logits), axis=-1
        )
        kl = tf.reduce_mean(tfd.kl_divergence(q, normal))
        if reparameterized:
            return kl - tf.reduce_mean(likelihood)
        return kl + estimators.score_function(likelihood, q.log_prob(z))

    with tf.GradientTape() as tape:
        tape.watch(mean)
        loss = gaussian(mean, tf.constant([5, 5]), 250_000, True)
    exact = tape.gradient(loss, mean).numpy()
    for name, how in (("Gaussian z: reparameterized", True), ("Gaussian z: score function", False)):
        report(name, of_seeds(lambda w, s, r=how: gaussian(w, s, 1, r), mean), exact)


def report_own(name, each, np):
    """A row of an estimator that follows another gradient: its deviation against its own mean."""
    flat = each.reshape(len(each), -1)
    size = np.linalg.norm(flat.mean(0))
    deviation = np.sqrt(flat.var(0, ddof=1).sum())
    print(f"| {name}, K={K}, by its own mean | - | - | {deviation / size:.2f} |")


if __name__ == "__main__":
    main()
