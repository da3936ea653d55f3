"""The page of several runs: their figures side by side, their curves, and how they differ."""

from collections import Counter
from collections.abc import Sequence

from jaxcl.reporting import comparison
from jaxcl.reporting.html import document
from jaxcl.reporting.html.heat import heat_table
from jaxcl.reporting.html.run import RunShown, all_settings
from jaxcl.reporting.metrics import average_so_far
from jaxcl.reporting.pictures.methods import average_curves
from jaxcl.reporting.pictures.style import rendered
from jaxcl.reporting.report import measured, what_text, where_text


def comparison_page(runs: Sequence[RunShown]) -> str:
    """Returns a page of several runs."""
    labels = _labels(runs)
    named = dict(zip(labels, runs, strict=True))
    head = ("run", *comparison.FIGURES.values(), "time")
    rows = [(label, *comparison.figures(run.summary)) for label, run in named.items()]
    about = "Average and learning accuracy (%), forgetting, backward and forward transfer (points)"
    means = {label: average_so_far(run.summary["accuracy"]) for label, run in named.items()}
    measure = measured(runs[0].summary)
    drawn = rendered(average_curves(means, measure=measure), "svg")
    places = dict.fromkeys(where_text(run.summary) for run in runs)
    title = f"{len(runs)} runs on {', '.join(places)}"
    return document.document(
        title,
        [
            document.remark(f"{about}; means ± standard errors over seeds; time of a seed."),
            document.section("Figures", document.table(head, rows, "numbers")),
            document.section(
                "Accuracy so far",
                document.picture(drawn, "curves", f"mean {measure} over the tasks learned so far"),
            ),
            document.section("What differs", _differences(named)),
            document.section("Accuracy (%)", *(_matrix(*each) for each in named.items())),
        ],
    )


def _labels(runs: Sequence[RunShown]) -> list[str]:
    """A name for each run: its method's, with its folder where two have the same."""
    methods = [run.summary["method"] for run in runs]
    times = Counter(methods)
    labels = [
        method if times[method] == 1 else f"{method} · {run.name}"
        for method, run in zip(methods, runs, strict=True)
    ]
    return [n if labels.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(labels, start=1)]


def _differences(named: dict[str, RunShown]) -> str:
    """The settings that are not the same in all runs."""
    settings = [all_settings(run.summary) for run in named.values()]
    names = dict.fromkeys(name for each in settings for name in each)
    rows = [(name, *(each.get(name, "-") for each in settings)) for name in names]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    if not rows:
        return document.remark("No setting.")
    return document.table(("setting", *named), rows, text="text")


def _matrix(label: str, run: RunShown) -> str:
    return document.folded(f"{label}: {what_text(run.summary)}", heat_table(run.summary))
