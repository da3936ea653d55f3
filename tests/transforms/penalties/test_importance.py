import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import add_branch, add_head, first_params, logits
from scipy.special import log_softmax, softmax

from jaxcl.growth.heads import SETTINGS, View, forward, own_logits
from jaxcl.networks import Pathway, cnn, mlp
from jaxcl.networks.layers import gathering
from jaxcl.transforms import TaskData, diagonal_fisher, output_sensitivity
from jaxcl.transforms.penalties import per_example
from jaxcl.transforms.penalties.per_example import mean_importance

N, INPUTS, CLASSES = 7, 3, 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, INPUTS))
Y = np.array([0, 3, 1, 1, 2, 0, 3])
W = RNG.normal(size=(INPUTS, CLASSES))
P = softmax(X @ W, axis=1)
WEIGHTS = jnp.asarray(W, jnp.float32)


def linear(w, batch):
    return batch["x"] @ w


def regression(x=X, y=Y):
    return TaskData({"x": jnp.asarray(x, jnp.float32), "label": jnp.asarray(y, jnp.int32)}, linear)


def fitted(net, setting, heads, images):
    """Parameters, and a task in which the examples take turns in the tasks of the heads."""
    key, route = jax.random.key(3), ("t00",) * len(net.layers)
    params = first_params(net, key)
    for layer in net.layers:
        params = add_branch(net, params, layer, "t00", key=key)
    for i, classes in enumerate(heads):
        params = add_head(net, params, f"t0{i}", classes, jax.random.fold_in(key, i))
    shared = setting == "domain"
    routes = tuple(Pathway(f"t0{i}", route, "t00" if shared else f"t0{i}") for i in range(2))
    view = View(net, routes, SETTINGS[setting])
    task = jnp.arange(len(images), dtype=jnp.int32) % 2
    data = {"input": jnp.asarray(images), "label": jnp.zeros_like(task).at[::3].set(1)}
    judged = own_logits(view, (0, 1))
    plain = TaskData({**data, "task": task}, forward(view), judged)
    return params, plain, plain._replace(gathered=lambda f: forward(view, layers=gathering(f)))


def mlp_task(setting="task", heads=(3, 2)):
    images = np.random.default_rng(1).integers(0, 256, (N, 2, 3, 1), dtype=np.uint8)
    return fitted(mlp(6, (4, 5)), setting, heads, images)


def cnn_task():
    images = np.random.default_rng(1).integers(0, 256, (N, 8, 8, 2), dtype=np.uint8)
    return fitted(cnn(size=8, channels=2, filters=(2, 3), hidden=4), "task", (3, 2), images)


IMPORTANCE = {
    "exact": lambda *args: diagonal_fisher(*args),
    "sampled": lambda *args: diagonal_fisher(*args, labels="sampled"),
    "empirical": lambda *args: diagonal_fisher(*args, labels="empirical"),
    "mas": output_sensitivity,
}


def test_the_fisher_of_softmax_regression_has_a_closed_form(key):
    expected = (X**2).T @ (P * (1 - P)) / N
    np.testing.assert_allclose(diagonal_fisher(WEIGHTS, regression(), key), expected, rtol=1e-5)


@pytest.mark.parametrize("together", [1, 3, 4])
@pytest.mark.parametrize("entries", [1, 2**26])
def test_directions_may_be_pulled_back_in_any_parts(key, monkeypatch, together, entries):
    monkeypatch.setattr(per_example, "TOGETHER", together)
    monkeypatch.setattr(per_example, "ENTRIES", entries)
    expected = (X**2).T @ (P * (1 - P)) / N
    np.testing.assert_allclose(diagonal_fisher(WEIGHTS, regression(), key), expected, rtol=1e-5)


def test_the_empirical_fisher_of_softmax_regression_has_a_closed_form(key):
    expected = (X**2).T @ (np.eye(CLASSES)[Y] - P) ** 2 / N
    found = diagonal_fisher(WEIGHTS, regression(), key, labels="empirical")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    task = regression()
    renamed = task._replace(data={"x": task.data["x"], "y": task.data["label"]})
    again = diagonal_fisher(WEIGHTS, renamed, key, labels="empirical", label="y")
    np.testing.assert_array_equal(again, found)


def test_the_importance_of_mas_by_hand_on_a_linear_network(key):
    expected = np.mean([np.abs(2 * np.outer(x, x @ W)) for x in X], axis=0)
    np.testing.assert_allclose(output_sensitivity(WEIGHTS, regression(), key), expected, rtol=1e-5)


def test_the_fisher_of_a_network_is_the_curvature_of_the_divergence(key):
    net, route = mlp(4, (3,)), (Pathway("t00", (), "t00"),)
    params = add_head(net, first_params(net, key), "t00", 3, key)
    x = np.random.default_rng(2).normal(size=(5, 2, 2, 1))
    task = TaskData(
        {"x": jnp.asarray(x, jnp.float32)}, lambda p, b: logits(net, p, b["x"], route)["t00"]
    )
    found = jax.tree.leaves(diagonal_fisher(params, task, key))
    leaves, tree = jax.tree.flatten(params)
    leaves = [np.asarray(leaf, np.float64) for leaf in leaves]

    def log_p(leaves):
        p = tree.unflatten(leaves)
        before = x.reshape(5, 4) @ p["fc1"]["w"] + p["fc1"]["b"]
        units = np.maximum(before, 0)
        return log_softmax(units @ p["heads"]["t00"]["w"] + p["heads"]["t00"]["b"], axis=1)

    here, h = log_p(leaves), 1e-4

    def divergence(i, place, step):
        moved = [leaf.copy() for leaf in leaves]
        moved[i][place] += step
        return np.mean(np.sum(np.exp(here) * (here - log_p(moved)), axis=1))

    for i, leaf in enumerate(leaves):
        curvature = np.zeros(leaf.shape)
        for place in np.ndindex(leaf.shape):
            curvature[place] = (divergence(i, place, h) + divergence(i, place, -h)) / h**2
        assert curvature.max() > 0.01
        np.testing.assert_allclose(found[i], curvature, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("gathered", [False, True])
def test_the_size_of_a_chunk_changes_nothing(gathered, key):
    """The labels are drawn, so this also asks that each example keeps its own draw."""
    params, plain, known = mlp_task()
    task = known if gathered else plain

    def directions(logits, batch, key):
        label = jax.random.categorical(key, logits)
        return (jax.nn.one_hot(label, logits.shape[-1]) - jax.nn.softmax(logits))[None]

    whole, *parts = (
        mean_importance(params, task, key, directions, jnp.square, chunk=chunk)
        for chunk in (N, 1, 3)
    )
    assert max(leaf.max() for leaf in jax.tree.leaves(whole)) > 0
    for part in parts:
        chex.assert_trees_all_close(part, whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", IMPORTANCE)
@pytest.mark.parametrize("make", [mlp_task, cnn_task])
def test_known_layers_give_what_any_network_gives(make, name, key):
    params, plain, known = make()
    slow, fast = (IMPORTANCE[name](params, task, key) for task in (plain, known))
    assert all(leaf.max() > 0 for leaf in jax.tree.leaves(slow))
    chex.assert_trees_all_close(fast, slow, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("setting", "heads"), [("domain", (3,)), ("class", (3, 2))])
def test_known_layers_give_what_any_network_gives_in_every_setting(setting, heads, key):
    params, plain, known = mlp_task(setting, heads)
    slow, fast = (diagonal_fisher(params, task, key) for task in (plain, known))
    assert all(leaf.max() > 0 for leaf in jax.tree.leaves(slow))
    chex.assert_trees_all_close(fast, slow, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["exact", "mas"])
def test_outputs_that_an_example_has_not_count_nothing(name, key):
    """Logits of a narrower head are filled up, with values that MAS must not square."""
    params, plain, known = mlp_task()
    together = IMPORTANCE[name](params, known, key)
    parts = []
    for t, head in enumerate(("t00", "t01")):
        own = {field: leaf[t::2] for field, leaf in plain.data.items()}
        alone = TaskData(own, plain.forward, lambda outputs, _, head=head: outputs[head])
        share = len(own["task"]) / N
        found = IMPORTANCE[name](params, alone, key)
        parts.append(jax.tree.map(lambda x, share=share: share * x, found))
    chex.assert_trees_all_close(together, jax.tree.map(jnp.add, *parts), rtol=1e-4, atol=1e-7)


def test_the_exact_fisher_is_the_mean_of_sampled_ones(key):
    draws = 2000
    sampled = jax.vmap(lambda k: diagonal_fisher(WEIGHTS, regression(), k, labels="sampled"))
    found = np.asarray(sampled(jax.random.split(key, draws)), np.float64)
    # (1[y = c] - p)^2 of a label that is drawn has variance p (1 - p) (1 - 2 p)^2.
    variance = (X**4).T @ (P * (1 - P) * (1 - 2 * P) ** 2) / N**2
    exact = (X**2).T @ (P * (1 - P)) / N
    assert np.all(np.abs(found.mean(0) - exact) < 4.5 * np.sqrt(variance / draws) + 1e-6)
    # Draws of one label for all examples would have a larger variance, none a smaller one.
    np.testing.assert_allclose(found.var(0), variance, rtol=0.3)


@pytest.mark.parametrize("name", ["exact", "empirical", "mas"])
def test_it_is_a_mean_so_the_same_data_twice_changes_nothing(name, key):
    once = IMPORTANCE[name](WEIGHTS, regression(), key)
    twice = IMPORTANCE[name](WEIGHTS, regression(np.tile(X, (2, 1)), np.tile(Y, 2)), key)
    np.testing.assert_allclose(twice, once, rtol=1e-5)


def test_a_single_example_is_enough(key):
    found = diagonal_fisher(WEIGHTS, regression(X[:1], Y[:1]), key)
    np.testing.assert_allclose(found, np.outer(X[0] ** 2, P[0] * (1 - P[0])), rtol=1e-5)


def test_gradients_that_cancel_in_a_batch_do_not_cancel_in_the_fisher(key):
    """The square of the batch's mean gradient, a common mistake, is 0 here."""
    task, w = regression(np.ones((2, 1)), [0, 1]), jnp.zeros((1, 2))

    def loss(w):
        log_p = jax.nn.log_softmax(linear(w, task.data))
        return -jnp.mean(log_p[jnp.arange(2), task.data["label"]])

    np.testing.assert_array_equal(jax.grad(loss)(w), 0)
    for labels in ("exact", "sampled", "empirical"):
        np.testing.assert_allclose(diagonal_fisher(w, task, key, labels=labels), 0.25, rtol=1e-6)


@pytest.mark.parametrize("used", [1, 3, 7, 8])
def test_so_many_examples_are_used_and_none_twice(used, key):
    task, w = regression(np.eye(N)), jnp.zeros((N, CLASSES))  # a row of weights for each example
    found = np.asarray(diagonal_fisher(w, task, key, examples=used))
    n = min(used, N)
    expected = np.sort(np.repeat([0.0, 0.25 * 0.75 / n], [N - n, n]))
    for column in found.T:
        np.testing.assert_allclose(np.sort(column), expected, rtol=1e-5)
    assert np.count_nonzero(output_sensitivity(w + 1, task, key, examples=used)) == n * CLASSES


def test_the_examples_that_are_used_depend_on_the_key(key):
    task, w = regression(np.eye(N)), jnp.zeros((N, CLASSES))
    keys = jax.random.split(key, 20)
    found = jax.vmap(lambda k: diagonal_fisher(w, task, k, examples=3))(keys)
    assert np.all((np.asarray(found) > 0).any(axis=(0, 2)))


def test_what_a_function_has_come_to_close_over_is_followed():
    scale = {"by": 1.0}

    def forward(w, batch):
        return scale["by"] * batch["x"] @ w

    data, w, key = {"x": jnp.eye(2)}, jnp.zeros((2, 2)), jax.random.key(0)
    once = diagonal_fisher(w, TaskData(data, forward), key)
    scale["by"] = 3.0
    np.testing.assert_allclose(diagonal_fisher(w, TaskData(data, forward), key), 9 * once)
