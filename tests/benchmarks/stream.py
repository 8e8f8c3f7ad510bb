"""A folder of images read as it is needed, beside the same folder in memory: steps a second, and memory.

python -m tests.benchmarks.stream         200,000 images of 32x32, made in a temporary folder (0.9 GB)
STREAM_IMAGES=4000 python -m tests.benchmarks.stream

What was decoded once is kept on disk: first passes, which decode, are measured apart from later ones, before
which all was read once. Each side is a process of its own. Its peak of memory is counted from its start, with
TensorFlow and the opening of the folder; a further one streams a tenth of the images and shows what does not
grow.
"""

import concurrent.futures
import os
import pathlib
import tempfile
import time

import numpy as np
from PIL import Image

from tests.benchmarks.measure import Worker, alternate, report, run, training

NUM = int(os.environ.get("STREAM_IMAGES", "200000"))
FOLDER = "STREAM_FOLDER"
BATCH = 128
# Few images are for seeing that it works.
ROUNDS = 7 if NUM > 10_000 else 1


def make(folder, num):
    """Images of a few soft spots of colour, with noise: about 2 KB each as PNG."""
    folder.mkdir()

    def one(number):
        rng = np.random.default_rng(number)
        spots = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        image = np.asarray(spots.resize((32, 32), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(image + rng.integers(-6, 7, image.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{number:06}.png", compress_level=1)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in pool.map(one, range(num), chunksize=1000):
            pass


def side(name, folder, stream, before=True):
    """Variants of one side: so many steps of a model on the folder, all of which was read before or not."""
    from tfgen.adversarial import DCGAN
    from tfgen.data import load
    from tfgen.training import batches
    from tfgen.variational import VAE

    # Few images would be held whole.
    batches._WINDOW = min(batches._WINDOW, 300 * NUM)
    data = load(f"folder:{pathlib.Path(os.environ[FOLDER]) / folder}", stream=stream)
    if before:
        data.fingerprint()
    shape = data.event_shape
    models = {
        "DCGAN": (DCGAN(shape, base_filters=32), 10),
        "VAE": (VAE(shape, num_values=256, likelihood="discretized_logistic"), 60),
    }
    return {
        f"{name}: {model}, {steps} steps": training(built, data, BATCH, "adam", steps)
        for model, (built, steps) in models.items()
    }


SIDES = {
    "memory": lambda: side("memory", "all", False),
    "streamed": lambda: side("streamed", "all", True),
    "first": lambda: side("first pass streamed", "all", True, before=False),
    "tenth": lambda: side("a tenth streamed", "tenth", True),
}


def peak(worker):
    """MB that a process took at most."""
    status = pathlib.Path(f"/proc/{worker.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def main():
    """Times both in alternation, and asks for the peaks afterwards."""
    with tempfile.TemporaryDirectory() as place:
        os.environ[FOLDER] = place
        for folder, num in (("all", NUM), ("tenth", max(NUM // 10, 300))):
            began = time.perf_counter()
            make(pathlib.Path(place, folder), num)
            print(f"{num} images made in {time.perf_counter() - began:.0f} s", flush=True)
        workers, opened = {}, {}
        for name in SIDES:
            began = time.perf_counter()
            workers[name] = Worker("tests.benchmarks.stream", name)
            opened[name] = time.perf_counter() - began
        compared = {
            n: f for name in ("memory", "streamed", "first") for n, f in workers[name].variants().items()
        }
        result = alternate(compared, ROUNDS, warmup=min(ROUNDS, 2))
        for function in workers["tenth"].variants().values():
            function()
        print(result.table())
        peaks = {name: peak(worker) for name, worker in workers.items()}
        for name, worker in workers.items():
            print(f"{name}: ready after {opened[name]:.0f} s, at most {peaks[name]:.0f} MB")
            worker.__exit__()
    names = (workers[name].names for name in ("memory", "streamed", "first"))
    for held, streamed, first in zip(*names, strict=True):
        report(f"{streamed}, time over that in memory", result.ratio(streamed, held), 1.25)
        print(f"{first}, time over that in memory: {result.ratio(first, held):.2f}")
    report("peak of memory, streamed over a tenth streamed", peaks["streamed"] / peaks["tenth"], 1.25)
    report("peak of memory, streamed over in memory", peaks["streamed"] / peaks["memory"], 0.75)


if __name__ == "__main__":
    run(SIDES, main)
