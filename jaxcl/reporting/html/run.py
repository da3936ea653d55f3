"""The page of one run."""

import tomllib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from jaxcl.reporting.html import document
from jaxcl.reporting.html.heat import heat_table
from jaxcl.reporting.pages.caption import machine_text
from jaxcl.reporting.pictures.curves import learning_curves
from jaxcl.reporting.pictures.routes import route_diagram, ways
from jaxcl.reporting.pictures.style import rendered
from jaxcl.reporting.report import facts, mean_text, measured, tested, what_text
from jaxcl.reporting.summary import curves
from jaxcl.training.events import GENERATOR, EpochEnded

CARDS = {
    "average_accuracy": "%",
    "forgetting": "points",
    "backward_transfer": "points",
    "learning_accuracy": "%",
}


class RunShown(NamedTuple):
    """A finished run, as a page shows it.

    Attributes:
      name: of its folder.
      summary: what ``summary.json`` holds.
      epochs: of all seeds; none where they are not known.
      changed: name of a setting -> what is usual for this method and scenario, and what it was
        here; None where that is not known.
      command: that makes the run again; None where no command does.
    """

    name: str
    summary: dict[str, Any]
    epochs: Sequence[EpochEnded]
    changed: Mapping[str, tuple[str, str]] | None
    command: str | None


def run_page(run: RunShown) -> str:
    """Returns a page of a run: what was run, what it found, how it is made again."""
    summary = run.summary
    n = len(summary["seeds"])
    over = (
        "1 seed" if n == 1 else f"{n} seeds: means ± standard errors, bands from lowest to highest"
    )
    return document.document(
        what_text(summary),
        [
            document.remark(f"{run.name} · {over}"),
            _cards(summary),
            document.section(
                "Accuracy (%)", document.remark(_measured(summary)), heat_table(summary)
            ),
            document.section("Learning curves", _curves(run)),
            document.section("Branches", _branches(summary)),
            document.section("Facts", document.table((), facts(summary), text="text")),
            document.section("Settings", *_settings(run)),
            document.section("How to make it again", *_again(run)),
        ],
    )


def _cards(summary: dict[str, Any]) -> str:
    made = [
        f'<div class="card"><b>{escape(mean_text(summary[name]))}</b>'
        f"<span>{name.replace('_', ' ')}, {unit}</span></div>"
        for name, unit in CARDS.items()
    ]
    return f'<div class="cards">{"".join(made)}</div>'


def _measured(summary: dict[str, Any]) -> str:
    held_out = "examples held out from training" if summary.get("validation") else "test examples"
    return f"Rows are tasks that were tested, columns say after which one; {held_out}."


def _curves(run: RunShown) -> str:
    if not any(event.phase != GENERATOR for event in run.epochs):
        return document.remark("metrics.jsonl is not there, or cannot be read.")
    what, measure = tested(run.summary), measured(run.summary)
    drawn = curves(run.epochs, run.summary["tasks"])
    figure = learning_curves(*drawn, tested=what, measure=measure)
    about = f"{what} {measure} of every task while training goes on"
    return document.picture(rendered(figure, "svg"), "curves", about)


def _branches(summary: dict[str, Any]) -> str:
    routes, seeds = summary["routes"], summary["seeds"]
    if not ways(routes, seeds):
        return ""
    svg = rendered(route_diagram(routes, seeds), "svg")
    about = "which layer of which task is shared with which"
    return document.picture(svg, "branches", about, whole=True)


def _settings(run: RunShown) -> list[str]:
    parts = []
    if run.changed is None:
        parts.append(
            document.remark("What is usual is not known here; if it is a plug-in's, give --plugin.")
        )
    elif run.changed:
        rows = [(name, here, usual) for name, (usual, here) in run.changed.items()]
        parts.append(document.table(("setting", "here", "usually"), rows, text="text"))
    else:
        parts.append(document.remark("All are those that are usual for this method and scenario."))
    rows = all_settings(run.summary).items()
    return [*parts, document.folded("all settings", document.table((), rows, text="text"))]


def all_settings(summary: dict[str, Any]) -> dict[str, str]:
    """Returns every setting of a run as text, under the names of its part and its own."""
    found: dict[str, str] = {}
    for name, value in tomllib.loads(summary["config"]).items():
        part = value.items() if isinstance(value, dict) else [("", value)]
        found |= {f"{name}.{n}" if n else name: value_text(v) for n, v in part}
    return found


def value_text(value: Any) -> str:
    """Returns a setting as a person would write it.

    >>> value_text(None), value_text([0, 1]), value_text("")
    ('not set', '0 1', 'none')
    """
    if value is None:
        return "not set"
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text or "none"


def _again(run: RunShown) -> list[str]:
    command = run.command
    if command is None:
        called = " ".join(map(str, run.summary.get("argv", [])))
        parts = [document.remark(f"No command has all of it; it was made by: {called}")]
    else:
        parts = [f"<pre>{escape(command)}</pre>"]
    rows = [("commit", run.summary.get("git") or "not known"), *run.summary["versions"].items()]
    rows.append(("machine", machine_text(run.summary.get("machine"))))
    if str(rows[0][1]).endswith("+"):
        parts.append(document.remark("+: files had been changed since the commit."))
    return [*parts, document.table((), rows, text="text")]
