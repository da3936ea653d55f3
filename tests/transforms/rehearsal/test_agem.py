"""A-GEM by hand on a linear model, and what holds of every step."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from jaxcl.core.random import stream
from jaxcl.core.types import Array
from jaxcl.transforms import (
    Context,
    LossTransform,
    TaskData,
    agem,
    binary,
    chain,
    drawn,
    gradients,
    l2,
    replay,
    squared,
)
from jaxcl.transforms.rehearsal.agem import projected
from jaxcl.transforms.rehearsal.buffers import class_balanced, reservoir, ring
from jaxcl.transforms.rehearsal.made_examples import generated, noise
from jaxcl.transforms.rehearsal.memory import fraction, per_class, stored

RNG = np.random.default_rng(0)
CLASSES, INPUTS = 3, 4
W = jnp.asarray(RNG.normal(size=(INPUTS, CLASSES)), jnp.float32)


def forward(params, batch):
    return batch["x"] @ params["w"] + params["b"]


PARAMS = {"w": W, "b": jnp.zeros(CLASSES)}


def examples(n, seed, classes=CLASSES):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(n, INPUTS)), jnp.float32)
    return {"x": x, "label": jnp.asarray(rng.integers(0, classes, n), jnp.int32)}


OLD, NEW = examples(30, 1), examples(8, 2)


def after(transform, key, tasks=(OLD,), params=PARAMS, run=forward):
    state = transform.init(params)
    for k, data in enumerate(tasks):
        task, own = TaskData(data, run), jax.random.fold_in(key, k)
        state = transform.begin_task(state, params, task, own)
        state, _ = transform.end_task(state, params, task, own)
    return transform.begin_task(state, params, TaskData(NEW, run), key)


def loss_of(logits, batch):
    every = jax.nn.log_softmax(jnp.asarray(logits, jnp.float32))
    return -jnp.take_along_axis(every, batch["label"][:, None], 1).mean()


def step(transform, state, key, params=PARAMS, batch=NEW, mask=None, run=forward):
    context = Context(params, None, batch, key, run)
    return gradients(transform, state, loss_of, context, run, mask=mask)


def gradient_by_hand(batch, w=W):
    """Softmax regression: x (p - y), averaged; in float64."""
    x, label = np.asarray(batch["x"], float), np.asarray(batch["label"])
    off = softmax(x @ np.asarray(w, float), axis=1) - np.eye(CLASSES)[label]
    return {"w": x.T @ off / len(x), "b": off.mean(0)}


def product(a, b):
    return sum(float(np.vdot(np.asarray(a[n], float), np.asarray(b[n], float))) for n in a)


KEYS = [jax.random.key(i) for i in range(40)]
MEMORIES = {
    "all": fraction(1.0),
    "part": fraction(0.2),
    "per_class": per_class(2),
    "reservoir": stored(reservoir(9)),
    "ring": stored(ring(9)),
    "class_balanced": stored(class_balanced(9, CLASSES)),
}


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
def test_the_step_is_the_projection_by_hand(memory, key):
    transform = agem(memory)
    state, signs = after(transform, key, [OLD, examples(20, 3)]), set()
    compiled = jax.jit(lambda state, key: step(transform, state, key).gradient)
    plain = gradient_by_hand(NEW)
    for own in KEYS:
        reference = gradient_by_hand(drawn(state.memory, stream(own, "agem"), 8))
        along, found = product(plain, reference), compiled(state, own)
        signs.add(along < 0)
        share = min(along, 0) / product(reference, reference)
        for name in plain:
            expected = plain[name] - share * reference[name]
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-6)
        assert product(found, reference) >= -1e-6
    assert signs == {True, False}


@pytest.mark.slow
def test_where_nothing_is_against_it_the_gradient_is_the_same_to_the_bit(key):
    transform = agem(fraction(1.0))
    state, same = after(transform, key), 0
    for own in KEYS:
        found = step(transform, state, own)
        reference = gradient_by_hand(drawn(state.memory, stream(own, "agem"), 8))
        if product(found.loss_gradient, reference) > 1e-5:
            chex.assert_trees_all_equal(found.gradient, found.loss_gradient)
            same += 1
    assert 0 < same < len(KEYS)


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
def test_the_first_task_is_fine_tuning_to_the_bit(memory, key):
    transform = agem(memory)
    found = step(transform, after(transform, key, ()), key)
    chex.assert_trees_all_equal(found.gradient, found.loss_gradient)
    assert float(found.loss) == float(found.plain_loss)
    assert found.metrics == {}


def test_the_loss_stays_as_it_is_in_later_tasks(key):
    transform = agem(fraction(1.0))
    found = step(transform, after(transform, key), key)
    assert float(found.loss) == float(found.plain_loss)


def test_the_draw_is_as_large_as_the_batch_or_as_is_said(key):
    sizes = []

    def noted(params, batch):
        sizes.append(len(batch["x"]))
        return forward(params, batch)

    for n, size in ((None, 8), (5, 5), (100, 100)):
        transform, sizes[:] = agem(fraction(1.0), n=n), []
        step(transform, after(transform, key), key, run=noted)
        assert sizes == [8, size]


def test_frozen_leaves_have_no_part_in_it(key):
    transform = agem(fraction(1.0))
    state, mask, changed = after(transform, key), {"w": True, "b": False}, 0
    for own in KEYS[:10]:
        found = step(transform, state, own, mask=mask)
        assert found.gradient["b"] is None
        plain = gradient_by_hand(NEW)["w"]
        reference = gradient_by_hand(drawn(state.memory, stream(own, "agem"), 8))["w"]
        share = min(np.vdot(plain, reference), 0) / np.vdot(reference, reference)
        expected = plain - share * reference
        np.testing.assert_allclose(found.gradient["w"], expected, rtol=1e-4, atol=1e-6)
        changed += share < 0
    assert changed


def test_a_part_of_the_tree_that_is_frozen_as_a_whole(key):
    nested = {"net": PARAMS, "head": {"v": jnp.ones(CLASSES)}}

    def run(params, batch):
        return forward(params["net"], batch) * params["head"]["v"]

    transform = agem(fraction(1.0))
    state = after(transform, key, params=nested, run=run)
    found = step(transform, state, key, nested, mask={"net": False, "head": True}, run=run)
    assert found.gradient["net"] is None
    assert np.all(np.isfinite(found.gradient["head"]["v"]))


def test_networks_side_by_side_give_what_each_gives_alone(key):
    transform = agem(fraction(1.0))
    states = [after(transform, jax.random.fold_in(key, i)) for i in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
    together = jax.vmap(lambda state, key: step(transform, state, key).gradient)(
        stacked, jnp.stack(KEYS[:3])
    )
    for i, state in enumerate(states):
        alone = step(transform, state, KEYS[i]).gradient
        mine = jax.tree.map(lambda x, i=i: x[i], together)
        chex.assert_trees_all_close(mine, alone, rtol=1e-5, atol=1e-6)


def test_in_a_chain_gradients_are_changed_in_the_order_written(key):
    """A push along the reference, which a projection after it takes out."""

    def push(gradient, state, context):
        return jax.tree.map(lambda g, r: g - 100 * jnp.asarray(r, g.dtype), gradient, state)

    state = after(agem(fraction(1.0)), key)
    reference = gradient_by_hand(drawn(state.memory, stream(key, "agem"), 8))
    reference = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), reference)
    pushing = LossTransform(lambda p: (), lambda loss, s, c: (loss, {}), gradient=push)
    found = {}
    for order in (("push", "agem"), ("agem", "push")):
        made = {"push": pushing, "agem": agem(fraction(1.0))}
        transform = chain(**{name: made[name] for name in order})
        both = {"push": reference, "agem": state}
        found[order] = product(step(transform, both, key).gradient, reference)
    assert found["push", "agem"] >= -1e-4
    assert found["agem", "push"] < -1


def test_the_gradient_of_the_whole_loss_is_projected(key):
    transform = chain(agem=agem(fraction(1.0)), l2=l2(3.0))
    state, changed = after(transform, key), 0
    for own in KEYS[:20]:
        found = step(transform, state, own).gradient
        plain = gradient_by_hand(NEW)
        whole = {n: plain[n] + 3 * np.asarray(PARAMS[n]) for n in plain}
        reference = gradient_by_hand(drawn(state["agem"].memory, stream(own, "agem"), 8))
        share = min(product(whole, reference), 0) / product(reference, reference)
        expected = {n: whole[n] - share * reference[n] for n in whole}
        chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)
        changed += share < 0
    assert changed


def test_parameters_in_bfloat16(key):
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    whole = jax.tree.map(lambda x: x.astype(jnp.float32), half)

    def run(params, batch):
        return batch["x"].astype(params["w"].dtype) @ params["w"] + params["b"]

    transform = agem(fraction(1.0))
    state = after(transform, key, params=half, run=run)
    for own in KEYS[:10]:
        found = step(transform, state, own, half, run=run).gradient
        exact = step(transform, state, own, whole, run=run).gradient
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("bfloat16")}
        chex.assert_trees_all_close(
            jax.tree.map(lambda x: x.astype(jnp.float32), found), exact, atol=0.02
        )


def test_a_product_of_leaves_that_nearly_cancel_is_not_lost_to_rounding():
    """257 - 260 = -3; in bfloat16 257 is 256."""
    g = {"a": jnp.ones(257), "b": -jnp.ones(260), "c": jnp.zeros(1)}
    reference = {"a": jnp.ones(257), "b": jnp.ones(260), "c": jnp.full(1, 16.0)}
    half = [jax.tree.map(lambda x: x.astype(jnp.bfloat16), tree) for tree in (g, reference)]
    moved = projected(*half)["c"]
    np.testing.assert_allclose(moved.astype(jnp.float32), 16 * 3 / (257 + 260 + 256), rtol=0.005)


@pytest.mark.parametrize("size", [0.0, 1e-30])
def test_a_reference_that_is_nothing_changes_nothing(size):
    g = {"a": jnp.array([3.0, -4.0])}
    moved = projected(g, {"a": jnp.array([-size, 0.0])})
    chex.assert_trees_all_equal(moved, g)


@pytest.mark.parametrize("objective", [binary, squared])
def test_other_objectives(objective, key):
    def labelled(data, seed):
        rng = np.random.default_rng(seed)
        return data | {"label": jnp.asarray(rng.integers(0, 2, (len(data["x"]), CLASSES)), float)}

    old, new = labelled(OLD, 5), labelled(NEW, 6)
    transform, changed = agem(fraction(1.0), objective=objective), 0
    state = after(transform, key, [old])

    def mean(params, batch):
        return objective.loss(forward(params, batch), batch["label"]).mean()

    for own in KEYS[:20]:
        context = Context(PARAMS, None, new, own, forward)
        loss = lambda outputs, batch: objective.loss(outputs, batch["label"]).mean()  # noqa: E731
        found = gradients(transform, state, loss, context, forward).gradient
        plain = jax.grad(mean)(PARAMS, new)
        reference = jax.grad(mean)(PARAMS, drawn(state.memory, stream(own, "agem"), 8))
        chex.assert_trees_all_close(found, projected(plain, reference), rtol=1e-4, atol=1e-6)
        changed += product(plain, reference) < 0
    assert changed or objective is squared


def test_inputs_that_are_trees_give_what_one_array_gives(key):
    def nested(data):
        return {**data, "x": {"a": (data["x"][:, :1], data["x"][:, 1:3]), "b": data["x"][:, 3:]}}

    def run(params, batch):
        x = batch["x"]
        joined = x if isinstance(x, Array) else jnp.concatenate([*x["a"], x["b"]], -1)
        return forward(params, {**batch, "x": joined})

    transform = agem(stored(reservoir(9)))
    one, tree = after(transform, key), after(transform, key, [nested(OLD)], run=run)
    for own in KEYS[:10]:
        chex.assert_trees_all_close(
            step(transform, tree, own, batch=nested(NEW), run=run).gradient,
            step(transform, one, own).gradient,
            rtol=1e-5,
            atol=1e-6,
        )


def test_draws_have_a_stream_of_their_own(key):
    """Beside a replay from the same memory, other rows are drawn."""
    transform = chain(agem=agem(fraction(1.0)), replay=replay(fraction(1.0)))
    state = after(transform, key)
    rows = [drawn(state[name].memory, stream(key, name), 8)["x"] for name in ("agem", "replay")]
    assert np.any(rows[0] != rows[1])
    seen = []

    def noted(params, batch):
        seen.append(np.asarray(batch["x"]) if not isinstance(batch["x"], jax.core.Tracer) else None)
        return forward(params, batch)

    step(transform, state, key, run=noted)
    np.testing.assert_array_equal(seen[-1], rows[0])


@pytest.mark.parametrize("missing", ["key", "forward"])
def test_a_context_without_key_or_forward_is_refused(missing, key):
    transform = agem(fraction(1.0))
    context = Context(PARAMS, None, NEW, key, forward)._replace(**{missing: None})
    with pytest.raises(ValueError, match="this transform needs key and forward"):
        gradients(transform, after(transform, key), loss_of, context, forward)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: agem(fraction(1.0), n=0), "n: 0 is not positive"),
        (lambda: agem(noise()), "the memory keeps no examples with their labels"),
        (lambda: agem(generated()), "the memory keeps no examples with their labels"),
        (lambda: agem(per_class(2), objective=squared), "squared labels are none"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_labels_that_are_missing_are_missed_as_a_task_begins(key):
    task = TaskData({"x": jnp.eye(4), "y": jnp.zeros(4, jnp.int32)}, forward)
    with pytest.raises(ValueError, match="label: the task's data has no 'label', it has x, y"):
        agem(fraction(1.0)).begin_task(agem(fraction(1.0)).init(W), W, task, key)
    named = agem(fraction(1.0), label="y")
    named.begin_task(named.init(W), W, task, key)
    by_class, task = agem(per_class(1)), task._replace(data={"label": jnp.zeros((4, 2), jnp.int32)})
    with pytest.raises(ValueError, match="is not a class for each example"):
        by_class.begin_task(by_class.init(W), W, task, key)


def test_a_loop_that_takes_the_gradient_without_it_is_told(key):
    """As one for penalties does, with ``apply`` and ``jax.grad``; it would be fine-tuning."""
    transform = agem(fraction(1.0))
    state = after(transform, key)
    with pytest.raises(ValueError, match="key"):
        transform.apply(jnp.float32(1), state, Context(PARAMS, forward(PARAMS, NEW), NEW))
