import json
from functools import partial

import pytest

from jaxcl.experiments import compare
from jaxcl.reporting.comparison import FIGURES
from jaxcl.reporting.metrics import average_so_far

QUICK = ["--scenario", "split-digits", "--tasks", "2", "--setting", "class", "--iterations", "3"]
QUICK += ["--limit", "40", "--batch-size", "10", "--hidden", "8", "--seeds", "0", "1"]


@pytest.fixture
def run(call):
    return partial(call, compare)


@pytest.mark.slow
def test_methods_side_by_side_and_what_is_done_is_not_done_again(run, tmp_path):
    code, out, err = run(*QUICK, "--methods", "finetune", "er", "--out", "both")
    assert (code, err) == (0, "")
    rows = json.loads((tmp_path / "both/comparison.json").read_text())
    assert [row["method"] for row in rows] == ["finetune", "er"]
    for row in rows:
        alone = json.loads((tmp_path / "both" / row["method"] / "summary.json").read_text())
        assert row["average_accuracy"] == alone["average_accuracy"]
        assert alone["seeds"] == [0, 1]
    assert (tmp_path / "both/comparison.png").read_bytes().startswith(b"\x89PNG")
    table = out.rsplit("scenario split-digits (class), mean ± standard error of 2 seeds", 1)[1]
    assert {"finetune", "er"} <= {line.split()[0] for line in table.splitlines() if line.split()}
    assert "finetune is expected to fail here: nothing is done against forgetting." in out
    before = (tmp_path / "both/er/summary.json").stat().st_mtime_ns
    code, out, _ = run(*QUICK, "--methods", "finetune", "er", "--out", "both")
    assert code == 0
    assert out.count("this run is finished") == 2
    assert (tmp_path / "both/er/summary.json").stat().st_mtime_ns == before
    code, again, err = run("both/finetune", "both/er")  # finished runs, without running anything
    assert (code, err) == (0, "")
    assert again in out
    code, out, err = run("both/finetune", "both/er", "--pictures", "svg")
    assert (code, err) == (0, "")
    assert out.endswith("picture: both/comparison.svg\n")
    assert "er</text>" in (tmp_path / "both/comparison.svg").read_text()
    code, out, err = run("both/finetune", "both/er", "--html", "page.html")
    assert (code, err) == (0, "")
    assert out.endswith("page: page.html\n")
    assert "finetune" in (tmp_path / "page.html").read_text()
    code, again, _ = run("both/er", "both/er")
    assert code == 0
    assert again.count("both/er ") == 2
    assert run("both/er", "none")[2].startswith("error: run: none is not there")


def test_a_method_that_diverges_leaves_the_others_to_run(run, tmp_path):
    args = [*QUICK, "--strength=1e20", "--optimizer=sgd", "--lr=1", "--seeds=0"]
    for _ in range(2):  # the same command tries it again
        code, out, err = run(*args, "--methods", "l2_sp", "er", "--out", "one")
        assert code == 1
        assert "diverged: loss: not finite" in out
        assert err == "error: methods: l2_sp diverged; try a smaller --lr\n"
        rows = json.loads((tmp_path / "one/comparison.json").read_text())
        assert [row["method"] for row in rows] == ["er"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--methods", "er", "er"], "methods: er er; give each method once"),
        (["--methods", "finetune", "eww"], "method: 'eww' is unknown; did you mean 'ewc'?"),
        (["--methods"], "methods: "),
        (["--methods", "finetune", "split"], "net: mlp has no layer that split can branch"),
    ],
)
def test_all_methods_are_checked_before_the_first_one_runs(run, tmp_path, args, message):
    code, _, err = run(*QUICK, *args)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("runs"))


def test_the_average_so_far_is_over_the_tasks_that_were_learned():
    matrix = [[90.0, None, None], [80.0, 70.0, None], [10.0, 20.0, 60.0]]
    assert average_so_far([matrix]).tolist() == [[90, 75, 30]]


FIGURE = {"mean": 50.0, "sem": None}
FOUND = {
    "scenario": "split-digits",
    "setting": "class",
    "tasks": ["0-1", "2-3"],
    "seeds": [0],
    "task_seconds": [{"0-1": 1.0, "2-3": 1.0}],
    **dict.fromkeys(FIGURES, FIGURE),
}


@pytest.mark.parametrize(
    "args",
    [
        ["one", "two"],
        ["one", "two", "--plugin", "mine.py"],
        ["--plugin", "mine.py", "one", "two"],
        ["--plugin=mine.py", "one", "two"],
    ],
)
def test_finished_runs_need_no_plug_in_and_follow_one(run, tmp_path, args):
    (tmp_path / "mine.py").write_text("")
    for name, method in (("one", "finetune"), ("two", "nobody_knows")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps({**FOUND, "method": method}))
    code, out, err = run(*args)
    assert (code, err) == (0, "")
    assert "nobody_knows" in out
    assert "finetune is expected to fail here: nothing is done against forgetting." in out
