import json
import shutil
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from jaxcl.experiments import reproduce
from jaxcl.learner.settings.protocols import SCENARIOS, Scenario
from jaxcl.runner import recorder

QUICK = ["--scenarios", "2-small", "--limit", "40", "--batch-size", "20", "--epochs", "1"]
QUICK += ["--report", "report"]


@pytest.fixture
def run(call, small_cnn):
    small = {"2-small": Scenario("two small sets", ("digits", "letters"))}
    with mock.patch.dict(SCENARIOS, small):
        yield partial(call, reproduce)


@pytest.mark.slow
def test_what_is_missing_is_run_and_the_tables_are_written(run, tmp_path):
    code, out, err = run(*QUICK, "--methods", "lwf", "select", "--seeds", "0")
    assert (code, err) == (0, "")
    results = json.loads((tmp_path / "report/results.json").read_text())
    assert all(each["seconds"] > 0 and each["machine"]["cores"] >= 1 for each in results)
    assert [(r["scenario"], r["method"], r["seed"]) for r in results] == [
        ("2-small", "lwf", 0),
        ("2-small", "select", 0),
    ]
    summary = tmp_path / "runs/lwf-select/2-small/select/seed0/summary.json"
    assert results[1]["accuracy"] == json.loads(summary.read_text())["accuracy"][0]
    assert [len(line) for line in results[1]["curves"].values()] == [2, 2]
    assert "1 seed" in (tmp_path / "report/table4.md").read_text()
    assert "2-small" in (tmp_path / "report/table5.md").read_text()
    assert (tmp_path / "report/figure2.png").read_bytes().startswith(b"\x89PNG")
    assert "not run" in out
    code, out, err = run(*QUICK, "--methods", "lwf", "--seeds", "0", "1")
    assert (code, err) == (0, "")
    assert "2-small/lwf/seed1 (1 of 1)" in out  # the other one was done
    assert len(json.loads((tmp_path / "report/results.json").read_text())) == 3
    assert "(2 seeds)" in (tmp_path / "report/table4.md").read_text()
    for seed in ("0", "5"):  # known already, or not: nothing is run
        code, _, err = run(*QUICK, "--seeds", seed, "--epochs", "2", "--methods", "lwf")
        assert code == 2
        assert err.startswith("error: report: it holds results with other settings (epochs);")
    assert not (tmp_path / "runs/lwf-select/2-small/lwf/seed5").exists()
    assert len(json.loads((tmp_path / "report/results.json").read_text())) == 3


def events(folder, method):
    """The lines of a run, without times."""
    found = []
    for line in (folder / "2-small" / method / "seed0/metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        event.pop("seconds", None)
        found.append(event)
    return found


@pytest.mark.slow
def test_the_first_task_is_trained_once_and_changes_no_method(run, tmp_path):
    options = [*QUICK, "--seeds", "0", "--epochs", "2"]
    code, out, err = run(*options, "--out", "once")
    assert (code, err) == (0, "")
    for method in ("split", "select"):
        assert f"once/2-small/{method}/seed0 has the same first task and goes on from here" in out
    assert out.count("seed 0 · digits epoch 2/2") == 1
    with mock.patch.object(recorder, "_begin_there", side_effect=OSError("no space")):
        code, out, err = run(*options, "--out", "each", "--report", "other")
    assert (code, err) == (0, "")  # a hand-over that fails costs time, and nothing else
    assert out.count("does not go on from here (no space)") == 2
    assert out.count("seed 0 · digits epoch 2/2") == 3
    for method in ("lwf", "split", "select"):
        assert events(tmp_path / "once", method) == events(tmp_path / "each", method)


def test_tables_are_written_again_from_runs_of_other_settings(call, tmp_path):
    """Settings of the command are those of runs; without any they have no say."""
    kept = Path(__file__).parents[2] / "experiments/lwf-select"
    (tmp_path / "report").mkdir()
    shutil.copy(kept / "results.json", tmp_path / "report")
    code, _, err = call(reproduce, "--no-runs", "--report", "report", "--lr", "0.5")
    assert (code, err) == (0, "")
    for name in ("results.json", "table4.md", "table5.md"):
        assert (tmp_path / "report" / name).read_text() == (kept / name).read_text()
    assert (tmp_path / "report/figure2.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--no-runs"], "runs: none is finished yet; leave --no-runs out"),
        (["--scenarios", "builtin"], "scenarios: 'builtin' is unknown"),
        (["--seeds"], "seeds: none given"),
        (["--scenarios"], "scenarios: none given; give at least one, such as 3"),
    ],
)
def test_bad_usage(run, tmp_path, args, message):
    code, _, err = run(*QUICK, *args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("text", ["{", "[{}]", "[1]"])
def test_damaged_results_are_refused(text, run, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report/results.json").write_text(text)
    code, _, err = run(*QUICK, "--no-runs")
    assert (code, err) == (
        2, "error: report: report/results.json is damaged; restore or remove it\n",
    )  # fmt: skip
