import json
from pathlib import Path

import pytest

from jaxcl.core.errors import UsageError
from jaxcl.experiments.reproduce import tables_of

TABLES = tables_of("lwf-select")
KEPT = Path(__file__).parents[2] / "experiments/lwf-select"


def result(scenario, method, seed, before, after, new, added=0, **changes):
    tasks = list(TABLES.TABLE_4.get(scenario, {"mnist": 0, "letters": 0}))
    lines = {tasks[0]: [before - 1, before, after], tasks[1]: [None, None, new]}
    return {
        "scenario": scenario,
        "method": method,
        "seed": seed,
        "tasks": tasks,
        "accuracy": [[before, None], [after, new]],
        "added": added,
        "curves": lines,
        "ends": [2, 3],
        "settings": {"epochs": 10, "lr": 0.001},
        "versions": {},
        "git": None,
    } | changes


RESULTS = [
    result("3", "lwf", 0, 98.0, 96.0, 60.0),
    result("3", "select", 0, 98.0, 97.0, 63.0, 19392),
    result("3", "select", 1, 98.0, 97.5, 61.0, 19392),
    result("4", "select", 0, 60.0, 58.0, 98.5, 18496),
]


def cells(text, *first):
    (line,) = (t for t in text.splitlines() if t.startswith("| " + " | ".join(first)))
    return line.strip("| ").split(" | ")


def test_accuracies_beside_those_of_the_paper():
    text, lost = TABLES.table_4(RESULTS).split("## What the first task lost")
    assert cells(text, "3", "mnist") == [
        *("3", "mnist", "97.1", "97.9", "97.9"),
        *("96.0 (1 seed)", "not run", "97.2 ± 0.2 (2 seeds)", "-0.7 **lower**"),
    ]
    assert cells(text, "3", "cifar10")[-2:] == ["62.0 ± 1.0 (2 seeds)", "-2.8 **lower**"]
    assert cells(text, "4", "cifar10")[-1] == "+0.7"
    # (97.25 + 62 + 58 + 98.5) / 4, and of the paper (97.9 + 64.8 + 57.3 + 98.2) / 4
    assert "Mean of +Select over these 4 cells: 78.9 (paper: 79.5)." in text
    assert cells(lost, "3", "mnist")[2:] == ["2.00 (1 seed)", "not run", "0.75 ± 0.25 (2 seeds)"]


def test_within_two_standard_errors_is_not_lower():
    values = [(0, 64.0), (1, 63.8)]
    found = [result("3", "select", seed, 98.0, 98.0, new) for seed, new in values]
    assert cells(TABLES.table_4(found), "3", "cifar10")[-1] == "-0.9 **lower**"
    found[1] = result("3", "select", 1, 98.0, 98.0, 65.0)
    assert cells(TABLES.table_4(found), "3", "cifar10")[-1] == "-0.3"


def test_weights_added():
    text = TABLES.table_5([*RESULTS, result("3", "select", 2, 98.0, 97.0, 61.0, 18496)])
    assert cells(text, "3") == ["3", "19K", "19K", "not run", "18,496 or 19,392"]
    assert cells(text, "4") == ["4", "19K", "19K", "not run", "18,496"]


def test_rendered_letters_have_a_table_of_their_own():
    other = result("1-rendered", "select", 0, 98.0, 97.0, 90.0)
    text = TABLES.table_4([other, *RESULTS])
    assert "Mean of +Select over these 4 cells" in text
    own = text.split("## With rendered letters in place of EMNIST")[1].split("## What")[0]
    assert "paper" in text.split("## With")[0]
    assert "paper" not in own  # no column of figures that there are none of
    assert cells(own, "1-rendered", "letters")[2:] == ["not run", "not run", "90.0 (1 seed)"]


def test_new_results_take_the_place_of_known_ones():
    again = result("3", "lwf", 0, 98.0, 95.0, 61.0)
    found = TABLES.merged(RESULTS, [again, result("2", "lwf", 0, 90.0, 89.0, 61.0)])
    assert [(r["scenario"], r["method"], r["seed"]) for r in found] == [
        *(("2", "lwf", 0), ("3", "lwf", 0), ("3", "select", 0), ("3", "select", 1)),
        ("4", "select", 0),
    ]
    assert found[1] is again


def test_results_of_other_settings_do_not_mix():
    other = result("2", "lwf", 0, 90.0, 89.0, 61.0, settings={"epochs": 1, "lr": 0.001})
    with pytest.raises(UsageError, match=r"report: it holds results with other settings .epochs."):
        TABLES.merged(RESULTS, [other])


def test_a_picture_of_what_there_is():
    assert TABLES.figure_2(RESULTS).startswith(b"\x89PNG")


@pytest.mark.parametrize("folder", [KEPT, KEPT / "rendered"], ids=["paper", "rendered"])
def test_the_tables_in_the_repository_follow_from_their_results(folder):
    results = json.loads((folder / "results.json").read_text())
    assert (folder / "table4.md").read_text() == TABLES.table_4(results)
    assert (folder / "table5.md").read_text() == TABLES.table_5(results)
