"""The tasks of a run: read, made from a data set, checked, all alike."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcl.core.errors import DataError, UsageError, check_name
from jaxcl.core.paths import expanded
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.protocols import OWN, scenario_of
from jaxcl.scenarios.checks import check, check_all
from jaxcl.scenarios.datasets import sources
from jaxcl.scenarios.datasets.frozen import Backbone
from jaxcl.scenarios.derive import DERIVED, shuffled_classes, split_classes
from jaxcl.scenarios.readers.files import read
from jaxcl.scenarios.settings import DataSettings, FileSettings, MadeSettings, SplitSettings
from jaxcl.scenarios.task import BFLOAT16, Task, hold_out, is_image, limit, rgb32, size_text
from jaxcl.transforms.objectives import OBJECTIVES, Objective


def load_tasks(config: Config, progress: Callable[[str], None] = lambda text: None) -> list[Task]:
    """Returns the scenario's tasks in host memory, checked.

    Args:
      config: names the scenario and says where the data is.
      progress: told what is being read, when that takes a while.

    Raises:
      DataError: data that is missing, damaged or not fit to train on.
    """
    scenario, data = scenario_of(config.scenario), config.data
    if config.scenario == OWN:
        raise DataError("scenario: own has tasks that a program gave; give them again")
    tasks = [loaded(name, data.data_dir, progress) for name in scenario.tasks]
    if scenario.make is not None:
        made = scenario.make()
        tasks = list(made) if isinstance(made, Iterable) else [made]
        if not all(isinstance(each, Task) for each in tasks):
            text = f"scenario {config.scenario!r}: its function returns no list of tasks"
            raise DataError(f"{text}; return [Task(...), ...]")
        return check_tasks(config, cut_given(config, tasks))
    if isinstance(data, FileSettings):
        tasks = of_file(data, OBJECTIVES[config.training.loss], progress)
    elif scenario.made is not None:
        assert isinstance(data, MadeSettings)
        order = data.order if isinstance(data, SplitSettings) else 0
        whole = shuffled_classes(tasks[0], order) if order else tasks[0]
        if scenario.made != "split":  # the same images, and memory for no others
            whole = limit(whole, data.limit)
        tasks = DERIVED[scenario.made](whole, data.tasks)
    # A file of one's own may be sorted by class.
    return check_tasks(config, [cut(t, data, spread=isinstance(data, FileSettings)) for t in tasks])


def cut_given(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """Returns tasks that a program gives with no more examples than the settings allow.

    They are checked before, so that classes are counted over all examples, and those that stay
    are spread over all: tasks may be sorted by class.

    Raises:
      DataError: tasks that cannot be cut, or that :func:`check_tasks` refuses.
    """
    if config.data.limit is None and config.data.validation == 0:
        return list(tasks)
    return [cut(task, config.data, spread=True) for task in check_tasks(config, tasks)]


def cut(task: Task, data: DataSettings, *, spread: bool = False) -> Task:
    """Returns a task with no more examples than the settings allow, and a part held out.

    Args:
      task: with all its examples.
      data: the settings.
      spread: whether the examples that stay are spread over all, instead of the first ones.
    """
    return hold_out(limit(task, data.limit, spread=spread), data.validation)


def loaded(name: str, data_dir: Path | None, progress: Callable[[str], None]) -> Task:
    """Returns a data set by its name, features by the backbones of this package included.

    Raises:
      UsageError: an unknown name.
      DataError: data or weights that are missing or damaged.
    """
    return sources.load(name, data_dir, progress, BACKBONES)


def _lite0() -> Backbone:
    from jaxcl.networks.backbones.features import lite0_features, lite0_tag

    return Backbone(lite0_tag(), lite0_features)


BACKBONES: sources.Backbones = {"efficientnet_lite0": _lite0}
"""What makes the features of a data set."""


def of_file(
    settings: FileSettings, objective: Objective, progress: Callable[[str], None]
) -> list[Task]:
    """Returns tasks of some classes each, of a data set of one's own.

    Args:
      settings: which, and how it is split.
      objective: what is learned.
      progress: as in :func:`load_tasks`.

    Raises:
      DataError: no such file, one that holds no data set, or labels that the objective cannot
        learn from.
    """
    check_data(settings)
    name, path, each = settings.data, expanded("data", settings.data), settings.split_classes
    if name in (*sources.NAMES, *sources.REGISTERED) and not path.exists():
        whole = loaded(name, settings.data_dir, progress)
    else:
        whole = read(path).as_task(path.stem)
    if not objective.classes:
        if settings.order or each is not None:
            name = "order" if settings.order else "split_classes"
            raise UsageError(f"{name}: --loss {objective.name} has no classes; leave it out")
        return [whole]
    whole = check(whole, 1)  # it has classes, and says how many
    if settings.order:
        whole = shuffled_classes(whole, settings.order)
    return [whole] if each is None else split_classes(whole, each)


def with_whole_batches(config: Config, tasks: Sequence[Task]) -> Config:
    """Returns the configuration with batches that the smallest task fills.

    It is for a batch size that nobody gave: one that was given is refused where it is too large.

    Args:
      config: of the run.
      tasks: given by a program, or of a data set of one's own; not checked yet.
    """
    least = min((_length(task.train_labels) for task in tasks), default=0)
    fits = not 0 < least < config.training.batch_size
    return config if fits else config.changed(batch_size=least)


def _length(labels: Any) -> int:
    """How many there are; 0 of what is no array, which is refused as tasks are checked."""
    return len(labels) if getattr(labels, "ndim", 0) else 0


def check_data(settings: FileSettings) -> None:
    """Raises a UsageError for what is neither there nor looks like a file, nor is a data set."""
    path = expanded("data", settings.data)
    if not (path.exists() or path.suffix or path.name != settings.data):
        check_name("data", settings.data, (*sources.NAMES, *sources.REGISTERED))


def check_tasks(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """Returns the tasks if the configuration can be run on them; raises DataError if not."""
    objective = OBJECTIVES[config.training.loss]
    if not objective.classes:
        tasks = [_with_numbers(task, objective.name) for task in tasks]
    tasks = check_all(tasks, config.training.batch_size, of_classes=objective.classes)
    classes = {task.classes for task in tasks}
    if config.data.setting == "domain" and len(classes) > 1:
        raise DataError(
            "setting: domain needs as many classes in every task, and these have"
            f" {', '.join(map(str, sorted(classes)))}; give task or class"
        )
    if config.scenario == OWN and config.data.setting == "domain" and objective.classes:
        _check_same_labels([task for task in tasks if task.train_labels.ndim == 1])
    if config.generator is not None:
        for task in tasks:
            own = jax.tree.leaves(task.train_inputs)
            if len(own) != 1 or own[0].dtype != np.uint8 or own[0].ndim != 4:
                raise DataError(
                    f"task {task.name!r}: inputs are {size_text(task.train_inputs)}, and a"
                    " generator makes images of bytes; give uint8 [n, height, width, channels], or"
                    " another method"
                )
    return tasks


def _check_same_labels(tasks: Sequence[Task]) -> None:
    """Raises a DataError where a task of the domain setting lacks labels that another has."""
    found = [(task.name, np.unique(task.train_labels).tolist()) for task in tasks]
    for name, labels in found[1:]:
        if labels != found[0][1]:
            raise DataError(
                f"setting: domain needs the same labels in every task; {found[0][0]!r} has"
                f" {found[0][1]}, {name!r} has {labels}; give task or class"
            )


def _with_numbers(task: Task, loss: str) -> Task:
    """A task whose labels are numbers [n, outputs], as floats."""
    labels = task.train_labels, task.test_labels
    if any(getattr(each, "ndim", 0) != 2 for each in labels):
        shapes = " and ".join(str(list(getattr(each, "shape", []))) for each in labels)
        raise DataError(
            f"task {task.name!r}: labels are {shapes}, and the loss {loss} takes [n, outputs]; give"
            " labels of two axes"
        )
    if any(each.dtype.kind not in "biuf" and each.dtype != BFLOAT16 for each in labels):
        raise DataError(f"task {task.name!r}: labels are {labels[0].dtype}; give numbers")
    train, test = (np.asarray(each, np.float32) for each in labels)
    both = np.concatenate([train.ravel(), test.ravel()])
    if loss == "binary" and ((both < 0) | (both > 1)).any():
        raise DataError(
            f"task {task.name!r}: labels are {both.min():g} to {both.max():g}, and the loss binary"
            " takes 0 to 1; give 1 where the mark is there and else 0"
        )
    if loss == "squared" and (test == test[:1]).all():
        raise DataError(
            f"task {task.name!r}: all test labels are equal, so R^2, which accuracy stands for with"
            " --loss squared, is not defined; give at least two that differ"
        )
    return task._replace(train_labels=train, test_labels=test)


def alike(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """The tasks with images of one shape, as the network takes them."""
    shapes = {str(jax.tree.map(lambda x: x.shape[1:], task.train_inputs)) for task in tasks}
    differ = len(shapes) > 1
    if config.data.resize == "keep":
        if differ:
            raise UsageError("resize: keep, but inputs differ between tasks; give bilinear")
        return list(tasks)
    images = all(is_image(task.train_inputs) for task in tasks)
    if differ and not images:
        found = ", ".join(f"{task.name!r} {size_text(task.train_inputs)}" for task in tasks)
        raise DataError(f"inputs differ between tasks ({found}); give all of them one shape")
    if config.network.takes_rgb or differ:  # other networks take images as they come
        return [rgb32(task, config.data.resize) for task in tasks]
    return list(tasks)
