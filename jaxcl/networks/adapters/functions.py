"""Plain functions as networks."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxcl.core.errors import UsageError
from jaxcl.core.types import Array, PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone
from jaxcl.networks.adapters.grown import foreign
from jaxcl.networks.adapters.names import named
from jaxcl.networks.base import Variables
from jaxcl.networks.choices import Foreign

STATS = "stats"


def from_functions(
    init: Callable[[PRNGKey, PyTree], tuple[PyTree, PyTree]],
    apply: Callable[[PyTree, PyTree, PyTree, bool, PRNGKey | None], tuple[PyTree, PyTree]],
    *,
    branches: Sequence[str] = (),
    activations: Callable[[PyTree, PyTree, PyTree], dict[str, Array]] | None = None,
) -> Foreign:
    """Makes a network of two pure functions.

    Args:
      init: ``(key, inputs) -> (params, stats)``: any pytrees of arrays; ``()`` for no statistics.
        Weights that are not trained belong to the statistics.
      apply: ``(params, stats, inputs, train, key) -> (features, stats)``; features are ``[b, d]``,
        no logits: heads are jaxcl's.  ``key`` is None where nothing is to be drawn.
      branches: paths of parts of the parameters that can branch, such as ``"conv1"``.
      activations: ``(params, stats, inputs) -> {path of a branch: activations}``, in evaluation
        mode; ``split`` and ``select`` compare tasks by them.

    Returns:
      What :func:`jaxcl.fit` takes as its network.

    >>> import jax, jax.numpy as jnp
    >>> init = lambda key, inputs: ({"w": jnp.ones((2, 3))}, ())
    >>> apply = lambda params, stats, x, train, key: (x @ params["w"], stats)
    >>> net = from_functions(init, apply).make(jax.ShapeDtypeStruct((2,), jnp.float32))
    >>> sum(leaf.size for leaf in jax.tree.leaves(net.init(jax.random.key(0)).params))
    6
    """
    import jax

    def as_variables(params: PyTree, stats: PyTree) -> Variables:
        found = named(stats)[0]
        return Variables(named(params)[0], {STATS: found} if found else {})

    def new(key: PRNGKey, inputs: PyTree) -> Variables:
        return as_variables(*_pair("init", init(key, inputs), "params, stats"))

    def trees(variables: Variables, inputs: PyTree) -> tuple[Any, Any]:
        shapes = jax.eval_shape(init, jax.random.key(0), inputs)
        (_, of_params), (_, of_stats) = map(named, _pair("init", shapes, "params, stats"))
        return of_params.restored(variables.params), of_stats.restored(
            variables.stats.get(STATS, {})
        )

    def run(
        variables: Variables, inputs: PyTree, train: bool, key: PRNGKey | None
    ) -> tuple[PyTree, PyTree]:
        found = apply(*trees(variables, inputs), inputs, train, key)
        features, stats = _pair("apply", found, "features, stats")
        return features, as_variables({}, stats).stats

    def told(variables: Variables, inputs: PyTree, paths: Sequence[str]) -> dict[str, Array]:
        assert activations is not None
        found = activations(*trees(variables, inputs), inputs)
        return {path: found[path] for path in paths}

    name = getattr(apply, "__name__", type(apply).__name__)
    backbone = Backbone(new, run, told if activations else None)
    return foreign(backbone, branches, f"{name} (functions)")


def _pair(name: str, found: Any, what: str) -> tuple[Any, Any]:
    """What a function of the user's returned; a UsageError where that is not two things."""
    if isinstance(found, tuple | list) and len(found) == 2:
        return found[0], found[1]
    kind = type(found).__name__
    raise UsageError(f"network: {name} returned a {kind}; return ({what}), with () for no stats")
