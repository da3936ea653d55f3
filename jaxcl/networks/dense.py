"""Fully connected networks; without hidden layers, a linear classifier."""

from collections.abc import Sequence
from typing import Literal

import jax

from jaxcl.core.random import stream
from jaxcl.core.types import Array, Params, PRNGKey
from jaxcl.networks.base import Net, Route, Routes
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
    """
    weights = INITIAL[initial]
    sizes = (inputs, *hidden)
    names = [f"fc{i + 1}" for i in range(len(hidden))]

    def init(key: PRNGKey) -> Params:
        layers = {
            name: weights(stream(key, name), sizes[i : i + 2]) for i, name in enumerate(names)
        }
        return {**layers, "heads": {}}

    def new_branch(key: PRNGKey, layer: str, earlier: Sequence[str]) -> Params:
        raise ValueError(f"layer: {layer!r} cannot branch; this network has no branching layer")

    def new_head(key: PRNGKey, classes: int, earlier: Sequence[str]) -> Params:
        del earlier
        return weights(key, (sizes[-1], classes))

    def apply(
        params: Params, images: Array, routes: Routes, layers: Layers = PLAIN
    ) -> dict[str, Array]:
        x = images.reshape(len(images), -1)
        for name in names:
            x = jax.nn.relu(layers.dense(x, params[name]))
        heads = {
            name: layers.dense(x, params["heads"][name])
            for name in sorted({path.head for path in routes})
        }
        return {path.task: heads[path.head] for path in routes}

    def activations(params: Params, images: Array, route: Route) -> dict[str, Array]:
        del params, images, route
        return {}

    return Net((), init, new_branch, new_head, apply, activations, gathers=True)
