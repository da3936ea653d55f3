"""Modules of many kinds: blocks, dtypes, trees of inputs, variables of their own."""

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from foreign_nets import grown, passed

from jaxcl.networks import from_equinox, from_linen, from_nnx
from jaxcl.networks.adapters import from_functions
from jaxcl.networks.base import Pathway, run


class Blocks(linen.Module):
    def setup(self):
        self.blocks = [linen.Dense(3, param_dtype=jnp.bfloat16) for _ in range(2)]

    def __call__(self, x):
        for block in self.blocks:
            x = linen.relu(block(x))
        return x


class NNXBlocks(nnx.Module):
    def __init__(self, rngs):
        kinds = {"param_dtype": jnp.bfloat16, "rngs": rngs}
        self.blocks = nnx.List([nnx.Linear(4, 3, **kinds), nnx.Linear(3, 3, **kinds)])

    def __call__(self, x):
        for block in self.blocks:
            x = nnx.relu(block(x))
        return x


class EquinoxBlocks(eqx.Module):
    blocks: list

    def __init__(self, *, key):
        kinds = {"dtype": jnp.bfloat16, "key": key}
        self.blocks = [eqx.nn.Linear(4, 3, **kinds), eqx.nn.Linear(3, 3, **kinds)]

    def __call__(self, x):
        for block in self.blocks:
            x = jax.nn.relu(block(x))
        return x


@pytest.mark.parametrize(
    ("network", "weight"),
    [
        (from_linen(Blocks(), branches=("blocks_0",)), "kernel"),
        (from_nnx(NNXBlocks, branches=("blocks/0",)), "kernel"),
        (from_nnx(NNXBlocks, branches=("blocks.0",)), "kernel"),
        (from_equinox(EquinoxBlocks, branches=("blocks/0",)), "weight"),
    ],
)
def test_lists_of_blocks_with_weights_in_half_precision(network, weight):
    """Modules mix dtypes, which JAX's strict promotion (as it is set here) would refuse."""
    inputs = jax.ShapeDtypeStruct((4,), jnp.float32)
    net, variables, route = grown(network, inputs)
    (layer,) = net.layers
    assert variables.params[layer]["t00"][weight].dtype == jnp.bfloat16
    x = jnp.ones((6, 4))
    path = Pathway("t00", route, "t00")
    slope = jax.grad(
        lambda params: run(net, variables._replace(params=params), x, (path,)).outputs["t00"].sum()
    )(variables.params)
    kinds = jax.tree.map(lambda leaf: leaf.dtype, slope)
    assert kinds == jax.tree.map(lambda leaf: leaf.dtype, variables.params)
    found = net.activations(variables, x, route)
    assert {name: each.shape for name, each in found.items()} == {layer: (6, 3)}


class Tokens(linen.Module):
    @linen.compact
    def __call__(self, inputs, train=False):
        x = linen.Embed(7, 4)(inputs["tokens"]) + linen.Dense(4)(inputs["place"])
        return linen.Dropout(0.5, deterministic=not train)(x)


def of_tokens(key, inputs):
    first, last = jax.random.split(key)
    table = jax.random.normal(first, (7, 4))
    size = inputs["place"].shape[-1]
    return {"value": table, "key": jax.random.normal(last, (size, 4))}, ()


def embedded(params, stats, inputs, train, key):
    return params["value"][inputs["tokens"]] + inputs["place"] @ params["key"], stats


@pytest.mark.parametrize("network", [from_linen(Tokens()), from_functions(of_tokens, embedded)])
def test_dictionaries_of_tokens_and_numbers_and_features_along_a_sequence(network):
    inputs = {
        "tokens": jax.ShapeDtypeStruct((5,), jnp.int32),
        "place": jax.ShapeDtypeStruct((5, 2), jnp.float32),
    }
    net, variables, route = grown(network, inputs)
    x = {"tokens": jnp.arange(30).reshape(6, 5) % 7, "place": jnp.ones((6, 5, 2))}
    found = run(net, variables, x, (Pathway("t00", route, "t00"),))
    assert found.outputs["t00"].shape == (6, 5, 3)
    shared = variables.params["shared"]
    if "Embed_0" in shared:
        table, matrix = shared["Embed_0"]["embedding"], shared["Dense_0"]
        expected = table[x["tokens"]] + x["place"] @ matrix["kernel"] + matrix["bias"]
    else:
        expected = shared["value"][x["tokens"]] + x["place"] @ shared["key"]
    np.testing.assert_allclose(found.features[route], expected, rtol=1e-5, atol=1e-6)


class Counter(nnx.Variable):
    """A kind of variable of one's own."""


class Shared(nnx.Module):
    """One layer at two places, and a variable of its own kind."""

    def __init__(self, rngs):
        self.first = nnx.Linear(4, 4, rngs=rngs)
        self.again = self.first
        self.calls = Counter(jnp.zeros(()))

    def __call__(self, x):
        self.calls[...] += 1
        return self.again(nnx.tanh(self.first(x)))


def test_modules_that_share_a_layer_and_variables_of_ones_own_kind():
    net, variables, route = grown(from_nnx(Shared), jax.ShapeDtypeStruct((4,), jnp.float32))
    assert variables.params["shared"].keys() == {"again"} or variables.params["shared"].keys() == {
        "first"
    }
    ((layer),) = variables.params["shared"].values()
    x = jnp.linspace(-1, 1, 24).reshape(6, 4)
    expected = jnp.tanh(x @ layer["kernel"] + layer["bias"]) @ layer["kernel"] + layer["bias"]
    found, after = passed(net, variables, route, x, train=True, key=jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert float(after["shared"]["stats"]["calls"]) == 1
    assert passed(net, variables, route, x)[1] == variables.stats


class Noting(nnx.Module):
    """It notes what it computes, in its making too, as ``sow`` does."""

    def __init__(self, rngs):
        self.layer = nnx.Linear(4, 2, rngs=rngs)
        self(jnp.ones((1, 4)))

    def __call__(self, x):
        self.seen = nnx.Intermediate(self.layer(x))
        return self.seen[...]


def test_what_a_pass_notes_is_no_statistic():
    net, variables, route = grown(from_nnx(Noting), jax.ShapeDtypeStruct((4,), jnp.float32))
    assert variables.stats == {}
    assert passed(net, variables, route, jnp.ones((2, 4)), train=True)[1] == {}


class Stateless(eqx.Module):
    layer: eqx.nn.Linear
    order: jax.Array

    def __init__(self, *, key):
        self.layer = eqx.nn.Linear(4, 2, key=key)
        self.order = jax.random.permutation(key, 4)

    def __call__(self, x):
        return self.layer(x[self.order])


def test_an_equinox_module_without_state_keeps_its_integers():
    net, variables, route = grown(from_equinox(Stateless), jax.ShapeDtypeStruct((4,), jnp.float32))
    order = variables.stats["shared"]["constants"]["order"]
    assert order.dtype == jnp.int32
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    layer, x = variables.params["shared"]["layer"], jnp.linspace(-1, 1, 24).reshape(6, 4)
    found, after = passed(net, variables, route, x, train=True, key=jax.random.key(0))
    expected = x[:, order] @ layer["weight"].T + layer["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_equal(after, variables.stats)


def test_any_tree_serves_functions():
    def init(key, inputs):
        return (jnp.ones((4, 2)), [jnp.zeros(2), {"a/b": jnp.ones(())}]), jnp.zeros(3)

    def apply(params, stats, inputs, train, key):
        w, (b, scale) = params
        return (inputs @ w + b) * scale["a/b"], stats + 1 if train else stats

    net, variables, route = grown(
        from_functions(init, apply), jax.ShapeDtypeStruct((4,), jnp.float32)
    )
    found, after = passed(net, variables, route, jnp.ones((2, 4)), train=True)
    np.testing.assert_array_equal(found, 4 * np.ones((2, 2)))
    np.testing.assert_array_equal(after["shared"]["stats"]["value"], np.ones(3))
    assert set(variables.params["shared"]) == {"0", "1"}
    assert set(variables.params["shared"]["1"]["1"]) == {"a|b"}


class Noisy(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = linen.Dense(2)(x)
        return x + jax.random.normal(self.make_rng("noise"), x.shape) if train else x


def test_every_stream_of_a_linen_module_has_a_key():
    net, variables, route = grown(from_linen(Noisy()), jax.ShapeDtypeStruct((4,), jnp.float32))
    one, other = (
        passed(net, variables, route, jnp.ones((2, 4)), train=True, key=jax.random.key(n))[0]
        for n in range(2)
    )
    assert (one != other).all()


def test_a_branch_of_equinox_that_has_statistics_within_a_sequence():
    def blocks(key):
        def block(width, key):
            norm = eqx.nn.BatchNorm(4, "batch", momentum=0.8, mode="batch")
            return eqx.nn.Sequential([eqx.nn.Linear(width, 4, key=key), norm])

        first, second = jax.random.split(key)
        return eqx.nn.Sequential([block(3, first), block(4, second)])

    network = from_equinox(blocks, branches=("layers/0", "layers/1"))
    net, variables, route = grown(network, jax.ShapeDtypeStruct((3,), jnp.float32))
    found = net.activations(variables, jnp.ones((5, 3)), route)
    assert {name: x.shape for name, x in found.items()} == dict.fromkeys(net.layers, (5, 4))
