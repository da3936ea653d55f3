"""Shrink and perturb: moments of what is added, what is left alone, what others see."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.methods.base import StreamInfo
from jaxcl.methods.shrink_perturb import ShrinkPerturb
from jaxcl.transforms import Context, TaskData, chain, ewc, shrink_perturb

LARGE = {"a": {"w": jnp.full((200, 300), 2.0)}, "b": jnp.full(50_000, -1.0)}
SMALL = {"fc1": {"w": jnp.ones((3, 4)), "b": jnp.zeros(4)}, "heads": {"t00": {"w": jnp.ones(4)}}}
NOTHING = TaskData({}, lambda params, batch: batch)


def ended(transform, params, key):
    return transform.end_task(transform.init(params), params, NOTHING, key)[1]


def test_weights_shrink_and_get_normal_noise(key):
    after = ended(shrink_perturb(0.25, 3.0), LARGE, key)
    for before, x in zip(jax.tree.leaves(LARGE), jax.tree.leaves(after), strict=True):
        noise = (np.asarray(x) - 0.25 * np.asarray(before)) / 3
        n = noise.size
        assert abs(noise.mean()) < 4 / n**0.5
        assert abs(noise.std() - 1) < 4 / (2 * n) ** 0.5
        assert abs((noise**4).mean() - 3) < 4 * (96 / n) ** 0.5  # normal, not uniform


def test_without_noise_it_is_a_product(key):
    after = ended(shrink_perturb(0.25, 0.0), LARGE, key)
    chex.assert_trees_all_equal(after, jax.tree.map(lambda x: 0.25 * x, LARGE))


def test_strength_zero_changes_no_bit(key):
    odd = {"w": jnp.array([-0.0, 0.1, 1e-40, 3e38])}
    after = ended(shrink_perturb(1.0, 0.0), odd, key)
    assert np.asarray(after["w"]).tobytes() == np.asarray(odd["w"]).tobytes()


def test_leaves_get_draws_of_their_own_that_hang_on_their_names_alone(key):
    transform = shrink_perturb(0.0, 1.0)
    both = ended(transform, {"a": jnp.zeros(5), "b": jnp.zeros(5)}, key)
    assert np.all(both["a"] != both["b"])
    alone = ended(transform, {"b": jnp.ones(5)}, key)
    chex.assert_trees_all_equal(alone["b"], both["b"])
    other = ended(transform, {"b": jnp.ones(5)}, jax.random.key(1))
    named = ended(shrink_perturb(0.0, 1.0, name="other"), {"b": jnp.ones(5)}, key)
    assert np.all(alone["b"] != other["b"])
    assert np.all(alone["b"] != named["b"])


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_heads_stay_where_no_later_task_trains_them(setting, key):
    method = ShrinkPerturb(shrink=0.5, noise=0.0)
    transform = method.losses(StreamInfo(4, setting))["shrink_perturb"]
    after = ended(transform, SMALL, key)
    np.testing.assert_array_equal(after["fc1"]["w"], 0.5)
    np.testing.assert_array_equal(after["heads"]["t00"]["w"], 1.0 if setting == "task" else 0.5)


def test_what_is_chosen_is_told_the_names_that_lead_to_a_leaf(key):
    seen = []
    ended(shrink_perturb(chosen=lambda path: seen.append(path) or False), SMALL, key)
    assert seen == [("fc1", "b"), ("fc1", "w"), ("heads", "t00", "w")]


def test_the_loss_is_what_it_was():
    transform = shrink_perturb()
    loss, metrics = transform.apply(jnp.float32(2), transform.init(SMALL), Context(SMALL, {}, {}))
    assert (float(loss), metrics) == (2.0, {})


def test_what_comes_later_in_a_chain_sees_the_changed_weights(key):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)
    task = TaskData({"x": x}, lambda w, batch: batch["x"] @ w)
    w = jnp.arange(6.0).reshape(3, 2)
    made = {"ewc": ewc(1.0), "small": shrink_perturb(0.5, 0.0)}
    for order, anchor in ((("small", "ewc"), 0.5 * w), (("ewc", "small"), w)):
        transform = chain(**{name: made[name] for name in order})
        state, after = transform.end_task(transform.init(w), w, task, key)
        np.testing.assert_array_equal(after, 0.5 * w)
        np.testing.assert_array_equal(state["ewc"].anchor, anchor)


def test_numbers_are_leaves_of_the_state(key):
    transform = shrink_perturb()
    state = transform.init(SMALL)
    assert [float(x) for x in state] == [np.float32(0.6), np.float32(0.01)]
    _, after = transform.end_task(
        state._replace(shrink=jnp.float32(0.5), noise=jnp.float32(0)), SMALL, NOTHING, key
    )
    chex.assert_trees_all_equal(after, jax.tree.map(lambda x: 0.5 * x, SMALL))


def test_in_bfloat16_it_is_rounded_once(key):
    half = {"w": jnp.asarray(np.random.default_rng(0).normal(size=1000), jnp.bfloat16)}
    whole = jax.tree.map(lambda x: x.astype(jnp.float32), half)
    after, exact = (ended(shrink_perturb(0.6, 0.1), tree, key)["w"] for tree in (half, whole))
    assert after.dtype == jnp.bfloat16
    np.testing.assert_array_equal(after, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shrink": 1.1}, r"shrink: 1.1 is outside \[0, 1\]"),
        ({"shrink": -0.1}, "shrink: -0.1 is outside"),
        ({"shrink": float("nan")}, "shrink: nan is outside"),
        ({"noise": -1.0}, "noise: -1.0 is negative"),
    ],
)
def test_bad_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        shrink_perturb(**given)


def test_counters_are_no_parameters():
    with pytest.raises(ValueError, match="pass floating-point arrays alone"):
        shrink_perturb().init({"n": jnp.int32(3)})
