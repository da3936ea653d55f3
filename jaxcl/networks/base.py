"""What a network is to the rest of the library: a NamedTuple of pure functions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from jaxcl.core.types import Array, Params, PRNGKey
from jaxcl.networks.layers import PLAIN, Layers

Route = tuple[str, ...]
"""The branch a task runs through in each branching layer, in order."""


class Pathway(NamedTuple):
    """How a task runs through a network: names of its branches and of its head."""

    task: str
    route: Route
    head: str


Routes = tuple[Pathway, ...]
"""The pathways of several tasks; a tuple, so that it is static and hashable under jit."""


class Apply(Protocol):
    """``(params, images, routes) -> {task: logits}``.

    Images are float32 ``[b, height, width, channels]``, logits float32
    ``[b, classes]``.  ``layers`` says how layers with weights are computed.
    """

    def __call__(
        self, params: Params, images: Array, routes: Routes, layers: Layers = PLAIN
    ) -> dict[str, Array]:
        """Runs the network."""
        ...


class Net(NamedTuple):
    """A network that can grow, as pure functions over nested dictionaries.

    Attributes:
      layers: names of the layers that can branch, from the input on.
      init: ``(key) -> params`` with no branch and no head yet.
      new_branch: ``(key, layer, earlier) -> branch parameters``; ``earlier`` names
        the branches that the layer has.
      new_head: ``(key, classes, earlier) -> head parameters``; ``earlier`` names the
        heads that there are.
      apply: runs the network along pathways.
      activations: ``(params, images, route) -> {layer: activations}``, after the
        nonlinearity, ``[b, ..., channels]``.
      gathers: whether ``apply`` computes every weight through the ``layers`` it is
        given, once for each pathway.  Importance of weights is then gathered from whole
        batches; where ``apply`` does anything else, the result would be wrong.
    """

    layers: tuple[str, ...]
    init: Callable[[PRNGKey], Params]
    new_branch: Callable[[PRNGKey, str, Sequence[str]], Params]
    new_head: Callable[[PRNGKey, int, Sequence[str]], Params]
    apply: Apply
    activations: Callable[[Params, Array, Route], dict[str, Array]]
    gathers: bool = False
