import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import add_branch, add_head, first_params, logits

from jaxcl.growth.parameters import (
    leaf_mask,
    merge,
    partition,
    restarted,
    task_index,
    task_name,
    weights,
)
from jaxcl.networks import Pathway, cnn, columns

NET = cnn(size=12, filters=(4, 5), hidden=6)


@pytest.fixture
def params(key):
    params = first_params(NET, key)
    for layer in NET.layers:
        params = add_branch(NET, params, layer, "t00", key=key)
    return add_head(NET, params, "t00", 3, key)


def test_growth_keeps_the_old_leaves_and_writes_nothing_in_place(params, key):
    before = jax.tree.map(np.asarray, params)
    grown = add_head(NET, params, "t01", 4, key)
    grown = add_branch(NET, grown, "conv2", "t01", key=key, source="t00")
    chex.assert_trees_all_equal(params, before)
    assert grown["conv2"]["t00"]["w"] is params["conv2"]["t00"]["w"]
    assert grown["fc1"] is params["fc1"]
    assert sorted(grown["heads"]) == ["t00", "t01"]


def test_a_copied_branch_has_the_same_values_in_memory_of_its_own(params, key):
    grown = add_branch(NET, params, "conv1", "t01", key=key, source="t00")
    chex.assert_trees_all_equal(grown["conv1"]["t01"], params["conv1"]["t00"])
    old, new = grown["conv1"]["t00"]["w"], grown["conv1"]["t01"]["w"]
    assert old.unsafe_buffer_pointer() != new.unsafe_buffer_pointer()


def test_a_fresh_branch_has_values_of_its_own(params):
    grown = add_branch(NET, params, "conv1", "t01", key=jax.random.key(7))
    assert np.all(grown["conv1"]["t01"]["w"] != params["conv1"]["t00"]["w"])
    # He-normal: variance 2 / fan-in.
    big = cnn(filters=(32, 64)).new_branch(jax.random.key(0), "conv2", ()).params["w"]
    assert np.var(big) == pytest.approx(2 / (9 * 32), rel=0.05)


def test_what_cannot_grow_is_refused(params, key):
    with pytest.raises(ValueError, match="'t00' exists already"):
        add_head(NET, params, "t00", 3, key)
    with pytest.raises(ValueError, match="'t00' exists already"):
        add_branch(NET, params, "conv1", "t00", key=key)
    with pytest.raises(ValueError, match="'fc1' cannot branch; choose from conv1, conv2"):
        add_branch(NET, params, "fc1", "t01", key=key)
    with pytest.raises(ValueError, match="conv1 has no branch 't05'; it has t00"):
        add_branch(NET, params, "conv1", "t01", key=key, source="t05")
    with pytest.raises(ValueError, match="at least 1"):
        add_head(NET, params, "t01", 0, key)


def test_partition_and_merge_are_inverse(params):
    mask = leaf_mask(params, lambda path: path[0] == "heads")
    chosen, rest = partition(params, mask)
    assert len(jax.tree.leaves(chosen)) == 2
    assert len(jax.tree.leaves(rest)) == len(jax.tree.leaves(params)) - 2
    chex.assert_trees_all_equal(merge(chosen, rest), params)


def test_weights_of_the_paper_for_a_split(key):
    net = cnn()
    params = first_params(net, key)
    for task in ("t00", "t01"):
        for layer in net.layers:
            params = add_branch(net, params, layer, task, key=key)
        params = add_head(net, params, task, 10, key)
    assert weights(net, params) == {
        "total": 2 * 19_392 + 1_605_760 + 2 * 1_290,
        "added": 19_392,
        "heads": 2 * 1_290,
    }


@pytest.mark.parametrize("net", [NET, columns(size=12, filters=(4, 5), hidden=(6,))])
def test_a_tree_that_is_restarted_has_the_same_shapes_and_fresh_weights(net, key):
    old = first_params(net, key)
    for i, task in enumerate(("t00", "t01")):
        for layer in net.layers:
            old = add_branch(net, old, layer, task, key=jax.random.fold_in(key, i))
        old = add_head(net, old, task, 2 + i, jax.random.fold_in(key, 9 + i))
    old = jax.tree.map(lambda w: w + 0.1, old)
    before = jax.tree.map(np.asarray, old)
    new, again, other = (restarted(net, old, jax.random.key(i)).params for i in (5, 5, 6))
    chex.assert_trees_all_equal(old, before)
    chex.assert_trees_all_equal(new, again)
    chex.assert_trees_all_equal_shapes_and_dtypes(new, old)
    starts = set()
    for (path, w), was, elsewhere in zip(
        jax.tree_util.tree_leaves_with_path(new),
        jax.tree.leaves(old),
        jax.tree.leaves(other),
        strict=True,
    ):
        if w.ndim == 1:  # biases, and the scales of adapters
            np.testing.assert_array_equal(w, float(path[-1].key == "scale"))
            continue
        assert np.all(w != was), path
        assert np.all(w != elsewhere), path
        starts.add(tuple((np.ravel(w)[:5] * np.sqrt(w.size / w.shape[-1])).round(3)))
    # No two layers, branches or heads begin alike, but for their scale.
    assert len(starts) == sum(leaf.ndim > 1 for leaf in jax.tree.leaves(new))


def test_names_sort_in_the_order_of_tasks():
    """As text, since JAX sorts the keys of a dict so."""
    names = [task_name(index) for index in range(1_001)]
    assert sorted(names) == names
    assert len(set(names)) == len(names)
    assert [task_index(name) for name in names] == list(range(1_001))
    tree = dict.fromkeys(reversed(names), 0)
    assert [path[0].key for path, _ in jax.tree_util.tree_leaves_with_path(tree)] == names


def test_a_column_that_comes_after_a_hundred_sees_those_before(key):
    net, images = columns(size=1, channels=2, filters=(), hidden=(1, 1)), jnp.ones((1, 1, 1, 2))
    params, routes = first_params(net, key), ()
    for index in range(98, 102):
        name = task_name(index)
        params = add_branch(net, params, "column", name, key=jax.random.fold_in(key, index))
        routes = (*routes, Pathway(name, (name,), name))
    params = add_head(net, params, name, 2, key)
    assert logits(net, params, images, routes[-1:])[name].shape == (1, 2)
