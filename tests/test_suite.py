"""The suite's own rules: what it costs is counted, learning has a tier, names are told apart."""

import ast
import collections
from pathlib import Path

import pytest

from tests import programs
from tests.costs import BESIDE, FAMILIES, LIMIT, REFERENCE, RUNNING, Costs, cpu_seconds, measure_speed

ROOT = Path(__file__).parent.parent


def parsed(folder):
    """Yields (path below the root, syntax tree) of the Python files in a folder and below."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def decorators(definition, name):
    """Calls of that name among the decorators of a class or function."""
    calls = [d for d in definition.decorator_list if isinstance(d, ast.Call)]
    return [d for d in calls if ast.unparse(d.func).split(".")[-1] == name]


def registered(trees):
    """{(package, name) under which Keras knows something: [where it is defined]}."""
    found = collections.defaultdict(list)
    for path, tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                continue
            for call in decorators(node, "register_keras_serializable"):
                given = dict(zip(("package", "name"), call.args, strict=False))
                given |= {keyword.arg: keyword.value for keyword in call.keywords}
                given = {key: ast.literal_eval(value) for key, value in given.items()}
                name = (given.get("package", "Custom"), given.get("name") or node.name)
                found[name].append(f"{path}:{node.lineno}")
    return found


def test_registered_names_are_unique():
    """Of two classes under one name Keras silently loads the later."""
    found = registered(parsed("tfgen"))
    assert len(found) > 30
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_a_planted_name_twice_is_noticed():
    text = "@keras.saving.register_keras_serializable({})\nclass {}:\n    pass\n"
    planted = (("'tfgen'", "A"), ("'tfgen', name='A'", "B"), ("'other'", "A"), ("package='tfgen'", "C"))
    found = registered([(f"{i}.py", ast.parse(text.format(*each))) for i, each in enumerate(planted)])
    assert found == {
        ("tfgen", "A"): ["0.py:2", "1.py:2"],
        ("other", "A"): ["2.py:2"],
        ("tfgen", "C"): ["3.py:2"],
    }


def test_targets_of_bazel_follow_from_the_tree():
    """Whatever BUILD names is there: each pattern, in its globs, and each single file."""
    nodes = list(ast.walk(ast.parse((ROOT / "BUILD").read_text("utf-8"))))
    globs = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "glob"]
    patterns = [pattern for n in globs for pattern in ast.literal_eval(n.args[0])]
    (data,) = (n.value for n in nodes if isinstance(n, ast.keyword) and n.arg == "data")
    assert len(patterns) >= 6 and "tests/**/test_*.py" in patterns
    # A pattern that ends in ** stands for files here, to pathlib for folders.
    assert [p for p in patterns if not any(ROOT.glob(p + "/*" * p.endswith("**")))] == []
    assert [name for name in ast.literal_eval(data.right) if not (ROOT / name).is_file()] == []


def marks_of_learning(tree):
    """Of each function of a file that has the mark `learn`: whether `make test` runs it too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for mark in node.decorator_list:
                if ast.unparse(mark).startswith("pytest.mark.learn"):
                    found.append(ast.unparse(mark) == "pytest.mark.learn(always=True)")
    return found


@pytest.mark.parametrize("family", [f for f in FAMILIES if (ROOT / "tests" / f).exists()])
def test_one_training_of_each_family_proves_learning_whenever_tests_run(family):
    marks = [mark for _, tree in parsed(f"tests/{family}") for mark in marks_of_learning(tree)]
    assert marks.count(True) == 1


def report(costs, nodeid, seconds, **properties):
    costs.add(nodeid, [("cpu_seconds", seconds), *properties.items()])


def test_costs_are_summed_by_case_and_by_file_and_held_against_the_budget():
    costs = Costs()
    report(costs, "tests/conformance/test_contract.py::test_a[VAE]@VAE", LIMIT - 1, case="VAE")
    report(costs, "tests/conformance/test_training.py::test_b[VAE]@VAE", 2.0, case="VAE")
    report(costs, "tests/conformance/test_training.py::test_b[RBM]@RBM", LIMIT - 1, case="RBM")
    report(costs, "tests/energy/test_rbm.py::test_c", LIMIT - 1)
    report(costs, "tests/energy/test_rbm.py::test_learns", 100.0, learning=True)
    report(costs, "tests/test_cli.py::test_d", 100.0)
    (line,) = costs.over_budget()
    assert line.startswith("VAE: 41 CPU-seconds of the reference, 40 at most")
    assert costs.files["tests/conformance/test_training.py"] == LIMIT + 1.0
    report(costs, "tests/energy/test_rbm.py::test_e", 1.5)
    assert [line.partition(":")[0] for line in costs.over_budget()] == ["VAE", "tests/energy/test_rbm.py"]
    # A machine of half the speed may take twice the time.
    for speed in (2 * REFERENCE, 2 * REFERENCE, 9 * REFERENCE):
        report(costs, "tests/test_cli.py::test_d", 0.0, speed=speed)
    assert costs.slowness == pytest.approx(2.0) and costs.over_budget() == []
    assert "VAE 41.0" in "\n".join(costs.lines())


def test_the_limit_is_that_of_one_worker_alone():
    for workers, over in ((1, 1), (2, 0)):
        costs = Costs()
        costs.workers = workers
        report(costs, "tests/energy/test_rbm.py::test_c", LIMIT * (1 + BESIDE) / 2)
        assert len(costs.over_budget()) == over


def test_seconds_of_this_process_and_of_what_it_runs_count():
    before = cpu_seconds()
    spent = measure_speed()
    assert spent <= cpu_seconds() - before + 0.02 and spent > 0.005
    # A program that is gone counts nothing, and breaks nothing.
    RUNNING.add(2**22 + 1)
    try:
        assert cpu_seconds() >= before
    finally:
        RUNNING.discard(2**22 + 1)


@pytest.mark.slow
def test_a_folder_of_tests_runs_by_itself():
    """Its conftest is read before pytest is configured, and uses TensorFlow once there are two CPUs."""
    one = ["tests/conformance/test_training.py", "-k", "players and DCGAN"]
    done = programs.run(["-m", "pytest", "-q", *one])
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
