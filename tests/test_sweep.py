"""Sweeps: what is refused before the first training, how runs are called, gone on with and summed up."""

import csv
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.run_files import data, figure, write_run
from tfgen.cli import TaskApp, sweep
from tfgen.cli.constructor import read_function
from tfgen.cli.main import load
from tfgen.cli.records import read_record
from tfgen.cli.sweep_report import SweepReport
from tfgen.media import spreads

ROOT = pathlib.Path(__file__).parents[1]
TINY = ["--hidden=8", "--batch_size=16", "--jit=off", "--importance_samples=2", "--num=4"]


def app():
    return TaskApp("tfgen.cli.sweep.sweep", words="app", flags_of_app="flags")


def fails(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        app().run([str(word) for word in words])
    err = capsys.readouterr().err
    assert caught.value.code == 2 and err.startswith("error: ") and err.count("\n") == 1, err
    return err


def plan(*grid, flags=(), seeds=(0, 1)):
    return sweep._plan(load("vae"), flags, sweep._read_grid(grid), seeds)[1]


def test_a_grid_makes_all_combinations_with_every_seed():
    found = plan("learning_rate=1e-3,3e-4", "latent_size=8,16", flags=("--steps=20",))
    assert [t.name for t in found] == [
        f"learning_rate={rate},latent_size={size},seed={seed}"
        for rate in ("0.001", "0.0003")
        for size in (8, 16)
        for seed in (0, 1)
    ]
    assert found[3].flags == ("--steps=20", "--learning_rate=1e-3", "--latent_size=16", "--seed=1")
    assert found[3].settings == {"learning_rate": "0.001", "latent_size": "16"}
    assert [t.name for t in plan()] == ["seed=0", "seed=1"]


def test_values_with_commas_stand_in_brackets():
    found = plan("hidden=[128,64],[256],()", seeds=(0,))
    assert [t.settings["hidden"] for t in found] == ["128,64", "256", ""]
    values = [load("vae").parse(t.flags)[1]["hidden"].value for t in found]
    assert values == [(128, 64), (256,), ()]
    assert [t.settings["hidden"] for t in plan("hidden=128,256", seeds=(0,))] == ["128", "256"]


def test_directories_of_values_that_are_no_names_are_told_apart():
    paths = ["folder:a/b", "folder:a_b", "folder:" + "c" * 300]
    names = [t.name for t in plan(f"dataset={','.join(paths)}", seeds=(0,))]
    assert len(set(names)) == 3 and all(re.fullmatch(r"[\w.,=+-]+", n) and len(n) < 140 for n in names)
    assert names == [t.name for t in plan(f"dataset={','.join(paths)}", seeds=(0,))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "APP comes first: Name an app, as in sweep vae"),
        (["--steps=3"], "APP comes first"),
        (["vea"], "no model 'vea', did you mean vae?"),
        (["compare"], "compare trains no model"),
        (["vae", "sample"], "a sweep trains, it does not sample"),
        (["vae", "--seed=3"], "--seed: --seeds and --first_seed set the seeds"),
        (["vae", "--run_dir=x"], "--run_dir: a sweep sets it"),
        (["vae", "--grid", "seed=1,2"], "a sweep sets --seed; --seeds=N trains with N seeds"),
        (["vae", "--latent_sise=3"], "Did you mean: latent_size"),
        (["vae", "--grid", "latent_sise=3"], "Did you mean: latent_size"),
        (
            ["vae", "--grid", "latent_size=3,x"],
            "--grid latent_size=x: flag --latent_size=x: takes",
        ),
        (["vae", "--grid", "latent_size"], "takes NAME=VALUE,VALUE"),
        (["vae", "--grid", "latent_size="], "takes NAME=VALUE,VALUE"),
        (["vae", "--grid", "learning_rate=1e-3,0.001"], "learning_rate=0.001 is there twice"),
        (["vae", "--grid=ema=0.9", "--grid=ema=0.8"], "ema is there twice; give all its values at once"),
        (["vae", "--grid=preset=mnits"], "preset"),
        (["vae", "--seeds=0"], "--seeds=0: takes an integer of at least 1"),
        (["vae", "--resume", "--overwrite"], "exclude each other"),
        (["vae", "--select=loss"], "takes a figure of the validation split"),
    ],
)
def test_mistakes_are_said_before_anything_is_started(capsys, monkeypatch, tmp_path, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "_check", lambda *given: pytest.fail("should not come so far"))
    assert said in fails(capsys, *words)
    assert not list(tmp_path.iterdir())


def test_each_setting_is_checked_as_its_training_would_be(tmp_path):
    lines = [
        ["--steps=20", *TINY],
        ["--batch_size=5000"],
        ["--likelihood=gaussian", "--binarize=threshold", "--latent_size=0"],
        ["--dataset=nowhere"],
        ["--network=conv", "--filters="],
    ]
    where = [[*line, f"--run_dir={tmp_path / 'run'}", "--dry_run"] for line in lines]
    found = sweep.refusals("vae", where)
    assert found[0] is None and "batch_size=5000 is larger than the" in found[1]
    assert "latent_size" in found[2] and "nowhere" in found[3] and found[4]
    assert not (tmp_path / "run").exists()


def test_refused_settings_are_named_and_counted(capsys, monkeypatch, tmp_path):
    class Process:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, function, name, lines):
            self.asked = lines
            return self

        def result(self):
            return ["too large" if "--latent_size=3" not in line else None for line in self.asked]

    monkeypatch.setattr(sweep, "_one_process", Process)
    words = ["vae", "--grid=latent_size=2,3,4", "--seeds=2", f"--output={tmp_path / 'out'}"]
    assert "latent_size=2: too large (1 more of 3 settings are refused, too)" in fails(capsys, *words)
    assert not (tmp_path / "out").exists()


def swept(tmp_path, monkeypatch, codes, *words, argv=()):
    """A sweep whose runs end with these codes, without being trained; what each was started with."""
    started = []

    def run(name, line, log, lock):
        where = pathlib.Path(next(w for w in line if w.startswith("--run_dir=")).partition("=")[2])
        started.append((where.name, "--resume" in line))
        code = codes[where.name]
        if code == 0 and not (where / "config.json").exists():
            seed = int(where.name.rpartition("=")[2])
            write_run(where, {"nats": figure(10.0 + seed)}, [3.0, 2.0 + seed], seed)
        return code, "step 3\nerror: the loss is NaN\n", code == 130

    monkeypatch.setattr(sweep, "_check", lambda *given: None)
    monkeypatch.setattr(sweep, "_run_app", run)
    monkeypatch.setattr(sys, "argv", ["tfgen sweep", *words])
    try:
        app().main([*words, *argv])
        return started, None
    except (ValueError, SystemExit) as error:
        return started, error


def test_a_run_that_fails_ends_no_other_and_is_tried_again(tmp_path, monkeypatch, capsys):
    codes = {"seed=0": 2, "seed=1": 0, "seed=2": -9}
    words = ["vae", "--seeds=3", f"--output={tmp_path}/s"]
    started, error = swept(tmp_path, monkeypatch, codes, *words)
    assert [name for name, _ in started] == ["seed=0", "seed=1", "seed=2"]
    assert str(error).startswith("2 of 3 runs failed: seed=0 with 'the loss is NaN'")
    table = (tmp_path / "s/table.md").read_text()
    assert "the loss is NaN" in table and "killed by SIGKILL" in table and "2 of 3 runs failed." in table
    held = json.loads((tmp_path / "s/sweep.json").read_text())
    assert [run["status"] for run in held["runs"].values()] == ["failed", "finished", "failed"]
    # The same command again is refused, but not with --resume, which repeats what is not finished.
    assert "already holds a sweep" in str(swept(tmp_path, monkeypatch, codes, *words)[1])
    codes |= {"seed=0": 0, "seed=2": 0}
    started, error = swept(tmp_path, monkeypatch, codes, *words, argv=["--resume"])
    assert error is None and started == [("seed=0", False), ("seed=2", False)]
    assert "[2/3] seed=1: finished before" in capsys.readouterr().out


def test_a_sweep_that_is_stopped_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    codes = {"seed=0": 0, "seed=1": 130}
    words = ["vae", "--seeds=2", f"--output={tmp_path}/s"]
    _, error = swept(tmp_path, monkeypatch, codes, *words)
    assert error.code == 130
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"stopped; go on with: tfgen sweep vae --seeds=2 --output={tmp_path}/s --resume"
    assert "1 of 2 runs are not finished." in (tmp_path / "s/table.md").read_text()
    # A run that has begun is gone on with; further seeds may be added.
    (tmp_path / "s/seed=1").mkdir()
    (tmp_path / "s/seed=1/config.json").write_text('{"model": "tfgen.variational.VAE", "flags": {}}')
    codes |= {"seed=1": 2, "seed=2": 0}
    more = ["vae", "--seeds=3", f"--output={tmp_path}/s"]
    started, _ = swept(tmp_path, monkeypatch, codes, *more, argv=["--resume"])
    assert started == [("seed=1", True), ("seed=2", False)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gan"], "holds a sweep of vae, not of gan"),
        (["vae", "--steps=30"], "was made with --steps=20, got 30"),
        (["vae"], "was made with --steps=20, got none"),
        (["vae", "--steps=20", "--grid=ema=0.9"], "holds a sweep over no flag, not over ema"),
    ],
)
def test_a_sweep_goes_on_with_the_same_flags_only(tmp_path, monkeypatch, words, said):
    codes = {"seed=0": 0, "ema=0.9,seed=0": 0}
    swept(tmp_path, monkeypatch, codes, "vae", "--steps=20", "--seeds=1", f"--output={tmp_path}/s")
    _, error = swept(tmp_path, monkeypatch, codes, *words, "--seeds=1", f"--output={tmp_path}/s", "--resume")
    assert said in str(error)


def test_overwrite_replaces_runs_of_the_old_sweep_and_nothing_else(tmp_path, monkeypatch):
    swept(tmp_path, monkeypatch, {"seed=0": 0, "seed=1": 0}, "vae", "--seeds=2", f"--output={tmp_path}/s")
    (tmp_path / "s/seed=1/notes.txt").write_text("mine")
    started, error = swept(
        tmp_path, monkeypatch, {"seed=0": 0}, "vae", "--seeds=1", f"--output={tmp_path}/s", "--overwrite"
    )
    assert error is None and started == [("seed=0", False)]
    assert [p.name for p in (tmp_path / "s/seed=1").iterdir()] == ["notes.txt"]


def test_two_sweeps_do_not_work_in_one_directory(tmp_path, monkeypatch):
    (tmp_path / "s").mkdir()
    with (tmp_path / "s/.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _, error = swept(tmp_path, monkeypatch, {}, "vae", f"--output={tmp_path}/s")
        assert "is at work there" in str(error) and not (tmp_path / "s/sweep.json").exists()


def reported(tmp_path, runs, **options):
    """The report of a sweep over latent_size: {(size, seed): (nats, validation losses) or an error}."""
    trainings, state = [], {"app": "vae", "flags": {}, "command": "tfgen sweep vae", "runs": {}}
    for (size, seed), found in runs.items():
        name = f"latent_size={size},seed={seed}"
        trainings.append(sweep.Training(name, {"latent_size": str(size)}, seed, ()))
        kept = {"status": "failed", "error": found, "seconds": 1.0}
        if not isinstance(found, str):
            nats, losses, *more = found
            write_run(tmp_path / name, {"nats": figure(nats)}, losses, seed, **(more[0] if more else {}))
            kept = {"status": "finished", "error": None, "seconds": 10.0 + seed}
        state["runs"][name] = kept
    report = SweepReport(tmp_path, trainings, **options)
    report.write(state, pictures=True)
    return report, json.loads((tmp_path / "table.json").read_text())


# On the test split 16 is better, on the validation split 8.
RUNS = {
    (8, 0): (17.5, [9.0, 2.0]),
    (8, 1): (17.9, [9.0, 2.2]),
    (8, 2): (17.1, [9.0, 2.4]),
    (16, 0): (16.5, [9.0, 3.0]),
    (16, 1): (16.0, [9.0, 3.5]),
    (16, 2): (16.7, [9.0, 3.1]),
}


def test_the_table_holds_means_deviations_and_the_choice_of_the_validation_split(tmp_path):
    report, table = reported(tmp_path, RUNS)
    small, large = table["settings"]
    nats = [17.5, 17.9, 17.1]
    found = small["figures"]["nats"]
    assert found["values"] == nats and found["n"] == 3 and found["kind"].startswith("exact density")
    assert found["mean"] == pytest.approx(statistics.mean(nats))
    assert found["deviation"] == pytest.approx(statistics.stdev(nats)) == pytest.approx(0.4)
    assert small["validation"]["val_loss"]["mean"] == pytest.approx(2.2)
    assert small["seconds"]["mean"] == pytest.approx(11.0)
    assert large["figures"]["nats"]["mean"] < small["figures"]["nats"]["mean"]
    best = table["best"]
    assert best["setting"] == "latent_size=8" and best["next"]["setting"] == "latent_size=16"
    text = report.text()
    assert "Best by val_loss of the validation split (lowest mean, 3 seeds): latent_size=8, 2.2 ± 0.2" in text
    cells = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert cells == ["8", "3 of 3", "2.2 ± 0.2", "17.5 ± 0.4", "exact", "11 ± 1"]
    long = list(csv.DictReader((tmp_path / "table.csv").open()))
    (row,) = (r for r in long if r["figure"] == "nats" and r["latent_size"] == "16")
    assert float(row["mean"]) == pytest.approx(16.4) and row["of the seeds"] == "16.5 16.0 16.7"
    each = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert [float(r["test nats"]) for r in each] == [v[0] for v in RUNS.values()]
    assert (tmp_path / "table.md").read_text().count("| finished |") == 6


def test_another_figure_and_the_other_way_choose_otherwise(tmp_path):
    # val_other is the loss with its sign changed.
    report, table = reported(tmp_path, RUNS, select="val_other", highest=True)
    assert table["best"]["setting"] == "latent_size=8" and table["best"]["mean"] == pytest.approx(-2.2)
    report, table = reported(tmp_path / "lowest", RUNS, select="val_other")
    assert table["best"]["setting"] == "latent_size=16"
    report, table = reported(tmp_path / "none", RUNS, select="val_absent")
    assert table["best"] is None and "No best setting is named: there is no val_absent." in report.notes


def test_the_validation_figure_is_that_of_the_weights_that_are_tested(tmp_path):
    """The best checkpoint was step 10; the loss at the last step is not that of the figures."""
    runs = {(8, 0): (17.0, [2.0, 7.0], {"step": 10}), (16, 0): (16.0, [4.0, 3.0])}
    _, table = reported(tmp_path, runs)
    assert [row["validation"]["val_loss"]["mean"] for row in table["settings"]] == [2.0, 3.0]
    assert table["best"]["setting"] == "latent_size=8" and table["best"]["deviation"] is None


def test_a_setting_of_which_a_run_failed_is_no_best_one(tmp_path):
    report, table = reported(tmp_path, RUNS | {(8, 2): "the loss is NaN"})
    assert table["settings"][0]["finished"] == 2 and table["settings"][0]["failed"] == 1
    assert table["best"]["setting"] == "latent_size=16"
    found = table["settings"][0]["figures"]["nats"]
    assert found["deviation"] == pytest.approx(statistics.stdev([17.5, 17.9]))
    assert "1 of 6 runs failed." in report.notes


def test_settings_on_different_data_are_not_compared(tmp_path):
    runs = dict(RUNS)
    for seed in range(3):
        runs[16, seed] = (*RUNS[16, seed], {"data": data("d2", binarize="fixed")})
    report, table = reported(tmp_path, runs)
    assert table["best"] is None
    assert any("of different data (binarize threshold and fixed)" in note for note in report.notes)


def test_a_figure_that_is_no_number_has_no_mean(tmp_path):
    _, table = reported(tmp_path, RUNS | {(8, 1): (None, [9.0, 2.2])})
    found = table["settings"][0]["figures"]["nats"]
    assert found["mean"] is None and found["values"] == [17.5, None, 17.1]


def test_seconds_of_a_killed_sweep_are_not_taken_for_all(tmp_path, monkeypatch):
    codes = {"seed=0": 0}
    words = ["vae", "--seeds=1", f"--output={tmp_path}/s"]
    swept(tmp_path, monkeypatch, codes, *words)
    held = json.loads((tmp_path / "s/sweep.json").read_text())
    held["runs"]["seed=0"] |= {"status": "running"}
    (tmp_path / "s/sweep.json").write_text(json.dumps(held))
    shutil.rmtree(tmp_path / "s/seed=0")
    swept(tmp_path, monkeypatch, codes, *words, argv=["--resume"])
    table = json.loads((tmp_path / "s/table.json").read_text())
    assert table["settings"][0]["seconds"]["n"] == 0
    assert table["notes"] == ["Seconds are without 1 runs that were killed together with the sweep."]


def color(pixels, rgb, off=25):
    """Rows and columns of pixels near a color."""
    return np.argwhere(np.abs(pixels.astype(int) - rgb).max(axis=-1) < off)


def test_the_picture_shows_each_seed_the_mean_and_the_deviation():
    panes = {"nats": {"a": [1.0, 2.0, 6.0], "b": [10.0]}}
    pixels = np.asarray(spreads.spreads(panes))
    blue, red = color(pixels, (47, 111, 159)), color(pixels, (200, 85, 61))
    # The mean is the tallest line, of which 1, 2 and 6 are to the left, left and right; b is further right.
    columns, height = np.unique(blue[:, 1], return_counts=True)
    mean = columns[height.argmax()]
    scale = (red[:, 1].mean() - mean) / (10.0 - 3.0)
    assert scale > 10
    # Rings of 1 and 6, 2 and 3 units from the mean of 3, are the outermost blue pixels.
    assert columns.min() == pytest.approx(mean - 2.0 * scale, abs=8)
    assert columns.max() == pytest.approx(mean + 3.0 * scale, abs=8)
    assert blue[:, 0].max() < red[:, 0].min()


def test_the_band_reaches_a_deviation_to_either_side_of_the_mean():
    steps, values = [0, 1, 2], np.array([[4.0, 4.0, 4.0], [8.0, 8.0, np.nan]])
    pixels = np.asarray(spreads.spreads({}, {"a": (steps, values), "b": (steps, values[:1] + 12.0)}, "loss"))
    band = color(pixels, (224, 233, 240), 4)  # 15 % of blue on white
    middle = band[np.abs(band[:, 1] - np.median(band[:, 1])) < 3]
    line = color(pixels, (47, 111, 159))
    mean = line[np.abs(line[:, 1] - np.median(band[:, 1])) < 3][:, 0]
    red = color(pixels, (200, 85, 61))[:, 0]
    # 6 and 16 are ten apart, and the band of 4 and 8 reaches 2.83 to either side of 6.
    unit = (np.median(mean) - np.median(red)) / 10.0
    assert np.ptp(middle[:, 0]) / 2 == pytest.approx(np.sqrt(8.0) * unit, rel=0.05)


def opened(word: str, many: tuple[str, ...] = (), of_app: tuple[str, ...] = (), part: list[str] = (), num=2):
    """Repeats what it was given.

    Args:
      word: Which one.
      many: Further words.
      of_app: Flags of the app.
      part: May be given several times.
      num: A number.
    """
    return [f"{word}|{','.join(many)}|{','.join(of_app)}|{','.join(part)}|{num}"]


def test_task_apps_take_words_repeated_flags_and_those_of_an_app(capsys):
    assert read_function(opened)[0]["part"].kind is list
    made = TaskApp(opened, words="word", flags_of_app="of_app")
    made.main(["vae", "--part", "a,b", "--steps", "3", "--part=c", "--nojit", "--num=4", "--many=x"])
    assert capsys.readouterr().out == "vae|x|--steps,3,--nojit|a,b,c|4\n"
    TaskApp(opened, words="word").main(["vae"])
    assert capsys.readouterr().out == "vae||||2\n"
    for words, said in ((["vae", "more"], "unexpected argument 'more'"), ([], "WORD is needed: Which one")):
        with pytest.raises(ValueError, match=said):
            TaskApp(opened, words="word").main(words)
    made.main(["vae", "--help"])
    shown = capsys.readouterr().out
    assert re.search(r"usage: .* WORD \[--flags\]", shown) and "--latent_size=16" in shown
    assert "flags of vae:" in shown and "--data_dir" not in shown.partition("flags of vae:")[0]


@pytest.mark.parametrize("asked", [None, signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_sweep_stops_its_run_as_control_c_does(tmp_path, monkeypatch, asked):
    program = tmp_path / "program"
    wait = "exit 3" if asked is None else "sleep 60 & wait"
    program.write_text(f"#!/bin/sh\ntrap 'echo saved; exit 130' INT\necho \"$@\"\n{wait}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    log = tmp_path / "log.txt"
    log.write_text("error: of an earlier attempt\n")

    def ask():
        while "vae" not in log.read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), asked)

    before = signal.getsignal(signal.SIGTERM)
    if asked is not None:
        threading.Thread(target=ask, daemon=True).start()
    with (tmp_path / "lock").open("w") as lock:
        code, said, stopped = sweep._run_app("vae", ["--seed=1"], log, lock.fileno())
    assert (code, stopped) == ((3, False) if asked is None else (130, True))
    assert said.splitlines() == ["-m tfgen vae --seed=1", *(["saved"] if asked else [])]
    assert log.read_text().startswith("error: of an earlier") and signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_a_killed_sweep_goes_on_exactly_and_a_failed_run_is_told(tmp_path, capsys):
    """Of two settings one has a learning rate at which nothing stays finite."""
    common = ["--steps=1500", "--checkpoint_every=250", "--latent_size=2", *TINY]
    words = ["vae", "--grid", "learning_rate=1e-3,1e30", "--seeds=1", f"--output={tmp_path / 's'}", *common]
    first = tmp_path / "s/learning_rate=0.001,seed=0"
    command = [sys.executable, "-m", "tfgen", "sweep", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.time() + 240
    while not (found := list(first.glob("checkpoints/ckpt-*.index"))) and time.time() < deadline:
        time.sleep(0.02)
    assert found, process.communicate()[0]
    (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[-1:]
    for pid in (process.pid, int(child)):
        # Both at once, as where a machine goes down.
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(pid)], check=True)
    process.communicate()
    assert not (first / "metrics.json").exists()
    done = subprocess.run([*command, "--resume"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "1 of 2 runs failed: learning_rate=1e+30,seed=0" in done.stderr
    assert "[1/2] learning_rate=0.001,seed=0: going on" in done.stdout
    whole = tmp_path / "whole"
    load("vae").main([f"--run_dir={whole}", "--learning_rate=1e-3", "--seed=0", *common])
    assert (whole / "metrics.csv").read_bytes() == (first / "metrics.csv").read_bytes()
    expected, found = read_record(whole), read_record(first)
    assert expected.figures["nats_bound"] == found.figures["nats_bound"]
    table = (tmp_path / "s/table.md").read_text()
    assert "try a lower --learning_rate" in table
    assert (tmp_path / "s/sweep.png").exists()
