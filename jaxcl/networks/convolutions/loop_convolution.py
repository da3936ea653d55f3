"""Convolutions for a compiled loop on a CPU, in place of XLA's own in any network.

Inside ``lax.scan`` and ``lax.fori_loop``, XLA's gradients of a convolution are many times
slower on a CPU than outside.  :func:`conv_general_dilated` is :func:`jax.lax.conv_general_dilated`
with gradients that are not (:mod:`jaxcl.networks.convolutions.loop_arithmetic` says why), and
:func:`with_loop_convolutions` puts it into a function that somebody else wrote, whatever the
network library.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import eval_jaxpr
from jax.extend import core
from numpy import ndarray

from jaxcl.core.types import Array
from jaxcl.networks.convolutions.loop_arithmetic import MANY, Geometry, convolve

F = TypeVar("F", bound=Callable)
Dilation = Sequence[int] | None
Numbers = lax.ConvGeneralDilatedDimensionNumbers

CONVOLUTION = "conv_general_dilated"
# Primitives whose parameters hold jaxprs that may be exchanged for others of the same type.
# The rules of custom_jvp_call and custom_vjp_call belong to the very function they hold.
HOLDERS = {"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"}
HOLDERS |= {"scan", "while", "cond"}


def conv_general_dilated(
    lhs: Array | ndarray,
    rhs: Array | ndarray,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Dilation = None,
    rhs_dilation: Dilation = None,
    dimension_numbers: Numbers = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: lax.PrecisionLike = None,
    preferred_element_type: Any = None,
) -> Array:
    """Returns :func:`jax.lax.conv_general_dilated`, with gradients that a loop does not slow.

    Other than there is the formulation, and that ``jax.jvp`` raises a ``TypeError``; gradients
    of gradients are taken in reverse mode.  Values and gradients agree to rounding.  With
    ``batch_group_count``, groups of large kernels (over 49 positions), axes of size 0, dtypes that
    are not real floating-point ones or a result of another dtype, it is XLA's own.

    Args:
      lhs: images, ``[n, channels, *space]`` unless ``dimension_numbers`` says otherwise.
      rhs: weights, ``[features, channels / feature_group_count, *kernel]`` likewise.
      window_strides: steps of the kernel along each axis in space.
      padding: ``"SAME"``, ``"SAME_LOWER"``, ``"VALID"``, or zeros before and after.
      lhs_dilation: distance of neighbouring pixels.
      rhs_dilation: distance of neighbouring weights.
      dimension_numbers: orders of the axes, such as ``("NHWC", "HWIO", "NHWC")``.
      feature_group_count: groups of channels with features of their own.
      batch_group_count: groups of images with features of their own.
      precision: of the products.
      preferred_element_type: dtype of the result.

    Returns:
      An array ``[n, features, *positions]``, or in the order asked for.

    Raises:
      TypeError: dtypes do not fit, as XLA's own says it.
      ValueError: shapes or other arguments do not, likewise.
    """
    lhs, rhs = jnp.asarray(lhs), jnp.asarray(rhs)
    native = functools.partial(
        lax.conv_general_dilated,
        window_strides=window_strides, padding=padding,
        lhs_dilation=lhs_dilation, rhs_dilation=rhs_dilation, dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count, batch_group_count=batch_group_count,
        precision=precision, preferred_element_type=preferred_element_type,
    )  # fmt: skip
    result = jax.eval_shape(native, lhs, rhs)  # raises what XLA's own does
    order = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    if not _is_covered(lhs, rhs, result, order, feature_group_count, batch_group_count):
        return native(lhs, rhs)
    images, kernel, out = order
    x = jnp.transpose(lhs, (images[0], *images[2:], images[1]))
    w = jnp.transpose(rhs, (*kernel[2:], kernel[1], kernel[0]))
    ones = (1,) * (lhs.ndim - 2)
    strides, apart = tuple(window_strides), tuple(lhs_dilation or ones)
    dilation = tuple(rhs_dilation or ones)
    if isinstance(padding, str):
        window = [(size - 1) * d + 1 for size, d in zip(w.shape[:-2], dilation, strict=True)]
        padding = lax.padtype_to_pads(x.shape[1:-1], window, strides, padding)
    pairs = tuple((int(before), int(after)) for before, after in padding)
    y = convolve(x, w, Geometry(strides, pairs, apart, dilation, feature_group_count, precision))
    return jnp.transpose(y, np.argsort((out[0], *out[2:], out[1])).tolist())


def _is_covered(
    lhs: Any, rhs: Any, result: Any, order: lax.ConvDimensionNumbers, groups: int, batches: int
) -> bool:
    real = jnp.issubdtype(lhs.dtype, jnp.floating) and lhs.dtype == rhs.dtype == result.dtype
    filled = min(*lhs.shape, *rhs.shape, *result.shape) > 0
    few = groups == 1 or math.prod(rhs.shape[axis] for axis in order.rhs_spec[2:]) <= MANY
    return real and filled and few and batches == 1 and lhs.ndim > 2


def with_loop_convolutions(f: F) -> F:
    """Returns a function like ``f`` whose convolutions are :func:`conv_general_dilated`.

    On another backend than the CPU, it is ``f`` itself.  On a CPU, each call traces ``f`` and
    exchanges the convolutions in its jaxpr, those inside ``jit``, ``jax.checkpoint``,
    ``scan``, ``while_loop`` and ``cond`` too; so it is meant for use under ``jit``.  A function
    without convolutions, and what stands inside ``jax.custom_jvp``, ``jax.custom_vjp`` or
    ``shard_map``, stays as it is.  A map over examples belongs inside: of
    ``with_loop_convolutions(jax.vmap(f))`` the gradient is quick, of
    ``jax.vmap(with_loop_convolutions(f))`` it is only right.

    Args:
      f: a pure function, such as a network's ``apply``; its arguments and results are any
        pytrees, arrays or not.

    Returns:
      The function; it can be given to ``jit``, ``vmap``, ``grad`` (also twice), not to ``jvp``.
    """
    if jax.default_backend() != "cpu":
        return f

    @functools.wraps(f, updated=())
    def replaced(*args, **kwargs):
        fixed: list[Any] = []  # the structure of the result, and what in it is no array

        def arrays() -> list[Array]:
            leaves, tree = jax.tree.flatten(f(*args, **kwargs))
            moving = [isinstance(leaf, jax.Array) for leaf in leaves]
            still = [None if moves else x for x, moves in zip(leaves, moving, strict=True)]
            fixed[:] = tree, moving, still
            return [x for x, moves in zip(leaves, moving, strict=True) if moves]

        # The arguments are constants of the jaxpr: what in them is no array stays what it is.
        traced = jax.make_jaxpr(arrays)()
        exchanged = _exchanged(traced)
        if exchanged is traced:
            return f(*args, **kwargs)
        results = iter(eval_jaxpr(exchanged.jaxpr, exchanged.consts))
        tree, moving, still = fixed
        leaves = [next(results) if moves else x for x, moves in zip(still, moving, strict=True)]
        return jax.tree.unflatten(tree, leaves)

    return cast(F, replaced)


def _exchanged(jaxpr: Any) -> Any:
    """Returns a jaxpr of the same type, open or closed; itself if it has no convolution."""
    eqns = [_exchanged_equation(eqn) for eqn in jaxpr.eqns]
    if all(new is old for new, old in zip(eqns, jaxpr.eqns, strict=True)):
        return jaxpr
    if isinstance(jaxpr, core.Jaxpr):  # since JAX 0.12 a closed one too
        return jaxpr.replace(eqns=eqns)
    return jaxpr.replace(jaxpr=jaxpr.jaxpr.replace(eqns=eqns))


def _exchanged_equation(eqn: core.JaxprEqn) -> core.JaxprEqn:
    if eqn.primitive.name == CONVOLUTION:
        return _own_convolution(eqn)
    if eqn.primitive.name not in HOLDERS:
        return eqn
    params = {name: _exchanged_parameter(value) for name, value in eqn.params.items()}
    same = all(params[name] is value for name, value in eqn.params.items())
    return eqn if same else eqn.replace(params=params)


def _exchanged_parameter(value: Any) -> Any:
    if isinstance(value, core.Jaxpr | core.ClosedJaxpr):
        return _exchanged(value)
    if isinstance(value, tuple) and value and isinstance(value[0], core.ClosedJaxpr):
        branches = tuple(map(_exchanged, value))
        return value if all(map(operator.is_, branches, value)) else branches
    return value


@functools.partial(jax.jit, static_argnums=(2,))
def _with_parameters(lhs: Array, rhs: Array, params: tuple[tuple[str, Any], ...]) -> Array:
    return conv_general_dilated(lhs, rhs, **dict(params))


def _own_convolution(eqn: core.JaxprEqn) -> core.JaxprEqn:
    """Returns the equation of a ``jit`` that holds the other convolution."""
    params = dict(eqn.params)
    lhs, rhs = (atom.aval for atom in eqn.invars)
    (result,) = eqn.outvars
    order = params["dimension_numbers"]
    groups = params["feature_group_count"], params["batch_group_count"]
    sharded = params.pop("out_sharding", None) is not None
    if sharded or not _is_covered(lhs, rhs, result.aval, order, *groups):
        return eqn
    trace = jax.make_jaxpr(_with_parameters, static_argnums=(2,))
    (call,) = trace(lhs, rhs, tuple(params.items())).eqns
    if call.outvars[0].aval != result.aval:
        return eqn
    return eqn.replace(primitive=call.primitive, params=call.params)
