"""A labelled data set from one's own files: ``.npz``, ``.csv``, or a folder of images."""

import csv
import itertools
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcl.core.errors import DataError
from jaxcl.scenarios.readers.arrays import TEST_PART, Arrays, Part, join
from jaxcl.scenarios.readers.huggingface import from_huggingface
from jaxcl.scenarios.readers.image_folder import read_folder

__all__ = ["Arrays", "from_huggingface", "read"]

SPLIT_KEYS = ("x_train", "y_train", "x_test", "y_test")
LABEL_COLUMNS = ("label", "class")


def read(path: Path, test_part: float = TEST_PART) -> Arrays:
    """Reads a labelled data set into host memory.

    Args:
      path: one of

        - ``.npz`` with ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or with ``x`` and
          ``y`` alone.  Labels are integers or strings.
        - ``.csv``, UTF-8 with commas, of numbers and a label: the column ``label`` or ``class``,
          else the last one.  The first line is a header where it has such a column, or no number
          before its last value.  Inputs are float32 ``[n, d]``.
        - a folder with ``class/name.png``, or ``train/class/name.png`` and
          ``test/class/name.png``; ``.jpg``, ``.jpeg`` and ``.bmp`` too.  Inputs are uint8
          ``[n, h, w, 1 or 3]``.
      test_part: the part of each class that is held out for testing, where there are no test
        examples; the same one each time.

    Returns:
      The data set; see :func:`~jaxcl.scenarios.readers.arrays.join` for its labels and types.

    Raises:
      DataError: nothing there, another kind of file, a damaged file, objects that need
        unpickling, or data that cannot be trained on.
    """
    try:
        if not path.exists():
            raise DataError(
                f"{path} does not exist; give an .npz or .csv file, or a folder of images"
            )
        if path.is_dir():
            return join(*read_folder(path), test_part)
        if path.suffix.lower() == ".npz":
            return join(*_read_npz(path), test_part)
        if path.suffix.lower() == ".csv":
            return join(_read_csv(path), None, test_part)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); check its permissions") from error
    raise DataError(
        f"{path}: the suffix {path.suffix!r} is unknown; give .npz, .csv, or a folder of images"
    )


def _read_npz(path: Path) -> tuple[Part, Part | None]:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: damaged, or no .npz file; write it anew with np.savez")
    try:
        # NumPy would leave a file open that it had opened and then found damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            keys = _keys(path, content.files)
            arrays = [content[key] for key in keys]
    except DataError:
        raise
    except Exception as error:  # zip files and headers of arrays can be damaged in many ways
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        if "allow_pickle" in reason:
            raise DataError(
                f"{path}: it holds Python objects, which could run code when they are read; give"
                " arrays of numbers or strings, as np.asarray(labels, str)"
            ) from error
        raise DataError(
            f"{path}: damaged ({reason}); copy it again, or write it anew with np.savez"
        ) from error
    if len(keys) == 2:
        return Part(str(path), *arrays), None
    return Part(f"{path}, train", *arrays[:2]), Part(f"{path}, test", *arrays[2:])


def _keys(path: Path, found: Sequence[str]) -> tuple[str, ...]:
    missing = [key for key in SPLIT_KEYS if key not in found]
    if missing and {"x", "y"} <= set(found):
        if beside := [key for key in SPLIT_KEYS if key in found]:
            raise DataError(
                f"{path}: {', '.join(beside)} beside x, y, of which a part is held out; name all"
                f" {', '.join(SPLIT_KEYS)}, or write x, y alone"
            )
        return ("x", "y")
    if missing:
        raise DataError(
            f"{path}: {', '.join(missing)} missing from its keys {list(found)}; give"
            f" {', '.join(SPLIT_KEYS)}, or x, y"
        )
    return SPLIT_KEYS


def _read_csv(path: Path) -> Part:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            return _read_table(str(path), ((reader.line_num, row) for row in reader if row))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}); save it as UTF-8 text") from error
    except csv.Error as error:
        raise DataError(
            f"{path}: damaged ({error}); give values with commas between them, a line an example"
        ) from error


def _read_table(where: str, rows: Iterator[tuple[int, list[str]]]) -> Part:
    first = next(rows, None)
    if first is None:
        raise DataError(f"{where}: 0 lines; give an example a line")
    width = len(first[1])
    if width < 2:
        raise DataError(f"{where}: 1 column; give numbers and a label, with commas between them")
    column = _label_column(where, first[1])
    if column is None:
        column = width - 1
        rows = itertools.chain([first], rows)
    features: list[ndarray] = []
    labels: list[str] = []
    for number, row in rows:
        line = f"{where}, line {number}"
        if len(row) != width:
            raise DataError(f"{line}: {len(row)} values, but {width} in the first line; give equal")
        label = row.pop(column).strip()
        if label.lower() in ("", "nan"):
            raise DataError(f"{line}: the label is {label!r}; give one, or remove the line")
        labels.append(label)
        features.append(_numbers(line, row))
    if not features:
        raise DataError(f"{where}: 0 examples below the header; give an example a line")
    return Part(where, np.stack(features), _as_labels(where, labels))


def _label_column(where: str, row: Sequence[str]) -> int | None:
    """Returns the place of the label in a header; None where the line is an example.

    An example can end in a word, its label, and can have a gap; it must not be taken for a header.
    """
    names = [cell.strip().lower() for cell in row]
    found = [i for i, name in enumerate(names) if name in LABEL_COLUMNS]
    if len(found) > 1:
        raise DataError(f"{where}: {len(found)} columns are named {LABEL_COLUMNS}; keep one")
    words = [name for name in names[:-1] if name and not _is_number(name)]
    numbers = [name for name in names[:-1] if _is_number(name)]
    if not found and (numbers or not words):
        return None
    if "" in names:  # rows of a file that is sorted by class would tell the class
        raise DataError(f"{where}: a column has no name; write it without the index, index=False")
    return found[0] if found else len(row) - 1


def _is_number(text: str) -> bool:
    if "_" in text:  # which Python's numbers may have
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(line: str, cells: Sequence[str]) -> Float32[ndarray, "d"]:
    try:
        if any("_" in cell for cell in cells):
            raise ValueError
        with np.errstate(over="ignore"):  # what is too large for float32 is found below
            values = np.array(cells, np.float64).astype(np.float32)
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    largest = float(np.finfo(np.float32).max)
    cell = next(c for c in cells if not (_is_number(c) and abs(float(c)) <= largest))
    raise DataError(
        f"{line}: {cell!r} is no finite number; give one, or remove the line (a header has no"
        " numbers, or a column named label)"
    )


def _as_labels(where: str, labels: Sequence[str]) -> ndarray:
    """Whole numbers where all are, so that 10 follows 9; else text."""
    if not all(map(_is_number, labels)):
        return np.array(labels)
    numbers = np.array([float(label) for label in labels])
    wrong = (numbers != np.round(numbers)) | (np.abs(numbers) > 2**53)
    if wrong.any():
        label = labels[int(np.argmax(wrong))]
        raise DataError(f"{where}: the label {label!r} is no whole number; give classes")
    return numbers.astype(np.int64)
