"""What the network before the task responds: recorded once, or asked in every step."""

from functools import partial

import jax

from jaxcl.core.batching import examples, in_portions, map_batches, take
from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Data, Int, Outputs, Params, PyTree
from jaxcl.transforms.base import Context, TaskData, as_before, required
from jaxcl.transforms.checks import check_outputs, explained


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


def teacher(params: Params, task: TaskData) -> dict[str, PyTree]:
    """Returns a copy of the network as it stands: its parameters and its statistics."""
    return {"params": copy(as_before(params, task)), "stats": copy(task.stats)}


def answers(teacher: dict[str, PyTree], context: Context) -> Outputs:
    """Returns what a :func:`teacher` says of the inputs as they are augmented in this step."""
    # A network without statistics has none to restore, where a run went on.
    params, stats = teacher["params"], teacher.get("stats", {})
    if context.teacher is not None:
        return context.teacher(params, stats, context.batch)
    _, forward = required(context)
    return forward(params, context.batch)


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
