"""Flax NNX with batch normalisation and dropout: a module is split, and merged in each call.

``nnx.split(net, nnx.Param, ...)`` gives the parameters, and the rest: statistics, counters and
keys of dropout, which have no gradient (asked for one, JAX says ``float0``).  The rest is an
argument of the step and comes back as ``aux``.  ``copy=True`` gives each call variables of its
own; without it the module writes into those of the caller, and NNX says ``Cannot mutate
BatchStat from a different trace level``.
"""

import jax
import numpy as np
import optax
import pytest
import two_tasks
from flax import nnx
from two_tasks import TASKS, Run, X, batches, logits, loss_of, old_head

from jaxcl.transforms import Context, ForwardPass, TaskData, gradients, l2


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(4, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, momentum=0.9, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.a = nnx.Linear(16, 2, rngs=rngs)
        self.b = nnx.Linear(16, 2, rngs=rngs)

    def __call__(self, x):
        hidden = self.drop(nnx.tanh(self.norm(self.hidden(x))))
        return {"a": self.a(hidden), "b": self.b(hidden)}


def functions(graph, copy=True):
    """Two makers of ``(params, batch) -> outputs``, given what is no parameter."""

    def evaluating(rest):
        def forward(params, batch):
            net = nnx.merge(graph, params, rest, copy=copy)
            net.eval()
            return net(batch["x"])

        return forward

    def training(rest):
        def forward(params, batch):
            net = nnx.merge(graph, params, rest, copy=copy)
            net.train()
            outputs = net(batch["x"])
            return ForwardPass(outputs, aux=nnx.state(net, nnx.Not(nnx.Param)))

        return forward

    return evaluating, training


def train(transform):
    optimizer, traces = optax.adam(1e-2), []
    graph, params, rest = nnx.split(Net(nnx.Rngs(3)), nnx.Param, ...)
    evaluating, training = functions(graph)

    @jax.jit
    def step(params, rest, opt, state, batch, key):
        traces.append(1)
        context = Context(params, None, batch, key, evaluating(rest), logits)
        found = gradients(transform, state, loss_of, context, training(rest))
        change, opt = optimizer.update(found.gradient, opt, params)
        after = optax.apply_updates(params, change)
        return after, found.aux, opt, transform.update(state, found.step(after))

    state, ended, recorded = transform.init(params), [], None
    for data, key in zip(TASKS, jax.random.split(jax.random.key(1)), strict=True):
        task = TaskData(data, old_head(evaluating(rest)), logits)
        state = transform.begin_task(state, params, task, key)
        recorded, opt = state["distill"].responses, optimizer.init(params)
        for batch, step_key in batches(data, key):
            params, rest, opt, state = step(params, rest, opt, state, batch, step_key)
        task = TaskData(data, evaluating(rest), logits)
        state, params = transform.end_task(state, params, task, key)
        net = nnx.merge(graph, params, rest, copy=True)
        net.eval()
        ended.append((params, state, net(X), rest))
    params, states, outputs, rest = map(list, zip(*ended, strict=True))
    return Run(params, states, outputs, recorded, len(traces), rest)


def test_distillation_keeps_the_old_answers():
    two_tasks.check_distillation(train)


@pytest.mark.slow
def test_anchored_weights_stay_nearer_to_their_places():
    two_tasks.check_anchor(train)


@pytest.mark.slow
def test_distillation_ewc_and_replay_together():
    two_tasks.check_all_three(train)


def test_statistics_and_counters_move_on_and_are_no_parameters():
    run = two_tasks.ran(train, two_tasks.anchored, 100.0)
    leaves = jax.tree.leaves(
        run.states[1]["ewc"].anchor, is_leaf=lambda x: isinstance(x, nnx.Variable)
    )
    assert {type(leaf) for leaf in leaves} == {nnx.Param}
    hidden, mean = run.params[1]["hidden"], run.stats[1]["norm"]["mean"][...]
    expected = (X @ hidden["kernel"][...] + hidden["bias"][...]).mean(0)
    np.testing.assert_allclose(mean, expected, atol=0.1)
    # Dropout counts its draws: one a step, and none where the network evaluates.
    counts = [int(rest["drop"]["rngs"]["count"][...]) for rest in run.stats]
    assert counts == [two_tasks.STEPS, 2 * two_tasks.STEPS]


def test_a_module_that_writes_into_the_variables_of_its_caller_is_refused():
    graph, params, rest = nnx.split(Net(nnx.Rngs(0)), nnx.Param, ...)
    evaluating, training = functions(graph, copy=False)

    @jax.jit
    def step(params, rest):
        context = Context(params, None, {"x": X}, forward=evaluating(rest))
        return gradients(
            l2(0.1), l2(0.1).init(params), lambda o, b: o["a"].sum(), context, training(rest)
        )

    with pytest.raises(Exception, match="Cannot mutate BatchStat") as refused:
        step(params, rest)
    assert "nnx.merge(graph, params, rest, copy=True)" in "".join(refused.value.__notes__)
