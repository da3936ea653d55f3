"""What the network before the task responds: recorded once, or asked in every step."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples, in_portions, map_batches, take
from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Data, ForwardPass, Int, Outputs, Params, PyTree
from jaxcl.transforms.base import Context, TaskData, as_before, required
from jaxcl.transforms.beside import passed_beside, together
from jaxcl.transforms.checks import check_logits, check_outputs, explained
from jaxcl.transforms.objectives.base import float32

RECORD_BATCH = 500


class Old(NamedTuple):
    """What stands for the network before the task, where exemplars pass beside the batch.

    Attributes:
      recorded: what it gives for the task's data, ``[N, ...]``; None where nobody asks.
      teacher: where inputs are augmented, for which nothing that was recorded holds, the network
        itself: ``params`` and ``stats``; else empty.
    """

    recorded: Array | None
    teacher: dict[str, PyTree]


NO_OLD = Old(None, {})


def recorded(params: Params, task: TaskData, data: Data, batch: int) -> Outputs:
    """Returns the outputs for some data, ``[N, ...]`` in the tree that ``task.forward`` returns.

    Args:
      params: of the network as it stands.
      task: its ``forward``.
      data: inputs under names.
      batch: examples in one forward pass.

    Raises:
      TypeError: ``forward`` returns more than logits.
    """

    def outputs(params: Params, batch: Batch) -> Outputs:
        with explained():
            found = task.forward(params, batch)
        check_outputs(found)
        return found

    @jax.jit
    def responses(params: Params, data: Batch) -> Outputs:
        return map_batches(partial(outputs, params), data, batch)

    return in_portions(partial(responses, as_before(params, task)), data)


def recorded_logits(task: TaskData, params: Params, data: Data) -> Array:
    """Returns the logits by which the network as it stands judges some data, float32."""

    @jax.jit
    def found(params: Params, batch: Batch) -> Array:
        def one(part: Batch) -> Array:
            logits = task.logits(task.forward(params, part), part)
            check_logits(logits)
            return float32(logits)

        return map_batches(one, batch, RECORD_BATCH)

    old = as_before(params, task)
    return in_portions(lambda batch: found(old, batch), data)


def teacher(params: Params, task: TaskData) -> dict[str, PyTree]:
    """Returns a copy of the network as it stands: its parameters and its statistics."""
    return {"params": copy(as_before(params, task)), "stats": copy(task.stats)}


def recalled(
    task: TaskData, params: Params, exemplars: Batch, name: str, new: bool = True
) -> tuple[Batch, Old]:
    """Returns exemplars as a task begins, and what stands for the network before it.

    Args:
      task: that begins.
      params: of the network as it stands.
      exemplars: arrays under names.
      name: under which its logits for the exemplars are put, unless inputs are augmented.
      new: whether it is asked about the task's data, too.
    """
    if task.augmented:
        return exemplars, Old(None, teacher(params, task))
    kept = {**exemplars, name: recorded_logits(task, params, exemplars)}
    return kept, Old(recorded_logits(task, params, task.data) if new else None, {})


def answers(teacher: dict[str, PyTree], context: Context) -> Outputs:
    """Returns what a :func:`teacher` says of the inputs as they are augmented in this step.

    Args:
      teacher: the network as it stood.
      context: of the step.

    Raises:
      ValueError: a context that cannot ask it: without ``teacher``, where the network has
        statistics, or without both ``teacher`` and ``forward``.
    """
    return _answers(teacher, context, context.batch).outputs


def _answers(teacher: dict[str, PyTree], context: Context, batch: Batch) -> ForwardPass:
    # A network without statistics has none to restore, where a run went on.
    params, stats = teacher["params"], teacher.get("stats", {})
    if context.teacher is not None:
        found = context.teacher(params, stats, batch)
    elif jax.tree.leaves(stats):  # `forward` holds those of now
        raise ValueError(
            "teacher: missing, and the network before the task has statistics of its own; give"
            " Context(..., teacher=(params, stats, batch) -> outputs)"
        )
    elif context.forward is None:
        raise ValueError("context: this transform asks the network before the task; give forward")
    else:
        found = context.forward(params, batch)
    return found if isinstance(found, ForwardPass) else ForwardPass(found)


def of_both(
    old: Old,
    context: Context,
    name: str,
    what: Callable[[ForwardPass, Batch], Array] | None = None,
) -> tuple[Array | None, Array | None]:
    """Returns what the old network gives for the batch, and for the exemplars beside it.

    Args:
      old: what stands for it.
      context: of the step.
      name: under which the exemplars have what was recorded of them.
      what: is asked of it, ``(passed, batch) -> [b, ...]``; by default the logits by which it
        judges an example, float32.

    Returns:
      Twice None in the first task.

    Raises:
      ValueError: no exemplars passed beside the batch, or a context that cannot ask the old
        network, as of :func:`answers`.
    """
    if not old.teacher:
        new = None if old.recorded is None else old.recorded[rows_of(context)]
        return new, None if context.beside is None else context.beside.batch[name]
    beside = passed_beside("the transform", context)
    n, whole = examples(context.batch), together(context.batch, beside.batch)
    found = _answers(old.teacher, context, whole)
    passed = ForwardPass(_with_later_heads(found.outputs, context.outputs), found.features)

    def part(rows: slice, batch: Batch) -> Array:
        own = jax.tree.map(lambda x: x[rows], passed)
        return float32(context.logits(own.outputs, batch)) if what is None else what(own, batch)

    return part(slice(n), context.batch), part(slice(n, None), beside.batch)


def _with_later_heads(old: Outputs, new: Outputs) -> Outputs:
    """Old outputs with zeros for heads that came since, so that each example finds its own."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return old
    n = examples(old)
    later = {name: jnp.zeros((n, *x.shape[1:]), x.dtype) for name, x in new.items()}
    return later | dict(old)


def rows_of(context: Context) -> Int[Array, "b"]:
    """Returns which rows of the task's data a batch is made of."""
    if "index" not in context.batch:
        raise KeyError('batch["index"] is missing; give the rows of the task\'s data')
    return context.batch["index"]


def of_a_draw(inputs: Batch, context: Context) -> tuple[Int[Array, "batch"], Outputs]:
    """Returns rows of generated inputs, as many as the batch has examples, and the outputs there.

    Args:
      inputs: all generated inputs.
      context: of the step.
    """
    key, forward = required(context)
    n = examples(context.batch)
    rows = jax.random.randint(stream(key, "distill"), (n,), 0, examples(inputs))
    return rows, forward(context.params, take(inputs, rows))
