"""What a task is refused for: each error names the task and the remedy."""

import numbers
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy import ndarray

from jaxcl.core.errors import DataError
from jaxcl.scenarios.task import BFLOAT16, Task, as_kept, size_text

MANY = 10_000  # classes that a task may have, whatever its number of examples
CHANNELS = 4  # the most that images have


def check(task: Task, batch_size: int, *, of_classes: bool = True) -> Task:
    """Returns the task, with the number of its classes, if a network can be trained on it.

    Args:
      task: to check.
      batch_size: examples in a step.
      of_classes: whether labels are classes; else they are numbers ``[n, outputs]``.

    Raises:
      DataError: inputs or labels that are no arrays of the kinds in :class:`Task`, no
        inputs, other counts of inputs and labels, labels out of range, a single class, or
        fewer training inputs than a batch.
    """
    task = task._replace(classes=_check_count(task))
    for split, inputs, labels in _splits(task):
        where = f"task {task.name!r}, {split}"
        n = _check_inputs(where, inputs)
        _check_labels(where, labels, of_classes)
        if n != len(labels):
            raise DataError(f"{where}: {n} inputs but {len(labels)} labels")
    _check_pair(task)
    task = _counted(task, of_classes)
    _check_range(task)
    if batch_size > len(task.train_labels):
        n = len(task.train_labels)
        raise DataError(
            f"batch_size: {batch_size} is more than the {n} training inputs of"
            f" task {task.name!r}; give at most {n}"
        )
    return task


def _check_pair(task: Task) -> None:
    """Raises a DataError where training and test examples are not of one kind."""
    if _shapes(task.train_inputs) != _shapes(task.test_inputs):
        raise DataError(
            f"task {task.name!r}: training inputs are {size_text(task.train_inputs)}, test inputs"
            f" {size_text(task.test_inputs)}; give both the same shape and type"
        )
    if task.train_labels.shape[1:] != task.test_labels.shape[1:]:
        shapes = f"{list(task.train_labels.shape)}, test labels {list(task.test_labels.shape)}"
        raise DataError(f"task {task.name!r}: training labels are {shapes}; give both one shape")


def _splits(task: Task) -> Sequence[tuple[str, Any, Any]]:
    return (
        ("train", task.train_inputs, task.train_labels),
        ("test", task.test_inputs, task.test_labels),
    )


def _check_count(task: Task) -> int:
    """The number of classes that is given; DataError if it is none."""
    count = task.classes
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or int(count) < 0:
        raise DataError(f"task {task.name!r}: classes is {count!r}; give a whole number, or 0")
    return int(count)


def _counted(task: Task, of_classes: bool) -> Task:
    """The task with the number of its classes; DataError if it contradicts what is given."""
    if not of_classes and task.classes not in (0, _width(task)):
        given = f"classes is {task.classes}, and labels have {_width(task)} numbers"
        raise DataError(f"task {task.name!r}: {given}; leave it out")
    if not task.classes:
        _check_first(task)
        task = task._replace(classes=_classes(task))
    if (named := len(task.class_names)) not in (0, task.classes):
        given = f"class_names has {named}, and there are {task.classes} classes"
        raise DataError(f"task {task.name!r}: {given}; name each")
    return task


def _classes(task: Task) -> int:
    labels = task.train_labels
    if not np.issubdtype(labels.dtype, np.integer):
        return _width(task)
    count = _highest(labels) + 1
    if count > max(MANY, labels.size):
        raise DataError(
            f"task {task.name!r}, train: labels go up to {count - 1}, and there are {labels.size};"
            f" number the classes from 0 on, or give classes={count}"
        )
    return count


def _width(task: Task) -> int:
    """The numbers that a label of numbers has."""
    labels = task.train_labels
    return labels.shape[-1] if labels.ndim > 1 else 1


def _highest(labels: ndarray) -> int:
    """The highest label, -1 if there is none; unsigned types have no -1 to begin with."""
    return int(labels.max()) if labels.size else -1


def _shapes(inputs: Any) -> Any:
    """Shapes without the number of examples, and types; with the tree's structure."""
    leaves, tree = jax.tree.flatten(inputs)
    return tree, [(leaf.shape[1:], leaf.dtype) for leaf in leaves]


def _check_inputs(where: str, inputs: Any) -> int:
    """The number of examples; DataError if they are not what a network can take."""
    leaves = jax.tree.leaves(inputs)
    for leaf in leaves:
        if not isinstance(leaf, ndarray):
            kind = type(leaf).__name__
            raise DataError(f"{where}: inputs hold {kind}; give NumPy arrays, np.asarray(inputs)")
        _check_array(where, leaf)
    counts = {len(leaf) for leaf in leaves}
    if counts in (set(), {0}):
        raise DataError(f"{where}: no inputs; give at least one batch")
    if len(counts) > 1:
        raise DataError(
            f"{where}: arrays of inputs have {' and '.join(map(str, sorted(counts)))} examples;"
            " give as many in each"
        )
    return counts.pop()


def _check_array(where: str, array: ndarray) -> None:
    kinds = np.floating, np.integer
    if not any(np.issubdtype(array.dtype, kind) for kind in kinds) and array.dtype != BFLOAT16:
        raise DataError(
            f"{where}: inputs are {array.dtype}; give bytes (uint8), which are divided by 255, or"
            " floats or integers, which are taken as they are"
        )
    if array.ndim == 0:
        raise DataError(f"{where}: inputs are a single number; give an array [n, ...]")
    if isinstance(array, np.ma.MaskedArray):
        raise DataError(f"{where}: inputs are a masked array; fill it, inputs.filled(0)")
    if 0 in array.shape[1:]:
        raise DataError(f"{where}: an input has the shape {list(array.shape[1:])}; give values")
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] > CHANNELS:
        shape = "x".join(map(str, array.shape[1:]))
        raise DataError(
            f"{where}: images are {shape}, channels first; give them last, with"
            " images.transpose(0, 2, 3, 1)"
        )
    if not np.issubdtype(array.dtype, np.integer) and not np.isfinite(array).all():
        raise DataError(f"{where}: inputs hold values that are not finite; remove them")
    _check_size(where, array)


def _check_size(where: str, array: ndarray) -> None:
    """Raises a DataError for values that the 32 bits of the network's inputs do not hold."""
    if array.dtype == BFLOAT16 or array.itemsize < 4 or not array.size:
        return
    whole = np.issubdtype(array.dtype, np.integer)
    kept = np.iinfo(np.int32) if whole else np.finfo(np.float32)
    low, high = array.min(), array.max()
    if not (kept.min <= low and high <= kept.max):
        what = "whole numbers of 32 bits" if whole else "float32"
        raise DataError(f"{where}: inputs are {low:.5g} to {high:.5g}, too large for {what}")


def _check_labels(where: str, labels: Any, of_classes: bool) -> None:
    if not isinstance(labels, ndarray):
        kind = type(labels).__name__
        raise DataError(f"{where}: labels are a {kind}; give a NumPy array, np.asarray(labels)")
    allowed = np.integer if of_classes else np.number
    if labels.ndim == 0 or not np.issubdtype(labels.dtype, allowed):
        raise DataError(
            f"{where}: labels are {labels.dtype} of the shape {list(labels.shape)}; give integers"
            " [n], from 0 on"
        )
    if not np.issubdtype(labels.dtype, np.integer) and not np.isfinite(labels).all():
        raise DataError(f"{where}: labels hold values that are not finite; remove them")


def _check_first(task: Task) -> None:
    """Raises a DataError for labels that seem to be counted over all tasks."""
    labels = task.train_labels
    if labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer) or not labels.size:
        return
    first, last = int(labels.min()), int(labels.max())
    if first > 0:
        raise DataError(
            f"task {task.name!r}, train: labels are {first} to {last}, and each task has its own"
            f" from 0 on; subtract {first}, or give classes={last + 1} if the lower are its own"
        )


def _check_range(task: Task) -> None:
    """Raises a DataError for labels of classes that are not there, or of a single one."""
    if not np.issubdtype(task.train_labels.dtype, np.integer):
        return
    masks = task.train_labels.ndim > 1  # where they are negative
    for split, _, labels in _splits(task):
        negative = not masks and labels.min(initial=0) < 0
        if negative or _highest(labels) >= task.classes:
            span = f"{labels.min()} to {labels.max()}"
            where = f"task {task.name!r}, {split}"
            must = "0 or more" if negative else f"0 to {task.classes - 1}"
            raise DataError(f"{where}: labels are {span}; they must be {must}")
    if masks:
        return
    if task.classes < 2 or len(np.unique(task.train_labels)) < 2:
        hint = "give at least two, or raise --limit if it is given"
        raise DataError(f"task {task.name!r}: a single class; {hint}")


def check_all(tasks: Sequence[Task], batch_size: int, *, of_classes: bool = True) -> list[Task]:
    """Returns the tasks, if a network can be trained on them one after the other; as :func:`check`.

    Raises:
      DataError: none, two of one name, a name that cannot be shown, inputs of two types, or a task
        that :func:`check` refuses.
    """
    if not tasks:
        raise DataError("tasks: none given; give at least one")
    names = [task.name for task in tasks]
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DataError(f"tasks: one is named {name!r}; give it a name of letters in one line")
        if names.count(name) > 1:
            raise DataError(f"tasks: {names.count(name)} are named {name!r}; give each its own")
    checked = [check(task, batch_size, of_classes=of_classes) for task in tasks]
    first = checked[0]
    for task in checked[1:]:
        if _types(task) != _types(first):
            found = " and ".join(f"{x.name!r} {size_text(x.train_inputs)}" for x in (first, task))
            raise DataError(f"inputs: tasks have {found}; give all of them uint8, or all floats")
    return checked


def _types(task: Task) -> list[np.dtype]:
    """The types of the inputs as they are kept."""
    return [as_kept(leaf[:0]).dtype for leaf in jax.tree.leaves(task.train_inputs)]
