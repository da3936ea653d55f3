"""The table of methods: each is a growth rule and a chain of loss transforms."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from jaxcl.core.types import Data
from jaxcl.growth import routing
from jaxcl.growth.parameters import Path, on_route
from jaxcl.growth.routing import Rule
from jaxcl.methods import remedies
from jaxcl.methods.config import Config
from jaxcl.methods.remedies import MEMORIES, Make, filled
from jaxcl.networks.base import Net, Pathway
from jaxcl.transforms import LossTransform, chain, l2, replay

Trains = Callable[[Net, Pathway, Sequence[str], Path], bool]
"""(net, pathway of the task, heads that its output has, path of a leaf) -> trains?"""


def all_on_route(net: Net, pathway: Pathway, heads: Sequence[str], path: Path) -> bool:
    """All but the branches that the task does not run through."""
    del heads
    return on_route(net, pathway.route, path)


def shared_and_own_heads(net: Net, pathway: Pathway, heads: Sequence[str], path: Path) -> bool:
    """The shared layers and the heads of the task's output; other heads stay."""
    return on_route(net, pathway.route, path) and (path[0] != "heads" or path[1] in heads)


def new_parts(net: Net, pathway: Pathway, heads: Sequence[str], path: Path) -> bool:
    """What came with the task: its own head and branches."""
    del heads
    own = path[0] in net.layers and path[1] == pathway.task
    return own or path[:2] == ("heads", pathway.head)


def _where_alike(config: Config) -> Rule:
    assert config.threshold is not None
    return routing.select(config.threshold, config.candidates)


def latest(tasks: Sequence[Data]) -> Data:
    """Train on the new task's data alone."""
    return tasks[-1]


def union(tasks: Sequence[Data]) -> Data:
    """Train on the data of all tasks so far."""
    return {name: jnp.concatenate([task[name] for task in tasks]) for name in tasks[0]}


class Method(NamedTuple):
    """A remedy for forgetting; the task loop knows nothing else about it.

    Attributes:
      summary: one line for a person.
      losses: what is done to the loss, by name and in this order; the L2 term comes last.
      replay: what is replayed beside the new task, if anything: a name of ``remedies.MEMORIES``.
      generates: whether a generator learns the tasks too.
      rule: settings -> which branches a new task shares.
      trains: which leaves train in the second and later tasks (in the first,
        everything does).
      data: the data of the tasks so far -> what a task trains on.
      branches: whether the rule can make new branches of a convolution layer.
      columns: whether the network is one of columns.
      settings: names of the settings that are its own.
      fails: what it cannot be expected to do, by setting.
    """

    summary: str
    losses: Mapping[str, Make] = {}
    replay: str | None = None
    generates: bool = False
    rule: Callable[[Config], Rule] = lambda _: routing.share
    trains: Trains = all_on_route
    data: Callable[[Sequence[Data]], Data] = latest
    branches: bool = False
    columns: bool = False
    settings: tuple[str, ...] = ()
    fails: tuple[tuple[str, str], ...] = ()


def replayed(config: Config) -> str | None:
    """What is replayed, by the method itself or on top of it; None for nothing."""
    return METHODS[config.method].replay or config.replay


def generates(config: Config) -> bool:
    """Whether a generator learns the tasks too."""
    return METHODS[config.method].generates or replayed(config) == "generative"


def transform(config: Config, classes: int) -> LossTransform:
    """All that is done to the loss: replay weighs it, penalties add to it, L2 comes last."""
    made = {name: make(config, classes) for name, make in METHODS[config.method].losses.items()}
    if (kind := replayed(config)) is not None:
        memory = MEMORIES[kind](config, classes)
        temperature = 1.0 if config.temperature is None else config.temperature  # of no label
        first = replay(memory, weight=config.replay_weight, temperature=temperature)
        made = {"replay": first, **made}
    return chain(**made, l2=l2(filled(config.l2), config.later_l2))


def trains(config: Config) -> Trains:
    """Which leaves train in later tasks; heads of tasks that are replayed do."""
    own = METHODS[config.method].trains
    return all_on_route if own is shared_and_own_heads and replayed(config) else own


REGULARISED = (
    (
        "class",
        "a penalty on the weights keeps what tells the classes of one task apart, but no"
        " data ever tells them from those of another task",
    ),
)
DISTILLED = (
    (
        "class",
        "the old responses to new images say little about old classes, whose images are gone",
    ),
)

DISTILLATION = ("lam", "temperature", "t_squared", "lwf_weighting")
FISHER = ("strength", "fisher", "fisher_examples")
BRANCHES = ("similarity", "second", "start", "probe")
KEPT_IMAGES = ("per_class", "ratio", "buffer", "storage")
GENERATOR = (
    "generated", "balance", "generator", "latent", "generator_steps", "generator_batch",
    "generator_lr", "critic_steps", "gradient_penalty", "average",
)  # fmt: skip
METHODS: dict[str, Method] = {
    "finetune": Method(
        "train the shared layers and a new head; nothing is done against forgetting",
        trains=shared_and_own_heads,
        fails=(
            ("domain", "nothing is done against forgetting"),
            ("class", "nothing is done against forgetting"),
        ),
    ),
    "feature_extraction": Method(
        "after the first task, train only a new head on frozen features",
        trains=new_parts,
        fails=(
            ("domain", "the shared head is overwritten"),
            ("class", "the outputs of the new task win"),
        ),
    ),
    "joint": Method(
        "train on the data of all tasks so far: the upper bound",
        data=union,
    ),
    "lwf": Method(
        "Learning without Forgetting: distil the old responses to the new images",
        {"distill": remedies.distilled},
        fails=DISTILLED,
        settings=DISTILLATION,
    ),
    "split": Method(
        "lwf, and every task gets its own copy of each convolution layer",
        {"distill": remedies.distilled},
        rule=lambda _: routing.split,
        branches=True,
        fails=DISTILLED,
        settings=DISTILLATION,
    ),
    "select": Method(
        "lwf, and a convolution layer is split only where the tasks are unlike",
        {"distill": remedies.distilled},
        rule=_where_alike,
        branches=True,
        fails=DISTILLED,
        settings=(*DISTILLATION, "threshold", "candidates"),
    ),
    "ewc": Method(
        "elastic weight consolidation: a Fisher penalty for each task before",
        {"ewc": remedies.with_ewc},
        trains=shared_and_own_heads,
        fails=REGULARISED,
        settings=FISHER,
    ),
    "online_ewc": Method(
        "elastic weight consolidation with one running Fisher",
        {"ewc": remedies.with_online_ewc},
        trains=shared_and_own_heads,
        fails=REGULARISED,
        settings=(*FISHER, "decay"),
    ),
    "si": Method(
        "synaptic intelligence: importance from the path integral of the loss",
        {"si": remedies.with_si},
        trains=shared_and_own_heads,
        fails=REGULARISED,
        settings=("strength", "xi"),
    ),
    "mas": Method(
        "memory aware synapses: importance from the sensitivity of the outputs",
        {"mas": remedies.with_mas},
        trains=shared_and_own_heads,
        fails=REGULARISED,
        settings=("strength", "fisher_examples"),
    ),
    "er": Method(
        "experience replay: train on a few kept images of earlier tasks as well",
        replay="buffer",
    ),
    "der": Method(
        "dark experience replay ++: kept images with the logits they had",
        {"der": remedies.with_der},
        settings=("alpha", "beta", "per_class", "buffer"),
    ),
    "exact_replay": Method(
        "replay of all earlier data, as if nothing had to be given up",
        replay="exact",
    ),
    "noise_replay": Method(
        "replay of Gaussian noise with the old responses: a control",
        replay="noise",
        fails=(
            ("domain", "noise says little about the old images"),
            ("class", "noise says little about the old images"),
        ),
    ),
    "dgr": Method(
        "deep generative replay: images of a generator with the old responses",
        replay="generative",
    ),
    "lwf_gr": Method(
        "lwf with the old responses to images of a generator instead of the new ones",
        {"distill": partial(remedies.distilled, on_generated=True)},
        generates=True,
        settings=DISTILLATION,
    ),
    "pnn": Method(
        "progressive networks: a new column for each task, older ones frozen",
        rule=lambda _: routing.split,
        trains=new_parts,
        columns=True,
        fails=(("class", "outputs of separate columns were never trained against each other"),),
    ),
}
