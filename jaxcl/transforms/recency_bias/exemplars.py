"""Exemplars of all classes so far: which examples stay, and which are held out."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples, take
from jaxcl.core.types import Batch, Data, Params, PRNGKey
from jaxcl.transforms.base import TaskData
from jaxcl.transforms.rehearsal.herding import selected, taken, unit_features


def renewed(kept: Batch, new: Data, task: TaskData, params: Params, label: str, each: int) -> Batch:
    """Returns so many exemplars of each class, class by class and the most important first.

    An old class keeps the first of those it had; one that has new examples has its exemplars
    chosen by :func:`~jaxcl.transforms.rehearsal.herding.herding`, among all that there are.

    Args:
      kept: exemplars so far, in that order; maybe none.
      new: examples of the task that may become exemplars.
      task: with features.
      params: at which these are made.
      label: name of the labels.
      each: exemplars of a class, where it has as many examples.

    Raises:
      ValueError: no features.
    """
    if task.features is None:
        raise ValueError("features: missing; give TaskData(..., features=...)")
    of = task.features
    sources = [kept, new] if kept else [new]
    rows = np.concatenate([np.asarray(unit_features(of, params, data)) for data in sources])
    labels = np.concatenate([np.asarray(data[label]) for data in sources])
    old, classes = len(rows) - examples(new), len(np.unique(labels))
    best = selected(np.zeros_like(labels), labels, rows, old, each * classes)
    return taken(kept, new, best, old)


def parts(capacity: int, classes: int, held_out: float) -> tuple[int, int]:
    """Returns how many exemplars a class has, and how many examples that nothing is trained on.

    Args:
      capacity: examples of all classes together.
      classes: how many there are.
      held_out: part of the examples of a class that is held out, at least one and not all.

    Raises:
      ValueError: room for fewer than two examples of a class.

    >>> parts(25, 2, 0.25)
    (9, 3)
    """
    each = capacity // classes
    if each < 2:
        raise ValueError(
            f"capacity: {capacity} examples for {classes} classes; give two for each, or more"
        )
    aside = min(max(1, round(held_out * each)), each - 1)
    return each - aside, aside


def most_held_out(capacity: int, held_out: float) -> int:
    """Returns how many examples are held out at most, of :func:`parts` of however many classes.

    >>> most_held_out(25, 0.25)  # of 12 classes one each; of 3 two each
    12
    """
    return max(parts(capacity, n, held_out)[1] * n for n in range(1, capacity // 2 + 1))


def drawn_of_each(labels: np.ndarray, n: int, key: PRNGKey) -> np.ndarray:
    """Returns marks of n random examples of each class, but of no more than half of them.

    Args:
      labels: classes, int ``[N]``.
      n: of each class.
      key: for the draw.

    >>> marks = drawn_of_each(np.array([0, 1, 0, 0, 0, 1]), 2, jax.random.key(0))
    >>> marks[[0, 2, 3, 4]].sum(), marks[[1, 5]].sum()
    (np.int64(2), np.int64(1))
    """
    order = np.asarray(jax.random.permutation(key, len(labels)))
    marks = np.zeros(len(labels), bool)
    for kind in np.unique(labels):
        rows = order[labels[order] == kind]
        marks[rows[: min(n, len(rows) // 2)]] = True
    return marks


def rows_of(data: Data, rows: np.ndarray) -> Batch:
    """Returns some examples of a task, on the device."""
    return jax.tree.map(jnp.asarray, take(dict(data), rows))


def joined(first: Batch, second: Batch) -> Batch:
    """Returns the examples of both; the first may have none, not even arrays."""
    if not first:
        return second
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), dict(first), dict(second))


def first_of_each(data: Batch, label: str, m: int) -> Batch:
    """Returns the first m examples of each class, class by class.

    >>> first_of_each({"label": jnp.array([1, 0, 1, 1]), "x": jnp.arange(4)}, "label", 2)["x"]
    Array([1, 0, 2], dtype=int32)
    """
    labels = np.asarray(data[label])
    rows = [np.flatnonzero(labels == kind)[:m] for kind in np.unique(labels)]
    return take(dict(data), jnp.asarray(np.concatenate(rows)))
