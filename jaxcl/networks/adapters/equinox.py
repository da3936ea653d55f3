"""Equinox modules as networks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.core.types import PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone, mode_argument, parameters, part_of
from jaxcl.networks.adapters.grown import foreign
from jaxcl.networks.adapters.names import Named, named
from jaxcl.networks.base import Variables
from jaxcl.networks.choices import Foreign

STATE, CONSTANTS = "state", "constants"


def from_equinox(make: Callable[..., eqx.Module], *, branches: Sequence[str] = ()) -> Foreign:
    """Makes a network of an Equinox module.

    Args:
      make: ``make(key=key)`` makes the module: a class, or a function.  The module maps **one**
        example to features ``[d]``, as is usual there; it is called as ``module(x)``, with
        ``key=`` and ``state`` where it takes them, and with state returns ``(features, state)``.
        It is put into training and evaluation mode by ``inference_mode``, and told where it takes
        ``inference`` (or ``deterministic``, ``train``, ``training``).  The batch's axis is named
        ``"batch"``, as for ``eqx.nn.BatchNorm(axis_name="batch")``.  Its arrays of floating-point
        numbers train; arrays of integers are kept as they are made.
      branches: paths of submodules that can branch, such as ``"conv1"`` or ``"blocks/0"``.  What a
        part returns with three axes or more counts as an image, ``[channels, height, width]``.

    Returns:
      What :func:`jaxcl.fit` takes as its network.

    Raises:
      UsageError: a module that is made already.

    >>> def small(key):
    ...     return eqx.nn.Linear(2, 3, key=key)
    >>> from_equinox(small).description
    'small (Equinox)'
    """
    if isinstance(make, eqx.Module):
        raise UsageError(
            f"network: {type(make).__name__} is made already, and each seed has weights of its own;"
            " give the class, or a function (key) -> module"
        )
    name = getattr(make, "__name__", type(make).__name__)
    return foreign(_backbone(make), branches, f"{name} (Equinox)")


class _Module(NamedTuple):
    """What is the same for all networks that a function makes.

    Attributes:
      make: ``(key) -> module, state``.
      static: what is no array.
      call: of the module.
      of_params: how parameters are written as nested dictionaries.
      of_constants: how other arrays are.
      of_state: how the state is: by the places in the module of what it belongs to, so that it
        branches with them.
    """

    make: Callable[[PRNGKey], tuple[Any, Any]]
    static: Any
    call: Callable[..., Any]
    of_params: Named
    of_constants: Named
    of_state: Named


def _backbone(make: Callable[..., eqx.Module]) -> Backbone:
    def made(key: PRNGKey) -> tuple[Any, Any]:
        return eqx.nn.make_with_state(make)(key=key)

    with jax.numpy_dtype_promotion("standard"):
        model, state = eqx.filter_eval_shape(made, jax.random.key(0))
    params, others = eqx.partition(model, _is_param)
    constants, static = eqx.partition(others, _is_array)
    of_params, of_constants = (named(tree)[1] for tree in (params, constants))
    of_state = Named(jax.tree.structure(state), named(_in_places(model, state))[1].paths)
    module = _Module(made, static, type(model).__call__, of_params, of_constants, of_state)
    return Backbone(partial(_init, module), partial(_apply, module), partial(_activations, module))


def _init(module: _Module, key: PRNGKey, inputs: PyTree) -> Variables:
    del inputs
    model, state = module.make(key)
    params, others = eqx.partition(model, _is_param)
    kept = {
        STATE: module.of_state.written(state),
        CONSTANTS: named(eqx.filter(others, _is_array))[0],
    }
    return Variables(named(params)[0], {name: tree for name, tree in kept.items() if tree})


def _run(
    module: _Module,
    variables: Variables,
    inputs: PyTree,
    key: PRNGKey | None = None,
    *,
    train: bool = False,
    paths: Sequence[str] = (),
) -> tuple[PyTree, PyTree, dict[str, Any]]:
    """Features, state, and what the parts at some paths return."""
    params = module.of_params.restored(variables.params)
    kept = module.of_constants.restored(variables.stats.get(CONSTANTS, {}))
    model: Any = eqx.nn.inference_mode(eqx.combine(params, kept, module.static), value=not train)
    state = module.of_state.restored(variables.stats.get(STATE, {}))
    n = jax.tree.leaves(inputs)[0].shape[0]
    keys = jax.random.split(jax.random.key(0) if key is None else key, n)
    names, mode = parameters(module.call), mode_argument(module.call)(train)

    def one(x: PyTree, key: PRNGKey, state: Any) -> tuple[PyTree, Any, dict[str, Any]]:
        given = {"key": stream(key, "drop") if train else None} if "key" in names else {}
        given |= mode
        watched, found = _watched(model, paths)
        if "state" in names:
            features, state = watched(x, state, **given)
        else:
            features = watched(x, **given)
        return features, state, found

    each = jax.vmap(one, axis_name="batch", in_axes=(0, 0, None), out_axes=(0, None, 0))
    try:
        return each(inputs, keys, state)
    except ValueError as error:
        if "out_axes" not in str(error):
            raise
        raise UsageError(
            "network: its state is another one for each example; take the mean over the axis"
            " 'batch', as eqx.nn.BatchNorm does"
        ) from error


def _apply(
    module: _Module, variables: Variables, inputs: PyTree, train: bool, key: PRNGKey | None
) -> tuple[PyTree, PyTree]:
    features, renewed, _ = _run(module, variables, inputs, key, train=train)
    if not (train and STATE in variables.stats):
        return features, variables.stats
    return features, {**variables.stats, STATE: module.of_state.written(renewed)}


def _activations(
    module: _Module, variables: Variables, inputs: PyTree, paths: Sequence[str]
) -> dict[str, Any]:
    found = _run(module, variables, inputs, paths=paths)[2]
    # Channels come last here, and first in Equinox's images.
    return {p: jax.numpy.moveaxis(x, 1, -1) if x.ndim > 3 else x for p, x in found.items()}


def _in_places(model: Any, state: Any) -> PyTree:
    """The state's values in a tree like the module, in the places of their indices."""

    def is_index(leaf: Any) -> bool:
        return isinstance(leaf, eqx.nn.StateIndex)

    return jax.tree.map(lambda x: state.get(x) if is_index(x) else None, model, is_leaf=is_index)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)


def _is_param(leaf: Any) -> bool:
    return _is_array(leaf) and jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact)


def _watched(model: Any, paths: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The module with parts that note what they return, and where they note it."""
    found: dict[str, Any] = {}
    for path in paths:
        part = part_of(model, path)
        watched = _Watched(part, path, found)  # pyright: ignore[reportCallIssue]
        model = eqx.tree_at(lambda m, at=path: part_of(m, at), model, watched)
    return model, found


class _Watched(eqx.nn.StatefulLayer):
    inner: Any
    path: str = eqx.field(static=True)
    found: dict[str, Any] = eqx.field(static=True)

    def is_stateful(self) -> bool:
        return isinstance(self.inner, eqx.nn.StatefulLayer) and self.inner.is_stateful()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        made = self.inner(*args, **kwargs)
        self.found[self.path] = made[0] if isinstance(made, tuple) else made  # a state may follow
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
