"""Hidden units of a network that jaxcl trains: what is measured, and how they are found."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax

from jaxcl.core.errors import UsageError
from jaxcl.core.types import Array, Batch, Params, PRNGKey, PyTree
from jaxcl.growth.parameters import restarted, without_heads
from jaxcl.networks.base import TEST, Net, Route, Variables
from jaxcl.scenarios.inputs import Inputs, prepared
from jaxcl.transforms.plasticity.measures import (
    dormant_fraction,
    effective_rank,
    mean_activity,
    weight_rms,
)
from jaxcl.transforms.plasticity.redo import Units, check_chain


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
    activity, features = looked_at(net, route, how, without_heads(variables), inputs)
    matrix = isinstance(features, jax.Array) and features.ndim == 2
    return {
        "dormant": dormant_fraction(activity),
        "effective_rank": effective_rank(features) if matrix else None,
        "weight_rms": weight_rms(variables.params),
    }


@partial(jax.jit, static_argnames=("net", "route", "how"))
def looked_at(net: Net, route: Route, how: Inputs, variables: Variables, inputs: PyTree) -> Any:
    """Returns the mean activity of each layer, and the features of each input."""
    ready = prepared(how, inputs)
    seen = net.activations(variables, ready, route)
    features, _ = net.features(variables, ready, [route], TEST)
    return {layer: mean_activity(x) for layer, x in seen.items()}, features[route]


def hidden_units(net: Net, how: Inputs, inputs: PyTree) -> Units:
    """Returns how the hidden units of a network are found and renewed.

    Args:
      net: the network.
      how: inputs become what the network sees.
      inputs: shape and type of an example, as the network sees it.

    Raises:
      UsageError: a network whose layers branch, or one that is not of dense layers.
    """
    if net.layers:
        raise UsageError(
            f"net: hidden units are reset in dense layers, and {net.layers[0]} branches; give"
            " --net mlp"
        )

    def activations(params: Params, batch: Batch) -> Mapping[str, Array]:
        return net.activations(Variables(params, {}), prepared(how, batch["input"]), ())

    def fresh(params: Params, key: PRNGKey) -> Params:
        return restarted(net, params, key).params

    two = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), inputs)

    def check(key: PRNGKey, inputs: PyTree) -> None:
        variables = net.init(key)
        check_chain(variables.params, net.activations(variables, inputs, ()))

    try:
        jax.eval_shape(check, jax.eval_shape(lambda: jax.random.key(0)), two)
    except ValueError as error:
        raise UsageError(f"net: {error}") from error
    return Units(activations, fresh)
