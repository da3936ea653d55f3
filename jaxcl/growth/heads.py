"""What a network must tell apart: task-, domain- and class-incremental learning.

References:
  van de Ven, Tuytelaars & Tolias, Three types of incremental learning, 2022.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp

from jaxcl.core.types import Array, Batch, Outputs, Params
from jaxcl.networks.base import Net, Routes
from jaxcl.networks.layers import PLAIN, Entrywise, Layers, gathering
from jaxcl.scenarios.images import to_float

ALL = "all"
NEVER = -1e9  # the logit of a class that another task's head does not have


class Setting(NamedTuple):
    """How heads and outputs belong together.

    Attributes:
      summary: one line for a person.
      shared_head: all tasks use the first task's head.
      joined: the logits of all tasks so far are one output, and so compete.
    """

    summary: str
    shared_head: bool
    joined: bool


SETTINGS = {
    "task": Setting("the task is known: one head per task", False, False),
    "domain": Setting("the same classes in every task: one shared head", True, False),
    "class": Setting("all classes so far must be told apart: one growing head", False, True),
}
FULL_HEAD = Setting("all classes must be told apart: one head from the start", True, True)


def setting(name: str | None, heads: str | None) -> Setting:
    """Returns the setting of a name; ``heads="full"`` has all classes from the start."""
    assert name is not None
    return FULL_HEAD if name == "class" and heads == "full" else SETTINGS[name]


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
    """A network with the pathways of the tasks so far; static, hashable under jit."""

    net: Net
    routes: Routes
    setting: Setting


def view_of(net: Net, routes: Routes, setting: Setting) -> View:
    """Returns the view of some tasks, the same one for as long as tasks bring nothing new.

    Where all tasks share one head, they share one pathway: that of the first task.
    """
    return View(net, routes[:1] if setting.shared_head else routes, setting)


def place_in(view: View, task_index: int) -> int:
    """Returns where a task's pathway is among those of a view."""
    return 0 if view.setting.shared_head else task_index


@cache
def forward(view: View, layers: Layers = PLAIN) -> Callable[[Params, Batch], dict[str, Array]]:
    """Returns ``forward(params, batch) -> {task: logits}``, or ``{"all": logits}`` where joined.

    Images are bytes.  Before the first task there is no output.
    """
    net, routes, (_, shared, joined) = view
    routes = routes[:1] if joined and shared else routes

    def run(params: Params, batch: Batch) -> dict[str, Array]:
        if not routes:
            return {}
        outputs = net.apply(params, to_float(batch["image"]), routes, layers)
        if not joined:
            return outputs
        return {ALL: jnp.concatenate([outputs[path.task] for path in routes], -1)}

    return run


@cache
def gathered_forward(view: View) -> Callable[[Entrywise], Callable[[Params, Batch], Outputs]]:
    """Returns ``f -> forward`` with weight gradients ``sum_n f(g_n)`` over a batch's examples."""
    return lambda f: forward(view, gathering(f))


@cache
def own_logits(view: View, targets: tuple[int, ...]) -> Callable[[Outputs, Batch], Array]:
    """Returns ``(outputs, batch) -> [b, classes]``: the logits that each example is judged by.

    Args:
      view: of the network.
      targets: task_indices of the tasks that occur in ``batch["task"]``.
    """
    _, routes, (_, _, joined) = view
    names = {(routes[t].route, routes[t].head): routes[t].task for t in targets}

    def of(outputs: Outputs, batch: Batch) -> Array:
        if joined:
            return outputs[ALL]
        if len(names) == 1:
            return outputs[next(iter(names.values()))]
        width = max(outputs[routes[t].task].shape[-1] for t in targets)
        logits = jnp.full((len(batch["task"]), width), NEVER, jnp.float32)
        for t in targets:
            own = outputs[routes[t].task]
            missing = ((0, 0), (0, width - own.shape[-1]))
            padded = jnp.pad(own, missing, constant_values=NEVER)
            logits = jnp.where((batch["task"] == t)[:, None], padded, logits)
        return logits

    return of
