"""Tables of finished runs, without running anything."""

import json
import subprocess
import sys
from functools import partial

import pytest

from jaxcl.experiments import scenario, show
from jaxcl.reporting.comparison import FIGURES

QUICK = ["--method", "finetune", "--scenario", "split-digits", "--tasks", "2", "--iterations", "2"]
QUICK += ["--limit", "40", "--batch-size", "10", "--hidden", "8"]


@pytest.fixture
def run(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    return partial(call, show)


@pytest.mark.slow
def test_what_a_run_printed_is_shown_again(run, call, tmp_path):
    code, printed, _ = call(scenario, *QUICK, "--seeds", "0", "1", "--out", "one")
    assert code == 0
    tables = printed[printed.index("finetune on scenario") : printed.index("written to")]
    code, out, err = run("one", "one")
    assert (code, err) == (0, "")
    assert out == f"{tables}picture: one/accuracy.png\n" * 2

    code, out, err = run("one", "--html")
    assert (code, err) == (0, "")
    assert out == f"{tables}picture: one/accuracy.png\npage: one/report.html\n"
    page = (tmp_path / "one/report.html").read_text()
    assert "<title>finetune on scenario split-digits (task)</title>" in page
    assert "<pre>jaxcl scenario --method finetune --scenario split-digits --seeds 0 1" in page
    assert "together 1" not in page
    assert "--together" not in page  # nobody gave it
    assert page.count("<svg") == 1
    assert run("--html", "one")[1] == out
    assert run("one", "one", "--html", "both.html")[1].endswith("page: both.html\n")
    assert "2 runs" not in (tmp_path / "both.html").read_text()  # it is one, named twice
    assert run("one", ".", "--html")[2] == (
        "error: html: several runs; name the file: --html FILE\n"
    )
    pictures = [f"picture: one/pictures/{n}.png" for n in ("accuracy", "matrix", "forgetting")]
    assert run("one", "--pictures")[1].splitlines()[-3:] == pictures
    assert show.read(["--pictures", str(tmp_path / "one")]).pictures == "png"
    out = run("--pictures", "svg", "one")[1]
    assert out.endswith("picture: one/pictures/forgetting.svg\n")
    assert len(list((tmp_path / "one/pictures").iterdir())) == 6
    assert (
        "invalid choice 'gif' for argument '--pictures'. Expected one of pdf, png, svg; see"
        in run("one", "--pictures", "gif")[2]
    )

    (tmp_path / "one/metrics.jsonl").write_text("{}")
    assert "html: one: damaged" in run("one", "--html")[2]
    assert "pictures: one: damaged" in run("one", "--pictures")[2]

    (tmp_path / "one/accuracy.png").unlink()
    assert run("one")[1].endswith("run: one, without a picture\n")
    (tmp_path / "one/summary.json").write_text(json.dumps({"method": "finetune"}))
    code, _, err = run("one")
    assert code == 2
    assert err == (
        "error: run: one/summary.json is damaged; restore it, or run again with --overwrite\n"
    )
    (tmp_path / "one/summary.json").write_text("{")
    assert "is damaged" in run("one")[2]
    (tmp_path / "one/summary.json").unlink()
    code, _, err = run("one")
    assert code == 2
    again = "python -m jaxcl.experiments.scenario --resume=one"
    assert err == f"error: run: one is not finished; go on with: {again}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "runs: none given; name the folder of a run"),
        (["nowhere"], "run: nowhere is not there; name the folder that a run wrote"),
        (["empty"], "run: empty is no run by itself; name the folder that a run wrote"),
        (["--rnus", "empty"], "Unrecognized options: --rnus"),
        (["empty", "--plugin", "none.py"], "plugin: none.py is no file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(run, tmp_path, args, message):
    (tmp_path / "empty").mkdir()
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


FIGURE = {"mean": 50.0, "sem": None}
ROW = {"seeds": [0], "task_seconds": [{"a": 2.0}], **dict.fromkeys(FIGURES, FIGURE)}


def test_the_table_of_several_runs_is_shown_again(run, tmp_path):
    on = {"scenario": "split-digits", "setting": "class"}
    rows = [{"method": name, **on, **ROW} for name in ("finetune", "ewc")]
    points = [{"point": {"lr": lr}, "part": 1, **ROW} for lr in (0.1, 0.2)]
    points.append({"point": {"lr": 9.0}, "part": 1})  # its loss was not finite
    swept = {"method": "ewc", **on, "points": points}
    for name, file, found in (("both", "comparison", rows), ("grid", "sweep", swept)):
        (tmp_path / name / "ewc").mkdir(parents=True)
        (tmp_path / name / f"{file}.json").write_text(json.dumps(found))
    code, out, err = run("both")
    assert (code, err) == (0, "")
    assert "scenario split-digits (class), 1 seed" in out
    assert [line.split()[0] for line in out.splitlines() if "50.0" in line] == ["finetune", "ewc"]
    assert "finetune is expected to fail here" in out
    code, out, err = run("grid")
    assert (code, err) == (0, "")
    assert "ewc on scenario split-digits (class), 1 seed" in out
    assert "diverged" in out
    (tmp_path / "both/ewc/summary.json").write_text("{}")
    assert run("both", "--html")[2] == (
        "error: run: both is no run by itself; name the runs within: both/ewc\n"
    )
    (tmp_path / "grid/ewc/config.toml").write_text("")
    assert (
        "grid is no run by itself; the command that began those within goes on"
        in (run("grid", "--pictures")[2])
    )
    (tmp_path / "both/comparison.json").write_text("[{}]")
    assert run("both")[2].startswith("error: run: both/comparison.json is damaged; name")


def test_a_plug_in_that_a_run_needs_is_named(run, tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun/config.toml").write_text('plugins = ["/x y/mine.py", "my.module"]\n')
    err = run("begun")[2]
    assert err.endswith("--resume=begun '--plugin=/x y/mine.py' --plugin=my.module\n")


def test_it_starts_without_jax():
    script = "from jaxcl.experiments import show; from jaxcl.reporting import report; import sys\n"
    script += "sys.exit(bool({'jax', 'scipy', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
