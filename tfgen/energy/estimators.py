"""Estimators of the gradient of a restricted Boltzmann machine's likelihood.

Each is `f(model, x, seed) -> (loss, scalars)` for flat float32 x `[batch, visible]`. With F the free energy,
the exact gradient of -log p is E_data dF/dw - E_model dF/dw. Contrastive divergence, persistent contrastive
divergence and parallel tempering put samples in the place of E_model, so their gradient is not that of the
loss they report (F of the data minus F of the samples); the others are objectives of their own.
"""

import math

import tensorflow as tf

from tfgen import random
from tfgen.model import assign_replica_rows, replica_rows

SURROGATES = ("cd", "pcd", "pt")


def contrast(model, x, samples):
    """mean F(x) - mean F(samples), with the samples' probabilities of 1 of the hidden units.

    Both go through the same matrix products and sigmoids, which is faster than one after the other.
    """
    num = tf.shape(x)[0]
    both = tf.stop_gradient(tf.concat([x, samples], axis=0))
    logits = model.hidden_logits(both)
    log_p = model.log_unnormalized(both, logits)
    data = -tf.reduce_mean(log_p[:num])
    model_side = -tf.reduce_mean(log_p[num:])
    scalars = {"free_energy": data, "free_energy_gap": model_side - data}
    return data - model_side, scalars, tf.stop_gradient(tf.sigmoid(logits))[num:]


def contrastive_divergence(model, x, seed):
    """CD-k: the samples are `model.num_gibbs` sweeps away from the data (Hinton 2002)."""
    return contrast(model, x, gibbs_chain(model, x, seed, model.num_gibbs))[:2]


def persistent_contrastive_divergence(model, x, seed):
    """PCD-k: the samples' chains go on from step to step (Tieleman 2008).

    `model.chains` holds hidden units, so that a sweep shares its product of visible units and weights
    with the free energy of the sample.
    """
    first, chain, last = random.split(seed, 3)
    v = random.bernoulli(first, tf.sigmoid(model.visible_logits(replica_rows(model.chains))))
    loss, scalars, hidden = contrast(model, x, gibbs_chain(model, v, chain, model.num_gibbs - 1))
    assign_replica_rows(model.chains, random.bernoulli(last, hidden))
    return loss, scalars


def parallel_tempering(model, x, seed):
    """Persistent chains at several temperatures that exchange states (Desjardins et al. 2010).

    `model.chains` is `[chains, temperatures, visible]`, the last temperature the model's own.
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
      v: float32 `[chains, temperatures, visible]`; inverse temperatures rise evenly from 0 to 1.
      seed: int32 [2].

    Returns:
      float32 of the shape of `v`.
    """
    num = v.shape[1]
    betas = tf.linspace(0.0, 1.0, num)
    seed, *swap_seeds = random.split(seed, 3)
    v = model.gibbs(v, seed, betas[:, None])
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

    -log p(x_i | others) = softplus(F(x) - F(x with x_i flipped)), and a flip moves the hidden logits
    by one row of the kernel.
    """
    visible = x.shape[1]
    cells = random.uniform(seed, [tf.shape(x)[0], model.num_flips]) * visible
    index = tf.minimum(tf.cast(cells, tf.int32), visible - 1)
    logits = model.hidden_logits(x)
    change = 1.0 - 2.0 * tf.gather(x, index, batch_dims=1)
    flipped = logits[:, None] + change[..., None] * tf.gather(model.kernel.value, index)
    # A row of biases for each x, gathered from within it, has a dense gradient.
    bias = tf.gather(tf.broadcast_to(model.visible_bias.value, tf.shape(x)), index, batch_dims=1)
    hidden = tf.nn.softplus(flipped) - tf.nn.softplus(logits)[:, None]
    rise = change * bias + tf.reduce_sum(hidden, axis=-1)
    loss = visible * tf.reduce_mean(tf.nn.softplus(rise))
    return loss, {"free_energy": -tf.reduce_mean(model.log_unnormalized(x, logits))}


def noise_contrastive(model, x, seed):
    """Tells x from `model.num_noise` times as many draws of independent units (Gutmann & Hyvarinen 2010).

    -E log s(G(x)) - nu E_noise log s(-G), G(v) = -F(v) - log_z - log noise(v) - log nu, with log_z a
    parameter that is learned; the noise has the base rates that `begin` found in the data.
    """
    nu, base = model.num_noise, model.base_logits.value
    noise = random.bernoulli(seed, tf.tile(tf.sigmoid(base)[None], [nu * tf.shape(x)[0], 1]))
    both = tf.concat([x, noise], axis=0)
    log_noise = tf.linalg.matvec(both, base) - tf.reduce_sum(tf.nn.softplus(base))
    log_p = model.log_unnormalized(both) - model.log_z
    logit = log_p - log_noise - math.log(nu)
    num = tf.shape(x)[0]
    data = tf.reduce_mean(tf.nn.softplus(-logit[:num]))
    false = tf.reduce_mean(tf.nn.softplus(logit[num:]))
    return data + nu * false, {"log_z": model.log_z.value, "noise_share": false}


@tf.custom_gradient
def softplus(logits):
    """log(1 + exp(logits)), off by 1e-7 at most.

    Value and gradient share the sigmoid that Gibbs sampling needs as well; `tf.nn.softplus` and its gradient
    are the dearest part of a compiled step after the matrix products.
    """
    on = tf.sigmoid(logits)
    value = tf.nn.relu(logits) - tf.math.log(tf.maximum(on, 1.0 - on))
    return value, lambda upstream: upstream * on


def gibbs_chain(model, v, seed, num_sweeps):
    """`v` after a fixed number of Gibbs sweeps, without a gradient."""
    if num_sweeps == 0:  # A loop that never runs would still keep XLA from fusing what is around it.
        return tf.stop_gradient(v)
    v = tf.while_loop(
        lambda i, _: i < num_sweeps,
        lambda i, v: (i + 1, model.gibbs(v, random.fold_in(seed, i))),
        (tf.constant(0), v),
        maximum_iterations=num_sweeps,
    )[1]
    return tf.stop_gradient(v)


ESTIMATORS = {
    "cd": contrastive_divergence,
    "pcd": persistent_contrastive_divergence,
    "pt": parallel_tempering,
    "pseudo_likelihood": pseudo_likelihood,
    "nce": noise_contrastive,
}
