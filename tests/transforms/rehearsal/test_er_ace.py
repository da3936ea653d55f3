"""Asymmetric cross-entropy by hand on a linear model; which classes it knows."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from jaxcl.core.random import stream
from jaxcl.transforms import (
    Context,
    LossTransform,
    Step,
    TaskData,
    binary,
    chain,
    drawn,
    er_ace,
    gradients,
    squared,
)
from jaxcl.transforms.rehearsal.buffers import class_balanced, reservoir, ring
from jaxcl.transforms.rehearsal.made_examples import noise
from jaxcl.transforms.rehearsal.memory import fraction, per_class, stored

RNG = np.random.default_rng(0)
CLASSES, INPUTS = 6, 4
W = jnp.asarray(RNG.normal(size=(INPUTS, CLASSES)), jnp.float32)


def forward(w, batch):
    return batch["x"] @ w


def examples(n, seed, classes):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(n, INPUTS)), jnp.float32)
    return {"x": x, "label": jnp.asarray(rng.choice(classes, n), jnp.int32)}


OLD, NEW = examples(30, 1, [0, 1]), examples(12, 2, [2, 4])


def after(transform, key, tasks=(OLD,), new=NEW, w=W):
    state = transform.init(w)
    for data in tasks:
        task = TaskData(data, forward)
        state = transform.begin_task(state, w, task, key)
        state, _ = transform.end_task(state, w, task, key)
    return transform.begin_task(state, w, TaskData(new, forward), key)


def by_hand(batch, classes, w=W):
    """Loss and gradient of cross-entropy over some classes, in float64."""
    x, label = np.asarray(batch["x"], float), np.asarray(batch["label"])
    logits = np.full((len(x), CLASSES), -np.inf)
    logits[:, classes] = (x @ np.asarray(w, float))[:, classes]
    p = softmax(logits, axis=1)
    loss = -np.log(p[np.arange(len(x)), label]).mean()
    return loss, x.T @ (p - np.eye(CLASSES)[label]) / len(x)


def plain(outputs, batch):
    every = jax.nn.log_softmax(jnp.asarray(outputs, jnp.float32))
    return -jnp.take_along_axis(every, batch["label"][:, None], 1).mean()


def step(transform, state, key, batch=NEW, w=W):
    return gradients(transform, state, plain, Context(w, None, batch, key, forward), forward)


MEMORIES = {
    "all": fraction(1.0),
    "per_class": per_class(2),
    "reservoir": stored(reservoir(9)),
    "ring": stored(ring(9)),
    "class_balanced": stored(class_balanced(9, CLASSES)),
}


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
def test_without_memory_it_is_cross_entropy_of_the_classes_of_the_batch(memory, key):
    transform = er_ace(memory)
    for batch, classes in ((NEW, [2, 4]), ({n: x[:1] for n, x in NEW.items()}, None)):
        classes = classes or [int(batch["label"][0])]
        found = step(transform, after(transform, key, ()), key, batch)
        loss, gradient = by_hand(batch, classes)
        np.testing.assert_allclose(found.loss, loss, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.gradient, gradient, rtol=1e-4, atol=1e-6)
        assert float(found.metrics["replayed"]) == 0
        others = [c for c in range(CLASSES) if c not in classes]
        np.testing.assert_allclose(found.gradient[:, others], 0, atol=1e-7)


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
def test_remembered_examples_are_told_from_all_classes_seen(memory, key):
    """Those of the present task too; not from an output that no data has had, here 3 and 5."""
    transform = er_ace(memory)
    state = after(transform, key)
    np.testing.assert_array_equal(state.seen, [True, True, True, False, True])
    for i in range(5):
        own = jax.random.fold_in(key, i)
        found = step(transform, state, own)
        old = drawn(state.memory, stream(own, "er_ace"), len(NEW["x"]))
        (new_loss, new), (old_loss, replayed) = by_hand(NEW, [2, 4]), by_hand(old, [0, 1, 2, 4])
        np.testing.assert_allclose(found.loss, new_loss + old_loss, rtol=1e-5)
        np.testing.assert_allclose(found.metrics["incoming"], new_loss, rtol=1e-5)
        np.testing.assert_allclose(found.metrics["replayed"], old_loss, rtol=1e-5)
        np.testing.assert_allclose(found.gradient, new + replayed, rtol=1e-4, atol=1e-6)


def test_room_for_classes_to_come_changes_the_state_alone(key):
    wide, narrow = (er_ace(fraction(1.0), classes=classes) for classes in (CLASSES, None))
    states = [after(wide, key, tasks) for tasks in ((), (OLD,))]
    assert [len(state.seen) for state in states] == [CLASSES, CLASSES]
    found, other = step(wide, states[1], key), step(narrow, after(narrow, key), key)
    chex.assert_trees_all_equal(found.gradient, other.gradient)
    late = examples(12, 3, [CLASSES])
    assert len(after(wide, key, new=late).seen) == CLASSES + 1


def test_a_batch_with_every_class_is_learned_as_it_is(key):
    batch = examples(60, 3, CLASSES)
    found = step(er_ace(fraction(1.0)), after(er_ace(fraction(1.0)), key, (), batch), key, batch)
    np.testing.assert_allclose(found.loss, found.plain_loss, rtol=1e-6)
    np.testing.assert_allclose(found.gradient, found.loss_gradient, rtol=1e-5, atol=1e-7)


def test_what_was_added_to_the_loss_before_it_stays(key):
    added = LossTransform(lambda p: (), lambda loss, s, c: (loss + 3 * c.params.sum(), {}))
    for order in (("added", "ace"), ("ace", "added")):
        transform = chain(**{n: {"added": added, "ace": er_ace(fraction(1.0))}[n] for n in order})
        found = step(transform, after(transform, key, ()), key)
        loss, gradient = by_hand(NEW, [2, 4])
        np.testing.assert_allclose(found.loss, loss + 3 * W.sum(), rtol=1e-5)
        np.testing.assert_allclose(found.gradient, gradient + 3, rtol=1e-5)


def test_the_draw_is_as_large_as_is_said(key):
    sizes = []

    def noted(w, batch):
        sizes.append(len(batch["x"]))
        return forward(w, batch)

    for n, size in ((None, 12), (5, 5)):
        transform = er_ace(fraction(1.0), n=n)
        state, sizes[:] = after(transform, key), []
        transform.apply(jnp.float32(1), state, Context(W, forward(W, NEW), NEW, key, noted))
        assert sizes == [size]


def test_networks_side_by_side_give_what_each_gives_alone(key):
    transform = er_ace(stored(reservoir(9)))
    keys = jax.random.split(key, 3)
    states = [after(transform, own) for own in keys]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
    together = jax.vmap(lambda state, own: step(transform, state, own).gradient)(stacked, keys)
    for own, state, found in zip(keys, states, together, strict=True):
        np.testing.assert_allclose(found, step(transform, state, own).gradient, rtol=1e-5)


def test_classes_of_a_sequence_without_those_that_are_masked(key):
    x = jnp.asarray(RNG.normal(size=(3, 2, INPUTS)), jnp.float32)
    batch = {"x": x, "label": jnp.array([[2, -1], [4, 2], [-1, -1]], jnp.int32)}
    transform = er_ace(fraction(1.0))
    loss, _ = transform.apply(
        jnp.float32(0), after(transform, key, (), batch), Context(W, forward(W, batch), batch, key)
    )
    z = np.asarray(x, float) @ np.asarray(W, float)

    def one(i, t, y, classes):
        return np.log(np.exp(z[i, t, classes]).sum()) - z[i, t, y]

    def mean(classes):
        second = (one(1, 0, 4, classes) + one(1, 1, 2, classes)) / 2
        return (one(0, 0, 2, classes) + second) / 3

    np.testing.assert_allclose(loss, mean([2, 4]) - mean(list(range(CLASSES))), rtol=1e-4)


def test_examples_are_remembered_while_they_are_learned(key):
    """The first step has nothing to draw; the next draws what the first has offered."""
    transform = er_ace(stored(reservoir(20), online=True))
    state = after(transform, key, ())
    here = Context(W, forward(W, NEW), NEW, key, forward)
    first, metrics = transform.apply(plain(here.outputs, NEW), state, here)
    np.testing.assert_allclose(first, by_hand(NEW, [2, 4])[0], rtol=1e-5)
    assert float(metrics["replayed"]) == 0
    state = transform.update(state, Step(W, W, W, W, here))
    assert int(state.memory.filled) == len(NEW["x"])
    _, metrics = transform.apply(plain(here.outputs, NEW), state, here)
    old = drawn(state.memory, stream(key, "er_ace"), len(NEW["x"]))
    np.testing.assert_allclose(metrics["replayed"], by_hand(old, [2, 4])[0], rtol=1e-5)
    ended, _ = transform.end_task(state, W, TaskData(NEW, forward), key)
    chex.assert_trees_all_equal(ended.memory, state.memory._replace(earlier=None))
    chex.assert_trees_all_equal(ended.seen, state.seen)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: er_ace(fraction(1.0), n=0), "n: 0 is not positive"),
        (lambda: er_ace(noise()), "the memory keeps no examples with their labels"),
        (lambda: er_ace(fraction(1.0), objective=squared), "squared has no classes"),
        (lambda: er_ace(fraction(1.0), objective=binary), "binary has no classes"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_what_a_step_or_a_task_lacks_is_refused(key):
    transform = er_ace(stored(reservoir(9), online=True))
    state, task = after(transform, key, ()), TaskData(NEW, forward)
    with pytest.raises(ValueError, match="context: missing; give Step the context"):
        transform.update(state, Step(W, W, W, W))
    with pytest.raises(ValueError, match="update was not called in this task"):
        transform.end_task(state, W, task, key)
    with pytest.raises(ValueError, match="label: the task's data has no 'y'"):
        er_ace(fraction(1.0), label="y").begin_task(transform.init(W), W, task, key)
    kept = after(er_ace(fraction(1.0)), key)
    with pytest.raises(ValueError, match="needs key and forward"):
        er_ace(fraction(1.0)).apply(jnp.float32(0), kept, Context(W, forward(W, NEW), NEW))
