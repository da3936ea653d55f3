"""RanPAC is the ridge solution on all examples at once, in whatever order tasks come."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from jaxcl.core.random import stream
from jaxcl.transforms import Context, TaskData, ranpac
from jaxcl.transforms.between_tasks import random_projection

WIDTH, N, UNITS = 3, 24, 20
RNG = np.random.default_rng(0)
PARAMS = {"v": jnp.asarray(RNG.normal(size=(4, WIDTH)), jnp.float32)}
HEAD = jnp.asarray(RNG.normal(size=(WIDTH, 6)), jnp.float32)


def features(params, batch):
    return batch["x"] @ params["v"]


def forward(params, batch):
    return features(params, batch) @ HEAD


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
    for number, data in enumerate(tasks):
        task, own = TaskData(form(data), forward, features=of), stream(key, "task", number)
        state = transform.begin_task(state, PARAMS, task, own)
        state, params = transform.end_task(state, PARAMS, task, own)
        assert params is PARAMS
    return state


def scores(transform, state, batch, of=features):
    outputs = forward(PARAMS, batch)
    return transform.predict(state, Context(PARAMS, outputs, batch, features=of(PARAMS, batch)))


def hidden(projection, *batches):
    rows = np.concatenate([np.asarray(data["x"], float) for data in batches])
    return np.maximum(rows @ np.asarray(PARAMS["v"], float) @ np.asarray(projection, float), 0)


def by_hand(projection, tasks, batch, ridge, classes=6):
    """All examples at once, in float64: the solution of scikit-learn."""
    labels = np.concatenate([data["label"] for data in tasks])
    fitted = Ridge(alpha=ridge, fit_intercept=False, solver="cholesky")
    fitted.fit(hidden(projection, *tasks), np.eye(classes)[labels])
    found = fitted.predict(hidden(projection, batch))
    found[:, sorted(set(range(classes)) - set(labels.tolist()))] = -np.inf
    return found


@pytest.mark.parametrize("tasks", [[A], [A, B], [A, B, C], [C, A, B]])
@pytest.mark.parametrize("ridge", [1.0, 1e3])
def test_it_is_ridge_regression_on_all_examples_at_once(tasks, ridge, key):
    transform = ranpac(UNITS, ridge)
    state = through(transform, tasks, key)
    found = jax.jit(lambda state: scores(transform, state, NEW))(state)
    assert found.dtype == jnp.float32
    expected = by_hand(state.projection, tasks, NEW, ridge)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * 1e-2)


def shares(data, classes=6):
    """Which examples are held out: the second, the seventh, ... of each class."""
    labels, held = np.asarray(data["label"]), np.zeros(len(data["label"]), bool)
    for k in range(classes):
        held[np.flatnonzero(labels == k)[1::5]] = True
    return held


def squared_errors(projection, tasks, classes=6):
    """Of each power of ten: the sum over the examples that are held out, by scikit-learn."""
    inputs, held = hidden(projection, *tasks), np.concatenate([shares(data) for data in tasks])
    hot = np.eye(classes)[np.concatenate([data["label"] for data in tasks])]
    found = {}
    for power in range(-8, 9):
        fitted = Ridge(alpha=10.0**power, fit_intercept=False, solver="svd")
        fitted.fit(inputs[~held], hot[~held])
        found[10.0**power] = ((fitted.predict(inputs[held]) - hot[held]) ** 2).sum()
    return found


@pytest.mark.parametrize("tasks", [[A], [A, B, C]])
def test_lambda_is_the_best_on_a_fifth_of_each_class(tasks, key):
    transform = ranpac(UNITS)
    assert np.isnan(transform.init(PARAMS).ridge)
    state = through(transform, tasks, key)
    errors = squared_errors(state.projection, tasks)
    ridge = min(errors, key=errors.get)
    assert 1e-8 < ridge < 1e8  # neither the first nor the last of them
    assert float(state.ridge) == pytest.approx(ridge)
    inputs = hidden(state.projection, *tasks)[np.concatenate([shares(data) for data in tasks])]
    np.testing.assert_allclose(state.held.gram, inputs.T @ inputs, rtol=1e-5, atol=1e-4)
    held = np.concatenate([np.asarray(data["label"])[shares(data)] for data in tasks])
    counts = np.asarray(state.held.counts)[0]
    np.testing.assert_array_equal(counts, np.bincount(held, minlength=len(counts)))
    # The weights are those of all examples.
    expected = by_hand(state.projection, tasks, NEW, ridge)
    found = scores(transform, state, NEW)
    np.testing.assert_allclose(found[:, :2], expected[:, :2], rtol=1e-3, atol=1e-5)


def test_lambda_cannot_be_chosen_where_each_class_has_one_example(key):
    with pytest.raises(ValueError, match="no class has two examples, so none can be held out"):
        through(ranpac(UNITS), [examples([0, 1], n=2)], key)


@pytest.mark.parametrize("ridge", [None, 1e4])
@pytest.mark.parametrize("by_task", [False, True])
def test_tasks_in_any_order_end_the_same(by_task, ridge, key):
    transform = ranpac(UNITS, ridge, by_task=by_task)
    one, other = (through(transform, tasks, key) for tasks in ([A, B, C], [C, A, B]))
    chex.assert_trees_all_close(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(one.counts, other.counts)


@pytest.mark.slow
def test_the_projection_is_standard_normal_and_stays(key):
    transform = ranpac(400, 1.0)
    one, three = (through(transform, tasks, key).projection for tasks in ([A], [A, B, C]))
    np.testing.assert_array_equal(one, three)
    assert one.shape == (WIDTH, 400)
    np.testing.assert_allclose([one.mean(), one.std()], [0, 1], atol=0.1)
    other = through(ranpac(400, 1.0), [A], jax.random.key(1)).projection
    assert np.all(other != one)


def test_few_examples_at_once_and_portions_give_the_same(key, monkeypatch):
    whole = through(ranpac(UNITS), [A, B], key)
    monkeypatch.setattr(random_projection, "ROWS", 7)
    chex.assert_trees_all_close(through(ranpac(UNITS), [A, B], key), whole, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr("jaxcl.core.batching.PORTION_BYTES", 5 * 24)
    parts = through(ranpac(UNITS), [A, B], key, lambda data: jax.tree.map(np.asarray, data))
    chex.assert_trees_all_close(parts, whole, rtol=1e-5, atol=1e-6)


def test_logits_serve_until_a_task_has_ended(key):
    for transform in (ranpac(UNITS), ranpac(UNITS, by_task=True)):
        state = transform.init(PARAMS)
        np.testing.assert_array_equal(scores(transform, state, NEW), forward(PARAMS, NEW))


def test_a_task_has_classes_of_its_own_in_one_regression(key):
    """The same labels in two tasks; of a task that has not ended the logits predict."""
    first, second = examples([0, 1], 0, 1), examples([0, 1, 2], 1, 2)
    transform = ranpac(UNITS, 2.0, by_task=True)
    state = through(transform, [first, second], key)
    assert state.counts.tolist() == [[12, 12, 0], [8, 8, 8]]
    mixed = NEW | {"task": jnp.array([0, 1, 2, 0, 1, 2, 5], jnp.int32)}
    found, logits = scores(transform, state, mixed), forward(PARAMS, mixed)
    apart = [first, second | {"label": second["label"] + 2}]
    expected = by_hand(state.projection, apart, mixed, 2.0)
    for k, own in enumerate((expected[:, :2], expected[:, 2:5])):
        mine = np.asarray(mixed["task"]) == k
        np.testing.assert_allclose(found[mine][:, : k + 2], own[mine], rtol=1e-4, atol=1e-5)
        assert np.all(np.isneginf(found[mine][:, k + 2 :]))
    rest = np.asarray(mixed["task"]) >= 2
    np.testing.assert_array_equal(found[rest], logits[rest])


def test_a_lambda_that_rounding_leaves_nothing_of_is_refused(key):
    large = lambda params, batch: 1e4 * features(params, batch)  # noqa: E731
    message = "ridge: 1e-09 is too small for these features; give more"
    with pytest.raises(ValueError, match=message):
        through(ranpac(200, 1e-9), [A], key, of=large)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"units": 0}, "units: 0 is not positive; give 2000, say"),
        ({"ridge": 0.0}, "ridge: 0.0 is not positive and finite"),
        ({"ridge": float("nan")}, "ridge: nan is not positive and finite"),
        ({"ridge": float("inf")}, "ridge: inf is not positive and finite"),
    ],
)
def test_numbers_out_of_range_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ranpac(**given)


def test_what_it_cannot_use_is_refused(key):
    transform, numbers = ranpac(UNITS), {"x": A["x"], "label": jnp.zeros(N)}
    with pytest.raises(ValueError, match="ridge regression on classes needs one"):
        transform.begin_task(transform.init(PARAMS), PARAMS, TaskData(numbers, forward), key)
    with pytest.raises(ValueError, match="features: missing; give TaskData"):
        transform.end_task(transform.init(PARAMS), PARAMS, TaskData(A, forward), key)
