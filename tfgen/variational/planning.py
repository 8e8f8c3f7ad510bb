"""Cross-entropy method: sequences of actions whose imagined reward is high."""

from typing import NamedTuple

import tensorflow as tf

from tfgen import random


class Planner(NamedTuple):
    """Cross-entropy method over sequences of discrete actions, each step's action independent of the others'.

    The actions' probabilities begin even. In each round `candidates` sequences are drawn and valued, and the
    probabilities become the shares of the actions in the `elites` best, mixed with `floor` of even ones. The
    answer is the first action of the best sequence of all rounds.

    Args:
      horizon: Steps of a sequence.
      candidates: Sequences of a round.
      elites: Best sequences that are followed.
      rounds: Number of rounds; 1 is random shooting.
      floor: Share of even probabilities.
      temperature: Of the imagined roll-outs.

    References:
      Rubinstein & Kroese, "The cross-entropy method", 2004. Chua et al., "Deep reinforcement learning in a
      handful of trials", 2018, arXiv:1805.12114.
    """

    horizon: int = 14
    candidates: int = 64
    elites: int = 8
    rounds: int = 3
    floor: float = 0.05
    temperature: float = 0.0

    def best(self, values_of, num_actions, seeds):
        """The best sequence found for each row, int32 `[n, horizon]`, and its value, float32 `[n]`.

        Args:
          values_of: `f(sequences, round) -> values`, of int32 `[n, candidates, horizon]` to float32
            `[n, candidates]`.
          num_actions: Number of actions.
          seeds: int32 `[n, 2]`.
        """
        rows = tf.shape(seeds)[0]
        probs = tf.fill([rows, self.horizon, num_actions], 1.0 / num_actions)
        best = tf.zeros([rows, self.horizon], tf.int32), tf.fill([rows], tf.float32.min)
        for number in range(self.rounds):
            own = random.fold_in(random.fold_in(seeds, number)[:, None], tf.range(self.candidates))
            uniform = random.uniform(own, [self.horizon])
            sequences = random.pick(uniform, probs[:, None])
            values = values_of(sequences, number)
            found, index = tf.math.top_k(values, self.elites)
            chosen = tf.gather(sequences, index, batch_dims=1)
            share = tf.reduce_mean(tf.one_hot(chosen, num_actions), axis=1)
            probs = (1.0 - self.floor) * share + self.floor / num_actions
            better = found[:, 0] > best[1]
            best = (
                tf.where(better[:, None], chosen[:, 0], best[0]),
                tf.where(better, found[:, 0], best[1]),
            )
        return best


PLANNER = Planner()
