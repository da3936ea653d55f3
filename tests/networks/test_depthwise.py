"""A depthwise convolution by shifted images is XLA's own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.networks.backbones import EfficientNetLite0
from jaxcl.networks.convolutions import depthwise
from jaxcl.networks.convolutions.depthwise import by_shifts

NUMBERS = ("NHWC", "HWIO", "NHWC")


def own(x, weights, strides, padding, groups):
    how = {"dimension_numbers": NUMBERS, "feature_group_count": groups}
    return jax.lax.conv_general_dilated(x, weights, strides, padding, **how)


def of_size(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 3)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 2), (0, 1))])
@pytest.mark.parametrize("size", [(7, 8), (6, 5)])
def test_values_and_gradients_are_those_of_xla(kernel, strides, padding, size):
    x, weights = of_size(2, *size, 3), of_size(*kernel, 1, 3)

    def shifted(x, w):
        return by_shifts(x, w, strides, padding, feature_group_count=3)

    def expected(x, w):
        return own(x, w, strides, padding, 3)

    @partial(jax.jit, static_argnums=0)
    def values_and_gradients(convolve, x, w):
        values, pull = jax.vjp(convolve, x, w)
        return values, *pull(2 * values)  # of the sum of their squares

    found, *slopes = values_and_gradients(shifted, x, weights)
    values, *gradients = values_and_gradients(expected, x, weights)
    np.testing.assert_allclose(found, values, atol=1e-5)
    for one, other in zip(slopes, gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("features", "groups"), [(5, 1), (8, 2), (8, 4)])
def test_what_is_not_depthwise_is_left_to_xla(features, groups):
    x, weights = of_size(2, 6, 6, 4), of_size(3, 3, 4 // groups, features)
    found = by_shifts(x, weights, (1, 1), "SAME", feature_group_count=groups)
    np.testing.assert_array_equal(found, own(x, weights, (1, 1), "SAME", groups))


def test_a_dilated_filter_is_left_to_xla():
    x, weights = of_size(1, 9, 9, 2), of_size(3, 3, 1, 2)
    how = {"rhs_dilation": (2, 2), "dimension_numbers": NUMBERS, "feature_group_count": 2}
    found = by_shifts(x, weights, (1, 1), "SAME", **how)
    expected = jax.lax.conv_general_dilated(x, weights, (1, 1), "SAME", **how)
    np.testing.assert_array_equal(found, expected)


def test_channels_that_come_first_are_left_to_xla():
    x, weights = of_size(1, 4, 5, 4), of_size(3, 3, 1, 4)
    how = {"dimension_numbers": ("NCHW", "HWIO", "NCHW"), "feature_group_count": 4}
    found = by_shifts(x, weights, (1, 1), "SAME", **how)
    np.testing.assert_array_equal(
        found, jax.lax.conv_general_dilated(x, weights, (1, 1), "SAME", **how)
    )


def test_another_type_of_result_is_left_to_xla():
    x, weights = (of_size(*s).astype(jnp.bfloat16) for s in ((1, 5, 5, 2), (3, 3, 1, 2)))
    how = {"feature_group_count": 2, "preferred_element_type": jnp.float32}
    assert by_shifts(x, weights, (1, 1), "SAME", **how).dtype == jnp.float32


def test_a_backbone_calls_no_depthwise_convolution_of_xla():
    net = EfficientNetLite0(by_shifts)
    x = jnp.zeros((1, 32, 32, 3))
    variables = jax.eval_shape(net.init, jax.random.key(0), x)
    program = str(jax.make_jaxpr(net.apply)(variables, x))
    assert "conv_general_dilated" in program
    groups = {part.split("\n")[0].strip() for part in program.split("feature_group_count=")[1:]}
    assert groups == {"1"}


@pytest.mark.parametrize(("platform", "chosen"), [("cpu", by_shifts), ("gpu", None)])
def test_only_a_cpu_needs_it(monkeypatch, platform, chosen):
    monkeypatch.setattr(depthwise.jax, "default_backend", lambda: platform)
    assert depthwise.suited_convolution() is chosen
