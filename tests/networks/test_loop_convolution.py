import itertools
from functools import partial

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcl.networks.convolutions import loop_arithmetic
from jaxcl.networks.convolutions.loop_convolution import (
    CONVOLUTION,
    conv_general_dilated,
    with_loop_convolutions,
)

LAST = ("NHWC", "HWIO", "NHWC")


@pytest.fixture(autouse=True)
def _on_a_cpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def close(found, expected, tolerance=1e-5):
    """Of the same structure and dtypes, and equal relative to the largest value."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(initial=0), 1))


def equations(f, *args):
    """All equations of a function, in order, with those inside of others."""

    def walk(jaxpr):
        for eqn in jaxpr.eqns:
            yield eqn
            for value in jax.tree.leaves(tuple(eqn.params.values()), is_leaf=is_jaxpr):
                if is_jaxpr(value):
                    yield from walk(value)

    def is_jaxpr(value):
        return hasattr(value, "eqns")

    return list(walk(jax.make_jaxpr(f)(*args)))


def primitives(f, *args):
    return [eqn.primitive.name for eqn in equations(f, *args)]


def value_and_slopes(conv, x, w, seed=7):
    """The convolution, and the gradients of a weighed sum of it."""

    def loss(x, w):
        y = conv(x, w)
        return jnp.sum(jnp.sin(normal(seed, *y.shape, dtype=y.dtype) + y)), y

    (_, y), slopes = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(x, w)
    return y, slopes


def compare(cases, tolerance=1e-5, quick=True):
    """Every case ``(shape of images, of weights, arguments)`` in one program, both ways."""
    operands = [(normal(1, *images), normal(2, *weights)) for images, weights, _ in cases]

    @partial(jax.jit, static_argnums=1)
    def both(operands, conv):
        return [
            value_and_slopes(partial(conv, **case[2]), *pair)
            for pair, case in zip(operands, cases, strict=True)
        ]

    close(both(operands, conv_general_dilated), both(operands, lax.conv_general_dilated), tolerance)
    for pair, (_, _, arguments) in zip(operands, cases, strict=True):
        own = primitives(partial(conv_general_dilated, **arguments), *pair)
        assert ("custom_vjp_call" in own) is quick


def nhwc(images, weights, strides=(1, 1), padding="SAME", **arguments):
    arguments |= {"window_strides": strides, "padding": padding, "dimension_numbers": LAST}
    return images, weights, arguments


@pytest.mark.parametrize("size", [1, 3, 5])
def test_strides_padding_and_sizes(size):
    explicit = [(0, 2), (1, 0)], [(-1, 1), (2, -2)]
    paddings = ["SAME", "VALID", *explicit]
    cases = [
        nhwc((2, height, 9 - height % 2, 3), (size, size, 3, 4), strides, padding)
        for strides, padding in itertools.product([(1, 1), (2, 2)], paddings)
        for height in (7, 8)
    ]
    compare([*cases, nhwc((2, 9, 10, 5), (size, 2, 5, 3), (3, 2), "SAME_LOWER")])


def test_groups():
    compare(
        [
            nhwc((2, 6, 7, 6), (3, 3, 3, 4), (1, 1), feature_group_count=2),
            nhwc((2, 6, 7, 6), (3, 3, 2, 6), (2, 2), "VALID", feature_group_count=3),
            nhwc((2, 6, 7, 6), (3, 3, 1, 6), (1, 1), feature_group_count=6),
            nhwc((2, 6, 7, 6), (3, 2, 1, 6), (2, 1), [(2, 1), (-1, 1)], feature_group_count=6),
            nhwc((2, 6, 7, 3), (3, 3, 1, 6), (2, 2), feature_group_count=3),
        ]
    )


def test_dilations_and_large_kernels():
    wide, one_each = [(4, 4), (4, 4)], {"feature_group_count": 2}
    compare(
        [
            nhwc((2, 9, 8, 2), (3, 3, 2, 3), rhs_dilation=(2, 3)),
            nhwc((2, 4, 5, 2), (3, 4, 2, 3), (1, 1), [(1, 2), (2, 2)], lhs_dilation=(2, 2)),
            nhwc((2, 5, 5, 2), (2, 3, 2, 3), (2, 3), wide, lhs_dilation=(3, 2)),
            nhwc((2, 5, 6, 2), (3, 2, 1, 2), (2, 1), wide, lhs_dilation=(1, 2), **one_each),
            nhwc((2, 5, 6, 2), (3, 2, 1, 2), (2, 1), wide, rhs_dilation=(2, 1), **one_each),
            nhwc((2, 9, 9, 2), (8, 8, 2, 3), (2, 2)),
        ]
    )


def test_one_product_where_a_kernel_takes_every_row():
    solid = {"window_strides": (1, 2, 1), "padding": [(1, 0), (-1, 2), (0, 3)]}
    cases = [
        nhwc((2, 8, 9, 4), (3, 3, 4, 6)),
        nhwc((2, 8, 9, 4), (3, 2, 4, 4), (1, 2), [(2, -1), (-1, 2)]),
        nhwc((2, 9, 8, 3), (2, 3, 3, 4), (1, 3), "VALID", rhs_dilation=(3, 2)),
        nhwc((1, 4, 3, 3), (3, 3, 3, 2), (1, 1), [(2, 0), (2, 1)]),
        ((2, 3, 5, 6, 4), (4, 3, 3, 3, 2), solid),
    ]
    compare(cases)
    for images, weights, arguments in cases:
        slope = jax.grad(lambda x, w, a=arguments: conv_general_dilated(x, w, **a).sum(), (0, 1))
        made = primitives(slope, jnp.ones(images), jnp.ones(weights))
        assert made.count("dot_general") == 3
        assert CONVOLUTION not in made


def test_orders_and_numbers_of_axes():
    plain = {"window_strides": (2, 1), "padding": "SAME"}
    line = {"window_strides": (2,), "padding": [(1, 0)]}
    solid = {"window_strides": (1, 2, 1), "padding": "VALID"}
    compare(
        [
            ((2, 3, 7, 6), (4, 3, 3, 3), plain),
            ((7, 3, 2, 6), (3, 4, 3, 3), plain | {"dimension_numbers": ("HCNW", "IOWH", "WNHC")}),
            ((2, 3, 7), (4, 3, 3), line),
            ((2, 7, 3), (3, 3, 4), line | {"dimension_numbers": ("NWC", "WIO", "NWC")}),
            ((2, 3, 4, 5, 4), (4, 3, 2, 3, 2), solid),
        ]
    )


def test_what_it_does_not_cover_is_xlas_own():
    grouped = {"window_strides": (1, 1), "padding": "VALID", "batch_group_count": 2}
    empty = {"window_strides": (1, 1), "padding": "VALID"}
    compare([((4, 3, 5, 5), (4, 3, 3, 3), grouped)], quick=False)
    compare([((0, 3, 5, 5), (4, 3, 3, 3), empty)], quick=False)
    compare([nhwc((1, 9, 9, 2), (8, 7, 1, 2), feature_group_count=2)], quick=False)
    whole, kernel = jnp.ones((1, 2, 4, 4), jnp.int32), jnp.ones((2, 2, 3, 3), jnp.int32)
    assert (conv_general_dilated(whole, kernel, (1, 1), "VALID") == 18).all()
    half = normal(0, 1, 2, 4, 4, dtype=jnp.bfloat16), normal(1, 2, 2, 3, 3, dtype=jnp.bfloat16)
    wide = partial(
        conv_general_dilated,
        window_strides=(1, 1),
        padding="VALID",
        preferred_element_type=jnp.float32,
    )
    assert wide(*half).dtype == jnp.float32
    assert "custom_vjp_call" not in primitives(wide, *half)


def test_errors_are_xlas_own():
    x, w = jnp.ones((1, 3, 4, 4)), jnp.ones((2, 2, 3, 3))
    with pytest.raises(ValueError, match="feature_group_count"):
        conv_general_dilated(x, w, (1, 1), "SAME")
    with pytest.raises(ValueError, match="String padding"):
        conv_general_dilated(x, jnp.ones((2, 3, 3, 3)), (1, 1), "SAME", lhs_dilation=(2, 2))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: conv_general_dilated(x, x, (1, 1), "SAME"), (w,), (w,))


@pytest.mark.parametrize(
    ("groups", "inside", "strides"), [(1, 4, (2, 1)), (4, 1, (2, 1)), (1, 4, (1, 1))]
)
def test_half_precision(groups, inside, strides):
    half = normal(0, 2, 6, 7, 4, dtype=jnp.bfloat16), normal(1, 3, 3, inside, 4, dtype=jnp.bfloat16)
    arguments = nhwc((), (), strides, feature_group_count=groups)[2]

    def rounded(operands, conv):
        return value_and_slopes(partial(conv, **arguments), *operands)

    compiled = jax.jit(rounded, static_argnums=1)
    close(compiled(half, conv_general_dilated), compiled(half, lax.conv_general_dilated), 0.02)


@pytest.mark.parametrize(("groups", "inside"), [(1, 3), (3, 1)])
def test_batched_weights_and_images(groups, inside):
    """As of seeds that are vmapped, and of examples."""
    x, w = normal(0, 2, 2, 5, 6, 3), normal(1, 2, 3, 3, inside, 3)
    arguments = nhwc((), (), (2, 2), feature_group_count=groups)[2]

    def mapped(conv, axes):
        slopes = jax.vmap(partial(value_and_slopes, partial(conv, **arguments)), axes)
        return slopes(x if axes[0] is not None else x[0], w if axes[1] is not None else w[0])

    @partial(jax.jit, static_argnums=0)
    def all_ways(conv):
        return [mapped(conv, axes) for axes in ((0, 0), (None, 0), (0, None))]

    close(all_ways(conv_general_dilated), all_ways(lax.conv_general_dilated))


@pytest.mark.parametrize(("groups", "inside"), [(1, 2), (2, 1)])
def test_gradients_of_gradients(groups, inside):
    x, w = normal(0, 1, 5, 4, 2), normal(1, 3, 3, inside, 2)
    arguments = nhwc((), (), (2, 1), feature_group_count=groups)[2]

    @partial(jax.jit, static_argnums=0)
    def second(conv):
        def steepness(x, w):
            _, slopes = value_and_slopes(partial(conv, **arguments), x, w)
            return sum(jnp.sum(slope**3) for slope in slopes)

        return jax.grad(steepness, argnums=(0, 1))(x, w)

    close(second(conv_general_dilated), second(lax.conv_general_dilated), 2e-5)


def test_products_in_the_weights_gradient_not_a_convolution():
    """What is quick in a loop: no convolution has its axes in another order than the first."""
    x, w = normal(0, 2, 3, 6, 6), normal(1, 4, 3, 3, 3)

    def slopes(x, w):
        return value_and_slopes(lambda x, w: conv_general_dilated(x, w, (2, 2), "SAME"), x, w)

    found = equations(slopes, x, w)
    assert sum(eqn.primitive.name == "dot_general" for eqn in found) == 9
    convolutions = [eqn for eqn in found if eqn.primitive.name == "conv_general_dilated"]
    orders = {eqn.params["dimension_numbers"] for eqn in convolutions}
    assert len(convolutions) == 2
    assert orders == {lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))}


class Small(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool, axis: str | None = None):
        norm = partial(nn.BatchNorm, use_running_average=not train, axis_name=axis)
        x = nn.relu(norm()(nn.Conv(4, (3, 3), use_bias=False)(x)))
        y = norm()(nn.Conv(6, (3, 3), (2, 2))(x))
        x = nn.relu(y + nn.Conv(6, (1, 1), (2, 2))(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        x = nn.ConvTranspose(2, (2, 2), (2, 2))(x)
        return {"logits": nn.Dense(3)(x.mean((1, 2))), "kind": "small", "none": None}


def compare_networks(f, params, *rest):
    """Of outputs and gradients of a network, with its convolutions and with the others."""

    def slopes(forward):
        def loss(params):
            out = forward(params, *rest)
            arrays = [leaf for leaf in jax.tree.leaves(out) if isinstance(leaf, jax.Array)]
            return sum(jnp.sum(jnp.sin(y)) for y in arrays), arrays

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)

    close(slopes(with_loop_convolutions(f)), slopes(f))
    names = primitives(
        lambda params: jax.tree.leaves(with_loop_convolutions(f)(params, *rest))[0], params
    )
    assert "custom_vjp_call" in names


def test_a_flax_network():
    net, x = Small(), normal(0, 3, 6, 6, 3)
    variables = jax.jit(net.init, static_argnums=2)(jax.random.key(0), x, False)

    def apply(params, x, train, key):
        variables_ = {**variables, "params": params}
        out, changed = net.apply(
            variables_, x, train=train, mutable=["batch_stats"], rngs={"dropout": key}
        )
        return out["logits"], changed, key.shape

    compare_networks(apply, variables["params"], x, True, jax.random.key(1))
    out = with_loop_convolutions(net.apply)(variables, x, train=False)
    expected = net.apply(variables, x, train=False)
    assert (out["kind"], out["none"]) == ("small", None)
    close(out["logits"], expected["logits"])


def test_normalisation_over_a_named_axis():
    net, x = Small(), normal(0, 2, 3, 6, 6, 3)
    variables = jax.jit(net.init, static_argnums=2)(jax.random.key(0), x[0], False)

    def mapped(apply):
        def one(x):
            out, _ = apply(
                variables, x, train=True, axis="devices", mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(1)},
            )  # fmt: skip
            return out["logits"]

        return jax.jit(jax.vmap(one, axis_name="devices"))(x)

    close(mapped(with_loop_convolutions(net.apply)), mapped(net.apply))


class Layers(eqx.Module):
    conv: eqx.nn.Conv2d
    depthwise: eqx.nn.Conv2d
    act: object

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(3, 4, 3, stride=2, padding=1, key=one)
        self.depthwise = eqx.nn.Conv2d(4, 4, 3, groups=4, key=two)
        self.act = jax.nn.relu

    def __call__(self, x):
        return self.depthwise(self.act(self.conv(x)))


def test_an_equinox_network():
    net, x = Layers(jax.random.key(0)), normal(0, 2, 3, 9, 9)
    arrays, rest = eqx.partition(net, eqx.is_array)

    def apply(arrays, x):
        return jax.vmap(eqx.combine(arrays, rest))(x)

    compare_networks(apply, arrays, x)
    close(with_loop_convolutions(net)(x[0]), net(x[0]))


def inside_a_jit(w, x):
    return jax.jit(lambda x: jax.jit(convolved)(w, x) + 1)(x)


def inside_a_checkpoint(w, x):
    return jax.checkpoint(lambda w, x: jnp.sin(convolved(w, x)))(w, x)


def inside_a_scan(w, x):
    return lax.scan(lambda y, _: (jnp.tanh(convolved(w, y)), y.sum()), x, length=3)


def inside_a_branch(w, x):
    return lax.cond(x.sum() > 0, lambda x: x * 2, lambda x: convolved(w, x), x)


def inside_a_while(w, x):
    fixed = lax.stop_gradient(w)
    y = lax.while_loop(lambda y: y.sum() < 0, lambda y: convolved(fixed, y) + 9, x)
    return convolved(w, y)


def convolved(w, x):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME")


@pytest.mark.parametrize(
    "f", [inside_a_jit, inside_a_checkpoint, inside_a_scan, inside_a_branch, inside_a_while]
)
def test_convolutions_inside_other_functions(f):
    w, x = normal(0, 2, 2, 3, 3), normal(1, 2, 2, 4, 5)
    compare_networks(f, w, x - 3 if f is inside_a_while else x)


def test_the_rule_of_a_custom_gradient_stays():
    @jax.custom_vjp
    def f(w, x):
        return convolved(w, x)

    f.defvjp(lambda w, x: (f(w, x), w), lambda w, g: (w * 5, g))
    w, x = normal(0, 2, 2, 3, 3), normal(1, 2, 2, 4, 5)
    slope = jax.grad(lambda w: with_loop_convolutions(lambda w: f(w, convolved(w, x)).sum())(w))
    native = jax.grad(lambda w: f(w, convolved(w, x)).sum())
    close(jax.jit(slope)(w), jax.jit(native)(w))


def test_a_function_without_convolutions_is_unchanged():
    def f(x, flag, **options):
        return {"y": jnp.sin(x) * 2 if flag else x, "options": options, "n": np.arange(2)}

    replaced = with_loop_convolutions(f)
    assert replaced.__name__ == "f"
    out = replaced(jnp.arange(3.0), True, way="any")
    assert out["options"] == {"way": "any"}
    assert isinstance(out["n"], np.ndarray)
    same = primitives(lambda x: f(x, True)["y"], 1.0)
    assert primitives(lambda x: replaced(x, True)["y"], 1.0) == same
    close(jax.jit(jax.hessian(lambda x: replaced(x, True)["y"]))(1.0), -2 * jnp.sin(1.0))


def test_integers_and_keys():
    def f(w, tokens, key):
        x = jax.nn.one_hot(tokens, 3, axis=1, dtype=jnp.float32)
        noise = jax.random.normal(key, x.shape)
        return convolved(w, x + noise), tokens + 1, jax.random.split(key)[0]

    w, tokens = normal(0, 2, 3, 3, 3), jnp.arange(40).reshape(2, 4, 5) % 3
    found = jax.jit(with_loop_convolutions(f))(w, tokens, jax.random.key(3))
    expected = jax.jit(f)(w, tokens, jax.random.key(3))
    close(found[:2], expected[:2])
    assert (jax.random.key_data(found[2]) == jax.random.key_data(expected[2])).all()


def test_another_backend_keeps_its_own(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert with_loop_convolutions(convolved) is convolved


def test_many_positions_or_few_the_weights_gradient_is_the_same(monkeypatch):
    x, w = normal(0, 2, 6, 5, 3), normal(1, 3, 3, 3, 2)
    conv = partial(conv_general_dilated, **nhwc((), (), (2, 1), [(2, 0), (-1, 2)])[2])
    few = value_and_slopes(conv, x, w)
    monkeypatch.setattr(loop_arithmetic, "MANY", 8)
    close(value_and_slopes(conv, x, w), few)
