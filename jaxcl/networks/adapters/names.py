"""Trees of any containers as nested dictionaries of text, and back.

The library grows, saves and compares nested dictionaries.  A module of another library holds its
arrays in classes, lists and dictionaries; their places have names all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax import tree_util

from jaxcl.core.errors import UsageError
from jaxcl.core.types import PyTree

VALUE = "value"
"""The name of what has none; so Flax NNX calls the array within a variable."""
SLASH, BAR = "/", "|"
"""A slash would be taken for a step down where a path is written as text: a bar stands for it."""

Path = tuple[str, ...]


class Named(NamedTuple):
    """How a tree is written as nested dictionaries; static, hashable.

    Attributes:
      tree: its structure.
      paths: of its leaves, in order.
    """

    tree: Any
    paths: tuple[Path, ...]

    def restored(self, names: Mapping[str, Any]) -> PyTree:
        """Returns the tree with the leaves of nested dictionaries."""
        return jax.tree.unflatten(self.tree, [at(names, path) for path in self.paths])

    def written(self, tree: PyTree) -> dict[str, Any]:
        """Returns nested dictionaries with the leaves of a tree of this structure."""
        found: dict[str, Any] = {}
        for path, leaf in zip(self.paths, jax.tree.leaves(tree), strict=True):
            put(found, path, leaf)
        return found


def named(tree: PyTree, *, variables: bool = False) -> tuple[dict[str, Any], Named]:
    """Returns nested dictionaries with the leaves of a tree, and how to go back.

    Args:
      tree: of any containers.
      variables: whether leaves are within variables of Flax NNX, whose ``value`` is left out.

    Raises:
      UsageError: two leaves of one name, such as those of the keys 1 and "1".

    >>> found, how = named({"blocks": [1, 2], "out": 3})
    >>> found
    {'blocks': {'0': 1, '1': 2}, 'out': 3}
    >>> how.restored(found)
    {'blocks': [1, 2], 'out': 3}
    """
    leaves = tree_util.tree_leaves_with_path(tree)
    paths = tuple(_path(path, variables) for path, _ in leaves)
    twice = (
        [path for path in paths if paths.count(path) > 1] if len(set(paths)) < len(paths) else []
    )
    if twice:
        raise UsageError(f"network: two arrays have the name {'/'.join(twice[0])!r}; rename one")
    how = Named(jax.tree.structure(tree), paths)
    return how.written(tree), how


def _path(path: Sequence[Any], variables: bool) -> Path:
    if variables and path and path[-1] == tree_util.GetAttrKey(VALUE):
        path = path[:-1]
    names = [tree_util.keystr((key,), simple=True).replace(SLASH, BAR) for key in path]
    return tuple(names) or (VALUE,)


def barred(names: Any) -> Any:
    """Returns nested dictionaries without slashes in their names, and without empty ones.

    No checkpoint keeps what is empty.

    Raises:
      UsageError: a name with a bar, which would be read as a slash.

    >>> barred({"a": {"w/u": 1}, "b": {}})
    {'a': {'w|u': 1}}
    """
    if not isinstance(names, Mapping):
        return names
    for name in names:
        if BAR in str(name):
            raise UsageError(
                f"network: the name {name!r} has a bar in it, which stands for a slash; rename it"
            )
    found = {_instead(name, SLASH, BAR): barred(inner) for name, inner in names.items()}
    return {name: inner for name, inner in found.items() if jax.tree.leaves(inner)}


def slashed(names: Any) -> Any:
    """Returns the nested dictionaries that :func:`barred` was given, but for empty ones.

    >>> slashed({"a": {"w|u": 1}})
    {'a': {'w/u': 1}}
    """
    if not isinstance(names, Mapping):
        return names
    return {_instead(name, BAR, SLASH): slashed(inner) for name, inner in names.items()}


def _instead(name: Any, old: str, new: str) -> Any:
    """The name with one sign in place of another; dictionaries in parameters may have numbers."""
    return name.replace(old, new) if isinstance(name, str) else name


def at(names: Mapping[str, Any], path: Path) -> Any:
    """Returns what nested dictionaries have at a path; ``KeyError`` if nothing."""
    for name in path:
        names = names[name]
    return names


def put(names: dict[str, Any], path: Path, value: Any) -> None:
    """Puts a value into nested dictionaries, which are made where they are missing."""
    *parents, last = path
    for name in parents:
        names = names.setdefault(name, {})
    names[last] = value


def taken(names: Any, path: Path) -> tuple[Any, Any]:
    """Returns what is at a path, ``{}`` if nothing, and the rest without it.

    >>> taken({"a": {"b": 1, "c": 2}}, ("a", "b"))
    (1, {'a': {'c': 2}})
    """
    first, *later = path
    if not isinstance(names, Mapping) or first not in names:
        return {}, names
    rest = {name: value for name, value in names.items() if name != first}
    if not later:
        return names[first], rest
    found, inner = taken(names[first], tuple(later))
    empty = isinstance(inner, Mapping) and not inner
    return found, rest if empty else {**names, first: inner}
