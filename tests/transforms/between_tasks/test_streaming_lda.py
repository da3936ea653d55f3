"""Streaming discriminant analysis by hand: moments, weights, orders of tasks, classes again."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from jaxcl.transforms import Context, TaskData, ncm, slda

WIDTH, N = 3, 24
RNG = np.random.default_rng(0)
PARAMS = {"v": jnp.asarray(RNG.normal(size=(4, WIDTH)), jnp.float32)}
HEAD = jnp.asarray(RNG.normal(size=(WIDTH, 6)), jnp.float32)
FILLED = "jaxcl.transforms.between_tasks.class_statistics.FEATURE_BATCH"


def features(params, batch):
    return batch["x"] @ params["v"]


def forward(params, batch):
    return features(params, batch) @ HEAD


def examples(classes, task=0, seed=0, n=N):
    rng = np.random.default_rng(seed)
    labels = np.resize(classes, n)
    x = rng.normal(size=(n, 4)) + 2 * np.sin(labels)[:, None] * [1, 0, 2, 1]
    return {
        "x": jnp.asarray(x, jnp.float32),
        "label": jnp.asarray(labels, jnp.int32),
        "task": jnp.full(n, task, jnp.int32),
    }


A, B, C = examples([0, 1], 0, 1), examples([2, 3, 4], 1, 2), examples([1, 5], 2, 3)
NEW = examples([0, 3], 0, 9, n=7)


def through(transform, tasks, key, form=lambda data: data, of=features):
    state = transform.init(PARAMS)
    for data in tasks:
        task = TaskData(form(data), forward, features=of)
        state = transform.begin_task(state, PARAMS, task, key)
        state, params = transform.end_task(state, PARAMS, task, key)
        assert params is PARAMS
    return state


def scores(transform, state, batch, of=features):
    outputs = forward(PARAMS, batch)
    return transform.predict(state, Context(PARAMS, outputs, batch, features=of(PARAMS, batch)))


def rows_and_labels(tasks):
    v = np.asarray(PARAMS["v"], float)
    rows = np.concatenate([np.asarray(data["x"], float) @ v for data in tasks])
    return rows, np.concatenate([data["label"] for data in tasks])


def by_hand(tasks, batch, epsilon, classes=6):
    """All examples at once, in float64."""
    rows, labels = rows_and_labels(tasks)
    means = {c: rows[labels == c].mean(0) for c in set(labels.tolist())}
    off = rows - np.stack([means[c] for c in labels.tolist()])
    whole = (1 - epsilon) * off.T @ off / len(off) + epsilon * np.eye(WIDTH)
    inverse, (own, _) = np.linalg.inv(whole), rows_and_labels([batch])
    found = np.full((len(own), classes), -np.inf)
    for c, mean in means.items():
        found[:, c] = own @ inverse @ mean - mean @ inverse @ mean / 2
    return found


@pytest.mark.parametrize("tasks", [[A], [A, B], [A, B, C]])
@pytest.mark.parametrize("epsilon", [1e-4, 0.3, 1.0])
def test_scores_by_hand(tasks, epsilon, key):
    transform = slda(epsilon)
    found = jax.jit(lambda state: scores(transform, state, NEW))(through(transform, tasks, key))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, by_hand(tasks, NEW, epsilon), rtol=1e-4, atol=1e-4)


def test_classes_are_those_of_discriminant_analysis(key):
    """The classes that scikit-learn finds, with even priors."""
    tasks, far = [A, examples([2, 3, 4], 1, 2, n=36)], examples([0], seed=5, n=200)
    rows, labels = rows_and_labels(tasks)
    plain = LinearDiscriminantAnalysis("lsqr", priors=np.full(5, 0.2)).fit(rows, labels)
    transform = slda(1e-7)
    found = scores(transform, through(transform, tasks, key), far).argmax(-1)
    # It weighs covariances by the priors: the same mean where classes are as frequent.
    np.testing.assert_array_equal(found, plain.predict(rows_and_labels([far])[0]))


def test_with_the_unit_matrix_alone_it_is_the_nearest_mean(key):
    one, other = slda(1.0), ncm()
    found = scores(one, through(one, [A, B], key), NEW)[:, :5]
    nearest = scores(other, through(other, [A, B], key), NEW)[:, :5]
    apart = np.asarray(2 * found - nearest)  # |f|^2, whatever the class
    np.testing.assert_allclose(apart, apart[:, :1].repeat(5, 1), rtol=1e-4)


@pytest.mark.parametrize("by_task", [False, True])
def test_tasks_in_any_order_end_the_same(by_task, key):
    """Class 1 comes in two tasks, so its mean differs between them."""
    transform = slda(by_task=by_task)
    one, other = (through(transform, tasks, key) for tasks in ([A, B, C], [C, A, B]))
    chex.assert_trees_all_close(one, other, rtol=2e-5, atol=1e-4)
    np.testing.assert_array_equal(one.counts, other.counts)


def test_the_scatter_is_around_the_final_means(key):
    state = through(slda(), [A, C, examples([1, 0], 0, 7)], key)
    rows, labels = rows_and_labels([A, C, examples([1, 0], 0, 7)])
    off = np.concatenate([rows[labels == c] - rows[labels == c].mean(0) for c in (0, 1, 5)])
    np.testing.assert_allclose(state.scatter, off.T @ off, rtol=1e-5)
    np.testing.assert_allclose(state.counts, [[24, 36, 0, 0, 0, 12]])


def test_features_far_from_zero_keep_their_spread(key):
    """The second moment less the square of the mean would be lost to rounding."""
    shifted = lambda params, batch: features(params, batch) + 3000.0  # noqa: E731
    near, far = (through(slda(), [A, C], key, of=of) for of in (features, shifted))
    np.testing.assert_allclose(far.scatter, near.scatter, rtol=1e-2, atol=0.1)


def test_portions_and_batches_that_are_filled_up_give_the_same(key, monkeypatch):
    whole = through(slda(), [A, B], key)
    monkeypatch.setattr("jaxcl.core.batching.PORTION_BYTES", 5 * 24)
    parts = through(slda(), [A, B], key, lambda data: jax.tree.map(np.asarray, data))
    chex.assert_trees_all_close(parts, whole, rtol=1e-5, atol=1e-4)
    monkeypatch.setattr(FILLED, 5)
    chex.assert_trees_all_close(through(slda(), [A, B], key), whole, rtol=1e-5, atol=1e-4)


def test_logits_serve_until_a_task_has_ended(key):
    for transform in (slda(), slda(by_task=True)):
        state = transform.init(PARAMS)
        np.testing.assert_array_equal(scores(transform, state, NEW), forward(PARAMS, NEW))


def test_a_task_has_means_of_its_own_and_the_covariance_of_all(key):
    """The same labels in two tasks; of a task that has not ended the logits predict."""
    first, second = examples([0, 1], 0, 1), examples([0, 1, 2], 1, 2)
    transform = slda(0.1, by_task=True)
    state = through(transform, [first, second], key)
    mixed = NEW | {"task": jnp.array([0, 1, 2, 0, 1, 2, 5], jnp.int32)}
    found, logits = scores(transform, state, mixed), forward(PARAMS, mixed)
    apart = by_hand([first, second | {"label": second["label"] + 2}], mixed, 0.1)
    for k, own in enumerate((apart[:, :2], apart[:, 2:5])):
        mine = np.asarray(mixed["task"]) == k
        np.testing.assert_allclose(found[mine][:, : k + 2], own[mine], rtol=1e-4, atol=1e-4)
        assert np.all(np.isneginf(found[mine][:, k + 2 :]))
    rest = np.asarray(mixed["task"]) >= 2
    np.testing.assert_array_equal(found[rest], logits[rest])


def test_a_single_example_of_a_class_and_features_that_never_change(key):
    """Without the unit matrix there would be no inverse."""

    def flat(params, batch):
        return jnp.tile(batch["label"][:, None].astype(jnp.float32), 2)

    state = through(slda(), [examples([0, 1], n=2)], key, of=flat)
    np.testing.assert_allclose(state.weights[0], [[0, 0], [1e4, 1e4]], rtol=1e-5)
    np.testing.assert_allclose(state.bias[0], [0, -1e4], rtol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 1.5, float("nan")])
def test_a_shrinkage_out_of_range_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"shrinkage: .* is outside \(0, 1\]; give 1e-4, say"):
        slda(epsilon)


def test_what_it_cannot_use_is_refused(key):
    transform, numbers = slda(), {"x": A["x"], "label": jnp.zeros(N)}
    with pytest.raises(ValueError, match="discriminant analysis needs one"):
        transform.begin_task(transform.init(PARAMS), PARAMS, TaskData(numbers, forward), key)
    with pytest.raises(ValueError, match="features: missing; give TaskData"):
        transform.end_task(transform.init(PARAMS), PARAMS, TaskData(A, forward), key)
    state, here = through(transform, [A], key), Context(PARAMS, forward(PARAMS, NEW), NEW)
    with pytest.raises(ValueError, match="features: missing; give Context"):
        transform.predict(state, here)


def test_features_on_a_large_scale_whose_scatter_is_rounded(key):
    """More features than examples: the smallest eigenvalues are 0, but for rounding."""
    x = 300 * jax.random.normal(key, (40, 64))
    data = {"x": x, "label": jnp.arange(40) % 4}
    transform, w = slda(), jnp.zeros((64, 4))
    task = TaskData(data, lambda w, b: b["x"] @ w, features=lambda w, b: b["x"])
    state, _ = transform.end_task(transform.init(w), w, task, key)
    logits = transform.predict(state, Context(w, x @ w, data, features=x))
    assert jnp.isfinite(logits).all()
    assert (logits.argmax(1) == data["label"]).all()
