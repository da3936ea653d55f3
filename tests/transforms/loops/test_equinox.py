"""Equinox: a head that grows between tasks, and batch normalisation with its state.

A module's arrays of floating point are the parameters (``eqx.partition``); the rest is put back
in each call.  The state of batch normalisation is an argument of the step and comes back as
``aux``.  As the head grows, ``regrow`` puts old weights into the larger module.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import two_tasks
from two_tasks import TASKS, Run, X, batches

from jaxcl.transforms import Context, ForwardPass, TaskData, gradients, regrow


class Net(eqx.Module):
    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    head: eqx.nn.Linear

    def __init__(self, outputs, key):
        keys = jax.random.split(key)
        self.hidden = eqx.nn.Linear(4, 16, key=keys[0])
        self.norm = eqx.nn.BatchNorm(16, "batch", momentum=0.9, mode="ema")
        self.head = eqx.nn.Linear(16, outputs, key=keys[1])

    def __call__(self, x, stats):
        hidden, stats = self.norm(self.hidden(x), stats)
        return self.head(jnp.tanh(hidden)), stats


def applied(net, x, stats):
    """Outputs of a batch, and statistics, which all examples have in common."""
    return jax.vmap(net, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, stats)


def logits(outputs, batch):
    """Two outputs for each task; those of the second are there when it is."""
    return jnp.where(batch["task"][:, None] == 0, outputs[:, :2], outputs[:, -2:])


def loss_of(outputs, batch):
    chosen = logits(outputs, batch)
    return optax.softmax_cross_entropy_with_integer_labels(chosen, batch["label"]).mean()


def train(transform):
    optimizer, traces = optax.adam(1e-2), []
    net, stats = eqx.nn.make_with_state(Net)(2, jax.random.key(0))
    params, static = eqx.partition(net, eqx.is_inexact_array)

    def evaluating(static, stats):
        def forward(params, batch):
            net = eqx.nn.inference_mode(eqx.combine(params, static))
            return applied(net, batch["x"], stats)[0]

        return forward

    def training(static, stats):
        def forward(params, batch):
            outputs, new = applied(eqx.combine(params, static), batch["x"], stats)
            return ForwardPass(outputs, aux=new)

        return forward

    @eqx.filter_jit
    def step(params, static, stats, opt, state, batch, key):
        traces.append(1)
        context = Context(params, None, batch, key, evaluating(static, stats), logits)
        found = gradients(transform, state, loss_of, context, training(static, stats))
        change, opt = optimizer.update(found.gradient, opt, params)
        after = optax.apply_updates(params, change)
        return after, found.aux, opt, transform.update(state, found.step(after))

    state, ended, recorded = transform.init(params), [], None
    for i, key in enumerate(jax.random.split(jax.random.key(1))):
        if i == 1:
            larger, _ = eqx.nn.make_with_state(Net)(4, jax.random.key(2))
            larger, static = eqx.partition(larger, eqx.is_inexact_array)
            params = regrow(params, larger)
        forward = evaluating(static, stats)
        task = TaskData(TASKS[i], lambda p, b, forward=forward: forward(p, b)[:, :2], logits)
        state = transform.begin_task(state, params, task, key)
        recorded, opt = state["distill"].responses, optimizer.init(params)
        for batch, step_key in batches(TASKS[i], key):
            params, stats, opt, state = step(params, static, stats, opt, state, batch, step_key)
        task = TaskData(TASKS[i], evaluating(static, stats), logits)
        state, params = transform.end_task(state, params, task, key)
        net = eqx.nn.inference_mode(eqx.combine(params, static))
        outputs, _ = applied(net, X, stats)
        ended.append((params, state, {"a": outputs[:, :2], "b": outputs[:, -2:]}, stats))
    params, states, outputs, stats = map(list, zip(*ended, strict=True))
    return Run(params, states, outputs, {"a": recorded}, len(traces), stats)


@pytest.mark.slow
def test_distillation_keeps_the_old_answers():
    two_tasks.check_distillation(train)


@pytest.mark.slow
def test_anchored_weights_stay_nearer_to_their_places():
    """The step is traced once more as the head grows."""
    two_tasks.check_anchor(train, traces=2)


@pytest.mark.slow
def test_distillation_ewc_and_replay_together():
    two_tasks.check_all_three(train)


@pytest.mark.slow
def test_new_rows_of_a_grown_head_are_free_and_statistics_are_not_held():
    run = two_tasks.ran(train, two_tasks.anchored, 0.0)
    before, after = (state["ewc"] for state in run.states)
    assert before.importance.head.weight.shape == (2, 16)
    assert after.importance.head.weight.shape == (4, 16)
    assert len(jax.tree.leaves(after.anchor)) == 6  # weights and biases of three layers
    held, grown = two_tasks.ran(train, two_tasks.anchored, 100.0).params
    old = jnp.abs(grown.head.weight[:2] - held.head.weight).max()
    larger, _ = eqx.nn.make_with_state(Net)(4, jax.random.key(2))
    new = jnp.abs(grown.head.weight[2:] - larger.head.weight[2:]).max()
    assert new > 3 * old
    expected = jax.vmap(run.params[1].hidden)(X).mean(0)
    mean, _ = run.stats[1].get(run.params[1].norm.ema_state_index)
    np.testing.assert_allclose(mean, expected, atol=0.1)
