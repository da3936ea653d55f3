"""How well a task is solved."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import in_portions, map_batches
from jaxcl.core.types import Array, Batch, Data, Float, PyTree
from jaxcl.growth.heads import View, own_logits, place_in, run_view
from jaxcl.growth.parameters import task_name
from jaxcl.networks.base import Variables
from jaxcl.transforms.base import Context

EVALUATION_BATCH = 500


class Evaluation(NamedTuple):
    """How well a task is solved.

    Attributes:
      accuracy: percent; for numbers (``squared``) the part of their variance that is explained,
        ``1 - squared error / variance`` (R^2), which may be below 0.
      loss: mean of the objective's; for classes cross-entropy in nats.
    """

    accuracy: Float[Array, ""]
    loss: Float[Array, ""]


class Predictor(NamedTuple):
    """What classifies in place of the logits.

    Attributes:
      predict: ``(state, context) -> [b, classes]``, of a transform.
      state: of it.
    """

    predict: Callable[[PyTree, Context], Array]
    state: PyTree


def evaluate(
    view: View,
    task_index: int,
    variables: Variables,
    data: Data,
    predictor: Predictor | None = None,
) -> Evaluation:
    """Measures accuracy and loss of one task.

    Tasks that differ in the name of their head alone share a compiled program.

    Args:
      view: the network and the pathways of the tasks so far.
      task_index: of that task.
      variables: of the network.
      data: ``image`` (bytes), ``label`` and ``task``.
      predictor: classifies in place of the logits.
    """
    _, shared, joined = view.setting
    path = view.routes[place_in(view, task_index)]
    if not joined or shared:  # else the classes of all heads compete
        alone = path._replace(task=task_name(0), head=task_name(0))
        params = {**variables.params, "heads": {task_name(0): variables.params["heads"][path.head]}}
        view, variables = view._replace(routes=(alone,)), variables._replace(params=params)
    predict, state = (None, ()) if predictor is None else predictor
    scores, losses = in_portions(partial(judged, view, predict, state, variables), data)
    spread = None if view.objective.logits else jnp.asarray(data["label"]).var(0).mean()
    return _summed(scores, losses, spread)


@jax.jit
def _summed(scores: Array, losses: Array, spread: Array | None) -> Evaluation:
    right = scores.sum() / len(scores)
    return Evaluation(100 * (right if spread is None else 1 + right / spread), losses.mean())


@partial(jax.jit, static_argnames=("view", "predict"))
def judged(
    view: View,
    predict: Callable[[PyTree, Context], Array] | None,
    state: PyTree,
    variables: Variables,
    data: Batch,
) -> tuple[Array, Array]:
    """Scores and losses where examples are judged by the only pathway, or by all joined."""
    logits_of, route = own_logits(view, (0,)), view.routes[0].route

    def each(batch: Batch) -> tuple[Array, Array]:
        found = run_view(view, variables, batch)
        scores = logits = logits_of(found.outputs, batch)
        if predict is not None:
            context = Context(variables.params, found.outputs, batch, logits=logits_of)
            scores = predict(state, context._replace(features=found.features[route]))
        objective, labels = view.objective, batch["label"]
        return objective.score(scores, labels), objective.loss(logits, labels)

    return map_batches(each, data, EVALUATION_BATCH)
