"""Going on where an earlier process stopped; what is refused, test_scenario.py says."""

import inspect
from concurrent.futures import ThreadPoolExecutor

import chex
import numpy as np
import pytest
from rich.console import Console

import jaxcl
from jaxcl.core.errors import UsageError
from jaxcl.learner import build
from jaxcl.runner import execute, session
from jaxcl.runner.interrupt import catching
from jaxcl.training.events import EpochEnded


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


def test_checkpoints_are_counted_over_the_run_and_not_over_a_task(monkeypatch):
    """With two epochs a task, every third epoch is one of another task."""
    monkeypatch.setattr(session, "schedule", lambda setup, task: [None, None])
    saving, due = session.Saving(3, None, keep=2), []
    for task in range(3):
        for epoch in range(2):
            ended = EpochEnded(None, 0, task, epoch, "train", {}, {}, 1.0)
            due.append(inspect.unwrap(session._due)(None, saving, {(0, 0): ended}, 0.0))
    assert due == [False, False, True, False, False, True]


def test_runs_go_on_from_a_checkpoint_that_all_of_them_have(tmp_path):
    def folder(name, *numbers):
        for number in numbers:
            path = tmp_path / name / "checkpoints" / f"{number:06d}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / name

    assert execute._last_common([folder("a", 4, 5, 6), folder("b", 4, 5)]) == 5
    assert execute._last_common([folder("kept-one", 6), folder("c", 5)]) is None
    assert execute._last_common([folder("d", 5), folder("e", 5)]) is None


def test_outside_of_the_main_thread_a_run_goes_on_without_signals():
    def body():
        with catching(print) as stopping:
            return stopping()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(body).result() is False
