"""Timing of variants in alternation, on a machine that others may be using too."""

import contextlib
import dataclasses
import statistics
import subprocess
import sys
import time

import psutil


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured.

    Args:
      seconds: Wall time of each round by variant.
      others: Cores that other processes kept busy meanwhile, of each round by variant.
    """

    seconds: dict
    others: dict

    def median(self, name):
        """Median seconds of a variant."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow, fast):
        """Median over rounds of the time of `slow` over that of `fast` in the same round."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def table(self):
        """Lines: variant, median, range, others' CPU."""
        lines = [f"{'variant':34} {'median s':>10} {'lowest':>10} {'highest':>10} {'others':>7}"]
        for name, seconds in self.seconds.items():
            others = statistics.median(self.others[name])
            numbers = (self.median(name), min(seconds), max(seconds))
            lines.append(f"{name:34} " + " ".join(f"{n:10.4f}" for n in numbers) + f" {others:7.2f}")
        return "\n".join(lines)


def alternate(variants, rounds, warmup=1):
    """Runs all variants in turn, in the reverse order in every other round.

    Args:
      variants: Function without arguments by name; it returns when its work is done.
      rounds: Number of measured rounds.
      warmup: Rounds before them that are thrown away (compilation, caches).

    Returns:
      `Result`.
    """
    seconds, others = {n: [] for n in variants}, {n: [] for n in variants}
    for turn in range(-warmup, rounds):
        for name in list(variants)[:: -1 if turn % 2 else 1]:
            start, mine, busy = time.perf_counter(), _own_cpu(), _machine_cpu()
            variants[name]()
            elapsed = time.perf_counter() - start
            if turn >= 0:
                seconds[name].append(elapsed)
                foreign = (_machine_cpu() - busy) - (_own_cpu() - mine)
                others[name].append(max(0.0, foreign / elapsed))
    return Result(seconds, others)


def report(figure, value, target, at_most=True):
    """Prints one figure with its target and whether it was reached."""
    reached = value <= target if at_most else value >= target
    print(
        f"figure: {figure}: {value:.2f} (target {'<=' if at_most else '>='} {target:g}, "
        f"{'reached' if reached else 'MISSED'})",
        flush=True,
    )


class Worker:
    """One side's variants in a process of its own: frameworks share neither threads nor memory.

    Args:
      module: Module that calls `serve` when it is run with `argument`.
      argument: Which side.
    """

    def __init__(self, module, argument):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.names = self._read().split("\t")

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("worker:"):
                return line.removeprefix("worker:").strip()
        raise RuntimeError(f"{' '.join(self.process.args[1:])} ended with code {self.process.wait()}")

    def _run(self, name):
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        self._read()

    def variants(self):
        """Function that runs a variant in the worker, by the variant's name."""
        return {name: lambda name=name: self._run(name) for name in self.names}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait()


def race(module, sides, rounds, warmup, figures):
    """Measures the variants of several sides, and prints all, and how much faster one is than another.

    Args:
      module: As `Worker` takes it.
      sides: The names of the sides.
      rounds: Number of measured rounds.
      warmup: Rounds before them that are thrown away.
      figures: (variant, faster variant, what is said of both, target) each.
    """
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(module, side)) for side in sides]
        variants = {name: run for worker in workers for name, run in worker.variants().items()}
        result = alternate(variants, rounds, warmup)
    print(result.table())
    for slow, fast, told, target in figures:
        report(f"{slow} / {fast}, {told}", result.ratio(slow, fast), target, at_most=False)


def serve(variants):
    """The worker's side: runs the variants that the driver names, until the driver leaves."""
    print("worker:" + "\t".join(variants), flush=True)
    for line in sys.stdin:
        variants[line.strip()]()
        print("worker:done", flush=True)


def training(model, data, batch_size, optimizer, steps):
    """Function that takes so many steps of tfgen's training loop at its defaults."""
    from tfgen.training.batches import Examples
    from tfgen.training.loop import Run, most_batches

    rows = batch_size * most_batches(model.stages())
    splits = Examples(data.train, data, model, rows=rows), Examples(data.validation, data, model)
    run = Run(model, splits, 10**9, batch_size, optimizer, 0, None, "auto", None)
    position = [0]

    def advance():
        until = position[0] + steps
        while position[0] < until:
            position[0], _ = run.stages[0].advance(position[0], until)

    return advance


def run(sides, main):
    """Serves the side that the command line names, or else measures."""
    if len(sys.argv) > 1:
        serve(sides[sys.argv[1]]())
    else:
        main()


def _own_cpu():
    """CPU seconds of this process and of its workers."""
    mine = psutil.Process()
    times = [p.cpu_times() for p in (mine, *mine.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def _machine_cpu():
    """CPU seconds of everybody."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
