"""The result of a run as one JSON object."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from jaxcl.checkpointing.config_file import to_toml
from jaxcl.checkpointing.saved_settings import without_place
from jaxcl.core.runtime import git_commit, machine, versions
from jaxcl.reporting.metrics import (
    anytime_accuracy,
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
    mean_sem,
)
from jaxcl.reporting.plasticity import plasticity
from jaxcl.training.events import GENERATOR, EpochEnded, SeedEnded


def summarise(
    config: Any,
    names: Sequence[str],
    chance: Sequence[float],
    results: Sequence[SeedEnded],
    seconds: float,
    compile_seconds: float = 0.0,
    compilations: int = 0,
) -> dict[str, Any]:
    """Returns what ``summary.json`` holds.

    Args:
      config: of the run.
      names: of the tasks.
      chance: expected accuracy of a random network on each task, percent.
      results: one for each seed.
      seconds: wall time of everything.
      compile_seconds: how many of them went into compiling.
      compilations: programs that were compiled, or read compiled from the cache.

    Returns:
      ``method, replay, scenario, data, setting, validation, seeds, tasks``; ``accuracy``
      [seed][trained up to task][task] in percent, None before a task is seen; ``final`` (task ->
      mean and sem), ``average_accuracy, anytime_accuracy, within_task_accuracy, forgetting,
      backward_transfer, forward_transfer, learning_accuracy`` (mean and sem over the seeds, percent
      or percentage points); ``weights, routes, similarity, state_bytes,
      task_seconds`` for each seed; ``plasticity`` (:mod:`jaxcl.reporting.plasticity`), None
      unless it was measured; ``config, seconds, compile_seconds, compilations, argv,
      versions, machine, git``.
    """
    matrices = [result.matrix for result in results]
    return {
        "method": config.method.name,
        "replay": config.replay_on_top,
        "scenario": config.scenario,
        "data": config.data.title,
        "setting": config.data.setting,
        "validation": config.data.validation,
        "seeds": [result.seed for result in results],
        "tasks": list(names),
        "accuracy": matrices,
        "final": {name: mean_sem([m[-1][i] for m in matrices]) for i, name in enumerate(names)},
        "average_accuracy": mean_sem([average_accuracy(m) for m in matrices]),
        "anytime_accuracy": mean_sem([anytime_accuracy(m) for m in matrices]),
        "forgetting": mean_sem([forgetting(m) for m in matrices]),
        "backward_transfer": mean_sem([backward_transfer(m) for m in matrices]),
        "forward_transfer": mean_sem(
            [forward_transfer(list(r.zero_shot_accuracy.values()), chance) for r in results]
        ),
        "within_task_accuracy": mean_sem([_within_tasks(result) for result in results]),
        "learning_accuracy": mean_sem([learning_accuracy(m) for m in matrices]),
        "weights": [result.growth.weights for result in results],
        "routes": [result.growth.routes for result in results],
        "similarity": [result.growth.similarity for result in results],
        "state_bytes": [result.bytes for result in results],
        "task_seconds": [result.seconds for result in results],
        "plasticity": plasticity([result.plasticity for result in results]),
        "config": to_toml(config),
        "seconds": seconds,
        "compile_seconds": compile_seconds,
        "compilations": compilations,
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "machine": machine(),
        "git": git_commit(),
    }


def _within_tasks(result: SeedEnded) -> float | None:
    """The mean over tasks of the accuracy among their own classes; None in other settings."""
    found = result.within_task_accuracy
    return None if found is None else fmean(found.values())


_PLUGIN = re.compile(r'^(\s+)".*[/\\]([^/\\]+\.py)",$')  # a file in a list


def portable(summary: dict[str, Any]) -> dict[str, Any]:
    """Returns a summary without the folders of one machine, its configuration as lines.

    >>> portable({"config": 'plugins = [\\n    "/home/me/mine.py",\\n]\\ndata_dir = "/data"'})
    {'config': ['plugins = [', '    "mine.py",', ']']}
    """
    kept = {name: value for name, value in summary.items() if name != "argv"}
    lines = without_place(summary["config"])
    return {**kept, "config": [_PLUGIN.sub(r'\1"\2",', text) for text in lines]}


def recorded(run: Path | None, kept: Path) -> dict[str, Any] | None:
    """Returns a run's summary as it is kept beside a table; None if there is none (yet).

    Args:
      run: folder of the run; where it holds a summary, that is copied first. None: what is kept
        already.
      kept: file that keeps it, without the folders of one machine.
    """
    found = None if run is None else run / "summary.json"
    if found is not None and found.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(portable(json.loads(found.read_text())), indent=1) + "\n")
    return json.loads(kept.read_text()) if kept.exists() else None


def curves(
    epochs: Sequence[EpochEnded], names: Sequence[str]
) -> tuple[dict[str, list[list[float | None]]], list[int]]:
    """Returns accuracy of each task by seed and epoch, and the epochs at which tasks ended."""
    epochs = [event for event in epochs if event.phase != GENERATOR]  # the solver stands still
    seeds = list(dict.fromkeys(event.seed for event in epochs))
    by_seed = [[event for event in epochs if event.seed == seed] for seed in seeds]
    table = {name: [[e.accuracy.get(name) for e in run] for run in by_seed] for name in names}
    first = by_seed[0]
    ends = [sum(e.task_index <= task_index for e in first) for task_index in range(len(names))]
    return table, ends
