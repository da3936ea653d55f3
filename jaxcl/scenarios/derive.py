"""Several tasks made from one data set: split by class or group, permuted, rotated, repeated."""

from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image

from jaxcl.core.errors import DataError
from jaxcl.scenarios.images import SIDE, pad32
from jaxcl.scenarios.task import Task, rows_of

SEED = 0  # of the permutations: everybody has the same tasks
HALF_TURN = 180.0


def split(task: Task, n: int) -> list[Task]:
    """Tasks of as many classes each, in the order of the labels; labels begin at 0.

    Raises:
      DataError: the classes cannot be shared out evenly, two at least to a task.
    """
    _check_one_each(task)
    size = classes_each(task.name, task.classes, n)
    return [_classes(task, first, size) for first in range(0, task.classes, size)]


def classes_each(name: str, classes: int, n: int) -> int:
    """Returns how many classes each of ``n`` tasks has, of a data set that is split.

    Raises:
      DataError: as :func:`split`.
    """
    if classes % n or classes // n < 2:
        raise DataError(f"tasks: {classes} classes of {name} do not make {n} tasks of at least two")
    return classes // n


def split_classes(task: Task, each: int) -> list[Task]:
    """Returns tasks of ``each`` classes, in the order of the labels; labels begin at 0.

    Raises:
      DataError: the classes cannot be shared out evenly, or a task would have one.
    """
    if each < 2 or task.classes % each:
        raise DataError(
            f"split_classes: {task.classes} classes of {task.name} do not make tasks of {each};"
            " give a number from 2 on that divides them"
        )
    return split(task, task.classes // each)


def by_group(task: Task, n: int) -> list[Task]:
    """Tasks of the first n groups of classes, one a task and named like it; labels begin at 0.

    Raises:
      DataError: a data set of fewer groups.
    """
    if n > len(task.groups):
        raise DataError(f"tasks: {task.name} has {len(task.groups)} groups of classes, not {n}")
    _check_one_each(task)
    firsts = np.cumsum([0, *(size for _, size in task.groups)])
    found = zip(task.groups[:n], firsts, strict=False)
    return [_classes(task, int(first), size)._replace(name=name) for (name, size), first in found]


def shuffled_classes(task: Task, seed: int) -> Task:
    """Returns the data set with its classes numbered in an order that a seed decides."""
    _check_one_each(task)
    order = np.random.default_rng(seed).permutation(task.classes).astype(np.int32)
    return task._replace(
        name=f"{task.name}-order-{seed}",
        groups=(),
        class_names=tuple(task.class_names[i] for i in np.argsort(order)[: len(task.class_names)]),
        train_labels=order[task.train_labels],
        test_labels=order[task.test_labels],
    )


def _check_one_each(task: Task) -> None:
    """Raises a DataError where an example has not one class."""
    for labels in (task.train_labels, task.test_labels):
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(
                f"task {task.name!r}: labels are {labels.dtype} of the shape {list(labels.shape)};"
                " only integers [n], a class an example, can be split or put in another order"
            )


def _classes(task: Task, first: int, size: int) -> Task:
    def part(inputs: Any, labels: ndarray) -> tuple[Any, ndarray]:
        own = (labels >= first) & (labels < first + size)
        return rows_of(inputs, own), labels[own] - first

    name = f"{task.name}-{first}-{first + size - 1}"
    train = part(task.train_inputs, task.train_labels)
    test, names = part(task.test_inputs, task.test_labels), task.class_names[first : first + size]
    return Task(name, *train, *test, size, class_names=names)


def permuted(task: Task, n: int) -> list[Task]:
    """Returns the data set with its pixels in n orders, the first as they are."""
    rng = np.random.default_rng(SEED)
    height, width = task.train_inputs.shape[1:3]
    orders = [np.arange(height * width)]
    orders += [rng.permutation(height * width) for _ in range(n - 1)]

    def moved(images: ndarray, order: ndarray) -> ndarray:
        flat = images.reshape(len(images), height * width, -1)
        return flat[:, order].reshape(images.shape)

    return [
        task._replace(
            name=f"{task.name}-permuted-{i}",
            train_inputs=moved(task.train_inputs, order),
            test_inputs=moved(task.test_inputs, order),
        )
        for i, order in enumerate(orders)
    ]


def permuted32(task: Task, n: int) -> list[Task]:
    """Permutes as :func:`permuted`, of images with a dark border that makes them 32x32.

    So the published runs have it (van de Ven & Tolias 2019, arXiv 1904.07734); tasks are
    then in each other's way less, since a pixel in use in one is more often dark in another.
    """
    if max(task.train_inputs.shape[1:3]) > SIDE:
        raise DataError(f"scenario: images of {task.name} are larger than {SIDE}x{SIDE}")
    train, test = pad32(task.train_inputs), pad32(task.test_inputs)
    return permuted(task._replace(train_inputs=train, test_inputs=test), n)


def rotated(task: Task, n: int) -> list[Task]:
    """Returns the data set turned by n angles, evenly from 0 to under 180 degrees."""
    return [
        task._replace(
            name=f"{task.name}-rotated-{angle:g}",
            train_inputs=_turned(task.train_inputs, angle),
            test_inputs=_turned(task.test_inputs, angle),
        )
        for angle in np.arange(n) * HALF_TURN / n
    ]


def repeated(task: Task, n: int) -> list[Task]:
    """Returns the same data set n times."""
    return [task._replace(name=f"{task.name}-{i + 1}") for i in range(n)]


def _turned(images: ndarray, angle: float) -> ndarray:
    if angle == 0:
        return images
    turned = np.empty_like(images)
    for place, image in zip(turned, images, strict=True):
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        picture = picture.rotate(angle, Image.Resampling.BILINEAR)
        place[...] = np.asarray(picture).reshape(image.shape)
    return turned


DERIVED = {
    "split": split,
    "groups": by_group,
    "permuted": permuted,
    "permuted32": permuted32,
    "rotated": rotated,
    "repeated": repeated,
}
"""How tasks are made, by name."""
