"""The mutants still fit the code that they break; `make mutants` runs them."""

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant, unbroken


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_the_text_a_mutant_replaces_stands_there_once(mutant):
    text = (ROOT / mutant.path).read_text()
    assert text.count(mutant.right) == 1 and mutant.wrong != mutant.right
    for word in mutant.tests.split():
        if word.startswith("tests/"):
            assert (ROOT / word).exists()


def test_names_are_told_apart_and_there_are_enough():
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 15


def test_what_is_unbroken_is_run_once_for_each_file():
    tests = ("a.py -k 'x and y'", "a.py -k z", "a.py -k z", "b.py -k z", "b.py", "c.py -m 'not slow'")
    runs = unbroken([Mutant("", "", "", "", each) for each in tests])
    assert sorted(runs) == ["a.py -k '(x and y) or (z)'", "b.py", "c.py -m 'not slow'"]
