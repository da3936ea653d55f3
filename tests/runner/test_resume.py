"""Going on where an earlier process stopped; what is refused, test_scenario.py says."""

import chex
import numpy as np
import pytest
from rich.console import Console

import jaxcl
from jaxcl.core.errors import UsageError
from jaxcl.learner import build


@pytest.fixture
def fit(tmp_path):
    def fit(out, images, **given):
        settings = {"tasks": 2, "limit": 20, "hidden": (4,), "epochs": 2, "batch_size": 10}
        where = {"out": tmp_path / out, "data_dir": tmp_path / images}
        quiet = Console(quiet=True)
        return jaxcl.fit("split-digits", "ewc", console=quiet, **settings | where | given)

    return fit


@pytest.fixture
def stopped(fit, tmp_path, stopping_after):
    """The folder of a run that was interrupted within its second task."""
    with stopping_after(3), pytest.raises(jaxcl.Interrupted):
        fit("stopped", "here")
    return tmp_path / "stopped"


def test_images_may_lie_elsewhere_now(stopped, fit, tmp_path, monkeypatch):
    assert f'data_dir = "{tmp_path / "here"}"' in (stopped / "config.toml").read_text()
    with pytest.raises(UsageError, match="limit is 20 and not 30; give the same, another"):
        fit("stopped", "there", limit=30)
    with monkeypatch.context() as patch:  # but they must be the same
        patch.setattr(build, "checksum", lambda *tasks: "other")
        with pytest.raises(UsageError, match="there are not those that the run in"):
            fit("stopped", "there")
    gone_on, alone = fit("stopped", "there"), fit("alone", "here")
    np.testing.assert_array_equal(gone_on.accuracy, alone.accuracy)
    chex.assert_trees_all_equal(gone_on.params, alone.params)
    for text in ((stopped / "config.toml").read_text(), gone_on.summary["config"]):
        assert f'data_dir = "{tmp_path / "there"}"' in text
