"""The training loop: several steps a call, any strategy, exact resume."""

import contextlib
import pathlib
import signal

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.training.batches import Examples
from tfgen.training.callbacks import Best, History, Progress, TensorBoard
from tfgen.training.checkpoints import Checkpoints, averaged_weights, weights_of
from tfgen.training.stage import MAX_SCALARS, StageRun
from tfgen.training.strategies import is_chief

# How many examples `begin` is shown, and what its seed is folded from (steps fold 0 and up).
_BEGIN_EXAMPLES, _BEGIN = 10_000, -1


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
):
    """Trains a model on a data set.

    Each step takes the model's updates in order; their seeds are folded from `seed` and the step, the batches
    are a stateless function of both. So a run that was killed and resumed ends with the same bits as one
    that was not.

    Args:
      model: A `GenerativeModel`, made within `strategy.scope()`.
      data: A `tfgen.data.Data`.
      steps: Steps in all, shared out among the model's stages.
      run_dir: Where checkpoints, history and TensorBoard files go; None writes nothing.
      batch_size: Examples in a (global) batch.
      optimizer: Keras optimizer or name, cloned for each gradient update, or a dict of them by update name.
      seed: The run's seed.
      strategy: What `make_strategy` returned.
      jit: "on", "off", or "auto" for what was measured to be faster for this model.
      clip_norm: Clip each update's gradients to this global norm.
      checkpoint_every: Steps between evaluations, each with a checkpoint.
      resume: Go on from the newest complete checkpoint of `run_dir`.
      early_stopping: Stop after this many evaluations without a better validation loss.
      validation_examples: How many held-out examples each evaluation reads, at most.
      pictures: `f(model) -> {name: uint8 array}` for TensorBoard.
      callbacks: More Keras callbacks; an epoch is an evaluation and bears its step as its number.
      log: Called with each line for the user.

    Returns:
      List of dicts: the history, a row for each evaluation.

    Raises:
      ValueError: If the data, the batch size or the checkpoint do not fit.
      TrainingError: If an objective is no longer finite; names it and the step.
      Interrupted: After Ctrl-C, with the checkpoint written.
    """
    for name, value in (("steps", steps), ("batch_size", batch_size), ("checkpoint_every", checkpoint_every)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}.")
    model.check_data(data)
    replicas = strategy.num_replicas_in_sync if strategy else 1
    if batch_size % replicas:
        raise ValueError(f"batch_size={batch_size} does not divide into {replicas} replicas.")
    # On one device of each worker, which gathers for all its replicas; a TPU must hold them itself.
    on_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    with strategy.scope() if on_tpu else contextlib.nullcontext():
        splits = Examples(data.train, data, model), Examples(data.validation, data, model)
    with strategy.scope() if strategy else contextlib.nullcontext():
        run = Run(model, splits, steps, batch_size, optimizer, seed, strategy, jit, clip_norm)
        run.open(run_dir, resume, log)
    return run.go(checkpoint_every, early_stopping, validation_examples, pictures, callbacks)


class Run:
    """Everything that one training holds."""

    def __init__(self, model, splits, steps, batch_size, optimizer, seed, strategy, jit, clip_norm):
        if jit not in ("auto", "on", "off"):
            raise ValueError(f"jit must be auto, on or off, got {jit!r}.")
        self.model, self.steps, self.batch_size, self.strategy = model, steps, batch_size, strategy
        self.jit = model.jit_updates if jit == "auto" else jit == "on"
        self.seed = random.as_seed(seed)
        self.examples, self.validation = splits
        stages, self.stages, first = model.stages(), [], 0
        whole, done = sum(s.share for s in stages), 0.0
        for number, stage in enumerate(stages):
            done += stage.share
            end = steps if number == len(stages) - 1 else round(steps * done / whole)
            chosen = optimizer.get(stage.name, optimizer) if isinstance(optimizer, dict) else optimizer
            self.stages.append(StageRun(self, stage, number, first, end, chosen, clip_norm))
            first = end
        # Sums of the scalars since the last evaluation: carried from call to call and through checkpoints, so
        # that the history does not depend on where the calls were cut.
        self.total = tf.Variable(tf.zeros([MAX_SCALARS]), trainable=False, name="total")
        self._validate = tf.function(model.validation_metrics, autograph=False, reduce_retracing=True)

    def open(self, run_dir, resume, log):
        """Prepares the checkpoints and restores the newest if asked to."""
        self.directory = pathlib.Path(run_dir) if run_dir else None
        self.chief, self.last, self.step = is_chief(self.strategy), None, 0
        if self.directory is None:
            return
        objects = weights_of(self.model) | {
            "optimizers": {s.stage.name: s.optimizers for s in self.stages},
            "sums": {s.stage.name: s.engine.sums for s in self.stages},
            "total": self.total,
        }
        where = self.directory / "checkpoints"
        if self.chief:
            (where / "best").mkdir(parents=True, exist_ok=True)
        self.last = Checkpoints(objects, where, 2, self.chief)
        self.best = Checkpoints(weights_of(self.model), where / "best", 1, self.chief)
        if resume:
            restored = self.last.restore(log)
            self.step = restored or 0
            found = "no complete checkpoint: starting at step 0"
            log(f"resumed at step {restored}" if restored is not None else found)

    def evaluate(self, limit):
        """Means of the validation metrics over the held-out examples, by name."""
        totals, count, size = {}, min(len(self.validation), limit), self.validation.rows_at_once
        for start in range(0, count, size):
            rows = np.arange(start, min(start + size, count))
            batch_seed, seed = random.split(random.fold_in(self.seed, -2 - start))
            for name, value in self._validate(self.validation.batch(rows, batch_seed), seed).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(rows) / count
        return {f"val_{name}": value for name, value in totals.items()}

    def _callbacks(self, pictures, more):
        path = self.directory if self.chief else None
        history = History(path / "metrics.csv" if path else None, self.step)
        chosen = [history, *more]
        if self.directory:
            chosen.append(Best(self.best.save, history.rows))
        if path:
            show = (lambda: pictures(self.model)) if pictures else None
            chosen += [TensorBoard(path / "tensorboard", show), Progress(self.steps)]
        return history, chosen

    def go(self, every, early_stopping, validation_examples, pictures, more):
        """Trains to the end."""
        history, chosen = self._callbacks(pictures, more)
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=early_stopping or self.steps)
        callbacks = keras.callbacks.CallbackList([*chosen, stopping], model=self.model)
        self.model.stop_training = False
        callbacks.on_train_begin()
        for row in list(history.rows):
            stopping.on_epoch_end(row["step"], row)
        if self.step == 0:
            first = np.arange(min(len(self.examples), _BEGIN_EXAMPLES))
            batch_seed, seed = random.split(random.fold_in(self.seed, _BEGIN))
            self.model.begin(self.examples.batch(first, batch_seed), seed)
        with _stop_signals() as stop:
            for stage in self.stages:
                if stage.first == self.step < stage.end and stage.stage.on_enter:
                    stage.stage.on_enter()
                while self.step < stage.end and not self.model.stop_training:
                    self._interval(stage, every, validation_examples, callbacks, stop)
        callbacks.on_train_end()
        return history.rows

    def _interval(self, stage, every, validation_examples, callbacks, stop):
        """Trains up to the next evaluation, evaluates, saves."""
        since = max(self.step // every * every, stage.first)
        until = min(self.step // every * every + every, stage.end)
        finished = {}
        while self.step < until:
            self.step, logs = stage.advance(self.step, until)
            finished |= logs
            callbacks.on_train_batch_end(self.step, stage.means(self.step - since) | finished)
            if stop and self.step < until:
                self._save_last()
                raise Interrupted(self.step)
        logs = stage.means(self.step - since) | finished
        self.total.assign(tf.zeros_like(self.total))
        self.model.step.assign(self.step)
        with averaged_weights(stage.optimizers.values()):
            callbacks.on_epoch_end(self.step, logs | self.evaluate(validation_examples))
        self._save_last()
        if stop and self.step < self.steps:
            raise Interrupted(self.step)

    def _save_last(self):
        self.model.step.assign(self.step)
        if self.last:
            self.last.save(self.step)


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
