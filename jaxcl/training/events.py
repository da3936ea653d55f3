"""What a run tells whoever watches it."""

import json
from typing import Any, NamedTuple

from jaxcl.core.errors import NonFiniteLoss
from jaxcl.core.types import Params, PyTree
from jaxcl.networks.base import Route, Variables
from jaxcl.training.learner_state import Learner

GENERATOR, WARMUP, TRAIN = "generator", "warmup", "train"
"""Phases of a task: its generator learns, what is new trains alone, everything trains."""


class TaskBegan(NamedTuple):
    """The network has grown for a task.

    Attributes:
      seed: of the run.
      task_index: of the task, from 0.
      route: the branches it runs through.
      similarity: layer -> branch -> similarity, as far as it was measured.
      steps: of each epoch that will be trained, warm-up included.
    """

    seed: int
    task_index: int
    route: Route
    similarity: dict[str, dict[str, float]]
    steps: list[int]


class StepsDone(NamedTuple):
    """Some steps of an epoch are done: for a progress bar.

    Attributes:
      learner: the whole of the run at this moment; its arrays are gone once the run goes on,
        so what is to be kept must be copied.
      seed: of the run.
      task_index: of the task, from 0.
      epoch: of this task, from 0.
      step: steps of the epoch that are done.
      loss: mean over the epoch so far.
      rate: steps a second of the latest ones.
    """

    learner: Learner
    seed: int
    task_index: int
    epoch: int
    step: int
    loss: float
    rate: float


class EpochEnded(NamedTuple):
    """An epoch is done, and the tasks were tested that the settings ask for.

    Attributes:
      learner: the whole of the run at this moment, as in :class:`StepsDone`; None in an event
        that was read from a file.
      seed: of the run.
      task_index: of the task, from 0.
      epoch: of this task, from 0.
      phase: ``"generator"``, ``"warmup"`` or ``"train"``.
      metrics: means over the epoch's steps, under dotted names; ``test_loss`` where there was a
        test and examples are classified by logits; after the generator's last epoch, figures of
        its images under ``quality``.
      accuracy: task -> test accuracy in percent; empty where there was no test.
      seconds: training time of the epoch, compilation included.
    """

    learner: Learner | None
    seed: int
    task_index: int
    epoch: int
    phase: str
    metrics: dict[str, float]
    accuracy: dict[str, float]
    seconds: float


class Growth(NamedTuple):
    """How the network grew in a run.

    Attributes:
      weights: how many there are: ``total``, ``heads``, ``added`` in branches and columns, and
        those of a ``generator`` if there is one.
      routes: task -> layer -> task that the branch was made for.
      similarity: task -> layer -> task of a branch -> similarity, as far as it was measured.
    """

    weights: dict[str, int]
    routes: dict[str, dict[str, str]]
    similarity: dict[str, dict[str, dict[str, float]]]


class Learned(NamedTuple):
    """The arrays that a run leaves.

    Attributes:
      variables: final parameters and statistics.
      generator: final parameters of the generator, if there is one.
      predictor: state of the transform that predicts in place of the logits, under its name;
        None where the logits serve.
    """

    variables: Variables
    generator: Params | None = None
    predictor: PyTree | None = None


class SeedEnded(NamedTuple):
    """All tasks are learned.

    Attributes:
      seed: of the run.
      matrix: ``[trained up to task][task]`` accuracies in percent, None before a task
        was seen, and where it was not tested.
      zero_shot_accuracy: task -> accuracy in percent before the first step on it.
      learned: the network; None in an event that was read from a file.
      growth: how the network grew.
      bytes: task -> bytes of the transform's state as it ended.
      seconds: task -> seconds.
      plasticity: task -> measure -> value, as training left the network; None unless asked for.
      within_task_accuracy: task -> accuracy at the end among the task's own classes, percent;
        None but in the class setting.
    """

    seed: int
    matrix: list[list[float | None]]
    zero_shot_accuracy: dict[str, float]
    learned: Learned | None
    growth: Growth
    bytes: dict[str, int]
    seconds: dict[str, float]
    plasticity: dict[str, dict[str, float | None]] | None = None
    within_task_accuracy: dict[str, float] | None = None

    @property
    def params(self) -> Params:
        """Returns the final parameters."""
        assert self.learned is not None, "this event was read from a file"
        return self.learned.variables.params

    @property
    def generator(self) -> Params | None:
        """Returns the final parameters of the generator, if there is one."""
        return None if self.learned is None else self.learned.generator


class Diverged(NamedTuple):
    """A loss or a parameter was not finite: nothing more comes of this seed.

    Attributes:
      seed: of the run.
      error: says where it was.
    """

    seed: int
    error: NonFiniteLoss


Event = TaskBegan | StepsDone | EpochEnded | SeedEnded | Diverged


ARRAYS = ("variables", "generator")


def as_line(event: EpochEnded | SeedEnded, names: list[str]) -> dict[str, Any]:
    """Returns an event as a line of ``metrics.jsonl``, without arrays.

    Args:
      event: to write down.
      names: of the tasks.
    """
    if isinstance(event, EpochEnded):
        fields = {name: value for name, value in event._asdict().items() if name != "learner"}
        return {"event": "epoch", "task": names[event.task_index], **fields}
    fields = {name: value for name, value in event._asdict().items() if name != "learned"}
    fields |= dict.fromkeys(ARRAYS)  # they lie in folders beside the file
    return {"event": "seed", **fields, "growth": event.growth._asdict()}


def events_of(lines: str) -> tuple[list[EpochEnded], list[SeedEnded]]:
    """Returns the events that the lines of ``metrics.jsonl`` tell of."""
    epochs, results = [], []
    for line in map(json.loads, lines.splitlines()):
        unused = ("event", "task", *ARRAYS)
        fields = {name: value for name, value in line.items() if name not in unused}
        if line["event"] == "epoch":
            epochs.append(EpochEnded(learner=None, **fields))
        else:
            fields["growth"] = Growth(**fields["growth"])
            results.append(SeedEnded(learned=None, **fields))
    return epochs, results
