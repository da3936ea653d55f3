import contextlib
import itertools
import json
from concurrent.futures import Executor, Future
from functools import partial
from unittest import mock

import pytest

from jaxcl.checkpointing import checkpoint
from jaxcl.experiments import sweep
from jaxcl.reporting import tuning
from jaxcl.runner import halving

QUICK = ["--scenario", "split-digits", "--tasks", "2", "--method", "ewc", "--iterations", "3"]
QUICK += ["--limit", "40", "--hidden", "8"]
SMALL = ["--batch-size", "10"]


@pytest.fixture
def run(call):
    return partial(call, sweep)


@pytest.mark.slow
def test_a_grid_is_run_and_the_best_point_named(run, tmp_path):
    args = [*QUICK, *SMALL, "--grid", "strength=1,100", "lr=1e-4,1e30", "--out", "here"]
    code, out, err = run(*args)
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "here/sweep.json").read_text())
    assert found["grid"] == {"strength": [1, 100], "lr": [1e-4, 1e30]}
    assert [row["point"]["strength"] for row in found["points"]] == [1, 1, 100, 100]
    means = [row["average_accuracy"]["mean"] for row in found["points"] if "final" in row]
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


def matrices(folder) -> dict[str, list]:
    files = sorted(folder.glob("*/summary.json"))
    return {file.parent.name: json.loads(file.read_text())["accuracy"] for file in files}


POINTS = [*QUICK, *SMALL, "--grid", "strength=1,100", "lr=1e-3,1e30", "--seeds", "0", "1"]


@pytest.mark.slow
def test_points_are_trained_side_by_side(run, tmp_path):
    code, out, err = run(*POINTS, "--together", "8", "--out", "here")
    assert (code, err) == (0, "")
    assert out.count("(1 to 4 of 4, side by side)") == 1
    assert out.count("diverged: loss: not finite at step") == 2
    assert "written to here" in out
    alone, *_ = run(*POINTS, "--together", "2", "--out", "alone")
    assert alone == 0
    found = matrices(tmp_path / "here")
    assert list(found) == ["strength=1,lr=0.001", "strength=100,lr=0.001"]
    assert found == matrices(tmp_path / "alone")
    code, out, _ = run(*POINTS, "--together", "8", "--out", "here")
    assert code == 0
    assert out.count("this run is finished") == 2


class AtOnce(Executor):
    """Writes while the run waits, so that what is on disk does not hang on the machine's speed."""

    def __init__(self, *args, **kwargs):
        """Takes what a pool of threads takes."""

    def submit(self, f, /, *args, **kwargs):
        done = Future()
        done.set_result(f(*args, **kwargs))
        return done


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
def test_points_side_by_side_go_on_where_they_were(run, tmp_path, lost):
    """Also where a process died when it had saved one of them and not the other."""
    args = [*QUICK, *SMALL, "--grid", "strength=1,100", "--together", "2", "--iterations", "6"]
    assert run(*args, "--out", "whole")[0] == 0
    calls = itertools.count()

    @contextlib.contextmanager
    def second(say, **how):
        """How many steps lie between two calls hangs on the machine's speed."""
        saved = (tmp_path / "here").glob
        yield lambda: len([*saved("*/checkpoints/*.json")]) > 1 and next(calls) == 1

    with (
        mock.patch("jaxcl.runner.session.catching", second),
        mock.patch("jaxcl.runner.session.ThreadPoolExecutor", AtOnce),
    ):
        code, out, err = run(*args, "--out", "here", "--checkpoint-every", "1")
    assert code == 75, err
    assert "interrupted and saved; go on with: python -m jaxcl.experiments.sweep" in err
    kept = {p.name: checkpoint.numbers(p / "checkpoints") for p in (tmp_path / "here").iterdir()}
    before, newest = kept["strength=1"]
    assert kept == {"strength=1": [before, newest], "strength=100": [before, newest]}, out
    if lost:
        (tmp_path / f"here/strength=100/checkpoints/{newest:06d}.json").unlink()
    code, out, _ = run(*args, "--out", "here")
    assert code == 0
    assert out.count(f"resumed from checkpoint {before if lost else newest}: seed 0") == 2
    for seed_file in (tmp_path / "whole").rglob("metrics.jsonl"):
        again = tmp_path / "here" / seed_file.relative_to(tmp_path / "whole")
        assert scores(again) == scores(seed_file)


def scores(file) -> list[dict]:
    lines = map(json.loads, file.read_text().splitlines())
    return [{n: line[n] for n in ("metrics", "accuracy") if n in line} for line in lines]


def test_a_run_of_which_a_seed_diverges_trains_no_other(run):
    code, out, err = run(*QUICK, *SMALL, "--grid", "lr=1e30", "--seeds", "0", "1", "--out", "here")
    assert code == 1
    assert "every run diverged" in err
    assert "seed 0" in out
    assert "seed 1" not in out


@pytest.mark.slow
def test_the_best_points_are_trained_longer(run, tmp_path):
    args = [*QUICK, *SMALL, "--grid", "lr=1e-5,1e-3,1e-2,1e30", "--halving", "2", "--out", "here"]
    code, out, err = run(*args, "--iterations", "9")
    assert (code, err) == (0, "")
    folders = ["here/1-4", "here/1-2", "here"]
    steps, ran = [], []
    for folder in folders:
        summaries = [json.loads(p.read_text()) for p in (tmp_path / folder).glob("lr=*/*y.json")]
        ran.append(len(summaries))
        steps.append({s["config"].split("iterations = ")[1].split("\n")[0] for s in summaries})
    assert ran == [3, 2, 1]  # one of the four diverged
    assert steps == [{"2"}, {"4"}, {"9"}]
    found = json.loads((tmp_path / "here/sweep.json").read_text())
    by_rate = {row["point"]["lr"]: row for row in found["points"]}
    assert list(by_rate) == [1e-5, 1e-3, 1e-2, 1e30]
    assert sorted(row["part"] for row in found["points"]) == [1, 2, 4, 4]
    assert by_rate[found["best"]["lr"]]["part"] == 1
    assert "average_accuracy" not in by_rate[1e30]
    assert "1/4 of the training" in out
    assert (tmp_path / "here/sweep.png").exists()


def test_the_points_that_did_best_go_on_in_the_order_of_the_grid():
    def tried(lr, mean):
        summary = None if mean is None else {"average_accuracy": {"mean": mean}}
        return tuning.Tried({"lr": lr}, summary)

    all_ = [tried(1, 50.0), tried(2, None), tried(3, 70.0), tried(4, 60.0), tried(5, 40.0)]
    assert halving.best(all_, 2) == [{"lr": 3}, {"lr": 4}]
    assert halving.best(all_, 5) == [{"lr": 3}]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--grid", "lr=1,2", "--halving", "1"], "halving: 1 leaves nothing out"),
        ([], "grid: nothing to vary"),
        (["--grid", "strength=-1,1"], "strength: -1.0 is negative"),
        (["--grid", "strength=1,2", "--method", "ewx"], "method: 'ewx' is unknown"),
        (["--grid", "lr=1,2", "--validation", "1"], "validation: 1"),
        (["--grid", "lr=1,2", "--validation", "0.001"], "validation: 0.001 of the 40 training"),
        (["--grid", "lr=1,2", "--lr", "3"], "lr: given, and in the grid as well"),
        (["--grid", "lr=1,2", "--grid", "l2=1,2"], "grid: given twice"),
        (["--grid", "batch_size=3,100"], "batch_size: 100 is more than the 36 training inputs"),
        (["--grid", "lr=1,2", "--keep", "0"], "keep: 0 is not positive"),
        (["--grid", "lr=1,2", "--out", ""], "out: empty"),
    ],
)
def test_everything_is_checked_before_the_first_run(run, tmp_path, args, message):
    batch = [] if "batch_size=3,100" in args else SMALL
    code, _, err = run(*QUICK, *batch, *args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_grid_of_which_nothing_ends_is_an_error(run):
    code, _, err = run(*QUICK, *SMALL, "--grid", "lr=1e30", "--out", "here")
    assert code == 1
    assert err == "error: grid: every run diverged; try smaller values, or a smaller --lr\n"


def test_an_interruption_before_there_is_anything_to_save_says_how_to_go_on(run):
    with mock.patch("jaxcl.runner.execute.execute", side_effect=KeyboardInterrupt):
        code, out, err = run(*QUICK, *SMALL, "--grid", "lr=1e-3,1e-2")
    assert code == 130
    folder = out.split("2 runs in ")[1].split("\n")[0]
    again = "interrupted; what was written is kept; go on with: python -m jaxcl.experiments.sweep"
    assert err.startswith(f"error: {again} ")
    assert err.endswith(f"--grid lr=1e-3,1e-2 --out {folder}\n")


def summary(mean: float, sem: float | None) -> dict:
    figure = {"mean": mean, "sem": sem}
    return dict.fromkeys(tuning.FIGURES, figure) | {"seeds": [0, 1]}


def test_points_within_the_error_of_the_best_are_named():
    found = [(1, 90.0), (2, 91.4), (3, 92.0), (4, 91.6), (5, None)]
    tried = [tuning.Tried({"strength": v}, summary(m, 0.5) if m else None) for v, m in found]
    assert tuning.best(tried).point == {"strength": 3}
    text = "best: strength=3, average accuracy 92.0 ± 0.5 %; within its error: strength=4"
    assert tuning.best_text(tried) == text
    same = [tuning.Tried({"xi": v}, summary(90.0, None)) for v in (1, 2)]
    assert tuning.best_text(same).startswith("no value made a difference")
    other = summary(90.0, None) | {"forgetting": {"mean": 1.0, "sem": None}}
    differ = [same[0], tuning.Tried({"xi": 2}, other)]
    assert tuning.best_text(differ) == "best: xi=1, average accuracy 90.0 %"
    alone = [tuning.Tried({"strength": 1}, summary(90.0, None))]
    assert tuning.best_text(alone) == "best: strength=1, average accuracy 90.0 %"
