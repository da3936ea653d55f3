"""Containers of a tree as a checkpoint has them: paths of arrays, and what else they lie in."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import tree_util
from numpy import ndarray

from jaxcl.core.types import PyTree

Kinds = dict[str, str]
"""Path -> ``tuple``, ``list``, ``ints`` (a dictionary with numbers for names), ``empty`` (one
without any) or ``none``, and how many parts it has."""


def containers(tree: PyTree, path: str = "") -> Kinds:
    """Returns what dictionaries of the arrays' paths would not tell of a tree.

    Args:
      tree: of arrays.
      path: of the tree in a larger one.

    >>> containers({"kept": [1.0, (2.0,)], "by_task": {0: 3.0}})
    {'/kept': 'list 2', '/kept/1': 'tuple 1', '/by_task': 'ints 1'}
    """
    found: Kinds = {}
    if tree is None:
        return {path: "none 0"}
    if isinstance(tree, dict):
        parts = list(tree.items())
        if not tree:
            found[path] = "empty 0"
        elif all(isinstance(name, int) for name in tree):
            found[path] = f"ints {len(tree)}"
    elif isinstance(tree, tuple) and (names := getattr(tree, "_fields", None)):
        parts = list(zip(names, tree, strict=True))
    elif isinstance(tree, list | tuple):
        found[path] = f"{'list' if isinstance(tree, list) else 'tuple'} {len(tree)}"
        parts = list(enumerate(tree))
    else:
        return {}
    for name, part in parts:
        found |= containers(part, f"{path}/{name}")
    return found


def contained(found: Any, kinds: Kinds, path: str = "") -> Any:
    """Returns nested dictionaries with the containers that :func:`containers` found.

    Args:
      found: nested dictionaries of arrays; None where there is no array.
      kinds: of the whole tree.
      path: of the part in the whole.

    >>> contained({"0": 1.0, "1": {"0": 2.0}}, {"": "list 2", "/1": "tuple 1"})
    [1.0, (2.0,)]
    """
    kind, n = kinds.get(path, "dict 0").split()
    inner = found if isinstance(found, dict) else {}
    if kind in ("list", "tuple"):
        parts = [contained(inner.get(str(i)), kinds, f"{path}/{i}") for i in range(int(n))]
        return parts if kind == "list" else tuple(parts)
    if kind in ("empty", "none"):
        return {} if kind == "empty" else None
    below = {p[len(path) + 1 :] for p in kinds if p.rpartition("/")[0] == path and p != path}
    if not isinstance(found, dict) and not below:
        return found
    parts = {name: contained(inner.get(name), kinds, f"{path}/{name}") for name in {*inner, *below}}
    return {int(name): part for name, part in parts.items()} if kind == "ints" else parts


def rebuild(like: PyTree, found: Any) -> PyTree:
    """Returns nested dictionaries as the containers of ``like``.

    Dictionaries and lists may have grown since ``like`` was made; tuples have not, unless
    ``found`` has them as tuples.  Where nothing was stored, there was no leaf, and ``like`` has
    none either.

    Args:
      like: a tree of arrays or of their shapes.
      found: nested dictionaries of arrays, and what :func:`contained` makes of them.
    """
    if isinstance(found, ndarray | jax.Array):
        return jnp.asarray(found)
    if isinstance(found, list | tuple):
        inner = list(like) if isinstance(like, list | tuple) else []
        inner += [None] * (len(found) - len(inner))
        return type(found)(map(rebuild, inner, found))
    if isinstance(like, list | tuple):
        names = getattr(like, "_fields", None) or [str(i) for i in range(len(like))]
        stored = found or {}
        parts = [rebuild(part, stored.get(name)) for part, name in zip(like, names, strict=True)]
        return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)
    if isinstance(like, dict) or like is None or tree_util.all_leaves([like]):
        if not isinstance(like, dict) and found is None:
            return like
        inner, stored = like if isinstance(like, dict) else {}, found or {}
        names = {**inner, **stored}
        return {name: rebuild(inner.get(name), stored.get(name)) for name in names}
    return _of_class(like, found)


def _of_class(like: PyTree, found: Any) -> PyTree:
    """The same for a class that JAX was told of: it has the parts that it had."""
    leaves, structure = tree_util.tree_flatten_with_path(like)
    values = []
    for path, leaf in leaves:
        part = found
        for key in path:
            part = part and part.get(tree_util.keystr((key,), simple=True))
        values.append(rebuild(leaf, part))
    return structure.unflatten(values)
