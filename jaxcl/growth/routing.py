"""Which branches a new task shares with earlier ones, and which it gets anew."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.errors import NonFiniteLoss, UsageError
from jaxcl.core.random import stream
from jaxcl.core.types import Array, PRNGKey, PyTree
from jaxcl.growth.parameters import add_branch, add_head, without_heads
from jaxcl.growth.similarity import Moments, moments_from_sums
from jaxcl.networks.base import Net, Route, Variables
from jaxcl.scenarios.inputs import AS_THEY_COME, Inputs, prepared

TaskSimilarity = Callable[[str], float]
"""The similarity of the new task to a branch; measured when it is asked for."""

Rule = Callable[[Sequence[str], TaskSimilarity], str | None]
"""(branches of a layer, similarity) -> the branch to share, or None for a new one."""

Seen = dict[str, dict[str, Moments]]
"""layer -> branch -> the channel statistics the branch saw on its own task."""


def share(branches: Sequence[str], similarity: TaskSimilarity) -> str | None:
    """Chooses the first branch, for every task (LwF, Algorithm 1)."""
    del similarity
    return branches[0]


def split(branches: Sequence[str], similarity: TaskSimilarity) -> str | None:
    """Every task gets a branch of its own (Algorithm 2)."""
    del branches, similarity
    return None


def select(threshold: float, candidates: Literal["all", "latest", "first"] = "all") -> Rule:
    """Shares the most similar branch if it reaches the threshold (Algorithm 3).

    Args:
      threshold: from this similarity on.
      candidates: which branches may be shared: all that there are, or one alone.
    """

    def choose(branches: Sequence[str], similarity: TaskSimilarity) -> str | None:
        wanted = {"all": branches, "latest": branches[-1:], "first": branches[:1]}[candidates]
        best = max(wanted, key=similarity)
        return best if similarity(best) >= threshold else None

    return choose


def check_activations(net: Net, inputs: PyTree) -> None:
    """Raises a UsageError for a network whose branches cannot be compared.

    Args:
      net: the network.
      inputs: shape and type of an example, as the network sees it.
    """
    two = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), inputs)
    route = ("t",) * len(net.layers)

    def found(key: PRNGKey, inputs: PyTree) -> dict[str, Any]:
        variables = net.init(key)
        for layer in net.layers:
            variables = add_branch(net, variables, layer, "t", key=key)
        return net.activations(variables, inputs, route)

    for layer, x in jax.eval_shape(found, jax.eval_shape(lambda: jax.random.key(0)), two).items():
        shape = list(getattr(x, "shape", ()))
        if len(shape) < 2 or shape[0] != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
            what = f"an array of the shape {shape}" if shape else type(x).__name__
            raise UsageError(
                f"branches: {layer} returns {what} for two inputs, and tasks are compared by"
                " activations [b, ..., channels]; name another part"
            )


def layer_moments(
    net: Net,
    variables: Variables,
    route: Route,
    inputs: PyTree,
    how: Inputs = AS_THEY_COME,
    batch: int = 100,
) -> dict[str, Moments]:
    """Returns channel statistics of inputs along a route, over examples and positions.

    Args:
      net: the network.
      variables: of it.
      route: the branches to run through.
      inputs: of a task, leading axis n.
      how: they become what the network sees.
      batch: examples in a forward pass.

    Returns:
      The moments of each branching layer's activations after the nonlinearity.
    """
    totals, variables = None, without_heads(variables)
    for start in range(0, examples(inputs), batch):
        part = jax.tree.map(lambda x, at=start: x[at : at + batch], inputs)
        sums = sums_of_activations(net, variables, part, route, how)
        sums = jax.tree.map(lambda x: np.asarray(x, np.float64), sums)
        totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
    assert totals is not None, "no inputs"
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(totals)):
        raise NonFiniteLoss("activations: not finite on the inputs of a task; try a smaller --lr")
    return {
        layer: moments_from_sums(int(count), total, outer)
        for layer, (count, total, outer) in totals.items()
    }


@partial(jax.jit, static_argnames=("net", "route", "how"))
def sums_of_activations(
    net: Net, variables: Variables, inputs: PyTree, route: Route, how: Inputs
) -> dict[str, tuple[Any, Array, Array]]:
    """Returns the number of rows, their sum, and that of their outer products, by layer."""
    sums = {}
    for layer, x in net.activations(variables, prepared(how, inputs), route).items():
        rows = jnp.asarray(x.reshape(-1, x.shape[-1]), jnp.float32)
        sums[layer] = (len(rows), rows.sum(0), rows.T @ rows)
    return sums


class Growth(NamedTuple):
    """What a new task did to a network.

    Attributes:
      variables: the larger trees.
      route: the branches that the new task runs through.
      similarity: layer -> branch -> similarity, as far as it was measured.
    """

    variables: Variables
    route: Route
    similarity: dict[str, dict[str, float]]


def grow(
    net: Net,
    rule: Rule,
    variables: Variables,
    *,
    task: str,
    classes: int | None,
    similarity: Callable[[str, str], float],
    start: Literal["copy", "fresh"],
    key: PRNGKey,
) -> Growth:
    """Makes room for a task: shares or adds a branch of each layer, may add a head.

    Args:
      net: the network.
      rule: decides, layer by layer.
      variables: to grow.
      task: name of the new task.
      classes: outputs of the new task's head; None if it uses one that is there.
      similarity: ``(layer, branch) -> similarity`` of the new task to what the branch was
        made for (:mod:`jaxcl.growth.task_similarity`); measured where the rule asks for it.
      start: a new branch is a copy of the nearest one, or fresh.
      key: for initial weights.
    """
    measured: dict[str, dict[str, float]] = {layer: {} for layer in net.layers}

    def known(layer: str, branch: str) -> float:
        if branch not in measured[layer]:
            measured[layer][branch] = similarity(layer, branch)
        return measured[layer][branch]

    grown, route = variables, []
    for layer in net.layers:
        branches, alike = sorted(variables.params[layer]), partial(known, layer)
        choice = rule(branches, alike) if branches else None
        if choice is None:
            copied = start == "copy" and branches
            source = _nearest(branches, alike) if copied else None
            layer_key = stream(key, layer)
            grown = add_branch(net, grown, layer, task, key=layer_key, source=source)
        route.append(choice or task)
    if classes is not None:
        grown = add_head(net, grown, task, classes, stream(key, "head"))
    return Growth(grown, tuple(route), measured)


def _nearest(branches: Sequence[str], similarity: TaskSimilarity) -> str:
    return branches[0] if len(branches) == 1 else max(branches, key=similarity)
