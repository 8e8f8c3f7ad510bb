"""Programs of their own process, forked from one that has imported TensorFlow and done nothing else.

Importing it costs more than most of these programs do. Each has its own interpreter state, environment and
folder, can be killed, and ends with its own exit code, as one started by a shell.
"""

import contextlib
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

from tests import costs

ROOT = Path(__file__).parent.parent
# What nearly every program here imports; nothing of this project.
IMPORTED = ("tensorflow", "keras", "tensorflow_probability.python.distributions", "sklearn.datasets")

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(IMPORTED))


class Program:
    """A Python program that runs, like `subprocess.Popen` of `python *words`.

    Args:
      words: "-m", a module and its arguments, or "-c" and code.
      cwd: The folder it runs in, which it imports from first.
      env: Its whole environment; None for this process'. What is imported already does not look at it again.

    Attributes:
      pid: Of its process.
    """

    def __init__(self, words, cwd=ROOT, env=None):
        self._folder = Path(tempfile.mkdtemp(prefix="program"))
        self._out, self._err = self._folder / "out", self._folder / "err"
        for path in (self._out, self._err):
            path.touch()
        env = dict(os.environ if env is None else env)
        given = ([str(word) for word in words], str(cwd), env, str(self._out), str(self._err))
        self._process = _forks.Process(target=_run, args=given)
        self._process.start()
        self.pid = self._process.pid
        _count_what_forks(self.pid)

    @property
    def returncode(self):
        """Its exit code, negative the number of the signal that ended it; None as long as it runs."""
        return self._process.exitcode

    def poll(self):
        """As `returncode`."""
        return self.returncode

    def send_signal(self, number):
        """Sends it a signal."""
        os.kill(self.pid, number)

    def kill(self):
        """Ends it at once."""
        self._process.kill()

    def wait_for(self, words):
        """Waits until it has said these words, on stdout or stderr; returns False if it ended without."""

        def said():
            return any(words in path.read_text() for path in (self._out, self._err))

        while not said() and self._process.is_alive():
            time.sleep(0.01)
        return said()

    def communicate(self, timeout=None):
        """Waits for its end.

        Returns:
          What it said on stdout and on stderr.

        Raises:
          subprocess.TimeoutExpired: If it still runs after so many seconds.
        """
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired(["python"], timeout)
        said = self._out.read_text(), self._err.read_text()
        shutil.rmtree(self._folder, ignore_errors=True)
        return said


def run(words, cwd=ROOT, env=None, timeout=600):
    """Runs a program to its end: a `subprocess.CompletedProcess` of `python *words`."""
    program = Program(words, cwd, env)
    try:
        out, err = program.communicate(timeout)
    except subprocess.TimeoutExpired:
        program.kill()
        raise
    return subprocess.CompletedProcess(["python", *words], program.returncode, out, err)


def _run(words, cwd, env, out, err):
    """The forked process: what the interpreter does with its command line."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout.reconfigure(line_buffering=True)
    sys.path.insert(0, cwd)
    how, what, *arguments = words
    sys.argv = [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]))


def _count_what_forks(pid):
    """Lets the CPU-seconds of the process that forks, and of what it forked and saw end, be counted."""
    with contextlib.suppress(OSError):
        costs.RUNNING.add(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
