"""Each fault of mutants_data.py still has its place in the code."""

from collections import Counter
from pathlib import Path

from mutants_data import MUTANTS

ROOT = Path(__file__).parents[1]


def test_each_fault_has_one_place_in_the_code_and_tests_that_are_there():
    names = Counter(mutant.name for mutant in MUTANTS)
    assert max(names.values()) == 1
    for mutant in MUTANTS:
        assert (ROOT / mutant.file).read_text().count(mutant.old) == 1, mutant.name
        assert mutant.new != mutant.old, mutant.name
        for test in mutant.tests.split():
            file, _, name = test.partition("::")
            text = (ROOT / file).read_text()
            assert f"def {name.partition('[')[0]}(" in text or not name, test
