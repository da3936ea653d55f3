"""Flax Linen with batch normalisation: its statistics travel beside the parameters.

In the step the network trains and hands on new statistics as ``aux``.  For ``TaskData`` and
for replayed examples it evaluates: a Fisher sees one example at a time, which has no mean of
a batch, and replayed examples are not to be in the statistics of a task.
"""

import jax
import numpy as np
import optax
import pytest
import two_tasks
from flax import linen
from two_tasks import TASKS, Run, X, batches, logits, loss_of, old_head

from jaxcl.transforms import Context, ForwardPass, TaskData, gradients


class Net(linen.Module):
    @linen.compact
    def __call__(self, x, train):
        normed = linen.BatchNorm(use_running_average=not train, momentum=0.9)(linen.Dense(16)(x))
        hidden = linen.tanh(normed)
        return {"a": linen.Dense(2)(hidden), "b": linen.Dense(2)(hidden)}


def train(transform):
    net, optimizer, traces = Net(), optax.adam(1e-2), []
    variables = net.init(jax.random.key(0), X, train=False)
    params, stats = variables["params"], variables["batch_stats"]

    def evaluating(stats):
        def forward(params, batch):
            return net.apply({"params": params, "batch_stats": stats}, batch["x"], train=False)

        return forward

    def training(stats):
        def forward(params, batch):
            outputs, new = net.apply(
                {"params": params, "batch_stats": stats}, batch["x"], train=True,
                mutable=["batch_stats"],
            )  # fmt: skip
            return ForwardPass(outputs, aux=new["batch_stats"])

        return forward

    @jax.jit
    def step(params, stats, opt, state, batch, key):
        traces.append(1)
        context = Context(params, None, batch, key, evaluating(stats), logits)
        found = gradients(transform, state, loss_of, context, training(stats))
        change, opt = optimizer.update(found.gradient, opt, params)
        after = optax.apply_updates(params, change)
        return after, found.aux, opt, transform.update(state, found.step(after))

    state, ended, recorded = transform.init(params), [], None
    for data, key in zip(TASKS, jax.random.split(jax.random.key(1)), strict=True):
        task = TaskData(data, old_head(evaluating(stats)), logits)
        state = transform.begin_task(state, params, task, key)
        recorded, opt = state["distill"].responses, optimizer.init(params)
        for batch, step_key in batches(data, key):
            params, stats, opt, state = step(params, stats, opt, state, batch, step_key)
        task = TaskData(data, evaluating(stats), logits)
        state, params = transform.end_task(state, params, task, key)
        outputs = net.apply({"params": params, "batch_stats": stats}, X, train=False)
        ended.append((params, state, outputs, stats))
    params, states, outputs, stats = map(list, zip(*ended, strict=True))
    return Run(params, states, outputs, recorded, len(traces), stats)


def test_distillation_keeps_the_old_answers():
    two_tasks.check_distillation(train)


@pytest.mark.slow
def test_anchored_weights_stay_nearer_to_their_places():
    two_tasks.check_anchor(train)


@pytest.mark.slow
def test_distillation_ewc_and_replay_together():
    two_tasks.check_all_three(train)


def test_statistics_are_those_of_the_inputs_and_no_parameters():
    run = two_tasks.ran(train, two_tasks.anchored, 100.0)
    assert set(run.states[1]["ewc"].importance) == {"BatchNorm_0", "Dense_0", "Dense_1", "Dense_2"}
    assert set(run.states[1]["ewc"].anchor["BatchNorm_0"]) == {"scale", "bias"}
    # In sixty steps the moving mean forgets all but 0.2 % of where it began.
    dense, mean = run.params[1]["Dense_0"], run.stats[1]["BatchNorm_0"]["mean"]
    expected = (X @ dense["kernel"] + dense["bias"]).mean(0)
    np.testing.assert_allclose(mean, expected, atol=0.1)
