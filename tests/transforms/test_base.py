import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import (
    Context,
    LossTransform,
    PredictedLogits,
    Step,
    TaskData,
    bic,
    chain,
    lucir,
)


def anchor(strength):
    """A quadratic penalty that follows its anchor: the shape of EWC and SI."""

    def init(params):
        return {
            "anchor": jnp.copy(params),
            "strength": jnp.float32(strength),
            "path": jnp.float32(0),
        }

    def apply(loss, state, context):
        distance = jnp.sum((context.params - state["anchor"]) ** 2)
        return loss + state["strength"] * distance, {"distance": distance}

    def update(state, step):
        return {**state, "path": state["path"] + jnp.sum(jnp.abs(step.after - step.before))}

    def end_task(state, params, task, key):
        return {**state, "anchor": jnp.copy(params)}, params

    return LossTransform(init, apply, update=update, end_task=end_task)


SCALE = LossTransform(lambda params: jnp.float32(0.5), lambda loss, s, c: (s * loss, {"scale": s}))


def test_chain_applies_in_the_order_written_and_names_state_and_metrics():
    params = jnp.array([1.0, 2.0])
    context = Context(params + 1, {}, {})
    one = chain(scale=SCALE, anchor=anchor(3.0))
    other = chain(anchor=anchor(3.0), scale=SCALE)
    assert float(one.apply(jnp.float32(4), one.init(params), context)[0]) == 0.5 * 4 + 3 * 2
    loss, metrics = other.apply(jnp.float32(4), other.init(params), context)
    assert float(loss) == 0.5 * (4 + 3 * 2)
    assert {k: float(*v.values()) for k, v in metrics.items()} == {"anchor": 2.0, "scale": 0.5}


def test_chains_nest():
    inner = chain(anchor=anchor(1.0))
    nested = chain(inner=inner, scale=SCALE)
    params = jnp.zeros(2)
    loss, metrics = nested.apply(jnp.float32(2), nested.init(params), Context(params + 1, {}, {}))
    assert float(loss) == 0.5 * (2 + 2)
    assert set(metrics["inner"]) == {"anchor"}


def test_what_predicts_in_a_chain_predicts_logits_where_it_does_alone():
    def predict(state, context):
        return context.outputs + state

    for made, logits in ((predict, False), (PredictedLogits(predict), True)):
        nested = chain(inner=chain(one=SCALE._replace(predict=made)), other=SCALE)
        state = nested.init(jnp.zeros(2))
        assert float(nested.predict(state, Context({}, jnp.float32(1), {}))) == 1.5
        assert isinstance(nested.predict, PredictedLogits) == logits
    assert chain(one=SCALE).predict is None
    assert all(isinstance(t.predict, PredictedLogits) for t in (bic(8), lucir(8, lambda w: w)))


def test_every_hook_of_every_part_is_called(key):
    both = chain(a=anchor(1.0), b=anchor(2.0))
    params = jnp.zeros(2)
    state = both.update(both.init(params), Step(params, params + 1, params))
    assert [float(state[name]["path"]) for name in "ab"] == [2.0, 2.0]
    state, _ = both.end_task(state, params + 5, TaskData({}, lambda p, b: {}), key)
    for name in "ab":
        np.testing.assert_array_equal(state[name]["anchor"], [5.0, 5.0])


def test_the_jitted_loss_follows_state_that_changes(key):
    """A library that captures its anchors at the first trace fails here on task 3."""
    both = chain(anchor=anchor(1.0))
    params, traces = jnp.zeros(2), 0

    @jax.jit
    def loss(params, state):
        nonlocal traces
        traces += 1
        return both.apply(jnp.float32(0), state, Context(params, {}, {}))[0]

    state = both.init(params)
    for task in range(3):
        here = jnp.full(2, float(task))
        state, _ = both.end_task(state, here, TaskData({}, lambda p, b: {}), key)
        assert float(loss(here, state)) == 0
        assert float(loss(here + 1, state)) == 2
        weaker = {"anchor": {**state["anchor"], "strength": jnp.float32(0.25)}}
        assert float(loss(here + 1, weaker)) == 0.5
    assert traces == 1


def test_the_state_of_another_chain_is_refused(key):
    """Each hook says so: no transform can be found in it."""
    w = jnp.ones(2)
    transform, state = chain(a=anchor(1.0)), chain(b=anchor(1.0), c=SCALE).init(w)
    step, task = Step(w, w, w), TaskData({}, lambda w, batch: {})
    for hook in (
        lambda: transform.apply(jnp.float32(0), state, Context(w, {}, {})),
        lambda: transform.begin_task(state, w, task, key),
        lambda: transform.update(state, step),
        lambda: transform.end_task(state, w, task, key),
    ):
        with pytest.raises(ValueError, match="state: of a chain of b, c, where this one is of a;"):
            hook()
