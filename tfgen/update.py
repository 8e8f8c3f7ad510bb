"""One training step: what a model asks for (`Update`, `Stage`) and the engine that carries it out (`Step`).

An objective is a pure function: the engine differentiates it with respect to the trainable variables of its
update and collects what it assigns to the non-trainable ones (batch-norm statistics, persistent chains).
Only variables that the update lists are moved; any other assignment made on the way is discarded. So a
critic's update cannot touch the generator, batch-norm statistics included.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfgen import random


@dataclasses.dataclass(frozen=True)
class Update:
    """One part of a training step: a gradient step, or an assignment computed from summed statistics.

    Args:
      name: Names the update in logs, optimizers and errors.
      objective: `f(batch, seed, step) -> (loss, {name: scalar})`, minimized; `batch` is a dict with "x" and,
        as the data allow, "condition"; `seed` int32 [2]; `step` an int64 scalar.
      variables: The Keras variables that this update moves: gradients for the trainable ones, assignments
        for the others.
      repeat: How many times in each step.
      share_batch: Use the batch of the call before instead of a new one.
      surrogate: The gradient is not that of the reported loss (contrastive divergence, straight-through).
      statistics: Instead of an objective: `f(batch, seed, step) -> nest of sums over the batch's rows`.
      apply: Assigns the variables from the statistics, `f(statistics) -> {name: scalar}`.
      over: "batch", or "epoch" to sum the statistics over one full pass of the data before `apply`.
    """

    name: str
    objective: Callable | None = None
    variables: Sequence = ()
    repeat: int = 1
    share_batch: bool = False
    surrogate: bool = False
    statistics: Callable | None = None
    apply: Callable | None = None
    over: str = "batch"

    def __post_init__(self):
        if (self.objective is None) == (self.statistics is None):
            raise ValueError(f"update {self.name!r} needs either an objective or statistics.")
        if (self.statistics is None) != (self.apply is None):
            raise ValueError(f"update {self.name!r}: statistics and apply go together.")
        if self.over not in ("batch", "epoch"):
            raise ValueError(f"update {self.name!r}: over must be 'batch' or 'epoch', got {self.over!r}.")
        if self.over == "epoch" and (self.objective or self.repeat != 1 or self.share_batch):
            raise ValueError(f"update {self.name!r}: over='epoch' takes statistics, one batch a step.")
        if self.repeat < 1:
            raise ValueError(f"update {self.name!r}: repeat must be at least 1, got {self.repeat}.")

    @property
    def trainable(self):
        """The variables that receive gradients."""
        return [v for v in self.variables if v.trainable] if self.objective else []


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of training with updates and optimizer slots of its own.

    Args:
      name: Names the stage in logs.
      share: Its share of all steps, relative to the other stages' shares.
      updates: Its updates.
      on_enter: Deterministic function called once when the stage begins.
    """

    name: str
    share: float
    updates: Sequence[Update]
    on_enter: Callable | None = None


def batches_per_step(updates):
    """How many batches one step of these updates consumes."""
    return max(1, sum(0 if u.share_batch else u.repeat for u in updates))


def optimizers_by_update(updates, optimizer):
    """One Keras optimizer for each update with an objective.

    Args:
      updates: The updates.
      optimizer: A Keras optimizer, its name, or a dict of them by update name.

    Raises:
      ValueError: If a dict's keys are not the names of these updates.
    """
    names = [u.name for u in updates if u.objective]
    if not isinstance(optimizer, dict):
        optimizer = dict.fromkeys(names, optimizer)
    if set(optimizer) != set(names):
        raise ValueError(f"optimizer must name the updates {sorted(names)}, got {sorted(optimizer)}.")
    optimizers = {k: keras.optimizers.get(v) for k, v in optimizer.items()}
    return {k: type(v).from_config(v.get_config()) for k, v in optimizers.items()}


class _Replica(threading.local):
    """Which part of the global batch the code being traced is working on."""

    index, count = 0, 1


_REPLICA = _Replica()


def replica_rows(variable):
    """This replica's rows of a variable that holds one row for each row of the global batch.

    Args:
      variable: Keras variable `[rows, ...]`, made with `aggregation="sum"`.

    Returns:
      Tensor `[rows / replicas, ...]`.
    """
    if variable.shape[0] % _REPLICA.count:
        raise ValueError(
            f"{variable.path}: {variable.shape[0]} rows do not divide into {_REPLICA.count} replicas."
        )
    size, rest = variable.shape[0] // _REPLICA.count, variable.shape[1:]
    first = [_REPLICA.index * size] + [0] * len(rest)
    return tf.slice(tf.convert_to_tensor(variable.value), first, [size, *rest])


def assign_replica_rows(variable, rows):
    """Gives this replica's rows of `variable` new values; the engine gathers them from all replicas."""
    if _REPLICA.count > 1:
        size = variable.shape[0] // _REPLICA.count
        before = _REPLICA.index * size
        paddings = [[before, variable.shape[0] - size - before]] + [[0, 0]] * (len(variable.shape) - 1)
        rows = tf.ensure_shape(tf.pad(rows, paddings), variable.shape)
    variable.assign(rows)


class Step:
    """Carries out the updates of one training step, in a replica context or without any strategy.

    Args:
      updates: The updates, in order.
      optimizers: Keras optimizers by update name, for the updates that have an objective.
      jit: Compile objective and gradient with XLA.
      clip_norm: Clip each update's gradients, averaged over replicas, to this global norm; None does not.
    """

    def __init__(self, updates, optimizers, jit=False, clip_norm=None):
        self.updates, self.optimizers = tuple(updates), dict(optimizers)
        self.jit, self.clip_norm = jit, clip_norm
        self.batches_per_step = batches_per_step(self.updates)
        self.sums, self._nests = {}, {}
        self._compute = {u.name: self._compiled(functools.partial(_compute, u)) for u in self.updates}
        for update in self.updates:
            if update.trainable:
                self.optimizers[update.name].build(update.trainable)
                # The gradients it is given are already reduced, in one vector (see `_reduce`).
                self.optimizers[update.name]._all_reduce_sum_gradients = list

    def _compiled(self, function):
        return tf.function(function, jit_compile=True, autograph=False) if self.jit else function

    def prepare(self, batch):
        """Makes the sums of updates over an epoch, given a batch or specs of it; all variables exist then."""
        specs = tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), batch)
        for update in self.updates:
            if update.over == "epoch" and update.name not in self.sums:
                traced = tf.function(update.statistics, autograph=False).get_concrete_function(
                    specs, tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int64)
                )
                self._nests[update.name] = traced.structured_outputs
                self.sums[update.name] = [
                    keras.Variable(tf.zeros(s.shape, s.dtype), dtype=s.dtype.name, trainable=False)
                    for s in tf.nest.flatten(traced.structured_outputs)
                ]

    def __call__(self, batch_at, seed, step):
        """One step.

        Args:
          batch_at: `f(i, seed) -> batch`, the i-th of the step's `batches_per_step` batches.
          seed: int32 [2], the run's seed.
          step: int64 scalar, the number of this step.

        Returns:
          Dict of scalars: "<update>/<name>", averaged over repeats and, outside, over replicas.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        replica = tf.convert_to_tensor(context.replica_id_in_sync_group) if replicas > 1 else 0
        step_seed = random.fold_in(seed, step)
        scalars, batch, call, taken = {}, None, 0, 0
        for update in self.updates:
            repeats = []
            for _ in range(update.repeat):
                call_seed = random.fold_in(step_seed, call, replica)
                batch_seed, objective_seed = random.split(call_seed)
                if batch is None or not update.share_batch:
                    batch, taken = batch_at(taken, batch_seed), taken + 1
                repeats.append(self._run(update, batch, objective_seed, step, replica, replicas))
                call += 1
            for key in repeats[0]:
                scalars[f"{update.name}/{key}"] = tf.add_n([r[key] for r in repeats]) / len(repeats)
        return scalars

    def _run(self, update, batch, seed, step, replica, replicas):
        grads, sums, assigned, scalars = self._compute[update.name](batch, seed, step, replica, replicas)
        fixed = [(v, x) for v, x in zip(update.variables, assigned, strict=True) if x is not None]
        how = ["mean"] * len(grads) + ["sum"] * len(tf.nest.flatten(sums) if update.statistics else ())
        how += ["sum" if v.aggregation == "sum" else "mean" for v, _ in fixed]
        values = [*grads, *(tf.nest.flatten(sums) if update.statistics else ()), *(x for _, x in fixed)]
        reduced = _reduce(values, how)
        for (variable, _), value in zip(fixed, reduced[len(reduced) - len(fixed) :], strict=True):
            _commit(variable, value)
        if update.objective:
            self._descend(update, reduced[: len(grads)])
        elif update.over == "epoch":
            for variable, value in zip(self.sums[update.name], reduced, strict=False):
                _commit(variable, variable.value + value)
        else:
            flat = reduced[: len(reduced) - len(fixed)]
            scalars = self._apply(update, tf.nest.pack_sequence_as(sums, flat))
        return scalars

    def _descend(self, update, grads):
        if self.clip_norm is not None:
            grads, _ = tf.clip_by_global_norm(grads, self.clip_norm)
        self.optimizers[update.name].apply(grads, update.trainable)

    def _apply(self, update, sums):
        with keras.StatelessScope() as scope:
            scalars = update.apply(sums) or {}
        for variable in update.variables:
            value = scope.get_current_value(variable)
            if value is not None:
                _commit(variable, value)
        return scalars

    def finish_epoch(self):
        """Applies and clears the sums gathered over one full pass.

        Returns:
          Dict of scalars of the updates over an epoch.
        """
        scalars = {}
        for update in (u for u in self.updates if u.over == "epoch"):
            variables = self.sums[update.name]
            values = [tf.identity(v.value) for v in variables]
            sums = tf.nest.pack_sequence_as(self._nests[update.name], values)
            scalars |= {f"{update.name}/{k}": v for k, v in self._apply(update, sums).items()}
            for variable in variables:
                _commit(variable, tf.zeros_like(variable.value))
        return scalars

    @property
    def over_epoch(self):
        """Whether any update sums over full passes of the data."""
        return any(u.over == "epoch" for u in self.updates)


def _compute(update, batch, seed, step, replica, replicas):
    """Pure part of an update: its gradients or sums, and the values it assigns (None where it does not)."""
    _REPLICA.index, _REPLICA.count = replica, replicas
    trainable = update.trainable
    values = [tf.convert_to_tensor(v.value) for v in trainable]
    grads, sums, scalars = [], None, {}
    try:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            with keras.StatelessScope(list(zip(trainable, values, strict=True))) as scope:
                if update.objective:
                    loss, scalars = update.objective(batch, seed, step)
                    scalars = {"loss": loss} | scalars
                else:
                    sums = update.statistics(batch, seed, step)
        if update.objective:
            grads = tape.gradient(loss, values)
    finally:
        _REPLICA.index, _REPLICA.count = 0, 1
    unused = [v.path for v, g in zip(trainable, grads, strict=bool(update.objective)) if g is None]
    if unused:
        raise ValueError(f"the objective of update {update.name!r} does not depend on {unused}.")
    # A gather's gradient comes in slices; everything after this takes tensors.
    grads = [tf.convert_to_tensor(g) for g in grads]
    state = [None if v.trainable else scope.get_current_value(v) for v in update.variables]
    return grads, sums, state, {k: tf.cast(v, tf.float32) for k, v in scalars.items()}


def _reduce(values, how):
    """Values summed or averaged over all replicas, on each of them.

    They travel as one vector: one collective instead of one for each variable.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1 or not values:
        return list(values)
    scales = [1.0 if h == "sum" else 1.0 / context.num_replicas_in_sync for h in how]
    flat = [tf.reshape(tf.cast(v, tf.float32) * s, [-1]) for v, s in zip(values, scales, strict=True)]
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat(flat, 0))
    parts = tf.split(total, [tf.size(f) for f in flat])
    return [tf.cast(tf.reshape(p, tf.shape(v)), v.dtype) for p, v in zip(parts, values, strict=True)]


def _commit(variable, value):
    """Assigns a value that is the same on every replica."""
    raw, context = variable.value, tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        variable.assign(value)
    else:
        context.merge_call(
            lambda strategy, v: strategy.extended.update(raw, lambda var, x: var.assign(x), args=(v,)),
            args=(tf.cast(value, variable.dtype),),
        )
