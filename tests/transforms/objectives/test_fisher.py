"""The Fisher information of each objective against an explicit Jacobian."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from jaxcl.transforms import OBJECTIVES, TaskData, diagonal_fisher, ewc, output_sensitivity

N, INPUTS, K, T = 5, 3, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, INPUTS))
TEXT = RNG.normal(size=(N, T, INPUTS))
W = jnp.asarray(RNG.normal(size=(INPUTS, K)), jnp.float32)
KINDS = ("exact", "sampled", "empirical")
LABELS = {
    "categorical": jnp.asarray(RNG.integers(0, K, N), jnp.int32),
    "binary": jnp.asarray(RNG.integers(0, 2, (N, K)), jnp.int32),
    "squared": jnp.asarray(RNG.normal(size=(N, K)), jnp.float32),
}
WORDS = jnp.asarray([[0, 1, 3], [2, -1, 1], [-1, -1, 0], [3, 3, 3], [-1, -1, -1]], jnp.int32)


def forward(w, batch):
    return jnp.tanh(batch["x"]) @ jnp.sin(w)


def task(name):
    return TaskData({"x": jnp.asarray(X, jnp.float32), "label": LABELS[name]}, forward)


def sequences(words=WORDS):
    return TaskData({"x": jnp.asarray(TEXT, jnp.float32), "label": words}, forward)


def jacobian(x):
    """Of all outputs of the examples, [n, ..., k, inputs, k], and the outputs."""
    batch = {"x": jnp.asarray(x, jnp.float32)}
    found = jax.jacobian(lambda w: forward(w, batch))(W)
    return np.asarray(found, np.float64), np.asarray(forward(W, batch), np.float64)


def fisher(given, name, key, labels="exact"):
    return diagonal_fisher(W, given, key, labels=labels, objective=OBJECTIVES[name])


def of_classes(j, z):
    """Sum over classes of ``p_c (sum_i (1[i = c] - p_i) J_i)^2`` for one example or position."""
    p = softmax(z)
    return sum(p[c] * np.tensordot(np.eye(K)[c] - p, j, 1) ** 2 for c in range(K))


def test_the_exact_fisher_is_what_a_jacobian_says(key):
    j, z = jacobian(X)
    p = expit(z)[..., None, None]
    by_hand = {
        "categorical": np.mean([of_classes(j[n], z[n]) for n in range(N)], 0),
        "binary": np.mean((p * (1 - p) * j**2).sum(1), 0),
        "squared": np.mean((j**2).sum(1), 0),
    }
    for name, expected in by_hand.items():
        np.testing.assert_allclose(fisher(task(name), name, key), expected, rtol=1e-4)


@pytest.mark.slow
def test_the_empirical_fisher_is_the_squared_slope_of_the_likelihood(key):
    """Minus the log-likelihood: the loss of classes and marks, k / 2 times that of numbers."""
    for name, factor in (("categorical", 1), ("binary", 1), ("squared", K / 2)):
        data = task(name).data

        def of(w, x, label, name=name, factor=factor):
            loss = OBJECTIVES[name].loss(forward(w, {"x": x[None]}), label[None])
            return factor * loss[0]

        slopes = jax.vmap(jax.grad(of), (None, 0, 0))(W, data["x"], data["label"])
        found = fisher(task(name), name, key, "empirical")
        np.testing.assert_allclose(found, (slopes**2).mean(0), rtol=1e-4)


def test_the_fisher_of_a_sequence_is_the_sum_over_its_positions(key):
    j, z = jacobian(TEXT)
    seen = np.asarray(WORDS) >= 0
    each = np.zeros((N, INPUTS, K))
    for n, t in itertools.product(range(N), range(T)):
        each[n] += seen[n, t] * of_classes(j[n, t], z[n, t])
    np.testing.assert_allclose(fisher(sequences(), "categorical", key), each.mean(0), rtol=1e-4)
    assert np.all(each[-1] == 0)
    whole = sequences()._replace(data={"x": sequences().data["x"]})  # no labels, no masks
    every = [of_classes(j[n, t], z[n, t]) for n, t in itertools.product(range(N), range(T))]
    found = fisher(whole, "categorical", key)
    np.testing.assert_allclose(found, np.sum(every, 0) / N, rtol=1e-4)


def test_the_fisher_of_a_sequence_is_the_expectation_over_all_sequences(key):
    """By brute force: every sequence of labels, weighed by its probability."""
    x = TEXT[:1]
    j, z = jacobian(x)
    p = softmax(z[0], axis=1)
    expected = 0
    for labels in itertools.product(range(K), repeat=T):
        slope = sum(np.tensordot(np.eye(K)[c] - p[t], j[0, t], 1) for t, c in enumerate(labels))
        expected += np.prod([p[t, c] for t, c in enumerate(labels)]) * slope**2
    given = TaskData({"x": jnp.asarray(x, jnp.float32)}, forward)
    np.testing.assert_allclose(fisher(given, "categorical", key), expected, rtol=1e-4)


@pytest.mark.parametrize("name", [*LABELS, "sequence"])
@pytest.mark.slow
def test_the_mean_of_sampled_fishers_is_the_exact_one(name, key):
    given = sequences() if name == "sequence" else task(name)
    objective = "categorical" if name == "sequence" else name
    keys = jax.random.split(key, 3000)
    draws = jax.vmap(lambda k: fisher(given, objective, k, "sampled"))(keys)
    draws = np.asarray(draws, np.float64)
    error = draws.std(0) / np.sqrt(len(keys))
    exact = fisher(given, objective, key)
    assert np.all(error > 0)
    assert np.all(np.abs(draws.mean(0) - exact) < 4.5 * error)


@pytest.mark.parametrize("labels", KINDS)
def test_masked_positions_have_no_fisher(labels, key):
    given = sequences(jnp.full((N, T), -1, jnp.int32))
    np.testing.assert_array_equal(fisher(given, "categorical", key, labels), 0)
    # What lies at a masked position changes nothing.
    data = sequences().data
    other = {**data, "x": jnp.where((WORDS < 0)[..., None], 9.0, data["x"])}
    moved = fisher(sequences()._replace(data=other), "categorical", key, labels)
    np.testing.assert_allclose(moved, fisher(sequences(), "categorical", key, labels), rtol=1e-5)


@pytest.mark.parametrize("labels", KINDS)
def test_a_sequence_of_one_position_is_an_example(labels, key):
    plain = task("categorical")
    data = {"x": plain.data["x"][:, None], "label": plain.data["label"][:, None]}
    long = plain._replace(data=data)
    if labels == "sampled":  # other shapes draw other labels
        labels = "exact"
    found = [fisher(given, "categorical", key, labels) for given in (long, plain)]
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_the_sensitivity_of_outputs_of_any_rank(key):
    given = sequences()

    def norm(w, x):
        return (forward(w, {"x": x[None]}) ** 2).sum()

    slopes = jax.vmap(jax.grad(norm), (None, 0))(W, given.data["x"])
    found = output_sensitivity(W, given, key)
    np.testing.assert_allclose(found, np.abs(slopes).mean(0), rtol=1e-4)


@pytest.mark.parametrize("name", LABELS)
def test_ewc_has_the_fisher_of_its_objective(name, key):
    transform = ewc(1.0, objective=OBJECTIVES[name])
    state, _ = transform.end_task(transform.init(W), W, task(name), key)
    np.testing.assert_array_equal(state.importance, fisher(task(name), name, key))
    found = [np.asarray(fisher(task("binary"), other, key)) for other in LABELS]
    assert all(np.any(a != b) for a, b in itertools.combinations(found, 2))
