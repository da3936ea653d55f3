"""What a network is to the rest of the library: a NamedTuple of pure functions."""

from collections.abc import Callable
from typing import NamedTuple

from jaxcl.types import Array, Params, PRNGKey

Route = tuple[str, ...]
"""The branch a task runs through in each branching layer, in order."""

Routes = tuple[tuple[str, Route], ...]
"""(task, route) pairs; a tuple, so that it is static and hashable under jit."""


class Net(NamedTuple):
    """A network that can grow, as pure functions over nested dictionaries.

    Attributes:
      layers: names of the layers that can branch, from the input on.
      init: ``(key) -> params`` with no branch and no head yet.
      new_branch: ``(key, layer) -> branch parameters``.
      new_head: ``(key, classes) -> head parameters``.
      apply: ``(params, images, routes) -> {task: logits}``; images float32
        ``[b, height, width, channels]``, logits float32 ``[b, classes]``.
      activations: ``(params, images, route) -> {layer: activations}``, after the
        nonlinearity, ``[b, ..., channels]``.
    """

    layers: tuple[str, ...]
    init: Callable[[PRNGKey], Params]
    new_branch: Callable[[PRNGKey, str], Params]
    new_head: Callable[[PRNGKey, int], Params]
    apply: Callable[[Params, Array, Routes], dict[str, Array]]
    activations: Callable[[Params, Array, Route], dict[str, Array]]
