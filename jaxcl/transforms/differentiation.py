"""The gradients of a loss that a transform changed, and of the loss before it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.types import Array, Batch, ForwardPass, Metrics, Outputs, Params, PyTree, Scalar
from jaxcl.transforms.base import Context, LossTransform, Step
from jaxcl.transforms.beside import beside_of, new_part, other_part, together
from jaxcl.transforms.checks import check_outputs, check_params, explained


class Gradients(NamedTuple):
    """What :func:`gradients` found.  Frozen leaves are None in both gradients.

    Attributes:
      gradient: of the whole loss, for the optimiser.
      loss_gradient: of the loss before any transform.
      outputs: of the network.
      loss: the whole loss.
      metrics: those of the transform.
      aux: what the forward function passed through.
      plain_loss: the loss before any transform.
      context: what the transform was given, outputs and features included.
    """

    gradient: Params
    loss_gradient: Params
    outputs: Outputs
    loss: Scalar
    metrics: Metrics
    aux: PyTree
    plain_loss: Scalar
    context: Context

    def step(self, after: Params) -> Step:
        """Returns what ``transform.update`` asks for, given the parameters after the step."""
        return Step(self.context.params, after, self.gradient, self.loss_gradient, self.context)


def gradients(
    transform: LossTransform,
    state: PyTree,
    loss_of: Callable[[Outputs, Batch], Scalar],
    context: Context,
    forward: Callable[[Params, Batch], Outputs | ForwardPass] | None = None,
    *,
    mask: PyTree | None = None,
) -> Gradients:
    """Returns the gradient of the whole loss and that of the plain one, from one backward pass.

    The network is differentiated once.  Its pullback is linear, so the gradient of the plain
    loss is a second pull through what the first has saved.  Under ``jit`` it costs nothing
    where nobody uses ``loss_gradient``, because dead code is not compiled, nor where the
    transform adds a function of the weights alone, because both pulls are then the same.

    Args:
      transform: its ``apply``, and its ``gradient`` where there is one, are applied.
      state: that of the transform.
      loss_of: ``(outputs, batch) -> scalar``, the loss before any transform.
      context: of the step; ``outputs`` and what ``forward`` gives are filled in here.
      forward: ``(params, batch) -> outputs``, or a :class:`ForwardPass` of them with features
        and aux; by default ``context.forward``, which replayed examples go through.
      mask: Python booleans, a tree like the parameters or the upper part of one: what trains.
        All by default.

    Raises:
      ValueError: no forward function; parameters that an optimiser cannot train.
      TypeError: outputs that are neither an array nor a dict of arrays.

    >>> import jax.numpy as jnp
    >>> double = LossTransform(lambda w: (), lambda loss, state, context: (2 * loss, {}))
    >>> context = Context(jnp.float32(3), None, {"x": jnp.float32(2)})
    >>> forward = lambda w, batch: w * batch["x"]
    >>> found = gradients(double, (), lambda y, batch: y**2 / 8, context, forward)
    >>> print(found.loss, found.gradient, found.loss_gradient)  # 2 w^2 / 2, 2 w, w
    9.0 6.0 3.0
    """
    check_params(context.params)
    trained = _trained(context.params, mask)
    batch, extra = context.batch, beside_of(transform, state, context.batch, context.key)

    def network(trained: Params):
        params, whole = _whole(trained, context.params), together(batch, extra)
        found = _passed(forward or context.forward, params, whole)
        return (found.outputs, found.features), found.aux

    def seen(given: tuple[Outputs, PyTree], trained: Params) -> Context:
        return context._replace(
            params=_whole(trained, context.params),
            outputs=new_part(given[0], batch, extra),
            features=context.features if given[1] is None else new_part(given[1], batch, extra),
            beside=other_part(*given, batch, extra),
        )

    def plain(given: tuple[Outputs, PyTree]) -> Scalar:
        return loss_of(new_part(given[0], batch, extra), batch)

    def transformed(loss: Scalar, given: tuple[Outputs, PyTree], trained: Params):
        return transform.apply(loss, state, seen(given, trained))

    given, pull, aux = jax.vjp(network, trained, has_aux=True)
    loss, slope = jax.value_and_grad(plain, allow_int=True)(given)
    of_all = jax.value_and_grad(transformed, (0, 1, 2), has_aux=True, allow_int=True)
    (total, metrics), (of_loss, of_given, direct) = of_all(loss, given, trained)
    combined = jax.tree.map(lambda s, o: _plus(of_loss, s, o), slope, of_given)
    gradient = jax.tree.map(jnp.add, pull(combined)[0], direct)
    here = seen(given, trained)
    if transform.gradient is not None:
        gradient = transform.gradient(gradient, state, here)
    of_plain = pull(slope)[0]
    return Gradients(gradient, of_plain, here.outputs, total, metrics, aux, loss, here)


def _passed(forward: Callable | None, params: Params, batch: Batch) -> ForwardPass:
    """What a forward function gives; ValueError or TypeError if it is none, or gives else."""
    if forward is None:
        raise ValueError("forward: missing; give it to gradients, or to Context")
    with explained():
        found = forward(params, batch)
    if isinstance(found, tuple) and not isinstance(found, ForwardPass):
        raise TypeError("forward: it returned a tuple; return ForwardPass(outputs, aux=...)")
    found = found if isinstance(found, ForwardPass) else ForwardPass(found)
    check_outputs(found.outputs)
    return found


def _plus(of_loss: Scalar, slope: Array | np.ndarray, more: Array | np.ndarray):
    """The chain rule at one output; an output of integers has no gradient."""
    if slope.dtype == jax.dtypes.float0:
        return slope
    return of_loss.astype(slope.dtype) * slope + more


def _trained(params: Params, mask: PyTree | None) -> Params:
    """The parameters that train, None in the place of others."""
    return params if mask is None else jax.tree.map(lambda m, p: p if m else None, mask, params)


def _whole(trained: Params, params: Params) -> Params:
    """All parameters, those that train from the first tree."""
    return jax.tree.map(
        lambda t, p: p if t is None else t, trained, params, is_leaf=lambda x: x is None
    )
