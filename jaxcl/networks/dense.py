"""Fully connected networks; without hidden layers, a linear classifier."""

from collections.abc import Sequence
from typing import Literal

import jax

from jaxcl.core.random import stream
from jaxcl.core.types import Array, Params, PRNGKey, PyTree
from jaxcl.networks.base import Mode, Net, Route, Variables
from jaxcl.networks.layers import INITIAL, PLAIN, Layers


def mlp(
    inputs: int,
    hidden: tuple[int, ...] = (400, 400),
    *,
    initial: Literal["he", "uniform"] = "he",
) -> Net:
    """Makes dense layers with ReLU, and heads: ``{"fc1": {"w", "b"}, ..., "heads": {...}}``.

    No layer of it branches: tasks share all but the heads.

    Args:
      inputs: values of an image.
      hidden: units of each hidden layer; ``()`` for a linear classifier.
      initial: first weights, normal with variance ``2 / inputs`` and biases 0, or all
        even on ``+-1 / sqrt(inputs)``.

    Returns:
      A :class:`Net` without branching layers, on inputs ``[b, ...]`` of floats.

    >>> variables = mlp(2, (3,)).init(jax.random.key(0))
    >>> variables.params["fc1"]["w"].shape, variables.stats
    ((2, 3), {})
    """
    weights = INITIAL[initial]
    sizes = (inputs, *hidden)
    names = [f"fc{i + 1}" for i in range(len(hidden))]

    def init(key: PRNGKey) -> Variables:
        layers = {
            name: weights(stream(key, name), sizes[i : i + 2]) for i, name in enumerate(names)
        }
        return Variables({**layers, "heads": {}}, {})

    def new_branch(key: PRNGKey, layer: str, earlier: Sequence[str]) -> Variables:
        raise ValueError(f"layer: {layer!r} cannot branch; this network has no branching layer")

    def new_head(key: PRNGKey, classes: int, earlier: Sequence[str]) -> Params:
        del earlier
        return weights(key, (sizes[-1], classes))

    def features(
        variables: Variables, inputs: Array, routes: Sequence[Route], mode: Mode
    ) -> tuple[dict[Route, Array], PyTree]:
        *_, x = passed(variables, inputs, mode.layers)
        return dict.fromkeys(routes, x), variables.stats

    def passed(variables: Variables, inputs: Array, layers: Layers) -> list[Array]:
        x = inputs.reshape(len(inputs), -1)
        found = [x]
        for name in names:
            found.append(jax.nn.relu(layers.dense(found[-1], variables.params[name])))
        return found

    def activations(variables: Variables, inputs: Array, route: Route) -> dict[str, Array]:
        del route
        return dict(zip(names, passed(variables, inputs, PLAIN)[1:], strict=True))

    return Net((), init, new_branch, new_head, features, activations, gathers=True)
