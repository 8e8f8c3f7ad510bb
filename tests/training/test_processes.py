"""Trainings as processes: killed and resumed, and two workers against two replicas."""

import json
import os
import random
import signal
import socket
import subprocess

import numpy as np
import pytest

from tests.classical.worker import trained
from tests.programs import Program
from tests.training import kills

FLAGS = ["--steps=20", "--checkpoint_every=10", "--hidden=8", "--batch_size=16", "--jit=off"]


@pytest.mark.slow
@pytest.mark.parametrize("app", ["rbm", "dcgan"])
def test_killed_and_resumed_ends_with_the_same_bits(app, tmp_path):
    kills.trained(kills.start(app, tmp_path / "straight"))
    said = kills.killed(app, tmp_path / "cut", 1, random.Random(0), end=kills.trained)
    assert any(line.startswith("resumed at step") for line in said)
    assert kills.digest(tmp_path / "straight") == kills.digest(tmp_path / "cut")


def free_ports(num):
    sockets = [socket.socket() for _ in range(num)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start(words_of):
    """Two workers: programs by the words that `words_of(index)` names."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    started = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        started.append(Program(words_of(index), env=os.environ | {"TF_CONFIG": json.dumps(task)}))
    return started


def start_workers(directory, steps, patience):
    """Two processes that train one run; the second sleeps after each call."""
    words = ["-m", "tests.training.worker", str(directory), str(steps), str(patience)]
    return start(lambda index: [*words, str(index)])


def results(workers):
    """What all say at their end; a worker that waits for the other for ever fails the test."""
    ends = []
    for worker in workers:
        try:
            ends.append(worker.communicate(timeout=240))
        except subprocess.TimeoutExpired:
            for each in workers:
                each.kill()
            raise
    codes = [worker.returncode for worker in workers]
    # One that was lost is the reason of what another says; pytest shows what is printed in whole.
    for _, problems in ends:
        print(problems[-4000:])
    assert codes == [0] * len(workers)
    said = [json.loads(out.splitlines()[-1]) for out, _ in ends]
    return said


@pytest.mark.slow
def test_workers_of_different_speed_decide_alike_also_when_one_is_told_to_stop(tmp_path):
    """3,000 steps: stage one is best at 600 of its 1,000 steps, and patience 2 ends it at 800.

    Stage two is best at its first evaluation, at 900, and ends at 1,100.
    """
    workers = start_workers(tmp_path, 3000, 2)
    assert workers[1].wait_for("under way")
    workers[1].send_signal(signal.SIGTERM)
    stopped = results(workers)
    assert stopped[0] == stopped[1] and 100 < stopped[0]["interrupted"] < 1100
    chief, other = results(start_workers(tmp_path, 3000, 2))
    assert chief == other
    assert chief["stage"] == [1, 800, 2800] and chief["step"] == 1100
    with open(tmp_path / "metrics.csv") as file:
        assert [line.split(",")[0] for line in file][1:] == [str(step) for step in range(100, 1101, 100)]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1], ids=["chief", "other"])
def test_a_worker_that_is_killed_ends_the_other_with_one_line(lost, tmp_path):
    """Within 30 s, stated in docs/scaling.md; its checkpoints are there to go on from."""
    workers = start_workers(tmp_path, 1_000_000, 1_000_000)
    assert workers[0].wait_for("under way")
    workers[lost].kill()
    out, problems = workers[1 - lost].communicate(timeout=30)
    workers[lost].communicate()
    assert workers[1 - lost].returncode == 2, problems[-2000:]
    (said,) = [json.loads(line)["error"] for line in out.splitlines() if line.startswith("{")]
    assert said.startswith("another worker was lost: start all workers again with --resume")
    assert list((tmp_path / "checkpoints").glob("ckpt-*.index"))


@pytest.mark.slow
def test_a_worker_leaves_when_no_other_needs_it_and_may_be_lost_from_then_on():
    chief, other = results(start(lambda index: ["-m", "tests.training.parting"]))
    # The clock is the machine's; the chief came two seconds later.
    assert other["came"] < chief["came"] < other["went"]


def vae(directory, *flags):
    return ["-m", "apps.vae", f"--run_dir={directory}", *FLAGS, *flags]


@pytest.mark.slow
def test_two_workers_equal_two_replicas_and_only_the_chief_writes(tmp_path):
    kills.finish(Program(vae(tmp_path / "mirrored", "--strategy=mirrored", "--replicas=2")))
    # Each worker is told a directory of its own: the second must leave it empty.
    for worker in start(lambda index: vae(tmp_path / f"worker{index}", "--strategy=multi_worker")):
        kills.finish(worker)
    mirrored, chief = (tmp_path / d / "metrics.csv" for d in ("mirrored", "worker0"))
    assert mirrored.read_text() == chief.read_text()
    assert (tmp_path / "worker0/export/1/saved_model.pb").exists()
    assert not (tmp_path / "worker1").exists()


@pytest.mark.slow
def test_two_workers_fit_every_classical_model_as_one_process_does():
    """Statistics are sums, most of them in float64: the weights are the same to the rounding of float32."""
    workers = start(lambda index: ["-m", "tests.classical.worker"])
    expected = trained()
    for found in results(workers):
        assert found.keys() == expected.keys()
        for model, weights in expected.items():
            for name, values in weights.items():
                np.testing.assert_allclose(
                    found[model][name], values, rtol=1e-5, atol=1e-6, err_msg=f"{model}: {name}"
                )
