"""One labelled data set in host memory, from parts that a reader has found."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32
from numpy import ndarray

from jaxcl.core.errors import DataError
from jaxcl.scenarios.task import Task

TEST_PART = 0.2
"""The part that is held out for testing where a data set has no test examples of its own."""


class Arrays(NamedTuple):
    """A labelled data set in host memory.

    Attributes:
      train_inputs: ``[n, ...]``: images of bytes (uint8) ``[n, h, w, c]``, float32, or tokens
        (int32).
      train_labels: int32 ``[n]``, 0 to ``len(classes) - 1``.
      test_inputs: as ``train_inputs``.
      test_labels: as ``train_labels``.
      classes: the names of the classes, as text, in the order of the labels.
    """

    train_inputs: ndarray
    train_labels: Int32[ndarray, "n"]
    test_inputs: ndarray
    test_labels: Int32[ndarray, "m"]
    classes: tuple[str, ...]

    def as_task(self, name: str) -> Task:
        """Returns the data set as one task."""
        return Task(name, *self[:4], len(self.classes), class_names=self.classes)


class Part(NamedTuple):
    """Inputs and labels as they were found.

    Attributes:
      where: begins the errors, such as ``"digits.npz, train"``.
      inputs: an array ``[n, ...]``, which is checked.
      labels: an array of integers or strings ``[n]``, which is checked.
    """

    where: str
    inputs: Any
    labels: Any


def join(train: Part, test: Part | None, test_part: float = TEST_PART) -> Arrays:
    """Makes a data set of its parts, with labels 0 to C - 1 in the sorted order of the classes.

    Grey images of bytes ``[n, h, w]`` get a channel; floats become float32, other integers
    int32.  Integers are sorted as numbers, strings as text.

    Args:
      train: what is trained on.
      test: what is tested on; None holds a part of each class out of ``train``.
      test_part: this part, above 0 and below 1, at least one example of each class and not all.
        Which ones depends on the labels alone, and they keep their order.

    Raises:
      DataError: inputs or labels that are no arrays of these kinds, other counts of the two,
        values that are not finite, a single class, a class that only ``test`` has, or one of
        which no example can be held out.
    """
    if not 0 < test_part < 1:
        raise DataError(f"test_part: {test_part} is not between 0 and 1; give 0.2, say")
    train = _checked(train)
    values = np.unique(train.labels)
    if len(values) < 2:
        raise DataError(f"{train.where}: a single class, {values[0]}; give at least two")
    labels = np.searchsorted(values, train.labels).astype(np.int32)
    classes = tuple(map(str, values))
    if test is None:
        held = _held_out(train.where, labels, classes, test_part)
        kept = ~held
        return Arrays(train.inputs[kept], labels[kept], train.inputs[held], labels[held], classes)
    test = _checked(test)
    _check_alike(train, test, values)
    test_labels = np.searchsorted(values, test.labels).astype(np.int32)
    return Arrays(train.inputs, labels, test.inputs, test_labels, classes)


def _checked(part: Part) -> Part:
    where, inputs, labels = part
    for name, array in (("inputs", inputs), ("labels", labels)):
        if not isinstance(array, ndarray):
            raise DataError(f"{where}: {name} are {type(array).__name__}; give a NumPy array")
    part = Part(where, _checked_inputs(where, inputs), _checked_labels(where, labels))
    if len(part.inputs) != len(part.labels):
        raise DataError(
            f"{where}: {len(part.inputs)} inputs but {len(part.labels)} labels; give each its own"
        )
    if len(part.labels) == 0:
        raise DataError(f"{where}: 0 examples; give at least two of different classes")
    return part


def _checked_inputs(where: str, inputs: ndarray) -> ndarray:
    kind = inputs.dtype.kind
    if inputs.ndim < 2:
        shape = list(inputs.shape)
        raise DataError(
            f"{where}: inputs have the shape {shape}; give [n, ...], as inputs[:, None]"
        )
    if inputs.dtype == np.uint8:
        return inputs[..., None] if inputs.ndim == 3 else inputs
    if kind == "f":
        with np.errstate(over="ignore"):  # what is too large for float32 is found below
            floats = inputs.astype(np.float32)
        if not np.isfinite(floats).all():
            raise DataError(f"{where}: inputs hold values that are not finite; remove them")
        return floats
    if kind not in "iu":
        raise DataError(
            f"{where}: inputs are {inputs.dtype}; give bytes (uint8), floats, or integers (tokens)"
        )
    if inputs.ndim > 2:
        raise DataError(
            f"{where}: inputs are {inputs.dtype} of the shape {list(inputs.shape)}; give images as"
            " bytes, inputs.astype(np.uint8), or floats"
        )
    low, high = (inputs.min(), inputs.max()) if inputs.size else (0, 0)
    if low < 0 or high > np.iinfo(np.int32).max:
        raise DataError(
            f"{where}: inputs are {inputs.dtype}, {low} to {high}; tokens are 0 to 2^31 - 1: give"
            " other numbers as floats"
        )
    return inputs.astype(np.int32)


def _checked_labels(where: str, labels: ndarray) -> ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:  # as Keras has those of CIFAR
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{where}: labels have the shape {list(labels.shape)}; give [n], which one-hot rows are"
            " with labels.argmax(axis=1)"
        )
    if labels.dtype.kind == "S":
        try:
            return np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: labels are not UTF-8 ({error}); give text") from error
    if labels.dtype.kind not in "biuU":
        raise DataError(
            f"{where}: labels are {labels.dtype}; give integers, labels.astype(int), or strings"
        )
    return labels


def _check_alike(train: Part, test: Part, values: ndarray) -> None:
    for name, a, b in (
        ("shape", list(train.inputs.shape[1:]), list(test.inputs.shape[1:])),
        ("type", train.inputs.dtype, test.inputs.dtype),
    ):
        if a != b:
            raise DataError(
                f"{test.where}: an input has the {name} {b}, and {a} in training; give both one"
                f" {name}"
            )
    if (train.labels.dtype.kind == "U") != (test.labels.dtype.kind == "U"):
        raise DataError(
            f"{test.where}: labels are {test.labels.dtype}, and {train.labels.dtype} in training;"
            " give both as integers or both as strings"
        )
    new = test.labels[~np.isin(test.labels, values)]
    if len(new):
        raise DataError(
            f"{test.where}: class {str(new[0])!r} is not among the training examples; remove it, or"
            " add some"
        )


def _held_out(where: str, labels: ndarray, classes: tuple[str, ...], part: float) -> ndarray:
    """Which examples are held out: bool ``[n]``."""
    rng = np.random.default_rng(0)
    held = np.zeros(len(labels), bool)
    for label, name in enumerate(classes):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 2:
            raise DataError(
                f"{where}: class {name!r} has one example, and a part of each is held out for"
                " testing; give two or more, or test examples"
            )
        count = min(max(round(part * len(rows)), 1), len(rows) - 1)
        held[rng.permutation(rows)[:count]] = True
    return held
