"""The table of methods: each is a growth rule and a chain of loss transforms."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp

from jaxcl import routing
from jaxcl.config import Config
from jaxcl.growth import Path, on_route
from jaxcl.nets.base import Net, Route
from jaxcl.routing import Rule
from jaxcl.transforms import LossTransform, chain, distill, l2
from jaxcl.types import Batch

Trains = Callable[[Net, Route, str, Path], bool]
"""(net, route of the task, task, path of a leaf) -> whether the leaf trains."""


def all_on_route(net: Net, route: Route, task: str, path: Path) -> bool:
    """All but the convolution branches that the task does not run through."""
    del task
    return on_route(net, route, path)


def shared_and_new_head(net: Net, route: Route, task: str, path: Path) -> bool:
    """The shared layers and the task's own head; old heads stay."""
    return on_route(net, route, path) and (path[0] != "heads" or path[1] == task)


def new_head(net: Net, route: Route, task: str, path: Path) -> bool:
    """The task's own head and nothing else."""
    del net, route
    return path[:2] == ("heads", task)


def latest(tasks: Sequence[Batch]) -> Batch:
    """Train on the new task's data alone."""
    return tasks[-1]


def union(tasks: Sequence[Batch]) -> Batch:
    """Train on the data of all tasks so far."""
    return {name: jnp.concatenate([task[name] for task in tasks]) for name in tasks[0]}


class Method(NamedTuple):
    """A remedy for forgetting; the task loop knows nothing else about it.

    Attributes:
      summary: one line for a person.
      losses: settings -> what is done to the loss.
      rule: settings -> which branches a new task shares.
      trains: which leaves train in the second and later tasks (in the first,
        everything does).
      data: the data of the tasks so far -> what a task trains on.
    """

    summary: str
    losses: Callable[[Config], LossTransform]
    rule: Callable[[Config], Rule] = lambda _: routing.share
    trains: Trains = all_on_route
    data: Callable[[Sequence[Batch]], Batch] = latest


def _plain(config: Config) -> LossTransform:
    return chain(l2=l2(config.l2))


def _lwf(config: Config) -> LossTransform:
    return chain(distill=distill(config.lam, config.temperature), l2=l2(config.l2))


METHODS: dict[str, Method] = {
    "finetune": Method(
        "train the shared layers and a new head; nothing is done against forgetting",
        _plain,
        trains=shared_and_new_head,
    ),
    "feature_extraction": Method(
        "after the first task, train only a new head on frozen features",
        _plain,
        trains=new_head,
    ),
    "joint": Method(
        "train on the data of all tasks so far: the upper bound",
        _plain,
        data=union,
    ),
    "lwf": Method(
        "Learning without Forgetting: distil the old responses to the new images",
        _lwf,
    ),
    "split": Method(
        "lwf, and every task gets its own copy of each convolution layer",
        _lwf,
        rule=lambda _: routing.split,
    ),
    "select": Method(
        "lwf, and a convolution layer is split only where the tasks are unlike",
        _lwf,
        rule=lambda config: routing.select(config.threshold),
    ),
}
