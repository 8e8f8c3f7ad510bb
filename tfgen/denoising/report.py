"""Figures of samples of chains: Parzen windows, with their warning, and how varied a class is."""

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.estimators.parzen import best_bandwidth, parzen_log_density

# Samples that published figures are of, and chains that draw them; examples that choose a bandwidth.
_CENTERS, _CHAINS, _CHOOSING = 10_000, 100, 1000
# Test examples that samples of their classes are compared with.
_COMPARED = 1000


def report_parzen(model, data, seed):
    """Log density of test examples under Gaussians around samples, and around as many training examples.

    Samples are means of p(x | h_1) at consecutive steps of 100 chains, after `num_steps` steps; as many as
    training examples, at most 10,000. Entries are scaled to [0, 1], bandwidths chosen on validation examples.
    That it is no likelihood shows in "real_parzen": where samples are ranked above the data themselves,
    blurred ones are ranked above sharp ones.

    Args:
      model: A GenerativeStochasticNetwork.
      data: A `tfgen.data.Data`; without validation examples nothing is reported.
      seed: int32 [2].

    Returns:
      Dict by name of {"value", "low", "high", "kind"}.
    """
    if not len(data.validation):
        return {}
    num = min(len(data.train), _CENTERS)
    chains = min(num, _CHAINS)
    num -= num % chains
    highest = model.num_values - 1.0 if model.values == "levels" else 1.0

    def unit(split, most):
        x = model.space.from_data(split.x[:most], data, seed)
        return x.numpy().reshape(len(x), -1) / highest

    # A film of all steps; those before are dropped.
    draw = tf.function(model.film_of_means, autograph=False, jit_compile=model.jit_sampler)
    film = draw(random.rows(seed, chains), model.chain_steps + num // chains - 1)[model.chain_steps :]
    centers = {"": film.numpy().reshape(num, -1) / highest, "real_": unit(data.train, num)}
    choosing, test = unit(data.validation, _CHOOSING), unit(data.test, _CENTERS)
    found = {}
    for name, around in centers.items():
        bandwidth = best_bandwidth(choosing, around)
        nats = parzen_log_density(test, around, bandwidth)
        half = 1.959964 * nats.std(ddof=1) / np.sqrt(len(nats)) if len(nats) > 1 else 0.0
        what = "means of samples" if not name else "training examples"
        kind = f"estimate, Parzen window of {num} {what}, bandwidth {bandwidth:.2g}: not a likelihood"
        found[f"{name}parzen"] = {"value": float(nats.mean()), "kind": kind}
        if half:
            found[f"{name}parzen"] |= {"low": nats.mean() - half, "high": nats.mean() + half}
    return found


def report_diversity(model, data, seed):
    """How far samples of a class lie from each other, as a share of how far test examples of it do.

    The mean Euclidean distance of two samples of a class over that of two test examples of it: 1 where
    samples are as varied as the data, 0 where all of a class are the same. There are as many as test
    examples.

    Args:
      model: A `GenerativeModel` by label.
      data: A `tfgen.data.Data`.
      seed: int32 [2].

    Returns:
      {"class_diversity": {"value", "low", "high", "kind"}}, the interval by Student's t over the classes;
      empty where a class has fewer than two test examples.
    """
    from scipy.spatial.distance import pdist
    from scipy.stats import t

    label = np.asarray(data.test.label)[:_COMPARED].astype(np.int32).reshape(-1)
    x = model.space.from_data(data.test.x[:_COMPARED], data, seed).numpy().reshape(len(label), -1)
    fake = model.sample(len(label), condition=label, seed=seed).numpy().reshape(len(label), -1)
    classes = [label == c for c in np.unique(label)]
    if len(classes) < 2 or min(mask.sum() for mask in classes) < 2:
        return {}
    shares = np.array([pdist(fake[mask]).mean() / pdist(x[mask]).mean() for mask in classes])
    half = t.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares))
    kind = f"mean distance of two of {len(label)} samples of a class over that of test examples, by class"
    value = float(shares.mean())
    figure = {"value": value, "low": value - half, "high": value + half, "kind": f"estimate, {kind}"}
    return {"class_diversity": figure}
