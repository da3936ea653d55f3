"""Nearest class mean: an example belongs to the class whose mean feature is nearest."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Bool, Float, Int, Params, PRNGKey
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.between_tasks.class_statistics import (
    Place,
    Size,
    Where,
    as_large,
    check_task,
    features_of,
    gathered,
    judged,
    linear_scores,
    logits_of,
    tasks_of,
    unchanged,
)

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
    *,
    by_task: bool = False,
    normalise: bool = False,
    label: str = "label",
    task: str = "task",
    classes: int | None = None,
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
      classes: of all tasks together, so that what is compiled for the first task serves the
        others; None: what is kept grows with the classes that come.

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

    >>> data = {"x": jnp.array([[0.0], [4.0]]), "label": jnp.arange(2)}
    >>> task = TaskData(data, lambda w, b: jnp.zeros((2, 2)), features=lambda w, b: b["x"])
    >>> transform = ncm()
    >>> state, _ = transform.end_task(transform.init({}), {}, task, jax.random.key(0))
    >>> context = Context({}, jnp.zeros((1, 2)), {}, features=jnp.array([[1.0]]))
    >>> print(transform.predict(state, context))  # -(1 - 0)^2, -(1 - 4)^2
    [[-1. -9.]]
    """
    chosen = _NCM(Where(by_task, label, task, classes), normalise)
    return LossTransform(
        _init, unchanged, partial(_begin, chosen), end_task=partial(_end, chosen),
        predict=partial(_predict, chosen),
    )  # fmt: skip


class _NCM(NamedTuple):
    """The arguments of :func:`ncm`."""

    where: Where
    normalise: bool


def _init(params: Params) -> NearestMeanState:
    del params
    return NearestMeanState(None, None)


def _begin(
    chosen: _NCM, state: NearestMeanState, params: Params, task: TaskData, key: PRNGKey
) -> NearestMeanState:
    del params, key
    check_task(chosen.where, task, "the nearest class mean")
    return state


def _end(
    chosen: _NCM, state: NearestMeanState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[NearestMeanState, Params]:
    del key

    def statistics(rows: Array, place: Place, size: Size) -> NearestMeanState:
        rows = _unit(rows) if chosen.normalise else rows
        sums = jnp.zeros((*size, rows.shape[-1]), jnp.float32).at[place].add(rows)
        return NearestMeanState(sums, jnp.zeros(size, jnp.int32).at[place].add(1))

    return _plus(state, gathered(chosen.where, params, task, statistics, _plus)), params


def _plus(old: NearestMeanState, new: NearestMeanState) -> NearestMeanState:
    """The sum of two states, as large as both of them."""
    if old.counts is None or new.counts is None:
        return new if old.counts is None else old
    return jax.tree.map(lambda a, b: sum(as_large(a, b)), old, new)


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), TINY)


def _predict(chosen: _NCM, state: NearestMeanState, context: Context) -> Array:
    logits = logits_of(context)
    if state.sums is None or state.counts is None:
        return logits
    rows = features_of(context, len(logits))
    rows = _unit(rows) if chosen.normalise else rows
    means = state.sums / jnp.maximum(state.counts, 1).astype(jnp.float32)[..., None]
    means = _unit(means) if chosen.normalise else means
    own = tasks_of(chosen.where, context.batch, len(logits))
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
    # |f - m|^2 = |f|^2 - 2 f . m + |m|^2 is one matrix product; seen from their centre both are
    # short, so that little is lost where the three nearly cancel.
    count = jnp.maximum(known.sum(), 1).astype(jnp.float32)
    centre = jnp.where(known[..., None], means, 0).sum((0, 1)) / count
    rows, means = rows - centre, means - centre
    squares = (means**2).sum(-1).at[own].get(mode="fill", fill_value=0)
    scores = 2 * linear_scores(rows, means, own) - squares - (rows**2).sum(-1, keepdims=True)
    return judged(scores, known, own, logits)
