"""Layers with weights, and the same layers with gradients gathered example by example.

The backward pass of an ordinary layer adds up the gradients of all examples of a
batch.  Importance of weights (Fisher, MAS) asks for ``sum_n f(g_n)`` instead, with
``f`` the square or the absolute value of each entry.  A layer can give that at the
cost of one backward pass: in a dense layer ``g_n = a_n delta_n^T``, so
``sum_n f(g_n) = f(a)^T f(delta)``; in a convolution ``g_n`` is a product of the
example's patches.  What flows on to the layer below is the ordinary gradient.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Params, PRNGKey
from jaxcl.networks.convolutions import winograd
from jaxcl.networks.convolutions.conv import (
    Formulation,
    conv2d,
    image_patches,
    max_pool,
    save_for_backward,
)

Entrywise = Callable[[Array], Array]
"""A multiplicative function of each entry: ``f(x y) = f(x) f(y)``, so ``f(0) = 0``."""


class Layers(NamedTuple):
    """How layers with weights are computed.

    Attributes:
      dense: ``(x [n, i], {"w" [i, o], "b" [o]}) -> [n, o]``.
      conv: ``(x [n, h, w, i], {"w" [3, 3, i, o], "b" [o]}, formulation)``.
      conv_pool: the same, and 2x2 max-pooling after it.
    """

    dense: Callable[[Array, Params], Array]
    conv: Callable[[Array, Params, Formulation], Array]
    conv_pool: Callable[[Array, Params, Formulation], Array]


def dense(x: Array, params: Params) -> Array:
    """Returns ``x @ w + b``."""
    return x @ params["w"] + params["b"]


def conv(x: Array, params: Params, how: Formulation) -> Array:
    """Returns a convolution with a bias, stride 1, no padding."""
    return conv2d(x, params["w"], how) + params["b"]


def conv_pool(x: Array, params: Params, how: Formulation) -> Array:
    """Convolves with a bias, and pools; which value is the largest does not depend on it."""
    if how == "patches":
        return winograd.conv_pool(x, params["w"]) + params["b"]
    return max_pool(conv(x, params, how))


PLAIN = Layers(dense, conv, conv_pool)


@cache
def gathering(f: Entrywise) -> Layers:
    """Layers whose weight gradients are ``sum_n f(g_n)`` over the examples of a batch.

    Right where every weight is used once for an example.  The result is not linear
    in the cotangent of the outputs, so the loss must not couple examples.

    Args:
      f: ``jnp.square`` or ``jnp.abs``.
    """

    @jax.custom_vjp
    def gathered_dense(x: Array, params: Params) -> Array:
        return dense(x, params)

    def dense_forward(x: Array, params: Params):
        return dense(x, params), (x, params["w"])

    def dense_backward(kept, delta: Array):
        x, w = kept
        return delta @ w.T, {"w": f(x).T @ f(delta), "b": f(delta).sum(0)}

    gathered_dense.defvjp(dense_forward, dense_backward)

    def gathered_conv(x: Array, params: Params, how: Formulation) -> Array:
        @jax.custom_vjp
        def run(x: Array, params: Params) -> Array:
            return conv(x, params, how)

        def forward(x: Array, params: Params):
            return conv(x, params, how), (x, params["w"])

        def backward(kept, delta: Array):
            x, w = kept
            (below,) = jax.vjp(lambda x: conv2d(x, w, how), x)[1](delta)
            deltas = delta.reshape(len(x), -1, delta.shape[-1])
            each = jnp.einsum("npi,npo->nio", image_patches(x, w.shape[0], w.shape[1]), deltas)
            bias = f(deltas.sum(1)).sum(0)
            return below, {"w": f(each).sum(0).reshape(w.shape), "b": bias}

        run.defvjp(forward, backward)
        return run(x, params)

    def gathered_conv_pool(x: Array, params: Params, how: Formulation) -> Array:
        return max_pool(save_for_backward(gathered_conv(x, params, how)))

    return Layers(gathered_dense, gathered_conv, gathered_conv_pool)


def weights(key: PRNGKey, shape: tuple[int, ...]) -> Params:
    """Returns He-normal weights (He et al. 2015) and zero biases, float32."""
    w = jax.nn.initializers.he_normal()(key, shape, jnp.float32)
    return {"w": w, "b": jnp.zeros(shape[-1], jnp.float32)}


def uniform_weights(key: PRNGKey, shape: tuple[int, ...]) -> Params:
    """Draws weights and biases, even on ``+-1 / sqrt(inputs)``, float32, as PyTorch does."""
    bound, (of_weights, of_biases) = shape[0] ** -0.5, jax.random.split(key)
    w = jax.random.uniform(of_weights, shape, jnp.float32, -bound, bound)
    return {"w": w, "b": jax.random.uniform(of_biases, shape[-1:], jnp.float32, -bound, bound)}


INITIAL = {"he": weights, "uniform": uniform_weights}
