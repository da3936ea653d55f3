"""The command that measures how work grows, at a tiny size."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments/benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("report", "cases", "turns"):  # of this folder, and of no other test
        monkeypatch.delitem(sys.modules, name, raising=False)
    import work_over_tasks

    return work_over_tasks


def test_each_task_is_measured_and_the_table_has_a_row_for_each_place(script, monkeypatch):
    monkeypatch.setitem(script.CASES, "lwf", {**script.HEADS, "tasks": 3, "hidden": (4,)})
    monkeypatch.setitem(script.STEPS, "limit", 40)
    found = list(script.measured("lwf"))
    assert len(found) == 3
    for cost in found:
        assert cost.keys() == script.COLUMNS.keys()
        assert all(value > 0 for value in cost.values())
    # Each head has 10 x (4 + 1) weights and two moments of them; so has the next one.
    states = [cost["checkpoint"] for cost in found]
    assert states[2] > states[1] > states[0]
    costs = {"1": found[0], "10": found[1]}
    results = {"machine": "here", "methods": {"lwf": costs}}
    table = script.page(results).splitlines()
    assert [line.split(" | ")[1] for line in table if line.startswith("| `lwf`")] == ["1", "10"]
    (step, checkpoint) = script.picture(results).axes
    assert list(step.lines[0].get_xdata()) == [1, 10]
    assert list(checkpoint.lines[0].get_ydata()) == [states[0] * 1e-6, states[1] * 1e-6]
