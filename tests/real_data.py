"""Where real data lie; tests that need them are skipped where they are absent."""

import os
import pathlib

import pytest

_BESIDE = pathlib.Path(__file__).parents[2] / "shared" / "data" / "tfds"
TFDS = pathlib.Path(os.environ.get("TFGEN_DATA_DIR", _BESIDE))
REAL = TFDS.parent


def needs(path):
    """Skips a test where a file or directory of real data is absent, and says which."""
    return pytest.mark.skipif(not path.exists(), reason=f"no real data: {path} is absent")


needs_tfds = needs(TFDS)
