"""What a run leaves: what was measured, how the network grew, and its arrays."""

from jaxcl.core.sharding import replicated
from jaxcl.growth.parameters import count, task_name, weights
from jaxcl.learner.build import predicting
from jaxcl.learner.state import Setup
from jaxcl.learner.testing import within_tasks
from jaxcl.training.events import Growth, Learned, SeedEnded
from jaxcl.training.learner_state import Learner


def seed_ended(setup: Setup, learner: Learner) -> SeedEnded:
    """Returns what a run found and what it leaves, once all tasks are learned."""
    model = learner.model
    history, tasks = learner.history, setup.tasks.names
    names = {task_name(index): name for index, name in enumerate(tasks)}
    named_routes = {
        names[task]: dict(zip(setup.net.layers, (names[b] for b in route), strict=True))
        for task, route, _ in model.routes
    }
    similarity = {
        name: {layer: {names[b]: v for b, v in found.items()} for layer, found in layers.items()}
        for name, layers in zip(tasks, history.similarity, strict=True)
    }
    sizes = dict(weights(setup.net, model.params))
    if model.generator:
        sizes["generator"] = count(model.generator)
    within = within_tasks(setup, learner)
    return SeedEnded(
        seed=learner.at.seed,
        matrix=history.matrix,
        zero_shot_accuracy=dict(zip(tasks, history.zero_shot_accuracy, strict=True)),
        learned=_learned(setup, learner),
        growth=Growth(sizes, named_routes, similarity),
        bytes=dict(zip(tasks, history.bytes, strict=True)),
        seconds=dict(zip(tasks, history.seconds, strict=True)),
        plasticity=dict(zip(tasks, history.plasticity, strict=False)) or None,
        within_task_accuracy=None if within is None else dict(zip(tasks, within, strict=True)),
    )


def _learned(setup: Setup, learner: Learner) -> Learned:
    """The arrays that the run leaves; of the losses' state what is needed to predict."""
    model = learner.model
    found = predicting(setup.config, sum(setup.tasks.classes))
    state = None if found is None else {found[0]: learner.transform_state[found[0]]}
    return replicated(Learned(model.variables, model.generator or None, state))
