"""What every test shares: two logical CPUs, one worker for what belongs together, a sum of what it costs."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import collections
import gc
import importlib

import hypothesis
import pytest

from tests.costs import Costs, cpu_seconds, measure_speed

# TensorFlow and Keras are imported where tests run: what hands these out starts its workers sooner without.
hypothesis.settings.register_profile("tfgen", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("tfgen")

# How many tests lie between two measurements of the machine's speed.
_BETWEEN = 40
COSTS = Costs()
_state = {"before": 0.0, "tests": 0}


@pytest.fixture(autouse=True)
def _seeded():
    """Weights start alike whatever ran before."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def loader(tmp_path_factory):
    """The C++ program that answers from exports."""
    from tests.serving import cpp

    running = cpp.Loader(cpp.build(cpp.cache_directory(tmp_path_factory.getbasetemp())))
    yield running
    running.stop()


def pytest_configure(config):
    COSTS.workers = config.getoption("numprocesses", None) or 1
    if COSTS.workers == 1 or hasattr(config, "workerinput"):
        # What hands out tests to workers runs none, and imports nothing that would keep them waiting.
        importlib.import_module("tests.devices")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of a case or of a file go to one worker; trainings that prove learning may go to the other.

    Groups with the most that is slow come first, so that no worker begins with one when the others are done.
    """
    slow = collections.Counter()
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            apart = " learn" if item.get_closest_marker("learn") else ""
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0] + apart))
        group = group_of(item)
        slow[group] += bool(item.get_closest_marker("slow")) + 10 * bool(item.get_closest_marker("learn"))
    items.sort(key=lambda item: -slow[group_of(item)])


def pytest_collection_finish():
    """Modules stay: what looks for garbage need not go through them each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    if _state["tests"] % _BETWEEN == 0:
        item.user_properties.append(("speed", measure_speed()))
    _state["tests"] += 1
    _state["before"] = cpu_seconds()
    yield


def group_of(item):
    """Name of the tests that run one after another on one worker."""
    return item.get_closest_marker("xdist_group").args[0]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_teardown(item, nextitem):
    yield
    # The session of a conformance case ends later, and does so itself.
    done = nextitem is None or group_of(nextitem) != group_of(item)
    if done and "session" not in item.fixturenames:
        from tests import memory

        memory.release()
    item.user_properties.append(("cpu_seconds", cpu_seconds() - _state["before"]))
    if item.get_closest_marker("learn"):
        item.user_properties.append(("learning", True))
    group = group_of(item)
    if group.startswith(f"{item.nodeid.partition('::')[0]} ") and not item.get_closest_marker("learn"):
        # The oracles of one of several models in a file.
        item.user_properties.append(("part", group))
    case = getattr(item, "callspec", None) and item.callspec.params.get("session")
    if case:
        item.user_properties.append(("case", case))


def pytest_runtest_logreport(report):
    """In the process that gathers the reports, and in a worker, whose sums are not looked at."""
    if report.when == "teardown":
        COSTS.add(report.nodeid, report.user_properties)


def pytest_sessionfinish(session):
    """A run in which something costs too much has failed."""
    if not hasattr(session.config, "workerinput") and COSTS.over_budget() and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if COSTS.files:
        terminalreporter.section("what it cost")
        for line in (*COSTS.lines(), *(f"over budget: {line}" for line in COSTS.over_budget())):
            terminalreporter.line(line)
