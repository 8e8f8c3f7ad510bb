"""Measures of a trained variational autoencoder on a data set's test split."""

import tensorflow as tf

from tfgen import random

_BATCH = 250


def report_terms(model, data, seed):
    """The ELBO's parts and the number of active units, averages over the test split.

    Args:
      model: A VAE.
      data: A `tfgen.data.Data`.
      seed: int32 [2].

    Returns:
      Dict by name of {"value", "kind"}.
    """

    def measure(x, seed):
        return model.terms(x, seed), model.encode(x)[0]

    measure = tf.function(measure, autograph=False, reduce_retracing=True)
    size = len(data.test.x)
    totals = dict.fromkeys(("elbo", "reconstruction", "kl"), 0.0)
    means = []
    for start in range(0, size, _BATCH):
        rows = data.test.x[start : start + _BATCH]
        for_data, for_z = random.split(random.fold_in(seed, start))
        terms, mean = measure(model.space.from_data(rows, data, for_data), for_z)
        totals = {name: total + float(terms[name]) * len(rows) / size for name, total in totals.items()}
        means.append(mean)
    kind = f"nats, {model.num_samples} samples of z for each x, mean over the test split"
    active = int(count_varying(tf.concat(means, axis=0)))
    units = {"value": active, "kind": "latent variables whose posterior mean has a variance over 0.01"}
    return {name: {"value": total, "kind": kind} for name, total in totals.items()} | {"active_units": units}


def count_varying(means, threshold=0.01):
    """How many columns of `[num, latent_size]` vary by more than `threshold`: int32 scalar.

    References:
      Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2015, arXiv:1509.00519, section 5.2.
    """
    return tf.reduce_sum(tf.cast(tf.math.reduce_variance(means, axis=0) > threshold, tf.int32))
