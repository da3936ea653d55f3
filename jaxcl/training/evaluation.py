"""How well a task is solved."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples, filled, in_portions, map_batches, on_host
from jaxcl.core.types import Array, Batch, Data, Float, PyTree
from jaxcl.growth.heads import View, own_logits, place_in, run_view
from jaxcl.growth.parameters import task_name
from jaxcl.networks.base import Variables
from jaxcl.transforms.base import Context, PredictedLogits

EVALUATION_BATCH = 500
FEW = 64  # fewer examples than a batch are tested as a multiple of so many


class Evaluation(NamedTuple):
    """How well a task is solved.

    Attributes:
      accuracy: percent; for numbers (``squared``) the part of their variance that is explained,
        ``1 - squared error / variance`` (R^2), which may be below 0.
      loss: mean of the objective's, of what examples are classified by; for classes cross-entropy
        in nats. None where these scores are no logits, so that they have none.
    """

    accuracy: Float[Array, ""]
    loss: Float[Array, ""] | None


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
    longest: int = 0,
) -> Evaluation:
    """Measures accuracy and loss of one task.

    Tasks that differ in the name of their head alone share a compiled program, also where their
    test sets are of about the same length.

    Args:
      view: the network and the pathways of the tasks so far.
      task_index: of that task.
      variables: of the network.
      data: ``input``, ``label`` and ``task``.
      predictor: classifies in place of the logits.
      longest: examples of the longest test set of the run.
    """
    view, variables = as_tested(view, task_index, variables)
    predict, state = (None, ()) if predictor is None else predictor
    n, spread = examples(data), None
    if not view.objective.logits:
        spread = jnp.asarray(data["label"]).var(0).mean()
    if not on_host(data) and (padded := _common_length(n, longest)) > n:
        data = filled(data, padded)
    scores, losses = in_portions(partial(judged, view, predict, state, variables), data)
    return _summed(scores, losses, jnp.int32(n), spread)


def _common_length(n: int, longest: int) -> int:
    """A length that test sets of about as many examples share, whole batches long."""
    most = max(n, longest) if 2 * n >= longest else n
    unit = EVALUATION_BATCH if most > EVALUATION_BATCH else FEW
    return -(-most // unit) * unit


def as_tested(view: View, task_index: int, variables: Variables) -> tuple[View, Variables]:
    """Returns the network as a task is tested: by its own pathway alone, or by all joined.

    The only pathway has the name of the first task, whichever it is; ``batch["task"]``
    stays the index of the task among all.
    """
    if view.setting.joined and not view.setting.shared_head:  # the classes of all heads compete
        return view, variables
    path = view.routes[place_in(view, task_index)]
    alone = path._replace(task=task_name(0), head=task_name(0))
    params = {**variables.params, "heads": {task_name(0): variables.params["heads"][path.head]}}
    return view._replace(routes=(alone,)), variables._replace(params=params)


@jax.jit
def _summed(scores: Array, losses: Array | None, n: Array, spread: Array | None) -> Evaluation:
    """Returns the evaluation of the first ``n`` examples; those after them are padding."""
    counted = jnp.arange(len(scores)) < n
    dtype = jnp.float32 if losses is None else losses.dtype

    def mean(each: Array) -> Array:
        return jnp.where(counted, each, 0).astype(dtype).sum() / n.astype(dtype)

    right, loss = mean(scores), None if losses is None else mean(losses)
    return Evaluation(100 * (right if spread is None else 1 + right / spread), loss)


@partial(jax.jit, static_argnames=("view", "predict"))
def judged(
    view: View,
    predict: Callable[[PyTree, Context], Array] | None,
    state: PyTree,
    variables: Variables,
    data: Batch,
) -> tuple[Array, Array | None]:
    """Scores and losses where examples are judged by the only pathway, or by all joined."""
    logits = predict is None or isinstance(predict, PredictedLogits)

    def each(batch: Batch) -> tuple[Array, Array | None]:
        found = answers(view, predict, state, variables, batch)
        objective, labels = view.objective, batch["label"]
        return objective.score(found, labels), objective.loss(found, labels) if logits else None

    return map_batches(each, data, EVALUATION_BATCH)


def answers(
    view: View,
    predict: Callable[[PyTree, Context], Array] | None,
    state: PyTree,
    variables: Variables,
    batch: Batch,
) -> Array:
    """Returns the scores that a batch is classified by: its logits, or what is predicted.

    Args:
      view: as :func:`as_tested` gives it.
      predict: of a transform; None: the logits serve.
      state: of the transform.
      variables: of the network.
      batch: ``input`` and, for a transform that asks for it, ``task``.
    """
    logits_of, route = own_logits(view, (0,)), view.routes[0].route
    found = run_view(view, variables, batch)
    logits = logits_of(found.outputs, batch)
    if predict is None:
        return logits
    context = Context(variables.params, found.outputs, batch, logits=logits_of)
    return predict(state, context._replace(features=found.features[route]))
