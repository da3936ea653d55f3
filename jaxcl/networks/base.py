"""What a network is to the rest of the library: pure functions over parameters and statistics.

A network turns inputs into **features**; heads are made by the library and turn features into
logits.  What may branch is a part of the parameters that has a name, its *layer*.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from jaxcl.core.types import Array, Params, PRNGKey, PyTree
from jaxcl.networks.layers import PLAIN, Layers, weights

Route = tuple[str, ...]
"""The branch a task runs through in each branching layer, in order."""


class Pathway(NamedTuple):
    """How a task runs through a network: names of its branches and of its head.

    Attributes:
      task: name of the task.
      route: the branch of each layer that can branch, from the input on.
      head: name of the head.

    >>> Pathway("t01", ("t00", "t01"), "t01").route  # the first layer is shared
    ('t00', 't01')
    """

    task: str
    route: Route
    head: str


Routes = tuple[Pathway, ...]
"""The pathways of several tasks; a tuple, so that it is static and hashable under jit."""


class Variables(NamedTuple):
    """What a network has.

    Attributes:
      params: what an optimiser trains; nested dictionaries, ``{layer: {branch: ...}}`` where a
        layer can branch, and ``{"heads": {head: ...}}``.
      stats: what a forward pass in training mode renews, such as the running means of batch
        normalisation; nested dictionaries, ``{}`` where there is nothing.
    """

    params: Params
    stats: PyTree


class Mode(NamedTuple):
    """How a forward pass is made; without anything given, as for a test.

    Attributes:
      trained: routes in training mode: they normalise by the batch, drop units, and renew the
        statistics.  Other routes are passed as they will be tested.
      key: for the units that are dropped; None: none are.
      layers: how jaxcl's own layers with weights are computed.
    """

    trained: Collection[Route] = ()
    key: PRNGKey | None = None
    layers: Layers = PLAIN


TEST = Mode()
SHARED = "shared"
"""Name of what does not branch, among the parts of parameters and statistics."""


Features = Callable[[Variables, PyTree, Sequence[Route], Mode], tuple[dict[Route, PyTree], PyTree]]
"""``(variables, inputs, routes, mode) -> ({route: features}, statistics)``.

Inputs are float32 ``[b, height, width, channels]``, or what else the network takes, features
``[b, ...]``; the statistics are those after the pass.
"""


def new_dense_head(width: int, key: PRNGKey, classes: int, earlier: Sequence[str]) -> Params:
    """Makes a linear head on features ``[b, width]``: He-normal weights, no bias yet."""
    del earlier
    return weights(key, (width, classes))


def dense_head(params: Params, features: PyTree, layers: Layers = PLAIN) -> Array:
    """Returns the logits of a linear head, ``[b, classes]``, or ``[b, t, classes]``."""
    kind = params["w"].dtype
    same = features if features.dtype == kind else features.astype(kind)
    return layers.dense(same, params)


class Net(NamedTuple):
    """A network that can grow, as pure functions over nested dictionaries.

    Attributes:
      layers: names of the layers that can branch, from the input on.
      init: ``(key) -> variables`` with no branch and no head yet.
      new_branch: ``(key, layer, earlier) -> variables of a branch``; ``earlier`` names
        the branches that the layer has.
      new_head: ``(key, classes, earlier) -> head parameters``; ``earlier`` names the
        heads that there are.
      features: runs the network along routes.
      activations: ``(variables, inputs, route) -> {layer: activations}`` in evaluation mode,
        after the nonlinearity, ``[b, ..., channels]``: of the layers that can branch, or of
        dense layers that all tasks share, from the input on.
      head: ``(head parameters, features, layers) -> logits``.
      gathers: whether every weight is used through the ``layers`` of the mode, once for each
        route.  Importance of weights is then gathered from whole batches; where a network
        does anything else, the result would be wrong.
    """

    layers: tuple[str, ...]
    init: Callable[[PRNGKey], Variables]
    new_branch: Callable[[PRNGKey, str, Sequence[str]], Variables]
    new_head: Callable[[PRNGKey, int, Sequence[str]], Params]
    features: Features
    activations: Callable[[Variables, PyTree, Route], dict[str, Any]]
    head: Callable[[Params, PyTree, Layers], Array] = dense_head
    gathers: bool = False


class Passed(NamedTuple):
    """What a forward pass gives.

    Attributes:
      outputs: task -> logits.
      features: route -> what its heads are given.
      stats: the statistics after it.
    """

    outputs: dict[str, Array]
    features: dict[Route, PyTree]
    stats: PyTree


def run(
    net: Net, variables: Variables, inputs: PyTree, routes: Routes, mode: Mode = TEST
) -> Passed:
    """Runs a network and its heads along pathways; tasks on the same route share one pass.

    Args:
      net: the network.
      variables: of it.
      inputs: a batch, leading axis b.
      routes: pathways of the tasks whose logits are wanted.
      mode: by default that of a test.
    """
    along = sorted({path.route for path in routes})
    features, stats = net.features(variables, inputs, along, mode)
    heads = variables.params["heads"]
    logits = {
        (route, head): net.head(heads[head], features[route], mode.layers)
        for route, head in sorted({(path.route, path.head) for path in routes})
    }
    return Passed({path.task: logits[path.route, path.head] for path in routes}, features, stats)
