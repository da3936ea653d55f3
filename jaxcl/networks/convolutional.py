"""The small convolutional network of the LwF path-selection paper, with branches.

Parameters are nested dictionaries::

    {"conv1": {"t00": {"w", "b"}}, "conv2": {"t00": {...}, "t02": {...}},
     "fc1": {"w", "b"}, "heads": {"t00": {"w", "b"}, ...}}

A route says which branch of each convolution layer a task runs through; FC1 is
shared, and every task has a head of its own.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import jax

from jaxcl.core.types import Array, Params, PRNGKey, PyTree
from jaxcl.networks.base import Mode, Net, Route, Variables
from jaxcl.networks.convolutions.conv import (
    Formulation,
    default_formulation,
    in_chunks,
    save_for_backward,
)
from jaxcl.networks.layers import PLAIN, Layers, weights


def cnn(
    *,
    size: int = 32,
    channels: int = 3,
    filters: tuple[int, ...] = (32, 64),
    hidden: int = 128,
    formulation: Formulation | None = None,
) -> Net:
    """Makes a network: conv 3x3 valid + ReLU for each filter, max-pool 2x2, FC + ReLU, heads.

    With the defaults: Conv1 896 weights, Conv2 18,496, FC1 1,605,760, and
    ``128 C + C`` for a head of C classes (1,290 for ten).

    Args:
      size: height and width of the images.
      channels: of the images.
      filters: output channels of each convolution layer.
      hidden: units of FC1.
      formulation: of the convolution; by default what suits the platform.

    Returns:
      A :class:`Net` whose branching layers are the convolutions
      ``conv1, conv2, ...``, on images ``[b, size, size, channels]``.

    References:
      The network of the LwF path-selection paper.

    >>> net = cnn(size=8, filters=(2,), hidden=3)
    >>> net.layers, net.init(jax.random.key(0)).params["fc1"]["w"].shape  # 3 * 3 * 2 values
    (('conv1',), (18, 3))
    """
    names = tuple(f"conv{i + 1}" for i in range(len(filters)))
    side = (size - 2 * len(filters)) // 2
    made = _CNN(names, (channels, *filters), side * side * filters[-1], hidden, formulation)
    return Net(
        names,
        partial(_init, made),
        partial(_new_branch, made),
        partial(_new_head, made),
        partial(_features, made),
        partial(_activations, made),
        gathers=True,
    )


class _CNN(NamedTuple):
    """A network of :func:`cnn`.

    Attributes:
      names: of the convolution layers.
      widths: channels of the images, then output channels of each convolution.
      flat: inputs of FC1.
      hidden: units of FC1.
      formulation: of the convolution; None: what suits the platform.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    flat: int
    hidden: int
    formulation: Formulation | None


def _init(made: _CNN, key: PRNGKey) -> Variables:
    empty = {layer: {} for layer in made.names}
    return Variables({**empty, "fc1": weights(key, (made.flat, made.hidden)), "heads": {}}, {})


def _new_branch(made: _CNN, key: PRNGKey, layer: str, earlier: Sequence[str]) -> Variables:
    del earlier
    depth = made.names.index(layer)
    return Variables(weights(key, (3, 3, *made.widths[depth : depth + 2])), {})


def _new_head(made: _CNN, key: PRNGKey, classes: int, earlier: Sequence[str]) -> Params:
    del earlier
    return weights(key, (made.hidden, classes))


def _convolutions(
    made: _CNN,
    params: Params,
    images: Array,
    routes: Iterable[Route],
    how: Formulation,
    layers: Layers,
) -> dict[Route, Array]:
    """Values before the nonlinearity, by (part of a) route; each part once."""
    before: dict[Route, Array] = {}
    for route in routes:
        for depth, layer in enumerate(made.names[: len(route)]):
            part = route[: depth + 1]
            if part in before:
                continue
            x = jax.nn.relu(before[part[:-1]]) if depth else images
            branch = params[layer][part[-1]]
            before[part] = save_for_backward(layers.conv(x, branch, how))
    return before


def _features(
    made: _CNN, variables: Variables, images: Array, routes: Sequence[Route], mode: Mode
) -> tuple[dict[Route, Array], PyTree]:
    how, layers, params = made.formulation or default_formulation(), mode.layers, variables.params

    def pooled(images: Array) -> list[Array]:
        inner = _convolutions(made, params, images, [path[:-1] for path in routes], how, layers)
        found = []
        for *part, last in routes:
            x = jax.nn.relu(inner[tuple(part)]) if part else images
            # ReLU after pooling gives the same values for a quarter of the work.
            y = save_for_backward(layers.conv_pool(x, params[made.names[-1]][last], how))
            found.append(jax.nn.relu(y).reshape(len(x), -1))
        return found

    flat = in_chunks(pooled, images) if how == "patches" else pooled(images)
    units = {
        path: jax.nn.relu(layers.dense(x, params["fc1"]))
        for path, x in zip(routes, flat, strict=True)
    }
    return units, variables.stats


def _activations(made: _CNN, variables: Variables, images: Array, route: Route) -> dict[str, Array]:
    how = made.formulation or default_formulation()
    before = _convolutions(made, variables.params, images, [route], how, PLAIN)
    return {
        layer: jax.nn.relu(before[route[: depth + 1]]) for depth, layer in enumerate(made.names)
    }
