"""Nearest class mean: an example belongs to the class whose mean feature is nearest."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples, in_portions, map_batches
from jaxcl.core.types import (
    Array,
    Batch,
    Bool,
    Float,
    Int,
    Metrics,
    Params,
    PRNGKey,
    PyTree,
    Scalar,
)
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.checks import check_label, check_logits
from jaxcl.transforms.objectives.base import float32

FEATURE_BATCH = 500
TINY = 1e-12  # the least length that a feature is divided by


class NearestMeanState(NamedTuple):
    """State of :func:`ncm`; None before the first task has ended.

    Attributes:
      sums: of the features of each class; one row where tasks share their classes.
      counts: examples of each class.
    """

    sums: Float[Array, "tasks classes width"] | None
    counts: Int[Array, "tasks classes"] | None


def ncm(
    *, by_task: bool = False, normalise: bool = False, label: str = "label", task: str = "task"
) -> LossTransform:
    """Makes the nearest class mean: it predicts, and leaves loss and weights as they are.

    As a task ends, the features of its examples are added up class by class, in float32, with
    the network as it then stands.  Before the first task has ended the logits predict; later an
    example x with features ``f(x)`` (all axes but the first laid out in one) has the score

        score_c = -|f(x) - m_c|^2,    m_c = sum of f over class c / count of class c,

    and that of a class that was never seen is ``-inf``.  A class that comes again in a later task
    adds to its sum, so tasks in any order give the same means up to rounding, as long as the
    features stay what they are; where they go on training, means of earlier tasks are those of
    the features as they were.

    Args:
      by_task: each task has classes of its own, counted from 0, and an example is compared with
        those of its task, ``batch[task]``, an index from 0; of a task that has not ended, the
        logits predict.
      normalise: divide every feature by its length, and the means again: the rule of iCaRL.
      label: name of the labels in the data, classes int ``[N]``.
      task: name of the indices of tasks in the data, int ``[N]``.

    Returns:
      A transform that reports nothing and has ``predict``: scores float32 ``[b, classes]``, as
      many as there are logits, or known classes where these are more.  It needs ``features`` in
      its context and in ``TaskData``.  ``end_task`` runs outside ``jit``; the state has
      as many rows and columns as tasks and classes were seen.

    Raises:
      ValueError: from ``begin_task``, data without labels, or indices of tasks, of that name,
        or with labels that are no classes of examples; from ``end_task`` and ``predict``, no
        features.

    References:
      Mensink, Verbeek, Perronnin & Csurka, Distance-based image classification: generalizing to
      new classes at near-zero cost, 2013; normalised: Rebuffi, Kolesnikov, Sperl & Lampert,
      iCaRL, 2017 (arXiv 1611.07725), eq. 2 and section 2.1, without exemplars.
    """
    chosen = _NCM(by_task, normalise, label, task)
    return LossTransform(
        _init, _apply, partial(_begin, chosen), end_task=partial(_end, chosen),
        predict=partial(_predict, chosen),
    )  # fmt: skip


class _NCM(NamedTuple):
    """The arguments of :func:`ncm`."""

    by_task: bool
    normalise: bool
    label: str
    task: str


def _init(params: Params) -> NearestMeanState:
    del params
    return NearestMeanState(None, None)


def _apply(loss: Scalar, state: NearestMeanState, context: Context) -> tuple[Scalar, Metrics]:
    del state, context
    return loss, {}


def _begin(
    chosen: _NCM, state: NearestMeanState, params: Params, task: TaskData, key: PRNGKey
) -> NearestMeanState:
    del params, key
    check_label(task.data, chosen.label)
    labels = task.data[chosen.label]
    if labels.ndim != 1 or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"label: {labels.dtype} {labels.shape} is not a class for each example, [N]; the"
            " nearest class mean needs one"
        )
    if chosen.by_task and chosen.task not in task.data:
        raise ValueError(
            f"task: the task's data has no {chosen.task!r}, it has {', '.join(task.data)}; pass"
            " task= with its name, or by_task=False"
        )
    return state


def _end(
    chosen: _NCM, state: NearestMeanState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[NearestMeanState, Params]:
    del key
    if task.features is None:
        raise ValueError("features: missing; give TaskData(..., features=...)")
    of = task.features

    @jax.jit
    def found(params: Params, batch: Batch) -> Array:
        return map_batches(
            lambda part: _rows(chosen, of(params, part), examples(part)), batch, FEATURE_BATCH
        )

    # The size of the state follows from what was seen, so it is read on the host.
    tasks = np.asarray(task.data[chosen.task]) if chosen.by_task else np.zeros(1, np.int32)
    labels = np.asarray(task.data[chosen.label])
    least = (int(tasks.max()) + 1, int(labels.max()) + 1)

    def add(batch: Batch) -> NearestMeanState:
        rows = found(params, batch)
        place = (_tasks(chosen, batch, len(rows)), batch[chosen.label])
        sums = jnp.zeros((*least, rows.shape[-1]), jnp.float32).at[place].add(rows)
        return NearestMeanState(sums[None], jnp.zeros(least, jnp.int32).at[place].add(1)[None])

    parts = in_portions(add, task.data)
    return _plus(state, jax.tree.map(lambda x: x.sum(0, dtype=x.dtype), parts)), params


def _plus(old: NearestMeanState, new: NearestMeanState) -> NearestMeanState:
    """The sum of two states, as large as both of them."""
    if old.counts is None or new.counts is None:
        return new if old.counts is None else old
    tasks, classes = np.maximum(old.counts.shape, new.counts.shape)

    def wider(x: Array) -> Array:
        missing = [(0, tasks - x.shape[0]), (0, classes - x.shape[1])]
        return jnp.pad(x, missing + [(0, 0)] * (x.ndim - 2))

    return jax.tree.map(lambda a, b: wider(a) + wider(b), old, new)


def _tasks(chosen: _NCM, batch: Batch, n: int) -> Array:
    """The row of the state that each example belongs to."""
    return batch[chosen.task] if chosen.by_task else jnp.zeros(n, jnp.int32)


def _rows(chosen: _NCM, features: PyTree, n: int) -> Array:
    """Features as float32 ``[b, width]``."""
    rows = jnp.concatenate([float32(x).reshape(n, -1) for x in jax.tree.leaves(features)], -1)
    return _unit(rows) if chosen.normalise else rows


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), TINY)


def _predict(chosen: _NCM, state: NearestMeanState, context: Context) -> Array:
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    logits = float32(logits)
    if state.sums is None or state.counts is None:
        return logits
    if context.features is None:
        raise ValueError("features: missing; give Context(..., features=...)")
    rows = _rows(chosen, context.features, len(logits))
    means = state.sums / jnp.maximum(state.counts, 1).astype(jnp.float32)[..., None]
    means = _unit(means) if chosen.normalise else means
    own = _tasks(chosen, context.batch, len(logits))
    return nearest(rows, means, state.counts > 0, own, logits)


def nearest(
    rows: Float[Array, "b width"],
    means: Float[Array, "tasks classes width"],
    known: Bool[Array, "tasks classes"],
    own: Int[Array, "b"],
    logits: Float[Array, "b outputs"],
) -> Array:
    """Returns scores by which examples belong to the class whose mean is nearest.

    Args:
      rows: features of the examples.
      means: of classes, task by task.
      known: whether a class has a mean.
      own: the task among whose classes an example's is.
      logits: the scores of an example whose task has no class with a mean.

    Returns:
      Minus the squared distances, ``[b, max(classes, outputs)]``; ``-inf`` of unknown classes.
    """

    def score(mean: Array) -> Array:  # class by class: all differences at once are many
        return -((rows - mean.at[own].get(mode="fill", fill_value=0)) ** 2).sum(-1)

    scores = jax.lax.map(score, jnp.swapaxes(means, 0, 1)).T
    known = known.at[own].get(mode="fill", fill_value=False)
    width = max(logits.shape[-1], scores.shape[-1])
    scores = _as_wide(jnp.where(known, scores, -jnp.inf), width)
    return jnp.where(known.any(-1, keepdims=True), scores, _as_wide(logits, width))


def _as_wide(scores: Array, width: int) -> Array:
    return jnp.pad(scores, ((0, 0), (0, width - scores.shape[-1])), constant_values=-jnp.inf)
