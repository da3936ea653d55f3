"""Data sets of one's own as tasks."""

from pathlib import Path
from typing import Any

from jaxcl.core.paths import expanded
from jaxcl.scenarios import derive
from jaxcl.scenarios.checks import check
from jaxcl.scenarios.readers import files
from jaxcl.scenarios.task import Task


def read_data(path: Path | str) -> Task:
    """Reads a labelled data set as one task.

    Args:
      path: an ``.npz`` file with ``x_train, y_train, x_test, y_test`` (or ``x, y``, of which a
        fifth of each class is held out), a ``.csv`` file of numbers and a label (the column
        named ``label`` or ``class``, else the last), or a
        folder of images, ``class/name.png``.

    Raises:
      DataError: there is no such file, or it holds no data set.
      UsageError: the path names a home folder that there is not.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/mine.npz", x=np.zeros((10, 4), np.float32), y=np.arange(10) % 2)
    ...     task = read_data(f"{folder}/mine.npz")
    >>> task.name, task.classes, len(task.train_labels), len(task.test_labels)
    ('mine', 2, 8, 2)
    """
    return files.read(expanded("path", path)).as_task(Path(path).stem)


def from_huggingface(
    dataset: Any, inputs: str | None = None, label: str = "label", *, name: str = "data"
) -> Task:
    """Takes a ``datasets.Dataset`` or ``DatasetDict`` of Hugging Face as one task.

    Args:
      dataset: labelled examples; its splits ``train`` and ``test`` where it has them.
      inputs: name of the column of inputs; by default the only other one.
      label: name of the column of labels.
      name: of the task.

    Raises:
      DataError: columns that are missing, or that are no inputs and labels.
    """
    return files.from_huggingface(dataset, inputs, label).as_task(name)


def split_classes(task: Task, classes: int) -> list[Task]:
    """Returns tasks of so many classes each, in the order of the labels, which begin at 0.

    Args:
      task: all classes.
      classes: of each task.

    Raises:
      DataError: the classes cannot be dealt out evenly, or one at a time.

    >>> import numpy as np
    >>> x, y = np.zeros((8, 3), np.float32), np.arange(8) % 4
    >>> [(each.name, each.classes) for each in split_classes(Task("all", x, y, x, y), 2)]
    [('all-0-1', 2), ('all-2-3', 2)]
    """
    return derive.split_classes(check(task, 1), classes)
