"""The task loop: it yields events and prints nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from jaxcl.core.errors import NonFiniteLoss
from jaxcl.core.sharding import replicated
from jaxcl.core.types import Data
from jaxcl.growth.parameters import count, task_name, weights
from jaxcl.learner.build import check_config, load_tasks, set_up
from jaxcl.learner.config import Config
from jaxcl.learner.scholar import imagine, train_generator
from jaxcl.learner.state import Learner, Setup, grows, new_learner, schedule, task_data
from jaxcl.learner.task_loop import begin, end, test, test_untrained, train_epoch
from jaxcl.scenarios.task import Task
from jaxcl.training.events import GENERATOR, Diverged, EpochEnded, Event, SeedEnded, TaskBegan
from jaxcl.training.train_step import forget_programs
from jaxcl.training.vectorized import Asking, in_lockstep

SERVING = 50  # tasks for which compiled programs are kept at most


def run(
    config: Config, tasks: Sequence[Task] | None = None, *, stream: bool = False
) -> Iterator[Event]:
    """Runs a configuration, for all of its seeds.

    Args:
      config: what to run.
      tasks: the tasks; by default those of the configured scenario.
      stream: leave images on the host; steps get them a window at a time.

    Yields:
      For each seed: for each task a ``TaskBegan``, then ``StepsDone`` about once
      a second and an ``EpochEnded`` for each epoch; at the end a ``SeedEnded``.  Seeds
      that run together take turns.

    Raises:
      UsageError: a setting that cannot be used, or data that is missing.
      NonFiniteLoss: training diverged; names the task, the epoch and the step.
    """
    config = check_config(config)
    tasks = load_tasks(config) if tasks is None else tasks
    yield from go_on(set_up(config, tasks, stream=stream))


def go_on(setup: Setup, learners: Sequence[Learner] = ()) -> Iterator[Event]:
    """Runs all seeds, or what is left of them; events as of :func:`run`."""
    for happened in rounds([setup], [learners]):
        for event in happened.values():
            if isinstance(event, Diverged):
                raise event.error
            yield event


Happened = Mapping[tuple[int, int], Event]
"""(place of the setup, seed) -> what happens there."""


def rounds(setups: Sequence[Setup], learners: Sequence[Sequence[Learner]]) -> Iterator[Happened]:
    """Runs all seeds, or what is left of them, so many at a time as the settings say.

    Args:
      setups: one, or several that differ in numbers alone (:mod:`jaxcl.runner.grouping`): these
        are trained side by side.
      learners: of each setup, where to go on, those of all seeds that ran together; none
        to begin.  All setups are at the same moment.

    Yields:
      One event of each network that is trained, all of one kind but ``Diverged``; at such
      a moment the learners in them belong together, and can be saved.
    """
    config, at = setups[0].config, [learner.seed for learner in learners[0]]
    assert config.together is not None
    if at:
        yield from _side_by_side(setups, learners)
    begun = config.seeds.index(at[-1]) + 1 if at else 0
    for first in range(begun, len(config.seeds), config.together):
        seeds = config.seeds[first : first + config.together]
        yield from _side_by_side(setups, [[new_learner(s, seed) for seed in seeds] for s in setups])


def _side_by_side(
    setups: Sequence[Setup], learners: Sequence[Sequence[Learner]]
) -> Iterator[Happened]:
    @lru_cache(maxsize=1)  # earlier tasks' data may be a part of it: one copy serves all
    def data_of(position: int) -> Data:
        # Where the network stays as it is, its programs serve again; those that grow with
        # the data (joint training, kept images) are given up now and then.
        if grows(setups[0], position) or position % SERVING == 0:
            forget_programs()
        return task_data(setups[0], position)

    return in_lockstep(
        {
            (place, learner.seed): _run_seed(setup, learner, data_of)
            for place, (setup, own) in enumerate(zip(setups, learners, strict=True))
            for learner in own
        }
    )


def _run_seed(setup: Setup, learner: Learner, data_of: Callable[[int], Data]) -> Asking:
    try:
        yield from _learn_all(setup, learner, data_of)
    except NonFiniteLoss as error:
        yield Diverged(learner.seed, error)


def _learn_all(setup: Setup, learner: Learner, data_of: Callable[[int], Data]) -> Asking:
    seed = learner.seed
    while learner.position < len(setup.names):
        position = learner.position
        batch, epochs = data_of(position), schedule(setup, position)
        teaches = any(epoch.phase == GENERATOR for epoch in epochs[learner.epoch :])
        imagined = imagine(setup, learner) if teaches else None
        if len(learner.routes) == position:
            learner = test_untrained(setup, begin(setup, learner, batch, imagined))
        route, similarity = learner.routes[-1].route, learner.similarity[-1]
        steps = [epoch.steps for epoch in epochs]
        yield TaskBegan(seed, position, route, similarity, steps)
        for number, epoch in enumerate(epochs[learner.epoch :], learner.epoch):
            began = learner.seconds[-1]
            if epoch.phase == GENERATOR:
                last = epochs[number + 1].phase != GENERATOR
                trained = train_generator(setup, learner, epoch, imagined, last=last)
            else:
                trained = train_epoch(setup, learner, batch, epoch)
            learner, metrics = yield from trained
            learner, metrics["test_loss"] = test(setup, learner)
            row = dict(zip(setup.names, learner.row, strict=False))
            seconds = learner.seconds[-1] - began
            yield EpochEnded(learner, seed, position, number, epoch.phase, metrics, row, seconds)
        learner = end(setup, learner, batch)
    yield _seed_ended(setup, learner)


def _seed_ended(setup: Setup, learner: Learner) -> SeedEnded:
    names = {task_name(position): name for position, name in enumerate(setup.names)}
    routes = {
        names[task]: dict(zip(setup.net.layers, (names[b] for b in route), strict=True))
        for task, route, _ in learner.routes
    }
    similarity = {
        name: {layer: {names[b]: v for b, v in found.items()} for layer, found in layers.items()}
        for name, layers in zip(setup.names, learner.similarity, strict=True)
    }
    sizes = dict(weights(setup.net, learner.params))
    if learner.generator:
        sizes["generator"] = count(learner.generator)
    return SeedEnded(
        learner.seed,
        learner.matrix,
        dict(zip(setup.names, learner.first, strict=True)),
        replicated(learner.params),
        sizes,
        routes,
        similarity,
        dict(zip(setup.names, learner.bytes, strict=True)),
        dict(zip(setup.names, learner.seconds, strict=True)),
        replicated(learner.generator) if learner.generator else None,
    )
