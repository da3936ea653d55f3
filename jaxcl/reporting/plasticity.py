"""How a run's ability to learn changed from its first tasks to its last ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcl.reporting.metrics import mean_sem

MOST = 20  # tasks at either end that are averaged
Measured = Mapping[str, Mapping[str, float | None]]
"""task -> measure -> value."""


def ends(values: Sequence[float | None], most: int = MOST) -> tuple[float | None, float | None]:
    """Returns the means over the first and over the last tasks.

    There are ``most`` at either end, or half of all where there are fewer; what was not measured
    is left out.  None where nothing is known.

    >>> ends([90.0, 80.0, 70.0, 60.0])
    (85.0, 65.0)
    """
    n = min(most, len(values) // 2)
    return _mean(values[:n]), _mean(values[len(values) - n :])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def plasticity(seeds: Sequence[Measured | None]) -> dict[str, Any] | None:
    """Returns what ``summary.json`` holds of plasticity; None if it was not measured.

    Args:
      seeds: what was measured in the run of each seed.

    Returns:
      ``tasks``, how many are averaged at either end; ``first``, ``last`` and ``change`` (last -
      first), measure -> mean and standard error over the seeds; ``by_task``, for each seed
      measure -> values in the order of the tasks.  Accuracies are those of the newest task before
      anything is done as it ends, in percent, ``dormant`` is a fraction.
    """
    known = [seed for seed in seeds if seed]
    if not known:
        return None
    names = list(next(iter(known[0].values())))
    by_task = [{n: [found[n] for found in seed.values()] for n in names} for seed in known]
    both = {name: [ends(seed[name]) for seed in by_task] for name in names}
    return {
        "tasks": min(MOST, len(known[0]) // 2),
        "first": {name: mean_sem([first for first, _ in pairs]) for name, pairs in both.items()},
        "last": {name: mean_sem([last for _, last in pairs]) for name, pairs in both.items()},
        "change": {
            name: mean_sem([None if a is None or b is None else b - a for a, b in pairs])
            for name, pairs in both.items()
        },
        "by_task": by_task,
    }
