"""Sweeps: trainings of one app over a grid of settings and several seeds, and what they add up to."""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from absl import flags as absl_flags

from tfgen import progress
from tfgen.cli.app import App, start_tensorflow
from tfgen.cli.flagset import text_of
from tfgen.cli.hints import UsageError
from tfgen.cli.main import load
from tfgen.cli.program import program
from tfgen.cli.run_directory import RunDirectory
from tfgen.cli.sweep_report import SweepReport, label

# What a sweep decides for its runs.
_OURS = ("seed", "run_dir", "resume", "overwrite", "dry_run", "list_datasets")
_LONGEST_NAME = 120


class Training(NamedTuple):
    """One run of a sweep.

    Args:
      name: Of its directory.
      settings: {flag: value as text} of the grid.
      seed: Its seed.
      flags: Command line of the app, but for where the run lies.
    """

    name: str
    settings: dict
    seed: int
    flags: tuple


def sweep(
    app: str,
    flags: tuple[str, ...] = (),
    grid: list[str] = (),
    seeds=3,
    first_seed=0,
    output: str | None = None,
    select="val_loss",
    highest=False,
    resume=False,
    overwrite=False,
):
    """Trains an app with all settings of a grid and several seeds, one run after the other.

    Each run is a process of its own, in a directory named by its settings. All settings are checked before
    the first training. A run that fails does not end the others.

    Args:
      app: Name an app, as in sweep vae --grid learning_rate=1e-3,3e-4.
      flags: Flags of the app, for all runs.
      grid: NAME=VALUE,VALUE,...: a flag of the app and its values; given several times, all combinations. A
        value with commas stands in brackets, as in hidden=[128,128],[256].
      seeds: How many seeds each setting is trained with.
      first_seed: The first of the seeds; the others follow it.
      output: The sweep's directory; by default sweeps/APP.
      select: Column of metrics.csv by which the best setting is named, of the validation split.
      highest: Whether the highest value of that column is the best, not the lowest.
      resume: Go on with a sweep that was stopped, with the same command.
      overwrite: Replace the sweep in output.

    Raises:
      ValueError: If a setting cannot be trained, or in the end if a run failed.
    """
    made = load(app)
    if not isinstance(made, App):
        raise UsageError(f"{app} trains no model: name one that does.")
    if seeds < 1:
        raise UsageError(f"--seeds={seeds}: takes an integer of at least 1.")
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other: leave one out.")
    if not select.startswith("val_"):
        raise UsageError(f"--select={select}: takes a figure of the validation split, such as val_loss.")
    output = pathlib.Path(output or f"sweeps/{app}")
    given = _given(made, flags)
    names, trainings = _plan(made, flags, _read_grid(grid), range(first_seed, first_seed + seeds))
    held = SweepReport(output).state()
    if held and not (resume or overwrite):
        raise UsageError(
            f"output={output} already holds a sweep; go on with --resume, replace it with --overwrite, or "
            "name another --output."
        )
    taken = [t.name for t in trainings if RunDirectory(output / t.name).holds_run]
    if taken and not (held or overwrite):
        raise UsageError(f"output={output} holds a run {taken[0]}, but no sweep; name another --output.")
    if resume and not held:
        print(f"output={output} holds no sweep: starting")
    if resume and held:
        _check_same(output, held, app, given, names)
    print(_told(app, trainings, seeds, output))
    _check(app, trainings, output, f"--resume={resume}", f"--overwrite={overwrite}")
    with _alone(output) as lock:
        for name in {*held.get("runs", {}), *taken} if overwrite else ():
            RunDirectory(output / name).clear()
        state = {"app": app, "flags": given, "grid": names, "command": _command(), "runs": {}}
        state["runs"] = {t.name: {"status": "waiting"} for t in trainings}
        for name, run in held.get("runs", {}).items() if resume else ():
            state["runs"][name] = run
        report = SweepReport(output, trainings, select, highest)
        _train(app, trainings, state, report, lock)
    report.write(state, pictures=True)
    print(report.text())
    failed = [t.name for t in trainings if state["runs"][t.name]["status"] == "failed"]
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(trainings)} runs failed: {failed[0]} with "
            f"{state['runs'][failed[0]]['error']!r}; {output / 'table.md'} names all."
        )


def _given(app, words):
    """The app's flags for all runs, {name: value as JSON has it}; refused where a sweep decides them."""
    command, values = app.parse(list(words))
    if command != "train":
        raise UsageError(f"a sweep trains, it does not {command}: leave {command!r} out.")
    for name in _OURS:
        if values[name].present:
            said = "--seeds and --first_seed set the seeds" if name == "seed" else "a sweep sets it"
            raise UsageError(f"--{name}: {said}; leave it out.")
    return json.loads(json.dumps({n: values[n].value for n in values if values[n].present}))


def _read_grid(grid):
    """{flag: [text of each value]} of "NAME=VALUE,VALUE"; commas within brackets set nothing apart."""
    found = {}
    for words in grid:
        name, equals, texts = words.lstrip("-").partition("=")
        values = [v for v in re.findall(r"\[[^\]]*\]|\([^)]*\)|[^,\[(]+", texts)] if equals else []
        if not re.fullmatch(r"\w+", name) or not values or not texts.strip():
            raise UsageError(f"--grid={words}: takes NAME=VALUE,VALUE,..., a flag of the app and its values.")
        if name in _OURS:
            raise UsageError(f"--grid={words}: a sweep sets --{name}; --seeds=N trains with N seeds.")
        if name in found:
            raise UsageError(f"--grid={words}: {name} is there twice; give all its values at once.")
        found[name] = [v.strip().strip("[]()") for v in values]
    return found


def _plan(app, flags, grid, seeds):
    """The names of the grid's flags, and the trainings: settings in the grid's order, seeds within each."""
    every, trainings = [], []
    for texts in itertools.product(*grid.values()):
        words = [f"--{name}={text}" for name, text in zip(grid, texts, strict=True)]
        try:
            _, values = app.parse([*flags, *words])
        except (ValueError, absl_flags.Error) as error:
            raise UsageError(f"--grid {' '.join(w[2:] for w in words)}: {error}") from error
        settings = {name: text_of(values[name].value) for name in grid}
        if settings in every:
            raise UsageError(f"--grid: {label(settings)} is there twice; leave one out.")
        every.append(settings)
        for seed in seeds:
            name = ",".join(f"{k}={v}" for k, v in {**settings, "seed": seed}.items())
            trainings.append(Training(_file_name(name), settings, seed, (*flags, *words, f"--seed={seed}")))
    return list(grid), trainings


def _file_name(text):
    """A name for a directory; where it must differ from the text, a digest keeps it apart from others."""
    name = re.sub(r"[^\w.,=+-]+", "_", text)
    if name == text and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _check_same(output, held, app, given, names):
    """Refuses to go on with a sweep of another app, other flags or another grid's flags."""
    if held["app"] != app:
        raise UsageError(f"output={output} holds a sweep of {held['app']}, not of {app}.")
    if held["grid"] != names:
        before = ", ".join(held["grid"]) or "no flag"
        raise UsageError(
            f"output={output} holds a sweep over {before}, not over {', '.join(names) or 'no flag'}."
        )
    for name in dict.fromkeys([*held["flags"], *given]):
        before, now = (text_of(f[name]) if name in f else "none" for f in (held["flags"], given))
        if before != now:
            raise UsageError(
                f"output={output} was made with --{name}={before}, got {now}; give the same flags or name "
                "another --output."
            )


def _check(app, trainings, output, *how):
    """Checks each setting as its training would, in one process of its own: flags, data, model, batches."""
    first = {}
    for training in trainings:
        first.setdefault(json.dumps(training.settings), training)
    lines = [[*t.flags, f"--run_dir={output / t.name}", *how, "--dry_run"] for t in first.values()]
    with _one_process() as process:
        refused = process.submit(refusals, app, lines).result()
    told = [(t, reason) for t, reason in zip(first.values(), refused, strict=True) if reason is not None]
    if told:
        (training, reason), more = told[0], len(told) - 1
        raise UsageError(
            f"{label(training.settings)}: {reason}"
            + (f" ({more} more of {len(first)} settings are refused, too)" if more else "")
        )


def _one_process():
    spawn = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn)


def refusals(app, lines):
    """Why command lines of an app cannot be trained: one line of text for each, None where they can."""
    start_tensorflow()
    found = []
    for line in lines:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                load(app).main(line)
            found.append(None)
        except (ValueError, OSError, absl_flags.Error) as error:
            found.append(str(error).strip().splitlines()[0])
    return found


@contextlib.contextmanager
def _alone(output):
    """The descriptor of a lock that this sweep holds, and a run of it that outlives it."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        file = (output / ".lock").open("w")
    except OSError as error:
        raise ValueError(f"output={output} cannot be written: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"output={output}: a sweep, or a run that it left behind, is at work there; wait for it or "
                "end it."
            ) from None
        yield file.fileno()


def _train(app, trainings, state, report, lock):
    """Trains what is not finished, one process after the other, and keeps the state."""
    (report.output / "logs").mkdir(exist_ok=True)
    taken = []
    for number, training in enumerate(trainings, 1):
        run, kept = RunDirectory(report.output / training.name), state["runs"][training.name]
        place = f"[{number}/{len(trainings)}] {training.name}"
        if run.holds_run and run.config().get("finished") is not None:
            kept["status"] = "finished"
            print(f"{place}: finished before")
            continue
        # The seconds of a sweep that was killed before it could write them are not known.
        kept["uncounted"] = kept.get("uncounted", False) or kept["status"] == "running"
        kept |= {"status": "running", "seed": training.seed, "settings": training.settings}
        report.write(state)
        log = report.output / "logs" / f"{training.name}.txt"
        print(f"{place}: {'going on' if run.holds_run else 'training'}, {log}", flush=True)
        began = time.perf_counter()
        line = [*training.flags, f"--run_dir={run.path}", *(["--resume"] if run.holds_run else [])]
        code, said, stopped = _run_app(app, line, log, lock)
        kept["seconds"] = round(kept.get("seconds", 0.0) + time.perf_counter() - began, 1)
        if code == 0:
            kept |= {"status": "finished", "error": None}
        elif stopped:
            kept["status"] = "stopped"
        else:
            kept |= {"status": "failed", "error": _reason(code, said)}
        report.write(state, pictures=stopped)
        if stopped:
            print(f"stopped; go on with: {_command(resume=True)}")
            sys.exit(130)
        taken.append(time.perf_counter() - began)
        left = sum(taken) / len(taken) * (len(trainings) - number)
        told = f"; about {progress.duration(left)} left" if left else ""
        print(f"{' ' * place.index(' ')} {report.line(training, kept)}{told}", flush=True)


def _run_app(app, line, log, lock):
    """Runs a command line of an app in a process of its own, which a signal to this one stops as Ctrl-C does.

    Returns:
      (its exit code, what it said, whether it was asked to stop).
    """
    stopped, started = [], []

    def stop(number, frame):
        stopped.append(number)
        for process in started:
            process.send_signal(signal.SIGINT)

    with log.open("ab+") as file:
        start = file.seek(0, os.SEEK_END)
        # Before the run begins: it must not outlive a sweep that a signal ends in between.
        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "tfgen", app, *line], stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, pass_fds=(lock,),
                start_new_session=True,
            )  # fmt: skip
            started.append(process)
            if stopped:
                process.send_signal(signal.SIGINT)
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        file.seek(start)
        return code, file.read().decode("utf-8", "replace"), bool(stopped)


def _reason(code, said):
    """Why a run failed, in one line."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = [line for line in said.splitlines() if line.strip()] or [f"exit code {code}"]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines)[-1].strip()


def _told(app, trainings, seeds, output):
    counts = ((len(trainings) // seeds, "setting"), (seeds, "seed"), (len(trainings), "run"))
    settings, each, runs = (f"{count} {what}{'s' * (count > 1)}" for count, what in counts)
    return f"{app}: {settings} x {each} = {runs} in {output}"


def _command(resume=False):
    """This command line, as a user repeats it."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return shlex.join([*program("sweep").split(), *words, *(["--resume"] if resume else [])])
