"""Checkpoints that survive a kill at any moment and are equal for equal runs."""

import contextlib
import os
import pathlib
import re
import tempfile

import tensorflow as tf


def weights_of(model):
    """What a checkpoint of a model holds: all its variables, in order.

    Not the model itself: TensorFlow does not find the layers that a Keras 3 model keeps in a list.
    """
    return {"variables": list(model.variables)}


class Checkpoints:
    """The checkpoints of one kind in one directory, by `tf.train.CheckpointManager`.

    Args:
      objects: Trackable objects by name.
      directory: Where they are written.
      keep: How many are kept.
      chief: Whether this process writes for good; the others take part in saving, to a temporary directory.
    """

    def __init__(self, objects, directory, keep, chief=True):
        self.checkpoint = tf.train.Checkpoint(**objects)
        self.directory, self.chief = pathlib.Path(directory), chief
        if not chief:
            self._scratch = tempfile.TemporaryDirectory()
        where = str(self.directory) if chief else self._scratch.name
        self.manager = tf.train.CheckpointManager(self.checkpoint, where, keep)

    def save(self, step):
        """Writes `ckpt-<step>`; all workers must call it."""
        # The counter would tell an interrupted run from one that was not.
        self.checkpoint.save_counter.assign(0)
        self.manager.save(checkpoint_number=step)
        if self.chief:
            _forget_clock(self.directory, self.manager)

    def restore(self, log=print):
        """Restores the newest complete checkpoint.

        Args:
          log: Called with a line for each torn checkpoint passed over.

        Returns:
          Its step, or None where there is none.

        Raises:
          ValueError: If it is a checkpoint of something else.
        """
        for step, path in reversed(complete_or_torn(self.directory)):
            problem = find_damage(path)
            if problem:
                log(f"checkpoint {path} is torn ({problem}): passed over")
                continue
            try:
                status = self.checkpoint.restore(path)
                status.assert_existing_objects_matched()
                status.expect_partial()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                line = str(error).strip().splitlines()[0]
                raise ValueError(
                    f"checkpoint {path} belongs to another model or optimizer: {line}"
                ) from error
            return step
        return None


def complete_or_torn(directory):
    """(step, path prefix) of every checkpoint in a directory, oldest first."""
    found = []
    for index in pathlib.Path(directory).glob("ckpt-*.index"):
        match = re.fullmatch(r"ckpt-(\d+)\.index", index.name)
        if match:
            found.append((int(match[1]), str(index)[: -len(".index")]))
    return sorted(found)


def find_damage(path):
    """What is wrong with a checkpoint's files, or None: every tensor is read, so its checksum is verified."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        return str(error).strip().splitlines()[0][:120]
    return None


def _forget_clock(directory, manager):
    # TensorFlow puts times into its `checkpoint` file; without them equal runs leave equal files.
    names = [os.path.basename(p) for p in manager.checkpoints]
    lines = [f'model_checkpoint_path: "{names[-1]}"', *(f'all_model_checkpoint_paths: "{n}"' for n in names)]
    temporary = directory / "checkpoint.tmp"
    temporary.write_text("\n".join(lines) + "\n")
    os.replace(temporary, directory / "checkpoint")


def load_averages(optimizers):
    """Gives the model the moving averages of its weights that its optimizers keep (`use_ema`), if any.

    Returns:
      (variable, value before) of those that were changed.
    """
    before = []
    for optimizer in optimizers:
        if optimizer.use_ema:
            averages = optimizer._model_variables_moving_average
            for variable, average in zip(optimizer._trainable_variables, averages, strict=True):
                before.append((variable, tf.identity(variable.value)))
                variable.assign(average.value)
    return before


@contextlib.contextmanager
def averaged_weights(optimizers):
    """Within it the model's weights are their moving averages, where its optimizers keep them."""
    before = load_averages(optimizers)
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
