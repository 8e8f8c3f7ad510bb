"""The command line: flags, run directories, and one clear line for each mistake."""

import dataclasses
import importlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from absl import flags

from tests import cli_toys, programs
from tfgen.cli import App, Run, TaskApp, flagset, open_run
from tfgen.cli.constructor import public_path, read_arguments, read_function
from tfgen.cli.main import apps
from tfgen.data import Data, load
from tfgen.model import GenerativeModel
from tfgen.training.checkpoints import variable_paths

ROOT = pathlib.Path(__file__).parents[1]
TINY = [
    "--steps=20", "--checkpoint_every=10", "--hidden=8", "--latent_size=2", "--batch_size=16", "--jit=off",
]  # fmt: skip


def command(*arguments):
    """Runs the VAE's app as a process."""
    return programs.run(["-m", "apps.vae", *arguments])


def app():
    """The VAE's app, run in this process."""
    made = App(
        "tfgen.variational.VAE", binarize="threshold", steps=20, presets={"paper": {"latent_size": 50}}
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


def says(capsys, *arguments):
    """Output of a command line that is carried out in this process."""
    capsys.readouterr()
    app().main([str(a) for a in arguments])
    return capsys.readouterr().out


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
        shown = subprocess.run(
            [sys.executable, "-m", "apps.vae", "--help"], cwd=ROOT, text=True, capture_output=True
        )
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
    assert not (tmp_path / "run").exists()


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
    made = App("tfgen.variational.VAE", latent_size=3, ema=0.9, clip_norm=2.0)
    made.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"{flag} " in shown for flag in ("--latent_size=3", "--ema=0.9", "--clip_norm=2.0"))
    values, _ = flagset.define(made.model, made.defaults, {"xla": True}, {})
    assert values["xla"].default is True and values["download"].default is False
    with pytest.raises(ValueError, match="the app sets latent, which is no flag of tfgen.variational"):
        App("tfgen.variational.VAE", latent=3).main(["--help"])


@pytest.mark.slow
def test_a_run_of_another_model_is_refused(trained, capsys):
    other = App("tfgen.energy.RBM", binarize="threshold")
    with pytest.raises(SystemExit):
        other.run(["sample", f"--run_dir={trained[0]}"])
    assert "holds a run of VAE, not of RBM" in capsys.readouterr().err


def test_json_files_hold_no_nan(tmp_path):
    from tfgen.cli.run_directory import RunDirectory

    figures = {"nats": {"value": float("inf"), "low": float("nan"), "examples": 1}, "list": [1.5, -math.inf]}
    RunDirectory(tmp_path).write_json("metrics.json", figures)
    text = (tmp_path / "metrics.json").read_text()
    assert not any(word in text for word in ("NaN", "Infinity"))
    found = json.loads(text)
    assert found == {"nats": {"value": None, "low": None, "examples": 1}, "list": [1.5, None]}


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
def test_samples_have_their_seed(trained, capsys):
    directory, _ = trained

    def draw(seed):
        said = says(capsys, "sample", f"--run_dir={directory}", "--num=9", f"--seed={seed}")
        picture, array = re.findall(r"samples: (.*)", said)
        assert np.load(array).shape == (9, 8, 8, 1)
        return pathlib.Path(picture).read_bytes()

    training = {p: p.stat().st_mtime_ns for p in directory.glob("*.*")}
    first = draw(7)
    assert first == draw(7) and first != draw(8)
    assert {p.name for p in (directory / "samples").iterdir()} == {"seed=7", "seed=7-2", "seed=8"}
    assert training == {p: p.stat().st_mtime_ns for p in directory.glob("*.*")}


@pytest.mark.slow
def test_evaluate_and_export_again(trained):
    directory, _ = trained
    before = (directory / "metrics.json").read_text()
    assert command("evaluate", f"--run_dir={directory}").returncode == 0
    assert (directory / "metrics.json").read_text() == before
    trained_report = json.loads(before)
    again = json.loads((directory / "evaluations/digits.json").read_text())
    for name, result in trained_report["metrics"].items():
        np.testing.assert_allclose(result["value"], again["metrics"][name]["value"], rtol=1e-6)
    assert trained_report["cost"]["seconds"] > 0 and "evaluate" not in trained_report["command"]
    assert "apps.vae evaluate" in again["command"] and again["data"] == trained_report["data"]
    assert command("export", f"--run_dir={directory}").returncode == 0
    assert (directory / "export/2/saved_model.pb").exists()


@pytest.mark.slow
def test_averaged_weights_are_those_that_are_used(tmp_path, capsys):
    """The best checkpoint holds averages; the last one holds both, and its averages count."""
    run = tmp_path / "run"
    says(capsys, f"--run_dir={run}", "--ema=0.9", *TINY, "--checkpoint_every=20")

    def samples(*which):
        said = says(capsys, "sample", f"--run_dir={run}", "--seed=3", *which)
        (written,) = re.findall(r"view: (.*mean.png)", said)
        return pathlib.Path(written).read_bytes()

    best = samples("--checkpoint=best")
    assert best == samples("--checkpoint=last") == samples()
    for file in (run / "checkpoints/best").glob("ckpt*"):
        file.unlink()
    assert best == samples()


@pytest.mark.slow
def test_resuming_what_was_never_begun_starts_and_says_so(tmp_path, capsys):
    said = says(capsys, f"--run_dir={tmp_path / 'run'}", "--resume", *TINY)
    assert "holds no run: starting at step 0" in said


@pytest.mark.slow
def test_a_finished_run_ends_at_once(trained, tmp_path, capsys):
    directory, _ = trained
    before = {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
    done = command(f"--run_dir={directory}", "--resume")
    assert done.returncode == 0 and "resumed at step 20: the run is finished" in done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
    copy = shutil.copytree(directory, tmp_path / "copy")
    more = says(capsys, f"--run_dir={copy}", "--resume", "--steps=30")
    assert more.splitlines()[0].startswith("data: digits: 8x8 grey images")
    assert more.splitlines()[1].startswith("model: VAE, 1,156 parameters")
    assert more.splitlines()[2] == "resumed at step 20"


@pytest.mark.slow
def test_a_run_without_checkpoints_cannot_be_sampled(trained, tmp_path, capsys):
    (tmp_path / "config.json").write_text((trained[0] / "config.json").read_text())
    assert "has no complete checkpoint" in fails(capsys, "sample", f"--run_dir={tmp_path}")


@pytest.mark.slow
def test_control_c_saves_and_says_how_to_go_on(tmp_path):
    arguments = [f"--run_dir={tmp_path / 'run'}", "--steps=1000000", "--checkpoint_every=500000", *TINY[2:]]
    process = programs.Program(["-m", "apps.vae", *arguments])
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


def test_every_preset_of_every_app_is_what_its_flags_say():
    """Written out on a command line a preset means the same; Keras knows its optimizers' arguments."""
    found = {name: importlib.import_module(f"apps.{name}").app for name in apps()}
    shown = [(name, app, preset) for name, app in found.items() for preset in getattr(app, "presets", ())]
    assert len(shown) > 40
    for name, app, preset in shown:
        values, _ = app.flags()
        app._parse(values, [f"--preset={preset}"])
        for flag in app.presets[preset]:
            value = values[flag].value
            read = None if value is None else values[flag].parser.parse(flagset.text_of(value))
            assert read == value, f"{name} --preset={preset}: --{flag}={value}"
        for each in optimizers_in(values["optimizer"].value):
            arguments = {key: value for key, value in each.items() if key != "name"}
            assert type(keras.optimizers.get(each["name"]))(**arguments), f"{name} --preset={preset}"


def optimizers_in(described):
    if isinstance(described.get("name"), str):
        return [described]
    return [each for owned in described.values() for each in optimizers_in(owned)]


def test_constructors_are_read_with_their_bases_and_docstrings(tmp_path, monkeypatch):
    read = read_arguments("tfgen.variational.VAE")
    assert read == read_arguments("tfgen.variational.vae.VAE")
    assert read["latent_size"].kind is int and read["hidden"].kind is tuple and read["hidden"].element is int
    assert read["event_shape"].required and read["name"].default is None
    inherited = read_arguments("tfgen.adversarial.DCGAN")
    assert {"base_filters", "latent_size", "event_shape"} <= set(inherited)
    with pytest.raises(ValueError, match="tfgen.variational.VAF is no class that tfgen can read"):
        read_arguments("tfgen.variational.VAF")


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("tfgen.variational.vae.VAE", "tfgen.variational.VAE"),
        ("tfgen.autoregressive.pixel_cnn.PixelCNN", "tfgen.autoregressive.PixelCNN"),
        ("tfgen.autoregressive.pixels.pixel_cnn.PixelCNN", "tfgen.autoregressive.PixelCNN"),
        ("tfgen.energy.RBM", "tfgen.energy.RBM"),
        ("mine.models.Mine", "mine.models.Mine"),
    ],
)
def test_models_are_known_by_their_public_names(path, public):
    assert public_path(path) == public


def test_every_app_names_a_public_class():
    for file in sorted((ROOT / "apps").glob("*.py")):
        (path,) = re.findall(r'"(tfgen\.[\w.]+)"', file.read_text())
        if "TaskApp(" in file.read_text():
            assert read_function(path)[1], file
            continue
        assert path == public_path(path), file
        assert read_arguments(path)["event_shape"]


@pytest.mark.slow
def test_a_run_under_the_path_of_a_file_still_opens(trained, tmp_path, capsys):
    copy = shutil.copytree(trained[0], tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    assert config["model"] == "tfgen.variational.VAE"
    text = json.dumps(config | {"model": "tfgen.variational.vae.VAE"})
    (copy / "config.json").write_text(text)
    model, data, opened = open_run(copy)
    assert type(model).__name__ == "VAE" and len(data.test) == 360
    assert opened["model"] == "tfgen.variational.VAE" and int(model.step) in (10, 20)
    (copy / "config.json").write_text(text.replace("vae.VAE", "vae.Gone"))
    with pytest.raises(ValueError, match="model tfgen.variational.Gone is not in tfgen"):
        open_run(copy)
    config["arguments"] |= {"gone": 1}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="gives tfgen.variational.VAE the arguments gone, which it does not"):
        open_run(copy)
    config["data"]["fingerprint"] = "0"
    del config["arguments"]["gone"]
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="data set 'digits' is not what run_dir=.* was trained on"):
        open_run(copy)


@pytest.mark.slow
def test_presets_of_a_resumed_run_must_be_its_own(trained, capsys):
    directory, _ = trained
    said = fails(capsys, f"--run_dir={directory}", "--resume", "--preset=paper")
    assert "was trained with --latent_size=2, but --preset=paper sets 50; leave --preset out" in said
    # Flags given beside it override the preset, here as at the start.
    app().main([f"--run_dir={directory}", "--resume", "--preset=paper", "--latent_size=2"])
    assert "the run is finished" in capsys.readouterr().out
    longer = App("tfgen.variational.VAE", binarize="threshold", presets={"long": {"steps": 500}})
    with pytest.raises(ValueError, match="with --steps=20, but --preset=long sets 500"):
        longer.main([f"--run_dir={directory}", "--resume", "--preset=long"])


@pytest.mark.slow
def test_figures_belong_to_the_data_that_made_them(trained, capsys):
    directory, _ = trained
    before = {p: p.stat().st_mtime_ns for p in directory.glob("*.*")}
    app().main(["evaluate", f"--run_dir={directory}", "--binarize=fixed", "--output=other"])
    report = json.loads((directory / "evaluations/other.json").read_text())
    trained_on = json.loads((directory / "metrics.json").read_text())["data"]
    assert report["data"]["binarize"] == "fixed"
    assert report["data"]["fingerprint"] != trained_on["fingerprint"]
    said = fails(capsys, "evaluate", f"--run_dir={directory}", "--output=other")
    assert "other.json is there already" in said
    assert "takes letters, digits" in fails(capsys, "evaluate", f"--run_dir={directory}", "--output=../x")
    with cli_toys.data_set(dataclasses.replace(load("digits", binarize="threshold"), class_names=None)):
        said = fails(capsys, "evaluate", f"--run_dir={directory}", "--dataset=toy", "--binarize=none")
    assert "data set 'digits' has other classes than 'digits'" in said
    assert before == {p: p.stat().st_mtime_ns for p in directory.glob("*.*")}


def test_a_training_that_cannot_begin_leaves_nothing(capsys, tmp_path):
    """The same command with what the message advises is not told of a run that is none."""
    with pytest.raises(ValueError, match="does not depend on"):
        App("tests.cli_toys.Idle", binarize="threshold", steps=2).main([f"--run_dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="does not depend on"):
        App("tests.cli_toys.Idle", binarize="threshold", steps=2).main([f"--run_dir={tmp_path / 'run'}"])
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["notes.txt"]


def trains(model, run, *arguments, **options):
    """Trains a toy in this process; returns its run's directory."""
    keywords = {"binarize": "threshold", "steps": 20, "checkpoint_every": 10, "batch_size": 16} | options
    App(f"tests.cli_toys.{model}", **keywords).main([f"--run_dir={run}", "--jit=off", *arguments])
    return run


def test_the_size_of_the_training_set_is_handed_over(tmp_path):
    config = json.loads((trains("Pixels", tmp_path / "run") / "config.json").read_text())
    assert config["arguments"]["num_examples"] == 1293
    with pytest.raises(flags.UnrecognizedFlagError, match="num_examples"):
        App("tests.cli_toys.Pixels").main(["--num_examples=3"])


def test_few_labels_by_a_flag(tmp_path, capsys):
    run = trains("Pixels", tmp_path / "run", "--num_labels=50")
    config = json.loads((run / "config.json").read_text())
    assert config["flags"]["num_labels"] == 50 and config["data"]["streams"] == {"labelled": 50}
    assert len(open_run(run).data.train.streams["labelled"]) == 50
    assert "num_labels=5 must be from 10" in fails(
        capsys, "--num_labels=5", f"--run_dir={tmp_path / 'other'}"
    )


@pytest.mark.slow
def test_a_model_is_given_another_runs_model(tmp_path, capsys):
    teacher = trains("Pixels", tmp_path / "teacher")
    taught = open_run(teacher).model.logits.numpy()
    assert np.abs(taught).max() > 0.01
    run = trains("Student", tmp_path / "student", f"--teacher_run={teacher}", steps=10, checkpoint_every=5)
    config = json.loads((run / "config.json").read_text())
    assert config["arguments"]["teacher"] == {
        "model": "tests.cli_toys.Pixels", "run": str(teacher),
        "arguments": {"event_shape": [8, 8, 1], "scale": 1.0, "num_examples": 1293},
    }  # fmt: skip
    straight = trains(
        "Student", tmp_path / "straight", f"--teacher_run={teacher}", steps=20, checkpoint_every=5
    )
    shutil.rmtree(teacher)
    opened = open_run(run)
    np.testing.assert_array_equal(opened.model.teacher.logits, taught)
    assert np.abs(opened.model.own.numpy()).max() > 0.001
    student = App("tests.cli_toys.Student", binarize="threshold", steps=10, checkpoint_every=5, batch_size=16)
    for words in (["--resume", "--steps=20"], ["sample"], ["evaluate"], ["export"]):
        student.main([*words, f"--run_dir={run}"])
    resumed = open_run(run).model
    np.testing.assert_array_equal(resumed.own, open_run(straight).model.own)
    np.testing.assert_array_equal(resumed.teacher.logits, taught)
    # Killed before its first checkpoint, and begun again when the teacher's run is gone.
    config = json.loads((straight / "config.json").read_text())
    del config["finished"]
    (straight / "config.json").write_text(json.dumps(config))
    shutil.rmtree(straight / "checkpoints")
    student.main(["--resume", f"--run_dir={straight}"])
    np.testing.assert_array_equal(resumed.own, open_run(straight).model.own)
    alone = open_run(trains("Student", tmp_path / "alone", steps=20, checkpoint_every=5)).model
    assert alone.teacher is None
    x = opened.data.test.x
    assert resumed.log_prob(x).numpy().mean() > alone.log_prob(x).numpy().mean() + 0.1
    resumed.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(loaded.log_prob(x), resumed.log_prob(x))


def test_runs_that_hold_no_model_are_refused_before_anything_is_written(tmp_path, capsys):
    not_trained, strange = tmp_path / "begun", tmp_path / "strange"
    for path, model in ((not_trained, "tests.cli_toys.Pixels"), (strange, "tests.cli_toys.Split")):
        path.mkdir()
        (path / "config.json").write_text(json.dumps({"model": model, "flags": {}}))
    for path, said in (
        (tmp_path / "nowhere", "holds no run"),
        (strange, "tests.cli_toys.Split is no GenerativeModel"),
        (not_trained, "the run was not trained yet"),
    ):
        with pytest.raises(ValueError, match=f"^--teacher_run={path}: .*{said}"):
            trains("Student", tmp_path / "run", f"--teacher_run={path}")
    assert not (tmp_path / "run").exists()


def test_a_training_begins_with_another_runs_weights(tmp_path, capsys):
    still = "--learning_rate=1e-30"
    first = trains("Pixels", tmp_path / "first")
    begun = open_run(first).model.logits.numpy()
    run = trains("Pixels", tmp_path / "run", f"--start_from={first}", still, steps=1)
    np.testing.assert_array_equal(open_run(run).model.logits, begun)
    on = trains("Pixels", tmp_path / "on", f"--start_from={first}")
    assert open_run(on).model.step.numpy() == open_run(first).model.step.numpy()
    after = open_run(on).model.logits.numpy()
    assert np.abs(after - begun).max() > 1e-3
    # Killed before its first checkpoint, and begun again when the other run is gone.
    config = json.loads((on / "config.json").read_text())
    del config["finished"]
    (on / "config.json").write_text(json.dumps(config))
    shutil.rmtree(on / "checkpoints")
    shutil.rmtree(first)
    App("tests.cli_toys.Pixels", binarize="threshold").main(["--resume", f"--run_dir={on}"])
    np.testing.assert_array_equal(open_run(on).model.logits, after)


def test_a_training_that_begins_from_a_run_keeps_the_models_it_is_given(tmp_path, capsys):
    one, two = (trains("Pixels", tmp_path / f"{n}", f"--seed={n}") for n in (1, 2))
    first = trains("Student", tmp_path / "first", f"--teacher_run={one}")
    flags = [f"--teacher_run={two}", f"--start_from={first}", "--learning_rate=1e-30"]
    made = open_run(trains("Student", tmp_path / "run", *flags)).model
    np.testing.assert_array_equal(made.teacher.logits, open_run(two).model.logits)
    assert np.abs(made.teacher.logits.numpy() - open_run(one).model.logits.numpy()).max() > 1e-4
    np.testing.assert_array_equal(made.own, open_run(first).model.own)


def test_what_a_model_begins_with_gives_way_to_another_runs_weights(tmp_path, capsys):
    machine = App("tfgen.energy.RBM", binarize="threshold", steps=4, checkpoint_every=2, batch_size=16)
    first, run = tmp_path / "first", tmp_path / "run"
    machine.main([f"--run_dir={first}", "--num_hidden=8", "--estimator=cd", "--importance_samples=2"])
    more = ["--num_gibbs=3", "--learning_rate=1e-30", f"--start_from={first}", "--importance_samples=2"]
    machine.main([f"--run_dir={run}", "--num_hidden=8", "--estimator=cd", *more])
    there, here = (variable_paths(open_run(path).model) for path in (first, run))
    for path in there.keys() - {"step", "stage"}:
        np.testing.assert_array_equal(there[path], here[path], err_msg=path)
    assert np.abs(there["visible_bias"].numpy()).max() > 0.1


def test_a_run_that_a_training_cannot_begin_from_is_refused(trained, tmp_path, capsys):
    vae, pixels, run = trained[0], trains("Pixels", tmp_path / "pixels"), tmp_path / "run"
    for path, more, said in (
        (tmp_path / "nowhere", [], "holds no run"),
        (pixels, [], "holds a run of Pixels, not of VAE"),
        (vae, ["--hidden=9"], r"\[2, 8\] there and .*\[2, 9\] here; it was trained with hidden=8"),
        (vae, ["--hidden=8,8"], "it was trained with hidden=8"),
    ):
        err = fails(capsys, *TINY, f"--run_dir={run}", f"--start_from={path}", *more)
        assert re.match(f"error: --start_from={re.escape(str(path))}.*{said}", err), err
    stacks = App("tfgen.energy.DeepBeliefNet", binarize="threshold", steps=4, hidden=(4, 4))
    config = {"model": "tfgen.energy.DeepBeliefNet", "flags": {}, "arguments": {"event_shape": [8, 8, 1]}}
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"stack: the stage 'layer_2' of DeepBeliefNet begins with weights"):
        stacks.main([f"--run_dir={run}", f"--start_from={tmp_path / 'stack'}"])
    assert not run.exists()


def test_other_classes_are_refused_where_a_model_knows_them(trained, tmp_path, capsys):
    for source in (trained[0], trains("Labelled", tmp_path / "labelled")):
        other = tmp_path / f"other-{source.name}"
        shutil.copytree(source, other)
        config = json.loads((other / "config.json").read_text())
        config["data"]["class_names"] = ["a", "b"]
        (other / "config.json").write_text(json.dumps(config))
    says(capsys, *TINY, f"--run_dir={tmp_path / 'run'}", f"--start_from={tmp_path / 'other-vae'}")
    with pytest.raises(ValueError, match="was trained on other classes than 'digits' has"):
        trains("Labelled", tmp_path / "again", f"--start_from={tmp_path / 'other-labelled'}")
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
def test_counts_and_videos_go_all_the_way(tmp_path, capsys):
    for model, toy, written in (
        ("Counts", cli_toys.count_data(), {"samples.txt", "samples.png", "samples.npy"}),
        ("Pixels", cli_toys.video_data(), {"samples.gif", "samples.png", "samples.npy"}),
    ):
        with cli_toys.data_set(toy):
            run = trains(model, tmp_path / model, dataset="toy", binarize="none")
            names = {p.name for p in run.iterdir()}
            assert written <= names and (run / "export/1/saved_model.pb").exists()
            report = json.loads((run / "metrics.json").read_text())
            assert report["metrics"]["nats"]["value"] > 0 and report["data"]["name"] == "toy"
            App(f"tests.cli_toys.{model}").main(["sample", f"--run_dir={run}", "--num=3", "--output=three"])
            assert {p.name for p in (run / "samples/three").iterdir()} == written
    assert "dog" in (tmp_path / "Counts/samples.txt").read_text()


def test_a_model_that_does_not_sample_says_so(tmp_path, capsys):
    with cli_toys.data_set(cli_toys.label_data()):
        run = trains("Scorer", tmp_path / "run", dataset="toy", binarize="none")
    names = {p.name for p in run.iterdir()}
    assert "samples.png" not in names and {"samples_filters.png", "samples_chain.gif"} <= names
    assert json.loads((run / "metrics.json").read_text())["metrics"]["answer"]["value"] == 42.0
    with pytest.raises(ValueError, match="^Scorer does not sample: evaluate or export the run instead.$"):
        App("tests.cli_toys.Scorer").main(["sample", f"--run_dir={run}"])
    assert not (run / "samples").exists()


def surprise(model: GenerativeModel, data: Data, others: tuple[Run, ...] = (), num: int = 3, loud=False):
    """Says how much some test examples surprise a model.

    Args:
      model: The model. It must have a density.
      data: What to look at.
      others: More runs.
      num: How many examples.
      loud: Say more.
    """
    nats = -model.log_prob(data.test.x[:num]).numpy()
    return {"nats": float(nats.mean()), "others": [run.config["steps"] for run in others], "loud": loud}


def test_a_function_becomes_a_command_line(tmp_path, capsys):
    run = trains("Pixels", tmp_path / "run")
    made = TaskApp(surprise, loud=True)
    capsys.readouterr()
    made.main(["--help"])
    shown = capsys.readouterr().out
    for line in (
        "--model_run= ",
        "--num=3 ",
        "--others= ",
        "--[no]loud",
        "run whose model is used: The model",
    ):
        assert line in shown
    assert "--data " not in shown and "[train" not in shown
    made.main([f"--model_run={run}", f"--others={run},{run}", "--num=5"])
    said = capsys.readouterr().out.splitlines()
    opened = open_run(run)
    nats = -np.mean(opened.model.log_prob(opened.data.test.x[:5]))
    assert said == [f"nats: {float(nats)}", "others: [20, 20]", "loud: True"]
    for arguments, words in (
        ([], "--model_run is needed: The model"),
        ([f"--model_run={run}", "more"], "unexpected argument 'more'"),
        (["--model_run=/nowhere"], "run_dir=/nowhere holds no run"),
        (["--nun=3"], "Did you mean: num"),
        (["--num=x"], "--num=x: takes an integer"),
    ):
        with pytest.raises(SystemExit) as caught:
            made.run(arguments)
        err = capsys.readouterr().err
        assert caught.value.code == 2 and words in err and err.count("\n") == 1
    with pytest.raises(ValueError, match="the app sets quiet, which is no flag"):
        TaskApp(surprise, quiet=True).main(["--help"])


def test_tasks_are_read_without_being_imported():
    arguments, docstring = read_function("tfgen.cli.runs.open_run")
    assert docstring.startswith("Opens a run") and arguments["download"].kind is bool
    assert arguments == read_function(open_run)[0] == read_function("tfgen.cli.open_run")[0]
    with pytest.raises(ValueError, match="tfgen.cli.runs.close_run is no function"):
        read_function("tfgen.cli.runs.close_run")


def test_errors_can_be_traced(monkeypatch):
    monkeypatch.setitem(os.environ, "TFGEN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown command"):
        app().run(["paint"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lr=3"], "flag --lr is called --learning_rate here: the optimizer's learning rate"),
        (["--lr", "3"], "flag --lr is called --learning_rate here"),
        (["--batch=64"], "flag --batch is called --batch_size here"),
        (["--batch-size=64"], "flag --batch-size is written --batch_size"),
        (["--imageSize=64"], "flag --imageSize is written --image_size"),
        (["--latent_dim=64"], "flag --latent_dim is called --latent_size here"),
        (["--outdir=x"], "flag --outdir is called --run_dir here"),
        (["--pretrained=x"], "flag --pretrained is called --start_from here"),
        (["--log_dir=x"], "flag --log_dir is called --run_dir here"),
        (["--output=x"], "--output=x names what sample and evaluate write: a training writes into --run_dir"),
        (["--hidden_dim=4"], "flag --hidden_dim is called --hidden here"),
        (["--lr_schedule=cosine"], "flag --lr_schedule is called --schedule here"),
        (["--data=x"], "flag --data is called --dataset here"),
        (["--weight_decay=1"], "--optimizer=adamw:weight_decay=0.01"),
        (["--gpu=0"], "there is no flag --gpu: a training takes the first GPU"),
        (["--num_workers=2"], "no processes are started to read data"),
        (["--wandb"], "metrics.csv and TensorBoard's files are always written to --run_dir"),
        (["--eval"], "what to do is a word, not a flag: python -m apps.vae evaluate --run_dir=DIR"),
        (["--rnn_cells=3"], "Unknown command line flag 'rnn_cells'"),
        (["--seq_len=9"], "flag --seq_len is called --window here: steps of an example cut from"),
        (["--n_clusters=3"], "this model has nothing that bears the name elsewhere"),
        (["--checkpoint=runs/a"], "be one of <best|last>; a run's directory is named by --run_dir"),
        (["--epochs=10"], "10 passes over the 1293 training examples of digits in batches of 128"),
        (["--num_epochs", "2", "--batch_size=100"], "batches of 100 are --steps=26"),
        (["--epochs=ten"], "the length of a training is said in --steps here, each with a batch of"),
        (["--epochs=3", "--lr=1"], "the length of a training is said in --steps here"),
        (["--optimizer=foo"], "optimizer 'foo' is none of Keras': adadelta, adafactor, "),
        (["--optimizer=momentum"], "others are arguments of these, as momentum is of sgd"),
        (["--optimizer=sgd:beta=1"], "optimizer 'sgd' takes no beta, it takes learning_rate, momentum"),
        (["--optimizer=sgd:momentum"], "takes NAME, NAME:ARGUMENT=VALUE"),
        (["--optimizer=vae=sgd;adam"], "takes NAME, NAME:ARGUMENT=VALUE"),
        (["--optimizer=gan=sgd"], "optimizer names 'gan', which is neither a stage (main) nor an update"),
        (["--optimizer=sgd:learning_rate=2", "--learning_rate=1"], "exclude each other: leave one out"),
        (["--schedule=step"], "--schedule=step: value should be one of <constant|cosine|linear>"),
        (["--warmup=20"], "warmup=20 leaves none of the 20 steps of stage 'main'"),
        (["--warmup=-1"], "--warmup=-1: takes an integer of at least 0"),
        (["--input=x"], "--input=x: a training reads --dataset, as in --dataset=file:PATH"),
        (["sample", "--input=x", "--prompt=y"], "--input=x and --prompt exclude each other"),
        (["export", "--input=x"], "an export reads nothing"),
    ],
)  # fmt: skip
def test_names_of_other_programs_get_a_hint(capsys, tmp_path, arguments, said):
    assert said in fails(capsys, *arguments, f"--run_dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_hints_name_each_flag_once_and_only_flags_that_there_are():
    from tfgen.cli import hints

    tables = (hints._SAME, hints._SAID, hints._COMMANDS)
    every = [name for table in tables for names in table.values() for name in names.split()]
    assert sorted(every) == sorted(set(every)) and not set(every) & set(hints.EPOCHS)
    known = set()
    for file in sorted((ROOT / "apps").glob("*.py")):
        (path,) = re.findall(r'"(tfgen\.[\w.]+)"', file.read_text())
        if "TaskApp(" in file.read_text():
            continue
        made = App(path)
        values, _ = flagset.define(made.model, made.defaults, {}, {})
        known |= set(values)
        for name in set(every) - set(values):
            found = hints.hint(name, values, "tfgen x")
            assert found and "\n" not in found
            assert set(re.findall(r"is called --(\w+) here", found)) <= set(values)
    assert {flag for flags_here in hints._SAME for flag in flags_here.split()} <= known


def test_h_is_help(capsys):
    assert says(capsys, "-h") == says(capsys, "--help") == says(capsys, "help")
    shown = says(capsys, "-h")
    for flag in ("--optimizer=adam ", "--schedule=constant ", "--warmup=0 ", "--input= "):
        assert flag in shown
    TaskApp(surprise).main(["-h"])
    assert "--model_run= " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("adamw", {"name": "adamw"}),
        ("sgd:momentum=0.9,nesterov=True", {"name": "sgd", "momentum": 0.9, "nesterov": True}),
        ("adam:beta_1=0.5,epsilon=1e-07", {"name": "adam", "beta_1": 0.5, "epsilon": 1e-07}),
        (
            "critic=adam:learning_rate=0.0004;actor=sgd",
            {"critic": {"name": "adam", "learning_rate": 0.0004}, "actor": {"name": "sgd"}},
        ),
    ],
)
def test_optimizers_are_read_and_written_alike(text, means):
    made = App("tfgen.variational.VAE", optimizer=means)
    values, _ = flagset.define(made.model, made.defaults, {}, {})
    assert values["optimizer"].value == means and flagset.text_of(means) == text
    values(["vae", f"--optimizer={text}"])
    assert values["optimizer"].value == means


@pytest.mark.slow
def test_a_run_says_what_it_is_and_keeps_its_optimizer(tmp_path, capsys):
    run = trains(
        "Pixels", tmp_path / "run", "--optimizer=sgd:momentum=0.5", "--schedule=cosine", "--warmup=5",
        "--learning_rate=2",
    )  # fmt: skip
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("data: digits: 8x8 grey images in 2 levels, 1293 train")
    cores = len(os.sched_getaffinity(0))
    assert said[1] == (
        f"model: Pixels, 64 parameters (256 bytes); {cores} CPU core{'s' * (cores > 1)}; XLA off; float32; "
        "20 steps of 16, 0.247 times through the data; sgd:momentum=0.5 at 2, cosine, 5 of warm-up"
    )
    config = json.loads((run / "config.json").read_text())
    momentum = {"name": "sgd", "momentum": 0.5}
    assert config["optimizer"] == config["flags"]["optimizer"] == momentum
    assert (config["flags"]["schedule"], config["flags"]["warmup"]) == ("cosine", 5)
    toy = App("tests.cli_toys.Pixels", binarize="threshold", steps=20, batch_size=16, checkpoint_every=10)
    for given, refusal in (
        ("--optimizer=sgd", "was trained with --optimizer=sgd:momentum=0.5, got sgd; leave --optimizer out"),
        ("--schedule=linear", "was trained with --schedule=cosine, got linear"),
        ("--warmup=4", "was trained with --warmup=5, got 4"),
        ("--steps=30", "was trained with --schedule=cosine, by which the learning rate is 0 at step 20: "),
    ):
        with pytest.raises(ValueError, match=refusal):
            toy.main([f"--run_dir={run}", "--resume", given])
    toy.main([f"--run_dir={run}", "--resume", "--steps=20", "--optimizer=sgd:momentum=0.5"])
    assert "the run is finished" in capsys.readouterr().out
    # A constant rate goes on, after its warm-up too.
    run = trains("Pixels", tmp_path / "warm", "--warmup=5")
    straight = trains("Pixels", tmp_path / "straight", "--warmup=5", "--steps=30")
    toy.main([f"--run_dir={run}", "--resume", "--steps=30"])
    assert (run / "metrics.csv").read_text() == (straight / "metrics.csv").read_text()
    assert "fit/learning_rate" in (run / "metrics.csv").read_text()


@pytest.mark.slow
def test_runs_without_these_flags_go_on_as_they_were(tmp_path):
    run = trains("Pixels", tmp_path / "run")
    straight = trains("Pixels", tmp_path / "straight", "--steps=30")
    config = json.loads((run / "config.json").read_text())
    for name in ("optimizer", "schedule", "warmup"):
        del config["flags"][name]
    (run / "config.json").write_text(json.dumps(config | {"optimizer": "adam"}))
    toy = App("tests.cli_toys.Pixels", binarize="threshold", steps=20, batch_size=16, checkpoint_every=10)
    with pytest.raises(ValueError, match="was trained with --schedule=constant, got cosine"):
        toy.main([f"--run_dir={run}", "--resume", "--schedule=cosine"])
    toy.main([f"--run_dir={run}", "--resume", "--steps=30"])
    assert (run / "metrics.csv").read_text() == (straight / "metrics.csv").read_text()


@pytest.mark.parametrize(
    "flag", ["optimizer=sgd", "schedule=cosine", "warmup=3", "learning_rate=1", "ema=0.9"]
)
def test_models_without_gradients_refuse_what_is_about_them(tmp_path, flag):
    mixture = App("tfgen.classical.GaussianMixture", dataset="gaussians25", steps=18, batch_size=1000)
    name = flag.partition("=")[0]
    with pytest.raises(ValueError, match=f"GaussianMixture is trained without gradients: leave --{name} out"):
        mixture.main([f"--run_dir={tmp_path / 'run'}", f"--{flag}"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_own_files_are_evaluated_on_in_whole(tmp_path, capsys):
    """A table's rows and an array's, all of them, in the units of the training."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, 2)) * [1.0, 50.0] + [3.0, 100.0]
    other = rng.normal(size=(5, 2)) * [2.0, 30.0] + [3.0, 90.0]
    for name, x in (("train", table), ("other", other)):
        lines = ["a,b", *(f"{a:.6f},{b:.6f}" for a, b in x)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    run = tmp_path / "run"
    mixture = App("tfgen.classical.GaussianMixture", num_components=1, steps=6, batch_size=10)
    mixture.main([f"--dataset=file:{tmp_path / 'train.csv'}", f"--run_dir={run}"])
    mixture.main(["evaluate", f"--run_dir={run}", f"--input={tmp_path / 'other.csv'}", "--output=other"])
    report = json.loads((run / "evaluations/other.json").read_text())
    model, data, _ = open_run(run)
    x = (np.round(other, 6) - data.mean) / data.deviation
    assert report["metrics"]["nats"]["examples"] == 5
    assert report["metrics"]["nats"]["value"] == pytest.approx(-np.mean(model.log_prob(x)), rel=1e-5)
    for words, said in (
        (["--input=/nowhere.csv"], "there is no such file or folder"),
        (["--input=x", "--dataset=y"], "--input=x and --dataset exclude each other"),
    ):
        with pytest.raises(ValueError, match=said):
            mixture.main(["evaluate", f"--run_dir={run}", *words])
    with pytest.raises(ValueError, match="GaussianMixture neither answers or continues texts nor completes"):
        mixture.main(["sample", f"--run_dir={run}", f"--input={tmp_path / 'other.csv'}"])


@pytest.mark.slow
def test_pictures_are_completed(tmp_path, capsys):
    from PIL import Image

    pixels = App("tfgen.autoregressive.FVBN", binarize="threshold", steps=2, batch_size=100)
    run = tmp_path / "run"
    pixels.main([f"--run_dir={run}"])
    (tmp_path / "own").mkdir()
    picture = np.zeros((16, 16), np.uint8)
    picture[:8, :8] = 255
    for number in range(2):
        Image.fromarray(np.rot90(picture, number)).save(tmp_path / f"own/{number}.png")
    pixels.main(["sample", f"--run_dir={run}", f"--input={tmp_path / 'own'}", "--output=two", "--keep=0.75"])
    found = np.load(run / "samples/two/samples.npy")
    halves = np.zeros((2, 8, 8), np.uint8)
    halves[0, :4, :4], halves[1, 4:, :4] = 1, 1
    assert found.shape == (2, 8, 8, 1) and (run / "samples/two/samples_given.png").exists()
    np.testing.assert_array_equal(found[:, :6, :, 0], halves[:, :6])
    one = f"--input={tmp_path / 'own/0.png'}"
    pixels.main(["sample", f"--run_dir={run}", one, "--num=5", "--output=five"])
    five = np.load(run / "samples/five/samples.npy")
    assert five.shape == (5, 8, 8, 1) and len({row.tobytes() for row in five}) > 1
    np.testing.assert_array_equal(five[:, :4, :, 0], np.repeat(halves[:1, :4], 5, axis=0))
    with pytest.raises(ValueError, match="--keep=1.0: takes a share between 0 and 1"):
        pixels.main(["sample", f"--run_dir={run}", one, "--keep=1"])


@pytest.mark.slow
def test_a_file_of_prompts_is_continued_line_by_line(tmp_path, capsys):
    (tmp_path / "book.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 20)
    texts = App("tfgen.autoregressive.CharRNN", steps=2, batch_size=4, length=20, units=8)
    run = tmp_path / "run"
    texts.main([f"--dataset=file:{tmp_path / 'book.txt'}", "--window=20", f"--run_dir={run}", "--jit=off"])
    (tmp_path / "prompts.txt").write_text("the cat\n\nsat on the\na\n")
    given = f"--input={tmp_path / 'prompts.txt'}"
    texts.main(["sample", f"--run_dir={run}", given, "--output=three"])
    written = (run / "samples/three/samples.txt").read_text().rstrip("\n").split("\n\n----\n\n")
    assert [len(text) for text in written] == [20, 20, 20]
    assert [w.startswith(p) for w, p in zip(written, ("the cat", "sat on the", "a"), strict=True)] == [
        True
    ] * 3
    texts.main(["sample", f"--run_dir={run}", given, "--num=5", "--output=five", "--length=12"])
    written = (run / "samples/five/samples.txt").read_text().rstrip("\n").split("\n\n----\n\n")
    assert [w[:3] for w in written] == ["the", "sat", written[2][:3], "the", "sat"] and len(written[0]) == 12
    (tmp_path / "prompts.txt").write_text("a\n" + "the cat sat on the mat and the dog\n")
    with pytest.raises(
        ValueError, match="the prompt 'the cat sat .*' has 34 characters, a sample of CharRNN 20"
    ):
        texts.main(["sample", f"--run_dir={run}", given])
    (tmp_path / "prompts.txt").write_text("\n\n")
    with pytest.raises(ValueError, match=r"prompts.txt has no lines: write one for each sample"):
        texts.main(["sample", f"--run_dir={run}", given])


@pytest.mark.slow
def test_a_file_is_answered_line_by_line(tmp_path, capsys):
    lines = ['{"turns": ["hi", "hello there"]}', '{"turns": ["bye", "see you"]}'] * 8
    (tmp_path / "chats.jsonl").write_text("\n".join(lines) + "\n")
    dialogues = App(
        "tfgen.autoregressive.DialogueModel", steps=60, batch_size=4, units=16, embedding=8,
        learning_rate=0.03, commands={"chat": "answer lines"},
    )  # fmt: skip
    run = tmp_path / "run"
    dialogues.main([f"--dataset=file:{tmp_path / 'chats.jsonl'}", f"--run_dir={run}", "--jit=off"])
    (tmp_path / "said.txt").write_text("hi\n\nbye\n")
    given = f"--input={tmp_path / 'said.txt'}"
    dialogues.main(["sample", f"--run_dir={run}", given, "--temperature=0", "--output=two"])
    written = (run / "samples/two/samples.txt").read_text().rstrip("\n").split("\n\n----\n\n")
    assert written == ["- hi\n> hello there", "- bye\n> see you"]
    capsys.readouterr()
    dialogues.main(["chat", f"--run_dir={run}", given])
    replies = capsys.readouterr().out.splitlines()[1:]
    assert len(replies) == 2 and replies[0] == "hello there" and sys.stdin is not None
