"""Samples of other numbers and lengths: the first call compiles, later sizes hardly more than their repeat.

python -m tests.benchmarks.sampling
"""

import statistics
import time

from tests.benchmarks.measure import report
from tfgen.autoregressive import CharRNN
from tfgen.energy import RBM

REPEATS = 5


def seconds(function):
    """Wall time of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def dearest(draw, sizes):
    """Largest ratio of the first call of a size to the median of its repeats, the first size left out.

    Args:
      draw: `f(size)`, which returns when the samples are there.
      sizes: Sizes in the order of the calls.
    """
    ratios = []
    for size in sizes:
        first = seconds(lambda size=size: draw(size))
        again = statistics.median(seconds(lambda size=size: draw(size)) for _ in range(REPEATS))
        print(f"size {size}: first {first:.3f} s, again {again:.3f} s")
        ratios.append(first / again)
    return max(ratios[1:])


def main():
    """Numbers of an RBM's samples, lengths and prompts of a language model's."""
    machine = RBM((8, 8, 1), num_hidden=64)
    figure = dearest(lambda num: machine.sample(num, seed=1).numpy(), (1, 2, 3, 4))
    report("RBM: a first sample of 2, 3, 4 after one of 1, over its repeat", figure, 3)
    model = CharRNN(num_values=30, units=64, length=100)
    figure = dearest(lambda length: model.sample(1, seed=1, length=length).numpy(), (100, 99, 80, 60))
    report("CharRNN: first samples of other lengths, over their repeats", figure, 3)
    figure = dearest(lambda steps: model.sample(1, seed=1, prompt=[1.0] * steps).numpy(), (5, 6, 17, 40))
    report("CharRNN: first samples with other prompts, over their repeats", figure, 3)


if __name__ == "__main__":
    main()
