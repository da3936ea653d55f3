"""Room for all classes from the first task on changes no score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import Context, TaskData, ncm, ranpac, slda

MADE = {
    "ncm": ncm,
    "slda": slda,
    "ranpac": lambda **how: ranpac(16, ridge=1.0, **how),
}
CLASSES = 6


def task_of(*labels):
    """Examples whose features depend on their class."""
    label = np.repeat(labels, 5)
    noise = np.random.default_rng(labels[0]).normal(size=(len(label), 3))
    x = noise + np.eye(CLASSES)[label] @ np.random.default_rng(9).normal(size=(CLASSES, 3)) * 3
    data = {"x": jnp.asarray(x, jnp.float32), "label": jnp.asarray(label, jnp.int32)}
    return TaskData(
        data, lambda w, b: jnp.zeros((len(b["x"]), CLASSES)), features=lambda w, b: b["x"]
    )


def states(transform, tasks):
    state = transform.init({})
    for i, task in enumerate(tasks):
        state, _ = transform.end_task(state, {}, task, jax.random.key(0))
        yield i, state


@pytest.mark.parametrize("name", MADE)
def test_scores_are_the_same_with_and_without_room(name):
    tasks = [task_of(0, 1), task_of(2, 3, 4)]
    usual, roomy = MADE[name](), MADE[name](classes=CLASSES)
    x = jnp.concatenate([task.data["x"] for task in tasks])
    context = Context({}, jnp.zeros((len(x), CLASSES)), {"x": x}, features=x)
    pairs = zip(states(usual, tasks), states(roomy, tasks), strict=True)
    for (i, state), (_, other) in pairs:
        expected, found = (t.predict(s, context) for t, s in ((usual, state), (roomy, other)))
        assert found.shape == expected.shape == (len(x), CLASSES)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert np.isneginf(found).all(0).tolist() == [c >= (2, 5)[i] for c in range(CLASSES)]


@pytest.mark.parametrize("name", MADE)
def test_with_room_the_state_stays_as_large(name):
    tasks = [task_of(0, 1), task_of(2, 3, 4), task_of(5)]
    shapes = [jax.tree.map(jnp.shape, s) for _, s in states(MADE[name](classes=CLASSES), tasks)]
    assert shapes[0] == shapes[1] == shapes[2]
    usual = [jax.tree.map(jnp.shape, s) for _, s in states(MADE[name](), tasks)]
    assert usual[0] != usual[1]
    assert usual[2] == shapes[2]


@pytest.mark.parametrize("name", MADE)
def test_a_class_beyond_the_room_makes_more(name):
    ((_, state),) = states(MADE[name](classes=2), [task_of(0, 3)])
    assert state.counts.shape == (1, 4)
