"""A file system that takes no more: here, no file of more than so many bytes."""

import json
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxcl.checkpointing import storage

OPTIONS = ["--method", "lwf", "--scenario", "split-digits", "--epochs", "2", "--limit", "40"]
OPTIONS += ["--batch-size", "20"]
LIMITED = """
import resource, runpy, sys
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
runpy.run_module("jaxcl.experiments.scenario", run_name="__main__")
"""


def run(out, *options, most=resource.RLIM_INFINITY):
    """The command as a process that may write files of ``most`` bytes only."""
    command = [sys.executable, "-c", LIMITED, str(most), *OPTIONS, "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_disk_without_room_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    storage.save_params(tmp_path / "a", {"w": np.zeros(12)})
    with pytest.raises(OSError, match="104 bytes needed, 100 free"):
        storage.save_params(tmp_path / "b", {"w": np.zeros(13)})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.slow
def test_a_run_goes_on_without_checkpoints_and_can_be_resumed(tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert run(alone).returncode == 0
    # Room for settings and metrics, but not for the arrays of a checkpoint.
    full = run(out, most=20_000)
    assert full.returncode == 1
    assert "checkpoint 1 was not written" in full.stdout
    assert full.stdout.count("the run goes on") >= 5
    # Threads of the writer may print their own words before and after.
    refusal = f"error: {out}/params/seed0 cannot be written"
    assert any(line.startswith(refusal) for line in full.stderr.splitlines())
    again = run(out, "--resume")
    assert again.returncode == 0, again.stderr
    assert not list((out / "checkpoints").iterdir())
    summaries = (json.loads((folder / "summary.json").read_text()) for folder in (alone, out))
    assert len({json.dumps(summary["accuracy"]) for summary in summaries}) == 1
