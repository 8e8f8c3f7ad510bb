"""The one pair of replicas of a test process.

TensorFlow numbers the collectives of every strategy from the same start, so a second strategy over the same
devices would meet the first one's.
"""

import functools

from tfgen.training import make_strategy


@functools.cache
def two_replicas():
    """A MirroredStrategy over two logical CPUs."""
    return make_strategy("mirrored", 2)
