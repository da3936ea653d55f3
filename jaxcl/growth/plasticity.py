"""What is measured of a network that jaxcl trains, to see whether it stays able to learn."""

from functools import partial
from typing import Any

import jax

from jaxcl.core.types import PyTree
from jaxcl.networks.base import TEST, Net, Route, Variables
from jaxcl.scenarios.inputs import Inputs, prepared
from jaxcl.transforms.plasticity.measures import (
    dormant_fraction,
    effective_rank,
    mean_activity,
    weight_rms,
)


def measured(
    net: Net, variables: Variables, route: Route, inputs: PyTree, how: Inputs
) -> dict[str, float | None]:
    """Returns measures of plasticity along a task's route, in evaluation mode.

    Args:
      net: the network.
      variables: of it.
      route: of the task.
      inputs: some of the task's, leading axis n.
      how: they become what the network sees.

    Returns:
      ``dormant``, a fraction of the units that the network tells of (all hidden ones of dense
      layers, the channels of layers that can branch), or None if it tells of none;
      ``effective_rank`` of the features of these inputs, None where they are no matrix or all 0;
      ``weight_rms`` of all parameters.
    """
    activity, features = _looked_at(net, route, how, variables, inputs)
    matrix = isinstance(features, jax.Array) and features.ndim == 2
    return {
        "dormant": dormant_fraction(activity),
        "effective_rank": effective_rank(features) if matrix else None,
        "weight_rms": weight_rms(variables.params),
    }


@partial(jax.jit, static_argnames=("net", "route", "how"))
def _looked_at(net: Net, route: Route, how: Inputs, variables: Variables, inputs: PyTree) -> Any:
    """Mean activity of each layer, and the features of each input."""
    ready = prepared(how, inputs)
    seen = net.activations(variables, ready, route)
    features, _ = net.features(variables, ready, [route], TEST)
    return {layer: mean_activity(x) for layer, x in seen.items()}, features[route]
