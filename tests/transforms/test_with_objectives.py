"""Transforms on marks, numbers and sequences; by hand, or by another way."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from jaxcl.transforms import (
    OBJECTIVES,
    Context,
    Step,
    TaskData,
    binary,
    categorical,
    der_pp,
    distill,
    fraction,
    generated,
    noise,
    per_class,
    replay,
    squared,
    stored,
)
from jaxcl.transforms.rehearsal.buffers import class_balanced, reservoir
from jaxcl.transforms.rehearsal.der import LOGITS

N, T, K = 6, 3, 4
RNG = np.random.default_rng(0)
OLD, NEW = RNG.normal(size=(2, K)), RNG.normal(size=(2, K))
X = {"sequence": RNG.normal(size=(N, T, 2))}
Y = {
    "categorical": np.arange(N, dtype=np.int32) % K,
    "binary": RNG.integers(0, 2, (N, K)).astype(np.int32),
    "squared": RNG.normal(size=(N, K)).astype(np.float32),
    "sequence": np.where(RNG.random((N, T)) < 0.3, -1, RNG.integers(0, K, (N, T))).astype(np.int32),
}
Y["sequence"][0] = [1, -1, 2]
for each in OBJECTIVES:
    X[each] = RNG.normal(size=(N, 2))
ALL = pytest.mark.parametrize("name", Y)


def objective(name):
    return OBJECTIVES.get(name, categorical)


def forward(w, batch):
    return batch["x"] @ w


def weights(w):
    return jnp.asarray(w, jnp.float32)


def data(name, rows=slice(None)):
    return {"x": jnp.asarray(X[name][rows], jnp.float32), "label": jnp.asarray(Y[name][rows])}


def context(w, batch, key):
    return Context(w, forward(w, batch), batch, key, forward)


def second(transform, task, key, begin=None):
    """The state in a second task, that began at the old weights."""
    w = weights(OLD)
    state, _ = transform.end_task(transform.init(w), w, task, key)
    return transform.begin_task(state, w, begin or task, key)


def far(name, new, old, temperature):
    """The mean distance of responses, by hand."""
    if name == "squared":
        return ((new - old) ** 2).mean()
    new, old = new / temperature, old / temperature
    if name == "binary":
        q, p = expit(old), expit(new)
        return -(q * np.log(p) + (1 - q) * np.log(1 - p)).sum(-1).mean()
    return -(softmax(old, -1) * log_softmax(new, -1)).sum(-1).mean()


@ALL
@pytest.mark.parametrize("t_squared", [False, True])
def test_distillation_by_hand(name, t_squared, key):
    transform = distill(5.0, 3.0, t_squared=t_squared, objective=objective(name))
    state = second(transform, TaskData(data(name), forward), key)
    rows = np.array([4, 1])
    batch = {**data(name, rows), "index": jnp.asarray(rows)}
    loss, metrics = transform.apply(jnp.float32(1.5), state, context(weights(NEW), batch, key))
    expected = far(name, X[name][rows] @ NEW, X[name][rows] @ OLD, 3)
    expected *= 9 if t_squared and name != "squared" else 1
    np.testing.assert_allclose(metrics["kd"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss, 1.5 + 5 * expected, rtol=1e-5)


@ALL
def test_the_pull_of_distillation_against_finite_differences(name, key):
    transform = distill(1.0, 3.0, objective=objective(name))
    state = second(transform, TaskData(data(name), forward), key)
    batch = {**data(name), "index": jnp.arange(N)}

    def loss(w):
        return transform.apply(jnp.float32(0), state, context(w, batch, key))[0]

    slope, h = np.asarray(jax.grad(loss)(weights(NEW))), 1e-5
    for place in itertools.product(range(2), range(K)):
        step = np.zeros((2, K))
        step[place] = h
        up, down = (far(name, X[name] @ (NEW + s * step), X[name] @ OLD, 3) for s in (1, -1))
        np.testing.assert_allclose(slope[place], (up - down) / (2 * h), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(jax.grad(loss)(weights(OLD)), 0, atol=1e-6)


@ALL
def test_outputs_that_came_since_are_left_out_or_had_no_share(name, key):
    """Two outputs were recorded; numbers cannot come later."""
    few = TaskData(data(name), lambda w, b: forward(w, b)[..., :2])
    batch = {**data(name), "index": jnp.arange(N)}
    x = X[name]
    for padded in (False, True):
        transform = distill(1.0, 2.0, padded=padded, objective=objective(name))
        state = second(transform, few, key)
        if padded and name == "squared":
            with pytest.raises(ValueError, match="squared: 4 outputs, 2 before"):
                transform.apply(jnp.float32(0), state, context(weights(NEW), batch, key))
            continue
        old, new = (x @ OLD)[..., :2], (x @ NEW)[..., : K if padded else 2]
        if padded and name == "binary":
            expected = (
                far(name, new[:, :2], old, 2) + np.log1p(np.exp(new[:, 2:] / 2)).sum(1).mean()
            )
        else:
            nowhere = [(0, 0)] * (old.ndim - 1) + [(0, new.shape[-1] - 2)]
            expected = far(name, new, np.pad(old, nowhere, constant_values=-1e9), 2)
        found = transform.apply(jnp.float32(0), state, context(weights(NEW), batch, key))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@ALL
def test_replay_of_kept_examples_by_hand(name, key):
    transform = replay(fraction(1.0), objective=objective(name))
    one = data(name, slice(1))
    state = second(transform, TaskData(one, forward), key)
    loss, _ = transform.apply(jnp.float32(1.5), state, context(weights(NEW), data(name), key))
    z, y = X[name][0] @ NEW, Y[name][0]
    expected = {
        "categorical": lambda: -log_softmax(z)[y],
        "binary": lambda: -np.log(np.where(y == 1, expit(z), 1 - expit(z))).sum(),
        "squared": lambda: ((z - y) ** 2).mean(),
        "sequence": lambda: -(log_softmax(z[0])[1] + log_softmax(z[2])[2]) / 2,
    }[name]()
    np.testing.assert_allclose(loss, (1.5 + expected) / 2, rtol=1e-5)


@ALL
def test_replay_of_old_responses_by_hand(name, key):
    """Only logits have a temperature, and so a factor of its square."""
    transform = replay(generated(inputs="x"), temperature=3.0, objective=objective(name))
    made = jnp.asarray(X[name][:1], jnp.float32)
    task = TaskData(data(name), forward, generated=made)
    state = second(transform, task, key)
    loss, _ = transform.apply(jnp.float32(1.5), state, context(weights(NEW), data(name), key))
    expected = far(name, X[name][:1] @ NEW, X[name][:1] @ OLD, 3)
    expected *= 1 if name == "squared" else 9
    np.testing.assert_allclose(loss, (1.5 + expected) / 2, rtol=1e-5)


@ALL
def test_dark_replay_by_hand_with_copies_of_one_example(name, key):
    transform = der_pp(3, K, alpha=0.3, beta=2.0, objective=objective(name))
    task = TaskData(data(name), forward)
    old, new = weights(OLD), weights(NEW)
    state = transform.begin_task(transform.init(old), old, task, key)
    copies = data(name, [0, 0, 0])
    state = transform.update(state, Step(old, old, old, old, context(old, copies, key)))
    seen = Y["sequence"][0] >= 0 if name == "sequence" else slice(None)
    square = (X[name][0] @ (NEW - OLD)) ** 2
    loss, metrics = transform.apply(jnp.float32(1.5), state, context(new, data(name), key))
    np.testing.assert_allclose(metrics["dark"], square[seen].mean(), rtol=1e-4)
    once = objective(name).loss(forward(new, copies), copies["label"]).mean()
    np.testing.assert_allclose(metrics["replayed"], once, rtol=1e-6)
    np.testing.assert_allclose(loss, 1.5 + 0.3 * square[seen].mean() + 2 * once, rtol=1e-4)
    if name == "sequence":
        np.testing.assert_array_equal(np.isnan(state.buffer.data[LOGITS][0]).all(-1), ~seen)


@ALL
def test_dark_replay_leaves_out_what_came_since(name, key):
    task = TaskData(data(name), forward)
    transform = der_pp(3, K, alpha=1.0, beta=0.0, objective=objective(name))
    old, new, copies = weights(OLD), weights(NEW), data(name, [0, 0, 0])
    state = transform.begin_task(transform.init(old), old, task, key)
    narrow = context(old, copies, key)
    narrow = narrow._replace(outputs=narrow.outputs[..., :2])
    if name == "squared":
        with pytest.raises(ValueError, match=r"shape|Incompatible"):
            transform.update(state, Step(old, old, old, old, narrow))
        return
    state = transform.update(state, Step(old, old, old, old, narrow))
    dark = transform.apply(jnp.float32(0), state, context(new, data(name), key))[1]["dark"]
    seen = Y["sequence"][0] >= 0 if name == "sequence" else slice(None)
    square = (X[name][0] @ (NEW - OLD))[..., :2] ** 2
    np.testing.assert_allclose(dark, square[seen].mean(), rtol=1e-4)


MEMORIES = [
    (per_class(2), "goes by classes"),
    (stored(class_balanced(4, K)), "goes by classes"),
    (noise(), "likeliest classes"),
    (generated(soft=False), "likeliest classes"),
]


@pytest.mark.parametrize("learned", [binary, squared])
def test_a_memory_that_needs_classes_is_refused_where_there_are_none(learned):
    for memory, message in MEMORIES:
        replay(memory)
        with pytest.raises(ValueError, match=f"replay: .* {message}.* {learned.name} labels"):
            replay(memory, objective=learned)
    for memory in (fraction(0.5), stored(reservoir(4)), generated()):
        replay(memory, objective=learned)


@pytest.mark.parametrize("memory", [per_class(2), stored(class_balanced(4, K))])
def test_a_sequence_of_labels_is_no_class(memory, key):
    transform = replay(memory)
    with pytest.raises(ValueError, match=r"label: int32 \(6, 3\) is not a class"):
        transform.begin_task(transform.init(OLD), OLD, TaskData(data("sequence"), forward), key)
