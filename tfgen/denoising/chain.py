"""Models that are sampled by a Markov chain: any number of its steps, its frames as a view."""

import abc

import tensorflow as tf

from tfgen import checks, random
from tfgen.model import GenerativeModel, View

# Most steps that a request may ask for.
_MOST_STEPS = 100_000
# Chains that a picture shows and after how many steps; chains of a film and its last step.
_ROWS, _SHOWN, _CHAINS, _LAST = 8, (0, 1, 2, 3, 5, 8, 13, 20, 30, 40), 20, 40


class ChainModel(GenerativeModel):
    """Markov chain s -> s' whose states show an x; a sample is what a chain shows after `num_steps` steps.

    A subclass implements `start`, `advance` and `shown` on states, nests of tensors with a row for each
    chain. Step i draws from `fold_in(seeds, i)`: a chain is the same however many steps of it are asked for.

    Args:
      event_shape: Shape of one x.
      num_steps: Steps of a sample's chain.
      **kwargs: Arguments of `GenerativeModel`.

    Raises:
      ValueError: If an argument does not fit.
    """

    def __init__(self, event_shape, num_steps=100, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.chain_steps = checks.whole("num_steps", num_steps)

    @abc.abstractmethod
    def start(self, seeds, **given):
        """The state in which a sample's chain begins, for each row of seeds `[n, 2]`."""

    @abc.abstractmethod
    def advance(self, state, seeds, **given):
        """The state one step later; `given` is as for `start`."""

    @abc.abstractmethod
    def shown(self, state):
        """x of each row of a state, float32 `[n, *event_shape]`."""

    def run(self, state, seeds, steps, **given):
        """The state some steps later.

        Args:
          state: Where the chains are.
          seeds: int32 `[n, 2]`.
          steps: int32, how many: a scalar, or `[n]` for each chain its own number.
          **given: As `advance` takes it.
        """
        steps = tf.broadcast_to(steps, tf.shape(seeds)[:1])

        def step(i, state):
            after = self.advance(state, random.fold_in(seeds, i), **given)
            return i + 1, tf.nest.map_structure(
                lambda a, b: tf.where(_by_row(i < steps, a), a, b), after, state
            )

        most = tf.reduce_max(tf.concat([steps, [0]], axis=0))
        return tf.while_loop(lambda i, _: i < most, step, (tf.constant(0), state))[1]

    def drawn(self, seeds, num_steps=None, **given):
        """x at the end of chains from their `start`: what `sample_rows` is made of.

        Args:
          seeds: int32 `[n, 2]`.
          num_steps: Steps, an int32 scalar; None for the model's own number.
          **given: As `start` and `advance` take it.
        """
        first, seeds = random.split(seeds)
        steps = self.chain_steps if num_steps is None else num_steps
        return self.shown(self.run(self.start(first, **given), seeds, steps, **given))

    def frames(self, seeds, num, shown=None, **given):
        """What these chains show on their way: float32 `[num + 1, n, *event_shape]`, frame k after k steps.

        Args:
          seeds: int32 `[n, 2]`, as for `drawn`.
          num: Number of steps.
          shown: Function of a state, for something else than x; None for `shown`.
          **given: As `start` and `advance` take it.
        """
        shown = shown or self.shown
        first, seeds = random.split(seeds)

        def step(before, i):
            after = self.advance(before[0], random.fold_in(seeds, i), **given)
            return after, shown(after)

        state = self.start(first, **given)
        start = shown(state)
        return tf.concat([start[None], tf.scan(step, tf.range(num), (state, start))[1]], axis=0)

    def check_steps(self, steps):
        """Numbers of steps of a request, int32 `[n]`, each 0 to 100,000."""
        message = f"{type(self).__name__}: steps must be 0 to {_MOST_STEPS}"
        valid = tf.reduce_all((steps >= 0) & (steps <= _MOST_STEPS))
        return checks.require(valid, steps, message, "go on from where fewer steps have led")

    def chain_views(self, seeds, title, captions=None, **given):
        """Views of chains from their start on: "chains" after some steps, "chain" a film of all steps.

        Args:
          seeds: int32 `[n, 2]`; the first 20 are shown.
          title: What the chains are.
          captions: A string for each of them, or None.
          **given: Tensors, as `start` and `advance` take them.
        """
        given = {name: value[:_CHAINS] for name, value in given.items()}
        film = tf.function(self.frames, autograph=False)(seeds[:_CHAINS], _LAST, **given)
        rows = tf.gather(film[:, :_ROWS], _SHOWN, axis=0)
        rows = tf.transpose(rows, [1, 0, *range(2, film.shape.rank)])
        first = None if captions is None else captions[:_ROWS]
        captions = None if captions is None else captions[:_CHAINS]
        return {
            "chains": View(rows, "rows", first, f"{title}, by step", [str(k) for k in _SHOWN]),
            "chain": View(film, "frames", captions, f"steps 0 to {_LAST}, one a frame"),
        }


def _by_row(flags, tensor):
    """Flags `[n]` as `[n, 1, ...]`, of the rank of a tensor."""
    return tf.reshape(flags, [-1] + [1] * (tensor.shape.rank - 1))
