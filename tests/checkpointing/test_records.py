"""What stands in the repository follows from the figures beside it."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def module(path: Path, monkeypatch):
    """A program of the experiments, which are no package."""
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location(f"records_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    for name in ("cases", "turns"):  # imported on the way, and common names
        sys.modules.pop(name, None)
    return found


@pytest.mark.parametrize(
    ("program", "figures", "page"),
    [
        ("benchmarks/report.py", "results.json", "RESULTS.md"),
        ("lwf-select/ablations.py", "ablations.json", "ablations.md"),
    ],
)
def test_a_page_is_made_from_its_figures(program, figures, page, monkeypatch):
    folder = (EXPERIMENTS / program).parent
    found = json.loads((folder / figures).read_text())
    made = module(EXPERIMENTS / program, monkeypatch).page(found)
    assert (folder / page).read_text() == made
