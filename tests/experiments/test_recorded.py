"""Each page of results is what its script makes of the recorded summaries."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "experiments"
FOLDERS = sorted(script.parent.name for script in ROOT.glob("*/results.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_page_can_be_made_again(folder, monkeypatch, tmp_path):
    made = tmp_path / folder
    shutil.copytree(ROOT / folder, made, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "RESULTS.md").unlink()
    monkeypatch.setattr(sys, "argv", ["results.py", str(tmp_path / "no-runs")])
    runpy.run_path(str(made / "results.py"), run_name="__main__")
    assert (made / "RESULTS.md").read_text() == (ROOT / folder / "RESULTS.md").read_text()
