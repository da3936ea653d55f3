"""Growth: pure functions from a parameter tree to a larger one.

Leaves that were there stay the very same arrays; nothing is written in place.
"""

import string
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxcl.core.errors import UsageError
from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Params, PRNGKey, PyTree
from jaxcl.growth.heads import NEVER
from jaxcl.networks.base import Net, Route, Variables

Path = tuple[str, ...]
"""The keys that lead to a leaf, such as ``("conv1", "t00", "w")``."""
LETTERS = string.ascii_lowercase


def check_precision(net: Net) -> None:
    """Raises a UsageError for parameters narrower than the moments that Adam keeps of them."""
    key = jax.random.key(0)
    found = [jax.eval_shape(net.init, key).params]
    for layer in net.layers:
        branch = jax.eval_shape(lambda key, layer=layer: net.new_branch(key, layer, ()), key)
        found.append(branch.params)
    for leaf in jax.tree.leaves(found):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype.itemsize < 4:
            raise UsageError(
                f"network: parameters are {leaf.dtype}; make them float32, and compute in"
                f" {leaf.dtype} within the network"
            )


def task_name(index: int) -> str:
    """Returns the name of a task's branches and head; names sort as text in the order of tasks.

    JAX sorts the keys of a dict, so the order of names must be that of tasks.  A letter
    that grows with the number of digits stands before numbers of three digits or more.

    >>> [task_name(index) for index in (7, 99, 100, 1000)]
    ['t07', 't99', 'ta100', 'tb1000']
    """
    digits = f"{index:02d}"
    return f"t{LETTERS[len(digits) - 3]}{digits}" if len(digits) > 2 else f"t{digits}"


def class_weights(params: Params) -> Array:
    """Returns the weights of all classes of all linear heads, in the order of tasks.

    Args:
      params: of a network, with heads ``{"w": [width, classes], ...}``.

    Returns:
      ``[width, classes]``.
    """
    return jnp.concatenate([params["heads"][name]["w"] for name in sorted(params["heads"])], -1)


def task_index(name: str) -> int:
    """Returns the task that :func:`task_name` named.

    >>> task_index("ta100")
    100
    """
    return int(name.lstrip("t" + LETTERS))


def _insert(variables: Variables, group: str, name: str, value: Variables) -> Variables:
    """The variables with a new part; where it has no statistics, there is no place for them."""
    params, stats = variables
    if name in params[group]:
        raise ValueError(f"{group}: {name!r} exists already; choose another name")
    if value.stats:
        stats = {**stats, group: {**stats.get(group, {}), name: value.stats}}
    return Variables({**params, group: {**params[group], name: value.params}}, stats)


def add_head(net: Net, variables: Variables, task: str, classes: int, key: PRNGKey) -> Variables:
    """Returns variables with a new output layer for a task.

    Args:
      net: the network that they belong to.
      variables: to grow.
      task: name of the new head.
      classes: number of its outputs, at least 1.
      key: for its initial weights.

    Raises:
      ValueError: no output, or a head of that name exists.
    """
    if classes < 1:
        raise ValueError(f"classes: {classes}; a head needs at least 1")
    head = net.new_head(key, classes, sorted(variables.params["heads"]))
    return _insert(variables, "heads", task, Variables(head, {}))


def without_heads(variables: Variables) -> Variables:
    """Returns the variables of a network alone, which are the same for all heads.

    So what is compiled for them serves when a task brings a head.
    """
    return variables._replace(params={**variables.params, "heads": {}})


def with_hidden_classes(
    net: Net, params: Params, head: str, first: int, classes: int, key: PRNGKey
) -> tuple[Params, Params]:
    """Returns parameters without and with the classes that a task brings.

    Args:
      net: the network that they belong to.
      params: with a linear head that has room for all classes.
      head: its name.
      first: where the task's classes begin among its outputs; all from here on are hidden.
      classes: how many the task brings.
      key: for their initial weights, the same as those of a head of their own.
    """
    own, heads = net.new_head(key, classes, ()), params["heads"]
    before, after = _hidden_and_shown(heads[head], own, jnp.int32(first))
    hidden, shown = {**heads, head: before}, {**heads, head: after}
    return {**params, "heads": hidden}, {**params, "heads": shown}


@jax.jit
def _hidden_and_shown(head: Params, own: Params, first: Array) -> tuple[Params, Params]:
    """A head without its classes from one on, and with those of another head in their place."""
    come = jnp.arange(len(head["b"])) >= first
    hidden = {"w": jnp.where(come, 0, head["w"]), "b": jnp.where(come, NEVER, head["b"])}
    at = {"w": (jnp.int32(0), first), "b": (first,)}
    shown = {n: jax.lax.dynamic_update_slice(hidden[n], own[n], at[n]) for n in own}
    return hidden, shown


def add_branch(
    net: Net,
    variables: Variables,
    layer: str,
    task: str,
    *,
    key: PRNGKey,
    source: str | None = None,
) -> Variables:
    """Returns variables with a new branch of one layer, its statistics included.

    Args:
      net: the network that they belong to.
      variables: to grow.
      layer: one of ``net.layers``.
      task: name of the new branch: the task that it is made for.
      key: for fresh initial weights.
      source: start from a copy of this branch; fresh weights if None.

    Raises:
      ValueError: an unknown layer or source, or a branch of that name exists.
    """
    if layer not in net.layers:
        raise ValueError(f"layer: {layer!r} cannot branch; choose from {', '.join(net.layers)}")
    if source is None:
        branch = net.new_branch(key, layer, sorted(variables.params[layer]))
        return _insert(variables, layer, task, branch)
    if source not in variables.params[layer]:
        has = ", ".join(sorted(variables.params[layer])) or "none"
        raise ValueError(f"source: {layer} has no branch {source!r}; it has {has}")
    branch = [part.get(layer, {}).get(source, {}) for part in variables]
    return _insert(variables, layer, task, Variables(*map(copy, branch)))


def restarted(net: Net, params: Params, key: PRNGKey) -> Variables:
    """Makes variables for parameters of the same shapes, with fresh weights everywhere."""
    fresh = net.init(stream(key, "init"))
    for layer in net.layers:
        for i, name in enumerate(sorted(params[layer])):
            fresh = add_branch(net, fresh, layer, name, key=stream(key, layer, i))
    for i, name in enumerate(sorted(params["heads"])):
        classes = len(params["heads"][name]["b"])
        fresh = add_head(net, fresh, name, classes, stream(key, "heads", i))
    return fresh


def leaf_mask(params: Params, chosen: Callable[[Path], bool]) -> PyTree:
    """Returns a tree of Python booleans: which leaves a predicate on the path chooses."""
    return jax.tree.map_with_path(lambda path, _: chosen(tuple(k.key for k in path)), params)


def partition(params: Params, mask: PyTree) -> tuple[Params, Params]:
    """Splits a tree in (chosen, rest), with None where a leaf is in the other part.

    Differentiating with respect to the chosen part alone means that no gradient
    of the rest is computed, and that no optimiser can move it.
    """
    chosen = jax.tree.map(lambda leaf, m: leaf if m else None, params, mask)
    rest = jax.tree.map(lambda leaf, m: None if m else leaf, params, mask)
    return chosen, rest


def merge(chosen: Params, rest: Params) -> Params:
    """Returns the tree that :func:`partition` split."""
    return jax.tree.map(
        lambda a, b: b if a is None else a, chosen, rest, is_leaf=lambda x: x is None
    )


def on_route(net: Net, route: Route, path: Path) -> bool:
    """Returns False for a leaf of a branch that a task does not run through."""
    layer = path[0]
    return layer not in net.layers or path[1] == route[net.layers.index(layer)]


def count(params: PyTree) -> int:
    """Returns the number of scalar parameters in a tree.

    >>> count({"kernel": jnp.zeros((3, 2)), "bias": jnp.zeros(2)})
    8
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def weights(net: Net, params: Params) -> Mapping[str, int]:
    """Returns the number of parameters: ``total``, ``added`` and ``heads``.

    ``added`` counts every branch of a layer but its first.
    """
    branches = [params[layer][name] for layer in net.layers for name in sorted(params[layer])[1:]]
    return {
        "total": count(params),
        "added": sum(count(branch) for branch in branches),
        "heads": count(params["heads"]),
    }
