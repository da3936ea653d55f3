"""A second network that knows the new task alone, for similarities of responses."""

import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.types import Params
from jaxcl.growth.heads import SETTINGS, View, first_label
from jaxcl.growth.parameters import add_branch, add_head, leaf_mask, merge, on_route, task_name
from jaxcl.learner.state import Learner, Setup, task_key
from jaxcl.networks import Pathway
from jaxcl.networks.base import Route
from jaxcl.training.train_step import Program, epoch_order, no_totals, run_steps, start_phase
from jaxcl.transforms import chain


def second_net(setup: Setup, learner: Learner, route: Route | None) -> tuple[Params, Route]:
    """Parameters after an epoch of the new task, and the route they were trained along.

    Args:
      setup: of the run.
      learner: as the task comes.
      route: that is copied; None to begin from scratch.
    """
    config, net, position = setup.config, setup.net, learner.position
    key, task = stream(task_key(learner), "second"), task_name(position)
    params = {**copy(learner.params), "heads": {}}
    if route is None:
        params, route = net.init(stream(key, "init")), (task,) * len(net.layers)
        for layer in net.layers:
            params = add_branch(net, params, layer, task, key=stream(key, layer))
    params = add_head(net, params, task, setup.classes[position], stream(key, "head"))
    view = View(net, (Pathway(task, route, task),), SETTINGS["task"])
    data, n = setup.train[position], examples(setup.train[position])
    first = first_label(setup.setting, setup.classes, position)
    data = {**data, "label": data["label"] - first, "task": jnp.zeros(n, jnp.int32)}
    program = Program(view, (0,), chain(), setup.optimizer)
    mask = leaf_mask(params, lambda path: on_route(net, route, path))
    state = start_phase(setup.optimizer, params, mask, {}, stream(key, "steps"))
    order = epoch_order(stream(key, "shuffle"), n, config.training.batch_size)
    totals = no_totals(program, state, data, order)
    steps = np.int32(0), np.int32(len(order))
    state, _ = run_steps(program, state, totals, data, order, *steps)
    return merge(state.params, state.frozen), route
