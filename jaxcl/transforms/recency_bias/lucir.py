"""LUCIR: a cosine classifier, features that keep their direction, and a margin for exemplars."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.types import Array, Batch, Float, ForwardPass, Int, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, Needs, PredictedLogits, TaskData
from jaxcl.transforms.beside import passed_beside
from jaxcl.transforms.checks import check_classes, check_label, check_logits, check_not_negative
from jaxcl.transforms.objectives import categorical
from jaxcl.transforms.objectives.base import float32
from jaxcl.transforms.old_responses import NO_OLD, Old, of_both, teacher
from jaxcl.transforms.recency_bias.cosine import cosine_logits, directions, unit
from jaxcl.transforms.recency_bias.exemplars import renewed
from jaxcl.transforms.rehearsal.buffers import Buffer, without_rows
from jaxcl.transforms.rehearsal.herding import drawn_beside, in_use, unit_features, with_room
from jaxcl.transforms.rehearsal.memory import check_drawn

FEATURES = "lucir_features"  # name of the old features of an exemplar


class LUCIRState(NamedTuple):
    """State of :func:`lucir`; what is None is there while a later task is trained.

    Attributes:
      strength: lambda_base, float32 scalar.
      exemplars: class by class and the most important first, with room for the capacity; while a
        later task is trained, with the old network's features, of length 1, unless inputs are
        augmented.
      old: the old network's features of the task's data, of length 1, or that network.
      new: classes of the task that are in no earlier one.
      growth: square root of old classes / classes of the task, float32 scalar.
      share: part of the task's examples among these and the exemplars, float32 scalar.
    """

    strength: Scalar
    exemplars: Buffer
    old: Old
    new: Int[Array, "new"] | None
    growth: Scalar
    share: Scalar


def lucir(
    capacity: int,
    classifier: Callable[[Params], Array],
    *,
    strength: float = 5.0,
    margin: float = 0.5,
    rivals: int = 2,
    n: int | None = None,
    name: str = "lucir",
    label: str = "label",
) -> LossTransform:
    """Makes a unified classifier by rebalancing, for tasks whose classes compete.

    An example with features f has, for a class with weights w, the score ``eta cos(f, w)``: no
    class is ahead because its weights are longer or its bias larger.  The scale eta is the mean
    length of all classes' weights, which cosines do not depend on, so it is learned with them.
    The loss is replaced by the mean over new examples and exemplars of

        -log softmax(eta cos)_y + lambda (1 - cos(f, old f)),
        lambda = lambda_base sqrt(old classes / classes of the task),

    with the features of the network as it stood before the task, plus the mean over exemplars of

        sum over the K new classes c with the largest cosines of
            max(0, m - cos(f, w_y) + cos(f, w_c)).

    New examples and exemplars pass the network as one batch: a step weighs the mean over its batch
    by N / (N + P) and that over a draw from the exemplars by P / (N + P), with N new examples and P
    exemplars; the margin is that of the draw.  In the first task there is cross-entropy alone.  As
    in :func:`er_ace`, the given loss is corrected: less the mean cross-entropy of the batch, which
    must be in it with weight 1, plus this one.  As a task ends, every class so far keeps
    ``capacity // classes`` exemplars, chosen as by :func:`icarl`.

    The authors have a scale that is a parameter of its own, set new weights to mean features
    as a task begins, let features be negative, and hold the old classes' weights where they are in
    later tasks; here features and first weights are the network's, and all weights train.  Their
    program has lambda as above; the paper has the inverse under the root.

    Args:
      capacity: exemplars of all classes together.
      classifier: ``params -> [width, classes]``, the weights of the linear layer that makes the
        logits; its biases are not used.
      strength: lambda_base >= 0; 5 in the authors' program.
      margin: m >= 0; 0.5 there.
      rivals: K; 2 there.  All new classes, where there are fewer.
      n: exemplars drawn in a step, with replacement; by default as many as a batch has.
      name: of the stream of random numbers.
      label: name of the labels in the data, classes ``[N]``.

    Returns:
      A transform that reports ``{"incoming": ..., "replayed": ..., "margin": ...}``, losses, and
      has ``predict``: ``eta cos``, float32 ``[b, classes]``.  It needs ``batch["index"]``,
      ``key``, ``features`` and ``beside`` in its context (:func:`gradients` gives both, where the
      forward function returns a ``ForwardPass`` with features), and ``features`` in ``TaskData``.

    Raises:
      ValueError: an argument out of its range; from ``begin_task``, data without labels of that
        name, or with labels that are no classes of examples; from ``apply``, no exemplars beside
        the batch; from ``end_task``, fewer exemplars than classes; from all but ``begin_task`` of
        the first task, no features.

    References:
      Hou, Pan, Loy, Wang & Lin, Learning a unified classifier incrementally via rebalancing,
      2019, section 3; their program: github.com/hshustc/CVPR19_Incremental_Learning.

    >>> w = jnp.array([[3.0, 0.0], [4.0, 1.0]])  # of length 5 and 1: eta is 3
    >>> transform = lucir(10, lambda params: params)
    >>> batch, f = {"x": jnp.zeros(1)}, jnp.array([[0.0, 2.0]])
    >>> context = Context(w, f @ w, batch, features=f)
    >>> print(transform.predict(transform.init(w), context))  # 3 * 4/5, 3 * 1
    [[2.4 3. ]]
    """
    check_drawn(n)
    check_not_negative("strength", strength)
    check_not_negative("margin", margin)
    for what, value in (("capacity", capacity), ("rivals", rivals)):
        if value < 1:
            raise ValueError(f"{what}: {value} is not positive; give at least 1")
    chosen = _LUCIR(capacity, classifier, strength, margin, rivals, n, name, label)
    return LossTransform(
        partial(_init, chosen), partial(_apply, chosen), partial(_begin, chosen),
        end_task=partial(_end, chosen), predict=PredictedLogits(partial(_predict, chosen)),
        needs=Needs(features=True, beside=partial(drawn_beside, name, n)),
    )  # fmt: skip


class _LUCIR(NamedTuple):
    """The arguments of :func:`lucir`."""

    capacity: int
    classifier: Callable[[Params], Array]
    strength: float
    margin: float
    rivals: int
    n: int | None
    name: str
    label: str


def _init(chosen: _LUCIR, _: Params) -> LUCIRState:
    one, base = jnp.ones((), jnp.float32), jnp.asarray(chosen.strength, jnp.float32)
    return LUCIRState(base, without_rows(), NO_OLD, None, one, jnp.ones((), jnp.float32))


def _begin(
    chosen: _LUCIR, state: LUCIRState, params: Params, task: TaskData, key: PRNGKey
) -> LUCIRState:
    del key
    check_label(task.data, chosen.label)
    check_classes(task.data[chosen.label], "take replay or der")
    if not (exemplars := in_use(state.exemplars, FEATURES)):
        return state
    if task.features is None:
        raise ValueError("features: missing; give TaskData(..., features=...)")
    labels = np.asarray(task.data[chosen.label])
    here, old = np.unique(labels), np.unique(np.asarray(exemplars[chosen.label]))
    new, p = np.setdiff1d(here, old), examples(exemplars)
    state = state._replace(
        new=jnp.asarray(new, jnp.int32) if len(new) else None,
        growth=jnp.asarray(math.sqrt(len(old) / len(here)), jnp.float32),
        share=jnp.asarray(len(labels) / (len(labels) + p), jnp.float32),
    )
    if task.augmented:
        return state._replace(old=Old(None, teacher(params, task)))
    kept = {**exemplars, FEATURES: unit_features(task.features, params, exemplars)}
    recorded = unit_features(task.features, params, task.data)
    return state._replace(exemplars=with_room(kept, chosen.capacity), old=Old(recorded, {}))


def _apply(
    chosen: _LUCIR, loss: Scalar, state: LUCIRState, context: Context
) -> tuple[Scalar, Metrics]:
    labels = context.batch[chosen.label]
    logits = context.logits(context.outputs, context.batch)
    check_logits(logits)
    plain = loss - categorical.loss(logits, labels).mean()
    weights, nothing = chosen.classifier(context.params), jnp.zeros((), jnp.float32)
    rows = directions(context.features, len(labels))
    old, kept_old = of_both(state.old, context, FEATURES, _directions)
    incoming = _loss(state, rows, weights, labels, old)
    if not state.exemplars.data:
        return plain + incoming, {"incoming": incoming, "replayed": nothing, "margin": nothing}
    batch, _, features = passed_beside("lucir", context)
    rows, labels = directions(features, examples(batch)), batch[chosen.label]
    replayed = _loss(state, rows, weights, labels, kept_old)
    above = _margin(chosen, rows @ unit(float32(weights), 0), labels, state.new)
    mean = state.share * incoming + (1 - state.share) * replayed
    metrics = {"incoming": incoming, "replayed": replayed, "margin": above}
    return plain + mean + above, metrics


def _directions(passed: ForwardPass, batch: Batch) -> Array:
    return directions(passed.features, examples(batch))


def _loss(
    state: LUCIRState, rows: Array, weights: Array, labels: Array, old: Array | None
) -> Scalar:
    """The mean cross-entropy, and how far features have turned."""
    right = categorical.loss(cosine_logits(rows, weights), labels).mean()
    if old is None:
        return right
    return right + state.strength * state.growth * (1 - (rows * old).sum(-1)).mean()


def _margin(
    chosen: _LUCIR, cosines: Float[Array, "n classes"], labels: Array, new: Array | None
) -> Scalar:
    """How far the own class is from being ahead of the nearest new classes, by the margin."""
    if new is None:
        return jnp.zeros((), jnp.float32)
    nearest, _ = jax.lax.top_k(cosines[:, new], min(chosen.rivals, len(new)))
    own = jnp.take_along_axis(cosines, labels[:, None], 1)
    return jnp.maximum(0, chosen.margin - own + nearest).sum(-1).mean()


def _end(
    chosen: _LUCIR, state: LUCIRState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[LUCIRState, Params]:
    del key
    kept = in_use(state.exemplars, FEATURES)
    data = [x[chosen.label] for x in (kept, task.data) if x]
    classes = len(np.unique(np.concatenate([np.asarray(labels) for labels in data])))
    if not (each := chosen.capacity // classes):
        raise ValueError(f"capacity: {chosen.capacity} exemplars for {classes} classes; give more")
    exemplars = renewed(kept, task.data, task, params, chosen.label, each)
    room = with_room(exemplars, chosen.capacity)
    return state._replace(exemplars=room, old=NO_OLD, new=None), params


def _predict(chosen: _LUCIR, state: LUCIRState, context: Context) -> Array:
    del state
    n = examples(context.batch)
    return cosine_logits(directions(context.features, n), chosen.classifier(context.params))
