"""The commands of experiments/plasticity, in short, on built-in data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(*command: str, code: int = 0) -> None:
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=where, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.slow
def test_the_commands_run_and_the_table_is_theirs(tmp_path):
    folder = tmp_path / "experiments/plasticity"
    left = shutil.ignore_patterns("summaries", "RESULTS.md", "*.png")
    shutil.copytree(ROOT / "experiments/plasticity", folder, ignore=left)
    short = ["plasticity-digits", "--tasks", "4", "--limit", "40", "--hidden", "8", "8"]
    runs = str(tmp_path / "runs")
    tables = [sys.executable, str(folder / "results.py"), runs]
    _run("bash", str(folder / "run.sh"), runs, *short)
    assert not (folder / "RESULTS.md").exists()  # it is of another scenario
    _run(*tables, code=1)
    assert not (folder / "summaries").exists()
    _run(*tables, "--scenario", "plasticity-digits")
    text = (folder / "RESULTS.md").read_text()
    assert "not run" not in text
    assert "Each end is a mean over 2 tasks." in text
    assert (folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    for name in ("finetune-adam-1e-3", "redo", "l2_init-1e-4"):
        whole = json.loads((tmp_path / "runs" / name / "summary.json").read_text())
        kept = json.loads((folder / "summaries" / f"{name}.json").read_text())
        assert kept["plasticity"] == whole["plasticity"]
        # As it is measured, nothing has been done to the weights yet: the matrix's diagonal.
        diagonal = [[seed[i][i] for i in range(4)] for seed in whole["accuracy"]]
        assert [seed["accuracy"] for seed in whole["plasticity"]["by_task"]] == diagonal
    first = sum(sum(d[:2]) for d in diagonal) / 6
    (row,) = (line for line in text.splitlines() if "strength 1e-4" in line)
    assert row.split(" | ")[1].startswith(f"{first:.2f} ±")
