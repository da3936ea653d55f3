import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcl.networks.convolutions.conv import conv2d, in_chunks, max_pool, save_for_backward


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@settings(max_examples=6)  # every example has shapes of its own to compile
@given(
    st.integers(1, 3), st.integers(3, 7), st.integers(3, 7), st.integers(1, 3), st.integers(1, 4)
)
def test_native_and_patches_agree(n, height, width, channels, features):
    x, w = normal(0, n, height, width, channels), normal(1, 3, 3, channels, features)
    weight = normal(2, n, height - 2, width - 2, features)

    def loss(x, w, how):
        return jnp.sum(weight * jnp.tanh(conv2d(x, w, how)))

    chex.assert_trees_all_close(conv2d(x, w, "patches"), conv2d(x, w, "native"), atol=1e-5)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)), static_argnums=2)
    chex.assert_trees_all_close(gradient(x, w, "patches"), gradient(x, w, "native"), atol=1e-5)


@pytest.mark.parametrize("how", ["native", "patches"])
def test_convolution_by_hand(how):
    x = jnp.arange(16, dtype=jnp.float32).reshape(1, 4, 4, 1)
    w = jnp.zeros((3, 3, 1, 1)).at[0, 0, 0, 0].set(1.0).at[2, 1, 0, 0].set(10.0)
    expected = [[0 + 90, 1 + 100], [4 + 130, 5 + 140]]
    np.testing.assert_allclose(conv2d(x, w, how)[0, ..., 0], expected)


def test_pool_by_hand_and_odd_sides():
    x = jnp.arange(15, dtype=jnp.float32).reshape(1, 3, 5, 1)
    np.testing.assert_array_equal(max_pool(x)[0, ..., 0], [[6, 8]])
    gradient = jax.grad(lambda x: max_pool(x).sum())(x)[0, ..., 0]
    expected = np.zeros((3, 5))
    expected[1, [1, 3]] = 1
    np.testing.assert_array_equal(gradient, expected)


@settings(max_examples=6)  # every example has shapes of its own to compile
@given(st.integers(1, 9), st.integers(1, 5))
def test_chunks_change_nothing(n, size):
    x, w = normal(0, n, 6, 6, 2), normal(1, 3, 3, 2, 3)

    def f(w, x):
        y = save_for_backward(conv2d(x, w, "patches"))
        return {"pooled": max_pool(jax.nn.relu(y)), "sum": y.sum((1, 2, 3))}

    def loss(w, chunked):
        out = in_chunks(lambda x: f(w, x), x, size) if chunked else f(w, x)
        return jnp.sum(out["pooled"] ** 2) + jnp.sum(jnp.sin(out["sum"]))

    both = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    whole, parts = (both(w, chunked) for chunked in (False, True))
    chex.assert_trees_all_close(parts, whole, rtol=1e-4, atol=1e-4)
