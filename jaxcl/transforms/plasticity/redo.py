"""ReDo: dormant units are given fresh weights."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.pytree import Reset, WithReset
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Int, Metrics, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, Step
from jaxcl.transforms.checks import check_not_negative, check_params
from jaxcl.transforms.plasticity.measures import is_dormant, mean_activity

Activations = Callable[[Params, Batch], Mapping[str, Array]]
"""``(params, batch) -> {layer: activations [b, units]}``, after the nonlinearity.

Layers come in order, each reads the one before, and the last one is read by the heads.
"""
Fresh = Callable[[Params, PRNGKey], Params]
"""``(params, key) -> params`` of the same shapes, drawn as the first weights were."""
HEADS = "heads"
DENSE = "give a network of dense layers, such as --net mlp"


class Units(NamedTuple):
    """What :func:`redo` has to know of a network.

    Attributes:
      activations: of the hidden layers.  In a compiled step it is computed at the weights before
        the step on the step's batch, as the forward pass is, and costs little.
      fresh: draws first weights.
    """

    activations: Activations
    fresh: Fresh


class RedoState(NamedTuple):
    """State of :func:`redo`.

    Attributes:
      tau: float32 scalar.
      steps: optimiser steps so far, int32, over all tasks.
      activity: layer -> sum over the steps of the present period of each unit's mean absolute
        activation in the batch, float32 ``[units]``.
    """

    tau: Scalar
    steps: Int[Array, ""]
    activity: dict[str, Array]


def redo(
    units: Units, *, period: int = 1000, tau: float = 0.025, name: str = "redo"
) -> LossTransform:
    """Makes ReDo: every ``period`` steps, dormant units of dense layers are reset.

    Unit i of a layer of n units is dormant if its mean absolute activation is small for its layer,

        E|h_i| <= tau * 1/n sum_k E|h_k|.

    Its incoming weights and its bias become fresh draws from the initial distribution and its
    outgoing weights 0, so the network's outputs change by no more than the little that a dormant
    unit gave them.  A weight from one reset unit to another is outgoing, and becomes 0.  The
    optimiser's moments of all these weights become 0; Adam's count of steps, one for all weights,
    goes on.  All other weights, and a network without dormant units, stay as they are to the bit.
    The loss is never changed.

    The mean is over all examples of the period, each at the weights of its step.  The paper takes
    it over one batch, which is larger there; of a small batch it is too uncertain.

    Parameters are ``{layer: {"w": [i, n], "b": [n]}, ..., "heads": {head: {"w", "b"}}}``: each
    layer reads the one before it, all heads read the last.  Old heads that do not train lose
    the outgoing weights of a reset unit too.

    Args:
      units: how the network's hidden units are found and renewed.
      period: optimiser steps between two looks, at least 1.
      tau: at least 0; with 0, only units that were never active are reset.
      name: of the stream of random numbers.

    Returns:
      A transform that reports nothing; ``tau`` is a leaf of its state.  Its ``update`` needs
      ``Step.context`` with a key, and returns :class:`WithReset`.

    Raises:
      ValueError: a number out of its range; from ``init``, parameters of another form; from
        ``update``, a step without a context or a key, and layers that do not read one another as
        said.

    References:
      Sokar, Agarwal, Castro & Evci, The dormant neuron phenomenon in deep reinforcement
      learning, 2023 (arXiv 2302.12902), section 4.  Zero wins where a weight is incoming and
      outgoing, and the count of steps goes on, as in the authors' code (google/dopamine), where
      biases become 0.  The usual values here are recalled from the paper, not read in it.

    >>> w = {"fc1": {"w": jnp.ones((1, 2)), "b": jnp.ones(2)},
    ...      "heads": {"t00": {"w": jnp.ones((2, 1)), "b": jnp.ones(1)}}}
    >>> units = Units(lambda w, batch: {"fc1": jnp.array([[1.0, 0.0]])}, lambda w, key: w)
    >>> transform, context = redo(units, period=1), Context(w, None, {}, jax.random.key(0))
    >>> found = transform.update(transform.init(w), Step(w, w, w, context=context))
    >>> print(found.reset.where["fc1"]["b"])  # the second unit is dormant
    [False  True]
    """
    if period < 1:
        raise ValueError(f"period: {period} steps; give 1 or more")
    check_not_negative("tau", tau)

    def init(params: Params) -> RedoState:
        check_params(params)
        check_layers(params)
        sizes = {layer: x["b"].size for layer, x in params.items() if layer != HEADS}
        activity = {layer: jnp.zeros(n, jnp.float32) for layer, n in sizes.items()}
        return RedoState(jnp.asarray(tau, jnp.float32), jnp.int32(0), activity)

    return LossTransform(init, _apply, update=partial(_update, units, period, name))


def _apply(loss: Scalar, state: RedoState, context: Context) -> tuple[Scalar, Metrics]:
    del state, context
    return loss, {}


def _update(units: Units, period: int, name: str, state: RedoState, step: Step) -> WithReset:
    if step.context is None or step.context.key is None:
        raise ValueError("redo: the step has no context with a key; give both to Step")
    params, key = step.context.params, step.context.key
    found = units.activations(params, step.context.batch)
    check_chain(params, found)
    begins = state.steps % period == 0
    activity = {
        layer: jnp.where(begins, 0, state.activity[layer]) + mean_activity(x)
        for layer, x in found.items()
    }
    steps = state.steps + 1
    due = steps % period == 0
    dormant = {layer: due & is_dormant(x, state.tau) for layer, x in activity.items()}
    drawn = jax.lax.cond(due, lambda: units.fresh(params, stream(key, name)), lambda: params)
    return WithReset(RedoState(state.tau, steps, activity), reset_of(params, drawn, dormant))


def reset_of(params: Params, fresh: Params, dormant: Mapping[str, Array]) -> Reset:
    """Returns the reset of some units: incoming weights and biases fresh, outgoing weights 0.

    Args:
      params: of the network, as :func:`redo` has them.
      fresh: of the same shapes.
      dormant: layer -> which units are reset, in the order of the layers.
    """
    where = jax.tree.map(lambda x: jnp.zeros((1,) * x.ndim, bool), params)
    to = dict(fresh)
    reads = dict(zip([*list(dormant)[1:], HEADS], dormant, strict=True))
    for layer, units in dormant.items():
        where[layer] = {"w": units[None, :], "b": units}
    for reader, layer in reads.items():
        units = dormant[layer][:, None]
        if reader == HEADS:
            where[HEADS] = {h: {"w": units, "b": x["b"]} for h, x in where[HEADS].items()}
            to[HEADS] = jax.tree.map(jnp.zeros_like, params[HEADS])
        else:
            where[reader] = {**where[reader], "w": where[reader]["w"] | units}
            to[reader] = {**to[reader], "w": jnp.where(units, 0, to[reader]["w"])}
    return Reset(where, to)


def check_layers(params: Params) -> None:
    """Raises a ValueError if parameters are not layers that have "w" and "b" each, and heads.

    >>> check_layers({"Dense_0": {"kernel": jnp.ones((1, 2)), "bias": jnp.ones(2)}})
    Traceback (most recent call last):
    ValueError: redo: Dense_0 has kernel, bias, not w and b; give a network of dense layers, ...
    """
    if not isinstance(params, Mapping):
        raise ValueError(f"redo: parameters are a {type(params).__name__}, not layers; {DENSE}")
    for layer, parts in params.items():
        named = isinstance(parts, Mapping)
        if layer != HEADS and not (named and {"w", "b"} <= set(parts)):
            has = ", ".join(map(str, parts)) if named else f"a {type(parts).__name__}"
            raise ValueError(f"redo: {layer} has {has}, not w and b; {DENSE}")


def check_chain(params: Params, activations: Mapping[str, Array]) -> None:
    """Raises a ValueError if parameters are not dense layers that read one another, and heads."""
    expected = {*activations, HEADS}
    if not activations or set(params) != expected:
        known = ", ".join(activations) or "no layer"
        raise ValueError(
            f"redo: hidden units are known of {known}, and parameters are {', '.join(params)};"
            f" {DENSE}"
        )
    layers = list(activations)
    readers = [[params[layer]] for layer in layers[1:]] + [list(params[HEADS].values())]
    for layer, read_by in zip(layers, readers, strict=True):
        n = activations[layer].shape[-1]
        shapes = [getattr(params[layer].get(part), "shape", ())[-1:] for part in ("w", "b")]
        rows = [getattr(x.get("w"), "shape", ())[:1] for x in read_by]
        if any(shape != (n,) for shape in [*shapes, *rows]):
            raise ValueError(
                f"redo: {layer} has {n} units, and not as many weights come in or go out; {DENSE}"
            )
