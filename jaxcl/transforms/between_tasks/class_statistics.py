"""What the methods of class statistics share: features class by class, and scores from them."""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples, in_portions, map_batches, take
from jaxcl.core.types import Array, Batch, Float, Int, Metrics, Params, PyTree, Scalar
from jaxcl.transforms.base import Context, TaskData
from jaxcl.transforms.checks import check_label, check_logits
from jaxcl.transforms.objectives.base import float32

FEATURE_BATCH = 500
Place = tuple[Array, Array]
"""Row and column of each example in what is kept by class: its task, and its class."""
Size = tuple[int, int]
Statistics = TypeVar("Statistics", bound=PyTree)


class Where(NamedTuple):
    """Where the classes of examples stand in the data.

    Attributes:
      by_task: each task has classes of its own, counted from 0; else all tasks share one row.
      label: name of the labels.
      task: name of the indices of tasks.
      classes: that there is room for from the first task on; None: those that were seen.
    """

    by_task: bool
    label: str
    task: str
    classes: int | None = None


def check_task(where: Where, task: TaskData, what: str) -> None:
    """Raises a ValueError for data without labels or indices, or labels that are no classes.

    Args:
      where: they should be.
      task: that begins.
      what: asks for them, such as ``"the nearest class mean"``.
    """
    check_label(task.data, where.label)
    labels = task.data[where.label]
    if labels.ndim != 1 or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"label: {labels.dtype} {labels.shape} is not a class for each example, [N]; {what}"
            " needs one"
        )
    if where.by_task and where.task not in task.data:
        raise ValueError(
            f"task: the task's data has no {where.task!r}, it has {', '.join(task.data)}; pass"
            " task= with its name, or by_task=False"
        )


def gathered(
    where: Where,
    params: Params,
    task: TaskData,
    statistics: Callable[[Array, Place, Size], Statistics],
    plus: Callable[[Statistics, Statistics], Statistics],
) -> Statistics:
    """Returns the statistics of a task's features, made in portions where these are many.

    Args:
      where: the classes of its examples stand.
      params: at which features are made.
      task: that ends.
      statistics: ``(rows, place, size)``, of float32 rows ``[b, width]``; of the size that all
        tasks and classes of this data need.
      plus: the statistics of two portions together.

    Raises:
      ValueError: no features.
    """
    if task.features is None:
        raise ValueError("features: missing; give TaskData(..., features=...)")
    of = task.features

    @jax.jit
    def found(params: Params, batch: Batch) -> Array:
        return map_batches(
            lambda part: rows_of(of(params, part), examples(part)), batch, FEATURE_BATCH
        )

    # The size of the state follows from what was seen, so it is read on the host.
    tasks = np.asarray(task.data[where.task]) if where.by_task else np.zeros(1, np.int32)
    classes = max(int(np.asarray(task.data[where.label]).max()) + 1, where.classes or 0)
    size = (int(tasks.max()) + 1, classes)

    def one(batch: Batch) -> Statistics:
        rows = found(params, batch)
        made = statistics(rows, (tasks_of(where, batch, len(rows)), batch[where.label]), size)
        return jax.tree.map(lambda x: x[None], made)

    parts = in_portions(one, task.data)
    return reduce(plus, [take(parts, i) for i in range(examples(parts))])


def rows_of(features: PyTree, n: int) -> Float[Array, "b width"]:
    """Returns features in float32, all axes but the first laid out in one."""
    return jnp.concatenate([float32(x).reshape(n, -1) for x in jax.tree.leaves(features)], -1)


def tasks_of(where: Where, batch: Batch, n: int) -> Int[Array, "b"]:
    """Returns the row of what is kept by class that each example belongs to."""
    return batch[where.task] if where.by_task else jnp.zeros(n, jnp.int32)


def as_large(*parts: Array) -> list[Array]:
    """Returns arrays ``[tasks, classes, ...]`` with as many tasks and classes as all have."""
    tasks, classes = np.max([x.shape[:2] for x in parts], axis=0)

    def wider(x: Array) -> Array:
        missing = [(0, tasks - x.shape[0]), (0, classes - x.shape[1])]
        return jnp.pad(x, missing + [(0, 0)] * (x.ndim - 2))

    return [wider(x) for x in parts]


def logits_of(context: Context) -> Float[Array, "b classes"]:
    """Returns the logits that a batch is judged by, in float32; TypeError if they are none."""
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    return float32(logits)


def features_of(context: Context, n: int) -> Float[Array, "b width"]:
    """Returns the features of a batch of ``n``, in float32; ValueError if they are missing."""
    if context.features is None:
        raise ValueError("features: missing; give Context(..., features=...)")
    return rows_of(context.features, n)


def unchanged(loss: Scalar, state: PyTree, context: Context) -> tuple[Scalar, Metrics]:
    """Returns the loss as it is: the ``apply`` of what predicts alone."""
    del state, context
    return loss, {}


def linear_scores(rows: Array, weights: Array, own: Array) -> Float[Array, "b classes"]:
    """Returns ``weights[own] @ x`` of each row x; of a task that is not there, of any.

    Args:
      rows: ``[b, width]``.
      weights: ``[tasks, classes, width]``.
      own: the task of each example.
    """
    tasks, classes, width = weights.shape
    found = jnp.matmul(rows, weights.reshape(-1, width).T, precision="highest")
    own = jnp.clip(own, 0, tasks - 1)[:, None, None]
    return jnp.take_along_axis(found.reshape(-1, tasks, classes), own, 1)[:, 0]


def judged(scores: Array, known: Array, own: Array, logits: Array) -> Float[Array, "b classes"]:
    """Returns scores, ``-inf`` for classes never seen; of tasks that have not ended, the logits.

    Args:
      scores: ``[b, classes]``.
      known: whether a class was seen, bool ``[tasks, classes]``.
      own: the task of each example.
      logits: ``[b, outputs]``; the result is as wide as the wider of both.
    """
    known = known.at[own].get(mode="fill", fill_value=False)
    width = max(logits.shape[-1], scores.shape[-1])
    scores = _as_wide(jnp.where(known, scores, -jnp.inf), width)
    return jnp.where(known.any(-1, keepdims=True), scores, _as_wide(logits, width))


def _as_wide(scores: Array, width: int) -> Array:
    return jnp.pad(scores, ((0, 0), (0, width - scores.shape[-1])), constant_values=-jnp.inf)
