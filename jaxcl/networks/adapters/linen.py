"""Flax Linen modules as networks."""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any

from flax import linen

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.core.types import PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import TEST, TRAIN, Backbone, mode_argument, parameters
from jaxcl.networks.adapters.grown import foreign
from jaxcl.networks.adapters.names import BAR, SLASH, barred, slashed, taken
from jaxcl.networks.base import Variables
from jaxcl.networks.choices import Foreign

PARAMS, INTERMEDIATES = "params", "intermediates"


def from_linen(module: Any, *, branches: Sequence[str] = ()) -> Foreign:
    """Makes a network of a Flax Linen module.

    Args:
      module: ``module(inputs)`` returns features ``[b, d]`` (or ``[b, t, d]``), no logits: heads
        are jaxcl's.  Where it takes ``train`` (or ``training``, ``deterministic``,
        ``use_running_average``), it is told.  Collections beside ``params``, such as
        ``batch_stats``, are its statistics; units are dropped by the stream ``dropout``, and
        other streams have keys too.
      branches: paths of submodules that can branch, such as ``"conv1"`` or ``"blocks_0/conv"``; a
        slash within a name is written as a bar.

    Returns:
      What :func:`jaxcl.fit` takes as its network.

    Raises:
      UsageError: a class in place of a module; one that takes ``*args`` or ``**kwargs``, by which
        it may hand the mode on, and does not name it.

    >>> from_linen(linen.Dense(3)).description
    'Dense (Linen)'
    """
    if not isinstance(module, linen.Module):
        name = getattr(module, "__name__", type(module).__name__)
        raise UsageError(f"network: {name} is no Linen module; give one that is made, {name}(...)")
    return foreign(_backbone(module), branches, f"{type(module).__name__} (Linen)")


def _backbone(module: linen.Module) -> Backbone:
    given = partial(_arguments, _told(module))

    def init(key: PRNGKey, inputs: PyTree) -> Variables:
        args, mode = given(inputs, False)
        kept = barred(linen.unbox(module.init(_keys(key), *args, **mode)))
        return Variables(kept.pop(PARAMS, {}), kept)

    def apply(
        variables: Variables, inputs: PyTree, train: bool, key: PRNGKey | None
    ) -> tuple[PyTree, PyTree]:
        args, mode = given(inputs, train)
        rngs = None if key is None else _keys(key)
        own = _collections(variables)
        run = partial(module.apply, own, *args, rngs=rngs, **mode)
        if not train:
            return run(), variables.stats
        features, renewed = run(mutable=[name for name in own if name != PARAMS])
        return features, barred(renewed)

    def activations(variables: Variables, inputs: PyTree, paths: Sequence[str]) -> dict[str, Any]:
        wanted = {tuple(x.replace(BAR, SLASH) for x in path.split("/")) for path in paths}

        def chosen(part: linen.Module, method: str) -> bool:
            return method == "__call__" and part.path in wanted

        args, mode = given(inputs, False)
        seen = {"capture_intermediates": chosen, "mutable": [INTERMEDIATES]}
        _, found = module.apply(_collections(variables), *args, **seen, **mode)
        calls = barred(found.get(INTERMEDIATES, {}))
        every = {path: taken(calls, (*path.split("/"), "__call__"))[0] for path in paths}
        # A part that is called several times counts as it was called last.
        return {path: made[-1] for path, made in every.items() if made}

    return Backbone(init, apply, activations)


def _told(module: linen.Module) -> Callable[..., Any]:
    """What is told whether it trains; a UsageError where that cannot be known.

    Flax's sequence hands what it is given on to its first layer.
    """
    inner: Any = module
    while type(inner).__call__ is linen.Sequential.__call__ and inner.layers:
        inner = inner.layers[0]
    if not isinstance(inner, linen.Module):
        return inner
    names = parameters(inner.__call__)
    anything = {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
    if not names.keys() & {*TRAIN, *TEST} and anything & {x.kind for x in names.values()}:
        takes = ", ".join(str(x) for x in names.values())
        raise UsageError(
            f"network: {type(inner).__name__} takes ({takes}), so that it cannot be told whether it"
            " trains; name train among its arguments (a decorator keeps them by functools.wraps)"
        )
    return inner.__call__


def _arguments(
    call: Callable[..., Any], inputs: PyTree, train: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and keyword arguments of a module that is told whether it trains.

    By place where that comes next to the inputs, for there
    ``linen.remat(Net, static_argnums=(2,))`` looks for it.
    """
    told = mode_argument(call)(train)
    if not told:
        return (inputs,), {}
    bound = signature(call).bind_partial(inputs, **told)
    return bound.args, bound.kwargs


def _collections(variables: Variables) -> dict[str, Any]:
    """All collections as Flax knows them, with slashes in their names."""
    return slashed({PARAMS: variables.params, **variables.stats})


def _keys(key: PRNGKey) -> dict[str, PRNGKey]:
    """Keys of the streams; Flax takes that of ``params`` for those that are not here."""
    return {name: stream(key, name) for name in (PARAMS, "dropout")}
