"""Data sets by name: built in, or prepared by TensorFlow Datasets."""

from collections.abc import Callable
from pathlib import Path

from jaxcl.core.errors import check_name
from jaxcl.scenarios.datasets import builtin, tfds
from jaxcl.scenarios.datasets.blend import blended
from jaxcl.scenarios.task import Task

BLENDED = {"mnist_m": ("mnist", "cifar10"), "digits_m": ("digits", "photos")}
"""Data sets that are made of two others: figures and photographs."""

NAMES = (*builtin.TASKS, *tfds.SOURCES, *BLENDED)
REGISTERED: dict[str, Callable[[], Task]] = {}
"""Data sets that plug-ins have added."""


def load(name: str, data_dir: Path | None, progress: Callable[[str], None]) -> Task:
    """Returns the task of a data set, all of it, in host memory.

    Raises:
      UsageError: an unknown name.
      DataError: the data set is missing or damaged.
    """
    if name in REGISTERED:
        return REGISTERED[name]()
    check_name("data set", name, (*NAMES, *REGISTERED))
    if name in BLENDED:
        figures, photos = (load(part, data_dir, progress) for part in BLENDED[name])
        return blended(figures, photos, name)
    if name in builtin.TASKS:
        return builtin.TASKS[name]()
    arrays = tfds.read(name, tfds.data_dir(data_dir), progress)
    return Task(name, **arrays, classes=tfds.SOURCES[name].classes)


def sources(name: str) -> tuple[str, ...]:
    """Returns what must be there for a data set: itself, or what it is made of."""
    return BLENDED.get(name, (name,))


def available(name: str, data_dir: Path | None) -> bool:
    """Returns whether :func:`load` would find the data set."""
    where, known = tfds.data_dir(data_dir), builtin.TASKS.keys() | REGISTERED.keys()
    return all(part in known or tfds.prepared(part, where) for part in sources(name))
