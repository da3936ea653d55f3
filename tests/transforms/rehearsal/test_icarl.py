"""Exemplars, losses and predictions by hand, on a linear network with two layers."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from seen_from_behind import augmented, from_behind

from jaxcl.core.random import stream
from jaxcl.transforms import Context, TaskData, drawn, gradients, icarl
from jaxcl.transforms.rehearsal.herding import herding, in_use
from jaxcl.transforms.rehearsal.icarl import RESPONSES

RNG = np.random.default_rng(0)
CLASSES, INPUTS, WIDTH = 5, 4, 3


def params_of(seed):
    rng = np.random.default_rng(seed)
    shapes = {"f": (INPUTS, WIDTH), "w": (WIDTH, CLASSES)}
    return {name: jnp.asarray(rng.normal(size=x), jnp.float32) for name, x in shapes.items()}


OLD, MOVED = params_of(1), params_of(2)


def features(params, batch):
    return batch["x"] @ params["f"]


def forward(params, batch):
    return features(params, batch) @ params["w"]


def examples(n, seed, classes, task=0):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(n, INPUTS)), jnp.float32)
    labels = jnp.asarray(rng.permutation(np.resize(classes, n)), jnp.int32)
    return {"x": x, "label": labels, "task": jnp.full(n, task, jnp.int32)}


ONE, TWO = examples(20, 3, [0, 1]), examples(12, 4, [2, 4], task=1)


def task_of(data, **more):
    return TaskData(data, forward, features=features, **more)


def begun(transform, key, tasks, params=OLD):
    """As the last of these tasks has begun; the others have ended."""
    state = transform.begin_task(transform.init(params), params, task_of(tasks[0]), key)
    for data, after in itertools.pairwise(tasks):
        state, same = transform.end_task(state, params, task_of(data), key)
        assert same is params
        state = transform.begin_task(state, params, task_of(after), key)
    return state


def context(batch, key, params=MOVED, rows=None):
    rows = jnp.arange(len(batch["x"])) if rows is None else rows
    batch = {**{name: x[rows] for name, x in batch.items()}, "index": rows}
    given = {"features": features(params, batch)}
    return Context(params, forward(params, batch), batch, key, forward, **given)


def plain(outputs, batch):
    every = jax.nn.log_softmax(outputs)
    return -jnp.take_along_axis(every, batch["label"][:, None], 1).mean()


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, float)))


def outputs_by_hand(params, data):
    f = np.asarray(data["x"], float) @ np.asarray(params["f"], float)
    return f, f @ np.asarray(params["w"], float)


def loss_by_hand(data, seen, held=()):
    """Loss and gradient in the last layer: (sigmoid(z) - t) times the features, averaged."""
    f, z = outputs_by_hand(MOVED, data)
    target = np.eye(CLASSES)[np.asarray(data["label"])]
    target[:, list(held)] = sigmoid(outputs_by_hand(OLD, data)[1])[:, list(held)]
    p = sigmoid(z)
    each = -(target * np.log(p) + (1 - target) * np.log(1 - p))[:, seen]
    off = np.zeros_like(z)
    off[:, seen] = (p - target)[:, seen]
    return each.sum(1).mean(), f.T @ off / len(f)


def unit_by_hand(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def herded_by_hand(rows, m):
    """By the definition: every example that is left is tried."""
    mean, chosen = rows.mean(0), []
    for k in range(1, min(m, len(rows)) + 1):
        left = [i for i in range(len(rows)) if i not in chosen]
        far = [np.linalg.norm(mean - rows[[*chosen, i]].sum(0) / k) for i in left]
        chosen.append(left[int(np.argmin(far))])
    return chosen


@pytest.mark.parametrize("m", [1, 3, 8, 20])
def test_herding_is_what_trying_all_of_them_finds(m):
    for seed in range(20):
        rows = unit_by_hand(np.random.default_rng(seed).normal(size=(8, 3)))
        found = herding(rows, m)
        assert found.tolist() == herded_by_hand(rows, m)
        assert found.tolist() == herding(rows, 8).tolist()[:m]


def test_the_first_task_is_binary_cross_entropy_of_its_classes(key):
    """Outputs without data, here 1, 2 and 3, are asked for nothing."""
    data = examples(12, 4, [0, 4])
    transform = icarl(10)
    state = begun(transform, key, [data])
    here = context(data, key)
    found = gradients(transform, state, plain, here._replace(outputs=None), forward)
    loss, gradient = loss_by_hand(data, [0, 4])
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(found.gradient["w"], gradient, rtol=1e-4, atol=1e-5)
    assert float(found.metrics["replayed"]) == 0


def test_old_classes_are_held_by_the_old_responses(key):
    """Of new examples and exemplars, each as often as there are of them."""
    transform = icarl(6)
    state = begun(transform, key, [ONE, TWO])
    for i in range(4):
        own, rows = jax.random.fold_in(key, i), jax.random.permutation(key, 12)[i : i + 5]
        here = context(TWO, own, rows=rows)
        found = gradients(transform, state, plain, here._replace(outputs=None), forward)
        batch = {name: x[rows] for name, x in TWO.items()}
        old = drawn(state.exemplars, stream(own, "icarl"), 5)
        seen, held = [0, 1, 2, 4], [0, 1]
        parts = [loss_by_hand(data, seen, held) for data in (batch, old)]
        (new, of_new), (replayed, of_old) = parts
        r = 12 / (12 + 6)
        np.testing.assert_allclose(found.metrics["incoming"], new, rtol=1e-4)
        np.testing.assert_allclose(found.metrics["replayed"], replayed, rtol=1e-4)
        np.testing.assert_allclose(found.loss, r * new + (1 - r) * replayed, rtol=1e-4)
        expected = r * of_new + (1 - r) * of_old
        np.testing.assert_allclose(found.gradient["w"], expected, rtol=1e-3, atol=1e-5)


def test_where_classes_come_again_they_are_learned_by_their_labels(key):
    transform = icarl(6)
    again = examples(8, 9, [0, 1], task=1)
    state = begun(transform, key, [ONE, again])
    metrics = gradients(transform, state, plain, context(again, key)).metrics
    np.testing.assert_allclose(metrics["incoming"], loss_by_hand(again, [0, 1])[0], rtol=1e-4)


def test_tasks_with_heads_of_their_own(key):
    """New examples have labels alone, exemplars the old responses of their own head."""
    transform = icarl(6, by_task=True)
    state = begun(transform, key, [ONE, examples(12, 4, [0, 1], task=1)])
    assert state.old.recorded is None
    data = examples(12, 4, [0, 1], task=1)
    metrics = gradients(transform, state, plain, context(data, key)).metrics
    np.testing.assert_allclose(metrics["incoming"], loss_by_hand(data, [0, 1])[0], rtol=1e-4)
    old = drawn(state.exemplars, stream(key, "icarl"), 12)
    expected = loss_by_hand(old, [0, 1], [0, 1])[0]
    np.testing.assert_allclose(metrics["replayed"], expected, rtol=1e-4)


@pytest.mark.parametrize("by_task", [False, True])
def test_where_inputs_are_augmented_the_old_network_sees_what_the_new_one_does(by_task, key):
    """Here both see the inputs from behind, exemplars too, which are kept as they are."""
    transform = icarl(6, by_task=by_task)
    two = examples(12, 4, [0, 1], task=1) if by_task else TWO
    ended, _ = transform.end_task(begun(transform, key, [ONE]), OLD, task_of(ONE), key)
    state = transform.begin_task(ended, OLD, task_of(two, augmented=True), key)
    assert set(state.exemplars.data) == {"x", "label", "task"}

    here = augmented(context(two, key))
    metrics = gradients(transform, state, plain, here).metrics
    seen, held = ([0, 1], []) if by_task else ([0, 1, 2, 4], [0, 1])
    old = from_behind(drawn(state.exemplars, stream(key, "icarl"), 12))
    for name, data, of in (("incoming", from_behind(two), held), ("replayed", old, [0, 1])):
        expected, _ = loss_by_hand(data, seen, of)
        np.testing.assert_allclose(metrics[name], expected, rtol=1e-4)
    ended, _ = transform.end_task(state, OLD, task_of(two), key)
    assert not ended.old.teacher


def held(state):
    return in_use(state.exemplars, RESPONSES)


def exemplars_by_hand(data, label, m, params=OLD):
    rows = np.flatnonzero(np.asarray(data["label"]) == label)
    f = unit_by_hand(outputs_by_hand(params, data)[0])[rows]
    return np.asarray(data["x"])[rows[herded_by_hand(f, m)]]


@pytest.mark.parametrize(("capacity", "each"), [(8, (4, 2)), (11, (5, 2)), (200, (10, 6))])
def test_the_room_is_shared_and_old_classes_give_up_their_last_ones(capacity, each, key):
    transform = icarl(capacity)
    one = transform.end_task(begun(transform, key, [ONE]), OLD, task_of(ONE), key)[0]
    state = transform.begin_task(one, OLD, task_of(TWO), key)
    two = transform.end_task(state, MOVED, task_of(TWO), key)[0]
    for label in (0, 1):
        own = exemplars_by_hand(ONE, label, each[0])
        np.testing.assert_array_equal(held(one)["x"][held(one)["label"] == label], own)
        kept = held(two)["x"][held(two)["label"] == label]
        np.testing.assert_array_equal(kept, own[: capacity // 4])
    for label in (2, 4):
        own = exemplars_by_hand(TWO, label, min(6, capacity // 4), MOVED)
        np.testing.assert_array_equal(held(two)["x"][held(two)["label"] == label], own)
    assert len(held(two)["x"]) <= capacity
    assert RESPONSES in state.exemplars.data
    assert RESPONSES not in two.exemplars.data
    assert two.old.recorded is None


def test_classes_that_come_again_are_herded_among_all_that_there_are(key):
    transform, mixed = icarl(6), 0
    for seed in range(9, 15):
        again = examples(8, seed, [0], task=1)
        begins = begun(transform, key, [ONE, again])
        state, _ = transform.end_task(begins, OLD, task_of(again), key)
        first = exemplars_by_hand(ONE, 0, 3)
        pool = {"x": np.concatenate([first, again["x"]]), "label": np.zeros(11, int)}
        expected = [exemplars_by_hand(pool, 0, 3), exemplars_by_hand(ONE, 1, 3)]
        np.testing.assert_array_equal(held(state)["x"], np.concatenate(expected))
        assert held(state)["label"].tolist() == [0, 0, 0, 1, 1, 1]
        mixed += held(state)["task"][:3].tolist() in ([1, 0, 0], [1, 1, 0], [1, 0, 1])
    assert mixed


def test_the_nearest_mean_of_exemplars_predicts(key):
    transform = icarl(8)
    state, _ = transform.end_task(begun(transform, key, [ONE, TWO]), MOVED, task_of(TWO), key)
    means = np.full((CLASSES, WIDTH), np.nan)
    for label in (0, 1, 2, 4):
        own = np.asarray(held(state)["label"]) == label
        f = unit_by_hand(outputs_by_hand(MOVED, held(state))[0])[own]
        means[label] = unit_by_hand(f.mean(0))
    np.testing.assert_allclose(np.linalg.norm(state.means, axis=-1)[0, [0, 1, 2, 4]], 1, rtol=1e-6)
    data = examples(30, 8, [0, 1, 2, 4])
    rows = unit_by_hand(outputs_by_hand(MOVED, data)[0])
    expected = -((rows[:, None] - means) ** 2).sum(-1)
    scores = transform.predict(state, context(data, key))
    np.testing.assert_allclose(scores[:, [0, 1, 2, 4]], expected[:, [0, 1, 2, 4]], atol=1e-5)
    assert np.all(scores[:, 3] == -np.inf)
    first = transform.predict(begun(transform, key, [ONE]), context(data, key))
    np.testing.assert_array_equal(first, forward(MOVED, data))


def test_each_task_has_its_own_means_where_it_has_classes_of_its_own(key):
    transform, two = icarl(8, by_task=True), examples(12, 4, [0, 1], task=1)
    state, _ = transform.end_task(begun(transform, key, [ONE, two]), OLD, task_of(two), key)
    assert state.known.tolist() == [[True, True], [True, True]]
    for task in (0, 1):
        data = examples(30, 8, [0, 1], task)
        own = np.asarray(held(state)["task"]) == task
        f = unit_by_hand(outputs_by_hand(OLD, held(state))[0])
        labels = np.asarray(held(state)["label"])
        means = unit_by_hand(np.stack([f[own & (labels == c)].mean(0) for c in (0, 1)]))
        rows = unit_by_hand(outputs_by_hand(OLD, data)[0])
        expected = -((rows[:, None] - means) ** 2).sum(-1)
        scores = transform.predict(state, context(data, key, OLD))[:, :2]
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_data_on_the_host_is_kept_alike(key):
    hosted = [{n: np.asarray(x) for n, x in data.items()} for data in (ONE, TWO)]
    transform = icarl(8)
    chex.assert_trees_all_close(*(begun(transform, key, each) for each in ([ONE, TWO], hosted)))


def test_what_cannot_be_is_refused(key):
    for make, message in (
        (lambda: icarl(0), "capacity: 0 is not positive"),
        (lambda: icarl(4, n=0), "n: 0 is not positive"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    transform = icarl(1)
    state = begun(transform, key, [ONE])
    with pytest.raises(ValueError, match="capacity: 1 exemplars for 2 classes"):
        transform.end_task(state, OLD, task_of(ONE), key)
    with pytest.raises(ValueError, match="features: missing; give TaskData"):
        transform.end_task(state, OLD, TaskData(ONE, forward), key)
    bad = {"x": ONE["x"], "label": jnp.zeros((20, 2), jnp.int32)}
    with pytest.raises(ValueError, match="is not a class for each example"):
        transform.begin_task(state, OLD, task_of(bad), key)
    with pytest.raises(ValueError, match="context: icarl has examples pass beside the batch; take"):
        icarl(4).apply(jnp.float32(0), begun(icarl(4), key, [ONE, TWO]), context(TWO, key))
    ended, _ = icarl(4).end_task(begun(icarl(4), key, [ONE]), OLD, task_of(ONE), key)
    with pytest.raises(ValueError, match="features: missing; give Context"):
        icarl(4).predict(ended, context(ONE, key)._replace(features=None))
