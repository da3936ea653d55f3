"""Replay from a buffer that is filled in every step, and draws of a size of their own."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.random import stream
from jaxcl.transforms import (
    Context,
    Step,
    TaskData,
    agem,
    der,
    der_pp,
    drawn,
    er_ace,
    gradients,
    replay,
)
from jaxcl.transforms.rehearsal.buffers import class_balanced, reservoir, ring
from jaxcl.transforms.rehearsal.memory import fraction, stored

RNG = np.random.default_rng(0)
W = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
DATA = {
    "x": jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32),
    "label": jnp.array([2, 0, 1, 1, 3, 0], jnp.int32),
}
STORAGES = {"reservoir": reservoir(8), "ring": ring(8), "class_balanced": class_balanced(8, 4)}


def forward(w, batch):
    return batch["x"] @ w


def begun(transform, key):
    return transform.begin_task(transform.init(W), W, TaskData(DATA, forward), key)


def context(key, w=W, batch=DATA):
    return Context(
        w, forward(w, batch), {**batch, "index": jnp.arange(len(batch["x"]))}, key, forward
    )


def updated(transform, state, key):
    return transform.update(state, Step(W, W, W, W, context(key)))


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_every_step_offers_its_batch_in_a_compiled_loop(storage, key):
    transform = replay(stored(storage, online=True))

    def step(state, own):
        state = updated(transform, state, own)
        return state, (state.memory.filled, state.memory.seen.sum())

    keys = jax.random.split(key, 3)
    run = jax.jit(lambda state: jax.lax.scan(step, state, keys))
    state, (filled, seen) = run(begun(transform, key))
    np.testing.assert_array_equal(seen, [6, 12, 18])
    np.testing.assert_array_equal(filled, [6, 8, 8])
    by_hand = storage.init(DATA)
    for own in keys:
        by_hand = storage.add(by_hand, DATA, stream(own, "replay", 1))
    ended, _ = transform.end_task(state, W, TaskData(DATA, forward), key)
    chex.assert_trees_all_equal(ended.memory, by_hand)


def test_the_first_task_stays_as_it_is_unless_a_weight_is_given(key):
    """By default r = 1 / 1; a weight holds once there is anything to draw."""
    for weight, r in ((None, 1.0), (0.3, 0.3), (0.0, 0.0)):
        transform = replay(stored(reservoir(8), online=True), weight=weight)
        state = begun(transform, key)

        def loss(w, state, transform=transform):
            return transform.apply(jnp.sum(jnp.sin(w)), state, context(key, w))

        plain = jax.value_and_grad(lambda w: jnp.sum(jnp.sin(w)))(W)
        (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(W, state)
        chex.assert_trees_all_equal((value, gradient), plain)
        assert float(metrics["replayed"]) == 0
        state = updated(transform, state, key)
        (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(W, state)
        old = drawn(state.memory, stream(key, "replay"), 6)

        def of_old(w, old=old):
            every = jax.nn.log_softmax(forward(w, old))
            return -jnp.take_along_axis(every, old["label"][:, None], 1).mean()

        replayed, of_replayed = jax.value_and_grad(of_old)(W)
        np.testing.assert_allclose(metrics["replayed"], replayed, rtol=1e-5)
        np.testing.assert_allclose(value, r * plain[0] + (1 - r) * replayed, rtol=1e-5)
        mixed = r * plain[1] + (1 - r) * of_replayed
        np.testing.assert_allclose(gradient, mixed, rtol=1e-4, atol=1e-6)
        if weight is None:
            chex.assert_trees_all_equal((value, gradient), plain)


def test_the_next_task_goes_on_with_the_buffer(key):
    transform = replay(stored(reservoir(8), online=True))
    state = updated(transform, begun(transform, key), key)
    ended, w = transform.end_task(state, W, TaskData(DATA, forward), key)
    assert w is W
    chex.assert_trees_all_equal(ended.memory, state.memory._replace(earlier=None))
    again = transform.begin_task(ended, W, TaskData(DATA, forward), key)
    chex.assert_trees_all_equal(again.memory, ended.memory._replace(earlier=jnp.int32(6)))
    assert int(again.tasks) == 1


@pytest.mark.parametrize("memory", [fraction(1.0), stored(reservoir(4))])
def test_the_draw_is_as_large_as_the_batch_or_as_is_said(memory, key):
    sizes = []

    def noted(w, batch):
        sizes.append(len(batch["x"]))
        return forward(w, batch)

    for n, size in ((None, 6), (1, 1), (20, 20)):
        transform = replay(memory, n=n)
        state, sizes[:] = begun(transform, key), []
        state, _ = transform.end_task(state, W, TaskData(DATA, forward), key)
        _, metrics = transform.apply(jnp.float32(0), state, context(key)._replace(forward=noted))
        assert sizes == [size]
        old = drawn(state.memory, stream(key, "replay"), size)
        every = -jax.nn.log_softmax(forward(W, old))[jnp.arange(size), old["label"]]
        np.testing.assert_allclose(metrics["replayed"], every.mean(), rtol=1e-5)


@pytest.mark.parametrize("make", [replay, er_ace])
def test_each_task_has_steps_of_its_own(make, key):
    """What earlier tasks left in the buffer does not stand for a task that offered nothing."""
    transform, task = make(stored(reservoir(4), online=True)), TaskData(DATA, forward)
    state = transform.init(W)
    for _ in range(2):  # more than there is room for, so that rows no longer tell
        state = updated(transform, transform.begin_task(state, W, task, key), key)
        state, _ = transform.end_task(state, W, task, key)
    with pytest.raises(ValueError, match="update was not called in this task"):
        transform.end_task(transform.begin_task(state, W, task, key), W, task, key)


def test_a_task_that_an_older_checkpoint_left_can_be_ended(key):
    transform = replay(stored(reservoir(8), online=True))
    state = updated(transform, begun(transform, key), key)
    state = state._replace(memory=state.memory._replace(earlier=None))
    ended, _ = transform.end_task(updated(transform, state, key), W, TaskData(DATA, forward), key)
    assert int(ended.memory.filled) == 8


def test_what_cannot_be_is_refused(key):
    online = stored(reservoir(8), online=True)
    transform = replay(online)
    with pytest.raises(ValueError, match="context: missing; give Step the context of the step"):
        transform.update(begun(transform, key), Step(W, W, W, W))
    with pytest.raises(ValueError, match="update was not called in this task"):
        transform.end_task(begun(transform, key), W, TaskData(DATA, forward), key)
    with pytest.raises(ValueError, match="n: 0 is not positive"):
        replay(online, n=0)
    with pytest.raises(ValueError, match="agem: the memory is filled in every step"):
        agem(online)


@pytest.mark.parametrize("name", ["der", "der_pp", "replay", "er_ace"])
def test_an_empty_memory_asks_nothing_of_the_network(name, key):
    """Its rows are zeros, at which this network, which divides by the input's length, is NaN."""
    online = stored(reservoir(8), online=True)
    made = {
        "der": der(8, 4),
        "der_pp": der_pp(8, 4),
        "replay": replay(online),
        "er_ace": er_ace(online),
    }
    transform = made[name]

    def of_directions(w, batch):
        return forward(w, {"x": batch["x"] / jnp.linalg.norm(batch["x"], axis=1, keepdims=True)})

    told = TaskData(DATA, of_directions)
    state = transform.begin_task(transform.init(W), W, told, key)
    for _ in range(2):
        now = Context(W, None, DATA, key, of_directions)
        found = gradients(transform, state, lambda y, b: jnp.sum(jnp.sin(y)), now, of_directions)
        chex.assert_tree_all_finite((found.loss, found.gradient))
        state = transform.update(state, found.step(W))
