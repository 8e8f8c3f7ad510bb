"""One training step: what a model asks for (`Update`, `Stage`) and the engine that carries it out (`Step`).

An objective is a pure function: the engine differentiates it with respect to the trainable variables of its
update and collects what it assigns to the non-trainable ones (batch-norm statistics, persistent chains).
Only variables that the update lists are moved; any other assignment made on the way is discarded. So a
critic's update cannot touch the generator, batch-norm statistics included.
"""

import dataclasses
import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from tfgen import checks, random

_FEW = sorted({max(1, quarters * 2**octave // 4) for octave in range(30) for quarters in range(4, 8)})
# The batch of the current pass over the data, which updates over an epoch take.
PASS = -1


@dataclasses.dataclass(frozen=True)
class Update:
    """One part of a training step: a gradient step, or an assignment computed from summed statistics.

    Args:
      name: Names the update in logs, optimizers and errors.
      objective: `f(batch, seed, step) -> (loss, {name: scalar})`, minimized; `batch` is a dict with "x", as
        the data allow "condition", and a dict of the same kind for each of the model's streams; `seed` int32
        [2]; `step` an int64 scalar.
      variables: The Keras variables that this update moves: gradients for the trainable ones, assignments
        for the others.
      repeat: How many times in each step.
      share_batch: Use the batch of the call before instead of a new one.
      surrogate: The gradient is not that of the reported loss (contrastive divergence, straight-through).
      statistics: Instead of an objective: `f(batch, seed, step) -> nest of sums over the batch's rows`.
      apply: Assigns the variables from the statistics, `f(statistics) -> {name: scalar}`.
      over: "batch", or "epoch" to sum the statistics over one full pass of the data before `apply`. A pass
        has an order of its own, whatever other updates take: every example comes once, the last batch may be
        smaller, and streams are left out.

    Raises:
      ValueError: If arguments do not go together.
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
        checks.one_of(f"update {self.name!r}: over", self.over, ("batch", "epoch"))
        if self.over == "epoch" and (self.objective or self.repeat != 1 or self.share_batch):
            raise ValueError(f"update {self.name!r}: over='epoch' takes statistics, one batch a step.")
        checks.whole(f"update {self.name!r}: repeat", self.repeat)

    @property
    def trainable(self):
        """The variables that receive gradients."""
        return [v for v in self.variables if v.trainable] if self.objective else []


@dataclasses.dataclass(frozen=True)
class Stage:
    """Part of a training with updates and optimizer slots of its own.

    The training enters each stage once, in order: it writes the stage's number, first and last step into
    the model (`GenerativeModel.stage`), calls `on_enter`, and starts the moving averages of the stage's
    optimizers at the weights. A stage hands on the averages of its weights where its optimizers keep them
    (`use_ema`).

    Args:
      name: Names the stage in logs, optimizers and errors.
      share: Its share of all steps, relative to the other stages' shares.
      updates: Its updates.
      on_enter: `f(batch, seed)`, called once when the stage begins, with what `GenerativeModel.begin` is
        given: the first examples as objectives take them, and an int32 [2] seed of the stage's own. It may
        assign any variable of the model; equal arguments must give equal bits.

    Raises:
      ValueError: If the share is not positive, there is no update, or two bear one name.
    """

    name: str
    share: float
    updates: Sequence[Update]
    on_enter: Callable | None = None

    def __post_init__(self):
        checks.number(f"stage {self.name!r}: share", self.share, above=0)
        names = [update.name for update in self.updates]
        if not names:
            raise ValueError(f"stage {self.name!r} has no updates: give it one or leave it out.")
        checks.distinct(f"stage {self.name!r}: updates", names)


def plan_stages(stages, steps):
    """Steps shared out among stages: `[0, end of the first stage, ..., steps]`.

    Args:
      stages: The `Stage`s in order.
      steps: Steps in all.

    Returns:
      List of ints, one more than stages.

    Raises:
      ValueError: If a stage would get no step, or two stages bear one name.
    """
    checks.distinct("stages", [stage.name for stage in stages])
    whole = sum(stage.share for stage in stages)
    bounds, done = [0], 0.0
    for stage in stages:
        done += stage.share
        bounds.append(round(steps * done / whole))
    bounds[-1] = steps
    for stage, first, end in zip(stages, bounds[:-1], bounds[1:], strict=True):
        if first == end:
            raise ValueError(f"steps={steps} leaves no step to stage {stage.name!r}: use more steps.")
    return bounds


def trained_variables(stages):
    """The variables that a training of these stages moves, each once: the state beside them left out."""
    updates = [update for stage in stages for update in stage.updates]
    moved = {id(v): v for u in updates for v in (u.trainable if u.objective else u.variables)}
    return list(moved.values())


def batches_per_step(updates):
    """How many batches one step of these updates consumes, those of passes over the data left out."""
    over_batches = [u for u in updates if u.over == "batch"]
    taken = sum(0 if u.share_batch else u.repeat for u in over_batches)
    # There is no batch to share yet for the first.
    return taken + 1 if over_batches and over_batches[0].share_batch else taken


def make_optimizers(stages, optimizer, **defaults):
    """One Keras optimizer for each update with an objective, by stage and update.

    Args:
      stages: The `Stage`s.
      optimizer: One optimizer, cloned for each update; a dict of optimizers by update name; or a dict by
        stage name of either. One optimizer is a Keras optimizer, its name, or a dict with its "name" and
        arguments.
      **defaults: Arguments of the optimizers that are named and do not give them, e.g. `learning_rate`.

    Returns:
      {stage: {update: optimizer}}.

    Raises:
      ValueError: If a name is unknown, or an update is left without an optimizer.
    """
    wanted = {stage.name: [u.name for u in stage.updates if u.objective] for stage in stages}
    updates = list(dict.fromkeys(name for names in wanted.values() for name in names))
    by_stage = _is_mapping(optimizer) and bool(optimizer) and set(optimizer) <= set(wanted)
    if by_stage:
        chosen = dict(optimizer)
    elif _is_mapping(optimizer):
        for name in optimizer:
            if name not in updates:
                raise ValueError(
                    f"optimizer names {name!r}, which is neither a stage ({', '.join(wanted)}) nor an update "
                    f"with an objective ({', '.join(updates) or 'none'})."
                )
        chosen = {
            stage: {k: v for k, v in optimizer.items() if k in names} for stage, names in wanted.items()
        }
    else:
        chosen = dict.fromkeys(wanted, optimizer)
    made = {}
    for stage, names in wanted.items():
        given = chosen.get(stage, {})
        if not _is_mapping(given):
            given = dict.fromkeys(names, given)
        for name in given:
            if name not in names:
                raise ValueError(
                    f"optimizer of stage {stage!r} names {name!r}, which is none of its updates with an "
                    f"objective ({', '.join(names) or 'none'})."
                )
        for name in names:
            if name not in given:
                raise ValueError(f"optimizer names none for update {name!r} of stage {stage!r}: add it.")
        made[stage] = {name: _one_optimizer(given[name], defaults) for name in names}
    return made


def _is_mapping(optimizer):
    """Whether it is a dict of several optimizers and not the description of one."""
    return isinstance(optimizer, Mapping) and not isinstance(optimizer.get("name"), str)


def _one_optimizer(optimizer, defaults):
    if isinstance(optimizer, str):
        optimizer = {"name": optimizer}
    if isinstance(optimizer, Mapping):
        return _named_optimizer(
            optimizer["name"], {k: v for k, v in optimizer.items() if k != "name"}, defaults
        )
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"optimizer must be a Keras optimizer or its name, got {optimizer!r}.")
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor is not None:
        raise ValueError(
            f"optimizer {optimizer.name!r} scales losses, which float16 needs and no model here is: leave "
            "loss_scale_factor out, and LossScaleOptimizer off."
        )
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise ValueError(
            f"optimizer {optimizer.name!r} chooses optimizers by variable: give a dict of optimizers by "
            "update."
        )
    return type(optimizer).from_config(optimizer.get_config())


def _named_optimizer(name, arguments, defaults):
    """A Keras optimizer by its name, its own arguments before the defaults."""
    base = keras.optimizers.Optimizer
    others = (base, keras.optimizers.LossScaleOptimizer, keras.optimizers.MultiOptimizer)
    public = [c for c in vars(keras.optimizers).values() if isinstance(c, type) and issubclass(c, base)]
    known = {c.__name__.lower(): c for c in public if c not in others}
    chosen = known.get(name.lower()) or keras.saving.get_registered_object(name)
    if chosen is None:
        raise ValueError(
            f"optimizer {name!r} is none of Keras': {', '.join(sorted(known))}; others are arguments of "
            "these, as momentum is of sgd."
        )
    taken = [n for n in inspect.signature(chosen).parameters if n not in ("kwargs", "loss_scale_factor")]
    for argument in arguments.keys() - set(taken):
        raise ValueError(f"optimizer {name!r} takes no {argument}, it takes {', '.join(taken)}.")
    return chosen(**defaults | arguments)


def start_averages(optimizers):
    """Sets the moving averages that optimizers keep (`use_ema`) to the weights as they are."""
    for optimizer in optimizers:
        for variable, average in averages_of(optimizer):
            average.assign(variable.value)


def averages_of(optimizer):
    """(variable, moving average of it) of an optimizer that was built with `use_ema`; else none."""
    if not optimizer.use_ema or not optimizer.built:
        return []
    averages = optimizer._model_variables_moving_average
    return list(zip(optimizer._trainable_variables, averages, strict=True))


class _Replica(threading.local):
    """Which part of the global batch the code being traced is working on, and whether XLA may have parts."""

    index, count, jit = 0, 1, False


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


def compiled(function):
    """A part of the statistics of a pass, compiled by XLA where the training compiles its updates.

    The batches of a pass have several sizes, so that a pass is not compiled as a whole. What this part is
    given should be of few shapes: XLA compiles anew for each.

    Args:
      function: Function of tensors without checks, which XLA would drop.
    """
    return tf.function(function, jit_compile=True, autograph=False) if _REPLICA.jit else function


def few_sizes(size):
    """The next larger of few numbers, four in each octave, so that XLA compiles for few shapes.

    Args:
      size: int scalar of at least 0, less than 2^30.

    Returns:
      int32 scalar of at least `size`, at least 1, and by less than a quarter too large.
    """
    return tf.gather(_FEW, tf.searchsorted(_FEW, [tf.cast(size, tf.int32)])[0])


class Step:
    """Carries out the updates of one training step, in a replica context or without any strategy.

    Args:
      updates: The updates, in order.
      optimizers: Keras optimizers by update name, for the updates that have an objective.
      jit: Compile objective and gradient, or what `compiled` names of statistics of a pass, with XLA.
      clip_norm: Clip each update's gradients, averaged over replicas, to this global norm; None does not.
    """

    def __init__(self, updates, optimizers, jit=False, clip_norm=None):
        self.updates = tuple(updates)
        self.optimizers = dict(optimizers)
        self.jit = jit
        self.clip_norm = clip_norm
        self.batches_per_step = batches_per_step(self.updates)
        self.sums = {}
        self._nests = {}
        self._compute = {u.name: self._compiled(u) for u in self.updates}
        for update in self.updates:
            if update.trainable:
                optimizer = self.optimizers[update.name]
                optimizer.build(update.trainable)
                start_averages([optimizer])
                # The gradients it is given are already reduced, in one vector (see `_reduce`).
                optimizer._all_reduce_sum_gradients = list

    def _compiled(self, update):
        # The statistics of a pass say themselves what of them is compiled.
        over_epoch = update.over == "epoch"
        function = functools.partial(_compute, update, self.jit and over_epoch)
        if not self.jit or over_epoch:
            return function
        return tf.function(function, jit_compile=True, autograph=False)

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
          batch_at: `f(i, seed) -> batch`, the i-th of the step's `batches_per_step` batches, or for i =
            `PASS` the batch of the current pass over the data.
          seed: int32 [2], the run's seed.
          step: int64 scalar, the number of this step.

        Returns:
          Dict of scalars: "<update>/<name>", averaged over repeats and, outside, over replicas.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        replica = tf.convert_to_tensor(context.replica_id_in_sync_group) if replicas > 1 else 0
        step_seed = random.fold_in(seed, step)
        scalars = {}
        batch = None
        call = 0
        taken = 0
        for update in self.updates:
            repeats = []
            for _ in range(update.repeat):
                call_seed = random.fold_in(step_seed, call, replica)
                batch_seed, objective_seed = random.split(call_seed)
                if update.over == "epoch":
                    used = batch_at(PASS, batch_seed)
                else:
                    if batch is None or not update.share_batch:
                        batch = batch_at(taken, batch_seed)
                        taken += 1
                    used = batch
                repeats.append(self._run(update, used, objective_seed, step, replica, replicas))
                call += 1
            for key in repeats[0]:
                scalars[f"{update.name}/{key}"] = tf.add_n([r[key] for r in repeats]) / len(repeats)
        return scalars

    def _run(self, update, batch, seed, step, replica, replicas):
        grads, sums, assigned, scalars = self._compute[update.name](batch, seed, step, replica, replicas)
        totals = tf.nest.flatten(sums) if update.statistics else []
        fixed = [(v, x) for v, x in zip(update.variables, assigned, strict=True) if x is not None]
        how = ["mean"] * len(grads) + ["sum"] * len(totals)
        how += ["sum" if v.aggregation == "sum" else "mean" for v, _ in fixed]
        reduced = _reduce([*grads, *totals, *(x for _, x in fixed)], how)
        grads = reduced[: len(grads)]
        totals = reduced[len(grads) : len(grads) + len(totals)]
        for (variable, _), value in zip(fixed, reduced[len(grads) + len(totals) :], strict=True):
            _commit(variable, value)
        if update.objective:
            self._descend(update, grads)
        elif update.over == "epoch":
            for variable, value in zip(self.sums[update.name], totals, strict=True):
                _commit(variable, variable.value + value)
        else:
            scalars = self._apply(update, tf.nest.pack_sequence_as(sums, totals))
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


def _compute(update, jit, batch, seed, step, replica, replicas):
    """Pure part of an update: its gradients or sums, and the values it assigns (None where it does not)."""
    _REPLICA.index, _REPLICA.count, _REPLICA.jit = replica, replicas, jit
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
        _REPLICA.index, _REPLICA.count, _REPLICA.jit = 0, 1, False
    unused = [v.path for v, g in zip(trainable, grads, strict=bool(update.objective)) if g is None]
    if unused:
        raise ValueError(f"the objective of update {update.name!r} does not depend on {unused}.")
    # A gather's gradient comes in slices; everything after this takes tensors.
    grads = [tf.convert_to_tensor(g) for g in grads]
    state = [None if v.trainable else scope.get_current_value(v) for v in update.variables]
    return grads, sums, state, {k: tf.cast(v, tf.float32) for k, v in scalars.items()}


def _reduce(values, how):
    """Values summed or averaged over all replicas, on each of them.

    They travel as one vector: one collective instead of one for each variable. Only what is not float32 or
    shorter goes in a second one of float64, which holds whole numbers up to 2^53.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1 or not values:
        return list(values)
    reduced = [None] * len(values)
    for dtype in (tf.float32, tf.float64):
        chosen = [i for i, v in enumerate(values) if _travels_as(v.dtype) == dtype]
        if not chosen:
            continue
        flat = []
        for i in chosen:
            scale = 1.0 if how[i] == "sum" else 1.0 / context.num_replicas_in_sync
            flat.append(tf.reshape(tf.cast(values[i], dtype) * tf.cast(scale, dtype), [-1]))
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat(flat, 0))
        for i, part in zip(chosen, tf.split(total, [tf.size(f) for f in flat]), strict=True):
            part = tf.reshape(part, tf.shape(values[i]))
            # A third of 3 three times may lie below 3.
            part = part if values[i].dtype.is_floating else tf.round(part)
            reduced[i] = tf.cast(part, values[i].dtype)
    return reduced


def _travels_as(dtype):
    """float32 for itself and shorter floats, float64 for everything else."""
    return tf.float32 if dtype in (tf.float32, tf.bfloat16, tf.float16) else tf.float64


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
