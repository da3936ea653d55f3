"""What a run is judged by, from its matrix of accuracies."""

from collections.abc import Sequence

import numpy as np

Matrix = Sequence[Sequence[float | None]]
"""[trained up to task][task], percent; None before a task is seen."""


def average_accuracy(matrix: Matrix) -> float:
    """Returns the mean accuracy over all tasks after the last one, percent.

    References:
      Lopez-Paz & Ranzato, Gradient episodic memory, 2017 (arXiv 1706.08840).

    >>> average_accuracy([[90.0, None], [70.0, 80.0]])
    75.0
    """
    return float(np.mean(np.asarray(matrix[-1], float)))


def forgetting(matrix: Matrix) -> float | None:
    """Returns the mean over all tasks but the last of (best before the end - at the end).

    In percentage points; None for a single task, for which it is not defined.

    References:
      Chaudhry et al., Riemannian walk, 2018 (arXiv 1801.10112).

    >>> forgetting([[90.0, None], [70.0, 80.0]])
    20.0
    """
    return float(np.mean(forgetting_by_task(matrix))) if len(matrix) > 1 else None


def forgetting_by_task(matrix: Matrix) -> list[float]:
    """Returns of all tasks but the last: best before the end - at the end, percentage points.

    References:
      Chaudhry et al., 2018, before the mean is taken.

    >>> forgetting_by_task([[90.0, None, None], [70.0, 80.0, None], [75.0, 60.0, 50.0]])
    [15.0, 20.0]
    """
    table = np.asarray(matrix, float)
    last = len(matrix) - 1
    return [float(np.nanmax(table[task:-1, task]) - table[-1, task]) for task in range(last)]


def backward_transfer(matrix: Matrix) -> float | None:
    """Returns the mean over all tasks but the last of (at the end - just after learning it).

    In percentage points; negative where tasks are forgotten; None for a single task.

    References:
      Lopez-Paz & Ranzato, 2017.

    >>> backward_transfer([[90.0, None], [70.0, 80.0]])
    -20.0
    """
    if len(matrix) < 2:
        return None
    table = np.asarray(matrix, float)
    return float(np.mean(table[-1, :-1] - np.diag(table)[:-1]))


def forward_transfer(first: Sequence[float], chance: Sequence[float]) -> float | None:
    """Returns the mean over all tasks but the first of (before its first step - by chance).

    In percentage points; None for a single task.

    Args:
      first: accuracy of each task before it was trained, percent.
      chance: expected accuracy of a random network, percent.

    References:
      Lopez-Paz & Ranzato, 2017.

    >>> forward_transfer([50.0, 70.0], [50.0, 50.0])
    20.0
    """
    if len(first) < 2:
        return None
    return float(np.mean(np.asarray(first[1:]) - np.asarray(chance[1:])))


def learning_accuracy(matrix: Matrix) -> float:
    """Returns the mean over tasks of the accuracy just after learning them, percent.

    References:
      Riemer et al., Learning to learn without forgetting, 2019 (arXiv 1810.11910).

    >>> learning_accuracy([[90.0, None], [70.0, 80.0]])
    85.0
    """
    return float(np.mean(np.diag(np.asarray(matrix, float))))


def anytime_accuracy(matrix: Matrix) -> float | None:
    """Returns the mean over tasks of the average accuracy just after learning them, percent.

    After each task, accuracy is averaged over the tasks so far, and these averages are averaged.
    None where earlier tasks were not tested.

    References:
      Caccia et al., New insights on reducing abrupt representation change in online continual
      learning, 2022 (arXiv 2104.05025), who test within tasks too; Rebuffi et al., iCaRL, 2017,
      who call it the average incremental accuracy.

    >>> anytime_accuracy([[90.0, None], [70.0, 80.0]])
    82.5
    """
    so_far = [row[: i + 1] for i, row in enumerate(matrix)]
    if any(value is None for row in so_far for value in row):
        return None
    return float(np.mean([np.mean(np.asarray(row, float)) for row in so_far]))


def average_so_far(matrices: Sequence[Matrix]) -> np.ndarray:
    """Returns [seed][tasks learned] -> mean accuracy over the tasks learned so far, percent.

    Not a number where earlier tasks were not tested.

    >>> average_so_far([[[90.0, None], [70.0, 80.0]]]).tolist()
    [[90.0, 75.0]]
    """
    return np.array([[_mean(row[: i + 1]) for i, row in enumerate(m)] for m in matrices])


def _mean(row: Sequence[float | None]) -> float:
    return float(np.mean(np.asarray(row, float)))


def mean_sem(values: Sequence[float | None]) -> dict[str, float | None]:
    """Returns the mean and standard error of the mean; the error of one value is None.

    >>> mean_sem([1.0, 3.0])
    {'mean': 2.0, 'sem': 1.0}
    """
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "sem": None}
    n = len(known)
    sem = float(np.std(known, ddof=1) / np.sqrt(n)) if n > 1 else None
    return {"mean": float(np.mean(known)), "sem": sem}


def verdict(ours: dict[str, float | None], theirs: tuple[float, float]) -> str:
    """Returns whether two means agree: ``met``, or ``above`` or ``below`` theirs.

    They agree within two joint standard errors, ``|a - b| <= 2 sqrt(sem_a^2 + sem_b^2)``.

    Args:
      ours: as :func:`mean_sem` returns it; without an error if there is one value, which then
        has the other's.
      theirs: mean and standard error of the mean.

    >>> verdict({"mean": 50.0, "sem": 0.3}, (51.0, 0.4))
    'met'
    >>> verdict({"mean": 48.0, "sem": 0.3}, (51.0, 0.4))
    'below'
    """
    mean, sem = ours["mean"], theirs[1] if ours["sem"] is None else ours["sem"]
    if mean is None:
        return "not run"
    apart = mean - theirs[0]
    if abs(apart) <= 2 * float(np.hypot(sem, theirs[1])):
        return "met"
    return "above" if apart > 0 else "below"
