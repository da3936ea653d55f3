"""A task: the images and labels that a network learns from next."""

import zlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from jaxcl.errors import DataError
from jaxcl.images import to_rgb32
from jaxcl.types import Data


class Task(NamedTuple):
    """A classification task in host memory.

    Attributes:
      name: for a person, such as ``"mnist"``.
      classes: number of classes; labels are 0 to ``classes - 1``.
      train_images: uint8 ``[n, height, width, channels]``, upright.
      train_labels: integers ``[n]``.
      test_images: as ``train_images``.
      test_labels: as ``train_labels``.
    """

    name: str
    classes: int
    train_images: UInt8[ndarray, "n height width channels"]
    train_labels: Int[ndarray, "n"]
    test_images: UInt8[ndarray, "m height width channels"]
    test_labels: Int[ndarray, "m"]


def check(task: Task, batch_size: int) -> Task:
    """Returns the task if a network can be trained on it.

    Raises:
      DataError: no images, other counts of images and labels, labels out of
        range, a single class, or fewer training images than a batch.
    """
    for split, images, labels in (
        ("train", task.train_images, task.train_labels),
        ("test", task.test_images, task.test_labels),
    ):
        where = f"task {task.name!r}, {split}"
        if len(images) == 0:
            raise DataError(f"{where}: no images; give at least one batch")
        if len(images) != len(labels):
            raise DataError(f"{where}: {len(images)} images but {len(labels)} labels")
        if labels.min() < 0 or labels.max() >= task.classes:
            span = f"{labels.min()} to {labels.max()}"
            raise DataError(f"{where}: labels are {span}; they must be 0 to {task.classes - 1}")
    if task.classes < 2 or len(np.unique(task.train_labels)) < 2:
        raise DataError(f"task {task.name!r}: a single class; give at least two")
    if batch_size > len(task.train_images):
        n = len(task.train_images)
        raise DataError(
            f"batch_size: {batch_size} is more than the {n} training images of"
            f" task {task.name!r}; give at most {n}"
        )
    return task


def checksum(tasks: Sequence[Task]) -> str:
    """CRC-32 of all images and labels, to tell whether data are the same."""
    total = 0
    for task in tasks:
        for array in (task.train_images, task.train_labels, task.test_images, task.test_labels):
            total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return f"{total:08x}"


def limit(task: Task, images: int | None) -> Task:
    """The task with at most so many training and test images: the first ones."""
    return task._replace(
        train_images=task.train_images[:images],
        train_labels=task.train_labels[:images],
        test_images=task.test_images[:images],
        test_labels=task.test_labels[:images],
    )


def hold_out(task: Task, part: float) -> Task:
    """The task with a part of its training images in place of the test images.

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
    images: ndarray, labels: ndarray, position: int, first_label: int, *, stream: bool
) -> Data:
    """Images as bytes, labels and the task's position, on the device; streamed images are not."""
    return {
        "image": images if stream else jnp.asarray(images),
        "label": jnp.asarray(labels, jnp.int32) + first_label,
        "task": jnp.full(len(labels), position, jnp.int32),
    }


def rgb32(task: Task, how: Literal["bilinear", "pad"]) -> Task:
    """The task with images 32x32x3."""
    return task._replace(
        train_images=to_rgb32(task.train_images, how), test_images=to_rgb32(task.test_images, how)
    )
