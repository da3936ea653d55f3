"""Progressive networks: a column for each task, with lateral adapters.

Parameters are nested dictionaries::

    {"column": {"t00": {"conv1": {...}, "conv2": {...}, "fc1": {...}},
                "t01": {"conv1": ..., "fc1": {..., "side": {"scale", "reduce", "expand"}}}},
     "heads": {"t00": {"w", "b"}, "t01": {"w", "b", "side"}}}

A column sees what the columns before it made of the image, through adapters of its
own; nothing flows back, so older tasks' outputs stay as they were to the bit.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.random import stream
from jaxcl.core.types import Array, Params, PRNGKey, PyTree
from jaxcl.networks.base import Mode, Net, Route, Variables
from jaxcl.networks.convolutions.conv import (
    Formulation,
    conv2d,
    default_formulation,
    in_chunks,
    max_pool,
    save_for_backward,
)
from jaxcl.networks.layers import Layers, weights

REDUCED = 4  # an adapter has a quarter of the units of the layer it looks at
Operation = Callable[[Array, Array], Array]
"""``(x, w) -> y``, without a bias."""


def columns(
    *,
    size: int = 32,
    channels: int = 3,
    filters: tuple[int, ...] = (32, 64),
    hidden: tuple[int, ...] = (128,),
    formulation: Formulation | None = None,
) -> Net:
    """Makes a progressive network of convolutions, a pooling, dense layers, and heads.

    Each layer but a column's first computes, with h the activations below,

        relu(W h_own + b + U relu(V (scale * h_before)))

    where ``h_before`` are those of all columns before, side by side; V is a 1x1
    convolution where h are images.  The first column has no adapters and is the
    network of :func:`cnn`, or without filters that of
    :func:`mlp`.

    Args:
      size: height and width of the images.
      channels: of the images.
      filters: output channels of each 3x3 convolution layer; none for flat inputs.
      hidden: units of each dense layer.
      formulation: of the convolutions; by default what suits the platform.

    Returns:
      A :class:`Net` whose one branching layer is ``column``.

    References:
      Rusu et al., Progressive neural networks, 2016 (arXiv 1606.04671), eq. 2.

    >>> columns(size=1, channels=2, filters=(), hidden=(3,)).layers
    ('column',)
    """
    side = (size - 2 * len(filters)) // 2 if filters else size
    widths = (channels, *filters)
    area = side * side  # a dense layer's input is so many positions of the last width
    flat = (area * widths[-1], *hidden)
    made = _Columns(
        convolutions=tuple(f"conv{i + 1}" for i in range(len(filters))),
        dense=tuple(f"fc{i + 1}" for i in range(len(hidden))),
        widths=widths,
        area=area,
        flat=flat,
        formulation=formulation,
    )
    branch, head = partial(_new_branch, made), partial(_new_head, made)
    return Net(("column",), _init, branch, head, partial(_features, made), _activations, _head)


class _Columns(NamedTuple):
    """A network of :func:`columns`.

    Attributes:
      convolutions: names of these layers.
      dense: names of the dense layers.
      widths: channels of the images, then output channels of each convolution.
      area: positions of the last convolution's output.
      flat: inputs of the first dense layer, then units of each dense layer.
      formulation: of the convolutions; None: what suits the platform.
    """

    convolutions: tuple[str, ...]
    dense: tuple[str, ...]
    widths: tuple[int, ...]
    area: int
    flat: tuple[int, ...]
    formulation: Formulation | None

    def below(self, i: int) -> tuple[int, int]:
        """Returns width and positions of what dense layer ``i`` sees of another column."""
        return (self.flat[i], 1) if i else (self.widths[-1], self.area)


def _adapter(key: PRNGKey, width: int, earlier: int, positions: int, out: tuple) -> Params:
    small = max(1, width // REDUCED)
    return {
        "scale": jnp.ones(earlier, jnp.float32),
        "reduce": weights(stream(key, "reduce"), (width * earlier, small)),
        "expand": weights(stream(key, "expand"), (*out[:-2], small * positions, out[-1]))["w"],
    }


def _layer(key: PRNGKey, shape: tuple, width: int, positions: int, earlier: int) -> Params:
    """Weights of a shape, with an adapter if there is a column to look at."""
    own = weights(key, shape)
    if not earlier:
        return own
    return {**own, "side": _adapter(stream(key, "side"), width, earlier, positions, shape)}


def _init(key: PRNGKey) -> Variables:
    del key
    return Variables({"column": {}, "heads": {}}, {})


def _new_branch(made: _Columns, key: PRNGKey, name: str, earlier: Sequence[str]) -> Variables:
    del name
    n, found, widths = len(earlier), {}, made.widths
    for i, conv in enumerate(made.convolutions):
        shape = (3, 3, *widths[i : i + 2])
        found[conv] = _layer(stream(key, conv), shape, widths[i], 1, n if i else 0)
    for i, dense in enumerate(made.dense):
        seen = n if i or made.convolutions else 0
        found[dense] = _layer(stream(key, dense), made.flat[i : i + 2], *made.below(i), seen)
    return Variables(found, {})


def _new_head(made: _Columns, key: PRNGKey, classes: int, earlier: Sequence[str]) -> Params:
    seen = len(earlier) if made.dense or made.convolutions else 0
    return _layer(key, (made.flat[-1], classes), *made.below(len(made.dense)), seen)


def _features(
    made: _Columns, variables: Variables, images: Array, routes: Sequence[Route], mode: Mode
) -> tuple[dict[Route, list[Array]], PyTree]:
    """The units of a column and of those before it: a head looks at all of them."""
    del mode
    params, how = variables.params, made.formulation or default_formulation()
    last = max(route[0] for route in routes)
    names = [name for name in sorted(params["column"]) if name <= last]
    columns = [params["column"][name] for name in names]

    def pooled(x: Array) -> list[Array]:
        return _convolved(made, columns, x, how)

    chunked = made.convolutions and how == "patches"
    units = in_chunks(pooled, images) if chunked else pooled(images)
    for dense in made.dense:
        weights_of = [column[dense] for column in columns]
        units = [jax.nn.relu(_units(w, units, i, _flat_product)) for i, w in enumerate(weights_of)]
    return {route: units[: names.index(route[0]) + 1] for route in routes}, variables.stats


def _head(params: Params, features: Sequence[Array], layers: Layers) -> Array:
    del layers
    return _units(params, features, len(features) - 1, _flat_product)


def _convolved(
    made: _Columns, columns: Sequence[Params], x: Array, how: Formulation
) -> list[Array]:
    """What the convolutions and the pooling make of images, by column."""

    def convolve(x: Array, w: Array) -> Array:
        return conv2d(x, w, how)

    maps = [x] * len(columns)
    for conv in made.convolutions:
        before = [_units(each[conv], maps, i, convolve) for i, each in enumerate(columns)]
        last = conv == made.convolutions[-1]
        maps = [jax.nn.relu(max_pool(b) if last else b) for b in before]
    return maps


def _activations(variables: Variables, images: Array, route: Route) -> dict[str, Array]:
    """Nothing: a column is always new, so nobody asks how alike it is."""
    del variables, images, route
    return {}


def _flat_product(x: Array, w: Array) -> Array:
    return x.reshape(len(x), -1) @ w


def _units(params: Params, below: Sequence[Array], place: int, operation: Operation) -> Array:
    """A layer of one column before its nonlinearity; ``below`` by column."""
    out = operation(below[place], params["w"]) + params["b"]
    if "side" in params:
        side = params["side"]
        scaled = [x * scale for x, scale in zip(below[:place], side["scale"], strict=True)]
        seen = jnp.concatenate(scaled, -1) @ side["reduce"]["w"] + side["reduce"]["b"]
        out = out + operation(jax.nn.relu(save_for_backward(seen)), side["expand"])
    return save_for_backward(out)
