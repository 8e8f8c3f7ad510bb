"""Orders of examples, and batches gathered by them.

The training set lies whole in memory, on every device, or, where it is streamed, the part of it that the next
steps take; a batch is a gather by indices that are a stateless function of the seed and the step, so that
training can begin at any step.
"""

import math

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data.stream import Stream

# Bytes of streamed examples that lie on the devices; while they are trained on, as many are read. Sets that
# take no more are held whole.
_WINDOW = 1 << 25


class Order:
    """Order of examples: a permutation for each pass, batches running on from pass to pass.

    Whole passes, which are there for sums, take the examples as they lie.

    Args:
      num_examples: Size of the training set.
      batch_size: Examples in a (global) batch.
      per_step: Batches in a step.
      seed: Two words that choose the permutations.
      whole_passes: Begin each pass with a new batch; its last batch is filled up with -1.
      wraps: A batch may be larger than the data, and then holds examples several times.
      group_size: So many examples in a row stay together, in their order; it divides a batch.

    Raises:
      ValueError: If a batch is larger than the data and may not be.
    """

    def __init__(
        self, num_examples, batch_size, per_step, seed, whole_passes=False, wraps=False, group_size=1
    ):
        if batch_size > num_examples and not wraps:
            raise ValueError(
                f"batch_size={batch_size} is larger than the {num_examples} training examples; "
                f"use {num_examples} or less."
            )
        self.num_examples = num_examples
        self.shape = (per_step, batch_size)
        self.seed = [int(word) & 0xFFFFFFFF for word in seed]
        self.whole_passes = whole_passes
        self.group_size = group_size
        self.steps_per_pass = -(-num_examples // batch_size) if whole_passes else None
        self._passes = {}

    def _permutation(self, number):
        number = 0 if self.whole_passes else number
        if number not in self._passes:
            self._passes = {k: v for k, v in self._passes.items() if k >= number - 1}
            if self.whole_passes:
                # Sums over a pass do not depend on the order: examples are read as they lie, which is faster.
                permutation = np.arange(self.num_examples)
                permutation = np.pad(permutation, (0, -self.num_examples % self.shape[1]), constant_values=-1)
            else:
                key = np.array([self.seed[0] << 32 | self.seed[1], number], np.uint64)
                permutation = np.random.Generator(np.random.Philox(key=key)).permutation(
                    self.num_examples // self.group_size
                )
                permutation = permutation[:, None] * self.group_size + np.arange(self.group_size)
            self._passes[number] = permutation.ravel().astype(np.int32)
        return self._passes[number]

    def __call__(self, step, count):
        """Indices of `count` steps from `step` on: int32 `[count, per_step, batch_size]`."""
        length = len(self._permutation(0)) if self.whole_passes else self.num_examples
        size = self.shape[0] * self.shape[1]
        first, end = step * size, (step + count) * size
        parts = [self._permutation(p) for p in range(first // length, (end - 1) // length + 1)]
        offset = first - first // length * length
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return joined[offset : offset + end - first].reshape(count, *self.shape)


def spans(count, size):
    """Cuts `count` rows into batches of `size`, none of a single row unless `size` or `count` is 1.

    A last batch of one row joins the one before it: what compares the rows of a batch with each other, such
    as an energy distance, has no pair in a batch of one.

    Args:
      count: Number of rows.
      size: Rows of a batch; one may be larger by a row.

    Returns:
      List of (first, end).
    """
    found = [(first, min(first + size, count)) for first in range(0, count, size)]
    if size > 1 and count > 1 and count % size == 1:
        found[-2:] = [(found[-2][0], count)]
    return found


class Examples:
    """Split on the devices, with those of its streams that a model reads.

    Args:
      split: A `tfgen.data.Split`.
      data: The data set it belongs to.
      model: The model it is for.
      fields: Arrays by name; None takes what the model reads of a split.
      rows: Most examples that a step takes; 0 where none does, and batches are asked for by `rows` alone.

    Attributes:
      rows_at_once: How many examples are evaluated together.
      streams: `Examples` by name.
      group_size: How many examples in a row stay together.
      streamed: Whether the examples stay where they are stored, but for those in the window.
      window: How many examples a window has.
    """

    def __init__(self, split, data, model, fields=None, rows=0):
        self.data = data
        self.model = model
        self.length = len(split)
        self.group_size = split.group_size
        self.rows_at_once = model.rows_at_once(split)
        fields = model.fields(split) if fields is None else fields
        self.window = max(rows, _WINDOW // max(1, sum(_row_bytes(field) for field in fields.values())))
        streamed = any(isinstance(field, Stream) for field in fields.values())
        self.streamed = streamed and self.length > self.window
        # Of examples in memory nothing but the copy on the devices is kept alive.
        self.stored = fields if self.streamed else None
        if self.streamed:
            held = {k: np.zeros((self.window, *v.shape[1:]), v.dtype) for k, v in fields.items() if rows}
        else:
            held = {k: np.asarray(v) for k, v in fields.items()}
        self.fields = {k: tf.Variable(v, trainable=False, name=k) for k, v in held.items()}
        self.streams = {
            name: Examples(split.streams[name], data, model, model.stream_fields(split.streams[name]), rows)
            for name in model.streams
            if name in split.streams
        }

    def __len__(self):
        return self.length

    def batch(self, indices, seed, streams=None, stored=False):
        """The batch of these indices.

        Args:
          indices: int `[rows]`.
          seed: int32 [2], for data that are drawn anew each time they are seen.
          streams: Indices of the streams' examples by name; None leaves the streams out.
          stored: Whether indices are those of the examples; by default, of streamed ones, places in the
            window.

        Returns:
          Dict with "x" and, as the model needs, "x_mean", "condition", "lengths" and more; a dict for each
          stream.
        """
        if stored and self.streamed:
            batch = {name: tf.convert_to_tensor(rows) for name, rows in self.read(indices).items()}
        else:
            batch = {name: tf.gather(field, indices) for name, field in self._on_devices().items()}
        batch |= self._floats(batch["x"], seed)
        for number, (name, rows) in enumerate((streams or {}).items()):
            batch[name] = self.streams[name].batch(rows, random.fold_in(seed, number), stored=stored)
        return batch

    def following(self, indices, seed):
        """The batch of examples that lie one after the other, as a pass takes them.

        Args:
          indices: int `[rows]`, each the last one plus 1; what is filled up with -1 at the end is left out.
          seed: As `batch` takes it.
        """
        count = tf.reduce_sum(tf.cast(indices >= 0, tf.int32))
        if self.streamed:
            return self.batch(indices[:count], seed)
        # A slice copies nothing.
        first = tf.maximum(indices[0], 0)
        batch = {name: field[first : first + count] for name, field in self._on_devices().items()}
        return batch | self._floats(batch["x"], seed)

    def _floats(self, x, seed):
        """Stored x as the model takes it, and its mean where the model reads that."""
        space = self.model.space
        found = {"x": space.from_data(x, self.data, seed)}
        if self.model.reads_means:
            found["x_mean"] = space.from_data(x, self.data, None)
        return found

    def _on_devices(self):
        """The fields to gather from or to slice, by name."""
        # After a gather from a variable itself, TensorFlow copies it whole at each reading.
        return self.fields if self.streamed else {name: each.value() for name, each in self.fields.items()}

    def rows(self, first, end, seed):
        """The batch of the examples from `first` to `end`, with as many of each stream, which wrap around."""
        indices = np.arange(first, end)
        streams = {k: indices % len(v) for k, v in self.streams.items()}
        return self.batch(indices, seed, streams, stored=True)

    def first(self, most, seed):
        """The batch of the first examples, at most `most` of them and of each stream."""
        streams = {k: np.arange(min(len(v), most)) for k, v in self.streams.items()}
        return self.batch(np.arange(min(len(self), most)), seed, streams, stored=True)

    def read(self, indices):
        """Streamed examples by field, as NumPy arrays; any thread may."""
        return {name: field[indices] for name, field in self.stored.items()}

    def fill(self, fields):
        """Puts examples that were read into the window, from its first place on."""
        for name, rows in fields.items():
            self.fields[name][: len(rows)].assign(rows)


def _row_bytes(field):
    return math.prod(field.shape[1:]) * field.dtype.itemsize
