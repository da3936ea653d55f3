from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import first_params, logits

from jaxcl.networks import cnn
from jaxcl.networks.base import Pathway
from jaxcl.networks.convolutions.conv import conv2d, in_chunks, max_pool, save_for_backward
from jaxcl.networks.convolutions.minimal_filtering import FILTERS, INPUTS, OUTPUTS
from jaxcl.networks.convolutions.winograd import conv_pool


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain(x, w):
    return max_pool(conv2d(x, w, "native"))


def test_four_correlations_with_six_products():
    rng = np.random.default_rng(0)
    g, d = rng.normal(size=3), rng.normal(size=6)
    found = OUTPUTS @ ((FILTERS @ g) * (INPUTS @ d))
    np.testing.assert_allclose(found, np.correlate(d, g, "valid"), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 7), (8, 5), (10, 6), (13, 9)])
def test_like_a_convolution_and_pooling(n, height, width):
    x, w = normal(0, n, height, width, 2), normal(1, 3, 3, 2, 3)
    weight = normal(2, n, (height - 2) // 2, (width - 2) // 2, 3)

    @partial(jax.jit, static_argnums=2)
    def of(x, w, f):
        def loss(x, w):
            y = f(x, w)
            return jnp.sum(weight * jnp.tanh(y)), y

        (_, y), slopes = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(x, w)
        return y, slopes

    chex.assert_trees_all_close(of(x, w, conv_pool), of(x, w, plain), rtol=1e-5, atol=3e-5)


def relative(found, exact):
    return float(np.abs(np.asarray(found, np.float64) - exact).max() / np.abs(exact).max())


def test_at_the_size_of_the_network_as_exact_as_asked_for():
    x, w = jax.nn.relu(normal(0, 4, 30, 30, 32)), normal(1, 3, 3, 32, 64) / 12
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(x, np.float64), (3, 3), (1, 2))
    full = np.einsum("nhwcij,ijco->nhwo", windows, np.asarray(w, np.float64), optimize=True)
    exact = full.reshape(4, 14, 2, 14, 2, 64).max((2, 4))
    assert relative(jax.jit(conv_pool)(x, w), exact) < 1e-5
    weight = normal(2, 4, 14, 14, 64)

    def slopes(f):
        return jax.jit(jax.grad(lambda x, w: jnp.sum(weight * f(x, w)), argnums=(0, 1)))(x, w)

    for found, expected in zip(slopes(conv_pool), slopes(plain), strict=True):
        assert relative(found, np.asarray(expected, np.float64)) < 1e-5


def test_one_of_equal_values_receives_the_gradient():
    x, w = jnp.ones((1, 6, 6, 1)), jnp.zeros((3, 3, 1, 1)).at[0, 0, 0, 0].set(1.0)
    slope = jax.jit(jax.grad(lambda x: conv_pool(x, w).sum()))(x)[0, ..., 0]
    assert float(slope.sum()) == pytest.approx(4, abs=1e-5)


@pytest.mark.slow
def test_training_ends_where_the_plain_formulation_does():
    """Thirty steps of gradient descent; Adam would magnify rounding."""
    net = cnn(size=12, channels=1, filters=(4, 8), hidden=16)
    images, labels = normal(3, 30, 12, 12, 1), jnp.arange(30) % 3
    routes = (Pathway("t00", ("t00", "t00"), "t00"),)
    key = jax.random.key(0)
    first = {
        **first_params(net, key),
        "conv1": {"t00": net.new_branch(key, "conv1", ()).params},
        "conv2": {"t00": net.new_branch(key, "conv2", ()).params},
        "heads": {"t00": net.new_head(key, 3, ())},
    }

    def trained(formulation):
        same = cnn(size=12, channels=1, filters=(4, 8), hidden=16, formulation=formulation)

        def loss(params):
            log_p = jax.nn.log_softmax(logits(same, params, images, routes)["t00"])
            return -log_p[jnp.arange(30), labels].mean()

        @jax.jit
        def step(params):
            value, slope = jax.value_and_grad(loss)(params)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, slope), value

        params = first
        for _ in range(30):
            params, value = step(params)
        return params, value

    (patches, low), (native, _) = trained("patches"), trained("native")
    assert float(low) < 0.9
    chex.assert_trees_all_close(patches, native, rtol=1e-3, atol=1e-4)


def test_under_chunks_the_matrix_products_are_not_made_twice():
    x, w = normal(0, 20, 10, 10, 2), normal(1, 3, 3, 2, 3)

    def loss(w):
        def f(x):
            return jax.nn.relu(save_for_backward(conv_pool(x, w)))

        return in_chunks(f, x).sum()

    text = str(jax.make_jaxpr(jax.grad(loss))(w))
    assert text.count("dot_general") == 3  # forward, and two gradients
