import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.networks.layers import PLAIN, gathering

N = 5


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


DENSE = (normal(0, N, 3), {"w": normal(1, 3, 4), "b": normal(2, 4)})
CONV = (normal(3, N, 5, 6, 2), {"w": normal(4, 3, 3, 2, 4), "b": normal(5, 4)})
LAYERS = {
    "dense": (DENSE, lambda layers, x, p: layers.dense(x, p)),
    "native": (CONV, lambda layers, x, p: layers.conv(x, p, "native")),
    "patches": (CONV, lambda layers, x, p: layers.conv(x, p, "patches")),
    "pooled, native": (CONV, lambda layers, x, p: layers.conv_pool(x, p, "native")),
    "pooled, patches": (CONV, lambda layers, x, p: layers.conv_pool(x, p, "patches")),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]


def total(layers, run, x, params):
    """A loss in which no example has to do with another."""
    return jnp.sum(jnp.sin(run(layers, x, params)))


@pytest.mark.parametrize("f", [jnp.square, jnp.abs])
def test_weight_gradients_are_gathered_example_by_example(layer, f):
    (x, params), run = layer
    slope = jax.jit(jax.grad(lambda p, x, layers: total(layers, run, x, p)), static_argnums=2)
    gathered = slope(params, x, gathering(f))
    each = [jax.tree.map(f, slope(params, x[n : n + 1], PLAIN)) for n in range(N)]
    expected = jax.tree.map(lambda *g: sum(g), *each)
    assert all(leaf.min() > 0 for leaf in jax.tree.leaves(expected))
    chex.assert_trees_all_close(gathered, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("f", [jnp.square, jnp.abs])
def test_values_and_what_flows_on_are_the_ordinary_ones(layer, f):
    (x, params), run = layer
    values = run(gathering(f), x, params), run(PLAIN, x, params)
    chex.assert_trees_all_close(*values, rtol=1e-5, atol=1e-5)
    slope = jax.grad(lambda x, layers: total(layers, run, x, params))
    chex.assert_trees_all_close(slope(x, gathering(f)), slope(x, PLAIN), rtol=1e-5, atol=1e-5)


def test_a_dense_layer_by_hand():
    x, delta = np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([[5.0], [-7.0]])
    params = {"w": jnp.ones((2, 1)), "b": jnp.zeros(1)}
    for f, w, b in (
        (jnp.square, [[25 + 441], [100]], [25 + 49]),
        (jnp.abs, [[5 + 21], [10]], [5 + 7]),
    ):
        _, pull = jax.vjp(lambda p, f=f: gathering(f).dense(jnp.asarray(x, jnp.float32), p), params)
        (found,) = pull(jnp.asarray(delta, jnp.float32))
        np.testing.assert_array_equal(found["w"], w)
        np.testing.assert_array_equal(found["b"], b)


def test_a_pullback_of_nothing_is_nothing(layer):
    """Examples that fill up a batch are given a cotangent of 0."""
    (x, params), run = layer
    out, pull = jax.vjp(lambda p: run(gathering(jnp.square), x, p), params)
    rows = (jnp.arange(N) < 2).astype(jnp.float32).reshape(N, *[1] * (out.ndim - 1))
    _, first = jax.vjp(lambda p: run(gathering(jnp.square), x[:2], p), params)
    chex.assert_trees_all_close(pull(jnp.cos(out) * rows), first(jnp.cos(out[:2])), rtol=1e-5)
