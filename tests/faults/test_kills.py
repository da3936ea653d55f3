"""A small number of kills; ``kills.py`` makes a hundred."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_runs_that_are_killed_end_with_the_same_bits(tmp_path):
    script = Path(__file__).with_name("kills.py")
    command = [sys.executable, str(script), "--kills", "10", "--methods", "lwf", "select"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 kills, seed 0: every run equal" in done.stdout
