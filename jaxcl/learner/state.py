"""What all seeds of a run have in common, and what follows from the moment of a run."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.core.batching import examples
from jaxcl.core.random import stream
from jaxcl.core.types import Data, PRNGKey, PyTree
from jaxcl.growth.heads import Setting, View, head_classes, view_of
from jaxcl.growth.parameters import leaf_mask
from jaxcl.growth.routing import Seen
from jaxcl.growth.trainable import Trains, all_on_route, new_parts, shared_and_own_heads
from jaxcl.learner.settings.config import Config
from jaxcl.networks import Net
from jaxcl.scenarios.inputs import AS_THEY_COME, Inputs
from jaxcl.training.events import GENERATOR, TRAIN, WARMUP
from jaxcl.training.generative.generator import GanProgram
from jaxcl.training.learner_state import History, Learner, Model, Phase, Place
from jaxcl.training.vectorized import StepRequest
from jaxcl.transforms import LossTransform
from jaxcl.transforms.objectives import Objective, categorical


class Tasks(NamedTuple):
    """The tasks of a run, as steps and tests need them.

    Attributes:
      names: of the tasks.
      classes: of the tasks.
      checksum: of all images and labels.
      train: training data, on the device unless it is streamed.
      test: test data, likewise.
      inputs: how they become what the network sees.
      kind: type and shape of an example, as text.
      objective: what is learned.
      class_names: of the tasks' classes, none where nobody named them.
    """

    names: list[str]
    classes: list[int]
    checksum: str
    train: list[Data]
    test: list[Data]
    inputs: Inputs = AS_THEY_COME
    kind: str = ""
    objective: Objective = categorical
    class_names: Sequence[Sequence[str]] = ()


class Setup(NamedTuple):
    """What all seeds of a run have in common.

    Attributes:
      config: the settings.
      tasks: what is learned.
      setting: what must be told apart.
      net: the network.
      scholar: how its generator learns; None for a method without one.
      transform: the method's losses at these settings.
      optimizer: an optax transformation.
      compiled: the transform and the optimiser whose functions the steps are made of: those
        above, or those of settings that differ in numbers alone, which are in the states.
    """

    config: Config
    tasks: Tasks
    setting: Setting
    net: Net
    scholar: GanProgram | None
    transform: LossTransform
    optimizer: optax.GradientTransformation
    compiled: tuple[LossTransform, optax.GradientTransformation]


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


class EpochPlan(NamedTuple):
    """How the steps of an epoch are made: what the seed loop needs to know of a phase.

    Attributes:
      request: ``(learner, first, last) -> request`` for the steps between.
      take: ``(learner, state) -> learner`` with the state that the steps led to.
      finish: ``(learner) -> learner, metrics`` after the last step.
      most: steps that can be asked for at once, from any multiple of them on; None: any.
      remedy: option that may be too large where the loss is not finite.
    """

    request: Callable[[Learner, np.int32, np.int32], StepRequest]
    take: Callable[[Learner, Any], Learner]
    finish: Callable[[Learner], tuple[Learner, dict[str, float]]]
    most: int | None = None
    remedy: str = "--lr"

    def last_of_chunk(self, first: int, steps: int, chunk: int) -> int:
        """Returns where the steps end that are asked for at once.

        Args:
          first: of these steps.
          steps: of the epoch; the last one of so many iterations may be a shorter one.
          chunk: how many steps are wanted.
        """
        last = min(first + chunk, steps)
        return last if self.most is None else min(last, (first // self.most + 1) * self.most)


PICTURE_EVERY = 500  # iterations of the generator between two looks at it
FEWEST = 50  # steps between two tests, at least, where the steps of a task are given


def new_learner(setup: Setup, seed: int) -> Learner:
    """Makes a learner before its first task."""
    params, stats = setup.net.init(stream(jax.random.key(seed), "init"))
    seen: Seen = {layer: {} for layer in setup.net.layers}
    return Learner(
        at=Place(seed, task_index=0, epoch=0, step=0),
        model=Model(params, stats, routes=(), seen=seen, generator={}),
        phase=Phase(train=None, opt=None, totals=None, gan=None),
        transform_state=setup.transform.init(params),
        history=History([], [], [], [], [], [], []),
    )


def schedule(setup: Setup, task_index: int) -> list[Epoch]:
    """Lists the epochs of a task: generator, what is new, everything."""
    training, settings = setup.config.training, setup.config.generator
    seen = [examples(data) for data in setup.tasks.train[: task_index + 1]]
    trained = setup.config.method.trained_examples(seen, sum(setup.tasks.classes))
    full = trained // training.batch_size
    trains = later_trains(setup.config) if task_index else all_on_route
    warmup = training.warmup_epochs if task_index else 0
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
        *epochs(WARMUP, [full] * warmup, new_parts),
        *epochs(TRAIN, steps, trains, passes),
    ]


def _parts(steps: int, most: int) -> list[int]:
    whole, rest = divmod(steps, most)
    return [most] * whole + [rest] * (rest > 0)


def new_task_weight(setup: Setup, task_index: int) -> float:
    """Returns r, the new task's share in what is replayed: as given, or 1/k in task k."""
    replay = setup.config.replay
    given = None if replay is None else replay.replay_weight
    return 1 / (task_index + 1) if given is None or task_index == 0 else given


def grows(setup: Setup, task_index: int) -> bool:
    """Returns whether the network may grow as a task comes: by a head, branches or a column."""
    head = head_classes(setup.setting, setup.tasks.classes, task_index)
    return head is not None or setup.config.method.branches or setup.config.method.columns


def view_so_far(setup: Setup, learner: Learner) -> View:
    """Returns the network with the pathways of the tasks that have begun."""
    tasks = setup.tasks
    routes = learner.model.routes
    return view_of(setup.net, routes, setup.setting, tasks.inputs, tasks.objective)


def task_key(learner: Learner) -> PRNGKey:
    """Returns the key of the task that is being learned."""
    return stream(jax.random.key(learner.at.seed), "task", learner.at.task_index)


def task_data(setup: Setup, task_index: int) -> Data:
    """Returns what comes with a task: the new data alone, or that of all tasks so far."""
    tasks = setup.tasks.train[: task_index + 1]
    if not setup.config.method.on_all_data:
        return tasks[-1]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *map(dict, tasks))


def later_trains(config: Config) -> Trains:
    """Returns which leaves train in later tasks; heads of tasks that are replayed do."""
    own = config.method.trains()
    return all_on_route if own is shared_and_own_heads and config.replays else own


def phase_key(learner: Learner, epoch: Epoch) -> PRNGKey:
    """Returns the key of the phase that an epoch belongs to."""
    return stream(task_key(learner), epoch.phase)


def trained_mask(setup: Setup, learner: Learner, epoch: Epoch) -> PyTree:
    """Returns which leaves train in an epoch, as Python booleans."""
    pathway, joined = learner.model.routes[-1], setup.setting.joined
    heads = sorted({p.head for p in learner.model.routes} if joined else {pathway.head})
    return leaf_mask(
        learner.model.params, lambda path: epoch.trains(setup.net, pathway, heads, path)
    )


def chance(setup: Setup) -> list[float]:
    """Returns the accuracy that can be expected of a random network as each task comes, percent."""
    if not setup.tasks.objective.classes:
        return [50.0 if setup.tasks.objective.logits else 0.0] * len(setup.tasks.names)
    classes, (_, shared, joined, hidden) = setup.tasks.classes, setup.setting
    so_far = [sum(classes[: i + 1]) for i in range(len(classes))] if joined else classes
    full = joined and shared and not hidden
    return [100 / (sum(classes) if full else n) for n in so_far]
