"""The result of a run as one JSON object."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxcl.config import Config
from jaxcl.events import SeedEnded
from jaxcl.metrics import average_accuracy, forgetting, mean_sem
from jaxcl.runtime import git_commit, versions


def summarise(
    config: Config, names: Sequence[str], results: Sequence[SeedEnded], seconds: float
) -> dict[str, Any]:
    """What ``summary.json`` holds.

    Args:
      config: of the run.
      names: of the tasks.
      results: one for each seed.
      seconds: wall time of everything.

    Returns:
      ``method, scenario, seeds, tasks``; ``accuracy`` [seed][trained up to
      task][task] in percent, None before a task is seen; ``final`` (task -> mean
      and sem), ``average_accuracy`` and ``forgetting`` (mean and sem over the
      seeds, percent and percentage points); ``weights, routes, similarity,
      task_seconds`` for each seed; ``seconds, argv, versions, git``.
    """
    matrices = [result.matrix for result in results]
    return {
        "method": config.method,
        "scenario": config.scenario,
        "seeds": [result.seed for result in results],
        "tasks": list(names),
        "accuracy": matrices,
        "final": {name: mean_sem([m[-1][i] for m in matrices]) for i, name in enumerate(names)},
        "average_accuracy": mean_sem([average_accuracy(m) for m in matrices]),
        "forgetting": mean_sem([forgetting(m) for m in matrices]),
        "weights": [result.weights for result in results],
        "routes": [result.routes for result in results],
        "similarity": [result.similarity for result in results],
        "task_seconds": [result.seconds for result in results],
        "seconds": seconds,
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "git": git_commit(),
    }
