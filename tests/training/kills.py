"""Kills trainings at random moments, resumes them, and compares with trainings that were left alone.

python -m tests.training.kills --kills=10
"""

import argparse
import hashlib
import pathlib
import random
import signal
import sys
import tempfile
import time

from tests.programs import Program

# Three models: one network under XLA, persistent chains, two players with batch norm.
RUNS = {
    "vae": ["--steps=4000", "--checkpoint_every=200", "--hidden=64"],
    "rbm": ["--steps=4000", "--checkpoint_every=200", "--num_hidden=32", "--estimator=pcd"],
    "dcgan": ["--steps=120", "--checkpoint_every=10", "--base_filters=8", "--batch_size=32"],
}


def start(app, directory, *more):
    """A training of one of `RUNS` as a process."""
    return Program(["-m", f"apps.{app}", f"--run_dir={directory}", *RUNS[app], *more])


def finish(process):
    """Waits for a training; its output."""
    out, err = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"training failed: {(out + err)[-2000:]}")
    return out


def trained(process):
    """Waits until a training has written its last checkpoint and does without the figures and the export."""
    if not process.wait_for("checkpoint, step"):
        return finish(process)
    process.kill()
    return process.communicate()[0]


def digest(directory):
    """What must be equal: the last checkpoint's files and the history."""
    files = sorted((directory / "checkpoints").glob("ckpt-*")) + [directory / "metrics.csv"]
    newest = max(int(f.name.split("-")[1].split(".")[0]) for f in files[:-1])
    chosen = [f for f in files[:-1] if f.name.startswith(f"ckpt-{newest}.")] + files[-1:]
    return hashlib.sha256(b"".join(f.read_bytes() for f in chosen)).hexdigest()


def newest(directory):
    """Modification time of the newest checkpoint, 0 without any."""
    return max((f.stat().st_mtime_ns for f in (directory / "checkpoints").glob("ckpt-*.index")), default=0)


def killed(app, directory, kills, rng, end=finish):
    """Trains, killing the process `kills` times at a random moment after it wrote a checkpoint.

    Args:
      app: Of `RUNS`.
      directory: Of the run.
      kills: How many.
      rng: A `random.Random`.
      end: What the last process is waited for with, `finish` or `trained`.

    Returns:
      What each process said of where it resumed.
    """
    said, process = [], start(app, directory)
    for _ in range(kills):
        before, deadline = newest(directory), time.time() + 300
        while newest(directory) == before and process.poll() is None and time.time() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        said.append(process.communicate()[0])
        process = start(app, directory, "--resume")
    said.append(end(process))
    return [line for out in said for line in out.splitlines() if "resumed" in line or "torn" in line]


def main():
    """Spreads the kills over the three models and says what came of each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as place:
        for i, app in enumerate(RUNS):
            kills = chosen.kills // len(RUNS) + (i < chosen.kills % len(RUNS))
            straight, cut = pathlib.Path(place, app, "straight"), pathlib.Path(place, app, "cut")
            finish(start(app, straight))
            said = killed(app, cut, kills, rng)
            same = digest(straight) == digest(cut)
            print(f"{app}: {kills} kills, {said}, final weights and history {'equal' if same else 'DIFFER'}")
            if not same:
                sys.exit(1)


if __name__ == "__main__":
    main()
