"""The whole of a run at some moment between two steps, in small records.

A :class:`Learner` is what a checkpoint holds; functions elsewhere take one and return
the next.
"""

from typing import Any, NamedTuple

from jaxcl.core.types import Params, PyTree
from jaxcl.growth.routing import Seen
from jaxcl.networks.base import Routes, Variables
from jaxcl.training.generative.generator import GanState
from jaxcl.training.loop import Totals
from jaxcl.training.program import TrainState


class Place(NamedTuple):
    """Where a run is.

    Attributes:
      seed: of the run.
      task_index: of the task that is being learned, from 0.
      epoch: epochs of it that are done, those of a generator and of a warm-up included.
      step: steps of the present epoch that are done.
    """

    seed: int
    task_index: int
    epoch: int
    step: int


class Model(NamedTuple):
    """What has been learned.

    Attributes:
      params: of the network.
      stats: of the network: its statistics.
      routes: of the tasks so far, the present one included once it has begun.
      seen: channel statistics that each branch saw on its own task.
      generator: that has learned the tasks before, or this one too once it is trained;
        empty before the first.
    """

    params: Params
    stats: PyTree
    routes: Routes
    seen: Seen
    generator: Params

    @property
    def variables(self) -> Variables:
        """Returns parameters and statistics of the network."""
        return Variables(self.params, self.stats)


class Phase(NamedTuple):
    """The training that is going on.

    Attributes:
      train: state of the network's steps; None before the first.
      opt: the optimiser's state as the task before ended.
      totals: of the present epoch; None between epochs.
      gan: the generator's training; None before the first.
    """

    train: TrainState | None
    opt: PyTree
    totals: Totals | None
    gan: GanState | None


class History(NamedTuple):
    """What was measured.

    Attributes:
      row: accuracy of every task so far after the latest epoch, percent; None if not tested.
      matrix: accuracies after each task that is finished, percent.
      similarity: what was measured as each task came: layer -> branch -> similarity.
      zero_shot_accuracy: of each task before its first step, percent.
      bytes: that the transform's state took as each task ended.
      seconds: that each task took.
      plasticity: measures of each task that is finished, as training left it; empty unless asked
        for.
    """

    row: list[float | None]
    matrix: list[list[float | None]]
    similarity: list[dict[str, dict[str, float]]]
    zero_shot_accuracy: list[float]
    bytes: list[int]
    seconds: list[float]
    plasticity: list[dict[str, float | None]]


class Learner(NamedTuple):
    """The whole of a run at some moment between two steps.

    Attributes:
      at: where it is.
      model: what has been learned.
      phase: the training that is going on.
      transform_state: the loss transform's state.
      history: what was measured.
    """

    at: Place
    model: Model
    phase: Phase
    transform_state: PyTree
    history: History

    def changed(self, **fields: Any) -> "Learner":
        """Returns the learner with other values of fields, each in the record that has it.

        Raises:
          TypeError: a field that no record has.
        """
        new: dict[str, Any] = {}
        for name, record in self._asdict().items():
            if name in fields:
                new[name] = fields.pop(name)
            elif name != "transform_state":
                own = {each: fields.pop(each) for each in record._fields if each in fields}
                new[name] = record._replace(**own)
        if fields:
            raise TypeError(f"{', '.join(fields)}: no such field of a learner")
        return self._replace(**new)
