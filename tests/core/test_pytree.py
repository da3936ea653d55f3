import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcl.core.pytree import Reset, copy, regrow, reset_moments, zeros_like

OLD = {"w": jnp.arange(6.0).reshape(2, 3), "heads": {"t00": jnp.array([7.0, 8.0])}}


def test_old_values_stay_and_new_leaves_come_from_the_larger_tree():
    like = {**jax.tree.map(jnp.zeros_like, OLD), "new": jnp.array([5.0])}
    like["heads"] = {"t00": jnp.zeros(2), "t01": jnp.full(3, 9.0)}
    expected = {**OLD, "new": jnp.array([5.0])}
    expected["heads"] = {"t00": OLD["heads"]["t00"], "t01": jnp.full(3, 9.0)}
    chex.assert_trees_all_equal(regrow(OLD, like), expected)


def test_a_leaf_that_has_grown_keeps_its_old_corner():
    like = {"w": -jnp.ones((3, 4)), "heads": {"t00": -jnp.ones(2)}}
    found = regrow(OLD, like)
    np.testing.assert_array_equal(found["w"], [[0, 1, 2, -1], [3, 4, 5, -1], [-1, -1, -1, -1]])
    np.testing.assert_array_equal(found["heads"]["t00"], [7, 8])
    np.testing.assert_array_equal(like["w"], -1)


def test_leaves_that_are_gone_are_left_out():
    chex.assert_trees_all_equal(regrow(OLD, {"w": jnp.zeros((2, 3))}), {"w": OLD["w"]})


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (1, 4), (6,), (2, 3, 1)])
def test_a_leaf_that_does_not_fit_is_refused_with_its_path(shape):
    old, new = {"a": {"w": OLD["w"]}}, {"a": {"w": jnp.zeros(shape)}}
    with pytest.raises(ValueError, match=r"\['a'\]\['w'\]: \(2, 3\) does not fit"):
        regrow(old, new)


def test_the_state_of_an_optimiser_grows_with_its_weights():
    optimiser = optax.adam(0.1)
    params = {"head": jnp.array([1.0, 2.0])}
    state = optimiser.init(params)
    for slope in (0.5, -2.0):
        _, state = optimiser.update(jax.tree.map(lambda w, s=slope: s * w, params), state, params)
    larger = {"head": jnp.array([1.0, 2.0, 3.0]), "new": jnp.array([4.0])}
    grown = regrow(state, optimiser.init(larger))
    assert int(grown[0].count) == 2
    # Two moving averages of gradients (0.5, 1) and (-2, -4), and of their squares.
    mean = np.array([0.9 * 0.1 * 0.5 - 0.1 * 2, 0.9 * 0.1 * 1 - 0.1 * 4])
    square = np.array([0.999 * 0.001 * 0.25 + 0.001 * 4, 0.999 * 0.001 * 1 + 0.001 * 16])
    np.testing.assert_allclose(grown[0].mu["head"], [*mean, 0], rtol=1e-5)
    np.testing.assert_allclose(grown[0].nu["head"], [*square, 0], rtol=1e-5)
    np.testing.assert_array_equal(grown[0].mu["new"], [0])
    change, _ = optimiser.update(zeros_like(larger), grown, larger)
    assert np.all(change["head"][:2] != 0)
    assert change["head"][2] == change["new"][0] == 0


def test_copies_and_zeros_have_memory_of_their_own():
    for made, values in ((copy(OLD), OLD), (zeros_like(OLD), jax.tree.map(lambda w: 0 * w, OLD))):
        chex.assert_trees_all_equal(made, values)
        for new, old in zip(jax.tree.leaves(made), jax.tree.leaves(OLD), strict=True):
            assert new.unsafe_buffer_pointer() != old.unsafe_buffer_pointer()


WEIGHTS = {"a": {"w": jnp.ones(2), "b": jnp.ones(1)}, "c": jnp.ones(3), "old": None}
WHERE = {"a": {"w": jnp.array([True, False]), "b": jnp.array(False)}}
WHERE |= {"c": jnp.array([False, True, True]), "old": jnp.array(True)}
RESET = Reset(WHERE, {**WEIGHTS, "old": jnp.ones(1)})


def with_ones(optimizer):
    """A state in which every number is one more than at the start."""
    return jax.tree.map(lambda x: x + jnp.ones_like(x), optimizer.init(WEIGHTS))


def test_moments_of_masked_parameters_are_reset_where_there_are_any():
    """A mask may hide a leaf or a whole part of the tree."""
    leaf = with_ones(optax.masked(optax.adam(0.1), {"a": {"w": True, "b": False}, "c": True,
                                                    "old": None}))  # fmt: skip
    part = with_ones(optax.masked(optax.adam(0.1), {"a": False, "c": True, "old": None}))
    for state, kept in ((leaf, [0, 1]), (part, None)):
        found = reset_moments(state, WEIGHTS, RESET)
        assert jax.tree.structure(found) == jax.tree.structure(state)
        adam = found.inner_state[0]
        assert int(adam.count) == 1
        for tree in (adam.mu, adam.nu):
            np.testing.assert_array_equal(tree["c"], [1, 0, 0])
            if kept:
                np.testing.assert_array_equal(tree["a"]["w"], kept)


def test_moments_of_several_optimisers_are_reset():
    parts = {"adam": optax.adam(0.1), "sgd": optax.sgd(0.1, momentum=0.9)}
    labels = {"a": {"w": "adam", "b": "sgd"}, "c": "sgd", "old": None}
    found = reset_moments(with_ones(optax.multi_transform(parts, labels)), WEIGHTS, RESET)
    adam, sgd = (found.inner_states[name].inner_state[0] for name in parts)
    np.testing.assert_array_equal(adam.mu["a"]["w"], [0, 1])
    np.testing.assert_array_equal(sgd.trace["a"]["b"], [1])
    np.testing.assert_array_equal(sgd.trace["c"], [1, 0, 0])


def test_an_optimiser_whose_moments_cannot_be_found_is_refused():
    state = with_ones(optax.flatten(optax.adam(0.1)))
    with pytest.raises(ValueError, match=r"^optimizer: its state has float32 \(6,\) .*; give one"):
        reset_moments(state, WEIGHTS, RESET)
