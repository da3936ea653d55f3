"""An epoch of one seed in stretches of about a second, whatever its steps are."""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np
from jax import tree_util

from jaxcl.core.errors import NonFiniteLoss
from jaxcl.core.types import PyTree
from jaxcl.learner.state import Learner, Setup
from jaxcl.training.events import StepsDone
from jaxcl.training.vectorized import Done, Work

REPORT_SECONDS = 1.0  # how often an epoch says how far it is


class Steps(NamedTuple):
    """How a learner makes the steps of a phase.

    Attributes:
      ask: ``(learner, first, last) -> work``.
      take: ``(learner, state) -> learner``, with the state that the steps led to.
      most: steps that can be asked for at once, from any multiple of them on.
    """

    ask: Callable[[Learner, np.int32, np.int32], Work]
    take: Callable[[Learner, Any], Learner]
    most: int | None = None


Learning = Generator[StepsDone | Work, Done | None, tuple[Learner, dict[str, float]]]
"""An epoch of one seed; returns the learner and the means of the metrics."""


def stretches(
    setup: Setup, learner: Learner, phase: Steps, steps: int, remedy: str = "--lr or --lam"
) -> Generator[StepsDone | Work, Done | None, Learner]:
    """The rest of an epoch in stretches of about a second.

    Args:
      setup: of the run.
      learner: at the beginning of a stretch.
      phase: how its steps are made.
      steps: of the epoch.
      remedy: options that may be too large where the loss is not finite.

    Raises:
      NonFiniteLoss: names the step and the task.
    """
    seed, position, epoch, first = learner.seed, learner.position, learner.epoch, learner.done
    stretch = 1
    while first < steps:  # the last epoch of so many iterations may be a shorter one
        last = min(first + stretch, steps)
        if phase.most is not None:
            last = min(last, (first // phase.most + 1) * phase.most)
        made = yield phase.ask(learner, np.int32(first), np.int32(last))
        assert made is not None
        learner = phase.take(learner, made.state)._replace(totals=made.totals)
        assert learner.totals is not None
        if (bad := int(learner.totals.bad_step)) >= 0:
            raise NonFiniteLoss(
                f"loss: not finite at step {bad + 1} of epoch {epoch + 1} of task"
                f" {setup.names[position]!r} (seed {seed}); what was written is kept;"
                f" try a smaller {remedy}"
            )
        seconds = [*learner.seconds[:-1], learner.seconds[-1] + made.share]
        rate, loss = (last - first) / made.seconds, float(learner.totals.sums["loss"]) / last
        learner = learner._replace(done=last, seconds=seconds)
        yield StepsDone(learner, seed, position, epoch, last, loss, rate)
        first, stretch = last, max(1, min(4 * stretch, int(rate * REPORT_SECONDS)))
    return learner


def means(sums: PyTree, steps: int) -> dict[str, float]:
    """Sums of nested metrics as means under dotted names."""
    leaves = tree_util.tree_leaves_with_path(sums)
    name = {"simple": True, "separator": "."}
    return {tree_util.keystr(path, **name): float(x) / steps for path, x in leaves}
