"""What a network must tell apart: task-, domain- and class-incremental learning.

References:
  van de Ven, Tuytelaars & Tolias, Three types of incremental learning, 2022.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp

from jaxcl.core.types import Array, Batch, Outputs, Params, PyTree
from jaxcl.networks.base import TEST, Mode, Net, Passed, Routes, Variables, run
from jaxcl.networks.layers import PLAIN, Entrywise, Layers, gathering
from jaxcl.scenarios.inputs import AS_THEY_COME, Inputs, prepared
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.penalties.per_example import KEPT

ALL = "all"
NEVER = -1e9
"""The logit of a class that another task's head does not have, or that is still to come."""


class Setting(NamedTuple):
    """How heads and outputs belong together.

    Attributes:
      summary: one line for a person.
      shared_head: all tasks use the first task's head.
      joined: the logits of all tasks so far are one output, and so compete.
      hidden: the head has room for all classes from the start, so that what is compiled for one
        task serves the others, and hides those that are still to come: their weights are 0 and
        their biases :data:`NEVER`, which makes their probability and its gradient exactly 0.
    """

    summary: str
    shared_head: bool
    joined: bool
    hidden: bool = False


SETTINGS = {
    "task": Setting("the task is known: one head per task", False, False),
    "domain": Setting("the same classes in every task: one shared head", True, False),
    "class": Setting("all classes so far must be told apart: one growing head", False, True),
}
FULL_HEAD = Setting("all classes must be told apart: one head from the start", True, True)
ONE_GROWING_HEAD = SETTINGS["class"]._replace(shared_head=True, hidden=True)


def setting(name: str | None, heads: str | None, *, one_head: bool = False) -> Setting:
    """Returns the setting of a name.

    Args:
      name: task, domain or class.
      heads: of the class setting: ``"full"`` has all classes from the start.
      one_head: whether a head that grows may be one array with room for all classes; else each
        task has an array of its own.
    """
    assert name is not None
    if name != "class":
        return SETTINGS[name]
    if heads == "full":
        return FULL_HEAD
    return ONE_GROWING_HEAD if one_head else SETTINGS[name]


def head_classes(setting: Setting, classes: Sequence[int], task_index: int) -> int | None:
    """Returns outputs of the head that is made as a task comes; None if none is made."""
    if not setting.shared_head:
        return classes[task_index]
    if task_index:
        return None
    return sum(classes) if setting.joined else classes[0]


def first_label(setting: Setting, classes: Sequence[int], task_index: int) -> int:
    """Returns where a task's classes begin among the outputs."""
    return sum(classes[:task_index]) if setting.joined else 0


class View(NamedTuple):
    """A network with the pathways of the tasks so far; static, hashable under jit.

    Attributes:
      net: the network.
      routes: pathways of the tasks.
      setting: how heads and outputs belong together.
      inputs: how they become what the network sees.
      objective: what is learned.
    """

    net: Net
    routes: Routes
    setting: Setting
    inputs: Inputs = AS_THEY_COME
    objective: Objective = categorical

    @property
    def run_along(self) -> Routes:
        """Returns the pathways that have outputs of their own."""
        return self.routes[:1] if self.setting.joined and self.setting.shared_head else self.routes


def view_of(
    net: Net,
    routes: Routes,
    setting: Setting,
    inputs: Inputs = AS_THEY_COME,
    objective: Objective = categorical,
) -> View:
    """Returns the view of some tasks, the same one for as long as tasks bring nothing new.

    Where all tasks share one head, they share one pathway: that of the first task.
    """
    return View(net, routes[:1] if setting.shared_head else routes, setting, inputs, objective)


def place_in(view: View, task_index: int) -> int:
    """Returns where a task's pathway is among those of a view."""
    return 0 if view.setting.shared_head else task_index


def run_view(view: View, variables: Variables, batch: Batch, mode: Mode = TEST) -> Passed:
    """Runs a network on a batch, as it is trained or tested.

    Args:
      view: the network and the tasks whose outputs are wanted.
      variables: of the network.
      batch: its ``input`` is made ready first: augmented where the mode has a key.
      mode: of the pass.

    Returns:
      Logits by task, ``{"all": logits}`` where they are joined; before the first task, none.
    """
    routes = view.run_along
    if not routes:
        return Passed({}, {}, variables.stats)
    found = run(view.net, variables, prepared(view.inputs, batch["input"], mode.key), routes, mode)
    if not view.setting.joined:
        return found
    return found._replace(
        outputs={ALL: jnp.concatenate([found.outputs[p.task] for p in routes], -1)}
    )


@lru_cache(KEPT)
def _of_params(view: View, layers: Layers) -> Callable[[Params, Batch], dict[str, Array]]:
    mode = Mode(layers=layers)
    return lambda params, batch: run_view(view, Variables(params, {}), batch, mode).outputs


def forward(
    view: View, stats: PyTree = (), layers: Layers = PLAIN
) -> Callable[[Params, Batch], dict[str, Array]]:
    """Returns ``forward(params, batch) -> {task: logits}``, as the network is tested.

    Args:
      view: the network and the tasks.
      stats: its statistics; without any, the function is the same one for equal views, so
        that what was compiled of it serves again.
      layers: how layers with weights are computed.
    """
    if not stats:
        return _of_params(view, layers)
    mode = Mode(layers=layers)
    return lambda params, batch: run_view(view, Variables(params, stats), batch, mode).outputs


def features(view: View, stats: PyTree, task_index: int) -> Callable[[Params, Batch], PyTree]:
    """Returns ``(params, batch) -> features`` that a task's head is given, as it is tested."""
    path = view.routes[place_in(view, task_index)]

    def of(params: Params, batch: Batch) -> PyTree:
        inputs = prepared(view.inputs, batch["input"])
        found, _ = view.net.features(Variables(params, stats), inputs, [path.route], TEST)
        return found[path.route]

    return of


@lru_cache(KEPT)
def gathered_forward(view: View) -> Callable[[Entrywise], Callable[[Params, Batch], Outputs]]:
    """Returns ``f -> forward`` with weight gradients ``sum_n f(g_n)`` over a batch's examples."""
    return lambda f: forward(view, layers=gathering(f))


@lru_cache(KEPT)
def own_logits(view: View, targets: tuple[int, ...]) -> Callable[[Outputs, Batch], Array]:
    """Returns ``(outputs, batch) -> [b, classes]``: the logits that each example is judged by.

    Args:
      view: of the network.
      targets: task_indices of the tasks that occur in ``batch["task"]``.
    """
    routes, joined = view.routes, view.setting.joined
    names = {(routes[t].route, routes[t].head): routes[t].task for t in targets}

    def of(outputs: Outputs, batch: Batch) -> Array:
        if joined:
            return outputs[ALL]
        if len(names) == 1:
            return outputs[next(iter(names.values()))]
        width = max(outputs[routes[t].task].shape[-1] for t in targets)
        logits = None
        for t in targets:
            own = outputs[routes[t].task]
            missing = [(0, 0)] * (own.ndim - 1) + [(0, width - own.shape[-1])]
            padded = jnp.pad(own, missing, constant_values=NEVER)
            if logits is None:
                logits = jnp.full_like(padded, NEVER)
            mine = (batch["task"] == t).reshape(-1, *[1] * (own.ndim - 1))
            logits = jnp.where(mine, padded, logits)
        assert logits is not None, "no tasks"
        return logits

    return of
