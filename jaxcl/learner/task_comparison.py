"""How alike the new task is to earlier ones: what is compared, and what is kept for later.

Similarities of responses need a reference network, which has learned the new task alone.
"""

from functools import cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.types import PyTree
from jaxcl.growth.heads import SETTINGS, View, first_label
from jaxcl.growth.parameters import (
    add_branch,
    add_head,
    leaf_mask,
    merge,
    on_route,
    task_name,
    without_heads,
)
from jaxcl.growth.routing import Seen, layer_moments
from jaxcl.growth.task_similarity import SIMILARITIES, Compared, TaskSimilarity
from jaxcl.learner.state import Setup, task_key
from jaxcl.methods.base import Method
from jaxcl.methods.split import Split
from jaxcl.networks import Pathway
from jaxcl.networks.base import Route, Variables
from jaxcl.scenarios.task import counted
from jaxcl.training.learner_state import Learner
from jaxcl.training.program import Program, start_phase
from jaxcl.training.train_step import epoch_order, no_totals, run_steps
from jaxcl.transforms import chain


def compared(setup: Setup, learner: Learner) -> TaskSimilarity:
    """Returns how alike a branch's task and the new one are: ``(layer, branch) -> similarity``."""
    method = setup.config.method
    if not isinstance(method, Split):
        return _not_asked
    trained = cache(partial(train_reference, setup, learner))

    def reference(route: Route) -> tuple[Variables, Route]:
        return trained(route if method.reference == "copy" else None)

    model = learner.model
    probe = cache(partial(_probe, setup, learner, method.probe))
    return SIMILARITIES[method.similarity](
        Compared(
            setup.net,
            model.variables,
            model.routes,
            model.seen,
            probe,
            reference,
            setup.tasks.inputs,
        )
    )


def _not_asked(layer: str, branch: str) -> float:
    raise AssertionError(f"{layer}, {branch}: a method without branches compares no tasks")


def _probe(setup: Setup, learner: Learner, most: int) -> PyTree:
    """A random sample of the task's training inputs, without replacement."""
    inputs = setup.tasks.train[learner.at.task_index]["input"]
    n = examples(inputs)
    rows = jax.random.permutation(stream(task_key(learner), "probe"), n)[: min(most, n)]
    return jax.tree.map(lambda x: np.asarray(x[np.asarray(rows)]), inputs)


def first_weights(method: Method) -> Literal["copy", "fresh"]:
    """Returns how a new branch starts; where none stands beside it, that makes no difference."""
    if isinstance(method, Split):
        return method.start
    return "fresh" if method.columns else "copy"


def remembered(setup: Setup, learner: Learner) -> Seen:
    """Returns the statistics of all branches, with what the task's own new ones saw on it."""
    task, route, _ = learner.model.routes[-1]
    own = {layer for layer, b in zip(setup.net.layers, route, strict=True) if b == task}
    method = setup.config.method
    if not own or not isinstance(method, Split):  # nobody compares
        return learner.model.seen
    inputs = _probe(setup, learner, method.probe)
    found = layer_moments(setup.net, learner.model.variables, route, inputs, setup.tasks.inputs)
    return {
        layer: {**branches, task: found[layer]} if layer in own & found.keys() else branches
        for layer, branches in learner.model.seen.items()
    }


def train_reference(setup: Setup, learner: Learner, route: Route | None) -> tuple[Variables, Route]:
    """Trains a network for an epoch on the new task alone.

    Args:
      setup: of the run.
      learner: as the task comes.
      route: that is copied; None to begin from scratch.

    Returns:
      Its variables, and the route they were trained along.
    """
    config, net, task_index = setup.config, setup.net, learner.at.task_index
    key, task = stream(task_key(learner), "second"), task_name(task_index)
    fresh = copy(without_heads(learner.model.variables))
    if route is None:
        fresh, route = net.init(stream(key, "init")), (task,) * len(net.layers)
        for layer in net.layers:
            fresh = add_branch(net, fresh, layer, task, key=stream(key, layer))
    fresh = add_head(net, fresh, task, setup.tasks.classes[task_index], stream(key, "head"))
    alone = (Pathway(task, route, task),)
    view = View(net, alone, SETTINGS["task"], setup.tasks.inputs, setup.tasks.objective)
    data, n = setup.tasks.train[task_index], examples(setup.tasks.train[task_index])
    first = first_label(setup.setting, setup.tasks.classes, task_index)
    data = {
        **data,
        "label": counted(data["label"], -first),
        "task": jnp.zeros(n, jnp.int32),
    }
    program = Program(view, (0,), chain(), setup.optimizer)
    mask = leaf_mask(fresh.params, lambda path: on_route(net, route, path))
    state = start_phase(setup.optimizer, fresh, mask, {}, stream(key, "steps"))
    order = epoch_order(stream(key, "shuffle"), n, config.training.batch_size)
    totals = no_totals(program, state, data, order)
    steps = np.int32(0), np.int32(len(order))
    state, _ = run_steps(program, state, totals, data, order, *steps)
    return Variables(merge(state.params, state.frozen), state.stats), route
