"""Data sets by name: built in, or prepared by TensorFlow Datasets."""

from collections.abc import Callable
from pathlib import Path

from jaxcl.data import builtin, tfds
from jaxcl.data.task import Task
from jaxcl.errors import check_name

NAMES = (*builtin.TASKS, *tfds.SOURCES)


def load(name: str, data_dir: Path | None, progress: Callable[[str], None]) -> Task:
    """The task of a data set, all of it, in host memory.

    Raises:
      UsageError: an unknown name.
      DataError: the data set is missing or damaged.
    """
    check_name("data set", name, NAMES)
    if name in builtin.TASKS:
        return builtin.TASKS[name]()
    arrays = tfds.load(name, tfds.data_dir(data_dir), progress)
    return Task(name, tfds.SOURCES[name].classes, **arrays)


def available(name: str, data_dir: Path | None) -> bool:
    """Whether :func:`load` would find the data set."""
    return name in builtin.TASKS or tfds.prepared(name, tfds.data_dir(data_dir))
