import json
from functools import partial

import numpy as np
import pytest

from jaxcl import tuning
from jaxcl.experiments import sweep
from jaxcl.plots import heat_map, value_curves

QUICK = ["--scenario", "split-digits", "--tasks", "2", "--method", "ewc", "--iterations", "3"]
QUICK += ["--limit", "40", "--batch-size", "10", "--hidden", "8"]


@pytest.fixture
def run(call):
    return partial(call, sweep)


def test_a_grid_is_run_and_the_best_point_named(run, tmp_path):
    args = [*QUICK, "--grid", "strength=1,100", "lr=1e-4,1e30", "--out", "here"]
    code, out, err = run(*args)
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "here/sweep.json").read_text())
    assert found["grid"] == {"strength": [1, 100], "lr": [1e-4, 1e30]}
    assert [row["point"]["strength"] for row in found["points"]] == [1, 1, 100, 100]
    means = [row["average_accuracy"]["mean"] for row in found["points"] if len(row) > 1]
    assert len(means) == 2  # with a learning rate of 1e30 nothing ends
    summary = json.loads((tmp_path / "here/strength=1,lr=0.0001/summary.json").read_text())
    assert summary["average_accuracy"]["mean"] == means[0]
    assert "validation = 0.1" in summary["config"]
    chosen = next(row for row in found["points"] if row["point"] == found["best"])
    assert chosen["average_accuracy"]["mean"] == max(means)
    assert (tmp_path / "here/sweep.png").read_bytes().startswith(b"\x89PNG")
    assert out.count("diverged: loss: not finite at step") == 2
    assert "accuracies are on images held out from training; written to here" in out
    code, out, _ = run(*args)
    assert code == 0
    assert out.count("this run is finished") == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "grid: nothing to vary"),
        (["--grid", "strength=-1,1"], "strength: -1.0 is negative"),
        (["--grid", "strength=1,2", "--method", "ewx"], "method: 'ewx' is unknown"),
        (["--grid", "validation=1"], "validation: 1"),
    ],
)
def test_everything_is_checked_before_the_first_run(run, tmp_path, args, message):
    code, _, err = run(*QUICK, *args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_grid_of_which_nothing_ends_is_an_error(run):
    code, _, err = run(*QUICK, "--grid", "lr=1e30", "--out", "here")
    assert code == 2
    assert err == "error: grid: every run diverged; try smaller values, or a smaller --lr\n"


def summary(mean: float, sem: float | None) -> dict:
    figure = {"mean": mean, "sem": sem}
    return dict.fromkeys(tuning.FIGURES, figure) | {"seeds": [0, 1]}


def test_points_within_the_error_of_the_best_are_named():
    found = [(1, 90.0), (2, 91.4), (3, 92.0), (4, 91.6), (5, None)]
    tried = [tuning.Tried({"lam": v}, summary(m, 0.5) if m else None) for v, m in found]
    assert tuning.best(tried).point == {"lam": 3}
    text = "best: lam=3, average accuracy 92.0 ± 0.5 %; within its error: lam=4"
    assert tuning.best_text(tried) == text
    alone = [tuning.Tried({"lam": 1}, summary(90.0, None))]
    assert tuning.best_text(alone) == "best: lam=1, average accuracy 90.0 %"


def test_pictures_of_what_is_missing_and_of_words():
    missing = (float("nan"), float("nan"))
    lines = {"average": [(90.0, 1.0), missing], "learned": [(95.0, 0.0), missing]}
    for values in ([1.0, 100.0], ["copy", "fresh"], [True, False], [0, 1]):
        assert value_curves("setting", values, lines, "a title").startswith(b"\x89PNG")
    scores = np.array([[90.0, np.nan], [80.0, 85.0]])
    assert heat_map({"lam": [1.0, 2.0], "start": ["copy", "fresh"]}, scores, "a title")
