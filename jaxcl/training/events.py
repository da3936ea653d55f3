"""What a run tells whoever watches it."""

import json
from typing import Any, NamedTuple

from jaxcl.core.errors import NonFiniteLoss
from jaxcl.core.types import Params
from jaxcl.networks.base import Route

GENERATOR, TRAIN = "generator", "train"
"""Phases of a task: its generator learns, then its solver; a warm-up may lie between them."""


class TaskBegan(NamedTuple):
    """The network has grown for a task.

    Attributes:
      seed: of the run.
      position: of the task, from 0.
      route: the branches it runs through.
      similarity: layer -> branch -> similarity, as far as it was measured.
      steps: of each epoch that will be trained, warm-up included.
    """

    seed: int
    position: int
    route: Route
    similarity: dict[str, dict[str, float]]
    steps: list[int]


class StepsDone(NamedTuple):
    """Some steps of an epoch are done: for a progress bar.

    Attributes:
      learner: the whole of the run at this moment, a ``jaxcl.learner.state.Learner``; its
        arrays are gone once the run goes on, so what is to be kept must be copied.
      epoch: of this task, from 0.
      step: steps of the epoch that are done.
      loss: mean over the epoch so far.
      rate: steps a second of the latest ones.
    """

    learner: Any
    seed: int
    position: int
    epoch: int
    step: int
    loss: float
    rate: float


class EpochEnded(NamedTuple):
    """An epoch is over and every task so far was tested.

    Attributes:
      learner: as in :class:`StepsDone`.
      epoch: of this task, from 0.
      phase: ``"generator"``, ``"warmup"`` or ``"train"``.
      metrics: means over the epoch's steps, under dotted names; ``test_loss``; after the
        generator's last epoch, figures of its images under ``quality``.
      accuracy: task -> test accuracy in percent.
      seconds: training time of the epoch, compilation included.
    """

    learner: Any
    seed: int
    position: int
    epoch: int
    phase: str
    metrics: dict[str, float]
    accuracy: dict[str, float]
    seconds: float


class SeedEnded(NamedTuple):
    """All tasks were learned.

    Attributes:
      matrix: [trained up to task][task], percent; None before a task is seen.
      first: task -> accuracy in percent before its first step.
      params: the final tree.
      weights: numbers of parameters: ``total``, ``added``, ``heads``; beside them, where there
        is one, those of the ``generator``.
      routes: task -> layer -> the task whose branch it runs through.
      similarity: task -> layer -> branch's task -> similarity.
      bytes: task -> size of the loss transform's state as the task ended.
      seconds: task -> wall time, growth and evaluation included.
      generator: parameters of what draws images of all tasks; None for a method without one.
    """

    seed: int
    matrix: list[list[float | None]]
    first: dict[str, float]
    params: Params
    weights: dict[str, int]
    routes: dict[str, dict[str, str]]
    similarity: dict[str, Any]
    bytes: dict[str, int]
    seconds: dict[str, float]
    generator: Params | None = None


class Diverged(NamedTuple):
    """A loss or a parameter was not finite: nothing more comes of this seed.

    Attributes:
      seed: of the run.
      error: says where it was.
    """

    seed: int
    error: NonFiniteLoss


Event = TaskBegan | StepsDone | EpochEnded | SeedEnded | Diverged


def events_of(lines: str) -> tuple[list[EpochEnded], list[SeedEnded]]:
    """The events that the lines of ``metrics.jsonl`` tell of."""
    epochs, results = [], []
    for line in map(json.loads, lines.splitlines()):
        fields = {name: value for name, value in line.items() if name not in ("event", "task")}
        if line["event"] == "epoch":
            epochs.append(EpochEnded(learner=None, **fields))
        else:
            results.append(SeedEnded(**fields))
    return epochs, results
