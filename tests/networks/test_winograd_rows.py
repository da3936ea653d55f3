from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcl.networks.convolutions import winograd_rows
from jaxcl.networks.convolutions.geometry import Geometry
from jaxcl.networks.convolutions.loop_convolution import conv_general_dilated

LAST = ("NHWC", "HWIO", "NHWC")


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.fixture
def _small_ones_too(monkeypatch):
    monkeypatch.setattr(winograd_rows, "CHANNELS", 1)
    monkeypatch.setattr(winograd_rows, "MULTIPLICATIONS", 0)
    monkeypatch.setattr(winograd_rows, "MATRIX_ROWS", 1)


def at(strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1)):
    return Geometry(strides, padding, (1,) * len(strides), dilation)


def native(x, w, where):
    numbers = LAST if x.ndim == 4 else ("NDHWC", "DHWIO", "NDHWC")
    given = where.strides, where.padding, None, where.rhs_dilation
    return lax.conv_general_dilated(x, w, *given, numbers)


CASES = [  # images, weights, where
    ((8, 4, 5, 3), (3, 3, 3, 4), at()),
    ((5, 7, 6, 2), (3, 3, 2, 3), at()),  # tiles that are not full, a number of images without parts
    ((4, 9, 4, 4), (3, 2, 4, 3), at((1, 2), ((1, 1), (0, 1)))),
    ((4, 10, 7, 2), (3, 3, 2, 3), at(padding=((0, 0), (0, 0)), dilation=(1, 2))),
    ((1, 11, 7, 2), (3, 3, 2, 2), at(padding=((-1, 3), (2, -1)))),
    ((2, 8, 5, 2), (3, 3, 2, 2), at(padding=((4, 2), (1, 1)))),
    ((4, 6, 3, 4, 2), (3, 3, 2, 2, 2), at((1, 1, 1), ((1, 1), (1, 1), (0, 0)), (1, 1, 1))),
]


@pytest.mark.usefixtures("_small_ones_too")
@pytest.mark.parametrize(("images", "weights", "where"), CASES)
def test_value_and_gradients_are_those_of_a_convolution(images, weights, where):
    x, w = normal(0, *images), normal(1, *weights)
    assert winograd_rows.is_quicker(x, w, where)
    y, pull = jax.vjp(partial(native, where=where), x, w)
    g = normal(2, *y.shape)
    near = partial(chex.assert_trees_all_close, rtol=1e-5, atol=3e-5)
    near(winograd_rows.convolution(x, w, where), y)
    near(winograd_rows.gradients(x, w, where, g), pull(g))


def is_quicker(images, weights, where=CASES[0][2], dtype=jnp.float32):
    """Without such large arrays."""
    found = []

    def ask(x, w):
        found.append(winograd_rows.is_quicker(x, w, where))

    jax.eval_shape(ask, *(jax.ShapeDtypeStruct(shape, dtype) for shape in (images, weights)))
    return found[0]


def test_only_where_it_is_quicker():
    large, kernel = (256, 8, 8, 64), (3, 3, 64, 64)
    assert is_quicker(large, kernel)
    assert not is_quicker((64, 8, 8, 64), (3, 3, 64, 21))  # too little to multiply
    assert not is_quicker((999, 8, 8, 63), (3, 3, 63, 64))  # too few channels
    assert not is_quicker((999, 5, 8, 64), kernel)  # twelve rows by tiles in place of five
    assert not is_quicker((999, 8, 8, 64), (5, 3, 64, 64), at(padding=((2, 2), (1, 1))))
    assert not is_quicker((999, 9, 8, 64), kernel, at((2, 1)))
    assert not is_quicker((999, 9, 8, 64), kernel, at(dilation=(2, 1)))
    assert not is_quicker(large, kernel, dtype=jnp.bfloat16)


def relative(found, exact):
    return float(np.abs(np.asarray(found, np.float64) - exact).max() / np.abs(exact).max())


def test_at_the_size_of_a_network_as_exact_as_asked_for():
    """Through the function that networks get, against sums in float64."""
    x, w, where = jax.nn.relu(normal(0, 32, 16, 16, 64)), normal(1, 3, 3, 64, 64) / 24, at()
    assert winograd_rows.is_quicker(x, w, where)
    conv = partial(conv_general_dilated, window_strides=(1, 1), padding="SAME")
    y, pull = jax.vjp(partial(conv, dimension_numbers=LAST), x, w)
    g = normal(2, *y.shape)
    of_x, of_w = pull(g)
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    exact_w, exact_g = np.asarray(w, np.float64), np.asarray(g, np.float64)
    assert relative(y, np.einsum("nhwcij,ijco->nhwo", seen, exact_w, optimize=True)) < 1e-5
    assert relative(of_w, np.einsum("nhwcij,nhwo->ijco", seen, exact_g, optimize=True)) < 1e-5
    padded_g = np.pad(exact_g, ((0, 0), (1, 1), (1, 1), (0, 0)))
    met = np.lib.stride_tricks.sliding_window_view(padded_g, (3, 3), (1, 2))[..., ::-1, ::-1]
    assert relative(of_x, np.einsum("nhwoij,ijco->nhwc", met, exact_w, optimize=True)) < 1e-5


@pytest.mark.usefixtures("_small_ones_too")
def test_gradients_of_gradients_and_vmap():
    x, w = normal(0, 2, 4, 4, 3, 2), normal(1, 2, 3, 3, 2, 2)

    def second(conv):
        def steepness(x, w):
            def loss(x, w):
                return jnp.sum(jnp.sin(conv(x, w, (1, 1), "SAME", dimension_numbers=LAST)))

            return sum(jnp.sum(slope**3) for slope in jax.grad(loss, argnums=(0, 1))(x, w))

        return jax.jit(jax.vmap(jax.grad(steepness, argnums=(0, 1))))(x, w)

    for found, exact in zip(
        second(conv_general_dilated), second(lax.conv_general_dilated), strict=True
    ):
        assert relative(found, np.asarray(exact, np.float64)) < 1e-5
