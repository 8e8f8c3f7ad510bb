"""One stage of a training: its updates compiled into a loop over several steps."""

import math
import time

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.training.batches import Order
from tfgen.update import Step, optimizers_by_update

# The loop carries its scalars as one vector, so that it need not know their names before it is traced.
MAX_SCALARS = 64
# How many steps one call of the compiled loop takes at most, and how long it should last: a call cannot be
# interrupted.
_MAX_STEPS, _SECONDS = 500, 1.0


class TrainingError(ValueError):
    """A training that cannot go on."""


class StageRun:
    """A stage's compiled loop over steps `first` to `end`."""

    def __init__(self, run, stage, number, first, end, optimizer, clip_norm):
        self.stage, self.first, self.end, self.run = stage, first, end, run
        self.optimizers = optimizers_by_update(stage.updates, optimizer)
        inner = run.jit and run.strategy is not None
        self.engine = Step(stage.updates, self.optimizers, inner, clip_norm)
        example = run.examples.batch(np.arange(1), run.seed)
        self.engine.prepare(tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), example))
        words = random.fold_in(run.seed, number).numpy()
        self.order = Order(
            len(run.examples), run.batch_size, self.engine.batches_per_step, words, self.engine.over_epoch
        )
        # Without a strategy the whole loop is one XLA program: optimizer and gather included.
        whole = run.jit and run.strategy is None and not self.engine.over_epoch
        self.names = []
        self.loop = tf.function(self._loop, jit_compile=whole or None, autograph=False)
        self.finish = tf.function(self._finish, autograph=False)
        self.chunk = 1

    def _replica_step(self, indices, step):
        context = tf.distribute.get_replica_context()
        count = context.num_replicas_in_sync

        def batch_at(i, seed):
            rows = indices[i]
            if count > 1:
                size = self.run.batch_size // count
                rows = tf.slice(rows, [context.replica_id_in_sync_group * size], [size])
            if self.engine.over_epoch:
                rows = tf.boolean_mask(rows, rows >= 0)
            return self.run.examples.batch(rows, seed)

        scalars = self.engine(batch_at, self.run.seed, step)
        self.names = list(scalars)
        if len(scalars) > MAX_SCALARS:
            raise ValueError(f"updates report {len(scalars)} scalars, at most {MAX_SCALARS} are kept.")
        return tf.stack([*scalars.values(), *[tf.constant(0.0)] * (MAX_SCALARS - len(scalars))])

    def _mean(self, per_replica):
        if self.run.strategy is None:
            return per_replica
        return self.run.strategy.reduce(tf.distribute.ReduceOp.MEAN, per_replica, axis=None)

    def _loop(self, order, count, first, total):
        """`count` steps from `first` on: `total` plus their scalars; first bad step, or -1; its scalars."""
        run = self.run.strategy.run if self.run.strategy else lambda f, args: f(*args)

        def body(i, total, bad, at_bad):
            step = first + tf.cast(i, tf.int64)
            scalars = self._mean(run(self._replica_step, args=(order[i], step)))
            is_loss = [n.endswith("/loss") for n in self.names] + [False] * (MAX_SCALARS - len(self.names))
            broken = tf.reduce_any(tf.constant(is_loss) & ~tf.math.is_finite(scalars)) & (bad < 0)
            return i + 1, total + scalars, tf.where(broken, step, bad), tf.where(broken, scalars, at_bad)

        state = (0, total, tf.constant(-1, tf.int64), tf.zeros([MAX_SCALARS]))
        return tf.while_loop(lambda i, *_: i < count, body, state)[1:]

    def _finish(self):
        run = self.run.strategy.run if self.run.strategy else lambda f: f()
        return {k: self._mean(v) for k, v in run(self.engine.finish_epoch).items()}

    def advance(self, step, until):
        """Takes steps from `step` towards `until`; returns the step reached and scalars of a finished pass.

        Raises:
          TrainingError: If a loss is not finite.
        """
        local = step - self.first
        count = min(self.chunk, _MAX_STEPS, until - step)
        per_pass = self.order.steps_per_pass
        if per_pass:
            count = min(count, per_pass - local % per_pass)
        began = time.perf_counter()
        order = np.zeros((_MAX_STEPS, *self.order.shape), np.int32)
        order[:count] = self.order(local, count)
        total, bad, at_bad = self.loop(
            tf.constant(order), tf.constant(count), tf.constant(step, tf.int64), self.run.total.value()
        )
        if bad.numpy() >= 0:
            values = dict(zip(self.names, at_bad.numpy(), strict=False))
            name = next(k for k, v in values.items() if k.endswith("/loss") and not math.isfinite(v))
            raise TrainingError(
                f"objective {name.rpartition('/')[0]!r} is {values[name]} at step {int(bad)}; try a lower "
                "--learning_rate or --clip_norm, the checkpoints before it are kept."
            )
        self.run.total.assign(total)
        finished = per_pass and (local + count) % per_pass == 0
        logs = {k: float(v) for k, v in self.finish().items()} if finished else {}
        taken = time.perf_counter() - began
        # The first call compiles, so it says nothing about the speed.
        grown = count * 4
        self.chunk = grown if self.chunk == 1 else max(1, min(grown, int(count * _SECONDS / taken)))
        return step + count, logs

    def means(self, steps):
        """Means of the scalars over the `steps` steps since the last evaluation."""
        return dict(zip(self.names, (self.run.total.numpy() / max(steps, 1)).astype(float), strict=False))
