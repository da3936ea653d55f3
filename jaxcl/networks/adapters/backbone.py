"""What a network of another library is made into: two functions over nested dictionaries."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxcl.core.errors import UsageError
from jaxcl.core.types import PRNGKey, PyTree
from jaxcl.networks.base import Variables

Apply = Callable[[Variables, PyTree, bool, PRNGKey | None], tuple[PyTree, PyTree]]
"""``(variables, inputs, train, key) -> (features, statistics)``."""


class Backbone(NamedTuple):
    """A network without heads, and without branches.

    Attributes:
      init: ``(key, inputs) -> variables``; parameters are nested dictionaries with text for keys,
        statistics ``{collection: nested dictionaries}``, where a collection that has the paths of
        the parameters branches with them.
      apply: see :data:`Apply`; pure; ``key`` is None where nothing is drawn.
      activations: ``(variables, inputs, paths) -> {path: activations}`` in evaluation mode: what
        the parts of the network at these paths return, ``[b, ..., channels]``; None where the
        network cannot tell.
    """

    init: Callable[[PRNGKey, PyTree], Variables]
    apply: Apply
    activations: Callable[[Variables, PyTree, Sequence[str]], dict[str, Any]] | None = None


TRAIN = {"train": True, "training": True, "is_training": True}
TEST = {"deterministic": True, "use_running_average": True, "eval": True, "inference": True}


def mode_argument(call: Callable[..., Any]) -> Callable[[bool], dict[str, Any]]:
    """Returns ``train -> keyword arguments`` by which a module is told that it trains.

    Known are ``train``, ``training``, ``is_training``, and, the other way round,
    ``deterministic``, ``use_running_average``, ``eval``, ``inference``; a module without any of
    them is told nothing.
    """
    names = parameters(call)
    told = {name: True for name in TRAIN if name in names}
    told |= {name: False for name in TEST if name in names}
    return lambda train: {name: train == when for name, when in told.items()}


def part_of(module: Any, path: str) -> Any:
    """Returns the part of a module at a path of attributes, indices and keys.

    Raises:
      UsageError: there is none.
    """
    part = module
    for name in path.split("/"):
        try:
            if isinstance(part, Mapping):
                part = part[name if name in part else int(name)]
            else:
                part = part[int(name)] if name.isdigit() else getattr(part, name)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            kind = type(module).__name__
            raise UsageError(f"branches: {kind} has no part {path!r}; name one of it") from error
    return part


def parameters(call: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a function or a class; none where they cannot be known."""
    try:
        return inspect.signature(call).parameters
    except (TypeError, ValueError):
        return {}
