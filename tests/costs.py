"""CPU-seconds of each conformance case and each file, and whether they keep to the budget.

CPU-seconds and not seconds of the clock, so that a busy machine does not fail; in the seconds of a machine of
a known speed, by a short computation that each process repeats, so that a slow one does not; and of one
worker alone on it, whatever several beside each other take for the same work.
"""

import collections
import json
import os
import re
import statistics
import time

# Programs that were started here and still run: their time counts as it passes, not when they end.
RUNNING = set()

# CPU-seconds of `measure_speed` on the machine whose seconds the budget is in (AMD EPYC, quiet).
REFERENCE = 0.0685
# What a conformance case, or the oracles of one model, may cost in those seconds: the aim, and the limit.
AIM, LIMIT = 25.0, 40.0
# Cases that cost more for a reason: of two streams at two resolutions four programs are compiled; five
# networks and two priors are trained in two stages, and both priors' samplers compiled; a VAE and a
# recurrent network are trained in two stages and served by six functions, two of them loops; of a deep
# Boltzmann machine three stages have a program each, and seven functions are served; AlignDRAW is a loop with
# attention to words and to places, around which a text is read in both directions.
DEARER = {
    "PixelCNNPlusPlus": 55.0,
    "VQVAE2": 50.0,
    "WorldModel": 50.0,
    "DeepBoltzmannMachine": 50.0,
    "AlignDRAW": 50.0,
}
# How much more CPU-time the same work takes on workers beside each other, which share caches and memory.
BESIDE = 1.5
# Files whose tests are the oracles of models.
FAMILIES = ("classical", "autoregressive", "variational", "energy", "denoising", "adversarial")
# Oracles of several models in one file are counted by model: "file model".
ORACLES = re.compile(rf"tests/({'|'.join(FAMILIES)})/test_\w+\.py( \S+)?")


def cpu_seconds():
    """CPU-seconds of this process so far, those of its threads and of the programs it started included."""
    times = os.times()
    spent = times.user + times.system + times.children_user + times.children_system
    for pid in RUNNING:
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            # Another system, or it has just ended.
            continue
        # Its own and those of what it started and saw end, in user and system mode.
        spent += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return spent


def measure_speed():
    """CPU-seconds of a fixed computation like that of tracing: many small Python objects."""
    before = time.process_time()
    inputs = [{"name": f"input_{j}", "shape": [j, 3]} for j in range(6)]
    table = {f"operation_{i}": inputs for i in range(60)}
    for _ in range(200):
        read = json.loads(json.dumps(table))
        names = sorted((len(v), k, sum(x["shape"][0] for x in v)) for k, v in read.items())
        re.sub(r"_(\d+)", lambda m: str(int(m[1]) + 1), " ".join(k for _, k, _ in names))
    return time.process_time() - before


class Costs:
    """Sums over the tests of a run.

    Attributes:
      cases: CPU-seconds by conformance case.
      files: CPU-seconds by file, or by file and model where it holds oracles of several; without the
        trainings that prove learning.
      learning: CPU-seconds of those trainings by file.
      speeds: What `measure_speed` found, at different times and in different processes.
      workers: How many processes ran tests beside each other.
    """

    def __init__(self):
        self.workers = 1
        self.cases, self.files, self.learning = (collections.Counter() for _ in range(3))
        self.speeds = []

    def add(self, nodeid, properties):
        """Counts one test.

        Args:
          nodeid: As pytest reports it.
          properties: The report's `user_properties`.
        """
        found = dict(properties)
        file = found.get("part", nodeid.partition("::")[0])
        seconds = sum(value for key, value in properties if key == "cpu_seconds")
        (self.learning if found.get("learning") else self.files)[file] += seconds
        if found.get("case"):
            self.cases[found["case"]] += seconds
        self.speeds += [value for key, value in properties if key == "speed"]

    @property
    def slowness(self):
        """CPU-seconds here for each of the budget's: of another machine, of workers beside each other."""
        slower = max(1.0, statistics.median(self.speeds) / REFERENCE) if self.speeds else 1.0
        return slower * (BESIDE if self.workers > 1 else 1.0)

    def over_budget(self):
        """A line for each case and each model's oracles above the limit."""
        oracles = {file: seconds for file, seconds in self.files.items() if ORACLES.fullmatch(file)}
        lines = []
        for name, seconds in (self.cases + collections.Counter(oracles)).most_common():
            spent, most = seconds / self.slowness, DEARER.get(name, LIMIT)
            if spent > most:
                allowed = f"{most:.0f} at most, {AIM:.0f} is the aim"
                lines.append(f"{name}: {spent:.0f} CPU-seconds of the reference, {allowed}")
        return lines

    def lines(self, count=10):
        """The dearest cases, files and learning trainings, as lines of text."""
        yield f"CPU-seconds here, {self.slowness:.2f} for each of the reference's"
        for what, sums in (("cases", self.cases), ("files", self.files), ("learning", self.learning)):
            if sums:
                shown = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sums.most_common(count))
                yield f"{what}: {sum(sums.values()):.0f} in {len(sums)}; {shown}"
