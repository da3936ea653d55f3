"""What a network of another library is refused for, before anything is trained."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import tree_util
from jax.core import Tracer

from jaxcl.core.errors import UsageError
from jaxcl.core.types import Params, PRNGKey, PyTree
from jaxcl.networks.adapters.backbone import Backbone
from jaxcl.networks.adapters.names import Path, taken
from jaxcl.networks.base import SHARED, Variables

RESERVED = SHARED, "heads"


def check_paths(paths: Sequence[Path], params: Params) -> None:
    """Raises a UsageError for paths of no part, of a part of another, or of a name in use."""
    for path in paths:
        text = "/".join(path)
        if not jax.tree.leaves(taken(params, path)[0]):
            has = ", ".join(sorted(params)) or "no parameters"
            raise UsageError(f"branches: {text!r} names no part; the network has {has}")
        if text in RESERVED:
            raise UsageError(
                f"branches: {text!r} is a name that jaxcl gives itself; rename the part, or name"
                " parts of it"
            )
        for other in paths:
            if other != path and other[: len(path)] == path:
                raise UsageError(f"branches: {'/'.join(other)!r} is a part of {text!r}; give one")
    if len(set(paths)) < len(paths):
        raise UsageError("branches: one is given twice; give each once")


def check_features(backbone: Backbone, variables: Variables, inputs: PyTree) -> int:
    """Returns the width of the features.

    Args:
      backbone: to check.
      variables: shapes of what it has.
      inputs: shapes of a batch, of a single example.

    Raises:
      UsageError: features that are none, or others in evaluation than in training; statistics
        that change their structure, shapes or types; a network that keeps what it computed.
    """
    two = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype), inputs)
    training, testing = (
        _features(backbone, variables, two, train=train) for train in (True, False)
    )
    if training.shape != testing.shape:
        raise UsageError(
            f"network: features are {list(training.shape)} in training and"
            f" {list(testing.shape)} in evaluation for the same inputs; return the same shape"
        )
    return training.shape[-1]


def _features(backbone: Backbone, variables: Variables, inputs: PyTree, *, train: bool) -> Any:
    """Shape and type of the features of two inputs."""
    features, stats = _traced_twice(partial(_run, backbone, train), variables, inputs)
    if not isinstance(features, jax.ShapeDtypeStruct):
        kinds = [list(leaf.shape) for leaf in jax.tree.leaves(features)]
        kind = type(features).__name__
        raise UsageError(
            f"network: it returns a {kind} of arrays of the shapes {kinds}; return one array,"
            " features [b, d]"
        )
    if features.ndim < 2 or features.shape[0] != 2:
        raise UsageError(
            f"network: two inputs gave an array of the shape {list(features.shape)}; return"
            " features [b, d] of b inputs"
        )
    if not jnp.issubdtype(features.dtype, jnp.floating):
        raise UsageError(f"network: features are {features.dtype}; return floating-point numbers")
    _check_same(variables.stats, stats)
    return features


def _traced_twice(run: Any, variables: Variables, inputs: PyTree) -> tuple[PyTree, PyTree]:
    """Shapes of what a pass returns; UsageError where a second one comes upon what it hid."""
    key, found, hidden = jax.eval_shape(lambda: jax.random.key(0)), None, None
    try:
        for _ in range(2):
            again = partial(run.func, *run.args)  # a new function, which JAX has not seen yet
            traced, found = jax.make_jaxpr(again, return_shape=True)(variables, inputs, key)
            hidden = next((x for x in traced.consts if isinstance(x, Tracer)), hidden)
    except jax.errors.UnexpectedTracerError as error:
        hidden = error
    if hidden is not None:
        raise UsageError(
            "network: it keeps what it computed, in an attribute say, and uses it in the next pass;"
            " return it as statistics"
        )
    assert found is not None
    return found


def _run(
    backbone: Backbone, train: bool, variables: Variables, inputs: PyTree, key: PRNGKey
) -> tuple[PyTree, PyTree]:
    return backbone.apply(variables, inputs, train, key if train else None)


def _check_same(before: PyTree, after: PyTree) -> None:
    """Raises a UsageError for statistics that are others after a pass than before."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        differ = sorted(_names(before) ^ _names(after))
        such = f", such as {differ[0]!r}" if differ else ""
        raise UsageError(
            f"network: its statistics are others after a pass than before{such}; create them all in"
            " init, return all of them, and sow into 'intermediates' alone"
        )
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise UsageError(
                f"network: a statistic is {old.dtype} {list(old.shape)} before a pass, and"
                f" {new.dtype} {list(new.shape)} after it; keep shape and type"
            )


def _names(stats: PyTree) -> set[str]:
    leaves = tree_util.tree_leaves_with_path(stats)
    return {tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves}
