"""The whole of a run at some moment, and what follows from it.

A :class:`Learner` is what a checkpoint holds; functions elsewhere take one and return
the next.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcl.core.batching import examples
from jaxcl.core.random import stream
from jaxcl.core.types import Data, Params, PRNGKey, PyTree
from jaxcl.growth.heads import Setting, head_classes
from jaxcl.growth.parameters import leaf_mask
from jaxcl.growth.routing import Seen
from jaxcl.growth.trainable import Trains, all_on_route, new_parts, shared_and_own_heads
from jaxcl.learner.config import Config
from jaxcl.networks import Net, Routes
from jaxcl.training.events import GENERATOR, TRAIN
from jaxcl.training.generator import GanProgram, GanState
from jaxcl.training.loop import Totals
from jaxcl.training.train_step import TrainState
from jaxcl.transforms import LossTransform


class Setup(NamedTuple):
    """What all seeds of a run have in common.

    Attributes:
      config: the settings.
      setting: what must be told apart.
      transform: the method's losses at these settings.
      net: the network.
      scholar: how its generator learns; None for a method without one.
      optimizer: an optax transformation.
      compiled: the transform and the optimiser whose functions the steps are made of: those
        above, or those of settings that differ in numbers alone, which are in the states.
      names: of the tasks.
      classes: of the tasks.
      data: a checksum of all images and labels.
      train: the tasks' training data on the device.
      test: the tasks' test data on the device.
    """

    config: Config
    setting: Setting
    transform: LossTransform
    net: Net
    scholar: GanProgram | None
    optimizer: optax.GradientTransformation
    compiled: tuple[LossTransform, optax.GradientTransformation]
    names: list[str]
    classes: list[int]
    data: str
    train: list[Data]
    test: list[Data]


class Learner(NamedTuple):
    """The whole of a run at some moment between two steps.

    Attributes:
      seed: of the run.
      position: of the task that is being learned.
      epoch: epochs of it that are done, warm-up included.
      done: steps of the present epoch that are done.
      params: the whole tree.
      state: of the phase that is going on; None before the first.
      opt: the optimiser's state as the task before ended.
      totals: of the present epoch; None between epochs.
      cl: the loss transform's state.
      gan: the generator's training; None before the first.
      generator: that has learned the tasks before, or this one too once it is trained;
        empty before the first.
      seen: channel statistics that each branch saw on its own task.
      routes: of the tasks so far, the present one included once it has begun.
      row: accuracies after the latest epoch.
      matrix: accuracies after each task that is finished.
      similarity: what was measured as each task came.
      first: accuracy of each task before its first step.
      bytes: that the transform's state took as each task ended.
      seconds: that each task took.
    """

    seed: int
    position: int
    epoch: int
    done: int
    params: Params
    state: TrainState | None
    opt: PyTree
    totals: Totals | None
    cl: PyTree
    gan: GanState | None
    generator: Params
    seen: Seen
    routes: Routes
    row: list[float]
    matrix: list[list[float | None]]
    similarity: list[dict[str, dict[str, float]]]
    first: list[float]
    bytes: list[int]
    seconds: list[float]


class Epoch(NamedTuple):
    """An entry of a task's schedule.

    Attributes:
      phase: in ``"generator"`` steps are iterations, and nothing of the solver trains.
      number: of the epoch in its phase.
      steps: of it.
      trains: which leaves train.
      passes: over the data, by their numbers in the phase; of little data there are several.
    """

    phase: str
    number: int
    steps: int
    trains: Trains
    passes: range


PICTURE_EVERY = 500  # iterations of the generator between two looks at it
FEWEST = 50  # steps between two tests, at least, where the steps of a task are given


def new_learner(setup: Setup, seed: int) -> Learner:
    """A learner before its first task."""
    params = setup.net.init(stream(jax.random.key(seed), "init"))
    seen: Seen = {layer: {} for layer in setup.net.layers}
    cl = setup.transform.init(params)
    return Learner(
        seed, 0, 0, 0, params, None, None, None, cl, None, {}, seen, (), [], [], [], [], [], []
    )


def schedule(setup: Setup, position: int) -> list[Epoch]:
    """The epochs of a task: generator, what is new, everything; the first has no warm-up."""
    training, settings = setup.config.training, setup.config.generator
    shapes = jax.eval_shape(partial(_joined, setup), setup.train[: position + 1])
    full = examples(shapes) // training.batch_size
    trains = later_trains(setup.config) if position else all_on_route
    warmup = training.warmup_epochs if position else 0
    passes = 1
    if training.epochs is not None:
        steps = [full] * training.epochs
    else:
        assert training.iterations is not None
        passes = -(-FEWEST // full)
        steps = _parts(training.iterations, passes * full)
    generator: list[int] = []
    if settings is not None:
        generator = _parts(settings.generator_steps, PICTURE_EVERY)

    def epochs(phase: str, steps: Sequence[int], trains: Trains, passes: int = 1) -> list[Epoch]:
        return [
            Epoch(phase, i, n, trains, range(i * passes, (i + 1) * passes))
            for i, n in enumerate(steps)
        ]

    return [
        *epochs(GENERATOR, generator, trains),
        *epochs("warmup", [full] * warmup, new_parts),
        *epochs(TRAIN, steps, trains, passes),
    ]


def _parts(steps: int, most: int) -> list[int]:
    whole, rest = divmod(steps, most)
    return [most] * whole + [rest] * (rest > 0)


def new_task_weight(setup: Setup, position: int) -> float:
    """r, the new task's share in what is replayed: as given, or 1/k in task k."""
    replay = setup.config.replay
    given = None if replay is None else replay.replay_weight
    return 1 / (position + 1) if given is None or position == 0 else given


def grows(setup: Setup, position: int) -> bool:
    """Whether the network may grow as a task comes: by a head, branches or a column."""
    head = head_classes(setup.setting, setup.classes, position)
    return head is not None or setup.config.method.branches or setup.config.method.columns


def task_key(learner: Learner) -> PRNGKey:
    """The key of the task that is being learned."""
    return stream(jax.random.key(learner.seed), "task", learner.position)


def task_data(setup: Setup, position: int) -> Data:
    """What the method trains on as a task comes."""
    return _joined(setup, setup.train[: position + 1])


def _joined(setup: Setup, tasks: Sequence[Data]) -> Data:
    """The new task's data alone, or that of all tasks so far."""
    if not setup.config.method.on_all_data:
        return tasks[-1]
    return {name: jnp.concatenate([task[name] for task in tasks]) for name in tasks[0]}


def later_trains(config: Config) -> Trains:
    """Which leaves train in later tasks; heads of tasks that are replayed do."""
    own = config.method.trains()
    return all_on_route if own is shared_and_own_heads and config.replays else own


def phase_key(learner: Learner, epoch: Epoch) -> PRNGKey:
    """The key of the phase that an epoch belongs to."""
    return stream(task_key(learner), epoch.phase)


def trained_mask(setup: Setup, learner: Learner, epoch: Epoch) -> PyTree:
    """Which leaves train in an epoch, as Python booleans."""
    pathway, joined = learner.routes[-1], setup.setting.joined
    heads = sorted({p.head for p in learner.routes} if joined else {pathway.head})
    return leaf_mask(learner.params, lambda path: epoch.trains(setup.net, pathway, heads, path))


def chance(setup: Setup) -> list[float]:
    """Accuracy that can be expected of a random network as each task comes, percent."""
    classes, (_, shared, joined) = setup.classes, setup.setting
    so_far = [sum(classes[: i + 1]) for i in range(len(classes))] if joined else classes
    return [100 / (sum(classes) if joined and shared else n) for n in so_far]
