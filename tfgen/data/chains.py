"""Characters from Markov chains, whose entropy is known."""

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import hold_out
from tfgen.data.text import tokens_data

_SYMBOLS = tuple("abcdefgh")
_LENGTH, _TRAIN, _TEST = 50, 4_000, 1_000


def chain(source: int = 0) -> np.ndarray:
    """The transition probabilities of a source, `[8, 8]`: row i holds those after symbol i."""
    # Sharp rows: a few likely successors, so that there is something to learn.
    rows = np.random.RandomState(1905 + source).dirichlet(np.full(len(_SYMBOLS), 0.3), len(_SYMBOLS))
    return 0.98 * rows + 0.02 / len(_SYMBOLS)


def stationary(transitions: np.ndarray) -> np.ndarray:
    """The distribution that the chain keeps, `[K]`."""
    values, vectors = np.linalg.eig(transitions.T)
    vector = np.real(vectors[:, np.argmax(np.real(values))])
    return vector / vector.sum()


def entropy_rate(transitions: np.ndarray) -> float:
    """Nats of a step, given the one before it: -sum_i pi_i sum_j P_ij log P_ij."""
    return float(-np.sum(stationary(transitions)[:, None] * transitions * np.log(transitions)))


def entropy(transitions: np.ndarray, length: int = _LENGTH) -> float:
    """Nats of a string of so many steps that begins in the stationary distribution."""
    pi = stationary(transitions)
    return float(-np.sum(pi * np.log(pi))) + (length - 1) * entropy_rate(transitions)


@registry.embedded("markov", "strings of 50 characters from a Markov chain of known entropy")
def markov(request: registry.Request) -> Data:
    """5,000 strings over 8 symbols from `chain(0)`, 4,000 of them to train on and hold a tenth out of."""
    return _data(request, (chain(0),))


@registry.embedded("two_sources", "strings of 50 characters from two Markov chains, 2 classes")
def two_sources(request: registry.Request) -> Data:
    """As `markov`, each string from `chain(0)` or `chain(1)`, which its label tells."""
    return _data(request, (chain(0), chain(1)))


def _data(request: registry.Request, chains) -> Data:
    length = request.window or _LENGTH
    every = _draw(np.random.RandomState([request.seed % 2**32, 2]), _TRAIN, length, chains)
    train, validation = hold_out(every, request.validation, default=_TRAIN // 10)
    test = _draw(np.random.RandomState([0, 3]), _TEST, length, chains)
    parts = [train, validation, test]
    if len(chains) == 1:
        return tokens_data(request.name, [Split(part.x) for part in parts], _SYMBOLS, "character")
    names = tuple(str(i) for i in range(len(chains)))
    return tokens_data(request.name, parts, _SYMBOLS, "character", num_classes=len(chains), class_names=names)


def _draw(random: np.random.RandomState, count: int, length: int, chains) -> Split:
    label = random.randint(0, len(chains), count)
    first = np.stack([stationary(c) for c in chains]).cumsum(-1)
    then = np.stack(chains).cumsum(-1)
    uniform, x = random.random_sample((length, count, 1)), np.empty((count, length), np.uint8)
    last = len(_SYMBOLS) - 1
    x[:, 0] = np.minimum((uniform[0] > first[label]).sum(-1), last)
    for t in range(1, length):
        x[:, t] = np.minimum((uniform[t] > then[label, x[:, t - 1]]).sum(-1), last)
    return Split(x, label)
