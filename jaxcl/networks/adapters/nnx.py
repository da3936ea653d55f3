"""Flax NNX modules as networks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import nnx

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.core.types import Array, PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone, mode_argument, parameters, part_of
from jaxcl.networks.adapters.grown import foreign
from jaxcl.networks.adapters.names import named
from jaxcl.networks.base import Variables
from jaxcl.networks.choices import Foreign

STATS = "stats"
KINDS = nnx.Param, nnx.RngState, ...
"""Parameters, what draws random numbers, statistics and all else."""


def from_nnx(make: Callable[..., nnx.Module], *, branches: Sequence[str] = ()) -> Foreign:
    """Makes a network of a Flax NNX module.

    Args:
      make: ``make(rngs=nnx.Rngs(...))`` makes the module: a class, or a function.  The module
        maps inputs to features ``[b, d]`` (or ``[b, t, d]``), no logits: heads are jaxcl's.  It
        is put into training and evaluation mode by ``train()`` and ``eval()``, and told where it
        takes ``train`` (or ``training``, ``deterministic``, ``use_running_average``).  Variables
        that are no ``nnx.Param``, such as those of ``BatchNorm``, are its statistics, but for an
        ``nnx.Intermediate``, which is not kept.
      branches: paths of submodules that can branch, such as ``"conv1"`` or ``"blocks/0"``.

    Returns:
      What :func:`jaxcl.fit` takes as its network.

    Raises:
      UsageError: a module that is made already.

    >>> def small(rngs):
    ...     return nnx.Linear(2, 3, rngs=rngs)
    >>> from_nnx(small).description
    'small (NNX)'
    """
    if isinstance(make, nnx.Module):
        raise UsageError(
            f"network: {type(make).__name__} is made already, and each seed has weights of its own;"
            " give the class, or a function (rngs) -> module"
        )
    name = getattr(make, "__name__", type(make).__name__)
    return foreign(_backbone(make), branches, f"{name} (NNX)")


def _made(make: Callable[..., nnx.Module], key: PRNGKey) -> Any:
    rngs = nnx.Rngs(key)
    return _without_notes(make(rngs=rngs) if "rngs" in parameters(make) else make(rngs))


def _without_notes(model: Any) -> Any:
    """The module without what it noted of a pass, by ``sow`` say, which is no statistic."""
    nnx.pop(model, nnx.Intermediate)
    return model


def _backbone(make: Callable[..., nnx.Module]) -> Backbone:
    with jax.numpy_dtype_promotion("standard"):
        model: Any = nnx.eval_shape(lambda: _made(make, jax.random.key(0)))
    mode = mode_argument(type(model).__call__)
    model.train()
    training, *states = nnx.split(model, *KINDS)
    model.eval()
    testing = nnx.graphdef(model)
    (_, of_params), (_, of_rngs), (_, of_stats) = map(_named, states)

    def init(key: PRNGKey, inputs: PyTree) -> Variables:
        del inputs
        params, _, stats = _parts(_made(make, key))
        return Variables(params, {STATS: stats} if stats else {})

    def module(variables: Variables, train: bool, key: PRNGKey | None) -> Any:
        own = jax.random.key(0) if key is None else key
        drawing = [_drawn(own, i, like) for i, like in enumerate(jax.tree.leaves(states[1]))]
        rngs = jax.tree.unflatten(of_rngs.tree, drawing)
        params = of_params.restored(variables.params)
        stats = of_stats.restored(variables.stats.get(STATS, {}))
        # A copy: its variables are changed by the pass, and belong to this trace.
        return nnx.merge(training if train else testing, params, rngs, stats, copy=True)

    def apply(
        variables: Variables, inputs: PyTree, train: bool, key: PRNGKey | None
    ) -> tuple[PyTree, PyTree]:
        here = module(variables, train, key)
        features = here(inputs, **mode(train))
        stats = _parts(_without_notes(here))[2]
        return features, {STATS: stats} if stats and train else variables.stats

    def activations(variables: Variables, inputs: PyTree, paths: Sequence[str]) -> dict[str, Any]:
        here, found = module(variables, False, None), {}
        for path in paths:
            _watch(part_of(here, path), path, found)
        here(inputs, **mode(False))
        return found

    return Backbone(init, apply, activations)


_named = partial(named, variables=True)


def _parts(model: nnx.Module) -> list[dict[str, Any]]:
    """Nested dictionaries of a module's parameters, random state and statistics."""
    return [_named(state)[0] for state in nnx.split(model, *KINDS)[1:]]


def _drawn(key: PRNGKey, place: int, like: Any) -> Array:
    """A key, or a counter, of a stream of random numbers."""
    if jax.numpy.issubdtype(like.dtype, jax.dtypes.prng_key):
        return stream(key, "drop", place)
    return jax.numpy.zeros(like.shape, like.dtype)


def _watch(module: Any, path: str, found: dict[str, Any]) -> None:
    """Lets a module of this trace note what it returns."""
    kind = type(module)

    class Watched(kind):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            found[path] = kind.__call__(self, *args, **kwargs)
            return found[path]

    module.__class__ = Watched
