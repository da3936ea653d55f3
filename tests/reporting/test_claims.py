import pytest

from jaxcl.reporting.pages.claims import (
    Measured,
    Place,
    Section,
    against_figure,
    against_ours,
    average,
    counts,
    measured,
    short_table,
    text,
)

PLACE = Place("table 1", "there/RESULTS.md", "one")


def of(mean, sem=None, seeds=1):
    return Measured({"mean": mean, "sem": sem}, seeds)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (of(49.0, 0.3, 3), (50.0, 0.4), "met"),  # 1 <= 2 * 0.5
        (of(48.9, 0.3, 3), (50.0, 0.4), "below"),
        (of(51.1, 0.3, 3), (50.0, 0.4), "above"),
        (of(49.0, 0.4, 3), (50.0, None), "below"),  # 1 > 2 * 0.4
        (of(49.0), (50.0, 0.4), "met"),  # has the other's error: 2 * 0.57
        (of(50.0), (50.0, None), "met"),
        (of(50.1), (50.0, None), "above"),
        (of(50.1), None, "not comparable"),
        (None, (50.0, None), "not run"),
        (None, None, "not run"),
    ],
)
def test_beside_a_published_figure(ours, theirs, expected):
    assert against_figure("claim", ours, theirs, PLACE).verdict == expected


def test_less_can_be_better():
    found = against_figure("lost", of(0.33, 0.02, 3), (0.25, None), PLACE, less=True)
    assert found.verdict == "below"
    assert (
        against_figure("lost", of(0.1, 0.02, 3), (0.25, None), PLACE, less=True).verdict == "above"
    )


def test_a_figure_that_was_measured_in_another_way_is_shown_all_the_same():
    found = against_figure(
        "claim", of(90.0, 1.0, 5), (40.8, None), PLACE, comparable=False, digits=1
    )
    assert found[1:5] == ("40.8", "90.0 ± 1.0", "5", "not comparable")


@pytest.mark.parametrize(
    ("ours", "other", "better", "as_good"),
    [
        (of(51.1, 0.3, 3), of(50.0, 0.4, 3), "met", "met"),
        (of(50.9, 0.3, 3), of(50.0, 0.4, 3), "below", "met"),
        (of(48.9, 0.3, 3), of(50.0, 0.4, 3), "below", "below"),
        (of(50.1), of(50.0), "met", "met"),
        (of(50.0), of(50.0), "below", "met"),
        (None, of(50.0), "not run", "not run"),
        (of(50.0), None, "not run", "not run"),
    ],
)
def test_beside_another_figure_of_ours(ours, other, better, as_good):
    assert against_ours("claim", ours, other, PLACE, better=True).verdict == better
    assert against_ours("claim", ours, other, PLACE, better=False).verdict == as_good


def test_the_fewer_seeds_are_told():
    found = against_ours("claim", of(50.0, 1.0, 5), of(40.0), PLACE, better=True)
    assert (found.ours, found.seeds) == ("50.00 ± 1.00 against 40.00", "1 seed")


def test_what_was_measured():
    assert measured([]) is None
    assert measured([1.0, 3.0]) == of(2.0, 1.0, 2)
    assert average(None) is None
    assert average({"average_accuracy": {"mean": 2.0, "sem": None}, "seeds": [7]}) == of(2.0)


def sections():
    claims = [
        against_figure("first", of(50.0, 1.0, 3), (50.0, None), PLACE, headline=True),
        against_figure("second", None, (50.0, None), PLACE._replace(words="")),
    ]
    return [
        Section("A paper", "Read there.", "run NAME", claims, []),
        Section("Another", "Recalled.", "run", [claims[1]], []),
    ]


def test_a_section_as_text():
    first, second = map(text, sections())
    assert first.splitlines() == [
        *("## A paper", "", "Read there.", ""),
        *("Command, with the last column for NAME: `run NAME`", ""),
        "| claim | published | ours | seeds | verdict | table | NAME |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| first | 50.00 | 50.00 ± 1.00 | 3 | met | [table 1](there/RESULTS.md) | `one` |",
        "| second | 50.00 | not run | - | not run | [table 1](there/RESULTS.md) |  |",
        *("", "No run is recorded."),
    ]
    assert second.splitlines()[4] == "Command: `run`"
    assert second.splitlines()[6].endswith("| table |")


def test_headlines_alone_stand_in_the_short_table():
    assert short_table(sections(), "folder").splitlines()[2:] == [
        "| A paper | first | 50.00 | 50.00 ± 1.00 | 3 | met | [table 1](folder/there/RESULTS.md) |"
    ]


def test_verdicts_are_counted():
    assert counts(sections()).splitlines()[2:] == [
        "| A paper | 1 |  |  |  | 1 |",
        "| Another |  |  |  |  | 1 |",
    ]
