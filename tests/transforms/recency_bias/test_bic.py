"""Losses, examples that are held out, and corrections by hand, on a linear network."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from seen_from_behind import augmented, from_behind

from jaxcl.core.random import stream
from jaxcl.transforms import Context, TaskData, bic, drawn, gradients
from jaxcl.transforms.recency_bias.bic import RESPONSES
from jaxcl.transforms.recency_bias.linear_correction import fitted, widened
from jaxcl.transforms.rehearsal.herding import herding, in_use

CLASSES, INPUTS, WIDTH = 6, 4, 3
RIDGE = jnp.float32(1e-3)


def params_of(seed):
    rng = np.random.default_rng(seed)
    shapes = {"f": (INPUTS, WIDTH), "w": (WIDTH, CLASSES)}
    return {name: jnp.asarray(rng.normal(size=x), jnp.float32) for name, x in shapes.items()}


OLD, MOVED = params_of(1), params_of(2)


def features(params, batch):
    return batch["x"] @ params["f"]


def forward(params, batch):
    return features(params, batch) @ params["w"]


def data_of(n, seed, classes):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(n, INPUTS)), jnp.float32)
    return {"x": x, "label": jnp.asarray(rng.permutation(np.resize(classes, n)), jnp.int32)}


ONE, TWO, THREE = (data_of(n, n, c) for n, c in ((40, [0, 1]), (24, [2, 4]), (16, [3, 5])))


def task_of(data, **more):
    return TaskData(data, forward, features=features, **more)


def begun(transform, key, *tasks):
    """As the last of these tasks has begun; the others have ended."""
    state = transform.begin_task(transform.init(OLD), OLD, task_of(tasks[0]), key)
    for data, after in itertools.pairwise(tasks):
        state, same = transform.end_task(state, OLD, task_of(data), key)
        assert same is OLD
        state = transform.begin_task(state, OLD, task_of(after), key)
    return state


def ended(transform, key, *tasks):
    return transform.end_task(begun(transform, key, *tasks), OLD, task_of(tasks[-1]), key)[0]


def context(batch, key, rows):
    batch = {**{name: x[rows] for name, x in batch.items()}, "index": rows}
    return Context(MOVED, forward(MOVED, batch), batch, key, forward)


def plain(outputs, batch):
    every = jax.nn.log_softmax(outputs)
    return -jnp.take_along_axis(every, batch["label"][:, None], 1).mean()


def logits_by_hand(params, data, correction):
    f = np.asarray(data["x"], float) @ np.asarray(params["f"], float)
    alpha, beta = np.asarray(widened(correction, CLASSES), float)
    return f, alpha * (f @ np.asarray(params["w"], float)) + beta, alpha


def softmax(z):
    p = np.exp(z)
    return p / p.sum(1, keepdims=True)


def loss_by_hand(data, state, old=(), strength=0.0):
    """Losses of the examples, and the gradient of their mean in the last layer."""
    f, q, alpha = logits_by_hand(MOVED, data, state.correction)
    labels, old = np.asarray(data["label"]), list(old)
    p = softmax(q)
    each = -(1 - strength) * np.log(p[np.arange(len(p)), labels])
    slope = (1 - strength) * (p - np.eye(CLASSES)[labels])
    if old:
        target = softmax(logits_by_hand(OLD, data, state.correction)[1][:, old] / 2)
        now = softmax(q[:, old] / 2)
        each -= strength * (target * np.log(now)).sum(1)
        slope[:, old] += strength * (now - target) / 2
    return each, f.T @ (alpha * slope) / len(f)


def test_the_first_task_is_cross_entropy_of_what_is_not_held_out(key):
    transform = bic(20)
    state = begun(transform, key, ONE)
    held = np.asarray(state.held)
    assert [held[np.asarray(ONE["label"]) == c].sum() for c in (0, 1)] == [1, 1]
    rows = jnp.arange(40)
    found = gradients(transform, state, plain, context(ONE, key, rows), forward)
    trained = {name: x[~held] for name, x in ONE.items()}
    each, gradient = loss_by_hand(trained, state)
    np.testing.assert_allclose(found.loss, each.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.gradient["w"], gradient, rtol=1e-4, atol=1e-5)
    assert float(found.metrics["replayed"]) == 0
    alone = gradients(transform, state, plain, context(ONE, key, rows[held]), forward)
    np.testing.assert_allclose(alone.gradient["w"], 0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "old", "strength"),
    [((ONE, TWO), [0, 1], 2 / 4), ((ONE, TWO, THREE), [0, 1, 2, 4], 4 / 6)],
)
def test_old_responses_and_labels_weigh_as_there_are_old_and_new_classes(tasks, old, strength, key):
    """Of the corrected logits, in the third task those of a correction that is none of (1, 0)."""
    transform, data = bic(24), tasks[-1]
    state = begun(transform, key, *tasks)
    assert uncorrected(state) == (len(tasks) == 2)
    trained = np.flatnonzero(~np.asarray(state.held))
    r = len(trained) / (len(trained) + len(arrays(state.exemplars)["x"]))
    for i in range(3):
        own = jax.random.fold_in(key, i)
        rows = jax.random.permutation(own, len(data["x"]))[:9]
        found = gradients(transform, state, plain, context(data, own, rows), forward)
        rows = np.intersect1d(rows, trained)
        batch = {name: x[rows] for name, x in data.items()}
        again = drawn(state.exemplars, stream(own, "bic"), 9)
        (new, of_new), (held, of_held) = (
            loss_by_hand(x, state, old, strength) for x in (batch, again)
        )
        np.testing.assert_allclose(found.metrics["incoming"], new.mean(), rtol=1e-4)
        np.testing.assert_allclose(found.metrics["replayed"], held.mean(), rtol=1e-4)
        np.testing.assert_allclose(found.loss, r * new.mean() + (1 - r) * held.mean(), rtol=1e-4)
        expected = r * of_new + (1 - r) * of_held
        np.testing.assert_allclose(found.gradient["w"], expected, rtol=1e-3, atol=1e-5)


def test_where_inputs_are_augmented_the_old_network_sees_what_the_new_one_does(key):
    """Here both see the inputs from behind; its answers are corrected as the new logits are."""
    transform = bic(24)
    before = ended(transform, key, ONE, TWO)
    state = transform.begin_task(before, OLD, task_of(THREE, augmented=True), key)
    assert set(state.exemplars.data) == {"x", "label"}

    here = augmented(context(THREE, key, jnp.arange(16)))
    metrics = gradients(transform, state, plain, here).metrics
    batch = from_behind({name: x[~np.asarray(state.held)] for name, x in THREE.items()})
    again = from_behind(drawn(state.exemplars, stream(key, "bic"), 16))
    for name, data in (("incoming", batch), ("replayed", again)):
        each, _ = loss_by_hand(data, state, [0, 1, 2, 4], 4 / 6)
        np.testing.assert_allclose(metrics[name], each.mean(), rtol=1e-4)


def arrays(buffer):
    """Those of the examples that are in a buffer."""
    return in_use(buffer, "")


def uncorrected(state):
    return bool((state.correction == jnp.array([[1.0], [0.0]])).all())


def same_rows(a, b):
    """Whether some rows are the same, in some order."""
    return sorted(map(tuple, np.asarray(a).tolist())) == sorted(map(tuple, np.asarray(b).tolist()))


@pytest.mark.slow
def test_what_is_held_out_is_never_trained_on_and_is_as_much_of_every_class(key):
    """24 examples: 12 of each class, then 6; a third of them for validation."""
    transform = bic(24, held_out=1 / 3)
    first = begun(transform, key, ONE)
    one, second = ended(transform, key, ONE), begun(transform, key, ONE, TWO)
    two = ended(transform, key, ONE, TWO)
    for state, data, m in ((first, ONE, 4), (second, TWO, 4)):
        held, labels = np.asarray(state.held), np.asarray(data["label"])
        assert [held[labels == c].sum() for c in np.unique(labels)] == [m, m]
    assert same_rows(arrays(one.validation)["x"], ONE["x"][np.asarray(first.held)])
    aside = [
        *np.asarray(arrays(one.validation)["x"]),
        *np.asarray(TWO["x"][np.asarray(second.held)]),
    ]
    for state, classes, kept, m in ((one, [0, 1], 8, 4), (two, [0, 1, 2, 4], 4, 2)):
        kept_now, others_now = arrays(state.exemplars), arrays(state.validation)
        labels, others = (np.asarray(x["label"]) for x in (kept_now, others_now))
        assert labels.tolist() == np.repeat(classes, kept).tolist()
        assert others.tolist() == np.repeat(classes, m).tolist()
        assert RESPONSES not in kept_now
        for x in np.asarray(kept_now["x"]):
            assert not (x == np.asarray(aside)).all(1).any()
    for now, before, m in (
        (others_now, arrays(one.validation), 2),
        (kept_now, arrays(one.exemplars), 4),
    ):
        first = before["x"][before["label"] == 1][:m]
        np.testing.assert_array_equal(now["x"][now["label"] == 1], first)


def test_exemplars_of_new_classes_are_herded_among_those_that_were_trained_on(key):
    transform = bic(24)
    held, state = np.asarray(begun(transform, key, ONE).held), ended(transform, key, ONE)
    for label in (0, 1):
        rows = np.flatnonzero((np.asarray(ONE["label"]) == label) & ~held)
        f = np.asarray(features(OLD, ONE), float)[rows]
        best = rows[herding(f / np.linalg.norm(f, axis=1, keepdims=True), 11)]
        own = arrays(state.exemplars)
        np.testing.assert_array_equal(own["x"][own["label"] == label], ONE["x"][best])


@pytest.mark.slow
def test_new_classes_are_corrected_by_the_fit_on_what_was_held_out(key):
    """One after the other: what was fitted before stays as it is."""
    transform = bic(24, held_out=1 / 3)
    one, two = ended(transform, key, ONE), ended(transform, key, ONE, TWO)
    assert uncorrected(one)
    held = np.asarray(begun(transform, key, ONE, TWO).held)
    aside = {n: jnp.concatenate([x, TWO[n][held]]) for n, x in arrays(one.validation).items()}
    assert np.bincount(aside["label"]).tolist() == [4, 4, 4, 0, 4]
    own = jnp.isin(jnp.arange(CLASSES), jnp.array([2, 4]))
    pair = fitted(forward(OLD, aside), aside["label"], own, RIDGE)
    expected = np.where(own, np.asarray(pair)[:, None], [[1], [0]])
    np.testing.assert_allclose(two.correction, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(np.asarray(pair) - [1, 0]).max() > 0.1
    three = ended(transform, key, ONE, TWO, THREE)
    np.testing.assert_array_equal(three.correction[:, :3], two.correction[:, :3])
    np.testing.assert_array_equal(three.correction[:, 4], two.correction[:, 4])
    held = np.asarray(begun(transform, key, ONE, TWO, THREE).held)
    aside = {n: jnp.concatenate([x, THREE[n][held]]) for n, x in arrays(two.validation).items()}
    q = jnp.asarray(logits_by_hand(OLD, aside, two.correction)[1], jnp.float32)
    pair = fitted(q, aside["label"], jnp.isin(jnp.arange(CLASSES), jnp.array([3, 5])), RIDGE)
    for c in (3, 5):
        np.testing.assert_allclose(three.correction[:, c], pair, rtol=1e-3)


def test_the_corrected_logits_predict(key):
    transform, rows = bic(24), jnp.arange(16)
    first = transform.predict(begun(transform, key, ONE), context(ONE, key, rows))
    np.testing.assert_array_equal(first, forward(MOVED, ONE)[:16])
    state = begun(transform, key, ONE, TWO, THREE)
    scores = transform.predict(state, context(THREE, key, rows))
    expected = logits_by_hand(MOVED, THREE, state.correction)[1]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_an_old_class_in_the_task_is_fitted_with_as_many_examples_as_the_others(key):
    transform, mixed = bic(24, held_out=1 / 3), data_of(24, 9, [0, 2])
    one, two = ended(transform, key, ONE), ended(transform, key, ONE, mixed)
    held = np.asarray(begun(transform, key, ONE, mixed).held)
    aside = {n: jnp.concatenate([x, mixed[n][held]]) for n, x in arrays(one.validation).items()}
    rows = np.concatenate([np.flatnonzero(aside["label"] == c)[:4] for c in (0, 1, 2)])
    own = jnp.arange(CLASSES) == 2
    pair = fitted(forward(OLD, aside)[rows], aside["label"][rows], own, RIDGE)
    expected = np.where(own, np.asarray(pair)[:, None], [[1], [0]])
    np.testing.assert_allclose(two.correction, expected, rtol=1e-4, atol=1e-5)


def test_classes_that_come_again_are_not_corrected(key):
    """They are old and new: their examples are weighed as both, and herded among all."""
    transform, again = bic(24), data_of(16, 7, [0, 1])
    state = begun(transform, key, ONE, again)
    np.testing.assert_allclose(state.strength, 2 / 4)
    state = ended(transform, key, ONE, again)
    assert uncorrected(state)
    assert np.bincount(arrays(state.exemplars)["label"]).tolist() == [11, 11]
    assert np.bincount(arrays(state.validation)["label"]).tolist() == [1, 1]


def test_data_on_the_host_is_kept_alike(key):
    hosted = [{n: np.asarray(x) for n, x in data.items()} for data in (ONE, TWO)]
    found = [begun(bic(24), key, *tasks) for tasks in ([ONE, TWO], hosted)]
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_what_cannot_be_is_refused(key):
    for given, message in (
        ({"held_out": 1.0}, r"held_out: 1.0 is outside \(0, 1\)"),
        ({"temperature": 0.0}, "temperature: 0.0 is not positive"),
        ({"ridge": 0.0}, "ridge: 0.0 is not positive"),
        ({"n": 0}, "n: 0 is not positive"),
    ):
        with pytest.raises(ValueError, match=message):
            bic(24, **given)
    few = "capacity: 3 examples for 2 classes; give two for each, or more"
    with pytest.raises(ValueError, match=few):
        begun(bic(3), key, ONE)
    with pytest.raises(ValueError, match="capacity: 7 examples for 4 classes"):
        ended(bic(7), key, ONE, TWO)
    state = begun(bic(24), key, ONE)
    with pytest.raises(ValueError, match="features: missing; give TaskData"):
        bic(24).end_task(state, OLD, TaskData(ONE, forward), key)
    bad = {"x": ONE["x"], "label": jnp.zeros((40, 2), jnp.int32)}
    with pytest.raises(ValueError, match="is not a class for each example"):
        bic(24).begin_task(state, OLD, task_of(bad), key)


def test_a_step_has_the_same_shapes_in_every_later_task(key):
    """With the number of classes given: two earlier classes with 12 examples each, four with 6."""
    transform, tasks = bic(24, classes=CLASSES), (ONE, data_of(16, 5, [2, 4]), THREE)
    second, third = begun(transform, key, *tasks[:2]), begun(transform, key, *tasks)
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), state) for state in (second, third)]
    assert shapes[0] == shapes[1]
    assert [int(state.exemplars.filled) for state in (second, third)] == [22, 20]


def test_one_example_of_each_class_and_a_batch_without_rows_are_named(key):
    w, forward = jnp.eye(2), lambda w, b: b["x"] @ w
    data = {"x": jnp.eye(2), "label": jnp.arange(2)}
    transform = bic(8)
    with pytest.raises(ValueError, match="held_out: no class has two examples"):
        transform.begin_task(transform.init(w), w, TaskData(data, forward), key)
    with pytest.raises(ValueError, match="capacity: 1 examples for 1 classes; give two"):
        bic(1)
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), data)
    state = transform.begin_task(transform.init(w), w, TaskData(twice, forward), key)
    with pytest.raises(KeyError, match="give the rows of the task"):
        transform.apply(jnp.float32(0), state, Context(w, forward(w, twice), twice, key))
