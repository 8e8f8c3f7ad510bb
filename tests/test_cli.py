"""The command line: flags, run directories, and one clear line for each mistake."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfgen.cli import App, flagset
from tfgen.cli.constructor import read_arguments

ROOT = pathlib.Path(__file__).parents[1]
TINY = ["--steps=20", "--checkpoint_every=10", "--hidden=8", "--latent_size=2", "--batch_size=16"]


def command(*arguments, app="vae", **keywords):
    return subprocess.run(
        [sys.executable, "-m", f"apps.{app}", *map(str, arguments)], cwd=ROOT, text=True, capture_output=True,
        timeout=300, **keywords,
    )  # fmt: skip


def app():
    """The VAE's app, run in this process."""
    made = App(
        "tfgen.variational.vae.VAE", binarize="threshold", steps=20, presets={"paper": {"latent_size": 50}}
    )
    made.name = "vae"
    return made


def fails(capsys, *arguments, code=2):
    with pytest.raises(SystemExit) as caught:
        app().run([str(a) for a in arguments])
    assert caught.value.code == code
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "vae"
    done = command(f"--run_dir={directory}", *TINY)
    assert done.returncode == 0, done.stderr
    return directory, done


@pytest.mark.slow
def test_one_command_leaves_a_whole_run(trained):
    directory, done = trained
    names = {p.name for p in directory.iterdir()}
    assert names >= {
        "config.json", "metrics.csv", "metrics.json", "checkpoints", "tensorboard", "samples.png", "export",
        "samples_mean.png", "curves.png",
    }  # fmt: skip
    assert (directory / "export/1/saved_model.pb").exists()
    config = json.loads((directory / "config.json").read_text())
    assert config["flags"]["latent_size"] == 2 and config["data"]["name"] == "digits"
    report = json.loads((directory / "metrics.json").read_text())
    bound = report["metrics"]["nats_bound"]
    assert bound["low"] < bound["value"] < bound["high"] and "K=100" in bound["kind"]
    assert report["step"] in (10, 20) and report["density"] == "lower_bound" and report["cost"]["seconds"] > 0
    assert "Traceback" not in done.stderr


def test_help_is_quick_and_complete():
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        shown = command("--help")
        seconds.append(time.perf_counter() - began)
    assert shown.returncode == 0
    for flag in ("--latent_size=16", "--run_dir=runs/vae", "--[no]resume", "--preset="):
        assert flag in shown.stdout
    probe = "import sys; sys.argv = ['x', '--help']; sys.path.insert(0, '.')\nimport runpy\ntry:\n"
    probe += "    runpy.run_module('apps.vae', run_name='__main__')\nfinally:\n"
    probe += "    print('heavy:', [m for m in ('tensorflow', 'keras', 'sklearn') if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, text=True, capture_output=True)
    assert heavy.stdout.strip().endswith("heavy: []")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--latent_sise=3"], "'latent_sise'. Did you mean: latent_size"),
        (["--latent_size=x"], "--latent_size=x: takes an integer"),
        (["--latent_size=2.5"], "--latent_size=2.5: takes an integer"),
        (["--hidden=8,x"], "--hidden=8,x: takes an integer"),
        (["--steps=0"], "--steps=0: takes an integer above 0"),
        (["--batch_size=-1"], "--batch_size=-1: takes an integer above 0"),
        (["--learning_rate=0"], "--learning_rate=0"),
        (["--learning_rate=nan"], "--learning_rate=nan: takes a finite number"),
        (["--ema=1.5"], "--ema=1.5: takes a number below 1"),
        (["--strategy=mirror"], "--strategy=mirror"),
        (["--jit=maybe"], "--jit=maybe"),
        (["--preset=best"], "--preset=best"),
        (["--preset=none"], "--preset=none: value should be one of <paper>"),
        (["paint"], "unknown command 'paint'"),
        (["train", "more"], "unexpected argument 'more'"),
        (["--dataset=digitz"], "digits"),
        (["--dataset=mnist", "--data_dir=/nowhere"], "/nowhere"),
        (["--binarize=none"], "num_values=17: binarize the data"),
        (["--batch_size=5000"], "batch_size=5000 is larger than the"),
        (["--latent_size=0"], "latent_size"),
        (["--likelihood=poison"], "poison"),
        (["--run_dir=/dev/null/run"], "/dev/null/run cannot be written"),
        (["--replicas=2"], "replicas=2 needs strategy=mirrored"),
        (["sample", "--run_dir=/nowhere"], "run_dir=/nowhere holds no run"),
        (["--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
    ],
)
def test_mistakes_are_said_in_one_line(capsys, tmp_path, arguments, said):
    where = [] if any("run_dir" in a for a in arguments) else [f"--run_dir={tmp_path / 'run'}"]
    assert said in fails(capsys, *arguments, *where)
    assert not (tmp_path / "run/checkpoints/checkpoint").exists()


def test_a_folder_with_a_broken_image_is_named(capsys, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/broken.png").write_bytes(b"not a picture")
    said = fails(capsys, f"--dataset={tmp_path / 'images'}", f"--run_dir={tmp_path / 'run'}")
    assert "broken.png" in said and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_directory_that_holds_a_run_is_kept(trained, capsys):
    directory, _ = trained
    before = {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
    said = fails(capsys, f"--run_dir={directory}", *TINY)
    assert "already holds a run" in said and "--resume" in said and "--overwrite" in said
    assert "trained with --latent_size=2, got 3" in fails(
        capsys, f"--run_dir={directory}", "--resume", "--latent_size=3"
    )
    assert before == {p: p.stat().st_mtime_ns for p in directory.rglob("*")}


def test_apps_set_defaults_of_every_flag_and_of_nothing_else(capsys):
    made = App("tfgen.variational.vae.VAE", latent_size=3, ema=0.9, clip_norm=2.0)
    made.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"{flag} " in shown for flag in ("--latent_size=3", "--ema=0.9", "--clip_norm=2.0"))
    values, _ = flagset.define(made.model, made.defaults, {"xla": True}, {})
    assert values["xla"].default is True and values["download"].default is False
    with pytest.raises(ValueError, match="the app sets latent, which is no flag of tfgen.variational"):
        App("tfgen.variational.vae.VAE", latent=3).main(["--help"])


@pytest.mark.slow
def test_a_run_of_another_model_is_refused(trained, capsys):
    other = App("tfgen.energy.rbm.RBM", binarize="threshold")
    with pytest.raises(SystemExit):
        other.run(["sample", f"--run_dir={trained[0]}"])
    assert "holds a run of VAE, not of RBM" in capsys.readouterr().err


def test_overwrite_takes_only_what_a_run_makes(tmp_path, capsys):
    from tfgen.cli.run_directory import RunDirectory

    run = RunDirectory(tmp_path / "run")
    run.begin({"model": "m", "flags": {}}, overwrite=False)
    (run.path / "notes.txt").write_text("mine")
    (run.path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="already holds a run"):
        run.begin({"model": "m", "flags": {}}, overwrite=False)
    run.begin({"model": "n", "flags": {}}, overwrite=True)
    assert (run.path / "notes.txt").read_text() == "mine" and not (run.path / "checkpoints").exists()
    assert run.config()["model"] == "n"
    (run.path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json cannot be read"):
        run.config()


@pytest.mark.slow
def test_samples_have_their_seed(trained):
    directory, _ = trained

    def draw(seed):
        done = command("sample", f"--run_dir={directory}", "--num=9", f"--seed={seed}")
        assert done.returncode == 0, done.stderr
        return (directory / "samples.png").read_bytes()

    first = draw(7)
    assert first == draw(7) and first != draw(8)


@pytest.mark.slow
def test_evaluate_and_export_again(trained):
    directory, _ = trained
    before = json.loads((directory / "metrics.json").read_text())["metrics"]
    assert command("evaluate", f"--run_dir={directory}").returncode == 0
    after = json.loads((directory / "metrics.json").read_text())["metrics"]
    for name, result in before.items():
        np.testing.assert_allclose(result["value"], after[name]["value"], rtol=1e-6)
    assert json.loads((directory / "metrics.json").read_text())["cost"]["seconds"] > 0
    assert command("export", f"--run_dir={directory}").returncode == 0
    assert (directory / "export/2/saved_model.pb").exists()


@pytest.mark.slow
def test_averaged_weights_are_those_that_are_used(tmp_path):
    """The best checkpoint holds averages; the last one holds both, and its averages count."""
    run = tmp_path / "run"
    assert command(f"--run_dir={run}", "--ema=0.9", *TINY, "--checkpoint_every=20").returncode == 0

    def samples(*which):
        assert command("sample", f"--run_dir={run}", "--seed=3", *which).returncode == 0
        return (run / "samples_mean.png").read_bytes()

    best = samples("--checkpoint=best")
    assert best == samples("--checkpoint=last") == samples()
    for file in (run / "checkpoints/best").glob("ckpt*"):
        file.unlink()
    assert best == samples()


@pytest.mark.slow
def test_resuming_what_was_never_begun_starts_and_says_so(tmp_path):
    done = command(f"--run_dir={tmp_path / 'run'}", "--resume", *TINY)
    assert done.returncode == 0 and "holds no run: starting at step 0" in done.stdout


@pytest.mark.slow
def test_a_finished_run_ends_at_once(trained, tmp_path):
    directory, _ = trained
    before = {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
    done = command(f"--run_dir={directory}", "--resume")
    assert done.returncode == 0 and "resumed at step 20: the run is finished" in done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
    copy = shutil.copytree(directory, tmp_path / "copy")
    more = command(f"--run_dir={copy}", "--resume", "--steps=30")
    assert more.returncode == 0 and more.stdout.splitlines()[0] == "resumed at step 20"


@pytest.mark.slow
def test_a_run_without_checkpoints_cannot_be_sampled(trained, tmp_path, capsys):
    (tmp_path / "config.json").write_text((trained[0] / "config.json").read_text())
    assert "has no complete checkpoint" in fails(capsys, "sample", f"--run_dir={tmp_path}")


@pytest.mark.slow
def test_control_c_saves_and_says_how_to_go_on(tmp_path):
    arguments = [f"--run_dir={tmp_path / 'run'}", "--steps=1000000", "--checkpoint_every=500000", *TINY[2:]]
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.vae", *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.time() + 120
    while not list(tmp_path.glob("run/tensorboard/*")) and time.time() < deadline:
        time.sleep(0.2)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert "--resume" in out.splitlines()[-1] and list(tmp_path.glob("run/checkpoints/ckpt-*.index"))


def test_presets_set_flags_and_flags_override():
    made = app()
    for given, expected in (([], 50), (["--latent_size=3"], 3)):
        values, _ = flagset.define(made.model, made.defaults, made.overrides, made.presets)
        made._parse(values, ["--preset=paper", *given])
        assert values["latent_size"].value == expected


def test_constructors_are_read_with_their_bases_and_docstrings(tmp_path, monkeypatch):
    read = read_arguments("tfgen.variational.vae.VAE")
    assert read["latent_size"].kind is int and read["hidden"].kind is tuple and read["hidden"].element is int
    assert read["event_shape"].required and read["name"].default is None
    inherited = read_arguments("tfgen.adversarial.dcgan.DCGAN")
    assert {"base_filters", "latent_size", "event_shape"} <= set(inherited)


def test_errors_can_be_traced(monkeypatch):
    monkeypatch.setitem(os.environ, "TFGEN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown command"):
        app().run(["paint"])
