"""A task: the images and labels that a network learns from next."""

import zlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int
from numpy import ndarray

from jaxcl.core.errors import DataError
from jaxcl.core.types import Data
from jaxcl.scenarios.images import SIDE, AnyImages, to_rgb32


class Task(NamedTuple):
    """A classification task in host memory.

    Attributes:
      name: for a person, such as ``"mnist"``.
      classes: number of classes; labels are 0 to ``classes - 1``.
      train_images: ``[n, height, width, channels]``, upright: bytes (uint8), which are
        divided by 255 when they are used, or floats, which are taken as they are.
      train_labels: integers ``[n]``.
      test_images: as ``train_images``.
      test_labels: as ``train_labels``.
    """

    name: str
    classes: int
    train_images: AnyImages
    train_labels: Int[ndarray, "n"]
    test_images: AnyImages
    test_labels: Int[ndarray, "m"]


def check(task: Task, batch_size: int) -> Task:
    """Returns the task if a network can be trained on it.

    Raises:
      DataError: images or labels that are no arrays of the kinds in :class:`Task`, no
        images, other counts of images and labels, labels out of range, a single class, or
        fewer training images than a batch.
    """
    for split, images, labels in (
        ("train", task.train_images, task.train_labels),
        ("test", task.test_images, task.test_labels),
    ):
        where = f"task {task.name!r}, {split}"
        _check_images(where, images)
        _check_labels(where, labels, task.classes)
        if len(images) != len(labels):
            raise DataError(f"{where}: {len(images)} images but {len(labels)} labels")
    if task.train_images.shape[1:] != task.test_images.shape[1:]:
        raise DataError(
            f"task {task.name!r}: training images are {_size(task.train_images)}, test images"
            f" {_size(task.test_images)}; give both the same shape"
        )
    if task.classes < 2 or len(np.unique(task.train_labels)) < 2:
        raise DataError(f"task {task.name!r}: a single class; give at least two")
    if batch_size > len(task.train_images):
        n = len(task.train_images)
        raise DataError(
            f"batch_size: {batch_size} is more than the {n} training images of"
            f" task {task.name!r}; give at most {n}"
        )
    return task


def _size(images: ndarray) -> str:
    return "x".join(map(str, images.shape[1:]))


def _check_images(where: str, images: Any) -> None:
    if not isinstance(images, ndarray):
        kind = type(images).__name__
        raise DataError(f"{where}: images are a {kind}; give a NumPy array, np.asarray(images)")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"{where}: images are {images.dtype}; give bytes (uint8), which are divided by 255, or"
            " floats, which are taken as they are"
        )
    if images.ndim != 4:
        raise DataError(
            f"{where}: images have the shape {list(images.shape)}; give [n, height, width,"
            " channels], with images[..., None] where they are grey"
        )
    if len(images) == 0:
        raise DataError(f"{where}: no images; give at least one batch")
    if images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        raise DataError(
            f"{where}: images are {_size(images)}, channels first; give them last, with"
            " images.transpose(0, 2, 3, 1)"
        )
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        raise DataError(f"{where}: images hold values that are not finite; remove them")


def _check_labels(where: str, labels: Any, classes: int) -> None:
    if not isinstance(labels, ndarray):
        kind = type(labels).__name__
        raise DataError(f"{where}: labels are a {kind}; give a NumPy array, np.asarray(labels)")
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise DataError(
            f"{where}: labels are {labels.dtype} of the shape {list(labels.shape)}; give integers"
            f" [n], 0 to {classes - 1}"
        )
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        span = f"{labels.min()} to {labels.max()}"
        raise DataError(f"{where}: labels are {span}; they must be 0 to {classes - 1}")


def check_all(tasks: Sequence[Task], batch_size: int) -> list[Task]:
    """Returns the tasks, if a network can be trained on them one after the other.

    Raises:
      DataError: none, two of one name, or one that :func:`check` refuses.
    """
    if not tasks:
        raise DataError("tasks: none given; give at least one")
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"tasks: {names.count(name)} are named {name!r}; give each its own name"
            )
    return [check(task, batch_size) for task in tasks]


def checksum(tasks: Sequence[Task]) -> str:
    """Returns the CRC-32 of all images and labels, to tell whether data are the same."""
    total = 0
    for task in tasks:
        for array in (task.train_images, task.train_labels, task.test_images, task.test_labels):
            total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return f"{total:08x}"


def limit(task: Task, images: int | None) -> Task:
    """Returns the task with at most so many training and test images: the first ones."""
    return task._replace(
        train_images=task.train_images[:images],
        train_labels=task.train_labels[:images],
        test_images=task.test_images[:images],
        test_labels=task.test_labels[:images],
    )


def hold_out(task: Task, part: float) -> Task:
    """Returns the task with a part of its training images in place of the test images.

    Which ones depends on their number alone; the test images are not looked at.

    Raises:
      DataError: none are held out, or none are left.
    """
    if part == 0:
        return task
    rows = np.random.default_rng(0).permutation(len(task.train_labels))
    held, kept = np.split(rows, [round(part * len(rows))])
    if not (len(held) and len(kept)):
        what = f"of the {len(rows)} training images of task {task.name!r}"
        raise DataError(f"validation: {part} {what} is none, or all; give 0.1, say")
    return task._replace(
        train_images=task.train_images[kept],
        train_labels=task.train_labels[kept],
        test_images=task.train_images[held],
        test_labels=task.train_labels[held],
    )


def as_batch(
    images: ndarray, labels: ndarray, task_index: int, first_label: int, *, stream: bool
) -> Data:
    """Brings images, labels and the index of the task to the device; streamed images stay."""
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
    return {
        "image": images if stream else jnp.asarray(images),
        "label": jnp.asarray(labels, jnp.int32) + first_label,
        "task": jnp.full(len(labels), task_index, jnp.int32),
    }


def rgb32(task: Task, how: Literal["bilinear", "pad"]) -> Task:
    """Returns the task with images 32x32x3.

    Raises:
      DataError: images that are larger, or have other than 1 or 3 channels.
    """
    height, width, channels = task.train_images.shape[1:]
    if max(height, width) > SIDE or channels not in (1, 3):
        raise DataError(
            f"task {task.name!r}: images are {_size(task.train_images)}, and this network takes at"
            f" most {SIDE}x{SIDE} with 1 or 3 channels; make them smaller, or give --resize keep"
            " (square images, one size in all tasks) or --net mlp"
        )
    return task._replace(
        train_images=to_rgb32(task.train_images, how), test_images=to_rgb32(task.test_images, how)
    )
