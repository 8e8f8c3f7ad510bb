"""The installed package: its wheel, the command `tfgen`, names and files that find their classes."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tfgen
from tests.test_project import imports
from tfgen import on_demand
from tfgen.cli.main import apps
from tfgen.cli.program import program

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BASE = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(r) for r in rows] for name, rows in PROJECT["optional-dependencies"].items()}


def pins(file):
    """Reads exact pins: {canonical name: version}."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text("utf-8").splitlines()]
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if line}


def named(requirements):
    return {canonicalize_name(requirement.name) for requirement in requirements}


def test_every_pin_lies_in_its_range_and_nothing_else_is_pinned():
    pinned = pins("requirements.txt")
    for requirement in [*BASE, *EXTRAS["test"]]:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement
    assert set(pinned) == named(BASE) | named(EXTRAS["test"])
    benchmarks = pins("tests/benchmarks/requirements.txt")
    for requirement in EXTRAS["bench"]:
        assert requirement.specifier.contains(benchmarks[canonicalize_name(requirement.name)]), requirement
    assert set(benchmarks) == named(EXTRAS["bench"])


def test_who_installs_tfgen_gets_no_test_tools():
    assert not named(BASE) & (named(EXTRAS["test"]) | named(EXTRAS["bench"]) | {"wheel", "pip"})
    assert {"pytest", "hypothesis", "ruff"} <= named(EXTRAS["test"])


# Distributions by the module that is imported, where the names differ.
DISTRIBUTIONS = {
    "PIL": "pillow", "absl": "absl-py", "google": "protobuf", "sklearn": "scikit-learn",
    "tensorflow_serving": "tensorflow-serving-api",
}  # fmt: skip


def test_everything_imported_is_declared():
    imported = set()
    for path in [*ROOT.glob("tfgen/**/*.py"), *ROOT.glob("apps/*.py")]:
        found = {parts[0] for _, parts in imports(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))}
        # What the guide to serving shows is run by a client.
        imported |= found - ({"grpc"} if path.name == "guide.py" else set())
    foreign = imported - set(sys.stdlib_module_names) - {"tfgen"}
    assert "tensorflow" in foreign and "sklearn" in foreign
    assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in foreign} <= named(BASE)


def test_one_version_everywhere():
    assert f'version = "{tfgen.__version__}"' in (ROOT / "MODULE.bazel").read_text("utf-8")
    assert f"\n## {tfgen.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel of this tree was installed, without what it depends on."""
    folder = tmp_path_factory.mktemp("packaging")
    # A copy, since setuptools builds inside the tree.
    source, target = folder / "source", folder / "installed"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("tfgen", "apps"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    offline = ["--no-index", "--no-deps"]
    wheel = ["wheel", *offline, "--no-build-isolation", f"--wheel-dir={folder}", str(source)]
    run([*pip, *wheel], folder)
    (found,) = folder.glob("*.whl")
    run([*pip, "install", *offline, f"--target={target}", str(found)], folder)
    return target


def run(command, folder, path="", code=0):
    """Runs a command in a folder, and returns what it said; `path` is where Python looks first."""
    env = {**os.environ, "PYTHONPATH": str(path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def tfgen_command(installed, folder, *words, code=0):
    """Runs the installed command `tfgen`."""
    return run([sys.executable, installed / "bin/tfgen", *words], folder, installed, code)


def test_the_wheel_holds_the_package_the_apps_and_nothing_else(installed):
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*.py")}
    ours = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tfgen/**/*.py")}
    assert files == ours | {f"tfgen/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("apps/*.py")}
    (metadata,) = importlib.metadata.distributions(name="tfgen", path=[str(installed)])
    assert metadata.version == tfgen.__version__ and metadata.metadata["License-Expression"] == "Apache-2.0"
    assert any("LICENSE" in str(file) for file in metadata.files)


@pytest.mark.slow
def test_the_installed_command_lists_every_app(installed, tmp_path):
    shown = tfgen_command(installed, tmp_path, "list").stdout.splitlines()
    assert [line.split()[0] for line in shown] == sorted(path.stem for path in ROOT.glob("apps/*.py"))
    assert all(len(line.split()) > 3 for line in shown)
    (vae,) = (line for line in shown if line.startswith("vae "))
    assert "Variational autoencoder (Kingma & Welling 2013)" in vae
    assert tfgen_command(installed, tmp_path, "--version").stdout == f"tfgen {tfgen.__version__}\n"
    assert tfgen_command(installed, tmp_path).stdout.count("tfgen list") == 1


def test_the_installed_command_shows_an_apps_help_at_once(installed, tmp_path):
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        shown = tfgen_command(installed, tmp_path, "vae", "--help").stdout
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1
    assert "\nusage: tfgen vae [train|" in shown and "--latent_size=16" in shown
    assert "\ntfgen vae --latent_size=16\n" in shown and "python -m" not in shown
    same = run([sys.executable, "-m", "apps.vae", "--help"], ROOT).stdout
    assert "\nusage: python -m apps.vae [train|" in same
    assert same.replace("python -m apps.vae", "tfgen vae") == shown


@pytest.mark.slow
def test_the_installed_command_trains_and_names_itself(installed, tmp_path):
    tiny = ["--steps=10", "--hidden=8", "--latent_size=2", "--importance_samples=2", "--num=4"]
    tfgen_command(installed, tmp_path, "vae", "--run_dir=a run", *tiny)
    report = json.loads((tmp_path / "a run/metrics.json").read_text())
    assert report["command"] == f"tfgen vae '--run_dir=a run' {' '.join(tiny)}"
    assert (tmp_path / "a run/samples.png").exists() and (tmp_path / "a run/export/1/saved_model.pb").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vea"], "no model 'vea', did you mean vae? (tfgen list shows all)"),
        (["PixelCNN++"], "no model 'PixelCNN++', did you mean pixel_cnn? (tfgen list shows all)"),
        (["pixel-rnn"], "no model 'pixel-rnn', did you mean pixel_rnn? (tfgen list shows all)"),
        (["GaussianMixture"], "no model 'GaussianMixture', did you mean gmm? (tfgen list shows all)"),
        (["xyz"], "no model 'xyz' (tfgen list shows all)"),
        (["--steps=5"], "--steps=5 stands before any model: write tfgen MODEL --steps=5."),
        (["list", "vae"], "unexpected argument 'vae': tfgen list takes none."),
        (["vae", "--latent_sise=2"], "Unknown command line flag 'latent_sise'. Did you mean: latent_size ?"),
    ],
)
def test_mistakes_are_said_in_one_line(installed, tmp_path, words, said):
    done = tfgen_command(installed, tmp_path, *words, code=2)
    assert done.stderr == f"error: {said}\n" and done.stdout == ""


def test_every_app_of_the_clone_is_found():
    assert apps() == {path.stem: path for path in ROOT.glob("apps/*.py")}
    for path in apps().values():
        assert re.search(r"^app = ", path.read_text("utf-8"), re.MULTILINE), path


@pytest.mark.parametrize(
    ("started", "named"),
    [
        ("tfgen vae", "tfgen vae"),
        ("python -m tfgen vae", "python -m tfgen vae"),
        ("/usr/bin/pytest", "python -m apps.vae"),
    ],
)
def test_messages_name_the_command_that_was_used(monkeypatch, started, named):
    monkeypatch.setattr(sys, "argv", [started, "--steps=3"])
    assert program("vae") == named


def test_import_is_quick_and_names_are_found_without_tensorflow():
    code = """
        import sys, time
        began = time.perf_counter()
        import tfgen
        imported = time.perf_counter() - began
        named = {"VAE", "PixelCNN", "DCGAN", "data", "training", "__version__"} <= set(dir(tfgen))
        heavy = {"tensorflow", "keras", "numpy", "absl"} & set(sys.modules)
        print(imported < 0.2, named, heavy)
        try:
            tfgen.VEA
        except AttributeError as error:
            print(error, "keras" in sys.modules)
    """
    said = run([sys.executable, "-c", code.replace("\n        ", "\n")], ROOT).stdout.splitlines()
    assert said == ["True True set()", "module 'tfgen' has no attribute 'VEA' False"]


def test_every_public_name_is_the_familys_class():
    assert {"VAE", "PixelCNN", "RBM", "GAN", "GaussianMixture"} <= on_demand.models().keys()
    for name, family in on_demand.models().items():
        assert getattr(tfgen, name) is getattr(getattr(tfgen, family), name)
    assert tfgen.data.load("digits").event_shape == (8, 8, 1)


def test_no_name_belongs_to_two_families():
    families = [getattr(tfgen, name) for name in on_demand.FAMILIES if name in dir(tfgen)]
    exported = [name for family in families for name in family.__all__]
    assert len(families) >= 5 and sorted(exported) == sorted(on_demand.models())


SAVE = """
import keras
import numpy as np
import tfgen
from tests.test_project import imports
from tfgen.layers import MaskedConv2D

x = (np.arange(2 * 6).reshape(2, 2, 3, 1) % 2).astype("float32")
models = {
    "vae": tfgen.VAE((2, 3, 1), latent_size=2, hidden=(4,), prior="mixture"),
    "pixels": tfgen.PixelCNN((2, 3, 1), filters=4, num_blocks=1, hidden=3, head=3),
    "gan": tfgen.GAN((2, 3, 1)),
    "layer": keras.Sequential([keras.Input((2, 3, 1)), MaskedConv2D(2, 3, "A")]),
}
for name, model in models.items():
    model.save(f"{name}.keras")
figures = {name: models[name].log_prob(x).numpy().tolist() for name in ("pixels",)}
figures["gan"] = models["gan"].sample(2, seed=3).numpy().ravel().tolist()
figures["vae"] = models["vae"].log_prob(x, seed=3).numpy().tolist()
figures["layer"] = np.ravel(models["layer"](x)).tolist()
"""
LOAD = """
import sys
{imports}
import numpy as np

assert not any(name.startswith("tfgen.variational") for name in sys.modules)
x = (np.arange(2 * 6).reshape(2, 2, 3, 1) % 2).astype("float32")
load = keras.saving.load_model
figures = {{
    "layer": np.ravel(load("layer.keras")(x)).tolist(),
    "vae": load("vae.keras").log_prob(x, seed=3).numpy().tolist(),
    "pixels": load("pixels.keras").log_prob(x).numpy().tolist(),
    "gan": load("gan.keras").sample(2, seed=3).numpy().ravel().tolist(),
}}
"""
PRINT = "import json; print(json.dumps(figures))"


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras_files")
    said = run([sys.executable, "-c", SAVE + PRINT], folder, ROOT).stdout
    # As in a file that was written when the model's module stood elsewhere.
    with zipfile.ZipFile(folder / "vae.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    assert config["module"].startswith("tfgen.variational")
    content["config.json"] = json.dumps(config | {"module": "tfgen.moved.vae"}).encode()
    with zipfile.ZipFile(folder / "vae.keras", "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return folder, json.loads(said.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("imports", ["import tfgen\nimport keras", "import keras\nimport tfgen"])
def test_keras_files_open_in_a_process_that_only_imported_tfgen(keras_files, imports):
    folder, figures = keras_files
    said = run([sys.executable, "-c", LOAD.format(imports=imports) + PRINT], folder, ROOT).stdout
    for name, values in json.loads(said.splitlines()[-1]).items():
        assert values == pytest.approx(figures[name], rel=1e-5, abs=1e-6), name


@pytest.mark.slow
def test_every_class_that_tfgen_registers_is_known_beforehand():
    code = """
        import importlib, json, pkgutil
        import keras
        import tfgen
        from tfgen import on_demand
        beforehand = {k: f"{d.module}.{d.name}" for k, d in on_demand.registered().items()}
        for module in pkgutil.walk_packages(tfgen.__path__, "tfgen."):
            importlib.import_module(module.name)
        table = {k: v for k, v in keras.saving.get_custom_objects().items() if k.startswith("tfgen>")}
        assert not any(isinstance(cls, on_demand.Deferred) for cls in table.values())
        classes = {k: f"{v.__module__}.{v.__name__}" for k, v in table.items() if isinstance(v, type)}
        print(json.dumps([beforehand, classes]))
    """
    said = run([sys.executable, "-c", code.replace("\n        ", "\n")], ROOT).stdout
    beforehand, classes = json.loads(said.splitlines()[-1])
    assert beforehand.keys() == classes.keys() and len(classes) > 20
