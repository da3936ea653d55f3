"""What is printed, by the width of the terminal and the number of tasks."""

import io
import re
from statistics import fmean

import pytest

from jaxcl.core.errors import UsageError
from jaxcl.growth.parameters import task_name
from jaxcl.reporting import comparison
from jaxcl.reporting.console import (
    STAND_INS,
    first_that_fits,
    make_console,
    register_stand_ins,
)
from jaxcl.reporting.labels import lengths, shortened
from jaxcl.reporting.live.course import Course
from jaxcl.reporting.live.lines import epoch_lines, route_lines
from jaxcl.reporting.live.progress import watching
from jaxcl.reporting.matrix import show_accuracy
from jaxcl.reporting.metrics import mean_sem
from jaxcl.training.events import EpochEnded, StepsDone, TaskBegan

WIDTHS = pytest.mark.parametrize("width", [80, 120])


def accuracy(seed: int, row: int, column: int) -> float:
    """Another one for each place, up to 100."""
    return 100.0 - 0.31 * column - 0.17 * (row - column) - 0.05 * seed


def summary_of(names: list[str], seeds: int = 1) -> dict:
    places = range(len(names))
    matrices = [
        [[accuracy(s, row, c) if c <= row else None for c in places] for row in places]
        for s in range(seeds)
    ]
    figure = mean_sem([matrix[-1][0] for matrix in matrices])
    return {
        **dict.fromkeys(comparison.FIGURES, figure),
        "method": "ewc", "scenario": "split", "setting": "task", "tasks": names,
        "seeds": list(range(seeds)), "accuracy": matrices, "validation": 0.0,
        "task_seconds": [dict.fromkeys(names, 1.0)] * seeds,
    }  # fmt: skip


def named(n: int) -> list[str]:
    return [f"cifar100-{'-'.join(str(5 * i + j) for j in range(5))}" for i in range(n)]


def shown(show, *args, width: int, encoding: str = "utf-8") -> list[str]:
    register_stand_ins()
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=STAND_INS)  # as in a command
    console = make_console(file=file, width=width)
    show(*args, console)
    file.seek(0)
    return file.read().splitlines()


def test_with_few_tasks_and_room_the_table_has_names_and_errors():
    lines = shown(show_accuracy, summary_of(["a", "letters"], seeds=2), width=80)
    assert lines == [
        "ewc on scenario split (task): test accuracy (%)",
        "┏━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓",
        "┃ task    ┃     after a ┃ after letters ┃",
        "┡━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩",
        "│ a       │ 100.0 ± 0.0 │    99.8 ± 0.0 │",
        "│ letters │             │    99.7 ± 0.0 │",
        "└─────────┴─────────────┴───────────────┘",
        "mean ± standard error over the seeds",
    ]


@WIDTHS
@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("n", [1, 3, 7, 12, 20])
def test_every_accuracy_is_there_and_the_table_has_room(n, seeds, width):
    names = named(n)
    lines = shown(show_accuracy, summary_of(names, seeds), width=width)
    assert max(map(len, lines)) <= width
    found: dict[tuple[int, int], float] = {}
    means: dict[int, float] = {}
    heads: list[int] = []
    for line in lines:
        words = re.findall(r"[^\s│┃]+", line)
        if words[:2] == ["after", "mean"]:
            heads = [int(word[1:]) for word in words[2:]]
        elif heads and re.fullmatch("t[0-9]+", words[0] if words else "") and "." in words[1]:
            row, values = int(words[0][1:]), [float(word) for word in words[1:]]
            means[row] = values[0]
            found |= {(row, c): v for c, v in zip(heads, values[1:], strict=False)}
    if not heads:  # there was room for the names
        assert n <= 3
        assert all(any(name in line for line in lines) for name in names)
        return
    assert n >= 3
    rows = range(1, n + 1)
    expected = {
        (row, c): fmean(accuracy(s, row - 1, c - 1) for s in range(seeds))
        for row in rows for c in range(1, row + 1)
    }  # fmt: skip
    assert found == pytest.approx(expected, abs=0.051)
    average = {row: fmean(expected[row, c] for c in range(1, row + 1)) for row in rows}
    assert means == pytest.approx(average, abs=0.051)
    text = "\n".join(lines)
    assert all(f"t{i + 1} {shortened(name, 24)}" in text for i, name in enumerate(names))
    assert ("means over 5 seeds" in text) == (seeds == 5)


@WIDTHS
@pytest.mark.parametrize("seeds", [1, 5])
def test_of_very_many_tasks_the_first_and_the_last(seeds, width):
    names = [f"{'a-very-long-name-' * 5}{i}" for i in range(50)]
    lines = shown(show_accuracy, summary_of(names, seeds), width=width)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if "a-very" in line]
    assert [re.findall("([0-9]+) +│", row)[0] for row in rows] == [
        str(i) for i in (*range(10), *range(40, 50))
    ]
    assert sum("(30 more)" in line for line in lines) == 1


def test_columns_stay_in_line_where_signs_have_stand_ins():
    lines = shown(show_accuracy, summary_of(["a", "é"], seeds=2), width=80, encoding="ascii")
    table = [line for line in lines if line[0] in "+|"]
    assert len(table) == 6
    assert len({len(line) for line in table}) == 1
    assert "| e    |               | 99.7 +/- 0.0 |" in table
    lines = shown(show_accuracy, summary_of(named(20)), width=80, encoding="ascii")
    assert max(map(len, lines)) <= 80
    assert shortened(named(20)[19], 24).replace("…", "..") in "".join(lines)


def test_a_name_keeps_both_of_its_ends():
    name = "cifar100-0-1-2-3-4-5-6-7-8-9"
    assert [shortened(name, most) for most in (28, 27, 13, 8)] == [
        name, "cifar100-0-1-2-3-4-5-…7-8-9", "cifar100-0…-9", "cifar…-9",
    ]  # fmt: skip
    for most in lengths([name]):
        assert len(shortened(name, most)) == most


def began(n: int, steps: int = 10) -> TaskBegan:
    return TaskBegan(0, n - 1, (), {}, [steps])


def ended(n: int, phase: str = "train") -> EpochEnded:
    names = named(n)
    scores = {name: 50.0 + i for i, name in enumerate(names)}
    return EpochEnded(None, 0, n - 1, 0, phase, {"loss": 12.3456}, scores, 123.4)


@WIDTHS
@pytest.mark.parametrize("who", ["seed 0", "5 seeds"])
@pytest.mark.parametrize("phase", ["warmup", "train"])
@pytest.mark.parametrize("n", [1, 2, 5, 20, 50])
def test_an_epoch_is_a_line_that_has_room(n, phase, who, width):
    console = make_console(width=width)
    lines = epoch_lines(who, ended(n, phase), began(n), named(n)[-1])
    line = first_that_fits(lines, console)
    assert len(line) <= width
    assert line.startswith(f"{who} · cifar")
    assert "loss 12.346  accuracy % " in line
    assert f"{49.0 + n:.1f}" in line  # the newest
    if n >= 20:
        assert re.search(f"mean( of {n} tasks)? {50 + (n - 1) / 2:.1f}", line)


def test_with_few_tasks_and_room_an_epoch_has_the_accuracy_of_each():
    event = ended(2)._replace(accuracy={"a": 90.0, "b": 80.0}, seconds=1.0)
    line = first_that_fits(epoch_lines("seed 0", event, began(2), "b"), make_console(width=80))
    assert line == "seed 0 · b epoch 1/1  loss 12.346  accuracy % a 90.0  b 80.0  1.0 s"
    lines = list(epoch_lines("seed 0", event, began(2), "b"))
    assert lines[1] == "seed 0 · b epoch 1/1  loss 12.346  accuracy % 90.0 80.0  1.0 s"
    assert (
        lines[2]
        == "seed 0 · b epoch 1/1  loss 12.346  accuracy % 80.0, mean of 2 tasks 85.0  1.0 s"
    )
    assert lines[-1] == "seed 0 · b epoch 1/1  loss 12.346  accuracy % 80.0, mean 85.0"


def test_what_a_task_shares_is_said_shorter_and_shorter():
    first, second, third = map(task_name, range(3))
    found = {"conv1": {first: 0.93, second: 0.71}, "conv2": {first: 0.75, second: 0.8}}
    event = TaskBegan(0, 2, (first, third), found, [1])
    lines = list(route_lines(event, ["digits", "letters", "photos"]))
    assert lines[0] == (
        "photos: conv1 shared with digits (similarity: digits 0.93, letters 0.71);"
        " conv2 new (similarity: digits 0.75, letters 0.80)"
    )
    assert lines[1] == "photos: conv1 shared with digits (0.93); conv2 new (letters 0.80)"
    assert lines[2] == "photos: conv1 shared with digits; conv2 new"
    both = event._replace(route=(first, first))
    assert list(route_lines(both, ["digits", "b", "c"]))[2] == "c: all 2 layers shared with digits"
    plain = both._replace(similarity={"conv1": {}, "conv2": {}})  # of a method without branches
    assert set(route_lines(plain, ["digits", "b", "c"])) == {"c"}


@pytest.mark.parametrize("together", [1, 2, 3, 5])
def test_the_steps_of_a_whole_run_are_counted_without_a_gap(together):
    course = Course(named(3), [4, 10, 1], [7, 3, 5, 0, 1], together)
    at = 0
    for first in range(0, 5, together):
        beside = course.seeds[first : first + together]
        for task, steps in enumerate(course.steps):
            for seed in beside:
                assert course.done(seed, task, 0) == at
            at += steps
            assert course.done(beside[-1], task, steps) == at
    assert course.total == at


def watched(terminal: bool) -> str:
    """What is shown of the first half of a run: a seed of two."""
    file = io.StringIO()
    console = make_console(file=file, width=80, force_terminal=terminal)
    names = named(2)
    with watching(Course(names, [10, 30], [7, 3], 1), console) as show:
        for task, steps in enumerate([10, 30]):
            show({"only": TaskBegan(7, task, (), {}, [steps])})
            show({"only": StepsDone(None, 7, task, 0, steps, 1.0, 5.0)})  # type: ignore[arg-type]
            show({"only": ended(task + 1)._replace(seed=7, task_index=task)})
    return file.getvalue()


def test_on_a_terminal_a_bar_shows_how_far_the_whole_run_is():
    text = watched(terminal=True)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    bars = [line for line in re.split(r"[\r\n]+", plain) if line.rstrip().endswith("left")]
    assert bars
    assert max(map(len, bars)) <= 80
    assert " 50% epoch 1/1  loss 1.000" in bars[-1]  # one seed of two
    assert "\x1b[" in text


def test_elsewhere_there_are_plain_lines_alone():
    text = watched(terminal=False)
    assert "\x1b" not in text
    assert "left" not in text
    assert text.count("\n") == 4  # of each task, as it began and as its epoch ended


@WIDTHS
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_runs_side_by_side_have_room(width, encoding):
    summaries = [summary_of(["a", "b"], seeds) for seeds in (2, 5)]
    for names in (["ewc", "er"], [f"runs/split-mini-imagenet/ewc/20261121-19161{i}" for i in "01"]):
        lines = shown(comparison.show, summaries, names, width=width, encoding=encoding)
        assert max(map(len, lines)) <= width
        rows = [line for line in lines if re.search("(99.[78].*){5}", line)]
        assert len(rows) == 2
        assert "mean" in lines[0]
        assert lines[0].endswith("of 2 to 5 seeds")


def test_runs_that_measured_other_things_are_not_compared():
    one = summary_of(["a", "b"])
    comparison.check_alike([one, one | {"method": "er"}], ["x", "y"])
    with pytest.raises(UsageError, match="runs: tasks of x is a b, of y a c; compare runs that"):
        comparison.check_alike([one, summary_of(["a", "c"])], ["x", "y"])
    with pytest.raises(UsageError, match=r"validation of x is 0.0, of y 0.1;"):
        comparison.check_alike([one, one | {"validation": 0.1}], ["x", "y"])
    few = one | {"config": "[data]\nlimit = 20"}
    with pytest.raises(UsageError, match="limit of x is unset, of y 20; compare runs that"):
        comparison.check_alike([one, few], ["x", "y"])


def test_data_of_ones_own_that_changed_are_not_compared():
    inputs = {"kind": "float32 4", "checksum": "1"}
    made = {"data": "mine", "config": "[data]\nlimit = 20", "inputs": inputs}
    one = summary_of(["a", "b"]) | made
    other = one | {"inputs": {"kind": "float32 4", "checksum": "2"}}
    comparison.check_alike([one, one | {"method": "er"}], ["x", "y"])
    with pytest.raises(UsageError, match="data: mine was changed between x and y; run both again"):
        comparison.check_alike([one, other], ["x", "y"])
    wider = {"inputs": {"kind": "float32 9", "checksum": "2"}}  # as another network takes them
    comparison.check_alike([one, one | wider], ["x", "y"])
    comparison.check_data([one, other | {"config": "[data]\nlimit = 30"}], ["x", "y"])
    comparison.check_alike([each | {"data": None} for each in (one, other)], ["x", "y"])


def test_a_notebook_gets_plain_text(monkeypatch):
    """Its kernel asks for colours (FORCE_COLOR), and rich would show each line as an output."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = make_console()
    assert not console.is_jupyter
    assert not console.is_terminal
    assert console.color_system is None
