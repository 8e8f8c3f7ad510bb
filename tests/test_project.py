"""The project's own rules: which module imports which, sizes, pins, and what README.md says."""

import ast
import importlib
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import programs
from tfgen.on_demand import FAMILIES

# Not resolved: where files are links into a sandbox, the tests read the sandbox's tree.
ROOT = Path(__file__).parent.parent

LEAVES = {"random", "checks", "media", "progress", "stored"}
CONTRACT = {"model", "space", "update", "keras_model"}
FAMILY_MAY = {*LEAVES, *CONTRACT, "distributions", "layers", "networks", "estimators", "environments"}
# What each part of tfgen may import of tfgen, besides itself.
MAY_IMPORT = {
    "random": set(),
    "stored": set(),
    "checks": {"stored"},
    "media": set(),
    "progress": set(),
    "environments": set(),
    "data": {"media", "progress", "stored", "environments"},
    "update": {"random", "checks"},
    "keras_model": {"random", "checks", "update"},
    "space": {"random", "checks", "media", "stored"},
    "model": {*LEAVES, *CONTRACT},
    "distributions": {*LEAVES, *CONTRACT},
    "layers": {*LEAVES, *CONTRACT, "distributions"},
    "networks": {*LEAVES, "update", "keras_model", "layers"},
    "estimators": {*LEAVES, *CONTRACT, "distributions"},
    "evaluation": {*LEAVES, *CONTRACT, "estimators"},
    "serving": {*LEAVES, *CONTRACT},
    "training": {*LEAVES, *CONTRACT, "data"},
    "tasks": {*LEAVES, *CONTRACT, "estimators", "evaluation"},
    **dict.fromkeys(FAMILIES, FAMILY_MAY),
}
MAY_IMPORT["cli"] = set(MAY_IMPORT) - set(FAMILIES)
MAY_IMPORT["on_demand"] = set()
MAY_IMPORT["__main__"] = {"cli"}
APP_MAY = {"cli"}
# Models composed of another family's, by their papers: "family.module" -> families it imports.
COMPOSED: dict[str, set[str]] = {
    "denoising.plug_and_play": {"variational"},
    "energy.deep_belief_net": {"variational"},
    "variational.pixel_vae": {"autoregressive"},
    "variational.vq_vae": {"autoregressive"},
    "variational.vq_vae_2": {"autoregressive"},
}


def sources(*folders):
    """Reads every Python file under `folders`: {path relative to the root: text}."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


def module_parts(path):
    """`tfgen/energy/rbm.py` -> (tfgen, energy, rbm); a package's `__init__.py` -> the package."""
    parts = tuple(path.removesuffix(".py").split("/"))
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path, text):
    """Yields (line, dotted parts) of each import, also within functions; relative made absolute."""
    package = module_parts(path) if path.endswith("__init__.py") else module_parts(path)[:-1]
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield node.lineno, (*base, alias.name)


def may_import(path, composed):
    """Returns the parts of tfgen a file may import, or None where the house has no such file."""
    parts = module_parts(path)
    if parts[0] == "apps":
        return APP_MAY
    if len(parts) == 1:
        return {"on_demand"}
    if parts[1] not in MAY_IMPORT:
        return None
    return MAY_IMPORT[parts[1]] | {parts[1]} | composed.get(".".join(parts[1:]), set())


def wrong_imports(files, composed):
    """Lists `file:line: reason` for every import that goes against the direction."""
    wrong = []
    for path, text in files.items():
        allowed = may_import(path, composed)
        if allowed is None:
            wrong.append(f"{path}:1: no such part of tfgen; parts are {', '.join(MAY_IMPORT)}")
            continue
        for line, target in imports(path, text):
            top, part = target[0], target[1] if len(target) > 1 else "everything"
            if top == "tfgen" and part not in allowed:
                may = ", ".join(sorted(allowed)) or "nothing"
                wrong.append(f"{path}:{line}: imports tfgen.{part}; of tfgen it may import {may}")
            elif top in ("apps", "tests") and not (path.startswith("apps/") and top == "apps"):
                wrong.append(f"{path}:{line}: imports {top}, which stands after it")
    return wrong


def test_imports_point_one_way():
    files = sources("tfgen", "apps")
    assert "tfgen/model.py" in files
    wrong = wrong_imports(files, COMPOSED)
    assert not wrong, "\n" + "\n".join(wrong)


def circles(files):
    """Lists the modules that come back to themselves by imports, also by those within functions."""
    graph = {".".join(module_parts(path)): set() for path in files}
    for path, text in files.items():
        for _, target in imports(path, text):
            # What is imported is a module or a name in one.
            found = next((t for t in (".".join(target), ".".join(target[:-1])) if t in graph), None)
            if found and not path.endswith("__init__.py") and found != "tfgen":
                graph[".".join(module_parts(path))].add(found)
    reached = {}
    for start in graph:
        reached[start], waiting = set(), list(graph[start])
        while waiting:
            if (module := waiting.pop()) not in reached[start]:
                reached[start].add(module)
                waiting += graph[module]
    return sorted(module for module in graph if module in reached[module])


def test_no_module_comes_back_to_itself():
    assert circles(sources("tfgen")) == []
    planted = {
        "tfgen/data/dataset.py": "def f():\n    from tfgen.data.arrays import g\n",
        "tfgen/data/arrays.py": "from tfgen.data import folder\n",
        "tfgen/data/folder.py": "from .dataset import Data\n",
        "tfgen/data/points.py": "from tfgen.data import folder\n",
    }
    assert circles(planted) == ["tfgen.data.arrays", "tfgen.data.dataset", "tfgen.data.folder"]


def test_composed_models_exist_and_still_import_what_they_list():
    for name, families in COMPOSED.items():
        path = f"tfgen/{name.replace('.', '/')}.py"
        targets = [target for _, target in imports(path, (ROOT / path).read_text("utf-8"))]
        found = {target[1] for target in targets if target[0] == "tfgen"}
        assert families <= found, f"{path} no longer imports {families - found}"


@pytest.mark.parametrize(
    ("path", "text", "line", "part"),
    [
        ("tfgen/random.py", "import math\nimport tfgen.model\n", 2, "model"),
        ("tfgen/update.py", "from tfgen import model\n", 1, "model"),
        ("tfgen/model.py", "def f():\n    from tfgen.layers import masked\n", 2, "layers"),
        ("tfgen/data/digits.py", "from tfgen.random import uniform\n", 1, "random"),
        ("tfgen/media/text.py", "from tfgen import checks\n", 1, "checks"),
        ("tfgen/media/pictures.py", "from .. import random\n", 1, "random"),
        ("tfgen/distributions/logistic.py", "from ..layers.masked import M\n", 1, "layers"),
        ("tfgen/training/loop.py", "\n\nfrom tfgen.energy import RBM\n", 3, "energy"),
        ("tfgen/serving/__init__.py", "from ..training import train\n", 1, "training"),
        ("tfgen/evaluation/report.py", "import tfgen.energy.rbm as rbm\n", 1, "energy"),
        ("tfgen/energy/rbm.py", "from ..variational.vae import VAE\n", 1, "variational"),
        ("tfgen/cli.py", "from .adversarial import GAN\n", 1, "adversarial"),
        ("tfgen/cli.py", "import tfgen\n", 1, "everything"),
        ("tfgen/__init__.py", "from tfgen import random\n", 1, "random"),
        ("apps/vae.py", "import absl\nfrom tfgen.variational import VAE\n", 2, "variational"),
    ],
)
def test_a_planted_import_is_reported(path, text, line, part):
    (report,) = wrong_imports({path: text}, {})
    assert report.startswith(f"{path}:{line}: imports tfgen.{part};")


def test_a_planted_stranger_is_reported():
    (report,) = wrong_imports({"tfgen/common.py": ""}, {})
    assert report.startswith("tfgen/common.py:1: no such part")
    (report,) = wrong_imports({"tfgen/cli.py": "from apps import vae\n"}, {})
    assert report.startswith("tfgen/cli.py:1: imports apps")


def test_right_imports_pass():
    right = {
        "tfgen/update.py": "from tfgen import random\n",
        "tfgen/energy/dbn.py": "from .rbm import RBM\nfrom tfgen.layers import Masked\n",
        "tfgen/networks/__init__.py": "from ..layers.masked import Masked\nimport keras\n",
        "tfgen/variational/pixel_vae.py": "from tfgen.autoregressive import PixelCNN\n",
        "tfgen/cli.py": "from . import training\nfrom .data import digits\n",
        "apps/vae.py": "from tfgen import cli\n",
    }
    assert wrong_imports(right, {"variational.pixel_vae": {"autoregressive"}}) == []
    assert len(wrong_imports(right, {})) == 1


def test_files_are_named_for_what_they_hold():
    named = [path for path in sources("tfgen", "apps", "tests") if re.search(r"util|helper", path)]
    assert not named


def test_import_tfgen_is_cheap():
    code = (
        "import sys, tfgen; heavy = ('tensorflow', 'keras', 'tf_keras', 'numpy', 'scipy', 'PIL',"
        " 'sklearn', 'matplotlib', 'tensorflow_probability', 'tensorflow_datasets');"
        " print([name for name in heavy if name in sys.modules])"
    )
    assert run([sys.executable, "-c", code]).stdout.strip() == "[]"


def requirements():
    """Reads requirements.txt: [[distribution, version]]; a line must be an exact pin."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    pins = [line.split("==") for line in lines if line]
    assert all(len(pin) == 2 for pin in pins), "requirements.txt: a line is not NAME==VERSION"
    return pins


# Where the module is not the distribution's name with underscores.
MODULES = {
    "absl-py": "absl",
    "Pillow": "PIL",
    "protobuf": "google.protobuf",
    "pytest-xdist": "xdist",
    "scikit-learn": "sklearn",
    "tensorflow-serving-api": "tensorflow_serving.apis.predict_pb2",
}


@pytest.mark.parametrize(("name", "version"), requirements())
def test_requirement_is_installed_as_pinned(name, version):
    assert importlib.metadata.version(name) == version
    importlib.import_module(MODULES.get(name, name.replace("-", "_")))


def test_tensorflow_probability_pins_hold_together():
    import tensorflow_probability as tfp

    # The package is lazy: only touching it finds out whether its tf-keras is there.
    assert float(tfp.distributions.Normal(0.0, 1.0).cdf(0.0)) == 0.5


def run(command, folder=ROOT):
    """Runs a command that must succeed, with the project importable, and returns what it said."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


DOCUMENTS = {p: p.read_text("utf-8") for p in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")))}


def snippets(language):
    """Finds the documents' fenced blocks of a language: [pytest.param(text, id=file and line)]."""
    return [
        pytest.param(found[1], id=f"{path.name}:{text.count(chr(10), 0, found.start()) + 1}")
        for path, text in DOCUMENTS.items()
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def commands():
    """Finds the commands of the documents' shell blocks, a continued line being one command."""
    blocks = "\n".join(block.values[0] for block in snippets("bash"))
    lines = [line.strip() for line in blocks.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if shlex.split(line, comments=True)]


def test_every_snippet_names_a_language_that_is_tested():
    for text in DOCUMENTS.values():
        fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
        assert set(fences[0::2]) <= {"python", "bash", "text"} and set(fences[1::2]) <= {""}


@pytest.mark.slow
@pytest.mark.parametrize("snippet", snippets("python"))
def test_python_snippet_runs(snippet, tmp_path):
    done = programs.run(["-c", snippet], tmp_path)
    assert done.returncode == 0, f"{snippet}\n{done.stdout}\n{done.stderr}"


def app_commands():
    """Finds the documents' commands that start an app: [[app, argument, ...]]."""
    found = []
    for program, *words in commands():
        if program == "tfgen" and words != ["list"]:
            found.append(words)
        elif program.endswith("python"):
            assert words[0] == "-m" and words[1].startswith("apps.")
            found.append([words[1].removeprefix("apps."), *words[2:]])
    return found


@pytest.mark.parametrize("command", app_commands(), ids=shlex.join)
def test_app_command_is_accepted(command):
    app, *arguments = command
    shown = run([sys.executable, "-m", "tfgen", app, *arguments, "--help"]).stdout
    assert f"usage: python -m tfgen {app} " in shown
    flags = [argument for argument in arguments if argument.startswith("-")]
    for name in (flag.lstrip("-").partition("=")[0] for flag in flags):
        assert re.search(rf"--(\[no\])?{name}\b", shown), f"--help does not know --{name}"


def test_make_commands_are_targets():
    named = {target for command in commands() if command[0] == "make" for target in command[1:]}
    assert {"demo", "test"} <= named
    targets = re.findall(r"^([\w.]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert named <= set(targets)


def test_make_without_the_right_python_says_so_in_one_line(tmp_path):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    wrong = tmp_path / "python"
    wrong.write_text("#!/bin/sh\nexit 1\n")
    wrong.chmod(0o755)
    said = make_fails(tmp_path, f"PYTHON={wrong}", "demo")
    assert said.startswith("error: no Python 3.11") and str(wrong) in said
    assert not (tmp_path / ".venv").exists()


def make_fails(folder, *words):
    """Runs make, which must fail, and returns the one line in which it says why."""
    done = subprocess.run(["make", "-s", *words], cwd=folder, capture_output=True, text=True)
    said, *rest = done.stderr.splitlines()
    # The other line is make's own.
    assert done.returncode != 0 and len(rest) <= 1
    return said


@pytest.mark.parametrize(("name", "target"), [(".venv", "demo"), (".venv-bench", "bench")])
def test_make_leaves_alone_what_a_linked_environment_points_to(tmp_path, name, target):
    clone, elsewhere = tmp_path / "clone", tmp_path / "elsewhere"
    for folder in (clone, clone / "tests/benchmarks", elsewhere):
        folder.mkdir(parents=True)
    for file in ("Makefile", "requirements.txt", "tests/benchmarks/requirements.txt"):
        shutil.copy(ROOT / file, clone / file)
    (elsewhere / "theirs").touch()
    (clone / name).symlink_to(elsewhere)
    said = make_fails(clone, target)
    assert said.startswith(f"error: {name} is a link") and "remove the link" in said
    assert [path.name for path in elsewhere.iterdir()] == ["theirs"]
