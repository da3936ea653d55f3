"""Growth of foreign networks: branches in their places, and what stays to the bit."""

import chex
import foreign_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from foreign_nets import INPUTS, X

from jaxcl.growth.heads import SETTINGS, View
from jaxcl.growth.parameters import add_branch, add_head, leaf_mask, merge
from jaxcl.growth.routing import check_activations, grow, layer_moments, select, split
from jaxcl.growth.sameness import difference
from jaxcl.growth.trainable import all_on_route, new_parts, shared_and_own_heads
from jaxcl.networks import from_functions
from jaxcl.networks.adapters import grown as of_grown
from jaxcl.networks.base import Pathway, Variables
from jaxcl.training.program import Program, start_phase
from jaxcl.training.step import make_step
from jaxcl.transforms import chain

KEY = jax.random.key(0)
LIBRARIES = list(nets.NETWORKS)


def two_tasks(network):
    """The network after two tasks have come: each with branches and a head of its own."""
    net = network.make(INPUTS)
    variables = net.init(KEY)
    for i, task in enumerate(("t00", "t01")):
        for layer in net.layers:
            source = "t00" if i else None
            key = jax.random.fold_in(KEY, i)
            variables = add_branch(net, variables, layer, task, key=key, source=source)
        variables = add_head(net, variables, task, 2, jax.random.fold_in(KEY, i))
    return net, variables


@pytest.fixture(scope="module", params=LIBRARIES)
def made(request):
    return two_tasks(nets.NETWORKS[request.param]())


def paths(net):
    return tuple(Pathway(task, (task,) * len(net.layers), task) for task in ("t00", "t01"))


def of(tree, layer, branch):
    return tree.get(layer, {}).get(branch, {})


def test_branches_are_copies_with_memory_and_statistics_of_their_own(made):
    net, variables = made
    for layer in net.layers:
        for tree in variables:
            one, other = of(tree, layer, "t00"), of(tree, layer, "t01")
            chex.assert_trees_all_equal(one, other)
            both = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
            assert all(a is not b for a, b in both)
            assert all(a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer() for a, b in both)


@pytest.mark.parametrize("first", ["t00", "t01"])
@pytest.mark.parametrize("second", ["t00", "t01"])
def test_a_route_puts_its_branches_in_their_places(first, second):
    """Marked by numbers: t00 is 0, t01 is 1, what is shared 2."""
    net, variables = two_tasks(nets.NETWORKS["linen"]())
    numbers = {"t00": 0.0, "t01": 1.0}

    def mark(path, leaf):
        found = [numbers[k.key] for k in path if getattr(k, "key", None) in numbers]
        return jnp.full_like(leaf, found[0] if found else 2.0)

    marked = jax.tree.map_with_path(mark, variables)
    grown = net.features.args[0]
    params, stats = of_grown.picked(grown, marked, (first, second))
    assert params.keys() == {"conv1", "norm1", "conv2", "norm2", "out"}
    assert set(np.asarray(params["conv1"]["kernel"]).ravel()) == {numbers[first]}
    assert set(np.asarray(params["norm1"]["scale"]).ravel()) == {numbers[second]}
    assert set(np.asarray(stats["batch_stats"]["norm1"]["mean"])) == {numbers[second]}
    for tree in (params["conv2"], params["out"], stats["batch_stats"]["norm2"]):
        assert all((leaf == 2).all() for leaf in jax.tree.leaves(tree))
    # The tree that was given is as it was: nothing is written into it.
    chex.assert_trees_all_equal(marked, jax.tree.map_with_path(mark, variables))
    assert "conv1" not in marked.params["shared"]


def trained(net, variables, trains, steps=2):
    """The variables after some steps of the second task."""
    pathways = paths(net)
    heads = ["t01"]
    mask = leaf_mask(variables.params, lambda path: trains(net, pathways[1], heads, path))
    optimizer = optax.sgd(0.1)
    view = View(net, pathways, SETTINGS["task"])
    program = Program(view, (1,), chain(), optimizer)
    state = start_phase(optimizer, variables, mask, chain().init(variables.params), KEY)
    n = len(X)
    batch = {"input": X, "label": jnp.arange(n) % 2, "task": jnp.ones(n, jnp.int32)}
    step = jax.jit(make_step(program))
    for _ in range(steps):
        state, _ = step(state, {**batch, "index": jnp.arange(n)})
    return merge(state.params, state.frozen), state.stats


def told(net, before, after, branch):
    """What the branches of a task, which are first in all networks, return before and after."""
    route = (branch,) * len(net.layers)
    return [net.activations(variables, X, route) for variables in (before, after)]


def assert_moved(net, after, before):
    """All statistics of the second task's branches, of which each network has some, are others."""
    both = [[of(stats, layer, "t01") for layer in net.layers] for stats in (after, before)]
    same = equal(*both)
    assert same
    assert not any(same)


def equal(one, other):
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return [bool((a == b).all()) for a, b in leaves]


def test_what_another_task_does_leaves_old_branches_and_their_statistics_to_the_bit(made):
    net, before = made
    params, stats = trained(net, before, shared_and_own_heads)
    for layer in net.layers:
        chex.assert_trees_all_equal(params[layer]["t00"], before.params[layer]["t00"])
        chex.assert_trees_all_equal(of(stats, layer, "t00"), of(before.stats, layer, "t00"))
        assert not all(equal(params[layer]["t01"], before.params[layer]["t01"]))
    assert_moved(net, stats, before.stats)
    old, new = (told(net, before, Variables(params, stats), task) for task in ("t00", "t01"))
    chex.assert_trees_all_equal(*old)
    assert not any(equal(*new))
    chex.assert_trees_all_equal(params["heads"]["t00"], before.params["heads"]["t00"])
    assert not any(equal(stats["shared"], before.stats["shared"]))


def heads_alone(net, pathway, heads, path):
    return path[0] == "heads" and path[1] in heads


def test_shared_statistics_move_where_something_shared_trains(made):
    net, before = made
    # A warm-up: the branches train, with what is shared as it is.
    params, stats = trained(net, before, new_parts)
    for one, other in ((params, before.params), (stats, before.stats)):
        chex.assert_trees_all_equal(one["shared"], other["shared"])
    assert_moved(net, stats, before.stats)
    # Feature extraction: nothing of the network moves.
    params, stats = trained(net, before, heads_alone)
    chex.assert_trees_all_equal(stats, before.stats)
    for part in (*net.layers, "shared"):
        chex.assert_trees_all_equal(params[part], before.params[part])
    assert not any(equal(params["heads"]["t01"], before.params["heads"]["t01"]))


def test_statistics_of_what_has_no_parameters_move_with_the_rest():
    """All parameters branch; a running mean stands beside them."""

    def init(key, inputs):
        return {"w": 0.1 * jax.random.normal(key, (64, 3))}, {"mean": jnp.zeros(3)}

    def apply(params, stats, inputs, train, key):
        x = inputs.reshape(len(inputs), -1) @ params["w"]
        new = {"mean": 0.9 * stats["mean"] + 0.1 * x.mean(0)}
        return x - stats["mean"], new if train else stats

    net, before = two_tasks(from_functions(init, apply, branches=("w",)))
    assert "shared" not in before.params
    _, stats = trained(net, before, all_on_route, steps=1)
    x = X.reshape(len(X), -1) @ before.params["w"]["t01"]
    np.testing.assert_allclose(stats["shared"]["stats"]["mean"], 0.1 * x.mean(0), rtol=1e-5)
    _, stats = trained(net, before, heads_alone)
    chex.assert_trees_all_equal(stats, before.stats)


@pytest.mark.parametrize(
    ("rule", "route"),
    [(split, ("t01", "t01")), (select(0.5), ("t00", "t01"))],
    ids=["split", "select"],
)
@pytest.mark.parametrize("library", ["linen", "nnx", "equinox"])
def test_layers_branch_by_the_rule(rule, route, library):
    network = nets.NETWORKS[library]()
    net = network.make(INPUTS)
    check_activations(net, INPUTS)
    start = {"similarity": lambda layer, branch: 0.9 if layer == "conv1" else 0.1}
    start |= {"classes": 2, "start": "copy", "key": KEY}
    first = grow(net, rule, net.init(KEY), task="t00", **start)
    second = grow(net, rule, first.variables, task="t01", **start)
    assert second.route == route
    assert difference(net, second.variables) is None


def test_activations_are_those_of_the_parts_in_evaluation():
    """For convolutions, all libraries: by hand, with channels at the end."""
    for library, weight in (("linen", "kernel"), ("nnx", "kernel"), ("equinox", "weight")):
        net, variables = two_tasks(nets.NETWORKS[library]())
        found = net.activations(variables, X, ("t01", "t01"))["conv1"]
        w, b = (variables.params["conv1"]["t01"][name] for name in (weight, "bias"))
        w = w.transpose(2, 3, 1, 0) if library == "equinox" else w
        # Equinox pads alike on both sides, Flax more at the end.
        around = ((1, 1), (1, 1)) if library == "equinox" else ((0, 1), (0, 1))
        numbers = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(X, w, (2, 2), around, dimension_numbers=numbers)
        np.testing.assert_allclose(found, x + b.ravel(), rtol=1e-5, atol=1e-5)
        moments = layer_moments(net, variables, ("t01", "t01"), np.asarray(X))
        rows = np.asarray(found).reshape(-1, 4)
        np.testing.assert_allclose(moments["conv1"].mean, rows.mean(0), rtol=1e-4, atol=1e-6)


def test_a_network_is_told_from_one_of_another_width():
    net, variables = two_tasks(nets.NETWORKS["linen"]())
    other = nets.from_linen(nets.Linen(width=3), branches=nets.BRANCHES).make(INPUTS)
    assert difference(net, variables) is None
    assert difference(other, variables) == (
        "params/conv1/t00/bias is float32 [3] in the network and float32 [4] in the run"
    )
    bare = nets.from_linen(nets.Linen()).make(INPUTS)
    assert "params/conv1/t00/bias is missing in the network" in difference(bare, variables)
    assert difference(net, bare.init(KEY)) == "conv1 is a layer of the network, and none of the run"
