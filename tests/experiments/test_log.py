"""``--log``: runs that are stopped and go on, and those that are replaced."""

import contextlib
import csv
import itertools
import json
from functools import partial

import pytest

from jaxcl.checkpointing import run_folder, saved_settings
from jaxcl.experiments import scenario
from jaxcl.learner.settings.config import Config
from jaxcl.runner import session

QUICK = ["--method", "finetune", "--scenario", "split-digits", "--tasks", "2", "--epochs", "2"]
QUICK += ["--limit", "40", "--batch-size", "10", "--hidden", "8", "--seeds", "3"]


@pytest.fixture
def run(call):
    return partial(call, scenario)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_that_is_stopped_logs_what_a_whole_one_does(run, tmp_path, monkeypatch):
    assert run(*QUICK, "--out", "whole", "--log", "csv")[0] == 0

    @contextlib.contextmanager
    def stopped(say, **how):
        asked = itertools.count()
        yield lambda: next(asked) == 2

    with monkeypatch.context() as here:
        here.setattr(session, "catching", stopped)
        code, _, err = run(*QUICK, "--out", "cut", "--log", "csv", "--keep=3")
    assert code == 75
    assert err.endswith("--resume=cut --keep=3 --log csv\n")
    assert (
        0
        < len(table(tmp_path / "cut/csv/epochs.csv"))
        < len(table(tmp_path / "whole/csv/epochs.csv"))
    )
    (tmp_path / "cut/csv/accuracy.csv").write_text("lost\n")
    code, out, _ = run("--resume=cut", "--keep=3", "--log", "csv")
    assert code == 0
    assert "resumed from checkpoint" in out
    for name in ("epochs.csv", "accuracy.csv"):
        whole, cut = (tmp_path / folder / "csv" / name for folder in ("whole", "cut"))
        assert cut.read_bytes() == whole.read_bytes()

    summary = json.loads((tmp_path / "whole/summary.json").read_text())
    rows = table(tmp_path / "whole/csv/accuracy.csv")
    found = [float(row["accuracy"]) for row in rows if row["seed"] == "3"]
    assert found == [x for row in summary["accuracy"][0] for x in row if x is not None]

    run_folder.create(tmp_path / "whole", saved_settings.saved_config(Config, tmp_path / "whole"))
    assert not (tmp_path / "whole/csv").exists()  # it was replaced by a run that logs nothing


def test_a_logger_that_is_not_there_leaves_no_folder(run, tmp_path):
    code, _, err = run(*QUICK, "--out", "none", "--log", "cvs")
    assert (code, err) == (
        2, "error: log: 'cvs' is unknown; did you mean 'csv'? Known: csv, tensorboard, wandb\n"
    )  # fmt: skip
    assert not (tmp_path / "none").exists()
