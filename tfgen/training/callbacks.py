"""Keras callbacks of a training: history, TensorBoard, progress."""

import collections
import contextlib
import csv
import io
import os
import pathlib
import time

import keras
import tensorflow as tf

from tfgen import progress

# Calls of the loop that the speed is a mean of; lines of evaluations that are written whatever the clock
# says; seconds that compiling lasts before they are told.
_CALLS, _LINES, _LONG = 20, 20, 3.0


class History(keras.callbacks.Callback):
    """Keeps `metrics.csv`: one row at each evaluation, no clock in it, rewritten whole by rename.

    Args:
      path: The file; None keeps the rows in memory only.
      until: Rows beyond this step, left by a run that is now resumed from it, are dropped.
    """

    def __init__(self, path, until=0):
        super().__init__()
        self.path = pathlib.Path(path) if path else None
        self.rows = []
        if self.path and self.path.exists() and until:
            with self.path.open(newline="") as file:
                read = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            self.rows = [row for row in read if row["step"] <= until]
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        """Adds the row of the evaluation after step `epoch`."""
        self.rows.append({"step": float(epoch)} | logs)
        self._write()

    def _write(self):
        if self.path is None:
            return
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            [{k: int(v) if k == "step" else repr(v) for k, v in row.items()} for row in self.rows]
        )
        write_text(self.path, text.getvalue())


class TensorBoard(keras.callbacks.Callback):
    """Writes scalars and sample pictures for TensorBoard.

    Args:
      directory: Where the event files go.
      pictures: `f() -> {name: uint8 array [height, width, channels]}`, or None.
    """

    def __init__(self, directory, pictures=None):
        super().__init__()
        self.writer = tf.summary.create_file_writer(str(directory))
        self.pictures = pictures

    def on_epoch_end(self, epoch, logs=None):
        """Writes what the evaluation after step `epoch` found."""
        with self.writer.as_default(step=epoch):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
            with progress.doing("drawing samples for TensorBoard"):
                drawn = self.pictures() if self.pictures else {}
            for name, picture in drawn.items():
                tf.summary.image(name, picture[None])
        self.writer.flush()

    def on_train_end(self, logs=None):
        """Closes the event file."""
        self.writer.close()


class Progress(keras.callbacks.Callback):
    """Says how far a training is: its step, its stage, its main figures, steps a second and the time left.

    One line moves on with the training (`tfgen.progress`), and one at each evaluation stays: the first ones,
    then as many as a log should have. Figures are those that `model.main_figures` names; all of them are in
    `metrics.csv`. Training's are means since the last evaluation.

    Args:
      run: The `tfgen.training.loop.Run`, which knows its step and its stages.
      every: Steps between evaluations.
      clock: Seconds.
    """

    def __init__(self, run, every, clock=time.monotonic):
        super().__init__()
        self.run = run
        self.every = every
        self.clock = clock
        self._figures = {}
        # Steps and seconds of the last calls; seconds of the last evaluation, its checkpoint included, the
        # first left out, which compiles what it needs.
        self._calls = collections.deque(maxlen=_CALLS)
        self._pause = None
        self._state = "between"
        self._compiled = None
        self._lines = 0
        self._step = run.step
        self._began = clock()

    @contextlib.contextmanager
    def shown(self):
        """Shows the training while the block lasts."""
        with progress.shown() as display, display.telling(self):
            self._display = display
            yield

    def on_train_batch_begin(self, batch, logs=None):
        """Notes that a call of the loop begins."""
        now = self.clock()
        if self._state == "between" and self._calls:
            self._pause = 0.0 if self._pause is None else now - self._began
        self._began = now
        self._state = "training"
        # The first call of a stage compiles it, and says nothing about the speed.
        if self._compiled != self.run.number:
            self._calls.clear()
            self._state = "compiling"
            self._display.refresh()

    def on_train_batch_end(self, batch, logs=None):
        """Moves the line on to step `batch`."""
        now = self.clock()
        if self._state == "training":
            self._calls.append((batch - self._step, now - self._began))
        ends = batch % self.every == 0 or batch == self._stage().end
        self._state, self._began = "between" if ends else "training", now
        self._compiled = self.run.number
        self._step = batch
        validation = {k: v for k, v in self._figures.items() if k.startswith("val_")}
        self._figures = logs | validation
        self._display.refresh()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the line of the evaluation after step `epoch`."""
        self._figures = dict(logs)
        self._lines += 1
        if self._lines <= _LINES or self._display.due() or epoch == self._stage().end:
            self._display.write(self._line())

    def text(self, now, innermost=True):
        """The line as it is now."""
        if self._state == "training":
            return self._line()
        if self._state == "between":
            return "  ".join(self._place())
        waited = now - self._began
        took = f", {progress.duration(waited)}" if waited >= _LONG else ""
        return "  ".join([*self._place(), f"compiling the first step{took}"])

    def _line(self):
        shown = main_figures(self._figures, self.run.model.main_figures)
        told = [f"{name} {value:.4g}" for name, value in shown.items()]
        return "  ".join([*self._place(), *told, *self._speed()])

    def _stage(self):
        return self.run.stages[max(self.run.number, 0)]

    def _place(self):
        stage, place = self._stage(), [f"step {self.run.step}/{self.run.bounds[-1]}"]
        if len(self.run.stages) > 1:
            place.append(f"{stage.stage.name} {self.run.step - stage.first}/{stage.end - stage.first}")
        return place

    def _speed(self):
        """Steps a second, and the time that is left: of the stage, which in the last one is all."""
        seconds = sum(taken for _, taken in self._calls)
        if not seconds:
            return []
        stage, rate = self._stage(), sum(steps for steps, _ in self._calls) / seconds
        speed = f"{1 / rate:.2g} s/step"
        if rate >= 1:
            speed = f"{rate:.0f} steps/s" if rate >= 9.95 else f"{rate:.1f} steps/s"
        steps = stage.end - self.run.step
        if not steps:
            return [speed]
        left = steps / rate + -(-steps // self.every) * (self._pause or 0.0)
        of_stage = "" if stage is self.run.stages[-1] else f" of {stage.stage.name}"
        return [speed, f"{progress.duration(left)}{of_stage} left"]


def main_figures(figures, main):
    """Those of a training's figures that its line shows, by the names that they have there.

    An update's loss bears the update's name where there are several losses.

    Args:
      figures: Values by name, "<update>/<figure>" and "val_<figure>".
      main: Which figures are shown.
    """
    several = sum(name.endswith("/loss") for name in figures) > 1
    shown = {}
    for name, value in figures.items():
        update, _, figure = name.rpartition("/")
        if (figure if update else figure.removeprefix("val_")) in main:
            shown[update if several and figure == "loss" else figure] = value
    return shown


def write_text(path, text):
    """Writes a file under a temporary name, then renames it: it is never seen half written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
