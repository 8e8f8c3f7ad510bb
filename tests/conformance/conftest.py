"""One session a case: every check of a case runs on one worker and asks the same session."""

import shutil

import pytest

# pytest may read this file before it configures itself, and what follows uses the devices.
import tests.devices  # noqa: F401
from tests import memory
from tests.conformance.cases import CASES
from tests.conformance.session import Session
from tests.conformance.toys import TOYS

ROWS = CASES | TOYS


PARAMETERS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ROWS]


# Of the whole run, so that pytest takes all checks of a case, of all files, one after another.
@pytest.fixture(scope="session", params=PARAMETERS)
def session(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("case")
    yield Session(request.param, ROWS[request.param], directory)
    shutil.rmtree(directory)
    memory.release()


@pytest.fixture(scope="session")
def case(session):
    return session.case


@pytest.fixture(scope="session")
def model(session):
    return session.model
