"""What stands in the repository follows from the figures beside it."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from jaxcl.checkpointing.config_file import from_toml
from jaxcl.front.plugins import load_plugins
from jaxcl.learner.settings.config import Config

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


SUMMARIES = [
    *EXPERIMENTS.glob("*/summaries/**/*.json"),
    *EXPERIMENTS.glob("builtin/*/summary.json"),
]


PLUGINS = ("labels_for_new", "ace_of_all", "cosine_head")


@pytest.fixture
def plugins(own_registry):
    """Those that recorded runs name."""
    load_plugins([str(EXPERIMENTS / f"online/{name}.py") for name in PLUGINS])


@pytest.mark.usefixtures("plugins")
def test_recorded_settings_are_those_of_the_run():
    """They can be read, and say what the summary itself says."""
    assert len(SUMMARIES) > 60
    for path in SUMMARIES:
        summary = json.loads(path.read_text())
        text = summary["config"]
        config = from_toml(Config, text if isinstance(text, str) else "\n".join(text))
        said = config.method.name, config.scenario, config.data.setting, list(config.seeds)
        assert said == tuple(summary[n] for n in ("method", "scenario", "setting", "seeds")), path
