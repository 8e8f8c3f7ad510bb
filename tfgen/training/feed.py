"""What the next steps of a training are fed with: indices of examples, and examples that are streamed."""

import concurrent.futures
import math

import numpy as np
import tensorflow as tf

# How many steps one call of a compiled loop takes at most.
MAX_STEPS = 500


class Feed:
    """Examples of the steps of a stage, in the stage's orders.

    Examples in memory need no more than the indices of the orders. Streamed ones come in blocks of steps, and
    each fills their window on the devices; the next block is read by a thread while one trains. A block ends
    at a multiple of its length, however calls are cut, and reads each of its examples once.

    Args:
      examples: `Examples` by the name under which the orders know them, "" for those of the training part.
      orders: `Order` by name: "batch" and "pass" of the training part, "stream NAME" of a stream.
      share: Slice of a batch that the replicas of this process take; of other rows nothing is read.
      in_blocks: Whether calls end where blocks do; with several workers, whether any of them streams.
    """

    def __init__(self, examples, orders, share, in_blocks):
        self.orders = orders
        self.share = share
        owner = {key: key.removeprefix("stream ") if key.startswith("stream ") else "" for key in orders}
        self.taken = {name: [key for key in orders if owner[key] == name] for name in set(owner.values())}
        self.examples = {name: examples[name] for name in self.taken if examples[name].streamed}
        # Of sets in memory too, so that workers agree where one streams and another does not.
        room = [
            examples[name].window // sum(math.prod(orders[key].shape) for key in keys)
            for name, keys in self.taken.items()
        ]
        self.steps = max(1, min(MAX_STEPS, *room)) if in_blocks else None
        self.block = range(0)
        self.places = {}
        self._reader = concurrent.futures.ThreadPoolExecutor(1) if self.examples else None
        self._next = None, None

    def room(self, step):
        """How many steps from this one on a call may take."""
        return MAX_STEPS if self.steps is None else self.steps - step % self.steps

    def __call__(self, step, count, end):
        """Indices of the next steps, into what then lies on the devices.

        Args:
          step: Number of the first, from the beginning of the stage on.
          count: How many steps, at most `room(step)`.
          end: Number of steps of the stage, beyond which nothing is read.

        Returns:
          int32 `[steps, batches, batch_size]` by order, of which `count` are set; steps are always as many.
        """
        if self.examples and step not in self.block:
            self._fill(step, end)
        found = {}
        for name, order in self.orders.items():
            indices = np.zeros((min(MAX_STEPS, order.steps_per_pass or MAX_STEPS), *order.shape), np.int32)
            if name in self.places:
                first = step - self.block.start
                indices[:count] = self.places[name][first : first + count]
            else:
                indices[:count] = order(step, count)
            found[name] = tf.constant(indices)
        return found

    def close(self):
        """Ends the thread that reads."""
        if self._reader:
            self._reader.shutdown(wait=False, cancel_futures=True)

    def _fill(self, step, end):
        """Brings the block with this step onto the devices, and has the one after it read."""
        block, reading = self._next
        if block is None or block.start != step:
            block = range(step, min(step + self.room(step), end))
            reading = self._reader.submit(self._read, block)
        self.places, windows = reading.result()
        self._next = None, None
        for name, fields in windows.items():
            self.examples[name].fill(fields)
        self.block = block
        following = range(block.stop, min(block.stop + self.steps, end))
        if following:
            self._next = following, self._reader.submit(self._read, following)

    def _read(self, block):
        """Places in the windows of the examples of a block by order, and what the windows shall hold."""
        places, windows = {}, {}
        for name, examples in self.examples.items():
            indices = {key: self.orders[key](block.start, len(block)) for key in self.taken[name]}
            own = np.unique(np.concatenate([each[..., self.share].ravel() for each in indices.values()]))
            own = own[own >= 0]
            windows[name] = examples.read(own)
            for key, each in indices.items():
                # Where a pass has ended there is no example.
                found = np.minimum(np.searchsorted(own, each), max(len(own) - 1, 0))
                places[key] = np.where(each < 0, -1, found).astype(np.int32)
        return places, windows
