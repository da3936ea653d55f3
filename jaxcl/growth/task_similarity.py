"""How alike a new task is to what each branch was made for: the registry of similarities.

Those of moments need no old data, and no training: the new task's images are sent along
the route of the task that a branch was made for, and their statistics there are compared
with those that the branch saw on its own task.  The others compare the responses of that
network to the new task's images with the responses of a second one, which was trained on
them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.errors import NonFiniteLoss
from jaxcl.core.types import PyTree
from jaxcl.growth.representations import cka, rsa, svcca
from jaxcl.growth.routing import Seen, layer_moments
from jaxcl.growth.similarity import Moments, bures_similarity, cosine_similarity, frechet_similarity
from jaxcl.networks.base import Net, Route, Routes, Variables
from jaxcl.scenarios.inputs import AS_THEY_COME, Inputs, prepared

COMPARED = 500  # images whose responses are compared; all their pairs are
POSITIONS = 20_000  # of all images together, where each is an example
TaskSimilarity = Callable[[str, str], float]
"""(layer, branch) -> the similarity of the new task to what the branch was made for."""


class Compared(NamedTuple):
    """What there is to look at as a task comes.

    Attributes:
      net: the network.
      variables: of it, before it grows.
      routes: of the earlier tasks.
      seen: the statistics that each branch saw on its own task.
      inputs: () -> probe inputs of the new task.
      reference: (route) -> variables that were trained on the new task, and their route;
        they begin as those along the route, or from scratch.
      how: inputs become what the network sees.
    """

    net: Net
    variables: Variables
    routes: Routes
    seen: Seen
    inputs: Callable[[], PyTree]
    reference: Callable[[Route], tuple[Variables, Route]]
    how: Inputs = AS_THEY_COME


def _route(compared: Compared, branch: str) -> Route:
    """Of the task that the branch was made for."""
    return next(pathway.route for pathway in compared.routes if pathway.task == branch)


def by_moments(
    compare: Callable[[Moments, Moments], float],
) -> Callable[[Compared], TaskSimilarity]:
    """Makes a similarity of channel statistics."""

    def make(compared: Compared) -> TaskSimilarity:
        probes: dict[str, dict[str, Moments]] = {}

        def similarity(layer: str, branch: str) -> float:
            if branch not in probes:
                route = _route(compared, branch)
                inputs = compared.inputs()
                probes[branch] = layer_moments(
                    compared.net, compared.variables, route, inputs, compared.how
                )
            return compare(probes[branch][layer], compared.seen[layer][branch])

        return similarity

    return make


def by_responses(
    compare: Callable[[np.ndarray, np.ndarray], float], rows: Callable[[np.ndarray], np.ndarray]
) -> Callable[[Compared], TaskSimilarity]:
    """Makes a similarity of two networks' responses to the new task's images."""

    def make(compared: Compared) -> TaskSimilarity:
        found: dict[str, tuple[dict[str, np.ndarray], ...]] = {}

        def similarity(layer: str, branch: str) -> float:
            if branch not in found:
                route = _route(compared, branch)
                both = (compared.variables, route), compared.reference(route)
                found[branch] = tuple(_responses(compared, *each) for each in both)
            x, y = (rows(each[layer]) for each in found[branch])
            return compare(x, y)

        return similarity

    return make


def _responses(compared: Compared, variables: Variables, route: Route) -> dict[str, np.ndarray]:
    inputs = jax.tree.map(lambda x: jnp.asarray(x[:COMPARED]), compared.inputs())
    found = compared.net.activations(variables, prepared(compared.how, inputs), route)
    found = {layer: np.asarray(x, np.float32) for layer, x in found.items()}
    if not all(np.isfinite(x).all() for x in found.values()):
        raise NonFiniteLoss("activations: not finite on the inputs of a task; try a smaller --lr")
    return found


def images_as_rows(x: np.ndarray) -> np.ndarray:
    """Takes an image for an example, all channels at all positions for its units."""
    return x.reshape(len(x), -1)


def positions_as_rows(x: np.ndarray) -> np.ndarray:
    """Takes a position of an image for an example, the channels for its units; so many."""
    x = x.reshape(-1, x.shape[-1])
    return x[:: -(-len(x) // POSITIONS)]


SIMILARITIES: dict[str, Callable[[Compared], TaskSimilarity]] = {
    "frechet": by_moments(frechet_similarity),
    "bures": by_moments(bures_similarity),
    "cosine": by_moments(cosine_similarity),
    "cka": by_responses(cka, images_as_rows),
    "rsa": by_responses(rsa, images_as_rows),
    "svcca": by_responses(svcca, positions_as_rows),
}
"""By the name that settings give it."""
