"""L2 Init by hand: the gradient, what new weights are pulled to, whose memory the state is."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured

from jaxcl.learner.seed_loop import run
from jaxcl.transforms import Context, TaskData, l2_init

FIRST = {"w": jnp.array([1.0, -2.0]), "b": jnp.array([0.5])}
NOW = {"w": jnp.array([3.0, -2.0]), "b": jnp.array([-0.5])}
TASK = TaskData({}, lambda params, batch: {})


def loss(transform, state, params):
    return transform.apply(jnp.float32(7), state, Context(params, {}, {}))


def test_loss_and_gradient_by_hand():
    transform = l2_init(0.25)
    state = transform.init(FIRST)
    total, metrics = loss(transform, state, NOW)
    assert float(total) == 7 + 0.25 * (4 + 1)
    assert float(metrics["distance"]) == 5
    slope = jax.grad(lambda params: loss(transform, state, params)[0])(NOW)
    np.testing.assert_array_equal(slope["w"], [2 * 0.25 * 2, 0])
    np.testing.assert_array_equal(slope["b"], [2 * 0.25 * -1])


def test_the_first_values_stay_and_new_weights_have_their_own(key):
    """Over two tasks; a leaf that becomes larger keeps the first values of its old part."""
    transform = l2_init(1.0)
    state = transform.begin_task(transform.init(FIRST), FIRST, TASK, key)
    state, after = transform.end_task(state, NOW, TASK, key)
    assert after is NOW
    grown = {**NOW, "w": jnp.array([9.0, 9.0, 4.0]), "head": jnp.array([6.0])}
    state = transform.begin_task(state, grown, TASK, key)
    expected = {"w": [1, -2, 4], "b": [0.5], "head": [6]}
    chex.assert_trees_all_equal(
        state.initial, {name: jnp.array(x, jnp.float32) for name, x in expected.items()}
    )
    far = 8**2 + 11**2 + 0 + 1
    assert float(loss(transform, state, grown)[0]) == 7 + far


def test_the_state_has_memory_of_its_own(key):
    """A step is given parameters and state for good, so no array may be in both."""
    transform, grown = l2_init(1.0), {**FIRST, "new": jnp.ones(2)}
    for params, state in (
        (FIRST, transform.init(FIRST)),
        (grown, transform.begin_task(transform.init(FIRST), grown, TASK, key)),
    ):
        chex.assert_trees_all_equal(state.initial, params)
        held = {id(x) for x in jax.tree.leaves(state)}
        assert held.isdisjoint(id(x) for x in jax.tree.leaves(params))


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once")
@pytest.mark.parametrize("setting", ["domain", pytest.param("task", marks=pytest.mark.slow)])
def test_strength_zero_is_fine_tuning_to_the_bit_and_a_strong_pull_holds(setting, make_task):
    tasks = [make_task(f"bars{i}", n=60, seed=i) for i in range(2)]
    given = {"epochs": 2, "batch_size": 20, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (8,)}

    def after(method, **more):
        chosen = configured(method=method, setting=setting, **given, **more)
        ended = list(run(chosen, tasks))[-1]
        return ended.params

    free = after("finetune")
    chex.assert_trees_all_equal(free, after("l2_init", strength=0.0))
    held = after("l2_init", strength=100.0)
    first = list(
        run(configured(method="finetune", setting=setting, **given | {"lr": 1e-12}), tasks)
    )
    first = first[-1].params
    for name in first["heads"]:  # where each task has a head, each has its own first values
        far = [
            np.abs(x["heads"][name]["w"] - first["heads"][name]["w"]).mean() for x in (held, free)
        ]
        assert far[0] < far[1] / 3
    assert np.any(held["fc1"]["w"] != free["fc1"]["w"])


def test_what_is_refused():
    with pytest.raises(ValueError, match="strength: -1"):
        l2_init(-1.0)
    state = l2_init(1.0).init(FIRST)
    with pytest.raises(ValueError, match="once they have grown"):
        loss(l2_init(1.0), state, {**FIRST, "new": jnp.ones(1)})
