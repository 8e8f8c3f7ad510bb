"""Keras callbacks of a training: history, TensorBoard, progress."""

import csv
import io
import os
import pathlib
import sys

import keras
import tensorflow as tf


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
            for name, picture in (self.pictures() if self.pictures else {}).items():
                tf.summary.image(name, picture[None])
        self.writer.flush()

    def on_train_end(self, logs=None):
        """Closes the event file."""
        self.writer.close()


class Progress(keras.callbacks.Callback):
    """A bar on a terminal, a line at each evaluation elsewhere.

    Args:
      steps: Steps of the whole training.
      out: Text stream.
    """

    def __init__(self, steps, out=None):
        super().__init__()
        self.steps = steps
        self.out = out or sys.stdout
        self.bar = None

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar to step `batch`."""
        if self.out.isatty():
            if self.bar is None:
                self.bar = keras.utils.Progbar(self.steps, stateful_metrics=list(logs), unit_name="step")
            self.bar.update(batch, [(k, v) for k, v in logs.items()], finalize=batch == self.steps)

    def on_epoch_end(self, epoch, logs=None):
        """Writes the line of the evaluation after step `epoch`."""
        shown = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        print(f"{'' if not self.out.isatty() else chr(10)}step {epoch}/{self.steps}  {shown}", file=self.out)
        self.out.flush()


def write_text(path, text):
    """Writes a file under a temporary name, then renames it: it is never seen half written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
