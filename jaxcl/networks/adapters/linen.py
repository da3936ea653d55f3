"""Flax Linen modules as networks."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from flax import linen

from jaxcl.core.random import stream
from jaxcl.core.types import Array, PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone, mode_argument
from jaxcl.networks.adapters.grown import foreign
from jaxcl.networks.adapters.names import at
from jaxcl.networks.base import Variables
from jaxcl.networks.choices import Foreign

PARAMS, INTERMEDIATES = "params", "intermediates"


def from_linen(module: linen.Module, *, branches: Sequence[str] = ()) -> Foreign:
    """Makes a network of a Flax Linen module.

    Args:
      module: ``module(inputs)`` returns features ``[b, d]`` (or ``[b, t, d]``), no logits: heads
        are jaxcl's.  Where it takes ``train`` (or ``training``, ``deterministic``,
        ``use_running_average``), it is told.  Collections beside ``params``, such as
        ``batch_stats``, are its statistics; units are dropped by the stream ``dropout``.
      branches: paths of submodules that can branch, such as ``"conv1"`` or ``"blocks_0/conv"``.
    """
    return foreign(_backbone(module), branches, f"{type(module).__name__} (Linen)")


def _backbone(module: linen.Module) -> Backbone:
    mode = mode_argument(module.__call__)

    def init(key: PRNGKey, inputs: PyTree) -> Variables:
        keys = {PARAMS: stream(key, PARAMS), "dropout": stream(key, "dropout")}
        found = dict(module.init(keys, inputs, **mode(False)))
        params = found.pop(PARAMS, {})
        return Variables(params, {name: tree for name, tree in found.items() if tree})

    def apply(
        variables: Variables, inputs: PyTree, train: bool, key: PRNGKey | None
    ) -> tuple[PyTree, PyTree]:
        params, stats = variables
        rngs = None if key is None else {"dropout": key}
        run = partial(module.apply, {PARAMS: params, **stats}, inputs, rngs=rngs, **mode(train))
        if not train:
            return run(), stats
        features, renewed = run(mutable=list(stats))
        return features, dict(renewed)

    def activations(variables: Variables, inputs: PyTree, paths: Sequence[str]) -> dict[str, Array]:
        wanted = {tuple(path.split("/")) for path in paths}

        def chosen(part: linen.Module, method: str) -> bool:
            return method == "__call__" and part.path in wanted

        everything: Any = {PARAMS: variables.params, **variables.stats}
        _, found = module.apply(
            everything, inputs, capture_intermediates=chosen, mutable=[INTERMEDIATES], **mode(False)
        )
        return {path: at(found[INTERMEDIATES], (*path.split("/"), "__call__"))[0] for path in paths}

    return Backbone(init, apply, activations)
