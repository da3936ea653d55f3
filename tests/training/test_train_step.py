import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from given import add_branch, add_head, first_params, logits, mean_cross_entropy

from jaxcl.core.pytree import regrow
from jaxcl.growth.heads import FULL_HEAD, SETTINGS, View, forward, own_logits
from jaxcl.growth.parameters import leaf_mask, merge
from jaxcl.networks import Pathway, cnn, columns, mlp
from jaxcl.networks.base import Variables
from jaxcl.scenarios.images import to_float
from jaxcl.training import evaluation
from jaxcl.training.program import Program, adam, start_phase
from jaxcl.training.step import make_step
from jaxcl.training.train_step import epoch_order, no_totals, run_steps
from jaxcl.transforms import LossTransform, TaskData, chain, distill, l2
from jaxcl.transforms.objectives.losses import cross_entropy

NET = cnn(size=12, filters=(4, 5), hidden=6, formulation="native")
OLD = (Pathway("t00", ("t00", "t00"), "t00"),)
ROUTES = (*OLD, Pathway("t01", ("t01", "t01"), "t01"))
N = 24


def view(routes):
    return View(NET, routes, SETTINGS["task"])


@pytest.fixture
def params(key):
    params = first_params(NET, key)
    for i, (task, classes) in enumerate((("t00", 3), ("t01", 4))):
        for layer in NET.layers:
            params = add_branch(NET, params, layer, task, key=jax.random.fold_in(key, i))
        params = add_head(NET, params, task, classes, jax.random.fold_in(key, 9 + i))
    return params


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return {
        "input": jnp.asarray(rng.integers(0, 256, (N, 12, 12, 3), dtype=np.uint8)),
        "label": jnp.asarray(rng.integers(0, 4, N), jnp.int32),
        "task": jnp.ones(N, jnp.int32),
    }


def trains_second(path):
    return path[0] in ("fc1", "heads") or path[1] == "t01"


def second_task(transform, params, data, mask=trains_second, optimizer=None, routes=ROUTES):
    """Program and state at the beginning of a second task."""
    key = jax.random.key(3)
    program = Program(view(routes), (1,), transform, optimizer or adam(1e-2))
    params = jax.tree.map(jnp.copy, params)
    task = TaskData(data, forward(view(OLD)))
    transform_state, _ = transform.end_task(transform.init(params), params, task, key)
    transform_state = transform.begin_task(transform_state, params, task, key)
    return program, start_phase(
        program.optimizer, Variables(params, {}), leaf_mask(params, mask), transform_state, key
    )


def steps(program, state, data, bounds=((0, 6),), batch=4):
    order = epoch_order(jax.random.key(5), N, batch)
    totals = no_totals(program, state, data, order)
    for first, last in bounds:
        state, totals = run_steps(
            program, state, totals, data, order, np.int32(first), np.int32(last)
        )
    return state, totals


def lwf(strength=2.0):
    return chain(distill=distill(strength, record_batch=10), l2=l2(1e-2))


def test_frozen_leaves_stay_bit_identical_and_the_others_move(params, data):
    optimizer = optax.adamw(1e-2, weight_decay=0.1)  # would move a leaf with no gradient
    with jax.numpy_dtype_promotion("standard"):
        _, state = done = second_task(lwf(), params, data, optimizer=optimizer)
        after, _ = steps(*done, data)
    found = merge(after.params, after.frozen)
    for layer in NET.layers:
        chex.assert_trees_all_equal(found[layer]["t00"], params[layer]["t00"])
        assert np.all(found[layer]["t01"]["w"] != params[layer]["t01"]["w"])
    assert np.any(found["fc1"]["w"] != params["fc1"]["w"])
    del state


def test_where_an_epoch_is_cut_does_not_matter(params, data):
    whole = steps(*second_task(lwf(), params, data), data)
    cut = steps(*second_task(lwf(), params, data), data, bounds=((0, 1), (1, 4), (4, 4), (4, 6)))
    chex.assert_trees_all_equal(jax.tree.map(_bits, whole), jax.tree.map(_bits, cut))


def _bits(x):
    return np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)


def test_compiled_steps_equal_single_ones(params, data):
    program, state = second_task(lwf(), params, data, optimizer=optax.sgd(0.05))
    order = epoch_order(jax.random.key(5), N, 4)
    step, single = jax.jit(make_step(program)), state
    for rows in order[:3]:
        single, _ = step(single, {**{k: v[rows] for k, v in data.items()}, "index": rows})
    compiled, _ = steps(program, state, data, bounds=((0, 3),))
    chex.assert_trees_all_close(compiled.params, single.params, rtol=1e-4, atol=1e-6)


def test_strength_zero_is_fine_tuning_to_the_bit(params, data):
    shared = (*OLD, Pathway("t01", ("t00", "t00"), "t01"))
    runs = []
    for transform in (chain(), chain(distill=distill(0.0))):
        program, state = second_task(transform, params, data, lambda p: True, routes=shared)
        runs.append(steps(program, state, data)[0].params)
    chex.assert_trees_all_equal(*runs)
    program, state = second_task(chain(distill=distill(1.0)), params, data, lambda p: True)
    assert np.any(steps(program, state, data)[0].params["fc1"]["w"] != runs[0]["fc1"]["w"])


def test_one_compilation_for_a_route_whatever_the_seed_and_the_stretch(params, data):
    traced = chex.assert_max_traces(run_steps.__wrapped__, n=1)
    compiled = jax.jit(traced, static_argnames="program")
    program, state = second_task(lwf(), params, data)
    order = epoch_order(jax.random.key(5), N, 4)
    totals = no_totals(program, state, data, order)
    for seed, bounds in enumerate([(0, 1), (1, 3), (3, 6)]):
        again = state._replace(key=jax.random.key(seed))
        compiled(program, again, totals, data, order, *map(np.int32, bounds))
    other = program._replace(view=view((*OLD, Pathway("t01", ("t00", "t01"), "t01"))))
    with pytest.raises(AssertionError, match="traced > 1"):
        compiled(other, state, totals, data, order, np.int32(0), np.int32(1))


def test_update_sees_every_step(params, data):
    """The squared path length and the gradient at the last step, kept by a transform."""

    def update(state, step):
        moved = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), step.after, step.before)
        return {"count": state["count"] + 1, "moved": state["moved"] + sum(jax.tree.leaves(moved))}

    def init(params):
        return {"count": jnp.int32(0), "moved": jnp.float32(0)}

    path = LossTransform(init, lambda loss, s, c: (loss, {}), update=update)
    program, state = second_task(chain(path=path), params, data, optimizer=optax.sgd(0.1))
    start = jax.tree.map(jnp.copy, state.params)
    one, _ = steps(program, state, data, bounds=((0, 1),))
    distance = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), one.params, start)
    assert int(one.transform_state["path"]["count"]) == 1
    np.testing.assert_allclose(
        one.transform_state["path"]["moved"], sum(jax.tree.leaves(distance)), rtol=1e-5
    )
    program, state = second_task(chain(path=path), params, data, optimizer=optax.sgd(0.1))
    assert int(steps(program, state, data)[0].transform_state["path"]["count"]) == 6


def test_the_loss_uses_each_examples_own_head():
    outputs = {"t00": jnp.array([[1.0, 2.0], [0.0, 0.0]]), "t01": jnp.array([[9.0, 0.0, 0.0]] * 2)}
    batch = {"label": jnp.array([0, 2], jnp.int32), "task": jnp.array([0, 1], jnp.int32)}
    expected = (
        cross_entropy(outputs["t00"][0], jnp.int32(0))
        + cross_entropy(outputs["t01"][1], jnp.int32(2))
    ) / 2
    logits = own_logits(view(ROUTES), (0, 1))(outputs, batch)
    np.testing.assert_allclose(mean_cross_entropy(logits, batch["label"]), expected, rtol=1e-6)


def test_an_epoch_visits_every_row_once_and_leaves_the_remainder_out():
    order = np.asarray(epoch_order(jax.random.key(0), 23, 5))
    assert order.shape == (4, 5)
    assert len(set(order.ravel().tolist())) == 20
    assert order.max() < 23
    assert np.any(order != np.asarray(epoch_order(jax.random.key(1), 23, 5)))


def test_the_first_bad_step_is_reported(params, data):
    def apply(loss, state, context):
        return jnp.where(jnp.any(context.batch["index"] == 7), jnp.nan, loss), {}

    program, state = second_task(chain(bad=LossTransform(lambda p: (), apply)), params, data)
    order = epoch_order(jax.random.key(5), N, 4)
    expected = int(np.argwhere(np.asarray(order) == 7)[0, 0])
    _, totals = steps(program, state, data)
    assert int(totals.bad_step) == expected


def test_accuracy_in_percent(params, data):
    labels = logits(NET, params, to_float(data["input"]), ROUTES[1:])["t01"].argmax(-1)
    wrong = {**data, "label": jnp.where(jnp.arange(N) < 6, (labels + 1) % 4, labels)}
    assert float(
        evaluation.evaluate(view(ROUTES), 1, Variables(params, {}), wrong).accuracy
    ) == pytest.approx(75.0)


@pytest.mark.parametrize("setting", ["task", "domain", "class", "full"])
def test_tasks_are_evaluated_by_one_program(setting, key):
    """Which task it is, how many came before it and its head's name do not matter."""
    net, data = mlp(12, (5,)), {"input": jnp.zeros((9, 2, 2, 3), jnp.uint8)}
    data |= {"label": jnp.zeros(9, jnp.int32), "task": jnp.zeros(9, jnp.int32)}
    chosen = FULL_HEAD if setting == "full" else SETTINGS[setting]
    params, routes = first_params(net, key), ()
    evaluation.judged.clear_cache()
    for i, task in enumerate(("t00", "t01", "t02")):
        if not (chosen.shared_head and i):
            params = add_head(net, params, task, 3, jax.random.fold_in(key, i))
        head = "t00" if chosen.shared_head else task
        routes = (*routes, Pathway(task, (), head))
        for position in range(i + 1):
            whole = View(net, routes, chosen)
            found = evaluation.evaluate(whole, position, Variables(params, {}), data)
            logits = own_logits(whole, (position,))(forward(whole)(params, data), data)
            assert float(found.loss) == pytest.approx(
                float(mean_cross_entropy(logits, data["label"])), rel=1e-6
            )
    assert evaluation.judged._cache_size() == (3 if setting == "class" else 1)


@pytest.mark.parametrize("going_on", [False, True])
def test_a_phase_splits_the_tree_and_may_go_on_with_an_optimiser(going_on, key):
    params = {"a": jnp.ones(2), "b": jnp.zeros(3)}
    kept = [None]
    if going_on:  # of a phase in which the other leaf trained too, and of one in which it alone did
        _, before = adam(0.1).update(params, adam(0.1).init(params), params)
        other = {"a": None, "b": params["b"]}
        _, after = adam(0.1).update(other, regrow(before, adam(0.1).init(other)), other)
        kept = [before, after]
    state = start_phase(adam(0.1), Variables(params, {}), {"a": True, "b": False}, (), key, kept)
    chex.assert_trees_all_equal(state.params, {"a": params["a"], "b": None})
    chex.assert_trees_all_equal(state.frozen, {"a": None, "b": params["b"]})
    moments = state.opt.inner_state[0]
    assert int(moments.count) == 2 * going_on
    np.testing.assert_allclose(moments.mu["a"], 0.1 * going_on, rtol=1e-6)
    assert moments.mu["b"] is None


def test_a_step_tells_the_gradient_of_the_plain_loss_from_that_of_the_whole(key):
    """Both kept by a transform that adds half the squared weights."""
    net, chosen = mlp(4, (3,)), SETTINGS["task"]
    params = add_head(net, first_params(net, key), "t00", 2, key)
    batch = {"input": jnp.arange(8, dtype=jnp.uint8).reshape(2, 2, 2, 1) * 30}
    batch |= {"label": jnp.array([0, 1], jnp.int32), "task": jnp.zeros(2, jnp.int32)}
    told = LossTransform(
        lambda params: (),
        lambda loss, s, c: (loss + sum(jnp.vdot(x, x) for x in jax.tree.leaves(c.params)) / 2, {}),
        update=lambda state, step: (step.loss_gradient, step.gradient),
    )
    whole = View(net, (Pathway("t00", (), "t00"),), chosen)
    mask = jax.tree.map(lambda _: True, params)
    state = start_phase(optax.sgd(0.1), Variables(params, {}), mask, (), key)
    step = jax.jit(make_step(Program(whole, (0,), told, optax.sgd(0.1))))
    after, _ = step(state, batch)

    def loss(params):
        return mean_cross_entropy(forward(whole)(params, batch)["t00"], batch["label"])

    plain = jax.jit(jax.grad(loss))(params)
    total = jax.tree.map(jnp.add, plain, params)
    chex.assert_trees_all_close(after.transform_state, (plain, total), rtol=1e-4, atol=1e-6)
    moved = jax.tree.map(lambda w, g: w - 0.1 * g, params, total)
    chex.assert_trees_all_close(after.params, moved, rtol=1e-4, atol=1e-6)


def test_a_task_is_tested_along_its_own_route_by_its_own_head(key):
    net = columns(size=2, filters=(), hidden=(3,))
    rng, params, routes = np.random.default_rng(0), first_params(net, key), ()
    for i, task in enumerate(("t00", "t01")):
        params = add_branch(net, params, "column", task, key=jax.random.fold_in(key, i))
        params = add_head(net, params, task, 3, jax.random.fold_in(key, 9 + i))
        routes = (*routes, Pathway(task, (task,), task))
    data = {
        "input": jnp.asarray(rng.integers(0, 256, (9, 2, 2, 3), dtype=np.uint8)),
        "label": jnp.asarray(rng.integers(0, 3, 9), jnp.int32),
    }
    for position, task in enumerate(("t00", "t01")):
        own = {**data, "task": jnp.full(9, position, jnp.int32)}
        whole = View(net, routes, SETTINGS["task"])
        found = evaluation.evaluate(whole, position, Variables(params, {}), own)
        said = logits(net, params, to_float(data["input"]), routes)[task]
        expected = mean_cross_entropy(said, data["label"])
        np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
        hits = np.mean(np.asarray(said).argmax(-1) == np.asarray(data["label"]))
        np.testing.assert_allclose(found.accuracy, 100 * hits, rtol=1e-6)
