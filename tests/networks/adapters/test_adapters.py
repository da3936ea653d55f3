"""What is made of a module equals the module itself, in training and in evaluation."""

import chex
import equinox as eqx
import foreign_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from foreign_nets import X, grown, passed

from jaxcl.core.random import stream
from jaxcl.growth.parameters import add_branch, add_head
from jaxcl.networks import from_equinox, from_linen, from_nnx
from jaxcl.networks.adapters import from_functions

ROUTE = ("t00", "t00")


@pytest.fixture(scope="module", params=list(nets.NETWORKS))
def made(request):
    return grown(nets.NETWORKS[request.param]())


@pytest.mark.slow
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
    net, variables, route = grown(from_linen(nets.Linen()))
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
    net, variables, route = grown(from_nnx(lambda rngs: nets.NNX(rngs, rate=0.0)))
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
    net, variables, route = grown(from_equinox(nets.Equinox))
    model, state = eqx.nn.make_with_state(nets.Equinox)(key=jax.random.key(0))
    params = variables.params["shared"]
    places = [(a, b) for a in ("conv1", "norm1", "norm2", "out") for b in ("weight", "bias")]
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
    net, variables, route = grown(from_functions(nets.init, nets.apply))
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
