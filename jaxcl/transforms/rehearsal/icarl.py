"""iCaRL: exemplars by herding, old responses, and the nearest mean of exemplars predicts."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.types import Array, Bool, Data, Float, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, Needs, TaskData
from jaxcl.transforms.beside import passed_beside
from jaxcl.transforms.between_tasks.nearest_mean import nearest
from jaxcl.transforms.checks import check_classes, check_label, check_logits
from jaxcl.transforms.objectives import categorical
from jaxcl.transforms.objectives.base import float32
from jaxcl.transforms.old_responses import NO_OLD, Old, of_both, recalled
from jaxcl.transforms.rehearsal.buffers import Buffer, without_rows
from jaxcl.transforms.rehearsal.herding import (
    as_wide,
    class_means,
    drawn_beside,
    in_use,
    selected,
    taken,
    unit_features,
    unit_rows,
    with_room,
)
from jaxcl.transforms.rehearsal.memory import check_drawn

RESPONSES = "icarl_responses"  # name of the old logits of an exemplar


class ICaRLState(NamedTuple):
    """State of :func:`icarl`; what is None is there once a task has begun, or ended.

    Attributes:
      exemplars: class by class and the most important first, with room for the capacity; while a
        later task is trained, with the old network's logits, unless inputs are augmented.
      old: the old network's logits for the task's data, float32, or that network.
      new: whether a class occurs in the present task.
      seen: whether a class occurs in the tasks so far, the present one included.
      share: part of the new examples among these and the exemplars, float32.
      means: of the exemplars' features, of length 1; one row of classes where tasks share them.
      known: whether a class has a mean.
    """

    exemplars: Buffer
    old: Old
    new: Bool[Array, "classes"] | None
    seen: Bool[Array, "classes"] | None
    share: Scalar
    means: Float[Array, "tasks classes width"] | None
    known: Bool[Array, "tasks classes"] | None


def icarl(
    capacity: int,
    *,
    n: int | None = None,
    by_task: bool = False,
    name: str = "icarl",
    label: str = "label",
    task: str = "task",
    classes: int | None = None,
) -> LossTransform:
    """Makes incremental classifier and representation learning.

    The loss is replaced by binary cross-entropy of all classes seen so far: with
    ``t_c = 1`` or 0 for the label in classes of the present task, and ``t_c = sigmoid(old z_c)``,
    the response of the network before the task, in all others,

        l = -sum over c of t_c log sigmoid(z_c) + (1 - t_c) log(1 - sigmoid(z_c)),

    averaged over new examples and exemplars, which pass the network as one batch: a step weighs
    the mean over its batch by N / (N + P) and that over a draw from the exemplars by P / (N + P),
    with N new examples and P exemplars.  The first task has no exemplars.  As in :func:`er_ace`,
    the given loss is corrected: less the mean cross-entropy of the batch, which must be in it with
    weight 1, plus this one.

    As a task ends, every class seen so far keeps ``m = capacity // classes`` exemplars: old
    ones the first m of those it had, those of the task m by herding on features of length 1
    (among its new examples and its exemplars, where it had any).  Then an example belongs
    to the class whose mean of exemplars is nearest,

        score_c = -|f(x) / |f(x)| - mean_c|^2,    mean_c the mean of f / |f|, divided by its length,

    with the features as the task left them; the logits predict before the first task has ended.

    Args:
      capacity: exemplars of all classes together.
      n: exemplars drawn in a step, with replacement; by default as many as a batch has.
      by_task: each task has logits and classes of its own, counted from 0.  New examples are then
        learned by their labels, and exemplars hold on to the old responses of their own task.
      name: of the stream of random numbers.
      label: name of the labels in the data, classes ``[N]``.
      task: name of the indices of tasks in the data, int ``[N]``; looked at with ``by_task``.
      classes: of all tasks together, so that a step that was compiled for one task serves the
        next; by default those of the tasks so far.  More of them make room as they come.

    Returns:
      A transform that reports ``{"incoming": ..., "replayed": ...}`` and has ``predict``: scores
      float32 ``[b, classes]``.  It needs ``batch["index"]``, ``key``, ``beside`` (:func:`gradients`
      gives it) and, if outputs are not one array, ``logits`` in its context, and ``features`` to
      predict and in ``TaskData``.

    Raises:
      ValueError: no room; from ``begin_task``, data without labels of that name, or with none that
        are classes; from ``apply``, no exemplars beside the batch; from ``end_task``, fewer
        exemplars than classes; from ``end_task`` and ``predict``, no features.

    References:
      Rebuffi, Kolesnikov, Sperl & Lampert, iCaRL: incremental classifier and representation
      learning, 2017 (arXiv 1611.07725), algorithms 1-5.

    >>> data = {"x": jnp.array([[1.0, 0.0], [0.0, 2.0]]), "label": jnp.arange(2)}
    >>> task = TaskData(data, lambda w, b: b["x"] @ w, features=lambda w, b: b["x"])
    >>> transform, key = icarl(2), jax.random.key(0)
    >>> state = transform.begin_task(transform.init(jnp.eye(2)), jnp.eye(2), task, key)
    >>> state, _ = transform.end_task(state, jnp.eye(2), task, key)
    >>> context = Context({}, jnp.zeros((1, 2)), {}, features=jnp.array([[3.0, 4.0]]))
    >>> print((10 * transform.predict(state, context)).round())  # (0.6, 0.8) to (1, 0), (0, 1)
    [[-8. -4.]]
    """
    check_drawn(n)
    if capacity < 1:
        raise ValueError(f"capacity: {capacity} is not positive; give room for an example")
    chosen = _ICaRL(capacity, n, by_task, name, label, task, classes)
    return LossTransform(
        _init, partial(_apply, chosen), partial(_begin, chosen), end_task=partial(_end, chosen),
        predict=partial(_predict, chosen), needs=Needs(beside=partial(drawn_beside, name, n)),
    )  # fmt: skip


class _ICaRL(NamedTuple):
    """The arguments of :func:`icarl`."""

    capacity: int
    n: int | None
    by_task: bool
    name: str
    label: str
    task: str
    classes: int | None


def _init(_: Params) -> ICaRLState:
    return ICaRLState(without_rows(), NO_OLD, None, None, jnp.ones((), jnp.float32), None, None)


def _begin(
    chosen: _ICaRL, state: ICaRLState, params: Params, task: TaskData, key: PRNGKey
) -> ICaRLState:
    del key
    check_label(task.data, chosen.label)
    check_classes(task.data[chosen.label], "take replay or der")
    labels = np.asarray(task.data[chosen.label])
    known = np.zeros(0, bool) if state.seen is None else np.asarray(state.seen)
    new = np.zeros(max(len(known), int(labels.max()) + 1, chosen.classes or 0), bool)
    new[labels] = True
    seen = new | np.pad(known, (0, len(new) - len(known)))
    state = state._replace(new=jnp.asarray(new), seen=jnp.asarray(seen))
    if not (kept := in_use(state.exemplars, RESPONSES)):
        return state
    n, p = len(labels), examples(kept)
    share = jnp.float32(n / (n + p))
    kept, old = recalled(task, params, kept, RESPONSES, new=not chosen.by_task)
    return state._replace(exemplars=with_room(kept, chosen.capacity), old=old, share=share)


def _apply(
    chosen: _ICaRL, loss: Scalar, state: ICaRLState, context: Context
) -> tuple[Scalar, Metrics]:
    labels = context.batch[chosen.label]
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    corrected = loss - categorical.loss(logits, labels).mean()
    if not state.exemplars.data:
        incoming = _loss(chosen, state, logits, labels, None)
        return corrected + incoming, {"incoming": incoming, "replayed": jnp.float32(0)}
    batch, outputs, _ = passed_beside("icarl", context)
    old, held = of_both(state.old, context, RESPONSES)
    incoming = _loss(chosen, state, logits, labels, None if chosen.by_task else old)
    logits = context.logits(outputs, batch)
    replayed = _loss(chosen, state, logits, batch[chosen.label], held)
    mean = state.share * incoming + (1 - state.share) * replayed
    return corrected + mean, {"incoming": incoming, "replayed": replayed}


def _loss(
    chosen: _ICaRL, state: ICaRLState, logits: Array, labels: Array, old: Array | None
) -> Scalar:
    """The mean of the binary cross-entropies, with old responses for classes that are not new."""
    z, width = float32(logits), logits.shape[-1]
    target = jax.nn.one_hot(labels, width, dtype=jnp.float32)
    if old is not None:
        held = jnp.ones(old.shape[-1], bool)  # outputs that came since are not
        if not chosen.by_task and state.new is not None:
            held &= ~as_wide(state.new, old.shape[-1])
        missing = (0, width - old.shape[-1])
        response = jnp.pad(jax.nn.sigmoid(old), ((0, 0), missing))
        target = jnp.where(jnp.pad(held, missing), response, target)
    each = -(target * jax.nn.log_sigmoid(z) + (1 - target) * jax.nn.log_sigmoid(-z))
    seen = jnp.ones(width, bool) if state.seen is None else as_wide(state.seen, width)
    return jnp.where(seen, each, 0.0).sum(-1).mean()


def _end(
    chosen: _ICaRL, state: ICaRLState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[ICaRLState, Params]:
    del key
    if task.features is None:
        raise ValueError("features: missing; give TaskData(..., features=...)")
    held = in_use(state.exemplars, RESPONSES)
    sources = [held, task.data] if held else [task.data]
    features = [unit_features(task.features, params, data) for data in sources]
    rows = np.concatenate([np.asarray(each) for each in features])
    groups = np.concatenate([_groups(chosen, data) for data in sources])
    labels = np.concatenate([np.asarray(data[chosen.label]) for data in sources])
    old = len(rows) - examples(task.data)
    kept = selected(groups, labels, rows, old, chosen.capacity)
    own = jnp.asarray(rows[kept])
    means, known = class_means(own, groups[kept], labels[kept], chosen.classes or 0)
    exemplars = with_room(taken(held, task.data, kept, old), chosen.capacity)
    return state._replace(exemplars=exemplars, old=NO_OLD, means=means, known=known), params


def _groups(chosen: _ICaRL, data: Data) -> np.ndarray:
    """The task that the class of each example belongs to; 0 where tasks share them."""
    own = np.asarray(data[chosen.task if chosen.by_task else chosen.label], np.int32)
    return own if chosen.by_task else np.zeros_like(own)


def _predict(chosen: _ICaRL, state: ICaRLState, context: Context) -> Array:
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    logits = float32(logits)
    if state.means is None or state.known is None:
        return logits
    if context.features is None:
        raise ValueError("features: missing; give Context(..., features=...)")
    rows, zeros = unit_rows(context.features, len(logits)), jnp.zeros(len(logits), jnp.int32)
    own = context.batch[chosen.task] if chosen.by_task else zeros
    return nearest(rows, state.means, state.known, own, logits)
