"""Plain dictionaries: the whole loop, with every hook that a transform may ask for.

``gradients`` gives the gradient for the optimiser, and ``step(after)`` of what it returns is
what ``si`` and ``der`` look at.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import two_tasks
from two_tasks import TASKS, Run, X, batches, logits, loss_of, old_head

from jaxcl.transforms import Context, TaskData, chain, der_pp, distill, gradients, si


def new_params(key):
    shapes = {"hidden": (4, 16), "a": (16, 2), "b": (16, 2)}
    keys = jax.random.split(key, 3)
    made = zip(keys, shapes.items(), strict=True)
    return {name: jax.random.normal(key, shape) * 0.4 for key, (name, shape) in made}


def forward(params, batch):
    hidden = jnp.tanh(batch["x"] @ params["hidden"])
    return {"a": hidden @ params["a"], "b": hidden @ params["b"]}


def train(transform):
    params, optimizer, traces = new_params(jax.random.key(0)), optax.adam(1e-2), []

    @jax.jit
    def step(params, opt, state, batch, key):
        traces.append(1)
        context = Context(params, None, batch, key, forward, logits)
        found = gradients(transform, state, loss_of, context)
        change, opt = optimizer.update(found.gradient, opt, params)
        after = optax.apply_updates(params, change)
        return after, opt, transform.update(state, found.step(after))

    state, ended, recorded = transform.init(params), [], None
    for data, key in zip(TASKS, jax.random.split(jax.random.key(1)), strict=True):
        state = transform.begin_task(state, params, TaskData(data, old_head(forward), logits), key)
        recorded, opt = state["distill"].responses, optimizer.init(params)
        for batch, step_key in batches(data, key):
            params, opt, state = step(params, opt, state, batch, step_key)
        state, params = transform.end_task(state, params, TaskData(data, forward, logits), key)
        ended.append((params, state, forward(params, {"x": X})))
    params, states, outputs = map(list, zip(*ended, strict=True))
    return Run(params, states, outputs, recorded, len(traces))


def test_distillation_keeps_the_old_answers():
    two_tasks.check_distillation(train)


def test_anchored_weights_stay_nearer_to_their_places():
    two_tasks.check_anchor(train)


def test_distillation_ewc_and_replay_together():
    two_tasks.check_all_three(train)


@pytest.mark.slow
def test_si_and_der_are_shown_each_step():
    def both(strength):
        dark = der_pp(32, 2, alpha=strength, beta=strength)
        return chain(distill=distill(0.0), si=si(10 * strength), der=dark)

    held, free = train(both(1.0)), train(both(0.0))
    assert held.traces == 1
    assert int(held.states[1]["der"].buffer.filled) == 32
    assert two_tasks.drift(held) < 0.5 * two_tasks.drift(free)
    assert min(two_tasks.learned(held)) >= 0.9
    # What the weights did for the loss in the first task is what the loss fell by, about.
    path = jax.tree.leaves(free.states[0]["si"].importance)
    assert all(bool((leaf >= 0).all()) for leaf in path)
    assert sum(float(leaf.sum()) for leaf in path) > 0


def jax_grad_alone(transform, state, params, batch):
    """The loop of somebody who wants no helper: the gradient of the whole loss, as ever."""

    def loss(params):
        outputs = forward(params, batch)
        context = Context(params, outputs, batch, logits=logits)
        return transform.apply(loss_of(outputs, batch), state, context)

    return jax.grad(loss, has_aux=True)(params)


@pytest.mark.parametrize("strength", [0.0, 5.0])
def test_the_gradient_is_that_of_jax_grad(strength):
    params, key = new_params(jax.random.key(0)), jax.random.key(1)
    transform, task = two_tasks.distilling(strength), TaskData(TASKS[0], old_head(forward))
    state, _ = transform.end_task(transform.init(params), params, task, key)
    state = transform.begin_task(state, params, task, key)
    batch = TASKS[1] | {"index": jnp.arange(len(X))}
    expected, _ = jax_grad_alone(transform, state, params, batch)
    context = Context(params, None, batch, forward=forward, logits=logits)
    found = gradients(transform, state, loss_of, context)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.gradient, expected)
