import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import Context, TaskData, chain, distill, l2
from jaxcl.transforms.objectives.losses import distillation

N = 7
INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(N, 3)), jnp.float32)
DATA = {"x": INPUTS}


def forward(params, batch):
    return {name: batch["x"] @ w for name, w in params.items()}


@pytest.fixture
def params(key):
    a, b = jax.random.split(key)
    return {"t00": jax.random.normal(a, (3, 4)), "t01": jax.random.normal(b, (3, 2))}


def second_task(transform, params, key):
    """The state of a transform in its second task, which began at ``params``."""
    state, _ = transform.end_task(transform.init(params), params, TaskData(DATA, forward), key)
    old = {"t00": params["t00"]}
    return transform.begin_task(state, params, TaskData(DATA, lambda p, b: forward(old, b)), key)


def context(params, rows):
    batch = {"x": INPUTS[rows], "index": rows}
    return Context(params, forward(params, batch), batch)


def test_value_by_hand(params, key):
    transform = distill(15.0, 2.0)
    state = second_task(transform, params, key)
    rows = jnp.array([5, 0, 3])
    moved = jax.tree.map(lambda w: w + 0.1, params)
    loss, metrics = transform.apply(jnp.float32(1.5), state, context(moved, rows))
    teacher, student = np.asarray(INPUTS @ params["t00"]), np.asarray(INPUTS @ moved["t00"])
    expected = np.mean(
        [-np.sum(jax.nn.softmax(teacher[i] / 2) * jax.nn.log_softmax(student[i] / 2)) for i in rows]
    )
    np.testing.assert_allclose(metrics["kd"], expected, rtol=1e-6)
    np.testing.assert_allclose(loss, 1.5 + 15 * expected, rtol=1e-6)


def test_sums_over_old_heads_and_leaves_the_new_one_alone(params, key):
    transform = distill(1.0)
    begin, _ = transform.end_task(transform.init(params), params, TaskData(DATA, forward), key)
    state = transform.begin_task(begin, params, TaskData(DATA, forward), key)
    rows = jnp.arange(N)
    _, both = transform.apply(jnp.float32(0), state, context(params, rows))
    state = second_task(transform, params, key)
    _, one = transform.apply(jnp.float32(0), state, context(params, rows))
    w = params["t01"]
    t01 = jax.vmap(distillation, (0, 0, None))(INPUTS @ w, INPUTS @ w, jnp.float32(2)).mean()
    np.testing.assert_allclose(both["kd"], one["kd"] + t01, rtol=1e-6)

    def total(p):
        return transform.apply(jnp.float32(0), state, context(p, rows))[0]

    moved = {**params, "t00": params["t00"] + 0.3}
    assert np.any(jax.grad(total)(moved)["t00"] != 0)
    np.testing.assert_array_equal(jax.grad(total)(moved)["t01"], 0)


def test_first_task_keeps_the_loss(params, key):
    transform = distill(15.0)
    for forward_before in (lambda p, b: {}, forward):  # no head yet, or a head all tasks share
        state = transform.init(params)
        state = transform.begin_task(state, params, TaskData(DATA, forward_before), key)
        loss, _ = transform.apply(jnp.float32(0.7), state, context(params, jnp.arange(3)))
        assert float(loss) == np.float32(0.7)


def test_one_head_for_all_tasks_as_a_bare_array(key):
    w = jax.random.normal(key, (3, 4))
    task = TaskData(DATA, lambda p, b: b["x"] @ p)
    transform = distill(2.0)
    state, _ = transform.end_task(transform.init(w), w, task, key)
    state = transform.begin_task(state, w, task, key)
    rows = jnp.array([1, 2])
    moved = w + 0.5
    batch = Context(moved, INPUTS[rows] @ moved, {"index": rows})
    _, metrics = transform.apply(jnp.float32(0), state, batch)
    kd = jax.vmap(distillation, (0, 0, None))(
        INPUTS[rows] @ moved, INPUTS[rows] @ w, jnp.float32(2)
    )
    np.testing.assert_allclose(metrics["kd"], kd.mean(), rtol=1e-6)


def test_strength_zero_gives_the_same_gradient_bits(params, key):
    state = second_task(distill(0.0), params, key)
    rows = jnp.arange(N)

    def loss(p, transformed):
        c = context(p, rows)
        plain = jnp.sum(c.outputs["t00"] ** 2) + jnp.sum(c.outputs["t01"] ** 3)
        return distill(0.0).apply(plain, state, c)[0] if transformed else plain

    for f in (jax.grad(loss), jax.jit(jax.grad(loss), static_argnums=1)):
        chex.assert_trees_all_equal(f(params, True), f(params, False))


def test_the_jitted_loss_follows_recorded_responses_and_strengths(params, key):
    transform = distill(1.0)
    state = second_task(transform, params, key)
    rows = jnp.arange(4)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def loss(state):
        return transform.apply(jnp.float32(0), state, context(params, rows))[0]

    other = state._replace(responses=jax.tree.map(lambda r: r[::-1], state.responses))
    values = [float(loss(s)) for s in (state, other, state._replace(temperature=jnp.float32(4)))]
    assert len(set(values)) == 3
    np.testing.assert_allclose(loss(state._replace(strength=jnp.float32(3))), 3 * values[0], 1e-6)


def test_responses_are_recorded_once_in_batches_of_any_size(params, key):
    calls = []

    def counting(p, b):
        calls.append(b["x"].shape)
        return forward(p, b)

    for size in (1, 3, 500):
        calls.clear()
        transform = distill(record_batch=size)
        task = TaskData(DATA, counting)
        state = transform.begin_task(transform.init(params), params, task, key)
        chex.assert_trees_all_close(state.responses, forward(params, DATA), rtol=1e-5)
        assert calls == [(min(size, N), 3)]  # traced once


def test_t_squared(params, key):
    rows = jnp.arange(N)
    plain, scaled = distill(1.0, 3.0), distill(1.0, 3.0, t_squared=True)
    losses = [
        t.apply(jnp.float32(0), second_task(t, params, key), context(params, rows))[0]
        for t in (plain, scaled)
    ]
    np.testing.assert_allclose(losses[1], 9 * losses[0], rtol=1e-6)


def test_jit_is_no_jit(params, key):
    transform = chain(distill=distill(2.0), l2=l2(0.1))
    state = {
        "distill": second_task(distill(2.0), params, key),
        "l2": l2(0.1).init(params),
    }
    rows = jnp.arange(N)

    def loss(p, s):
        return transform.apply(jnp.float32(0.3), s, context(p, rows))[0]

    moved = jax.tree.map(lambda w: w * 1.1, params)
    plain, jitted = jax.value_and_grad(loss)(moved, state), jax.jit(jax.value_and_grad(loss))
    chex.assert_trees_all_close(jitted(moved, state), plain, rtol=1e-5, atol=1e-6)


def test_strengths_are_leaves_that_vmap_sweeps(params, key):
    transform = distill(1.0)
    state = second_task(transform, params, key)
    strengths = jnp.array([0.0, 1.0, 2.0])
    axes = jax.tree.map(lambda _: None, state)._replace(strength=0)
    states = state._replace(strength=strengths)

    def loss(s):
        return transform.apply(jnp.float32(0), s, context(params, jnp.arange(3)))[0]

    swept = jax.vmap(loss, (axes,))(states)
    np.testing.assert_allclose(swept, swept[1] * strengths, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1.0,), "strength: -1.0"), ((1.0, 0.0), "temperature: 0.0"), ((float("nan"),), "strength")],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        distill(*arguments)


def test_a_batch_without_rows_is_refused(params, key):
    transform = distill()
    state = second_task(transform, params, key)
    with pytest.raises(KeyError, match="index"):
        transform.apply(jnp.float32(0), state, Context(params, forward(params, DATA), DATA))


def test_new_classes_had_no_share_in_an_old_response_where_it_is_padded(key):
    """Two outputs were recorded, a third came later: its target is 0, or it is left out."""
    x, old, new = jnp.eye(2), jnp.array([[1.0, 0.0], [0.5, 2.0]]), jnp.array([[0.3, 1.0, 0.2]] * 2)
    task = TaskData({"x": x}, lambda w, batch: batch["x"] @ w)
    context = Context(new, x @ new, {"x": x, "index": jnp.arange(2)})
    p = jax.nn.softmax(old / 2)
    for padded, q in ((True, jax.nn.softmax(new / 2)), (False, jax.nn.softmax(new[:, :2] / 2))):
        transform = distill(1.0, 2.0, padded=padded)
        state, _ = transform.end_task(transform.init(old), old, task, key)
        state = transform.begin_task(state, old, task, key)
        loss, _ = transform.apply(jnp.float32(0), state, context)
        np.testing.assert_allclose(loss, -(p * jnp.log(q[:, :2])).sum(-1).mean(), rtol=1e-5)

        def of(outputs, transform=transform, state=state):
            return transform.apply(jnp.float32(0), state, context._replace(outputs=outputs))[0]

        assert np.isfinite(jax.grad(of)(context.outputs)).all()


@pytest.mark.parametrize("tasks", [1, 2, 4])
def test_an_output_that_tasks_share_counts_once_or_as_often_as_there_were_tasks(tasks, key):
    x, old, new = jnp.eye(2), jnp.array([[1.0, 0.0], [0.5, 2.0]]), jnp.array([[0.3, 1.0]] * 2)
    shared = TaskData({"x": x}, lambda w, batch: {"all": batch["x"] @ w})
    context = Context(new, {"all": x @ new}, {"x": x, "index": jnp.arange(2)})
    once = -(jax.nn.softmax(old / 2) * jax.nn.log_softmax(new / 2)).sum(-1).mean()
    for weighting, factor in (("one", 1), ("tasks", tasks)):
        transform = distill(3.0, 2.0, weighting=weighting)
        state = transform.init(old)
        for _ in range(tasks):
            state, _ = transform.end_task(state, old, shared, key)
        state = transform.begin_task(state, old, shared, key)
        loss, _ = transform.apply(jnp.float32(0), state, context)
        np.testing.assert_allclose(loss, 3 * factor * once, rtol=1e-5)


def test_with_a_head_for_each_task_both_weightings_are_the_sum_over_heads(params, key):
    losses = []
    for weighting in ("one", "tasks"):
        transform = distill(3.0, 2.0, weighting=weighting)
        state = transform.init(params)
        for _ in range(len(forward(params, DATA))):
            state, _ = transform.end_task(state, params, TaskData(DATA, forward), key)
        state = transform.begin_task(state, params, TaskData(DATA, forward), key)
        here = context(params, jnp.arange(3))
        losses.append(transform.apply(jnp.float32(0), state, here)[0])
    np.testing.assert_allclose(*losses, rtol=1e-6)


@pytest.mark.parametrize("padded", [False, True])
def test_classes_that_had_no_output_yet_are_as_if_they_were_not_there(padded, key):
    """Those in the old response are hidden by -1e9; before, ``task.before`` has them so."""
    w = jax.random.normal(key, (3, 4))
    few, moved = w[:, :2], w + 0.3
    transform, rows = distill(1.0, 2.0, padded=padded), jnp.arange(N)

    def loss(old, biases, before=None):
        params = {"w": old, "b": biases}
        task = TaskData(DATA, lambda p, b: b["x"] @ p["w"] + p["b"], before=before)
        state, _ = transform.end_task(transform.init(params), params, task, key)
        state = transform.begin_task(state, params, task, key)
        outputs = INPUTS @ moved
        return transform.apply(jnp.float32(0), state, Context(moved, outputs, {"index": rows}))[0]

    hidden = jnp.array([0, 0, -1e9, -1e9])
    alone = loss(few, jnp.zeros(2))
    np.testing.assert_allclose(loss(w.at[:, 2:].set(0), hidden), alone, rtol=1e-6)
    before = {"w": w.at[:, 2:].set(0), "b": hidden}
    np.testing.assert_allclose(loss(w, jnp.zeros(4), before), alone, rtol=1e-6)


def test_augmented_inputs_in_the_first_task(key):
    """One output or several: nobody is asked, and that is no error; nothing recorded is one."""
    transform, w = distill(1.0), jnp.ones((3, 2))
    batch = {"x": INPUTS, "index": jnp.arange(N)}
    for one in (lambda w, batch: batch["x"] @ w, lambda w, batch: {"a": batch["x"] @ w}):
        task, seen = TaskData(DATA, one, augmented=True), Context(w, one(w, batch), batch, key, one)
        state = transform.begin_task(transform.init(w), w, task, key)
        loss, metrics = transform.apply(jnp.float32(2), state, seen)
        assert (loss, metrics["kd"]) == (2, 0)
        state, _ = transform.end_task(state, w, task, key)
        state = transform.begin_task(state, w, task, key)
        assert transform.apply(jnp.float32(2), state, seen)[0] > 2
    with pytest.raises(ValueError, match="nothing is recorded; call state = "):
        transform.apply(jnp.float32(2), transform.init(w), Context(w, batch["x"] @ w, batch))
