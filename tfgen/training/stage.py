"""One stage of a training: its updates compiled into a loop over several steps."""

import math
import time

import tensorflow as tf

from tfgen import checks, random
from tfgen.training.batches import Order
from tfgen.training.feed import Feed
from tfgen.update import PASS, Step

# The loop carries its scalars as one vector, so that it need not know their names before it is traced.
MAX_SCALARS = 64
# How long one call of the compiled loop should last: it cannot be interrupted.
_SECONDS = 1.0


class TrainingError(ValueError):
    """A training that cannot go on."""


class StageRun:
    """Compiled loop over the steps of a stage.

    Args:
      run: The `Run` it is a part of.
      stage: The `Stage`.
      number: Which of the model's stages it is.
      optimizers: Keras optimizers by update name.
      clip_norm: Clip each update's gradients to this global norm.

    Attributes:
      chunk: How many steps the next call takes at most.
    """

    def __init__(self, run, stage, number, optimizers, clip_norm):
        self.run = run
        self.stage = stage
        self.number = number
        self.optimizers = optimizers
        over_epoch = any(update.over == "epoch" for update in stage.updates)
        # Without a strategy the whole loop is one XLA program: optimizer and gather included. The last batch
        # of a pass is smaller, so with passes only the objectives are compiled.
        whole = run.jit and run.strategy is None and not over_epoch
        self.engine = Step(stage.updates, optimizers, run.jit and not whole, clip_norm)
        example = run.examples.first(1, run.seed)
        self.engine.prepare(tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), example))
        self.orders = self._orders()
        self.feed = Feed({"": run.examples, **run.examples.streams}, self.orders, run.share, run.in_blocks)
        self.names = []
        self.pass_names = []
        self.loop = tf.function(self._loop, jit_compile=whole or None, autograph=False)
        self.finish = tf.function(self._finish, autograph=False)
        self.chunk = 1

    def _orders(self):
        """Orders of the examples by what takes them; each is a function of the seed alone."""
        run = self.run
        words = random.fold_in(run.seed, self.number).numpy()
        per_step = self.engine.batches_per_step
        orders = {}
        if per_step:
            orders["batch"] = Order(len(run.examples), run.batch_size, per_step, words)
            for i, (name, stream) in enumerate(run.examples.streams.items()):
                own = random.fold_in(run.seed, self.number, 1 + i).numpy()
                orders[f"stream {name}"] = Order(
                    len(stream), run.batch_size, per_step, own, wraps=True, group_size=stream.group_size
                )
        if self.engine.over_epoch:
            orders["pass"] = Order(len(run.examples), run.batch_size, 1, words, whole_passes=True)
        return orders

    @property
    def first(self):
        """The step at which the stage begins."""
        return self.run.bounds[self.number]

    @property
    def end(self):
        """The step at which it ends."""
        return self.run.bounds[self.number + 1]

    def _replica_step(self, indices, step):
        context = tf.distribute.get_replica_context()
        count = context.num_replicas_in_sync

        def of_replica(rows):
            if count == 1:
                return rows
            size = self.run.batch_size // count
            return tf.slice(rows, [context.replica_id_in_sync_group * size], [size])

        def batch_at(i, seed):
            if i == PASS:
                return self.run.examples.following(of_replica(indices["pass"][0]), seed)
            streams = {name: of_replica(indices[f"stream {name}"][i]) for name in self.run.examples.streams}
            return self.run.examples.batch(of_replica(indices["batch"][i]), seed, streams)

        scalars = self.engine(batch_at, self.run.seed, step)
        self.names = list(scalars)
        return _vector(scalars, tf.float32)

    def _mean(self, per_replica):
        if self.run.strategy is None:
            return per_replica
        return self.run.strategy.reduce(tf.distribute.ReduceOp.MEAN, per_replica, axis=None)

    def _loop(self, orders, count, first, total):
        """`count` steps from `first` on: `total` plus their scalars; first bad step, or -1; its scalars."""
        run = self.run.strategy.run if self.run.strategy else lambda f, args: f(*args)

        def body(i, total, bad, at_bad):
            step = first + tf.cast(i, tf.int64)
            indices = {name: order[i] for name, order in orders.items()}
            scalars = self._mean(run(self._replica_step, args=(indices, step)))
            is_loss = [n.endswith("/loss") for n in self.names] + [False] * (MAX_SCALARS - len(self.names))
            broken = tf.reduce_any(tf.constant(is_loss) & ~tf.math.is_finite(scalars)) & (bad < 0)
            return i + 1, total + scalars, tf.where(broken, step, bad), tf.where(broken, scalars, at_bad)

        state = (0, total, tf.constant(-1, tf.int64), tf.zeros([MAX_SCALARS]))
        return tf.while_loop(lambda i, *_: i < count, body, state)[1:]

    def _finish(self):
        run = self.run.strategy.run if self.run.strategy else lambda f: f()

        def of_replica():
            scalars = self.engine.finish_epoch()
            self.pass_names = list(scalars)
            return _vector(scalars, tf.float64)

        return self._mean(run(of_replica))

    def advance(self, step, until):
        """Takes steps from `step` towards `until`.

        Returns:
          (the step reached, the scalars of a pass that ended with it or None).

        Raises:
          TrainingError: If a loss is not finite.
          ValueError: If a model's own check fails in a step.
        """
        local = step - self.first
        count = min(self.chunk, self.feed.room(local), until - step)
        per_pass = self.orders["pass"].steps_per_pass if "pass" in self.orders else None
        if per_pass:
            count = min(count, per_pass - local % per_pass)
        orders = self.feed(local, count, self.end - self.first)
        began = time.perf_counter()
        with checks.plainly():
            total, bad, at_bad = self.loop(
                orders, tf.constant(count), tf.constant(step, tf.int64), self.run.total.value()
            )
        if bad.numpy() >= 0:
            values = dict(zip(self.names, at_bad.numpy(), strict=False))
            name = next(k for k, v in values.items() if k.endswith("/loss") and not math.isfinite(v))
            raise TrainingError(
                f"objective {name.rpartition('/')[0]!r} is {values[name]} at step {int(bad)}; try a lower "
                "--learning_rate or --clip_norm, the checkpoints before it are kept."
            )
        self.run.total.assign(total)
        ended = per_pass and (local + count) % per_pass == 0
        with checks.plainly():
            finished = self.finish() if ended else None
        taken = time.perf_counter() - began
        # The first call compiles, so it says nothing about the speed.
        grown = self.chunk * 4
        self.chunk = grown if self.chunk == 1 else max(1, min(grown, int(count * _SECONDS / taken)))
        return step + count, finished

    def means(self, steps):
        """Means of the scalars over the `steps` steps since the last evaluation."""
        return dict(zip(self.names, (self.run.total.numpy() / max(steps, 1)).astype(float), strict=False))

    def rates(self):
        """The learning rates that a schedule moves, by update: of the next step."""
        return {
            f"{update}/learning_rate": float(optimizer.learning_rate)
            for update, optimizer in self.optimizers.items()
            if isinstance(optimizer.get_config()["learning_rate"], dict)
        }

    def named(self, finished):
        """The scalars of a pass by name."""
        if not self.pass_names:
            # A resumed run has not ended a pass of its own yet.
            self.finish.get_concrete_function()
        return dict(zip(self.pass_names, finished.astype(float), strict=False))


def _vector(scalars, dtype):
    """Scalars as one vector of `MAX_SCALARS`."""
    if len(scalars) > MAX_SCALARS:
        raise ValueError(f"updates report {len(scalars)} scalars, at most {MAX_SCALARS} are kept.")
    values = [tf.cast(value, dtype) for value in scalars.values()]
    return tf.stack([*values, *[tf.constant(0.0, dtype)] * (MAX_SCALARS - len(values))])
