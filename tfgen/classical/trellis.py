"""Recursions over the hidden states of a Markov chain: forward, backward, Viterbi, and a path drawn.

All work on a `Chain` and on `Evidence`, log p(x_t | z_t) for each step and state, steps first. A step that is
not observed is passed through unseen.

The forward recursion is scaled: it carries p(z_t | x_1..t) and collects log p(x_t | x_<t), whose sum is
log p(x), and a step is one product of matrices. Where every state can follow every other that is exact to
rounding: probabilities below `LEAST` count as `LEAST`, so the state that explains x_t best had that much at
least, and what underflows beside it is below 1e-25 of the whole. Where transitions are forbidden, a path
1e-38 times as probable as another may be the only one that goes on; such chains are carried in logarithms, by
sums over pairs of states.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.layers.scan import scan

LEAST = 1e-12


class Chain(NamedTuple):
    """Markov chain over S states, one for all sequences or one for each.

    Args:
      start: log p(z_1), float32 `[S]` or `[batch, S]`.
      transitions: log p(z_t | z_(t-1)), `[S, S]` or `[batch, S, S]`, a row for each z_(t-1).
      allowed: Which transitions there are, a bool NumPy array `[S, S]`.
    """

    start: tf.Tensor
    transitions: tf.Tensor
    allowed: np.ndarray

    @property
    def dense(self):
        """Whether every state can follow every other."""
        return bool(self.allowed.all())

    @property
    def rows(self):
        """Letter of the batch in einsum where each sequence has a chain of its own, else nothing."""
        return "b" if self.start.shape.rank == 2 else ""


class Evidence(NamedTuple):
    """log p(x_t | z_t), looked up or as it is.

    Args:
      table: log p(x | z) of different x, float32 `[..., S]`.
      take: Function from such rows, `[...]` or `[..., S]`, to those of each step, `[T, batch]` or more, or of
        the step of a number, `[batch]` or more. A loop takes step by step: all at once leave the cache.
      observed: bool `[T, batch]`; None where all steps are.
    """

    table: tf.Tensor
    take: callable
    observed: tf.Tensor | None

    @property
    def shift(self):
        """log p(x_t | z_t) of the state that explains x_t best, float32 `[T, batch]`."""
        return self._where_observed(self.take(self._best()[..., 0]), 0.0)

    @property
    def logs(self):
        """log p(x_t | z_t) less `shift`, float32 `[T, batch, S]`."""
        return self._where_observed(self.take(self.table - self._best()), 0.0)

    def relative(self, logs=False):
        """p(x_t | z_t) relative to the state that explains x_t best, or its logarithm.

        Returns:
          Function from the number of a step to float32 `[batch, S]`.
        """
        relative = self.table - self._best()
        relative = relative if logs else tf.exp(relative)

        def of_step(t):
            values = self.take(relative, t)
            if self.observed is None:
                return values
            return tf.where(self.observed[t][:, None], values, 0.0 if logs else 1.0)

        return of_step

    def _best(self):
        return tf.reduce_max(self.table, axis=-1, keepdims=True)

    def _where_observed(self, values, instead):
        if self.observed is None:
            return values
        mask = self.observed if values.shape.rank == 2 else self.observed[..., None]
        return tf.where(mask, values, instead)


class Forward(NamedTuple):
    """What the forward recursion finds.

    Args:
      log_p: log p(x), float32 `[batch]`.
      filtered: p(z_t | x_1..t), float32 `[T, batch, S]`; None where it was not asked for.
      scale: p(x_t | x_<t) relative to `Evidence.shift`, `[T, batch, 1]`. Where the chain is not dense, of
        both the logarithm.
    """

    log_p: tf.Tensor
    filtered: tf.Tensor | None
    scale: tf.Tensor


class Smoothed(NamedTuple):
    """What the backward recursion finds.

    Args:
      states: p(z_t | x), float32 `[T, batch, S]`.
      transitions: Expected number of each transition between observed steps, float32 `[S, S]` of all
        sequences, or `[batch, S, S]` where each has a chain of its own.
    """

    states: tf.Tensor
    transitions: tf.Tensor


def forward(chain, evidence, filtered=True):
    """The forward recursion, as `Forward`.

    Args:
      chain: `Chain`.
      evidence: `Evidence`.
      filtered: Whether to keep p(z_t | x_1..t).
    """
    relative = evidence.relative(logs=not chain.dense)
    matrix = tf.exp(chain.transitions) if chain.dense else chain.transitions

    def scaled(predicted, ratios):
        joint = predicted * ratios
        scale = tf.reduce_sum(joint, axis=-1, keepdims=True)
        # A division for each state took a third of the step.
        state = joint * (1.0 / scale)
        return tf.einsum(f"bi,{chain.rows}ij->bj", state, matrix), state, scale

    def in_logs(predicted, logs):
        joint = predicted + logs
        scale = tf.reduce_logsumexp(joint, axis=-1, keepdims=True)
        state = joint - scale
        return tf.reduce_logsumexp(state[:, :, None] + matrix, axis=1), state, scale

    def step(predicted, t):
        predicted, state, scale = (scaled if chain.dense else in_logs)(predicted, relative(t))
        return predicted, {"state": state, "scale": scale} if filtered else {"scale": scale}

    shift = evidence.shift
    batch, states = shift.shape[1], chain.allowed.shape[0]
    out = {"scale": tf.TensorSpec((batch, 1))}
    out |= {"state": tf.TensorSpec((batch, states))} if filtered else {}
    start = tf.exp(chain.start) if chain.dense else chain.start
    steps = tf.range(tf.shape(shift)[0])
    _, found = scan(step, steps, start + tf.zeros_like(shift[0])[:, None], out)
    logs = tf.math.log(found["scale"]) if chain.dense else found["scale"]
    each = logs[..., 0] + shift
    if evidence.observed is not None:
        each = tf.where(evidence.observed, each, 0.0)
    return Forward(tf.reduce_sum(each, axis=0), found.get("state"), found["scale"])


def backward(chain, evidence, found):
    """The backward recursion, as `Smoothed`.

    beta_t(i) = p(x_(t+1).. | z_t = i) / p(x_(t+1).. | x_1..t), so that p(z_t | x) = p(z_t | x_1..t) beta_t.

    Args:
      chain: `Chain`.
      evidence: `Evidence`.
      found: What `forward` returned, `filtered` kept.
    """
    # Of a transition its second step must be observed.
    counted = tf.ones_like(found.scale)
    if evidence.observed is not None:
        counted = tf.cast(evidence.observed, tf.float32)[..., None]
    return (_backward_scaled if chain.dense else _backward_in_logs)(chain, evidence, found, counted)


def _backward_scaled(chain, evidence, found, counted):
    matrix, relative = tf.exp(chain.transitions), evidence.relative()

    def step(beta, given):
        arrived = relative(given["t"]) * given["shrink"] * beta
        out = {"beta": beta, "arrived": arrived * given["counted"]}
        return tf.einsum(f"bj,{chain.rows}ij->bi", arrived, matrix), out

    given = {"t": tf.range(tf.shape(counted)[0]), "shrink": 1.0 / found.scale, "counted": counted}
    out = dict.fromkeys(("beta", "arrived"), tf.TensorSpec(found.filtered.shape[1:]))
    _, kept = scan(step, given, tf.ones_like(found.filtered[0]), out, reverse=True)
    states = found.filtered * kept["beta"]
    pairs = tf.einsum(f"tbi,tbj->{chain.rows}ij", found.filtered[:-1], kept["arrived"][1:])
    return Smoothed(states * (1.0 / tf.reduce_sum(states, axis=-1, keepdims=True)), pairs * matrix)


def _backward_in_logs(chain, evidence, found, counted):
    matrix, explained = chain.transitions, evidence.logs - found.scale
    before = tf.concat([found.filtered[:1], found.filtered[:-1]], axis=0)
    # No transition leads to the first step.
    counted = tf.concat([tf.zeros_like(counted[:1]), counted[1:]], axis=0)

    def step(carry, given):
        beta, pairs = carry
        arrived = matrix + (given["explained"] + beta)[:, None, :]
        pairs += given["counted"][..., None] * tf.exp(given["before"][:, :, None] + arrived)
        return (tf.reduce_logsumexp(arrived, axis=2), pairs), beta

    given = {"explained": explained, "before": before, "counted": counted}
    beta = tf.zeros_like(explained[0])
    begin = (beta, tf.zeros_like(beta[:, :, None] * beta[:, None, :]))
    (_, pairs), beta = scan(step, given, begin, tf.TensorSpec(explained.shape[1:]), reverse=True)
    pairs = pairs if chain.rows else tf.reduce_sum(pairs, axis=0)
    return Smoothed(tf.nn.softmax(found.filtered + beta), pairs)


def viterbi(chain, evidence):
    """The most probable path of states, int32 `[T, batch]`; beyond the last observed step it stays.

    Args:
      chain: `Chain`.
      evidence: `Evidence`.
    """
    logs, states = evidence.logs, evidence.table.shape[-1]
    observed = tf.ones_like(logs[..., 0], tf.bool) if evidence.observed is None else evidence.observed
    rows = logs.shape[1]

    def step(carry, given):
        arriving, last = carry
        reached = arriving + given["logs"]
        # Relative to the best: float32 would lose digits on the way.
        reached -= tf.reduce_max(reached, axis=-1, keepdims=True)
        leaving = reached[:, :, None] + chain.transitions
        last = tf.where(given["observed"][:, None], reached, last)
        return (tf.reduce_max(leaving, axis=1), last), tf.argmax(leaving, axis=1, output_type=tf.int32)

    def back(state, given):
        before = tf.gather(given["came_from"], state, axis=1, batch_dims=1)
        return tf.where(given["observed"], before, state), state

    start = chain.start + tf.zeros_like(logs[0])
    given = {"logs": logs, "observed": observed}
    (_, last), went = scan(step, given, (start, start), tf.TensorSpec((rows, states), tf.int32))
    # Of each step where it came from, not where it went.
    given = {"came_from": tf.concat([went[:1], went[:-1]], axis=0), "observed": observed}
    end = tf.argmax(last, axis=-1, output_type=tf.int32)
    return scan(back, given, end, tf.TensorSpec((rows,), tf.int32), reverse=True)[1]


def draw(chain, uniforms):
    """Paths of states drawn from the chain, int32 `[T, batch]`.

    Args:
      chain: `Chain`.
      uniforms: Floats in (0, 1), `[T, batch]`: the draw of each step.
    """
    matrix, rows = tf.exp(chain.transitions), uniforms.shape[1]

    def step(probabilities, uniform):
        state = random.pick(uniform, probabilities)
        return tf.gather(matrix, state, axis=len(chain.rows), batch_dims=len(chain.rows)), state

    start = tf.exp(chain.start) + tf.zeros_like(uniforms[0])[:, None]
    _, states = scan(step, uniforms, start, tf.TensorSpec((rows,), tf.int32))
    return states
