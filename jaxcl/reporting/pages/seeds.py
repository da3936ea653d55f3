"""Runs that differ in their seeds alone, as one run of all of these."""

from collections.abc import Sequence
from typing import Any

from jaxcl.reporting.metrics import (
    anytime_accuracy,
    average_accuracy,
    forgetting,
    mean_sem,
)

METRICS = (average_accuracy, anytime_accuracy, forgetting)
BY_SEED = ("seeds", "accuracy", "task_seconds")


def joined(summaries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns a summary of all seeds, with what a table needs; None if there are no runs.

    Args:
      summaries: of runs of the same tasks.

    Returns:
      What the first one says, ``seeds``, ``accuracy`` and ``task_seconds`` of all of them, and
      their mean ``average_accuracy``, ``anytime_accuracy``, ``forgetting`` and ``final``.

    Raises:
      ValueError: a seed that is in two of them.

    >>> runs = [{"seeds": [s], "tasks": ["a"], "accuracy": [[[x]]], "task_seconds": [{"a": 1.0}]}
    ...         for s, x in ((0, 80.0), (1, 90.0))]
    >>> both = joined(runs)
    >>> both["seeds"], both["average_accuracy"], both["final"]["a"]
    ([0, 1], {'mean': 85.0, 'sem': 5.0}, {'mean': 85.0, 'sem': 5.0})
    """
    if not summaries:
        return None
    every = {name: [each for one in summaries for each in one[name]] for name in BY_SEED}
    seeds, accuracy = every["seeds"], every["accuracy"]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds: {sorted(seeds)} are recorded, one of them twice; remove a run")
    means = {metric.__name__: mean_sem([metric(m) for m in accuracy]) for metric in METRICS}
    tasks = enumerate(summaries[0]["tasks"])
    final = {name: mean_sem([matrix[-1][i] for matrix in accuracy]) for i, name in tasks}
    return {**summaries[0], **every, **means, "final": final}
