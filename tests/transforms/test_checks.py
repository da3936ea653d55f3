"""What would go wrong in silence is refused, by an error that names the remedy."""

import inspect
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from jaxcl.transforms import (
    Context,
    LossTransform,
    Step,
    TaskData,
    chain,
    der,
    diagonal_fisher,
    distill,
    ewc,
    fraction,
    l2,
    mas,
    online_ewc,
    per_class,
    replay,
    rwalk,
    si,
)
from jaxcl.transforms.checks import check_classes, check_not_negative

DATA = {"x": jnp.eye(3), "label": jnp.array([0, 1, 0], jnp.int32)}
UNNAMED = {"x": jnp.eye(3), "y": DATA["label"]}
W = jnp.ones((3, 2))


def forward(w, batch):
    return batch["x"] @ w


def step(key, loss_gradient=W):
    batch = {**DATA, "index": jnp.arange(3)}
    context = Context(W, forward(W, batch), batch, key, forward)
    return Step(W, W - 1, W, loss_gradient, context)


@pytest.mark.parametrize(
    "make", [lambda: si(1.0), lambda: rwalk(1.0), lambda: der(4, 2)], ids=["si", "rwalk", "der"]
)
def test_a_loop_that_never_calls_update_is_told_so(make, key):
    """In any task: importance would stay 0, the buffer as it was."""
    transform, task = make(), TaskData(DATA, forward)
    state = transform.begin_task(transform.init(W), W, task, key)
    with pytest.raises(ValueError, match="update was not called in this task"):
        transform.end_task(state, W, task, key)
    state, _ = transform.end_task(transform.update(state, step(key)), W, task, key)
    state = transform.begin_task(state, W, task, key)
    with pytest.raises(ValueError, match=r"call state = transform\.update\(state, Step"):
        transform.end_task(state, W, task, key)


class Normed(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(linen.BatchNorm(use_running_average=True)(x))


PENALTIES = pytest.mark.parametrize("make", [ewc, online_ewc, mas, si, l2])


@PENALTIES
def test_flax_variables_with_statistics_are_no_parameters(make):
    variables = Normed().init(jax.random.key(0), DATA["x"])
    make(1.0).init(variables["params"])
    with pytest.raises(ValueError, match=r'variables with batch_stats; pass variables\["params"\]'):
        make(1.0).init(variables)


@PENALTIES
def test_nnx_statistics_are_no_parameters(make):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(3, rngs=rngs)
            self.dense = nnx.Linear(3, 2, rngs=rngs)

    _, params, rest = nnx.split(Net(nnx.Rngs(0)), nnx.Param, ...)
    make(1.0).init(params)
    with pytest.raises(ValueError, match=r"is a BatchStat; pass nnx\.Param alone"):
        make(1.0).init(nnx.merge_state(params, rest))


@PENALTIES
def test_counters_are_no_parameters(make):
    with pytest.raises(ValueError, match=r"params: \['steps'\] is int32; pass floating-point"):
        make(1.0).init({"w": W, "steps": jnp.int32(3)})


def test_a_forward_function_that_returns_statistics_too_is_refused(key):
    def mutating(w, batch):
        return forward(w, batch), {"batch_stats": w}

    task = TaskData(DATA, mutating)
    with pytest.raises(TypeError, match="forward: it returned a tuple; return the logits alone"):
        distill().begin_task(distill().init(W), W, task, key)
    with pytest.raises(TypeError, match="return the logits alone"):
        ewc(1.0).end_task(ewc(1.0).init(W), W, task, key)


@pytest.mark.parametrize("hook", ["init", "begin_task", "end_task"])
def test_a_state_that_holds_the_parameters_themselves_is_refused(hook, key):
    """Donated with them, it would end the first step with an error of the runtime."""

    def greedy(*given):
        params = given[0] if hook == "init" else given[1]
        state = {"anchor": {"w": params["w"]}}
        return (state, params) if hook == "end_task" else state

    plain = LossTransform(lambda params: {}, lambda loss, state, context: (loss, {}))
    transform = chain(mine=plain._replace(**{hook: greedy}))

    def use():
        state = transform.init({"w": W})
        state = transform.begin_task(state, {"w": W}, TaskData(DATA, forward), key)
        transform.end_task(state, {"w": W}, TaskData(DATA, forward), key)

    with pytest.raises(ValueError, match=r"mine: .*own array at \['anchor'\]\['w'\]; keep a copy"):
        use()


@pytest.mark.parametrize(
    "make",
    [
        lambda **name: ewc(1.0, fisher="empirical", **name),
        lambda **name: online_ewc(1.0, fisher="empirical", **name),
        lambda **name: der(4, 2, **name),
        lambda **name: replay(fraction(1.0), **name),
        lambda **name: replay(per_class(1, **name), **name),
    ],
)
def test_labels_that_are_missing_are_missed_as_a_task_begins(make, key):
    transform, task = make(), TaskData(UNNAMED, forward)
    message = "label: the task's data has no 'label', it has x, y; pass label="
    with pytest.raises(ValueError, match=message):
        transform.begin_task(transform.init(W), W, task, key)
    named = make(label="y")
    named.begin_task(named.init(W), W, task, key)


def test_labels_that_nobody_needs_may_be_missing(key):
    task = TaskData({"x": jnp.eye(3)}, forward)
    for transform in (ewc(1.0), mas(1.0), si(1.0), distill()):
        transform.begin_task(transform.init(W), W, task, key)


def test_the_step_of_a_user_may_donate_parameters_and_state(key):
    transform, optimizer = chain(ewc=ewc(1.0), l2=l2(0.1)), optax.sgd(0.1)
    params = {"w": W + 0}

    def forward(params, batch):
        return batch["x"] @ params["w"]

    def run(params, opt, state):
        def loss_of(params):
            outputs = forward(params, DATA)
            return transform.apply(outputs.sum(), state, Context(params, outputs, DATA))

        gradient, _ = jax.grad(loss_of, has_aux=True)(params)
        change, opt = optimizer.update(gradient, opt, params)
        return optax.apply_updates(params, change), opt, state

    donating = jax.jit(run, donate_argnums=(0, 1, 2))
    state, opt = transform.init(params), optimizer.init(params)
    for _ in range(2):
        task = TaskData(DATA, forward)
        state = transform.begin_task(state, params, task, key)
        for _ in range(2):
            params, opt, state = donating(params, opt, state)
        state, _ = transform.end_task(state, params, task, key)
    assert np.all(np.isfinite(params["w"]))


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"w": W, "key": jax.random.key(0)}, r"\['key'\] is key<fry>"),
        ({"w": W, "on": jnp.array(True)}, r"\['on'\] is bool"),
        (eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0)), r"\.activation is a custom_jvp"),
        (linen.Dense(2), "the tree is a Dense"),
    ],
)
@PENALTIES
def test_what_no_optimiser_trains_is_named_with_the_way_to_leave_it_out(make, params, what):
    with pytest.raises(
        ValueError, match=rf"params: {what}; .* eqx\.partition\(net, eqx\.is_inexac"
    ):
        make(1.0).init(params)


def recorded(transform, key, forward=forward):
    """The state as the second task begins."""
    task = TaskData(DATA, forward)
    state, _ = transform.end_task(transform.init(W), W, task, key)
    return transform.begin_task(state, W, task, key)


@pytest.mark.parametrize(
    ("old", "outputs", "message"),
    [
        (forward, (W, {"batch_stats": W}), "forward: it returned a tuple; return the logits alone"),
        (lambda w, b: {"a": forward(w, b)}, {"b": W}, "'a' was recorded as the task began"),
        (lambda w, b: {"a": forward(w, b)}, W, "where a dict was recorded; return the same"),
    ],
)
def test_outputs_that_are_not_those_recorded_are_refused(old, outputs, message, key):
    state = recorded(distill(), key, old)
    with pytest.raises((TypeError, ValueError), match=message):
        distill().apply(jnp.float32(0), state, Context(W, outputs, {"index": jnp.arange(3)}))


def test_rows_that_are_missing_and_a_task_that_was_not_begun_are_named(key):
    with pytest.raises(KeyError, match="is missing; give the rows of the task"):
        distill().apply(jnp.float32(0), recorded(distill(), key), Context(W, W, DATA))
    batch = {**DATA, "index": jnp.arange(3)}
    with pytest.raises(
        ValueError, match=r"nothing is recorded; call state = transform\.begin_task"
    ):
        distill().apply(jnp.float32(0), distill().init(W), Context(W, W, batch))


def test_logits_that_are_no_array_are_named(key):
    def mutating(w, batch):
        return forward(w, batch), {"batch_stats": w}

    def unchosen(outputs, batch): return outputs  # fmt: skip

    state = recorded(replay(fraction(1.0)), key)
    context = Context(W, forward(W, DATA), DATA, key, mutating, unchosen)
    with pytest.raises(TypeError, match=r"logits: a tuple is not an array \[batch, classes\]"):
        replay(fraction(1.0)).apply(jnp.float32(0), state, context)
    with pytest.raises(TypeError, match="logits: a tuple is not an array"):
        mas(1.0).end_task(mas(1.0).init(W), W, TaskData(DATA, mutating, unchosen), key)
    dark = der(4, 2).begin_task(der(4, 2).init(W), W, TaskData(DATA, forward), key)
    flat = Step(W, W, W, W, context._replace(logits=lambda o, b: o[:, 0]))
    with pytest.raises(TypeError, match=r"logits: shape \(3,\) is not an array"):
        der(4, 2).update(dark, flat)


@pytest.mark.parametrize("make", [ewc, online_ewc, mas, si])
@pytest.mark.parametrize("grown", [{"w": jnp.ones((3, 4))}, {"w": W, "new": W}])
def test_parameters_that_have_grown_since_the_task_began_are_named(make, grown):
    state = make(1.0).init({"w": W})
    with pytest.raises(
        ValueError, match=r"params: \['\w+'\] has shape .* call state = transform\.b"
    ):
        make(1.0).apply(jnp.float32(0), state, Context(grown, W, DATA))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(ewc, 1.0, fisher="exat"), "fisher: 'exat' is unknown; pass exact or sampled or"),
        (partial(online_ewc, 1.0, fisher="Exact"), "fisher: 'Exact' is unknown"),
        (partial(si, 1.0, gradient="totl"), "gradient: 'totl' is unknown; pass loss or total"),
        (partial(distill, weighting="task"), "weighting: 'task' is unknown; pass one or tasks"),
        (partial(ewc, "a"), "strength: 'a' is no number; pass 0 or more"),
        (partial(ewc, np.nan), "strength: nan is no number"),
    ],
)
def test_a_misspelt_word_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        # As a user has it, without checks of types.
        inspect.unwrap(make.func)(*make.args, **make.keywords)


def test_the_fisher_of_misspelt_labels_or_of_no_examples_is_refused(key):
    with pytest.raises(ValueError, match="labels: 'exat' is unknown"):
        inspect.unwrap(diagonal_fisher)(W, TaskData(DATA, forward), key, labels="exat")
    with pytest.raises(ValueError, match="examples: the task's data has none"):
        diagonal_fisher(W, TaskData(jax.tree.map(lambda x: x[:0], DATA), forward), key)


def test_slips_in_the_use_of_a_chain_are_named(key):
    with pytest.raises(TypeError, match=r"without a name; give each one, chain\(ewc="):
        chain(ewc(1.0))
    with pytest.raises(TypeError, match=r"ewc is a function; call it, ewc=ewc\("):
        inspect.unwrap(chain)(ewc=ewc)
    both = chain(ewc=ewc(1.0), l2=l2(1.0))
    state, task = both.init(W), TaskData(DATA, forward)
    for hook in (both.begin_task, both.end_task):
        with pytest.raises(TypeError, match=r"task: a dict; give TaskData\(data, forward\)"):
            hook(state, W, DATA, key)
    ended = both.end_task(state, W, task, key)
    with pytest.raises(
        TypeError, match=r"state: a tuple, not .*; end_task returns \(state, params"
    ):
        both.apply(jnp.float32(0), ended, Context(W, forward(W, DATA), DATA))


def test_hooks_that_return_something_else_are_named(key):
    lost = LossTransform(lambda p: (), lambda loss, s, c: loss, end_task=lambda s, p, t, k: s)
    both = chain(mine=lost)
    with pytest.raises(TypeError, match=r"mine: apply returned .*; return \(loss, metrics\)"):
        both.apply(jnp.float32(0), both.init(W), Context(W, forward(W, DATA), DATA))
    with pytest.raises(TypeError, match=r"mine: end_task returned a tuple; return \(state, params"):
        both.end_task(both.init(W), W, TaskData(DATA, forward), key)


def test_a_strength_within_a_vmap_has_no_value_yet():
    def twice(strength):
        check_not_negative("strength", strength)
        return 2 * strength

    assert jax.vmap(twice)(jnp.array([1.0, -1.0])).tolist() == [2, -2]
    with pytest.raises(ValueError, match=r"strength: -1\.0 is negative"):
        twice(-1.0)


def test_a_label_below_0_is_no_class():
    with pytest.raises(ValueError, match="label: some are negative, and so no class; leave these"):
        check_classes(np.array([0, -1]))
    with pytest.raises(ValueError, match=r"\(2, 1\) is not a class for each example; take replay"):
        check_classes(np.zeros((2, 1), int), "take replay or der")
