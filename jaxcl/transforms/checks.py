"""What a transform refuses: each error names the argument and the remedy."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from numpy import ndarray

from jaxcl.core.types import Array, Batch, Data, Outputs, Params, PyTree

STATISTICS = ("BatchStat", "RngCount", "RngKey", "RngState", "Cache", "Intermediate")
"""Kinds of Flax NNX variables that no optimiser trains."""


def check_not_negative(name: str, value: float | str | Array) -> None:
    """Raises a ValueError that names an argument, if it is negative or not a number.

    One that is traced, as within ``jax.vmap``, has no value yet and is not looked at.
    """
    if isinstance(value, Tracer):
        return
    if isinstance(value, str) or value != value:
        raise ValueError(f"{name}: {value!r} is no number; pass 0 or more")
    if not value >= 0:
        raise ValueError(f"{name}: {value} is negative; pass 0 or more")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raises a ValueError that names an argument, if it is none of some words.

    >>> check_choice("fisher", "exat", ("exact", "empirical"))
    Traceback (most recent call last):
    ValueError: fisher: 'exat' is unknown; pass exact or empirical
    """
    if value not in allowed:
        raise ValueError(f"{name}: {value!r} is unknown; pass {' or '.join(allowed)}")


def check_positive(name: str, n: int) -> None:
    """Raises a ValueError for a number that is not positive."""
    if n < 1:
        raise ValueError(f"{name}: {n} is not positive; give at least 1")


def check_params(params: Params) -> None:
    """Raises a ValueError if a tree holds more than what an optimiser trains.

    A penalty would hold running means and counters where they were.  Refused are
    Flax variables as a whole (``{"params": ..., "batch_stats": ...}``), NNX variables of
    another kind than parameters, and leaves that are not floating-point arrays.

    >>> check_params({"params": {}, "batch_stats": {}})
    Traceback (most recent call last):
    ValueError: params: Flax variables with batch_stats; pass variables["params"] alone, ...
    """
    if isinstance(params, Mapping) and "params" in params and len(params) > 1:
        others = ", ".join(str(name) for name in params if name != "params")
        raise ValueError(
            f'params: Flax variables with {others}; pass variables["params"] alone, and let'
            " `forward` close over the rest or take it from the batch"
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(params, is_leaf=_is_variable):
        name, kind = jax.tree_util.keystr(path), _kind(leaf)
        if kind in STATISTICS:
            raise ValueError(
                f"params: {name} is a {kind}; pass nnx.Param alone, as nnx.split(model, nnx.Param,"
                " ...) gives them"
            )
        for array in jax.tree.leaves(leaf):
            what = _dtype(array)
            if isinstance(what, str) or not jnp.issubdtype(what, jnp.floating):
                raise ValueError(
                    f"params: {name or 'the tree'} is {what}; pass floating-point arrays alone,"
                    " as eqx.partition(net, eqx.is_inexact_array), nnx.split(net, nnx.Param, ...)"
                    ' or net.init(...)["params"] give them'
                )


def _dtype(leaf: Any) -> Any:
    """The dtype of an array or number; of anything else, such as a module, what it is."""
    array = hasattr(leaf, "dtype") and hasattr(leaf, "shape")
    if array or isinstance(leaf, bool | int | float | complex):
        return jnp.result_type(leaf)
    return f"a {type(leaf).__name__}"


def _is_variable(node: object) -> bool:
    return _kind(node) in STATISTICS


def _kind(node: object) -> str:
    """The class of an NNX variable, or of what an NNX state keeps in its place."""
    return getattr(getattr(node, "type", None), "__name__", type(node).__name__)


def check_outputs(outputs: Outputs) -> None:
    """Raises a TypeError if a forward function gave more than logits.

    >>> check_outputs(({}, {"batch_stats": {}}))
    Traceback (most recent call last):
    TypeError: forward: it returned a tuple; return the logits alone, an array or a dict of arrays
    """
    if isinstance(outputs, Mapping):
        for each in outputs.values():
            check_outputs(each)
    elif not hasattr(outputs, "dtype"):
        raise TypeError(
            f"forward: it returned a {type(outputs).__name__}; return the logits alone, an array or"
            " a dict of arrays"
        )


def first_output(outputs: Outputs, batch: Batch) -> Array:
    """Returns the logits, where the outputs are one array of them: the default of ``logits``."""
    del batch
    if isinstance(outputs, Mapping):
        raise TypeError("outputs: a dict; say with `logits` which of them an example is judged by")
    check_outputs(outputs)
    return outputs


def check_logits(logits: object) -> None:
    """Raises a TypeError if what an example is judged by is not one row of an array.

    >>> check_logits(({}, {}))
    Traceback (most recent call last):
    TypeError: logits: a tuple is not an array [batch, classes]; pass logits=(outputs, batch) -> ...
    """
    shape = getattr(logits, "shape", None)
    if shape is None or len(shape) < 2:
        found = f"a {type(logits).__name__}" if shape is None else f"shape {tuple(shape)}"
        raise TypeError(
            f"logits: {found} is not an array [batch, classes]; pass logits=(outputs, batch) ->"
            " [batch, classes] to Context and TaskData"
        )


def check_recorded(outputs: Outputs, recorded: Outputs) -> None:
    """Raises a ValueError if outputs cannot be compared with those that were recorded."""
    if isinstance(recorded, Mapping) and isinstance(outputs, Mapping):
        missing = ", ".join(repr(name) for name in recorded if name not in outputs)
        if missing:
            raise ValueError(
                f"outputs: {missing} was recorded as the task began, and is missing; return the old"
                " outputs under their names"
            )
    elif isinstance(recorded, Mapping) and not recorded:
        raise ValueError(
            "distill: nothing is recorded; call state = transform.begin_task(state, params, task,"
            " key) before the steps of a task"
        )
    elif isinstance(recorded, Mapping):
        raise ValueError(
            f"outputs: one {type(outputs).__name__}, where a dict was recorded; return the same in"
            " the step as from TaskData's forward"
        )


def check_grown(held: PyTree, params: Params) -> None:
    """Raises a ValueError if the parameters have other leaves or shapes than a state's tree."""

    def shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in leaves}

    then, now = shapes(held), shapes(params)
    for name in {**now, **then}:
        if then.get(name) != now.get(name):
            shape, old = now.get(name), then.get(name)
            raise ValueError(
                f"params: {name or 'the array'} has shape {shape}, in the state {old};"
                " call state = transform.begin_task(state, params, task, key) once they have grown"
            )


@contextmanager
def explained() -> Iterator[None]:
    """Adds the remedy to what Flax NNX says of a module that writes into its caller's variables."""
    try:
        yield
    except Exception as error:
        if "different trace level" in str(error):
            error.add_note(
                "forward: merge the module within it, from copies: nnx.merge(graph, params, rest,"
                " copy=True), and return what it wrote as ForwardPass(outputs, aux=...)"
            )
        raise


def check_label(data: Data, label: str) -> None:
    """Raises a ValueError if a task's data has no labels of a name.

    >>> check_label({"x": jax.numpy.zeros(1)}, "label")
    Traceback (most recent call last):
    ValueError: label: the task's data has no 'label', it has x; pass label= with its name
    """
    if label not in data:
        names = ", ".join(data) or "nothing"
        raise ValueError(
            f"label: the task's data has no {label!r}, it has {names}; pass label= with its name"
        )


def check_classes(labels: Array | ndarray, remedy: str = "keep a fraction, or a reservoir") -> None:
    """Raises a ValueError if labels are not one class for each example, and says what else to do.

    >>> check_classes(jax.numpy.zeros((4, 9), int))
    Traceback (most recent call last):
    ValueError: label: int32 (4, 9) is not a class for each example; keep a fraction, or a reservoir
    """
    if labels.ndim != 1 or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"label: {labels.dtype} {labels.shape} is not a class for each example; {remedy}"
        )
    if not isinstance(labels, Tracer) and labels.size and labels.min() < 0:
        raise ValueError("label: some are negative, and so no class; leave these examples out")


def check_updated(name: str, updates: Array) -> None:
    """Raises a ValueError at a task's end if a transform saw none of the task's steps."""
    if int(updates) == 0:
        raise ValueError(
            f"{name}: update was not called in this task, so nothing is known of its steps; call"
            f" state = transform.update(state, Step(...)) after each optimiser step"
        )


def check_owned(name: str, state: PyTree, params: Params) -> None:
    """Raises a ValueError if a state holds the parameters' own arrays.

    A train step that is given both for good (donated) cannot use the same memory twice.
    """
    theirs = {id(leaf) for leaf in jax.tree.leaves(params) if isinstance(leaf, jax.Array)}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if id(leaf) in theirs:
            place = jax.tree_util.keystr(path)
            raise ValueError(
                f"{name}: its state holds the parameters' own array at {place}; keep a copy,"
                " jaxcl.transforms.copy(params)"
            )
