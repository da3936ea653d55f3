"""How well the tasks so far are solved, at some moment of a run."""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache

import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import examples
from jaxcl.core.types import Array, PyTree
from jaxcl.growth.heads import first_label
from jaxcl.learner.state import Setup, new_task_weight, view_so_far
from jaxcl.training.evaluation import Evaluation, Predictor, evaluate
from jaxcl.training.learner_state import Learner
from jaxcl.transforms import Context

TIMES = 20  # that a task's epochs are tested, unless the settings say otherwise


def is_due(setup: Setup, number: int, epochs: int) -> bool:
    """Whether the tasks are tested after an epoch of a task: after the last one in any case.

    Args:
      setup: of the run.
      number: of the epoch, from 0 on.
      epochs: of the task.
    """
    every = setup.config.data.test_every or math.ceil(epochs / TIMES)
    return number + 1 == epochs or (number + 1) % every == 0


def test(setup: Setup, learner: Learner) -> tuple[Learner, float | None]:
    """Tests the tasks so far, all of them or the newest, as the settings say.

    Returns:
      The learner, whose ``row`` holds the accuracies in percent, None where a task was not
      tested; and the test loss of Shin et al. (2017) in nats: ``r`` times that of the new task
      and ``1 - r`` times the mean over the earlier ones, with the weight that the new task has
      in replay.  It is that of the new task where it alone is tested, and None where what
      predicts is no logits.
    """
    newest = setup.config.data.test_on == "newest"
    return _tested(setup, learner, learner.at.task_index if newest else 0)


def test_all(setup: Setup, learner: Learner) -> Learner:
    """Tests every task so far, whatever the settings say."""
    return _tested(setup, learner, 0)[0]


def _tested(setup: Setup, learner: Learner, first: int) -> tuple[Learner, float | None]:
    """Tests the tasks from the first one on."""
    found = _evaluations(setup, learner, range(first, learner.at.task_index + 1))
    learner = learner.changed(row=[*[None] * first, *(float(one.accuracy) for one in found)])
    losses = [float(one.loss) for one in found if one.loss is not None]
    if not losses:
        return learner, None
    *past, new = losses
    r = new_task_weight(setup, learner.at.task_index)
    return learner, r * new + (1 - r) * float(np.mean(past)) if past else new


def test_untrained(setup: Setup, learner: Learner) -> Learner:
    """Tests the task that has just begun: what earlier tasks did for it."""
    (found,) = _evaluations(setup, learner, [learner.at.task_index])
    return learner.changed(
        zero_shot_accuracy=[*learner.history.zero_shot_accuracy, float(found.accuracy)]
    )


def within_tasks(setup: Setup, learner: Learner) -> list[float] | None:
    """Returns how well each task's own classes are told apart by who knows the task, percent.

    It is the accuracy of the class setting's network where the scores of all other classes are
    left out; None in the other settings, and where no classes are learned.
    """
    if not setup.setting.joined or not setup.tasks.objective.classes:
        return None
    view, variables, tasks = view_so_far(setup, learner), learner.model.variables, setup.tasks
    predict, found = _among_own(setup.compiled[0].predict), []
    longest = max(map(examples, tasks.test))
    for task_index, data in enumerate(tasks.test):
        first = first_label(setup.setting, tasks.classes, task_index)
        own = jnp.arange(sum(tasks.classes))
        own = (first <= own) & (own < first + tasks.classes[task_index])
        predictor = Predictor(predict, (own, learner.transform_state))
        found.append(
            float(evaluate(view, task_index, variables, data, predictor, longest).accuracy)
        )
    return found


@lru_cache  # the same function for the same program
def _among_own(
    predict: Callable[[PyTree, Context], Array] | None,
) -> Callable[[PyTree, Context], Array]:
    def scores(state: PyTree, context: Context) -> Array:
        own, inner = state
        if predict is None:
            found = context.logits(context.outputs, context.batch)
        else:
            found = predict(inner, context)
        return jnp.where(own[: found.shape[-1]], found, -jnp.inf)

    return scores


def _evaluations(setup: Setup, learner: Learner, task_indices: Iterable[int]) -> list[Evaluation]:
    view, variables = view_so_far(setup, learner), learner.model.variables
    predict, predictor = setup.compiled[0].predict, None
    if predict is not None:
        predictor = Predictor(predict, learner.transform_state)
    tests, longest = setup.tasks.test, max(map(examples, setup.tasks.test))
    return [evaluate(view, p, variables, tests[p], predictor, longest) for p in task_indices]
