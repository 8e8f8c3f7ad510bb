"""Hands test files to pytest, for a build system whose tests are programs."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:]))
