import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from jaxcl.transforms import Context, TaskData, ewc, mas, online_ewc

N, INPUTS, CLASSES, LAM = 6, 3, 2, 7.0
RNG = np.random.default_rng(0)
# Three tasks, each with other inputs and other weights at its end.
XS = [scale * RNG.normal(size=(N, INPUTS)) for scale in (1.0, 2.0, 0.5)]
ENDS = [RNG.normal(size=(INPUTS, CLASSES)) for _ in range(3)]
YS = [RNG.integers(0, CLASSES, N) for _ in range(3)]
THETA = RNG.normal(size=(INPUTS, CLASSES))
FISHERS = [
    (x**2).T @ (p * (1 - p)) / N
    for x, p in ((x, softmax(x @ w, axis=1)) for x, w in zip(XS, ENDS, strict=True))
]
OMEGAS = [
    np.mean([np.abs(2 * np.outer(x, x @ w)) for x in xs], axis=0)
    for xs, w in zip(XS, ENDS, strict=True)
]


def forward(params, batch):
    return batch["x"] @ params["w"]


def weights(w):
    return {"w": jnp.asarray(w, jnp.float32)}


def task(k):
    data = {"x": jnp.asarray(XS[k], jnp.float32), "label": jnp.asarray(YS[k], jnp.int32)}
    return TaskData(data, forward)


def after(transform, tasks, key):
    """The state after so many tasks, in the next one."""
    state = transform.init(weights(np.zeros((INPUTS, CLASSES))))
    for k in range(tasks):
        state = transform.begin_task(state, weights(ENDS[k] + 1), task(k), key)
        state, _ = transform.end_task(state, weights(ENDS[k]), task(k), key)
    return transform.begin_task(state, weights(THETA), task(2), key)


def penalised(transform, state, params, loss=0.0):
    return transform.apply(jnp.float32(loss), state, Context(params, {}, {}))


def pull(transform, state, params):
    return jax.grad(lambda p: penalised(transform, state, p)[0])(params)


def separate(tasks):
    """What EWC with a penalty for each task adds, without lambda, and its gradient."""
    pairs = list(zip(FISHERS, ENDS, strict=True))[:tasks]
    value = sum(0.5 * np.sum(f * (THETA - w) ** 2) for f, w in pairs)
    return value, sum(f * (THETA - w) for f, w in pairs)


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_one_accumulator_is_worth_a_penalty_for_each_task(tasks, key):
    transform = ewc(LAM)
    state = after(transform, tasks, key)
    value, gradient = separate(tasks)
    loss, metrics = penalised(transform, state, weights(THETA), 1.5)
    np.testing.assert_allclose(metrics["penalty"], value, rtol=1e-5)
    np.testing.assert_allclose(loss, 1.5 + LAM * value, rtol=1e-5)
    found = pull(transform, state, weights(THETA))["w"]
    np.testing.assert_allclose(found, LAM * gradient, rtol=1e-4, atol=1e-5)


def test_the_pull_is_lambda_times_fisher_times_distance(key):
    transform = ewc(LAM)
    state = after(transform, 1, key)
    found = pull(transform, state, weights(THETA))["w"]
    np.testing.assert_allclose(found, LAM * FISHERS[0] * (THETA - ENDS[0]), rtol=1e-4)
    np.testing.assert_array_equal(pull(transform, state, weights(ENDS[0]))["w"], 0)


@pytest.mark.parametrize("fisher", ["exact", "sampled", "empirical"])
@pytest.mark.parametrize("make", [ewc, online_ewc])
def test_parameters_may_be_float64(make, fisher, key):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        transform, given = make(LAM, fisher=fisher), jax.tree.map(jnp.asarray, dict(task(0).data))
        end, theta = ({"w": jnp.asarray(w, jnp.float64)} for w in (ENDS[0], THETA))
        state = transform.init(end)
        state, _ = transform.end_task(state, end, TaskData(given, forward), key)
        found = pull(transform, state, theta)["w"]
    assert found.dtype == jnp.float64
    assert np.isfinite(found).all()
    if fisher == "exact":
        np.testing.assert_allclose(found, LAM * FISHERS[0] * (THETA - ENDS[0]), rtol=1e-4)


def test_a_weight_without_importance_follows_the_latest_task(key):
    """Its anchor would otherwise be the mean of nothing."""
    transform = ewc(LAM)
    dead = task(0)._replace(data={**task(0).data, "x": jnp.zeros((N, INPUTS))})
    state = transform.init(weights(np.zeros((INPUTS, CLASSES))))
    for w in ENDS[:2]:
        state, _ = transform.end_task(state, weights(w), dead, key)
    assert float(penalised(transform, state, weights(THETA), 1.5)[0]) == 1.5
    state, _ = transform.end_task(state, weights(ENDS[0]), task(0), key)
    expected = 0.5 * np.sum(FISHERS[0] * (THETA - ENDS[0]) ** 2)
    np.testing.assert_allclose(
        penalised(transform, state, weights(THETA))[1]["penalty"], expected, rtol=1e-5
    )


def test_online_ewc_by_hand(key):
    transform = online_ewc(LAM, 0.5)
    fisher = 0
    for k in range(3):
        fisher = 0.5 * fisher + FISHERS[k]
        state = after(transform, k + 1, key)
        expected = 0.5 * np.sum(fisher * (THETA - ENDS[k]) ** 2)
        loss, metrics = penalised(transform, state, weights(THETA), 1.5)
        np.testing.assert_allclose(metrics["penalty"], expected, rtol=1e-5)
        np.testing.assert_allclose(loss, 1.5 + LAM * expected, rtol=1e-5)


def test_mas_by_hand(key):
    transform = mas(LAM)
    for k in range(3):
        state = after(transform, k + 1, key)
        omega, distance = sum(OMEGAS[: k + 1]), THETA - ENDS[k]
        loss, metrics = penalised(transform, state, weights(THETA), 1.5)
        np.testing.assert_allclose(metrics["penalty"], np.sum(omega * distance**2), rtol=1e-5)
        np.testing.assert_allclose(loss, 1.5 + LAM * np.sum(omega * distance**2), rtol=1e-5)
        found = pull(transform, state, weights(THETA))["w"]
        np.testing.assert_allclose(found, 2 * LAM * omega * distance, rtol=1e-4)


ALL = pytest.mark.parametrize("make", [ewc, online_ewc, mas])


@ALL
def test_strength_zero_leaves_loss_and_gradient_as_they_are(make, key):
    transform = make(0.0)
    state = after(transform, 2, key)
    assert float(penalised(transform, state, weights(THETA))[1]["penalty"]) > 0

    def loss(p, transformed):
        plain = jnp.sum(jnp.sin(p["w"]))
        context = Context(p, {}, {})
        return transform.apply(plain, state, context)[0] if transformed else plain

    for f in (jax.value_and_grad(loss), jax.jit(jax.value_and_grad(loss), static_argnums=1)):
        chex.assert_trees_all_equal(f(weights(THETA), True), f(weights(THETA), False))


@ALL
def test_nothing_is_added_before_a_task_has_ended(make, key):
    transform = make(LAM)
    for state in (transform.init(weights(ENDS[0])), after(transform, 0, key)):
        loss, metrics = penalised(transform, state, weights(ENDS[1]), 0.7)
        assert float(loss) == np.float32(0.7)
        assert float(metrics["penalty"]) == 0
        np.testing.assert_array_equal(pull(transform, state, weights(ENDS[1]))["w"], 0)


def first(total, new):
    return new


def added(total, new):
    return total + new


@pytest.mark.parametrize(
    ("transform", "single", "accumulate", "factor"),
    [
        (online_ewc(1.0, 0.0), FISHERS, first, 0.5),
        (online_ewc(1.0, 1.0), FISHERS, added, 0.5),
        (mas(1.0), OMEGAS, added, 1.0),
    ],
)
def test_the_jitted_penalty_follows_anchor_and_importance(
    transform, single, accumulate, factor, key
):
    """A step that had captured the state as it was first traced fails from task 2 on."""

    traces = 0

    @jax.jit
    def loss(params, state):
        nonlocal traces
        traces += 1
        return penalised(transform, state, params)[0]

    state, importance = transform.init(weights(ENDS[0])), np.zeros((INPUTS, CLASSES))
    for k in range(3):
        state = transform.begin_task(state, weights(THETA), task(k), key)
        state, _ = transform.end_task(state, weights(ENDS[k]), task(k), key)
        importance = accumulate(importance, single[k])
        assert float(loss(weights(ENDS[k]), state)) == 0
        expected = factor * np.sum(importance * (THETA - ENDS[k]) ** 2)
        np.testing.assert_allclose(loss(weights(THETA), state), expected, rtol=1e-5)
        stronger = state._replace(strength=jnp.float32(3))
        np.testing.assert_allclose(loss(weights(THETA), stronger), 3 * expected, rtol=1e-5)
    assert traces == 1


def test_the_jitted_penalty_of_ewc_follows_all_tasks(key):
    transform = ewc(1.0)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def loss(params, state):
        return penalised(transform, state, params)[0]

    for tasks in (1, 2, 3):
        value = loss(weights(THETA), after(transform, tasks, key))
        np.testing.assert_allclose(value, separate(tasks)[0], rtol=1e-5)


@ALL
def test_weights_that_are_new_are_free_and_old_ones_are_held(make, key):
    transform = make(LAM)
    before = after(transform, 2, key)
    old = weights(THETA)
    larger = {"w": jnp.full((INPUTS, CLASSES + 1), 9.0).at[:, :CLASSES].set(old["w"])}
    larger["new"] = {"b": jnp.full(2, -5.0)}
    state = transform.begin_task(before, larger, task(2), key)
    assert float(penalised(transform, state, larger)[0]) == pytest.approx(
        float(penalised(transform, before, old)[0]), rel=1e-6
    )
    moved = jax.tree.map(lambda w: w + 3, larger)
    gradient = pull(transform, state, moved)
    held = pull(transform, before, jax.tree.map(lambda w: w + 3, old))
    assert np.all(held["w"] != 0)
    np.testing.assert_allclose(gradient["w"][:, :CLASSES], held["w"], rtol=1e-6)
    np.testing.assert_array_equal(gradient["w"][:, CLASSES:], 0)
    np.testing.assert_array_equal(gradient["new"]["b"], 0)


@ALL
def test_new_weights_are_held_once_their_task_has_ended(make, key):
    transform = make(LAM)
    larger = {"w": jnp.ones((INPUTS, CLASSES + 1))}
    state = transform.begin_task(after(transform, 1, key), larger, task(1), key)
    state, _ = transform.end_task(state, larger, task(1), key)
    moved = larger["w"].at[:, CLASSES].add(1)
    gradient = pull(transform, state, {"w": moved})["w"]
    assert np.all(gradient[:, CLASSES] > 0)


@pytest.mark.parametrize("make", [ewc, online_ewc])
def test_labels_and_number_of_examples_reach_the_fisher(make, key):
    x, w = np.eye(N), np.zeros((N, CLASSES))
    few = task(0)._replace(
        data={"x": jnp.asarray(x, jnp.float32), "y": jnp.zeros(N, jnp.int32)},
    )
    transform = make(1.0, fisher="empirical", n=2, label="y")
    state, _ = transform.end_task(transform.init(weights(w)), weights(w), few, key)
    gradient = pull(transform, state, weights(w + 1))["w"]
    # Even odds: each of the two examples has a squared gradient of 1/4 in its own row.
    np.testing.assert_allclose(np.sort(gradient[:, 0]), [0] * (N - 2) + [0.125] * 2, rtol=1e-6)


@ALL
@pytest.mark.parametrize("strength", [-1.0, float("nan")])
def test_a_negative_strength_is_refused(make, strength):
    with pytest.raises(ValueError, match=f"strength: {strength}"):
        make(strength)


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_that_is_no_share_is_refused(decay):
    with pytest.raises(ValueError, match=f"decay: {decay}"):
        online_ewc(1.0, decay)
