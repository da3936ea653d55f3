"""A small number of kills; ``kills.py`` makes a hundred."""

import signal
import subprocess
import sys
from pathlib import Path

import kills
import pytest

from jaxcl.checkpointing import checkpoint
from jaxcl.core import sharding
from jaxcl.experiments import scenario

RUN = ["--scenario", "split-digits", "--tasks", "2", "--epochs", "4", "--limit", "60"]
RUN += ["--batch-size", "20", "--hidden", "16", "--method", "ewc", "--seeds", "0", "1"]
KILLED = """
import os, signal
from jaxcl.checkpointing import checkpoint
from jaxcl.experiments import scenario

write, written = checkpoint.write, []

def once(*args):
    written.append(write(*args))
    if len(written) == 6:  # in the second task
        os.kill(os.getpid(), signal.SIGKILL)
    return written[-1]

checkpoint.write = once
scenario.run()
"""


@pytest.mark.slow
def test_a_run_that_is_killed_ends_with_the_same_bits(tmp_path, monkeypatch):
    alone, cut = tmp_path / "alone", tmp_path / "cut"
    command = [sys.executable, "-c", KILLED, *RUN, "--out", str(cut)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert checkpoint.numbers(cut / "checkpoints") == [4, 5, 6]
    assert not (cut / "summary.json").exists()
    one = dict.fromkeys(sharding.AXES, 1)  # device, as in the process
    monkeypatch.setattr(sharding, "usual_sizes", lambda networks: one)
    for options in (["--out", str(cut), "--resume"], ["--out", str(alone)]):
        monkeypatch.setattr(sys, "argv", ["scenario", *RUN, *options])
        scenario.run()
    kills.compare(alone, cut)


@pytest.mark.slow
def test_runs_that_are_killed_end_with_the_same_bits(tmp_path):
    script = Path(__file__).with_name("kills.py")
    command = [sys.executable, str(script), "--kills", "3", "--methods", "lwf", "select"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills, seed 0: every run equal" in done.stdout
