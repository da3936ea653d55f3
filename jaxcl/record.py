"""From the events of a run to its files and tables."""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxcl import output, plots, report
from jaxcl.checkpoint import save_params
from jaxcl.config import Config
from jaxcl.events import EpochEnded, Event, SeedEnded
from jaxcl.summary import summarise


def record(
    events: Iterable[Event],
    config: Config,
    names: Sequence[str],
    out: Path,
    console: Console,
    began: float,
) -> dict[str, Any]:
    """Shows a run, writes its files as it goes on, and returns its summary.

    Args:
      events: of the run.
      config: of the run.
      names: of its tasks.
      out: folder that ``output.create`` made.
      console: where progress is shown.
      began: ``time.perf_counter()`` when the command started.
    """
    epochs: list[EpochEnded] = []
    results: list[SeedEnded] = []
    for event in report.watch(events, names, console):
        if isinstance(event, EpochEnded):
            epochs.append(event)
            output.append(out, {"event": "epoch", "task": names[event.position], **event._asdict()})
        elif isinstance(event, SeedEnded):
            results.append(event)
            save_params(out / output.PARAMS / f"seed{event.seed}", event.params)
            line = event._replace(params=None)._asdict()
            output.append(out, {"event": "seed", **line})
    summary = summarise(config, names, results, time.perf_counter() - began)
    seeds = "1 seed" if len(results) == 1 else f"{len(results)} seeds"
    title = f"{config.method}, scenario {config.scenario}, {seeds}"
    picture = plots.accuracy_curves(*curves(epochs, names), title)
    output.write_bytes(out / output.PLOT, picture)
    output.write_bytes(out / output.SUMMARY, json.dumps(summary, indent=1).encode())
    return summary


def curves(
    epochs: Sequence[EpochEnded], names: Sequence[str]
) -> tuple[dict[str, list[list[float | None]]], list[int]]:
    """Accuracy of each task by seed and epoch, and the epochs at which tasks ended."""
    seeds = list(dict.fromkeys(event.seed for event in epochs))
    by_seed = [[event for event in epochs if event.seed == seed] for seed in seeds]
    table = {name: [[e.accuracy.get(name) for e in run] for run in by_seed] for name in names}
    first = by_seed[0]
    ends = [sum(e.position <= position for e in first) for position in range(len(names))]
    return table, ends


def show(summary: dict[str, Any], out: Path, console: Console) -> None:
    """Prints a run's tables and where its files are."""
    console.print(report.accuracy_table(summary))
    console.print(report.facts_table(summary))
    console.print(f"written to {out}", highlight=False)
