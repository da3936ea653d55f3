"""First tasks against last ones."""

import pytest
from rich.console import Console

from jaxcl.reporting.plasticity import ends, plasticity
from jaxcl.reporting.report import facts_table

MEASURED = [
    {"a": {"accuracy": 90.0, "dormant": None}, "b": {"accuracy": 80.0, "dormant": 0.25}},
    {"a": {"accuracy": 96.0, "dormant": 0.0}, "b": {"accuracy": 92.0, "dormant": 0.5}},
]


def test_as_many_tasks_at_either_end():
    values = [float(i) for i in range(50)]
    assert ends(values) == (9.5, 39.5)
    assert ends(values, most=1) == (0, 49)
    assert ends(values[:5]) == (0.5, 3.5)  # two at either end of five
    assert ends([1.0, None, 3.0, 5.0]) == (1, 4)
    assert ends([1.0]) == (None, None)


def test_the_change_is_that_of_each_seed():
    found = plasticity(MEASURED)
    assert found["tasks"] == 1
    assert found["first"]["accuracy"] == {"mean": 93, "sem": pytest.approx(3)}
    assert found["last"]["accuracy"] == {"mean": 86, "sem": pytest.approx(6)}
    assert found["change"]["accuracy"] == {"mean": -7, "sem": pytest.approx(3)}
    assert found["change"]["dormant"] == {"mean": 0.5, "sem": None}  # of the one that is known
    assert found["by_task"][1] == {"accuracy": [96, 92], "dormant": [0, 0.5]}
    assert plasticity([None, None]) is None


def test_a_table_has_what_was_measured():
    nothing = {"mean": None, "sem": None}
    summary = {
        **dict.fromkeys(("average_accuracy", "learning_accuracy", "forgetting"), nothing),
        **dict.fromkeys(("backward_transfer", "forward_transfer"), nothing),
        "seeds": [], "seconds": 1.0, "compile_seconds": 0.0,
    }  # fmt: skip

    def text(found):
        console = Console(width=100)
        with console.capture() as captured:
            console.print(facts_table(summary | {"plasticity": found}))
        return captured.get()

    unknown = {name: {**each, "effective_rank": None, "weight_rms": 0.05} for name, each in
               MEASURED[1].items()}  # fmt: skip
    shown = text(plasticity([unknown]))
    assert "dormant units" in shown
    assert "first 1 tasks 0.0 %, last 50.0 %" in shown
    assert "effective rank" not in shown
    assert "dormant" not in text(None)
