import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import add_branch, add_head, first_params, logits
from jax.extend import core

from jaxcl.growth.parameters import count, merge, partition
from jaxcl.networks import Pathway, cnn
from jaxcl.networks.base import Variables

SMALL = cnn(size=12, filters=(4, 5), hidden=6)
FIRST = Pathway("t00", ("t00", "t00"), "t00")
SHARED = (FIRST, Pathway("t01", ("t00", "t00"), "t01"))
SECOND = (FIRST, Pathway("t01", ("t00", "t01"), "t01"))
BOTH = (FIRST, Pathway("t01", ("t01", "t01"), "t01"))


def grown(net, branches=(("conv1", "t01"), ("conv2", "t01"))):
    key = jax.random.key(0)
    params = first_params(net, key)
    for layer in net.layers:
        params = add_branch(net, params, layer, "t00", key=jax.random.fold_in(key, 1))
    for i, (layer, task) in enumerate(branches):
        params = add_branch(net, params, layer, task, key=jax.random.fold_in(key, 2 + i))
    for i in range(2):
        params = add_head(net, params, f"t0{i}", 3, jax.random.fold_in(key, 10 + i))
    return params


def images(n, size=12):
    return jnp.asarray(np.random.default_rng(0).uniform(size=(n, size, size, 3)), jnp.float32)


def conv_flops(jaxpr: core.Jaxpr) -> int:
    """Multiplications in all products of matrices of more than two rows of pixels."""
    total = 0
    for equation in jaxpr.eqns:
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, core.ClosedJaxpr):
                    inner = inner.jaxpr
                if isinstance(inner, core.Jaxpr):
                    total += times * conv_flops(inner)
        if equation.primitive.name == "dot_general":
            (contract, _), _ = equation.params["dimension_numbers"]
            a = equation.invars[0].aval.shape
            total += int(np.prod([a[i] for i in contract])) * int(
                np.prod(equation.outvars[0].aval.shape)
            )
    return total


def flops(net, params, mask, routes, n=4):
    """Multiplications of the compiled gradient, where what nobody asks for is left out."""

    def loss(chosen, rest, x):
        return sum(jnp.sum(y**2) for y in logits(net, merge(chosen, rest), x, routes).values())

    chosen, rest = partition(params, mask)
    compiled = jax.jit(jax.grad(loss)).lower(chosen, rest, images(n)).compile()
    return compiled.cost_analysis()["flops"] / 2


def test_weight_counts_of_the_paper():
    net = cnn()
    params = grown(net, branches=())
    assert count(params["conv1"]) == 896
    assert count(params["conv2"]) == 18_496
    assert count(params["fc1"]) == 1_605_760
    assert count(net.new_head(jax.random.key(0), 10, ())) == 1_290
    assert count(net.new_head(jax.random.key(0), 26, ())) == 128 * 26 + 26


@pytest.mark.parametrize("routes", [SHARED, SECOND, BOTH])
def test_many_tasks_at_once_equal_one_at_a_time(routes):
    params, x = grown(SMALL), images(5)
    together = logits(SMALL, params, x, routes)
    for pair in routes:
        chex.assert_trees_all_close(
            together[pair[0]], logits(SMALL, params, x, (pair,))[pair[0]], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("routes", [SHARED, SECOND, BOTH])
@pytest.mark.slow
def test_native_and_patches_agree(routes):
    params, x = grown(SMALL), images(5)
    native = cnn(size=12, filters=(4, 5), hidden=6, formulation="native")
    patches = cnn(size=12, filters=(4, 5), hidden=6, formulation="patches")

    def loss(params, net):
        return sum(jnp.sum(jnp.sin(y)) for y in logits(net, params, x, routes).values())

    a, b = (jax.value_and_grad(loss)(params, net) for net in (native, patches))
    chex.assert_trees_all_close(a, b, rtol=1e-4, atol=1e-5)


def test_jit_is_no_jit():
    params, x = grown(SMALL), images(5)
    jitted = jax.jit(logits, static_argnums=(0, 3))
    chex.assert_trees_all_close(
        jitted(SMALL, params, x, BOTH), logits(SMALL, params, x, BOTH), rtol=1e-5, atol=1e-6
    )


def test_a_shared_prefix_is_computed_once():
    params = grown(SMALL)
    net = cnn(size=12, filters=(4, 5), hidden=6, formulation="patches")

    def cost(routes):
        return conv_flops(
            jax.make_jaxpr(lambda p, x: logits(net, p, x, routes))(params, images(4)).jaxpr
        )

    # Winograd: six products of 3 channels for four outputs.
    n, conv1, conv2 = 4, 10 * 10 * 27 * 4, 8 * 8 * 36 * 5 // 2
    one = cost(SHARED[:1])
    head = n * 6 * 3
    fc1 = n * 4 * 4 * 5 * 6
    assert one == n * (conv1 + conv2) + fc1 + head
    assert cost(SHARED) == one + head
    assert cost(SECOND) == one + head + n * conv2 + fc1
    assert cost(BOTH) == one + head + n * (conv1 + conv2) + fc1


def test_no_gradient_is_computed_for_a_frozen_branch():
    params, n = grown(SMALL), 4
    conv1, conv2 = n * 10 * 10 * 27 * 4, n * 8 * 8 * 36 * 5 // 2

    def mask(frozen):
        return {
            layer: {
                b: jax.tree.map(lambda _, k=(layer, b): k not in frozen, p)
                for b, p in group.items()
            }
            for layer, group in params.items()
        }

    old = {("conv1", "t00"), ("conv2", "t00")}
    everything, frozen = (flops(SMALL, params, mask(f), BOTH) for f in (set(), old))
    # Left out: the weights' gradient of both layers and what flows back into conv1.
    # (conv1's own input is the images, into which nothing flows in either case.)
    assert everything - frozen >= conv1 + 2 * conv2
    only_conv1 = flops(SMALL, params, mask({("conv1", "t00")}), BOTH)
    assert everything - only_conv1 >= conv1 + conv2


def test_activations_are_those_of_the_route():
    params, x = grown(SMALL), images(3)
    mixed = SMALL.activations(Variables(params, {}), x, ("t00", "t01"))
    first = SMALL.activations(Variables(params, {}), x, ("t00", "t00"))
    np.testing.assert_array_equal(mixed["conv1"], first["conv1"])
    assert np.any(mixed["conv2"] != first["conv2"])
    assert mixed["conv2"].shape == (3, 8, 8, 5)
    assert mixed["conv1"].min() == 0 < mixed["conv1"].max()
