"""Sequences whose hidden states are known: points that move between regimes."""

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.sequences import sequence_data
from tfgen.data.splits import hold_out

_LENGTH, _TRAIN, _TEST = 100, 1_000, 300
_STARTS = np.array([0.6, 0.3, 0.1])
_TRANSITIONS = np.array([[0.95, 0.04, 0.01], [0.05, 0.9, 0.05], [0.02, 0.08, 0.9]])
# Neighbours overlap, so that a step alone does not tell its state.
_MEANS = np.array([[0.0, 0.0], [1.5, 1.0], [-1.0, 2.0]])
_FACTORS = np.array([[[0.6, 0.0], [0.0, 0.6]], [[0.9, 0.0], [0.5, 0.4]], [[0.4, 0.0], [-0.6, 0.7]]])


def law() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """p(z_1) `[3]`, p(z_t | z_(t-1)) `[3, 3]`, means `[3, 2]` and covariances `[3, 2, 2]` of `regimes`."""
    return _STARTS, _TRANSITIONS, _MEANS, _FACTORS @ _FACTORS.transpose(0, 2, 1)


@registry.embedded("regimes", "sequences of points in the plane from a hidden Markov chain of 3 states")
def regimes(request: registry.Request) -> Data:
    """Sequences of 50 to 100 points, each point a Gaussian draw of its state; `law()` says which.

    `request.window` is another longest length. `extra["states"]` holds the planted states, int32 `[N, T]`.
    1,000 sequences to train on and hold a tenth out of, drawn from the seed, and a fixed 300 to test on.
    """
    steps = request.window or _LENGTH
    every = _draw(np.random.RandomState([request.seed % 2**32, 6]), _TRAIN, steps)
    train, validation = hold_out(every, request.validation, default=_TRAIN // 10)
    test = _draw(np.random.RandomState([0, 7]), _TEST, steps)
    return sequence_data(request.name, (train, validation, test))


def _draw(random: np.random.RandomState, count: int, steps: int) -> Split:
    uniform = random.random_sample((steps, count, 1))
    states = np.empty((count, steps), np.int32)
    chances = np.broadcast_to(_STARTS, (count, len(_STARTS)))
    for step in range(steps):
        states[:, step] = np.minimum((uniform[step] > chances.cumsum(-1)).sum(-1), len(_STARTS) - 1)
        chances = _TRANSITIONS[states[:, step]]
    noise = random.standard_normal((count, steps, 2))
    x = _MEANS[states] + np.einsum("ntde,nte->ntd", _FACTORS[states], noise)
    lengths = random.randint((steps + 1) // 2, steps + 1, count).astype(np.int32)
    x[np.arange(steps) >= lengths[:, None]] = 0.0
    return Split(x.astype(np.float32), extra={"lengths": lengths, "states": states})
