"""Data sets by name: built in, prepared by TensorFlow Datasets, or features of these."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from jaxcl.core.errors import DataError, UsageError, check_name
from jaxcl.scenarios.datasets import builtin, tfds
from jaxcl.scenarios.datasets.blend import blended
from jaxcl.scenarios.datasets.catalog import BLENDED, FROZEN, NAMES, REGISTERED
from jaxcl.scenarios.datasets.frozen import Backbone, with_features
from jaxcl.scenarios.task import Task

Backbones = Mapping[str, Callable[[], Backbone]]
"""Backbones by name, each made when it is asked for."""
NONE: Backbones = MappingProxyType({})


def load(
    name: str,
    data_dir: Path | None,
    progress: Callable[[str], None],
    backbones: Backbones = NONE,
) -> Task:
    """Returns the task of a data set, all of it, in host memory.

    Args:
      name: of the data set.
      data_dir: the folder of TensorFlow Datasets.
      progress: told what takes a while.
      backbones: what makes the features that some data sets are.

    Raises:
      UsageError: an unknown name, or features whose backbone is not given.
      DataError: the data set is missing or damaged.
    """
    if name in REGISTERED:
        task = REGISTERED[name]()
        if not isinstance(task, Task):
            found = type(task).__name__
            raise DataError(f"data set {name!r}: its function returns {found}; return a Task")
        return task
    check_name("data set", name, (*NAMES, *REGISTERED))
    if name in BLENDED:
        figures, photos = (load(part, data_dir, progress) for part in BLENDED[name])
        return blended(figures, photos, name)
    if name in FROZEN:
        images, backbone, _ = FROZEN[name]
        if backbone not in backbones:
            raise UsageError(f"data set {name!r}: features of {backbone}; give it in backbones")
        task = load(images, data_dir, progress)
        return with_features(task, backbones[backbone](), progress)._replace(name=name)
    if name in builtin.TASKS:
        return builtin.TASKS[name]()
    return Task(name, **tfds.read(name, tfds.data_dir(data_dir), progress))


def sources(name: str) -> tuple[str, ...]:
    """Returns what must be there for a data set: itself, or what it is made of."""
    return (FROZEN[name].images,) if name in FROZEN else BLENDED.get(name, (name,))


def available(name: str, data_dir: Path | None) -> bool:
    """Returns whether :func:`load` would find the data set."""
    where, known = tfds.data_dir(data_dir), builtin.TASKS.keys() | REGISTERED.keys()
    return all(part in known or tfds.prepared(part, where) for part in sources(name))
