"""A task: the inputs and labels that a network learns from next."""

import zlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.core.errors import DataError
from jaxcl.core.types import Array, Data
from jaxcl.scenarios.images import SIDE, to_rgb32

BFLOAT16 = jnp.bfloat16.dtype


class Task(NamedTuple):
    """A task in host memory.

    Attributes:
      name: for a person, such as ``"mnist"``.
      train_inputs: an array ``[n, ...]``, or a tree of such arrays: bytes (uint8), which are
        divided by 255 when they are used, floats or integers (tokens), which are taken as they
        are.  Images are ``[n, height, width, channels]``, upright.
      train_labels: integers ``[n]`` from 0 on, or what else the loss takes.
      test_inputs: as ``train_inputs``.
      test_labels: as ``train_labels``.
      classes: outputs that the task needs; 0: one more than the largest training label, or
        the width of labels ``[n, outputs]``.
      groups: names of groups of classes, such as alphabets, and of how many classes each is, in
        the order of the labels; empty where there are none.
      class_names: names of the classes, in the order of the labels; empty where nobody named them.

    >>> x, y = np.zeros((4, 28, 28, 1), np.uint8), np.array([0, 1, 0, 1])
    >>> task = Task("digits", x, y, test_inputs=x[:2], test_labels=y[:2])
    >>> task.train_inputs.shape, task.classes  # they are counted as the task is learned
    ((4, 28, 28, 1), 0)
    """

    name: str
    train_inputs: Any
    train_labels: ndarray
    test_inputs: Any
    test_labels: ndarray
    classes: int = 0
    groups: tuple[tuple[str, int], ...] = ()
    class_names: tuple[str, ...] = ()


def checksum(tasks: Sequence[Task]) -> str:
    """Returns the CRC-32 of all images and labels, to tell whether data are the same."""
    total = 0
    for task in tasks:
        parts = task.train_inputs, task.train_labels, task.test_inputs, task.test_labels
        for array in jax.tree.leaves(parts):
            total = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, total)
    return f"{total:08x}"


def rows_of(inputs: Any, rows: Any) -> Any:
    """Returns some examples of inputs."""
    return jax.tree.map(lambda x: x[rows], inputs)


def limit(task: Task, most: int | None, *, spread: bool = False) -> Task:
    """Returns the task with at most so many training and test examples.

    Args:
      task: with all of them.
      most: how many; None: all.
      spread: whether they are drawn from all, as many of each class as its share; which ones
        depends on the labels alone.  By default they are the first ones.
    """

    def rows(labels: ndarray) -> Any:
        if not spread or most is None or len(labels) <= most:
            return slice(most)
        return np.sort(_drawn(labels)[:most])

    train, test = rows(task.train_labels), rows(task.test_labels)
    return task._replace(
        train_inputs=rows_of(task.train_inputs, train),
        train_labels=task.train_labels[train],
        test_inputs=rows_of(task.test_inputs, test),
        test_labels=task.test_labels[test],
    )


def _drawn(labels: ndarray) -> ndarray:
    """All rows in a random order in which each class has its share of any first part."""
    rows = np.random.default_rng(0).permutation(len(labels))
    if labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer):
        return rows
    _, own, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    by_class = np.argsort(own, kind="stable")
    turn = np.empty(len(rows))  # of a row in its class
    turn[by_class] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows[np.argsort((turn + 0.5) / counts[own], kind="stable")]


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
        train_inputs=rows_of(task.train_inputs, kept),
        train_labels=task.train_labels[kept],
        test_inputs=rows_of(task.train_inputs, held),
        test_labels=task.train_labels[held],
    )


def as_batch(
    inputs: Any, labels: ndarray, task_index: int, first_label: int, *, stream: bool
) -> Data:
    """Brings inputs, labels and the index of the task to the device; streamed inputs stay."""
    kept = as_kept(inputs)
    whole = np.issubdtype(labels.dtype, np.integer)
    own = jnp.asarray(labels, jnp.int32 if whole else jnp.float32)
    return {
        "input": kept if stream else jax.tree.map(jnp.asarray, kept),
        "label": counted(own, first_label) if whole else own,
        "task": jnp.full(len(labels), task_index, jnp.int32),
    }


def counted(labels: Array, first: int) -> Array:
    """Returns labels from ``first`` on; a negative one, which masks its position, stays."""
    return jnp.where(labels < 0, labels, labels + first)


def as_kept(inputs: Any) -> Any:
    """Returns bytes and bfloat16 as they are; other floats in 32 bits, and other integers."""
    return jax.tree.map(_as_kept, inputs)


def _as_kept(array: ndarray) -> ndarray:
    if array.dtype in (np.uint8, BFLOAT16):
        return array
    return array.astype(np.float32 if np.issubdtype(array.dtype, np.floating) else np.int32)


def size_text(inputs: Any) -> str:
    """Writes type and shape of inputs: ``uint8 28x28x1``, and ``float32 []`` of single numbers."""
    leaves = jax.tree.leaves(inputs)
    return ", ".join(f"{x.dtype} {'x'.join(map(str, x.shape[1:])) or '[]'}" for x in leaves)


def is_image(inputs: Any) -> bool:
    """Returns whether inputs are one array ``[n, height, width, channels]``."""
    return [leaf.ndim for leaf in jax.tree.leaves(inputs)] == [4]


def rgb32(task: Task, how: Literal["bilinear", "pad"]) -> Task:
    """Returns the task with images 32x32x3.

    Raises:
      DataError: images that are larger, or have other than 1 or 3 channels.
    """
    if not is_image(task.train_inputs):
        raise DataError(
            f"task {task.name!r}: inputs are {size_text(task.train_inputs)}, and this network takes"
            " images [n, height, width, channels]; give --net mlp, or a network of your own"
        )
    height, width, channels = jax.tree.leaves(task.train_inputs)[0].shape[1:]
    if max(height, width) > SIDE or channels not in (1, 3):
        raise DataError(
            f"task {task.name!r}: images are {size_text(task.train_inputs)}, and this network"
            f" takes at most {SIDE}x{SIDE} with 1 or 3 channels; make them smaller, or give"
            " --resize keep (square images, one size in all tasks) or --net mlp"
        )
    return task._replace(
        train_inputs=to_rgb32(task.train_inputs, how), test_inputs=to_rgb32(task.test_inputs, how)
    )
