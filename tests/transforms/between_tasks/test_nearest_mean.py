"""The nearest class mean by hand: means, distances, orders of tasks, portions, growth."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jaxcl.transforms import Context, TaskData, chain, ncm

WIDTH, N = 3, 24
RNG = np.random.default_rng(0)
V = jnp.asarray(RNG.normal(size=(4, WIDTH)), jnp.float32)
HEAD = jnp.asarray(RNG.normal(size=(WIDTH, 6)), jnp.float32)
PARAMS = {"v": V, "head": HEAD}


def features(params, batch):
    return batch["x"] @ params["v"]


def forward(params, batch):
    return features(params, batch) @ params["head"]


def examples(classes, task=0, seed=0, n=N):
    rng = np.random.default_rng(seed)
    return {
        "x": jnp.asarray(rng.normal(size=(n, 4)), jnp.float32),
        "label": jnp.asarray(np.resize(classes, n), jnp.int32),
        "task": jnp.full(n, task, jnp.int32),
    }


A, B, C = examples([0, 1], 0, 1), examples([2, 3, 4], 1, 2), examples([1, 5], 2, 3)
NEW = examples([0], 0, 9, n=7)


def through(transform, tasks, key, form=lambda data: data, of=features):
    state = transform.init(PARAMS)
    for data in tasks:
        task = TaskData(form(data), forward, features=of)
        state = transform.begin_task(state, PARAMS, task, key)
        state, params = transform.end_task(state, PARAMS, task, key)
        assert params is PARAMS
    return state


def scores(transform, state, batch, params=PARAMS, of=features):
    outputs = forward(params, batch)
    return transform.predict(state, Context(params, outputs, batch, features=of(params, batch)))


def by_hand(tasks, batch, unit=lambda x: x):
    """Minus the squared distance to the mean of each class, in float64; -inf without one."""
    every = [np.asarray(data["x"], float) @ np.asarray(V, float) for data in tasks]
    rows, labels = unit(np.concatenate(every)), np.concatenate([d["label"] for d in tasks])
    own, found = unit(np.asarray(batch["x"], float) @ np.asarray(V, float)), []
    for c in range(6):
        if c not in labels:
            found.append(np.full(len(own), -np.inf))
            continue
        mean = unit(rows[labels == c].mean(0, keepdims=True))
        found.append(-(cdist(own, mean)[:, 0] ** 2))
    return np.stack(found, 1)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("tasks", [[A], [A, B], [A, B, C]])
@pytest.mark.parametrize("normalise", [False, True])
def test_scores_by_hand(tasks, normalise, key):
    transform = ncm(normalise=normalise)
    found = jax.jit(lambda state: scores(transform, state, NEW))(through(transform, tasks, key))
    assert found.dtype == jnp.float32
    expected = by_hand(tasks, NEW, unit if normalise else lambda x: x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_mean_of_normalised_features_is_normalised_again(key):
    """Two features at right angles: a mean on the circle is as far from both."""
    data = {"x": jnp.array([[2.0, 0.0], [0.0, 5.0]]), "label": jnp.zeros(2, jnp.int32)}
    transform, of = ncm(normalise=True), lambda params, batch: batch["x"]
    task = TaskData(data, lambda params, batch: batch["x"], features=of)
    state, _ = transform.end_task(transform.init(()), (), task, key)
    here = Context((), data["x"], data, features=data["x"])
    found = transform.predict(state, here)[:, 0]
    np.testing.assert_allclose(found, -((1 - 0.5**0.5) ** 2 + 0.5), rtol=1e-6)


def test_a_feature_of_length_zero_has_a_score(key):
    transform = ncm(normalise=True)
    found = scores(transform, through(transform, [A], key), NEW | {"x": jnp.zeros((7, 4))})
    np.testing.assert_allclose(found[:, :2], -1, rtol=1e-6)


@pytest.mark.parametrize("by_task", [False, True])
def test_tasks_in_any_order_give_the_same_means(by_task, key):
    transform = ncm(by_task=by_task)
    one, other = (through(transform, tasks, key) for tasks in ([A, B, C], [C, A, B]))
    chex.assert_trees_all_close(one, other, rtol=1e-6)
    np.testing.assert_array_equal(one.counts, other.counts)


def test_classes_are_counted_and_the_state_grows_with_them(key):
    transform = ncm()
    shapes = [through(transform, [A, B, C][:k], key).counts for k in (1, 2, 3)]
    assert [x.tolist() for x in shapes] == [
        [[12, 12]], [[12, 12, 8, 8, 8]], [[12, 24, 8, 8, 8, 12]],
    ]  # fmt: skip
    assert transform.init(PARAMS) == (None, None)


def test_portions_of_what_lies_on_the_host_give_the_same(key, monkeypatch):
    whole = through(ncm(), [A, B], key)
    monkeypatch.setattr("jaxcl.core.batching.PORTION_BYTES", 5 * 24)
    parts = through(ncm(), [A, B], key, lambda data: jax.tree.map(np.asarray, data))
    chex.assert_trees_all_close(parts, whole, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    numbers = lambda params, batch: jnp.round(8 * features(params, batch))  # noqa: E731
    whole = through(ncm(), [A, B], key, of=numbers)  # whole numbers add up without rounding
    parts = through(ncm(), [A, B], key, lambda data: jax.tree.map(np.asarray, data), of=numbers)
    chex.assert_trees_all_equal(parts, whole)


def test_batches_that_are_filled_up_count_no_example_twice(key, monkeypatch):
    whole = through(ncm(), [B], key)
    monkeypatch.setattr("jaxcl.transforms.between_tasks.class_statistics.FEATURE_BATCH", 5)
    chex.assert_trees_all_close(through(ncm(), [B], key), whole, rtol=1e-6)


def test_logits_serve_until_a_task_has_ended(key):
    for transform in (ncm(), ncm(by_task=True), ncm(normalise=True)):
        state = transform.init(PARAMS)
        np.testing.assert_array_equal(scores(transform, state, NEW), forward(PARAMS, NEW))


def test_classes_that_were_not_seen_are_never_predicted(key):
    transform = ncm()
    found = scores(transform, through(transform, [B], key), examples([0], seed=5, n=300))
    assert set(np.asarray(found).argmax(-1).tolist()) == {2, 3, 4}
    assert np.all(np.isneginf(found[:, [0, 1, 5]]))


def test_more_classes_than_logits(key):
    transform = ncm()
    state = through(transform, [A, C], key)
    narrow = {**PARAMS, "head": HEAD[:, :2]}
    found = scores(transform, state, NEW, params=narrow)
    np.testing.assert_allclose(found, by_hand([A, C], NEW), rtol=1e-4, atol=1e-5)


def test_means_belong_to_a_tasks_own_classes(key):
    """The same labels in two tasks; of a task that has not ended the logits predict."""
    first, second = examples([0, 1], 0, 1), examples([0, 1, 2], 1, 2)
    transform = ncm(by_task=True)
    state = through(transform, [first, second], key)
    assert state.counts.tolist() == [[12, 12, 0], [8, 8, 8]]
    mixed = NEW | {"task": jnp.array([0, 1, 2, 0, 1, 2, 5], jnp.int32)}
    found, logits = scores(transform, state, mixed), forward(PARAMS, mixed)
    for k, tasks in enumerate([[first], [second]]):
        own = np.asarray(mixed["task"]) == k
        np.testing.assert_allclose(found[own], by_hand(tasks, mixed)[own], rtol=1e-4, atol=1e-5)
    own = np.asarray(mixed["task"]) >= 2
    np.testing.assert_array_equal(found[own], logits[own])


def test_a_class_that_comes_again_adds_to_its_mean(key):
    shared = [examples([0, 1], k, k) for k in range(3)]
    transform = ncm()
    found = scores(transform, through(transform, shared, key), NEW)
    np.testing.assert_allclose(found, by_hand(shared, NEW), rtol=1e-4, atol=1e-5)


def test_features_of_any_form_are_laid_out_in_one(key):
    def tree(params, batch):
        rows = features(params, batch)
        return {"a": rows[:, :1], "b": rows[:, 1:].reshape(-1, 1, 2)}

    transform = ncm()
    state = through(transform, [A, B], key, of=tree)
    found = scores(transform, state, NEW, of=tree)
    np.testing.assert_allclose(found, by_hand([A, B], NEW), rtol=1e-4, atol=1e-5)


def test_sums_of_features_in_bfloat16_are_float32(key):
    """In bfloat16 a sum of 300 ones stops at 256."""
    ones = lambda params, batch: jnp.ones((len(batch["x"]), 1), jnp.bfloat16)  # noqa: E731
    state = through(ncm(), [examples([0], n=300)], key, of=ones)
    assert state.sums.dtype == jnp.float32
    assert float(state.sums[0, 0, 0]) == 300


def test_near_means_far_from_zero_are_told_apart(key):
    """What is expanded, |x|^2 - 2 x m + |m|^2, is lost to rounding here."""
    x = 1000.0 + jnp.array([[0.0], [0.5]])
    data = {"x": x, "label": jnp.array([0, 1], jnp.int32)}
    task = TaskData(data, lambda p, batch: batch["x"], features=lambda p, batch: batch["x"])
    state, _ = ncm().end_task(ncm().init(()), (), task, key)
    found = ncm().predict(state, Context((), x, data, features=x))
    np.testing.assert_array_equal(found, [[0, -0.25], [-0.25, 0]])


def test_in_a_chain_it_predicts_from_its_own_state(key):
    transform = chain(ncm=ncm())
    found = scores(transform, through(transform, [A, B], key), NEW)
    np.testing.assert_allclose(found, by_hand([A, B], NEW), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="chain: one and two both predict; leave one out"):
        chain(one=ncm(), two=ncm())


def test_the_loss_is_what_it_was():
    found = ncm().apply(jnp.float32(2), ncm().init(PARAMS), Context(PARAMS, {}, {}))
    assert (float(found[0]), found[1]) == (2.0, {})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": A["x"], "y": A["label"]}, "label: the task's data has no 'label', it has x, y"),
        ({"x": A["x"], "label": jnp.zeros((N, 2), jnp.int32)}, "not a class for each example"),
        ({"x": A["x"], "label": jnp.zeros(N)}, r"float32 \(24,\) is not a class for each example"),
        (
            {"x": A["x"], "label": A["label"]},
            "task: the task's data has no 'task', it has x, label",
        ),
    ],
)
def test_data_that_it_cannot_use_is_refused_as_a_task_begins(data, message, key):
    transform = ncm(by_task=True)
    with pytest.raises(ValueError, match=message):
        transform.begin_task(transform.init(PARAMS), PARAMS, TaskData(data, forward), key)


def test_features_that_are_missing_are_missed(key):
    transform = ncm()
    with pytest.raises(ValueError, match="features: missing; give TaskData"):
        transform.end_task(transform.init(PARAMS), PARAMS, TaskData(A, forward), key)
    state, here = through(transform, [A], key), Context(PARAMS, forward(PARAMS, NEW), NEW)
    with pytest.raises(ValueError, match="features: missing; give Context"):
        transform.predict(state, here)
