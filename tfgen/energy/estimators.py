"""Estimators of the gradient of an energy-based model's likelihood.

Each is `f(model, x, seed) -> (loss, scalars)`; x is a batch of states of `model.kept`, flat float32
`[batch, size]`, as `EnergyModel.clamped` makes them of data. With F the free energy, the exact gradient of
-log p is E_data dF/dw - E_model dF/dw. The first four put samples, or means, in the place of E_model, so
their gradient is not that of the loss they report (F of the data minus F of the samples); the others are
objectives of their own.

`ESTIMATORS` holds them by name as `f(model, data, seed)`, of a function `data(beside=None)` that returns x:
the samples of persistent chains do not need x, and are drawn before it so that its mean field shares their
products.
"""

import math

import tensorflow as tf

from tfgen import random
from tfgen.model import assign_replica_rows, replica_rows

SURROGATES = ("cd", "pcd", "pt", "mean_field_cd")
# Those that need the free energy of x itself, and those of them, too, that flip binary units.
SUMMED, FLIPPED = ("nce", "pseudo_likelihood", "ratio_matching"), ("pseudo_likelihood", "ratio_matching")


def contrast(model, x, samples):
    """mean F(x) - mean F(samples), and the means of the groups that are summed out, given the samples.

    Both go through the same matrix products and sigmoids, which is faster than one after the other.
    """
    num = tf.shape(x)[0]
    x, samples = (model.joint.unpack(tf.stop_gradient(s), model.kept) for s in (x, samples))
    state = {name: tf.concat([s, samples[name]], axis=0) for name, s in x.items()}
    fields = model.joint.fields(state)
    # Means as products with shares: of single rows XLA would draw the samples once more for each use.
    rows = [num, tf.shape(samples[model.kept[0]])[0]]
    shares = tf.repeat(tf.eye(2) / tf.cast(rows, tf.float32), rows, axis=1)
    data, model_side = tf.unstack(-model.joint.mean_log_prob(state, shares, fields))
    scalars = {"free_energy": data, "free_energy_gap": model_side - data}
    means = {name: tf.stop_gradient(model.joint.units[name].mean(f))[num:] for name, f in fields.items()}
    return data - model_side, scalars, means


def contrastive_divergence(model, x, seed):
    """CD-k: the samples are `model.num_gibbs` sweeps away from the data (Hinton 2002)."""
    return contrast(model, x, gibbs_chain(model, x, seed, model.num_gibbs))[:2]


def mean_field_contrastive_divergence(model, x, seed):
    """CD-k whose sweeps take every group's mean in place of a draw (Welling & Hinton 2002)."""
    del seed
    means = x
    for _ in range(model.num_gibbs):
        means = model.mean_sweep(means)
    return contrast(model, x, means)[:2]


def persistent_contrastive_divergence(model, data, seed):
    """PCD-k: the samples' chains go on from step to step (Tieleman 2008).

    `model.chains` holds the groups that are summed out, where there are some, so that a sweep shares its
    products with the free energy of the sample, and data's mean field with both. Of `data`, not of x, as
    `ESTIMATORS` says.
    """
    first, chain, last = random.split(seed, 3)
    joint, held, chains = model.joint, model.held, replica_rows(model.chains)
    if held == model.kept:
        samples = gibbs_chain(model, chains, chain, model.num_gibbs)
        loss, scalars, _ = contrast(model, data(), samples)
        assign_replica_rows(model.chains, samples)
        return loss, scalars
    seeds = (first,) if len(model.kept) == 1 else random.split(first, len(model.kept))
    values = joint.draw(model.kept, joint.unpack(chains, held), seeds)
    samples = gibbs_chain(model, joint.pack({n: values[n] for n in model.kept}), chain, model.num_gibbs - 1)
    loss, scalars, means = contrast(model, data(samples), samples)
    seeds = (last,) if len(held) == 1 else random.split(last, len(held))
    drawn = {n: joint.units[n].draw_of_mean(s, means[n]) for n, s in zip(held, seeds, strict=True)}
    assign_replica_rows(model.chains, joint.pack(drawn))
    return loss, scalars


def parallel_tempering(model, x, seed):
    """Persistent chains at several temperatures that exchange states (Desjardins et al. 2010).

    `model.chains` is `[chains, temperatures, size]`, the last temperature the model's own.
    """
    v = replica_rows(model.chains)
    v = tf.while_loop(
        lambda i, _: i < model.num_gibbs,
        lambda i, v: (i + 1, tempered_sweep(model, v, random.fold_in(seed, i))),
        (tf.constant(0), v),
    )[1]
    v = tf.stop_gradient(v)
    assign_replica_rows(model.chains, v)
    return contrast(model, x, v[:, -1])[:2]


def tempered_sweep(model, v, seed):
    """A Gibbs sweep at each temperature, then exchanges: leaves prod_t p_{beta_t}(v_t) invariant.

    Neighbors s < t exchange with probability min(1, p_s(v_t) p_t(v_s) / (p_s(v_s) p_t(v_t))), of p(v) with
    hidden units summed out, first the pairs (0, 1), (2, 3), ..., then (1, 2), (3, 4), ...

    Args:
      model: Has `gibbs` and `log_ratio`.
      v: float32 `[chains, temperatures, size]`; inverse temperatures rise evenly from 0 to 1.
      seed: int32 [2].

    Returns:
      float32 of the shape of `v`.
    """
    num = v.shape[1]
    betas = tf.linspace(0.0, 1.0, num)
    seed, *swap_seeds = random.split(seed, 3)
    v = model.gibbs(v, seed, betas)
    for parity, swap_seed in enumerate(swap_seeds):
        # rise[:, t]: log p_{t+1} - log p_t of the state at t; fall[:, t]: of the state at t + 1.
        rise = model.log_ratio(v[:, :-1], betas[:-1], betas[1:])
        fall = model.log_ratio(v[:, 1:], betas[:-1], betas[1:])
        u = random.uniform(swap_seed, tf.shape(rise))
        swap = (tf.math.log(u) < rise - fall) & (tf.range(num - 1) % 2 == parity)
        up = tf.pad(swap, [[0, 0], [0, 1]])[..., None]
        down = tf.pad(swap, [[0, 0], [1, 0]])[..., None]
        v = tf.where(up, tf.roll(v, -1, 1), tf.where(down, tf.roll(v, 1, 1), v))
    return v


def pseudo_likelihood(model, x, seed):
    """-sum_i log p(x_i | all others), estimated from `model.num_flips` random i of each x (Besag 1975).

    -log p(x_i | others) = softplus(F(x) - F(x with x_i flipped)). A label adds its own -log p(y | v).
    """
    rise, scalars = _flipped(model, x, seed)
    loss = model.num_visible * tf.reduce_mean(tf.nn.softplus(-rise))
    for name in model.visible[1:]:
        loss -= tf.reduce_mean(model.log_conditional(model.joint.unpack(x, model.kept), name))
    return loss, scalars


def ratio_matching(model, x, seed):
    """sum_i p(1 - x_i | all others)^2, estimated from `model.num_flips` random i (Hyvarinen 2007).

    Half of what the ratios p(x) / p(x with x_i flipped) of data and model differ by, but for a constant.
    """
    rise, scalars = _flipped(model, x, seed)
    return model.num_visible * tf.reduce_mean(tf.square(tf.sigmoid(-rise))), scalars


def _flipped(model, x, seed):
    """log p(x) - log p(x with x_i flipped) of `model.num_flips` random i of each x."""
    cells = random.uniform(seed, [tf.shape(x)[0], model.num_flips]) * model.num_visible
    index = tf.minimum(tf.cast(cells, tf.int32), model.num_visible - 1)
    state = model.joint.unpack(x, model.kept)
    fields = model.joint.fields(state)
    rise = model.joint.rise_of_flips(state, model.visible[0], index, fields)
    return rise, {"free_energy": -tf.reduce_mean(model.joint.log_prob(state, fields=fields))}


def noise_contrastive(model, x, seed):
    """Tells x from `model.num_noise` times as many draws of independent units (Gutmann & Hyvarinen 2010).

    -E log s(G(x)) - nu E_noise log s(-G), G(v) = -F(v) - log_z - log noise(v) - log nu, with log_z a
    parameter that is learned; the noise has the base rates that `begin` found in the data.
    """
    nu, num = model.num_noise, tf.shape(x)[0]
    both = tf.concat([x, model.start(seed, nu * num)], axis=0)
    log_p = model.log_unnormalized(both) - model.log_z
    logit = log_p - model.joint.log_base(model.joint.unpack(both, model.kept)) - math.log(nu)
    data = tf.reduce_mean(tf.nn.softplus(-logit[:num]))
    false = tf.reduce_mean(tf.nn.softplus(logit[num:]))
    return data + nu * false, {"log_z": model.log_z.value, "noise_share": false}


def gibbs_chain(model, v, seed, num_sweeps):
    """`v` after a fixed number of Gibbs sweeps, without a gradient."""
    # A loop that runs once or never would still keep XLA from fusing what is around it.
    if num_sweeps == 0:
        return tf.stop_gradient(v)
    if num_sweeps == 1:
        return tf.stop_gradient(model.gibbs(v, random.fold_in(seed, 0)))
    v = tf.while_loop(
        lambda i, _: i < num_sweeps,
        lambda i, v: (i + 1, model.gibbs(v, random.fold_in(seed, i))),
        (tf.constant(0), v),
        maximum_iterations=num_sweeps,
    )[1]
    return tf.stop_gradient(v)


def _of_states(estimator):
    return lambda model, data, seed: estimator(model, data(), seed)


ESTIMATORS = {
    "cd": _of_states(contrastive_divergence),
    "pcd": persistent_contrastive_divergence,
    "pt": _of_states(parallel_tempering),
    "mean_field_cd": _of_states(mean_field_contrastive_divergence),
    "pseudo_likelihood": _of_states(pseudo_likelihood),
    "ratio_matching": _of_states(ratio_matching),
    "nce": _of_states(noise_contrastive),
}
