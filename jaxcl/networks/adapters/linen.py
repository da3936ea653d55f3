"""Flax Linen modules as networks."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
from flax import linen

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.core.types import PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone, mode_argument
from jaxcl.networks.adapters.grown import foreign
from jaxcl.networks.adapters.names import taken
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
      branches: paths of submodules that can branch, such as ``"conv1"`` or ``"blocks_0/conv"``.

    Returns:
      What :func:`jaxcl.fit` takes as its network.

    Raises:
      UsageError: a class in place of a module.

    >>> from_linen(linen.Dense(3)).description
    'Dense (Linen)'
    """
    if not isinstance(module, linen.Module):
        name = getattr(module, "__name__", type(module).__name__)
        raise UsageError(f"network: {name} is no Linen module; give one that is made, {name}(...)")
    return foreign(_backbone(module), branches, f"{type(module).__name__} (Linen)")


def _backbone(module: linen.Module) -> Backbone:
    mode = mode_argument(module.__call__)

    def init(key: PRNGKey, inputs: PyTree) -> Variables:
        kept = _pruned(linen.unbox(module.init(_keys(key), inputs, **mode(False))))
        return Variables(kept.pop(PARAMS, {}), kept)

    def apply(
        variables: Variables, inputs: PyTree, train: bool, key: PRNGKey | None
    ) -> tuple[PyTree, PyTree]:
        params, stats = variables
        rngs = None if key is None else _keys(key)
        run = partial(module.apply, {PARAMS: params, **stats}, inputs, rngs=rngs, **mode(train))
        if not train:
            return run(), stats
        features, renewed = run(mutable=list(stats))
        return features, dict(renewed)

    def activations(variables: Variables, inputs: PyTree, paths: Sequence[str]) -> dict[str, Any]:
        wanted = {tuple(path.split("/")) for path in paths}

        def chosen(part: linen.Module, method: str) -> bool:
            return method == "__call__" and part.path in wanted

        everything: Any = {PARAMS: variables.params, **variables.stats}
        _, found = module.apply(
            everything, inputs, capture_intermediates=chosen, mutable=[INTERMEDIATES], **mode(False)
        )
        calls = found.get(INTERMEDIATES, {})
        every = {path: taken(calls, (*path.split("/"), "__call__"))[0] for path in paths}
        # A part that is called several times counts as it was called last.
        return {path: made[-1] for path, made in every.items() if made}

    return Backbone(init, apply, activations)


def _pruned(tree: Any) -> Any:
    """Plain dictionaries without those that are empty, which no checkpoint keeps."""
    if not isinstance(tree, Mapping):
        return tree
    found = {name: _pruned(inner) for name, inner in tree.items()}
    return {name: inner for name, inner in found.items() if jax.tree.leaves(inner)}


def _keys(key: PRNGKey) -> dict[str, PRNGKey]:
    """Keys of the streams; Flax takes that of ``params`` for those that are not here."""
    return {name: stream(key, name) for name in (PARAMS, "dropout")}
