"""Whether parameters and statistics are those of a network."""

from functools import partial
from typing import Any

import jax
from jax import tree_util

from jaxcl.core.types import PyTree
from jaxcl.growth.parameters import restarted
from jaxcl.networks.base import Net, Variables


def difference(net: Net, variables: Variables) -> str | None:
    """Returns where variables differ from what the network has, as text; None if nowhere.

    Args:
      net: the network.
      variables: with the branches and heads of some tasks, on the device or not.
    """
    found = _shapes(variables)
    for layer in net.layers:
        if layer not in variables.params:
            return f"{layer} is a layer of the network, and none of the run"
    like = jax.eval_shape(partial(restarted, net, variables.params), jax.random.key(0))
    expected = _shapes(like)
    for name in sorted(found.keys() | expected.keys()):
        one, other = expected.get(name), found.get(name)
        if one != other:
            here, there = one or "missing", other or "missing"
            return f"{name} is {here} in the network and {there} in the run"
    return None


def _shapes(variables: Variables) -> dict[str, str]:
    leaves: list[tuple[Any, PyTree]] = tree_util.tree_leaves_with_path(variables)
    return {
        tree_util.keystr(path, simple=True, separator="/"): f"{x.dtype} {list(x.shape)}"
        for path, x in leaves
    }
