"""The seed loop: one learner from task to task, as a generator that asks for its steps.

The way of a batch, from a command to the step::

    experiments/scenario -> runner/execute -> runner/session
      -> seed_loop.rounds             which seeds and settings train side by side
      -> vectorized.run_vectorized    the executor: makes the steps that all of them ask for
           ^ StepRequest   | StepResult
           |               v
         seed_loop.learn_all          for each task: begin, epochs in chunks, end; one a seed
      -> task_loop.plan_epoch         shuffle, state, request   (scholar.plan_generator)
      -> train_step.run_steps         the compiled loop over rows of the data

Two of these are generators: ``learn_all`` and ``run_vectorized``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.errors import NonFiniteLoss
from jaxcl.learner.build import check_config, set_up
from jaxcl.learner.ended import seed_ended
from jaxcl.learner.scholar import imagine, plan_generator
from jaxcl.learner.settings.config import Config
from jaxcl.learner.state import (
    Epoch,
    EpochPlan,
    Setup,
    grows,
    new_learner,
    schedule,
    task_data,
)
from jaxcl.learner.task_loop import begin, end, plan_epoch
from jaxcl.learner.tasks import load_tasks
from jaxcl.learner.testing import is_due, test, test_untrained
from jaxcl.scenarios.task import Task
from jaxcl.training.events import (
    GENERATOR,
    Diverged,
    EpochEnded,
    Event,
    StepsDone,
    TaskBegan,
)
from jaxcl.training.learner_state import Learner
from jaxcl.training.train_step import Trained, forget_programs, of_common_length
from jaxcl.training.vectorized import Lane, StepResult, run_vectorized
from jaxcl.transforms.rehearsal.gdumb import content

SERVING = 50  # tasks for which compiled programs are kept at most
REPORT_SECONDS = 1.0  # how often an epoch says how far it is


def run(
    config: Config, tasks: Sequence[Task] | None = None, *, stream: bool = False
) -> Iterator[Event]:
    """Runs a configuration, for all of its seeds.

    Args:
      config: what to run.
      tasks: the tasks; by default those of the configured scenario.
      stream: leave images on the host; steps get them a window at a time.

    Returns:
      For each seed: for each task a ``TaskBegan``, then ``StepsDone`` about once
      a second and an ``EpochEnded`` for each epoch; at the end a ``SeedEnded``.  Seeds
      that run together take turns.

    Raises:
      UsageError: a setting that cannot be used, or data that is missing.
      NonFiniteLoss: training diverged; names the task, the epoch and the step.
    """
    config = check_config(config)
    tasks = load_tasks(config) if tasks is None else tasks
    return go_on(set_up(config, tasks, stream=stream))


def go_on(setup: Setup, learners: Sequence[Learner] = ()) -> Iterator[Event]:
    """Runs all seeds, or what is left of them; events as of :func:`run`."""
    happened = rounds([setup], [learners])
    return map(_raised, chain.from_iterable(each.values() for each in happened))


def _raised(event: Event) -> Event:
    if isinstance(event, Diverged):
        raise event.error
    return event


Happened = Mapping[tuple[int, int], Event]
"""(place of the setup, seed) -> what happens there."""


def rounds(setups: Sequence[Setup], learners: Sequence[Sequence[Learner]]) -> Iterator[Happened]:
    """Runs all seeds, or what is left of them, so many at a time as the settings say.

    Args:
      setups: one, or several that differ in numbers alone (:mod:`jaxcl.runner.grouping`): these
        are trained side by side.
      learners: of each setup, where to go on, those of all seeds that ran together; none
        to begin.  All setups are at the same moment.

    Returns:
      One event of each network that is trained, all of one kind but ``Diverged``; at such
      a moment the learners in them belong together, and can be saved.
    """
    config, at = setups[0].config, [learner.at.seed for learner in learners[0]]
    assert config.together is not None
    begun = config.seeds.index(at[-1]) + 1 if at else 0
    groups = [
        config.seeds[first : first + config.together]
        for first in range(begun, len(config.seeds), config.together)
    ]

    def fresh(seeds: Sequence[int]) -> list[list[Learner]]:
        return [[new_learner(setup, seed) for seed in seeds] for setup in setups]

    resumed = [_side_by_side(setups, learners)] if at else []
    return chain(*resumed, chain.from_iterable(_side_by_side(setups, fresh(g)) for g in groups))


def _side_by_side(
    setups: Sequence[Setup], learners: Sequence[Sequence[Learner]]
) -> Iterator[Happened]:
    @lru_cache(maxsize=1)  # earlier tasks' data may be a part of it: one copy serves all
    def data_of(task_index: int) -> Trained:
        # Where the network stays as it is, its programs serve again; those that grow with
        # the data (joint training, kept images) are given up now and then.
        if grows(setups[0], task_index) or task_index % SERVING == 0:
            forget_programs()
        return of_common_length(task_data(setups[0], task_index), _longest(setups[0]))

    return run_vectorized(
        {
            (place, learner.at.seed): learn_all(setup, learner, data_of)
            for place, (setup, own) in enumerate(zip(setups, learners, strict=True))
            for learner in own
        }
    )


def learn_all(setup: Setup, learner: Learner, data_of: Callable[[int], Trained]) -> Lane:
    """Learns what is left of all tasks: yields events, and requests for steps.

    Args:
      setup: of the run.
      learner: where to begin.
      data_of: index of a task -> what comes with it.
    """
    try:
        while learner.at.task_index < len(setup.tasks.names):
            given, epochs = data_of(learner.at.task_index), schedule(setup, learner.at.task_index)
            data = given.data
            imagined = _imagined(setup, learner, epochs)
            if len(learner.model.routes) == learner.at.task_index:
                learner = test_untrained(setup, begin(setup, learner, data, imagined))
            trained = _trained_on(setup, learner, given)
            yield _task_began(learner, epochs)
            for number in range(learner.at.epoch, len(epochs)):
                before = learner.history.seconds[-1]
                learner, plan = _plan(setup, learner, trained, epochs, number, imagined)
                chunk = 1
                while learner.at.step < epochs[number].steps:
                    last = plan.last_of_chunk(learner.at.step, epochs[number].steps, chunk)
                    made = yield plan.request(learner, np.int32(learner.at.step), np.int32(last))
                    learner, done = _steps_done(setup, learner, plan, made, last)
                    yield done
                    chunk = max(1, min(4 * chunk, int(done.rate * REPORT_SECONDS)))
                learner, metrics = plan.finish(learner)
                if due := is_due(setup, number, len(epochs)):
                    learner, loss = test(setup, learner)
                    metrics |= {} if loss is None else {"test_loss": loss}
                row = learner.history.row if due else ()
                yield _epoch_ended(setup, learner, epochs[number], metrics, row, before)
            learner = end(setup, learner, data)
        yield seed_ended(setup, learner)
    except NonFiniteLoss as error:
        yield Diverged(learner.at.seed, error)


def _longest(setup: Setup) -> int:
    return max(map(examples, setup.tasks.train))


def _trained_on(setup: Setup, learner: Learner, given: Trained) -> Trained:
    """What the network trains on once a task has begun: what came with it, or a memory."""
    name = setup.config.method.on_memory
    if not name:
        return given
    return of_common_length(content(learner.transform_state[name].memory), _longest(setup))


def _imagined(setup: Setup, learner: Learner, epochs: Sequence[Epoch]):
    """Images of earlier tasks, where a generator is still to learn from them."""
    teaches = any(epoch.phase == GENERATOR for epoch in epochs[learner.at.epoch :])
    return imagine(setup, learner) if teaches else None


def _plan(
    setup: Setup, learner: Learner, trained: Trained, epochs: Sequence[Epoch], number: int, imagined
) -> tuple[Learner, EpochPlan]:
    if epochs[number].phase != GENERATOR:
        return plan_epoch(setup, learner, trained, epochs[number])
    last = epochs[number + 1].phase != GENERATOR
    return plan_generator(setup, learner, epochs[number], imagined, last=last)


def _steps_done(
    setup: Setup, learner: Learner, plan: EpochPlan, made: StepResult | None, last: int
) -> tuple[Learner, StepsDone]:
    """The learner after some steps; NonFiniteLoss names the step and the task."""
    assert made is not None
    seed, task_index, epoch, first = learner.at
    learner = plan.take(learner, made.state).changed(totals=made.totals)
    if (bad := int(made.totals.bad_step)) >= 0:
        raise NonFiniteLoss(
            f"loss: not finite at step {bad + 1} of epoch {epoch + 1} of task"
            f" {setup.tasks.names[task_index]!r} (seed {seed}); what was written is kept;"
            f" try a smaller {plan.remedy}"
        )
    spent = learner.history.seconds
    learner = learner.changed(step=last, seconds=[*spent[:-1], spent[-1] + made.share])
    rate, loss = (last - first) / made.seconds, float(made.totals.sums["loss"]) / last
    return learner, StepsDone(learner, seed, task_index, epoch, last, loss, rate)


def _task_began(learner: Learner, epochs: Sequence[Epoch]) -> TaskBegan:
    route, similarity = learner.model.routes[-1].route, learner.history.similarity[-1]
    steps = [epoch.steps for epoch in epochs]
    return TaskBegan(learner.at.seed, learner.at.task_index, route, similarity, steps)


def _epoch_ended(
    setup: Setup,
    learner: Learner,
    epoch: Epoch,
    metrics: dict[str, float],
    found: Sequence[float | None],
    before: float,
) -> EpochEnded:
    seed, task_index, done, _ = learner.at
    tested = zip(setup.tasks.names, found, strict=False)
    row = {name: accuracy for name, accuracy in tested if accuracy is not None}
    seconds = learner.history.seconds[-1] - before
    return EpochEnded(learner, seed, task_index, done - 1, epoch.phase, metrics, row, seconds)
