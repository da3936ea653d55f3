import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxcl.transforms import Context, Step, TaskData, gradients, si

TASK = TaskData({}, lambda params, batch: {})
KEY = jax.random.key(0)


def vector(*values):
    return jnp.array(values, jnp.float32)


def begun(transform, params):
    return transform.begin_task(transform.init(params), params, TASK, KEY)


def descend(transform, loss, params, rate, steps):
    """State and parameters after gradient descent in a compiled loop."""

    def step(carry, _):
        params, state = carry
        g = jax.grad(loss)(params)
        after = jax.tree.map(lambda w, g: w - rate * g, params, g)
        return (after, transform.update(state, Step(params, after, g, g))), None

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, None, steps)[0])
    return run((params, begun(transform, params)))


def test_the_path_integral_is_the_drop_of_the_loss():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.integers(0, 4, 8)
    inputs, hot = jnp.asarray(x, jnp.float32), jnp.asarray(np.eye(4)[y], jnp.float32)

    def loss(params):
        logits = jnp.tanh(inputs @ params["a"]) @ params["b"]
        return -jnp.mean(jnp.sum(hot * jax.nn.log_softmax(logits), -1))

    params = {
        "a": jnp.asarray(rng.normal(size=(3, 5)), jnp.float32),
        "b": jnp.asarray(rng.normal(size=(5, 4)), jnp.float32),
    }
    after, state = descend(si(1.0), loss, params, 0.005, 400)
    drop = float(loss(params) - loss(after))
    assert drop > 0.1
    assert sum(float(p.sum()) for p in jax.tree.leaves(state.path)) == pytest.approx(drop, rel=0.01)


def test_each_weight_is_paid_for_what_it_did():
    """A sum of losses of one weight each: every path is the drop of its own loss."""
    curvature, target = vector(0.5, 1.0, 4.0), vector(1.0, -2.0, 0.5)

    def losses(w):
        return curvature * (w - target) ** 2 / 2

    start = jnp.zeros(3)
    after, state = descend(si(1.0), lambda w: losses(w).sum(), start, 0.002, 300)
    # Finite steps pay a factor 1 / (1 - rate * curvature / 2) too much.
    np.testing.assert_allclose(state.path, losses(start) - losses(after), rtol=0.005)


def test_steps_and_the_end_of_a_task_by_hand():
    transform = si(2.0, xi=0.5)
    places = [vector(0.0, 1.0, 2.0), vector(1.0, 1.0, 1.0), vector(0.5, 1.0, 3.0)]
    slopes = [vector(-2.0, 9.0, 1.0), vector(1.0, 9.0, 1.0)]
    state = begun(transform, places[0])
    for before, after, g in zip(places, places[1:], slopes, strict=False):
        state = transform.update(state, Step(before, after, -g, g))
    np.testing.assert_allclose(state.path, [2 + 0.5, 0, 1 - 2])
    end = places[-1]
    state, _ = transform.end_task(state, end, TASK, KEY)
    # 2.5 / (0.5^2 + 0.5); did not move; went up, so it did the loss no good.
    importance = np.array([2.5 / 0.75, 0, 0])
    np.testing.assert_allclose(state.importance, importance, rtol=1e-6)
    loss, metrics = transform.apply(jnp.float32(1.5), state, Context(end + 3, {}, {}))
    np.testing.assert_allclose(metrics["penalty"], 9 * importance.sum(), rtol=1e-6)
    np.testing.assert_allclose(loss, 1.5 + 2 * 9 * importance.sum(), rtol=1e-6)
    gradient = jax.grad(lambda w: transform.apply(jnp.float32(0), state, Context(w, {}, {}))[0])(
        end + 3
    )
    np.testing.assert_allclose(gradient, 2 * 2 * importance * 3, rtol=1e-6)


values = arrays.arrays(np.float32, (3, 4), elements=st.floats(-10, 10, width=32))


@given(values, values, st.sampled_from([1e-3, 0.1, 10.0]))
def test_importance_is_never_negative_and_never_falls(places, slopes, xi):
    transform, w = si(1.0, xi=xi), jnp.zeros(4)
    state = transform.init(w)
    for _ in range(2):
        state, earlier = transform.begin_task(state, w, TASK, KEY), state.importance
        for place, g in zip(places, slopes, strict=True):
            after = jnp.asarray(place)
            state = transform.update(state, Step(w, after, jnp.asarray(g), jnp.asarray(g)))
            w = after
        state, _ = transform.end_task(state, w, TASK, KEY)
        assert np.all(np.asarray(state.importance) >= np.asarray(earlier))
        places = places[::-1]
    assert np.all(np.asarray(state.importance) >= 0)


def test_the_gradient_of_the_whole_loss_on_request():
    before, after = vector(0.0), vector(1.0)
    step = Step(before, after, gradient=vector(-5.0), loss_gradient=vector(-2.0))
    for gradient, path in (("loss", 2.0), ("total", 5.0)):
        transform = si(1.0, gradient=gradient)
        state = transform.update(begun(transform, before), step)
        np.testing.assert_array_equal(state.path, [path])


def test_the_gradient_of_the_loss_must_be_given():
    w = vector(1.0)
    step = Step(w, w + 1, gradient=w)
    with pytest.raises(ValueError, match="loss_gradient: missing"):
        si(1.0).update(begun(si(1.0), w), step)
    total = si(1.0, gradient="total")
    np.testing.assert_array_equal(total.update(begun(total, w), step).path, [-1.0])


def test_weights_that_do_not_train_keep_their_path():
    transform = si(1.0)
    params = {"a": vector(0.0, 0.0), "b": {"w": vector(0.0)}}
    g = {"a": vector(1.0, 2.0), "b": {"w": vector(3.0)}}
    moved = jax.tree.map(lambda w: w - 1, params)
    state = transform.update(begun(transform, params), Step(params, moved, g, g))
    frozen = {"a": None, "b": {"w": params["b"]["w"]}}
    step = Step(frozen, {"a": None, "b": moved["b"]}, *2 * [{"a": None, "b": g["b"]}])
    update = jax.jit(transform.update)
    for again in (transform.update(state, step), update(state, step)):
        chex.assert_trees_all_equal(again.path, {"a": vector(1.0, 2.0), "b": {"w": vector(6.0)}})


def test_a_mask_may_be_the_upper_part_of_the_parameters():
    """What does not train is then one None, where the parameters have a tree."""
    w, g = vector(1.0, 2.0), vector(3.0, 4.0)
    params = {"a": w, "heads": {"old": {"w": w, "b": w}, "new": w}}
    mask = {"a": True, "heads": {"old": False, "new": True}}
    transform = si(1.0)
    state = begun(transform, params)
    context = Context(params, None, {"x": g})
    found = gradients(transform, state, lambda y, _: y, context, forward_of_all, mask=mask)
    assert found.gradient["heads"]["old"] is None
    after = jax.tree.map(lambda x: x - 1, {"a": w, "heads": {"old": None, "new": w}})
    path = transform.update(state, found.step(after)).path
    kept = {"w": 0 * w, "b": 0 * w}
    chex.assert_trees_all_equal(path, {"a": g, "heads": {"old": kept, "new": g}})


def forward_of_all(params, batch):
    return sum(jnp.vdot(leaf, batch["x"]) for leaf in jax.tree.leaves(params))


def test_strength_zero_leaves_loss_and_gradient_as_they_are():
    transform = si(0.0)
    state = begun(transform, vector(0.0, 1.0))._replace(importance=vector(2.0, 3.0))

    def loss(w, transformed):
        plain = jnp.sum(jnp.sin(w))
        return transform.apply(plain, state, Context(w, {}, {}))[0] if transformed else plain

    for f in (jax.value_and_grad(loss), jax.jit(jax.value_and_grad(loss), static_argnums=1)):
        chex.assert_trees_all_equal(f(vector(0.3, 4.0), True), f(vector(0.3, 4.0), False))


def test_nothing_is_added_before_a_task_has_ended():
    transform = si(3.0)
    state = begun(transform, vector(0.0))
    state = transform.update(state, Step(vector(0.0), vector(1.0), *2 * [vector(-4.0)]))
    loss, _ = transform.apply(jnp.float32(0.7), state, Context(vector(5.0), {}, {}))
    assert float(loss) == np.float32(0.7)


def test_a_second_task_begins_a_new_path_and_adds_to_importance():
    transform = si(1.0, xi=1.0)

    def train(state, before, after, g):
        state = transform.begin_task(state, before, TASK, KEY)
        state = transform.update(state, Step(before, after, g, g))
        return transform.end_task(state, after, TASK, KEY)[0]

    state = train(transform.init(vector(0.0)), vector(0.0), vector(1.0), vector(-4.0))
    np.testing.assert_array_equal(state.importance, [4 / (1 + 1)])
    again = transform.begin_task(state, vector(1.0), TASK, KEY)
    np.testing.assert_array_equal(again.path, [0])
    np.testing.assert_array_equal(again.start, [1])
    np.testing.assert_array_equal(again.importance, [2])
    np.testing.assert_array_equal(again.anchor, [1])
    state = train(state, vector(1.0), vector(3.0), vector(-5.0))
    np.testing.assert_allclose(state.importance, [2 + 10 / (4 + 1)])
    np.testing.assert_array_equal(state.anchor, [3])


def test_weights_that_are_new_are_free_and_old_ones_are_held():
    transform = si(1.0)
    state = begun(transform, {"a": vector(1.0)})._replace(importance={"a": vector(2.0)})
    larger = {"a": vector(1.0, 8.0), "b": vector(9.0)}
    state = transform.begin_task(state, larger, TASK, KEY)
    moved = jax.tree.map(lambda w: w + 3, larger)
    gradient = jax.grad(lambda p: transform.apply(jnp.float32(0), state, Context(p, {}, {}))[0])(
        moved
    )
    chex.assert_trees_all_equal(gradient, {"a": vector(2 * 2 * 3, 0.0), "b": vector(0.0)})
    step = Step(larger, moved, larger, larger)
    chex.assert_trees_all_equal(
        transform.update(state, step).path, jax.tree.map(lambda w: -3 * w, larger)
    )


def test_the_jitted_penalty_follows_the_anchor():
    """A step that had captured the state as it was first traced fails from task 2 on."""
    transform = si(1.0, xi=1.0)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def loss(w, state):
        return transform.apply(jnp.float32(0), state, Context(w, {}, {}))[0]

    state, importance = transform.init(vector(0.0)), 0.0
    for k in range(3):
        before, after = vector(k), vector(k + 1)
        state = transform.begin_task(state, before, TASK, KEY)
        state = transform.update(state, Step(before, after, *2 * [vector(-2.0)]))
        state, _ = transform.end_task(state, after, TASK, KEY)
        importance += 2 / (1 + 1)
        assert float(loss(after, state)) == 0
        assert float(loss(after + 2, state)) == 4 * importance


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"strength": -1.0}, "strength: -1"), ({"strength": 1.0, "xi": 0.0}, "xi: 0.0")],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        si(**settings)
