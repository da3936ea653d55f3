"""What is made of a module equals the module itself, in training and in evaluation."""

import chex
import equinox as eqx
import foreign_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from foreign_nets import INPUTS, X

from jaxcl.core.random import stream
from jaxcl.growth.parameters import add_branch, add_head
from jaxcl.networks import from_equinox, from_linen, from_nnx
from jaxcl.networks.adapters import from_functions
from jaxcl.networks.base import TEST, Mode, Pathway, run

ROUTE = ("t00", "t00")


def grown(network, inputs=INPUTS, seed=0):
    """The network with a branch of each layer and a head, and the route through them."""
    net = network.make(inputs)
    variables = net.init(jax.random.key(seed))
    for i, layer in enumerate(net.layers):
        key = jax.random.key(seed + 10 + i)
        variables = add_branch(net, variables, layer, "t00", key=key)
    variables = add_head(net, variables, "t00", 3, jax.random.key(seed + 1))
    return net, variables, ("t00",) * len(net.layers)


def plain(network, inputs=INPUTS):
    return grown(network, inputs)


def passed(net, variables, route, x=X, train=False, key=None):
    found, stats = net.features(variables, x, [route], Mode([route], key) if train else TEST)
    return found[route], stats


@pytest.fixture(scope="module", params=list(nets.NETWORKS))
def made(request):
    return grown(nets.NETWORKS[request.param]())


def test_statistics_move_in_training_alone(made):
    net, variables, route = made
    _, stats = passed(net, variables, route)
    chex.assert_trees_all_equal(stats, variables.stats)
    _, stats = passed(net, variables, route, train=True, key=jax.random.key(0))
    assert jax.tree.structure(stats) == jax.tree.structure(variables.stats)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), stats, variables.stats)
    assert all(jax.tree.leaves(moved))


def test_a_key_decides_what_is_dropped_and_evaluation_drops_nothing(made):
    net, variables, route = made
    one, again, other = (
        passed(net, variables, route, train=True, key=jax.random.key(n))[0] for n in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (np.asarray(one) != np.asarray(other)).any(1).all()  # in every example
    tests = [passed(net, variables, route)[0] for _ in range(2)]
    np.testing.assert_array_equal(*tests)
    # An example by itself is tested as it is among others.
    alone = passed(net, variables, route, X[:1])[0]
    np.testing.assert_allclose(alone, tests[0][:1], rtol=1e-5, atol=1e-6)


def test_jit_grad_and_vmap_over_networks(made):
    net, variables, route = made
    key = jax.random.key(3)

    def loss(variables):
        return (passed(net, variables, route, train=True, key=key)[0] ** 2).mean()

    def of(params):
        return loss(variables._replace(params=params))

    slope = jax.jit(jax.grad(of))(variables.params)
    direction = jax.tree.map(lambda g: g / norm(slope), slope)
    step = 1e-2
    ahead, behind = (
        of(jax.tree.map(lambda p, d, s=s: p + s * d, variables.params, direction))
        for s in (step, -step)
    )
    assert float(ahead - behind) / (2 * step) == pytest.approx(float(norm(slope)), rel=2e-2)
    others = [variables, grown_again(net, 5), grown_again(net, 6)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *others)
    together = jax.jit(jax.vmap(loss))(stacked)
    np.testing.assert_allclose(together, [loss(each) for each in others], rtol=1e-4)


def norm(tree):
    return jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))


def grown_again(net, seed):
    variables = net.init(jax.random.key(seed))
    for layer in net.layers:
        variables = add_branch(net, variables, layer, "t00", key=jax.random.key(seed))
    return add_head(net, variables, "t00", 3, jax.random.key(seed))


def test_linen_is_the_module_itself():
    net, variables, route = plain(from_linen(nets.Linen()))
    params, stats = variables.params["shared"], variables.stats["shared"]
    module = nets.Linen()
    expected = module.apply({"params": params, **stats}, X, train=False)
    np.testing.assert_allclose(passed(net, variables, route)[0], expected, rtol=1e-6)
    key = jax.random.key(4)
    found, after = passed(net, variables, route, train=True, key=key)
    own = stream(stream(key, "drop", 0), "dropout")
    expected, renewed = module.apply(
        {"params": params, **stats}, X, train=True, rngs={"dropout": own}, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(after["shared"], dict(renewed), rtol=1e-6)
    first = module.init({"params": jax.random.key(0)}, X, train=False)
    assert jax.tree.map(jnp.shape, first["params"]) == jax.tree.map(jnp.shape, params)


def as_module(variables):
    """An NNX module with these weights and statistics, in evaluation mode."""
    module = nets.NNX(nnx.Rngs(0))
    for kind, tree in ((nnx.Param, variables.params), (nnx.BatchStat, variables.stats)):
        tree = tree["shared"] if kind is nnx.Param else tree["shared"]["stats"]
        for layer, values in tree.items():
            for name, value in values.items():
                getattr(getattr(module, layer), name)[...] = value
    module.eval()
    return module


def test_nnx_is_the_module_itself():
    net, variables, route = plain(from_nnx(lambda rngs: nets.NNX(rngs, rate=0.0)))
    module = as_module(variables)
    np.testing.assert_allclose(passed(net, variables, route)[0], module(X), rtol=1e-5, atol=1e-6)
    found, after = passed(net, variables, route, train=True, key=jax.random.key(0))
    module.drop.rate = 0.0
    module.train()
    np.testing.assert_allclose(found, module(X), rtol=1e-5, atol=1e-6)
    for layer in ("norm1", "norm2"):
        for name in ("mean", "var"):
            new = getattr(getattr(module, layer), name)[...]
            np.testing.assert_allclose(after["shared"]["stats"][layer][name], new, rtol=1e-5)


def test_equinox_is_the_module_itself():
    net, variables, route = plain(from_equinox(nets.Equinox))
    model, state = eqx.nn.make_with_state(nets.Equinox)(key=jax.random.key(0))
    params = variables.params["shared"]
    places = [(a, b) for a in ("conv1", "norm1", "out") for b in ("weight", "bias")]
    model = eqx.tree_at(
        lambda m: [getattr(getattr(m, a), b) for a, b in places],
        model,
        [params[a][b] for a, b in places],
    )
    tested = eqx.nn.inference_mode(model)
    both = {"axis_name": "batch", "in_axes": (0, None), "out_axes": (0, None)}

    def expected(model, state):
        return jax.vmap(lambda x, s: model(x, s, key=None), **both)(X, state)

    _, state_after = expected(eqx.tree_at(lambda m: m.drop.inference, model, True), state)
    _, after = passed(net, variables, route, train=True, key=jax.random.key(0))
    leaves = jax.tree.leaves(after["shared"]["state"])
    chex.assert_trees_all_close(leaves, jax.tree.leaves(state_after), rtol=1e-5)
    moved = variables._replace(stats=after)
    np.testing.assert_allclose(
        passed(net, moved, route)[0], expected(tested, state_after)[0], rtol=1e-5, atol=1e-6
    )


def test_functions_are_themselves():
    net, variables, route = plain(from_functions(nets.init, nets.apply))
    params = variables.params["shared"]
    params = {**params, "out": [params["out"]["0"]]}
    stats, key = variables.stats["shared"]["stats"], jax.random.key(2)
    found, after = passed(net, variables, route, train=True, key=key)
    expected, new = nets.apply(params, stats, X, True, stream(key, "drop", 0))
    np.testing.assert_array_equal(found, expected)
    chex.assert_trees_all_equal(after["shared"]["stats"], new)
    np.testing.assert_array_equal(
        passed(net, variables, route)[0], nets.apply(params, stats, X, False, None)[0]
    )


def told(name):
    """Modules that take the mode under a name and return it beside their features."""
    text = f"lambda self, x, {name}: self.out(x.reshape(len(x), -1)) + float({name})"

    class InLinen(linen.Module):
        def setup(self):
            self.out = linen.Dense(2)

        __call__ = eval(text)

    class InNNX(nnx.Module):
        def __init__(self, rngs):
            self.out = nnx.Linear(64, 2, rngs=rngs)

        __call__ = eval(text)

    return from_linen(InLinen()), from_nnx(InNNX)


@pytest.mark.parametrize(
    ("name", "in_training"),
    [("train", 1), ("training", 1), ("deterministic", 0), ("use_running_average", 0)],
)
def test_a_module_is_told_whether_it_trains(name, in_training):
    for network in told(name):
        net, variables, route = plain(network)
        testing = passed(net, variables, route)[0]
        training = passed(net, variables, route, train=True, key=jax.random.key(0))[0]
        np.testing.assert_allclose(training - testing, 2 * in_training - 1, rtol=1e-5)


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
    net, variables, route = plain(network, inputs)
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
    net, variables, route = plain(network, inputs)
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
    net, variables, route = plain(from_nnx(Shared), jax.ShapeDtypeStruct((4,), jnp.float32))
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


class Stateless(eqx.Module):
    layer: eqx.nn.Linear
    order: jax.Array

    def __init__(self, *, key):
        self.layer = eqx.nn.Linear(4, 2, key=key)
        self.order = jax.random.permutation(key, 4)

    def __call__(self, x):
        return self.layer(x[self.order])


def test_an_equinox_module_without_state_keeps_its_integers():
    net, variables, route = plain(from_equinox(Stateless), jax.ShapeDtypeStruct((4,), jnp.float32))
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

    net, variables, route = plain(
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
    net, variables, route = plain(from_linen(Noisy()), jax.ShapeDtypeStruct((4,), jnp.float32))
    one, other = (
        passed(net, variables, route, jnp.ones((2, 4)), train=True, key=jax.random.key(n))[0]
        for n in range(2)
    )
    assert (one != other).all()
