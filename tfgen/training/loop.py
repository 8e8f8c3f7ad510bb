"""The training loop: several steps a call, any strategy, exact resume."""

import contextlib
import functools
import math
import pathlib
import signal

import keras
import numpy as np
import tensorflow as tf

from tfgen import checks, progress, random
from tfgen.data.stream import ahead
from tfgen.model import GenerativeModel
from tfgen.training.batches import Examples, spans
from tfgen.training.callbacks import History, Progress, TensorBoard
from tfgen.training.checkpoints import (
    Checkpoints,
    State,
    averaged_weights,
    complete_or_torn,
    load_averages,
    optimizers_state,
    variable_paths,
    weights_of,
)
from tfgen.training.stage import MAX_SCALARS, StageRun, TrainingError
from tfgen.training.strategies import LOST, Workers
from tfgen.update import batches_per_step, make_optimizers, plan_stages, start_averages

# How many examples `begin` and `on_enter` are shown.
_BEGIN_EXAMPLES = 10_000
# What their seeds are folded from; steps fold 0 and up.
_BEGIN = -1


class Interrupted(Exception):  # noqa: N818
    """A training that was asked to stop; its checkpoint is written.

    Args:
      step: The step it stopped at.
    """

    def __init__(self, step):
        super().__init__(f"interrupted at step {step}")
        self.step = step


def train(
    model,
    data,
    steps,
    run_dir=None,
    batch_size=128,
    optimizer="adam",
    seed=0,
    strategy=None,
    jit="auto",
    clip_norm=None,
    checkpoint_every=500,
    resume=False,
    early_stopping=None,
    validation_examples=2000,
    pictures=None,
    callbacks=(),
    log=print,
    before_writing=None,
    start=None,
):
    """Trains a model on a data set.

    Each step takes the updates of the model's current stage in order; their seeds are folded from `seed` and
    the step, the batches are a stateless function of both. So a run that was killed and resumed ends with the
    same bits as one that was not. Every check comes before the first write.

    Args:
      model: A `GenerativeModel`, made within `strategy.scope()`.
      data: A `tfgen.data.Data`. Without validation examples nothing is evaluated: there is no validation loss
        and no best checkpoint, and the last one is what a run has. Streamed examples are read by a thread
        while others are trained on; the weights are the same to the last bit.
      steps: Steps in all, shared out among the model's stages.
      run_dir: Where checkpoints, history and TensorBoard files go; None writes nothing.
      batch_size: Examples in a (global) batch, and of each stream in it.
      optimizer: As `tfgen.update.make_optimizers` takes it: a Keras optimizer or name, cloned for each
        gradient update, a dict of them by update name, or a dict by stage name of either.
      seed: The run's seed.
      strategy: What `make_strategy` returned.
      jit: "on", "off", or "auto" for what was measured to be faster for this model.
      clip_norm: Clip each update's gradients to this global norm.
      checkpoint_every: Steps between evaluations, each with a checkpoint.
      resume: Go on from the newest complete checkpoint of `run_dir`. `steps` may be others then, where that
        moves no stage already begun.
      early_stopping: End a stage after this many evaluations in it without a better validation loss; the
        stages after it keep their lengths.
      validation_examples: How many held-out examples each evaluation reads, at most.
      pictures: `f(model, all) -> {name: uint8 array}` for TensorBoard at each evaluation; `all` is true at
        four of them, for what takes as long as many steps of a small model.
      callbacks: More Keras callbacks; an epoch is an evaluation and bears its step as its number. One that
        sets `model.stop_training` ends the run.
      log: Called with each line for the user.
      before_writing: Called by the process that writes, when all checks have passed and nothing is written.
      start: Weights to begin with in place of the model's own: {path: array}, paths as `variable_paths` of
        `tfgen.training.checkpoints` has them. What it leaves out begins as it would without it.

    Returns:
      List of dicts: the history, a row for each evaluation.

    Raises:
      ValueError: If the data, the batch size, the steps or the checkpoint do not fit, or `run_dir` holds
        checkpoints of another run.
      TrainingError: If an objective is no longer finite; names it and the step. If another worker was lost.
      Interrupted: After Ctrl-C or SIGTERM, with the checkpoint written.
    """
    checks.whole("steps", steps)
    checks.whole("batch_size", batch_size)
    checks.whole("checkpoint_every", checkpoint_every)
    if early_stopping is not None:
        checks.whole("early_stopping", early_stopping)
    model.check_data(data)
    if early_stopping is not None and not len(data.validation):
        raise ValueError(
            f"early_stopping={early_stopping} needs validation examples, but {data.name} has none: load it "
            "with some held out (validation=0.1), or leave early_stopping out."
        )
    replicas = strategy.num_replicas_in_sync if strategy else 1
    if batch_size % replicas:
        raise ValueError(f"batch_size={batch_size} does not divide into {replicas} replicas.")
    for name in model.streams:
        size = data.train.streams[name].group_size
        if batch_size % (replicas * size):
            told = f" for each of {replicas} replicas" if replicas > 1 else ""
            raise ValueError(
                f"batch_size={batch_size} does not divide into groups of {size}, as the stream {name!r} of "
                f"{data.name} has them{told}: take a multiple of {replicas * size}."
            )
    # On one device of each worker, which gathers for all its replicas; a TPU must hold them itself.
    on_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    held_out = data.validation.take(slice(None, validation_examples))
    with strategy.scope() if on_tpu else contextlib.nullcontext():
        rows = batch_size * most_batches(model.stages())
        splits = Examples(data.train, data, model, rows=rows), Examples(held_out, data, model)
    with strategy.scope() if strategy else contextlib.nullcontext():
        run = Run(model, splits, steps, batch_size, optimizer, seed, strategy, jit, clip_norm, start)
        run.open(run_dir, resume, log, {"data": data.fingerprint()} if run_dir else {})
    if before_writing and run.workers.chief:
        before_writing()
    run.check_free(resume)
    try:
        history = run.go(checkpoint_every, early_stopping, validation_examples, pictures, callbacks)
    except (Interrupted, TrainingError):
        # All of them are interrupted, or find the loss that is not finite, at the same step.
        run.workers.part()
        raise
    except LOST as error:
        if not run.workers.several:
            raise
        raise TrainingError(
            "another worker was lost: start all workers again with --resume, and they go on from the newest "
            "checkpoint."
        ) from error
    run.workers.part()
    return history


def most_batches(stages):
    """Most batches that a step of any stage takes, that of a pass over the data included."""
    over_epoch = [any(update.over == "epoch" for update in stage.updates) for stage in stages]
    return max(batches_per_step(s.updates) + o for s, o in zip(stages, over_epoch, strict=True))


class Run:
    """State of one training: its stages, where it stands, its checkpoints.

    Args:
      model: The model.
      splits: `Examples` to train on and to validate with.
      steps: Steps in all.
      batch_size: Examples in a batch.
      optimizer: As `make_optimizers` takes it.
      seed: The run's seed.
      strategy: What `make_strategy` returned.
      jit: "auto", "on" or "off".
      clip_norm: Clip each update's gradients to this global norm.
      start: As `train` takes it.

    Attributes:
      stages: A `StageRun` for each stage.
      bounds: Steps at which the stages begin, and the one at which the last ends.
      step: Steps taken.
      number: Which stage is being trained; -1 before the first.
      evaluated: Step of the last evaluation.
      passes: Passes over the data that ended since then.
      share: Slice of a batch that this process takes.
      in_blocks: Whether examples are streamed, here or by another worker.
    """

    def __init__(
        self, model, splits, steps, batch_size, optimizer, seed, strategy, jit, clip_norm, start=None
    ):
        checks.one_of("jit", jit, ("auto", "on", "off"))
        self.model = model
        self.steps = steps
        self.batch_size = batch_size
        self.strategy = strategy
        self.workers = Workers(strategy)
        self.jit = model.jit_updates if jit == "auto" else jit == "on"
        self.seed = random.as_seed(seed)
        self.examples, self.validation = splits
        streamed = any(each.streamed for each in (self.examples, *self.examples.streams.values()))
        self.in_blocks, _ = self.workers.agree(streamed, 0)
        self.share = self.workers.share(batch_size) if streamed else slice(0, batch_size)
        stages = list(model.stages())
        self.bounds = plan_stages(stages, steps)
        optimizers = make_optimizers(stages, optimizer)
        self.stages = [
            StageRun(self, stage, number, optimizers[stage.name], clip_norm)
            for number, stage in enumerate(stages)
        ]
        self.start = _checked_start(model, start) if start else []
        self.step = 0
        self.number = -1
        self.evaluated = 0
        self.passes = 0
        # Sums of the scalars since the last evaluation, and the scalars of the last pass that ended: carried
        # from call to call and through checkpoints, so that the history does not depend on where the calls
        # were cut.
        self.total = tf.Variable(tf.zeros([MAX_SCALARS]), trainable=False, name="total")
        self.finished = tf.Variable(tf.zeros([MAX_SCALARS], tf.float64), trainable=False, name="finished")
        counters = tf.zeros([3 + len(self.bounds)], tf.int64)
        self.counters = tf.Variable(counters, trainable=False, name="counters")
        self._validate = tf.function(model.validation_metrics, autograph=False, reduce_retracing=True)

    def open(self, run_dir, resume, log, identity):
        """Prepares the checkpoints and restores the newest if asked to; writes nothing.

        Args:
          run_dir: The run's directory, or None.
          resume: Whether to restore.
          log: Called with each line for the user.
          identity: What else the checkpoints belong to.
        """
        self.directory = pathlib.Path(run_dir) if run_dir else None
        self.last = None
        if self.directory is None:
            return
        identity = identity | {"seed": self.seed.numpy().tolist(), "batch_size": self.batch_size}
        weights = weights_of(self.model) | State({}, identity)
        by_stage = {stage.stage.name: stage.optimizers for stage in self.stages}
        optimizers = optimizers_state(by_stage, self.model)
        weights = weights | State({}, optimizers.identity)
        rest = {"run/total": self.total, "run/finished": self.finished, "run/counters": self.counters}
        for stage in self.stages:
            for update, sums in stage.engine.sums.items():
                rest |= {f"sums/{stage.stage.name}/{update}/{i}": each for i, each in enumerate(sums)}
        chief = self.workers.chief
        where = self.directory / "checkpoints"
        self.last = Checkpoints(weights | optimizers | State(rest, {}), where, 2, chief)
        self.best = Checkpoints(weights, where / "best", 1, chief)
        if resume:
            self._resume(log)

    def _resume(self, log):
        restored = self.last.restore(log)
        if self.workers.differ(-1 if restored is None else restored):
            raise ValueError(
                f"run_dir={self.directory} holds other checkpoints for other workers: give all of them one "
                "directory that they share."
            )
        if restored is None:
            log("no complete checkpoint: starting at step 0")
            return
        self.step = restored
        self.number = int(self.model.stage.numpy()[0])
        planned, self.evaluated, self.passes, *bounds = (int(n) for n in self.counters.numpy())
        self.bounds = self._moved(planned, bounds)
        self._write_stage()
        log(f"resumed at step {restored}")

    def _moved(self, planned, bounds):
        """The bounds of a run of `planned` steps with so many as are asked for now."""
        if self.steps == planned:
            return bounds
        stages = [each.stage for each in self.stages]
        before = plan_stages(stages, planned)
        after = plan_stages(stages, self.steps)
        begun = self.number
        if begun + 1 < len(stages) and bounds[begun + 1] - bounds[begun] != before[begun + 1] - before[begun]:
            # It was stopped early: the next one is due.
            begun += 1
        for k in range(1, begun + 1):
            if before[k] != after[k]:
                raise ValueError(
                    f"steps={self.steps} would move the end of stage {stages[k - 1].name!r} from step "
                    f"{before[k]} to {after[k]}, but stage {stages[k].name!r} has begun: resume with "
                    f"steps={planned}, or train again from the start."
                )
        moved = bounds[: begun + 1] + [end - before[begun] + bounds[begun] for end in after[begun + 1 :]]
        if moved[self.number + 1] < self.step:
            raise ValueError(
                f"steps={self.steps} would end stage {stages[self.number].name!r} at step "
                f"{moved[self.number + 1]}, but the run has reached step {self.step}: resume with more steps."
            )
        return moved

    def check_free(self, resume):
        """Refuses to begin a run where another's checkpoints lie.

        Raises:
          ValueError: If there are any and they are not resumed from.
        """
        if self.directory and not resume and complete_or_torn(self.directory / "checkpoints"):
            raise ValueError(
                f"run_dir={self.directory} already holds checkpoints: go on from them with resume=True, or "
                "name another directory."
            )

    def evaluate(self, limit):
        """Means of the validation metrics over the held-out examples, by name; none without examples."""
        totals = {}
        count = min(len(self.validation), limit)
        found = spans(count, self.validation.rows_at_once)
        seeds = [random.split(random.fold_in(self.seed, -2 - start)) for start, _ in found]
        batches = (self.validation.rows(*span, seed) for span, (seed, _) in zip(found, seeds, strict=True))
        batches = ahead(batches) if self.validation.streamed else batches
        parts = list(zip(found, seeds, strict=True))
        for ((start, end), (_, seed)), batch in zip(
            progress.through(parts, "validating"), batches, strict=True
        ):
            for name, value in self._validate(batch, seed).items():
                totals[name] = totals.get(name, 0.0) + float(value) * (end - start) / count
        return {f"val_{name}": value for name, value in totals.items()}

    def _callbacks(self, every, pictures, more):
        path = self.directory if self.workers.chief else None
        if path:
            path.mkdir(parents=True, exist_ok=True)
        history = History(path / "metrics.csv" if path else None, self.step)
        chosen, told = [history, *more], contextlib.nullcontext()
        if path:
            reporter = Progress(self, every)
            show = functools.partial(self._show, pictures, every) if pictures else None
            chosen += [reporter, TensorBoard(path / "tensorboard", show)]
            told = reporter.shown()
        return history, chosen, told

    def _show(self, pictures, every):
        """Pictures of the evaluation at this step, the costly ones as each quarter of the run ends."""
        end, before = self.stages[-1].end, max(self.step - every, 0)
        return pictures(self.model, self.step * 4 // end > before * 4 // end)

    def go(self, every, early_stopping, validation_examples, pictures, more):
        """Trains to the end.

        Args:
          every: Steps between evaluations.
          early_stopping: Evaluations without a better loss that end a stage, or None.
          validation_examples: How many held-out examples an evaluation reads, at most.
          pictures: As `train` takes them.
          more: Keras callbacks.

        Returns:
          The history: a dict for each evaluation.
        """
        history, chosen, told = self._callbacks(every, pictures, more)
        callbacks = keras.callbacks.CallbackList(chosen, model=self.model)
        self.model.stop_training = False
        callbacks.on_train_begin()
        self._read_losses(history.rows)
        ended = False
        with told, _stop_signals() as stop, contextlib.ExitStack() as left:
            for stage in self.stages:
                left.callback(stage.feed.close)
            for stage in self.stages[max(self.number, 0) :]:
                if stage.number > self.number:
                    self._enter(stage)
                self._end_early(stage, early_stopping)
                while self.step < stage.end and not ended and not self._patience_ended(early_stopping):
                    ended = self._interval(stage, every, early_stopping, validation_examples, callbacks, stop)
                if ended:
                    break
        callbacks.on_train_end()
        return history.rows

    def _enter(self, stage):
        """Begins a stage: a function of the weights and the seed, so that it can be done again."""
        name = f" stage {stage.stage.name}" if len(self.stages) > 1 else ""
        with progress.doing(f"beginning{name}"):
            self._begin(stage)

    def _begin(self, stage):
        batch_seed, seed = random.split(random.fold_in(self.seed, _BEGIN))
        begins = stage.number == 0 and type(self.model).begin is not GenerativeModel.begin
        first = None
        if begins or stage.stage.on_enter:
            first = self.examples.first(_BEGIN_EXAMPLES, batch_seed)
        if stage.number > 0:
            load_averages(self.stages[stage.number - 1].optimizers.values())
        self.number = stage.number
        self.lowest = math.inf
        self.waited = 0
        self.model.step.assign(self.step)
        self._write_stage()
        if begins:
            self.model.begin(first, seed)
        if stage.stage.on_enter:
            stage.stage.on_enter(first, random.fold_in(self.seed, _BEGIN, stage.number))
        if stage.number == 0:
            for variable, value in self.start:
                variable.assign(value)
        start_averages(stage.optimizers.values())

    def _write_stage(self):
        self.model.stage.assign([self.number, *self.bounds[self.number : self.number + 2]])

    def _read_losses(self, rows):
        """Takes up the lowest loss of the current stage, and how many evaluations came since."""
        self.lowest = math.inf
        self.waited = 0
        first = self.bounds[max(self.number, 0)]
        for row in rows:
            if row["step"] > first and "val_loss" in row:
                self._note_loss(row["val_loss"])
        # Only the chief has a history.
        self.lowest, waited = self.workers.as_chief([self.lowest, self.waited])
        self.waited = int(waited)

    def _note_loss(self, loss):
        """Counts an evaluation; whether it is the best of its stage."""
        if loss < self.lowest:
            self.lowest = loss
            self.waited = 0
            return True
        self.waited += 1
        return False

    def _patience_ended(self, early_stopping):
        return early_stopping is not None and self.waited >= early_stopping

    def _end_early(self, stage, early_stopping):
        """Ends a stage here if its patience has; the stages after it keep their lengths."""
        early = stage.end - self.step
        if early and stage is not self.stages[-1] and self._patience_ended(early_stopping):
            self.bounds[stage.number + 1 :] = [end - early for end in self.bounds[stage.number + 1 :]]
            self._write_stage()

    def _interval(self, stage, every, early_stopping, validation_examples, callbacks, stop):
        """Trains up to the next evaluation, evaluates, saves; whether the run shall end."""
        until = min(self.step // every * every + every, stage.end)
        while self.step < until:
            callbacks.on_train_batch_begin(self.step)
            self.step, finished = stage.advance(self.step, until)
            if finished is not None:
                self.finished.assign(finished)
                self.passes += 1
            callbacks.on_train_batch_end(self.step, self._logs(stage))
            asked, stage.chunk = self.workers.agree(bool(stop), stage.chunk)
            if asked and self.step < until:
                self._save_last()
                raise Interrupted(self.step)
        logs = self._logs(stage) | stage.rates()
        self.total.assign(tf.zeros_like(self.total))
        self.finished.assign(tf.zeros_like(self.finished))
        self.passes = 0
        self.evaluated = self.step
        self.model.step.assign(self.step)
        last = stage is self.stages[-1]
        with averaged_weights(stage.optimizers.values()):
            found = self.evaluate(validation_examples)
            (loss,) = self.workers.as_chief([found.get("val_loss", 0.0)])
            self._check_numbers(loss)
            callbacks.on_epoch_end(self.step, logs | found)
            if "val_loss" in found and self._note_loss(loss) and last and self.last:
                self.best.save(self.step)
        self._end_early(stage, early_stopping)
        self._save_last()
        ended, _ = self.workers.agree(self.model.stop_training, 0)
        asked, _ = self.workers.agree(bool(stop), 0)
        finished = last and (self.step == stage.end or self._patience_ended(early_stopping))
        if asked and not ended and not finished:
            raise Interrupted(self.step)
        return ended

    def _check_numbers(self, loss):
        """Refuses to go on, to draw or to save after a step that left no numbers."""
        held = [each for each in self.model.variables if tf.as_dtype(each.dtype).is_floating]
        lost = [each.path for each in held if bool(tf.reduce_any(tf.math.is_nan(each.value)))]
        if lost or math.isnan(loss):
            what = f"weights {lost[0]} are" if lost else "the validation loss is"
            raise TrainingError(
                f"{what} nan at step {self.step}; try a lower --learning_rate or --clip_norm, the "
                "checkpoints before it are kept."
            )

    def _logs(self, stage):
        logs = stage.means(self.step - self.evaluated)
        return logs | stage.named(self.finished.numpy()) if self.passes else logs

    def _save_last(self):
        self.model.step.assign(self.step)
        self.counters.assign([self.steps, self.evaluated, self.passes, *self.bounds])
        if self.last:
            with progress.doing("saving"):
                self.last.save(self.step)


def _checked_start(model, start):
    """[(variable, array)] of the weights that a training is given to begin with."""
    paths = variable_paths(model)
    for path, value in start.items():
        if path not in paths:
            raise ValueError(f"start: {type(model).__name__} has no variable {path}.")
        if np.shape(value) != tuple(paths[path].shape):
            raise ValueError(
                f"start: {path} has shape {list(paths[path].shape)}, got {list(np.shape(value))}."
            )
    return [(paths[path], value) for path, value in start.items()]


@contextlib.contextmanager
def _stop_signals():
    """A list that becomes non-empty when the user asks to stop; asking twice stops at once."""
    asked = []

    def handle(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        # Not the main thread: the caller minds the signals.
        before = {}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
