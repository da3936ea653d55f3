"""How well a task is solved."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import in_portions, map_batches
from jaxcl.core.types import Array, Batch, Data, Float, Params
from jaxcl.growth.heads import View, forward, own_logits, place_in
from jaxcl.growth.parameters import task_name
from jaxcl.transforms.losses import cross_entropy

EVALUATION_BATCH = 500


class Evaluation(NamedTuple):
    """How well a task is solved.

    Attributes:
      accuracy: percent.
      loss: mean cross-entropy, nats.
    """

    accuracy: Float[Array, ""]
    loss: Float[Array, ""]


def evaluate(view: View, task_index: int, params: Params, data: Data) -> Evaluation:
    """Measures accuracy and loss of one task.

    Tasks that differ in the name of their head alone share a compiled program.

    Args:
      view: the network and the pathways of the tasks so far.
      task_index: of that task.
      params: the whole tree.
      data: ``image`` (bytes), ``label`` and ``task``.
    """
    _, shared, joined = view.setting
    path = view.routes[place_in(view, task_index)]
    if joined and not shared:  # the classes of all heads compete
        return _evaluate(view, params, data)
    alone = path._replace(task=task_name(0), head=task_name(0))
    params = {**params, "heads": {task_name(0): params["heads"][path.head]}}
    return _evaluate(view._replace(routes=(alone,)), params, data)


def _evaluate(view: View, params: Params, data: Data) -> Evaluation:
    hits, losses = in_portions(partial(judged, view, params), data)
    return _summed(hits, losses)


@jax.jit
def _summed(hits: Array, losses: Array) -> Evaluation:
    return Evaluation(100 * hits.sum().astype(jnp.float32) / len(hits), losses.mean())


@partial(jax.jit, static_argnames="view")
def judged(view: View, params: Params, data: Batch) -> tuple[Array, Array]:
    """Hits and losses where examples are judged by the only pathway, or by all joined."""
    outputs_of, logits_of = forward(view), own_logits(view, (0,))

    def each(batch: Batch) -> tuple[Array, Array]:
        logits = logits_of(outputs_of(params, batch), batch)
        return jnp.argmax(logits, -1) == batch["label"], jax.vmap(cross_entropy)(
            logits, batch["label"]
        )

    return map_batches(each, data, EVALUATION_BATCH)
