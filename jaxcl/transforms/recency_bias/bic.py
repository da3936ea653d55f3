"""BiC: exemplars, old responses, and a linear correction of the newest classes' logits."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Bool, Float, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, Needs, PredictedLogits, TaskData
from jaxcl.transforms.beside import passed_beside
from jaxcl.transforms.checks import check_classes, check_label, check_logits
from jaxcl.transforms.objectives import categorical
from jaxcl.transforms.old_responses import NO_OLD, Old, of_both, recalled, recorded_logits, rows_of
from jaxcl.transforms.recency_bias import exemplars as of_classes
from jaxcl.transforms.recency_bias.linear_correction import Correction, corrected, refitted, widened
from jaxcl.transforms.rehearsal.buffers import Buffer, without_rows
from jaxcl.transforms.rehearsal.herding import as_wide, drawn_beside, in_use, with_room
from jaxcl.transforms.rehearsal.memory import check_drawn

RESPONSES = "bic_responses"  # name of the old logits of an exemplar
NEVER = -1e30  # a logit whose class has probability 0, finite so that 0 times it is 0


class BiCState(NamedTuple):
    """State of :func:`bic`; what is None is there while a task, or a later one, is trained.

    Attributes:
      exemplars: class by class and the most important first, with room for the capacity; while a
        later task is trained, with the old network's logits, unless inputs are augmented.
      validation: the examples of old classes that nothing is trained on, with room for the most.
      held: whether an example of the task's data is not trained on.
      old: the old network's logits for the task's data, not yet corrected, or that network.
      classes: whether a class is one of earlier tasks.
      share: part of the task's examples among all that are trained on, float32.
      strength: lambda, float32.
      correction: alpha and beta of every class, 1 and 0 of those that have none.
    """

    exemplars: Buffer
    validation: Buffer
    held: Bool[Array, "n"] | None
    old: Old
    classes: Bool[Array, "classes"] | None
    share: Scalar
    strength: Scalar
    correction: Correction | None


def bic(
    capacity: int,
    *,
    held_out: float = 0.1,
    temperature: float = 2.0,
    ridge: float = 1e-3,
    n: int | None = None,
    name: str = "bic",
    label: str = "label",
    classes: int | None = None,
) -> LossTransform:
    """Makes bias correction, for tasks whose new classes compete with the old ones.

    Every class so far has ``m = capacity // classes`` examples, of which a part is for
    validation: it has no part in the loss, though it passes batch normalisation.  As a task
    begins, as many examples of each of its classes are held out at random as each old class has
    for validation.  With logits q, which have the corrections of earlier tasks, the loss is
    replaced by the mean over the other new examples and the exemplars of

        lambda * -sum over old classes c of p_c log softmax(q / T)_c
        + (1 - lambda) * -log softmax(q)_y,    lambda = old classes / (old and new classes),

    p being ``softmax(old q / T)`` of the network, with its corrections, as it stood before the
    task.  New examples and exemplars pass the network as one batch: a step weighs the mean over its
    batch by N / (N + P) and that over a draw from the exemplars by P / (N + P), with N new
    examples that are trained on and P exemplars.  As in :func:`er_ace`, the given loss is
    corrected: less the mean cross-entropy of the batch, which must be in it with weight 1, plus
    this one.

    As a task ends, alpha and beta of its new classes are those with which the mean cross-entropy
    of ``q_c = alpha z_c + beta`` is the smallest over the validation examples of all classes, as
    many of each.  They stay as they are, and examples are classified by q.  Exemplars are kept as
    by :func:`icarl`, those for validation in the order in which they were drawn.

    The authors' program applies the latest correction alone, and leaves it to the distillation
    to put the earlier ones into the logits; here these stay, so that a task begins with the
    responses that are to be kept.  It has ``0.1 beta^2 / 2`` in place of the ridge.

    Args:
      capacity: examples of all classes together, those for validation included.
      held_out: part of them that is for validation; of each class at least one, and at most half
        of what a task has.
      temperature: T > 0; 2 in the paper.
      ridge: > 0, weight of ``((alpha - 1)^2 + beta^2) / 2`` in the fit.
      n: exemplars drawn in a step, with replacement; by default as many as a batch has.
      name: of the stream of random numbers.
      label: name of the labels in the data, classes ``[N]``.
      classes: of all tasks together, so that a step that was compiled for one task serves the
        next; by default those of the tasks so far.  More of them make room as they come.

    Returns:
      A transform that reports ``{"incoming": ..., "replayed": ...}`` and has ``predict``: the
      corrected logits, float32 ``[b, classes]``.  It needs ``batch["index"]``, ``key``, ``beside``
      (:func:`gradients` gives it) and, if outputs are not one array, ``logits`` in its context,
      and ``features`` in ``TaskData``.

    Raises:
      ValueError: an argument out of its range; from ``begin_task``, data without labels of that
        name, with labels that are no classes of examples, or with one of each; from it and
        ``end_task``, room for fewer than two examples of a class; from ``apply``, no exemplars
        beside the batch; from ``end_task``, no features.

    References:
      Wu, Chen, Wang, Ye, Liu, Guo & Fu, Large scale incremental learning, 2019 (arXiv 1905.13260),
      sections 3 and 4; their program: github.com/wuyuebupt/LargeScaleIncrementalLearning.

    >>> import jax
    >>> forward, key, w = lambda w, b: b["x"] @ w, jax.random.key(0), jnp.eye(2)
    >>> transform, old = bic(8), jnp.array([1.0, 1.5])
    >>> state = transform.init(w)
    >>> for label, x in enumerate((old, jnp.array([0.0, 3.0]))):
    ...     data = {"x": jnp.tile(x, (4, 1)), "label": jnp.full(4, label)}
    ...     task = TaskData(data, forward, features=lambda w, b: b["x"])
    ...     state = transform.begin_task(state, w, task, key)
    ...     state, _ = transform.end_task(state, w, task, key)
    >>> logits = transform.predict(state, Context(w, old[None], {}))
    >>> print(old.argmax(), logits.argmax())  # the new class was ahead of the old one
    1 0
    """
    check_drawn(n)
    if not 0 < held_out < 1:
        raise ValueError(f"held_out: {held_out} is outside (0, 1); give 0.1, say")
    for what, value in (("temperature", temperature), ("ridge", ridge)):
        if not value > 0:
            raise ValueError(f"{what}: {value} is not positive; pass 1, say")
    of_classes.parts(capacity, 1, held_out)
    chosen = _BiC(capacity, held_out, temperature, ridge, n, name, label, classes)
    return LossTransform(
        _init, partial(_apply, chosen), partial(_begin, chosen), end_task=partial(_end, chosen),
        predict=PredictedLogits(_predict), needs=Needs(beside=partial(drawn_beside, name, n)),
    )  # fmt: skip


class _BiC(NamedTuple):
    """The arguments of :func:`bic`."""

    capacity: int
    held_out: float
    temperature: float
    ridge: float
    n: int | None
    name: str
    label: str
    classes: int | None


def _init(_: Params) -> BiCState:
    one, zero = jnp.ones((), jnp.float32), jnp.zeros((), jnp.float32)
    return BiCState(without_rows(), without_rows(), None, NO_OLD, None, one, zero, None)


def _begin(chosen: _BiC, state: BiCState, params: Params, task: TaskData, key: PRNGKey) -> BiCState:
    check_label(task.data, chosen.label)
    check_classes(task.data[chosen.label], "take replay or der")
    labels = np.asarray(task.data[chosen.label])
    new = np.unique(labels)
    exemplars = in_use(state.exemplars, RESPONSES)
    known = np.unique(np.asarray(exemplars[chosen.label])) if exemplars else new[:0]
    _, each = of_classes.parts(chosen.capacity, len(known) or len(new), chosen.held_out)
    held = of_classes.drawn_of_each(labels, each, stream(key, chosen.name))
    if not held.any():
        raise ValueError("held_out: no class has two examples, so none can be; give two of each")
    before = 0 if state.correction is None else state.correction.shape[-1]
    width = max(before, int(new[-1]) + 1, chosen.classes or 0)
    state = state._replace(held=jnp.asarray(held), correction=widened(state.correction, width))
    if not exemplars:
        return state
    trained, p = len(labels) - int(held.sum()), examples(exemplars)
    state = state._replace(
        classes=jnp.isin(jnp.arange(width), known),
        share=jnp.asarray(trained / (trained + p), jnp.float32),
        strength=jnp.asarray(len(known) / (len(known) + len(new)), jnp.float32),
    )
    exemplars, old = recalled(task, params, exemplars, RESPONSES)
    return state._replace(exemplars=with_room(exemplars, chosen.capacity), old=old)


def _apply(chosen: _BiC, loss: Scalar, state: BiCState, context: Context) -> tuple[Scalar, Metrics]:
    labels, rows = context.batch[chosen.label], rows_of(context)
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    plain = loss - categorical.loss(logits, labels).mean()
    old, kept_old = of_both(state.old, context, RESPONSES)
    each = _losses(chosen, state, logits, labels, old)
    kept = jnp.ones_like(each) if state.held is None else 1 - state.held[rows].astype(jnp.float32)
    incoming = (kept * each).sum() / jnp.maximum(kept.sum(), 1)
    if not state.exemplars.data:
        return plain + incoming, {"incoming": incoming, "replayed": jnp.float32(0)}
    batch, outputs, _ = passed_beside("bic", context)
    logits = context.logits(outputs, batch)
    replayed = _losses(chosen, state, logits, batch[chosen.label], kept_old).mean()
    mean = state.share * incoming + (1 - state.share) * replayed
    return plain + mean, {"incoming": incoming, "replayed": replayed}


def _losses(
    chosen: _BiC, state: BiCState, logits: Array, labels: Array, old: Array | None
) -> Float[Array, "b"]:
    q = corrected(logits, state.correction)
    right = categorical.loss(q, labels)
    if old is None or state.classes is None:
        return right
    known, had = (as_wide(state.classes, x.shape[-1]) for x in (q, old))
    before = jnp.where(had, corrected(old, state.correction), NEVER)
    now, softness = jnp.where(known, q, NEVER), jnp.float32(chosen.temperature)
    kept = categorical.distance(now, before, softness)
    return state.strength * kept + (1 - state.strength) * right


def _end(
    chosen: _BiC, state: BiCState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[BiCState, Params]:
    del key
    assert state.held is not None, "the task has begun"
    held = np.asarray(state.held)
    trained, aside = (of_classes.rows_of(task.data, np.flatnonzero(x)) for x in (~held, held))
    validation = of_classes.joined(in_use(state.validation, RESPONSES), aside)
    if state.classes is not None:
        state = _refitted(chosen, state, params, task, validation)
    kept = in_use(state.exemplars, RESPONSES)
    classes = np.unique(np.concatenate([np.asarray(x[chosen.label]) for x in (kept, trained) if x]))
    room, each = of_classes.parts(chosen.capacity, len(classes), chosen.held_out)
    exemplars = of_classes.renewed(kept, trained, task, params, chosen.label, room)
    most = of_classes.most_held_out(chosen.capacity, chosen.held_out)
    return state._replace(
        exemplars=with_room(exemplars, chosen.capacity),
        validation=with_room(of_classes.first_of_each(validation, chosen.label, each), most),
        held=None, old=NO_OLD, classes=None,
    ), params  # fmt: skip


def _refitted(
    chosen: _BiC, state: BiCState, params: Params, task: TaskData, validation: Batch
) -> BiCState:
    """The state with alpha and beta of the classes that came with the task."""
    assert state.classes is not None
    _, each = of_classes.parts(chosen.capacity, int(state.classes.sum()), chosen.held_out)
    balanced = of_classes.first_of_each(validation, chosen.label, each)
    logits = corrected(recorded_logits(task, params, balanced), state.correction)
    width = logits.shape[-1]
    own = jnp.isin(jnp.arange(width), task.data[chosen.label]) & ~as_wide(state.classes, width)
    if not own.any():
        return state
    given = balanced[chosen.label], own, jnp.float32(chosen.ridge)
    return state._replace(correction=refitted(state.correction, logits, *given))


def _predict(state: BiCState, context: Context) -> Array:
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    return corrected(logits, state.correction)
