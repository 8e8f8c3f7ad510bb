"""Builds loader.cc against TensorFlow's wheel, once a machine, and asks it."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tests import costs

SOURCE = Path(__file__).with_name("loader.cc")


def build(cache):
    """Returns the program's path; of processes that ask at the same time one builds."""
    if not shutil.which("g++"):
        pytest.skip("g++ is absent: exports are not run in C++ here (install g++ to run them)")
    libraries = Path(tf.sysconfig.get_lib())
    recipe = [tf.__version__, str(libraries), *tf.sysconfig.get_compile_flags(), SOURCE.read_text()]
    program = cache / f"loader-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            unfinished = program.with_suffix(".unfinished")
            # The libraries register sessions and kernels when loaded, which is no symbol's use.
            command = ["g++", "-w", "-O1", str(SOURCE), "-o", str(unfinished), "-pthread"]
            command += [*tf.sysconfig.get_compile_flags(), "-Wl,--no-as-needed", f"-L{libraries}"]
            command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
            subprocess.run([*command, f"-Wl,-rpath,{libraries}"], check=True)
            os.replace(unfinished, program)
    return program


def cache_directory(fallback):
    """Where the program is kept between runs of the tests."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfgen"
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
    return home if os.access(home, os.W_OK) else fallback


class Loader:
    """The program, kept running from one export to the next: its start costs more than its answers.

    Args:
      program: What `build` returns.
    """

    def __init__(self, program):
        self.program, self.process = program, None

    def _start(self):
        self.said = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True
        )
        costs.RUNNING.add(self.process.pid)

    def stop(self):
        """Ends the program."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            costs.RUNNING.discard(self.process.pid)
            self.process = None

    def ask(self, version_directory, requests, scratch):
        """Runs requests in C++.

        Args:
          version_directory: The export.
          requests: Inputs by name, by signature or "<signature>.<anything>".
          scratch: Empty directory.

        Returns:
          Outputs by name (or, where a request failed, the status as a string) by request, and the names
          of all signatures.
        """
        for request, inputs in requests.items():
            folder = scratch / "requests" / request
            folder.mkdir(parents=True)
            for key, value in inputs.items():
                (folder / f"{key}.pb").write_bytes(tf.make_tensor_proto(value).SerializeToString())
        answers = scratch / "answers"
        if self.process is None:
            self._start()
        print(version_directory, scratch / "requests", answers, sep="\t", file=self.process.stdin, flush=True)
        said = self.process.stdout.readline().strip()
        if not said:
            self.stop()
            self.said.seek(0)
            raise AssertionError(f"the program ended: {self.said.read().decode()[-1500:]}")
        assert said == "answered", said
        signatures = set((answers / "signatures").read_text().split())
        return {request: _read(answers / request) for request in requests}, signatures


def _read(folder):
    if (folder / "error").exists():
        return (folder / "error").read_text()
    proto = tensor_pb2.TensorProto.FromString
    return {path.stem: tf.make_ndarray(proto(path.read_bytes())) for path in folder.iterdir()}
