"""Data sets of the package ``datasets`` (Hugging Face), without importing it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image

from jaxcl.core.errors import DataError
from jaxcl.scenarios.readers.arrays import Arrays, Part, join
from jaxcl.scenarios.readers.image_folder import Named, pixels, stack

TEST_SPLITS = ("test", "validation")


def from_huggingface(dataset: Any, inputs: str | None = None, label: str = "label") -> Arrays:
    """Reads a ``datasets.Dataset``, or a ``DatasetDict`` with the split ``"train"``.

    The test examples are those of ``"test"``, else of ``"validation"``, else a part of each class
    that is held out (see :func:`~jaxcl.scenarios.readers.arrays.join`).

    Args:
      dataset: has ``column_names``, and gives a column for its name.
      inputs: a column of images, arrays (or lists) of one shape, or numbers, which become
        ``[n, 1]``; None where it is the only one beside the label.
      label: a column of integers or strings.  Where it is a ``ClassLabel``, its names are the
        names of the classes.

    Raises:
      DataError: no such split or column, text that is not yet tokens, inputs of several shapes,
        or what :func:`~jaxcl.scenarios.readers.arrays.join` refuses.
    """
    splits = dataset if isinstance(dataset, Mapping) else {"train": dataset}
    if "train" not in splits:
        raise DataError(
            f"dataset: 'train' is not among its splits {list(splits)}; name one of them so, as in"
            " DatasetDict(train=...)"
        )
    train = splits["train"]
    column = _input_column(train, inputs, label)
    names = getattr((getattr(train, "features", None) or {}).get(label), "names", None)
    test = next((split for split in TEST_SPLITS if split in splits), None)
    arrays = join(
        _part("train", train, column, label, names),
        _part(test, splits[test], column, label, names) if test else None,
    )
    if names:
        arrays = arrays._replace(classes=tuple(str(names[int(c)]) for c in arrays.classes))
    return arrays


def _columns(where: str, split: Any) -> list[str]:
    columns = getattr(split, "column_names", None)
    if not isinstance(columns, list) or not hasattr(split, "__getitem__"):
        raise DataError(
            f"{where}: a {type(split).__name__}; give a datasets.Dataset or DatasetDict that is not"
            " streamed"
        )
    return columns


def _input_column(train: Any, inputs: str | None, label: str) -> str:
    others = [name for name in _columns("dataset", train) if name != label]
    if inputs is not None:
        return inputs
    if len(others) != 1:
        raise DataError(
            f"inputs: {len(others)} columns beside {label!r}, {others}; give the name of one"
        )
    return others[0]


def _part(split: str, rows: Any, inputs: str, label: str, names: Any) -> Part:
    columns = _columns(f"dataset, {split}", rows)
    for field, name in (("inputs", inputs), ("label", label)):
        if name not in columns:
            raise DataError(
                f"{field}: {name!r} is no column of the split {split!r}; give one of {columns}"
            )
    where = f"dataset, {split}"
    labels = _array(f"{where}, {label}", rows[label])
    if names and labels.dtype.kind in "iu":
        low, high = labels.min(), labels.max()
        if low < 0 or high >= len(names):  # -1 stands for an unknown label
            raise DataError(
                f"{where}, {label}: {low} to {high}, but there are {len(names)} names; remove"
                " examples without a label, or the split"
            )
    values = _array(f"{where}, {inputs}", rows[inputs])
    return Part(where, values[:, None] if values.ndim == 1 else values, labels)


def _array(where: str, column: Any) -> ndarray:
    if len(column) == 0:
        raise DataError(f"{where}: 0 examples; give at least two of different classes")
    if isinstance(column[0], Image.Image):
        return stack(_images(where, column), len(column))
    try:
        array = np.asarray(column if isinstance(column, ndarray) else list(column))
    except ValueError as error:
        raise DataError(
            f"{where}: values of several shapes; give all one shape, by padding, say"
        ) from error
    return array


def _images(where: str, column: Any) -> Iterator[Named]:
    """One image after the other: a column decodes those that are asked for."""
    for i, image in enumerate(column):
        if not isinstance(image, Image.Image):
            raise DataError(
                f"{where}, row {i}: a {type(image).__name__} and no image; remove the row"
            )
        yield f"{where}, row {i}", pixels(f"{where}, row {i}", image)
