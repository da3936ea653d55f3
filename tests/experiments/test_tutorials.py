"""The tutorials run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "experiments" / "tutorials"
SAID = {
    "load_and_predict": "[5 2 5",
    "own_data": "[[[",
    "own_method": "Result(pull_back, 5 tasks: average accuracy",
    "own_network": "{'digits': {'conv1': 'digits', 'conv2': 'digits'}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_a_tutorial_runs(name, tmp_path):
    command = [sys.executable, str(TUTORIALS / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SAID[name] in done.stdout


def test_the_parts_that_a_reader_copies_are_short():
    """Own data and prediction in about 10 and 3 lines, a method in 40, a network in 10."""
    for path in TUTORIALS.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 100, path
    method = (TUTORIALS / "own_method.py").read_text()
    own = method[method.index("@jaxcl.register_method") : method.index("if __name__")]
    assert len(own.strip().splitlines()) <= 40
    network = (TUTORIALS / "own_network.py").read_text()
    beside = network[network.index("@jaxcl.register_network") :]
    assert len([line for line in beside.splitlines() if line.strip()]) <= 10
