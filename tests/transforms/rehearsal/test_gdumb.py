"""A greedy balanced buffer against a plain loop, and an order of its own."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import Context, TaskData, gdumb
from jaxcl.transforms.rehearsal.buffers import greedy
from jaxcl.transforms.rehearsal.gdumb import content

W = jnp.zeros((2, 3))


def examples(labels, first=0):
    """Numbered, so that it shows which ones are kept."""
    labels = jnp.asarray(labels, jnp.int32)
    return {"x": jnp.arange(first, first + len(labels), dtype=jnp.int32), "label": labels}


def forward(w, batch):
    return jnp.zeros((len(batch["x"]), 3))


def after(transform, tasks, key):
    state = transform.init(W)
    for k, data in enumerate(tasks):
        own = jax.random.fold_in(key, k)
        state = transform.begin_task(state, W, TaskData(data, forward), own)
        state, w = transform.end_task(state, W, TaskData(data, forward), own)
        assert w is W
    return state


def counts_by_hand(labels, capacity, classes):
    """How many of each class, by the rule; a tie of the largest classes is given as None."""
    stored, offered = np.zeros(classes, int), set()
    for y in labels:
        new = y not in offered
        offered.add(y)
        if stored.sum() < capacity:
            stored[y] += 1
        elif new or stored[y] < capacity / len(offered):
            largest = np.flatnonzero(stored == stored.max())
            if len(largest) > 1:
                return None
            stored[largest[0]] -= 1
            stored[y] += 1
    return stored


@pytest.mark.parametrize("capacity", [3, 7, 10])
def test_the_counts_are_those_of_the_rule(capacity, key):
    storage, compared = greedy(capacity, 4), 0
    add = jax.jit(lambda data: storage.add(storage.init(data), data, key))
    for seed in range(60):
        rng = np.random.default_rng(seed)
        data = examples(rng.choice(4, 24, p=rng.dirichlet(np.ones(4))))
        expected = counts_by_hand(np.asarray(data["label"]), capacity, 4)
        buffer = add(data)
        assert int(buffer.filled) == capacity
        np.testing.assert_array_equal(data["label"][buffer.data["x"]], buffer.data["label"])
        assert len(set(buffer.data["x"].tolist())) == capacity
        if expected is not None:
            np.testing.assert_array_equal(np.bincount(buffer.data["label"], minlength=4), expected)
            compared += 1
    assert compared > 5


def test_a_class_that_has_its_share_keeps_the_examples_it_has(key):
    """It is no reservoir: later ones are not stored, whatever the key."""
    data = examples([0, 0, 1, 1, *[0, 1] * 20])
    for own in jax.random.split(key, 5):
        buffer = greedy(4, 2).add(greedy(4, 2).init(data), data, own)
        assert buffer.data["x"].tolist() == [0, 1, 2, 3]


def test_a_new_class_takes_rows_of_the_largest_each_as_often(key):
    data = examples([0] * 6 + [1] * 2 + [2])
    storage = greedy(8, 3)
    kept = jax.vmap(lambda own: storage.add(storage.init(data), data, own).data["x"])(
        jax.random.split(key, 600)
    )
    assert np.all((kept == 8).sum(1) == 1)
    gone = np.asarray([(kept != i).all(1).sum() for i in range(8)])
    assert gone[6:].tolist() == [0, 0]
    # Binomial(600, 1/6): 100 give or take 9.1.
    assert np.all(np.abs(gone[:6] - 100) < 4 * 9.1)


def test_ties_of_the_largest_classes_are_broken_at_random(key):
    data = examples([0, 0, 1, 1, 2])
    storage = greedy(4, 3)
    kept = jax.vmap(lambda own: storage.add(storage.init(data), data, own).data["x"])(
        jax.random.split(key, 400)
    )
    gone = np.asarray([(kept != i).all(1).sum() for i in range(4)])
    assert np.all(np.abs(gone - 100) < 4 * 8.7)


@pytest.mark.parametrize("room", [9, 30])
def test_as_many_of_each_class_of_all_tasks_so_far(room, key):
    transform = gdumb(room, 4)
    tasks = [examples([0, 1] * 6), examples([2, 3] * 6, first=12)]
    state = after(transform, tasks, key)
    found = content(state.memory)
    assert set(found) == {"x", "label"}
    assert len(found["x"]) == min(room, 24)
    share = min(room, 24) / 4
    assert np.all(np.abs(np.bincount(found["label"]) - share) < 1)
    labels = np.concatenate([data["label"] for data in tasks])
    np.testing.assert_array_equal(labels[found["x"]], found["label"])
    chex.assert_trees_all_equal(state, after(transform, tasks, key))
    if room == 9:
        other = content(after(transform, tasks, jax.random.key(7)).memory)
        assert np.any(other["x"] != found["x"])


def test_tasks_with_the_same_labels_have_room_each(key):
    tasks = [examples([0, 1] * 6, first=12 * k) | {"task": jnp.full(12, k)} for k in range(3)]
    for by_task, share in ((True, [4, 4, 4]), (False, [12, 0, 0])):
        found = content(after(gdumb(12, 6, by_task=by_task), tasks, key).memory)
        assert np.bincount(found["task"], minlength=3).tolist() == share


def test_rows_have_an_order_that_follows_from_what_they_hold(key):
    data = examples(np.random.default_rng(0).integers(0, 3, 20))
    data["x"] = jax.random.permutation(key, data["x"])  # so labels do not come in its order
    transform = gdumb(30, 3)
    found = []
    for seed in range(3):
        rows = np.random.default_rng(seed).permutation(20)
        parts = [
            {n: x[rows[:9]] for n, x in data.items()},
            {n: x[rows[9:]] for n, x in data.items()},
        ]
        found.append(content(after(transform, parts, jax.random.key(seed)).memory))
    chex.assert_trees_all_equal(*found)
    assert sorted(found[0]["x"].tolist()) == list(range(20))


def test_data_on_the_host_is_kept_alike(key):
    tasks = [examples([0, 1] * 6), examples([2, 3] * 6, first=12)]
    hosted = [{n: np.asarray(x) for n, x in data.items()} for data in tasks]
    transform = gdumb(9, 4)
    chex.assert_trees_all_equal(*(after(transform, each, key) for each in (tasks, hosted)))


def test_loss_and_weights_stay_as_they_are(key):
    transform = gdumb(9, 4)
    state = after(transform, [examples([0, 1] * 6)], key)
    loss, metrics = transform.apply(jnp.float32(0.7), state, Context(W, {}, {}))
    assert (float(loss), metrics) == (np.float32(0.7), {})


def test_what_cannot_be_is_refused(key):
    with pytest.raises(ValueError, match="capacity: 0 is not positive"):
        gdumb(0, 3)
    state = gdumb(9, 3).init(W)

    def begin(data, **named):
        gdumb(9, 3, **named).begin_task(state, W, TaskData(data, forward), key)

    with pytest.raises(ValueError, match="classes: 4 in the tasks so far, and 3 were said"):
        begin(examples([0, 3]))
    with pytest.raises(ValueError, match="label: the task's data has no 'y'"):
        begin(examples([0, 1]), label="y")
    with pytest.raises(ValueError, match="is not a class for each example"):
        begin({"x": jnp.zeros(2), "label": jnp.zeros((2, 2))})
