"""Equinox modules as networks."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax

from jaxcl.core.random import stream
from jaxcl.core.types import PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone, parameters
from jaxcl.networks.adapters.grown import foreign
from jaxcl.networks.adapters.names import named
from jaxcl.networks.base import Variables
from jaxcl.networks.choices import Foreign

STATE = "state"


def from_equinox(make: Callable[..., eqx.Module], *, branches: Sequence[str] = ()) -> Foreign:
    """Makes a network of an Equinox module.

    Args:
      make: ``make(key=key)`` makes the module: a class, or a function.  The module maps **one**
        example to features ``[d]``, as is usual there; it is called as ``module(x)``, with
        ``key=`` and ``state`` where it takes them, and then returns ``(features, state)``.  The
        batch's axis is named ``"batch"``, as for ``eqx.nn.BatchNorm(axis_name="batch")``.
      branches: paths of submodules that can branch, such as ``"conv1"`` or ``"blocks/0"``; their
        running statistics, which Equinox keeps apart, stay shared.
    """
    name = getattr(make, "__name__", type(make).__name__)
    return foreign(_backbone(make), branches, f"{name} (Equinox)")


def _backbone(make: Callable[..., eqx.Module]) -> Backbone:
    def made(key: PRNGKey) -> tuple[Any, Any]:
        return eqx.nn.make_with_state(make)(key=key)

    model, state = eqx.filter_eval_shape(made, jax.random.key(0))
    arrays, static = eqx.partition(model, _is_param)
    others, static = eqx.partition(static, eqx.is_array_like)
    names = parameters(type(model).__call__)
    _, of_params = named(arrays)
    _, of_state = named(state)

    def init(key: PRNGKey, inputs: PyTree) -> Variables:
        del inputs
        model, state = made(key)
        params, stats = named(eqx.filter(model, _is_param))[0], named(state)[0]
        return Variables(params, {STATE: stats} if stats else {})

    def apply(
        variables: Variables, inputs: PyTree, train: bool, key: PRNGKey | None
    ) -> tuple[PyTree, PyTree]:
        model = eqx.combine(of_params.restored(variables.params), others, static)
        model: Any = eqx.nn.inference_mode(model, value=not train)
        state = of_state.restored(variables.stats.get(STATE, {}))
        n = jax.tree.leaves(inputs)[0].shape[0]
        keys = jax.random.split(jax.random.key(0) if key is None else key, n)

        def one(x: PyTree, key: PRNGKey, state: Any) -> tuple[PyTree, Any]:
            given = {"key": stream(key, "drop")} if "key" in names and train else {}
            if "state" in names:
                return model(x, state, **given)
            return model(x, **given), state

        each = jax.vmap(one, axis_name="batch", in_axes=(0, 0, None), out_axes=(0, None))
        features, renewed = each(inputs, keys, state)
        stats = {STATE: named(renewed)[0]} if variables.stats and train else variables.stats
        return features, stats

    return Backbone(init, apply)


def _is_param(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) and jax.numpy.issubdtype(
        leaf.dtype, jax.numpy.inexact
    )
