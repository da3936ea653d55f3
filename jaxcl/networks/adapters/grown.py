"""Growth of any network, on the tree of its parameters.

A part of the parameters that can branch is a layer.  The grown tree holds each layer's branches,
and what does not branch::

    {"conv1": {"t00": {...}, "t01": {...}}, "shared": {...}, "heads": {...}}

``picked(tree, route)`` makes of it the tree that the network knows.  Statistics of a part branch
with it.  Tasks on the same route share one pass; of different routes XLA computes a common
beginning once in the forward pass.
"""

from collections.abc import Sequence
from functools import partial, wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.core.types import PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone
from jaxcl.networks.adapters.checks import check_features, check_paths
from jaxcl.networks.adapters.names import Path, put, taken
from jaxcl.networks.base import SHARED, Mode, Net, Route, Variables, new_dense_head
from jaxcl.networks.choices import Foreign
from jaxcl.networks.convolutions.loop_convolution import with_loop_convolutions


class _Grown(NamedTuple):
    """A network of :func:`grow_on_tree`.

    Attributes:
      backbone: the network without branches.
      layers: names of the parts that can branch.
      paths: of these parts.
      inputs: shapes of one batch, of a single example.
    """

    backbone: Backbone
    layers: tuple[str, ...]
    paths: tuple[Path, ...]
    inputs: PyTree


def foreign(backbone: Backbone, branches: Sequence[str], description: str) -> Foreign:
    """Makes the settings of a network that can grow of one that cannot."""
    return Foreign(partial(grow_on_tree, backbone), tuple(branches), description)


def grow_on_tree(backbone: Backbone, branches: Sequence[str], inputs: PyTree) -> Net:
    """Makes a network that can grow of one that cannot.

    Args:
      backbone: a network without heads.
      branches: paths of parts of its parameters, such as ``"conv1"`` or ``"blocks/0"``, from the
        input on.
      inputs: ``ShapeDtypeStruct`` of an example, or a tree of them.

    Raises:
      UsageError: see :mod:`jaxcl.networks.adapters.checks`.
    """
    backbone = _fit_for_steps(backbone)
    paths = tuple(tuple(branch.replace(".", "/").split("/")) for branch in branches)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), inputs)
    grown = _Grown(backbone, tuple(".".join(path) for path in paths), paths, one)
    shapes = jax.eval_shape(backbone.init, jax.random.key(0), _zeros(one))
    check_paths(paths, shapes.params)
    width = check_features(backbone, shapes, one)
    return Net(
        grown.layers,
        partial(_init, grown),
        partial(_new_branch, grown),
        partial(new_dense_head, width),
        partial(_features, grown),
        partial(_activations, grown),
    )


def _fit_for_steps(backbone: Backbone) -> Backbone:
    """The network with convolutions for a loop, and with the usual promotion of dtypes in it."""

    def promoting(f: Any) -> Any:
        @wraps(f)
        def wrapped(*args: Any) -> Any:
            # Modules of other libraries are not written for JAX's strict promotion.
            with jax.numpy_dtype_promotion("standard"):
                return f(*args)

        return wrapped

    init, apply, activations = backbone
    # A step is a part of a loop, in which XLA's own convolutions are slow on a CPU.
    apply = promoting(with_loop_convolutions(apply))
    return Backbone(promoting(init), apply, activations and promoting(activations))


def _zeros(shapes: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def _parted(grown: _Grown, variables: Variables) -> tuple[dict[str, Variables], Variables]:
    """The parts that can branch by layer, and what does not branch."""
    params, stats = variables
    parts = {}
    for layer, path in zip(grown.layers, grown.paths, strict=True):
        own, params = taken(params, path)
        of_layer = {}
        for collection, tree in stats.items():
            found, rest = taken(tree, path)
            stats = {**stats, collection: rest}
            if found:
                of_layer[collection] = found
        parts[layer] = Variables(own, of_layer)
    return parts, Variables(params, {name: tree for name, tree in stats.items() if tree})


def _init(grown: _Grown, key: PRNGKey) -> Variables:
    _, rest = _parted(grown, _fresh(grown, key))
    empty = {layer: {} for layer in grown.layers}
    stats = {SHARED: rest.stats} if rest.stats else {}
    shared = {SHARED: rest.params} if rest.params else {}  # no checkpoint keeps an empty one
    return Variables({**empty, **shared, "heads": {}}, stats)


def _new_branch(grown: _Grown, key: PRNGKey, layer: str, earlier: Sequence[str]) -> Variables:
    del earlier
    return _parted(grown, _fresh(grown, key))[0][layer]


def _fresh(grown: _Grown, key: PRNGKey) -> Variables:
    return jax.jit(grown.backbone.init)(key, _zeros(grown.inputs))


def picked(grown: _Grown, variables: Variables, route: Route) -> Variables:
    """Returns the variables that the network knows, along a route."""
    params = _copied(variables.params.get(SHARED, {}))
    stats = {name: _copied(tree) for name, tree in variables.stats.get(SHARED, {}).items()}
    for layer, path, branch in zip(grown.layers, grown.paths, route, strict=True):
        put(params, path, variables.params[layer][branch])
        for name, tree in variables.stats.get(layer, {}).get(branch, {}).items():
            put(stats.setdefault(name, {}), path, tree)
    return Variables(params, stats)


def _copied(tree: PyTree) -> PyTree:
    """New dictionaries with the same leaves."""
    return jax.tree.map(lambda leaf: leaf, tree, is_leaf=lambda x: x is None)


def _features(
    grown: _Grown, variables: Variables, inputs: PyTree, routes: Sequence[Route], mode: Mode
) -> tuple[dict[Route, PyTree], PyTree]:
    found = {}
    for number, route in enumerate(routes):
        train = route in mode.trained
        key = stream(mode.key, "drop", number) if train and mode.key is not None else None
        here = picked(grown, variables, route)
        found[route], stats = grown.backbone.apply(here, inputs, train, key)
        if train and stats:
            variables = variables._replace(stats=_renewed(grown, variables.stats, stats, route))
    return found, variables.stats


def _renewed(grown: _Grown, before: PyTree, stats: PyTree, route: Route) -> PyTree:
    """All statistics, with those of a pass along a route."""
    parts, rest = _parted(grown, Variables({}, stats))
    after = {**before, SHARED: rest.stats} if rest.stats else dict(before)
    for layer, branch in zip(grown.layers, route, strict=True):
        if parts[layer].stats:
            after[layer] = {**after[layer], branch: parts[layer].stats}
    return after


def _activations(
    grown: _Grown, variables: Variables, inputs: PyTree, route: Route
) -> dict[str, Any]:
    if grown.backbone.activations is None:
        raise UsageError(
            "network: it cannot tell what its parts return, by which split and select compare"
            " tasks; give from_functions(..., activations=...)"
        )
    paths = ["/".join(path) for path in grown.paths]
    here = picked(grown, variables, route)
    found = grown.backbone.activations(here, inputs, paths)
    for path in paths:
        if path not in found:
            raise UsageError(
                f"branches: {path!r} is not called as it is, so that what it returns cannot be"
                " compared; name what is called"
            )
    return {layer: found[path] for layer, path in zip(grown.layers, paths, strict=True)}
