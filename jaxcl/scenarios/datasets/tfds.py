"""Data sets prepared by TensorFlow Datasets, read without TensorFlow."""

import importlib
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image

from jaxcl.core.cache import cached, folder
from jaxcl.core.errors import DataError
from jaxcl.core.paths import expanded
from jaxcl.scenarios.datasets.catalog import SOURCES, Source
from jaxcl.scenarios.datasets.drawings import SIDE, by_class, drawing

Arrays = dict[str, ndarray]
GROUPED = ("inputs", "labels", "groups")
READ = 2000  # records fetched at a time
LAYOUT = 2  # of what the cache keeps; another number is read anew


def data_dir(given: Path | None) -> Path:
    """Returns the folder of prepared data: as given, else as TFDS has it.

    Raises:
      UsageError: a home folder that there is not.
    """
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return expanded("data_dir", given or default)


def remedy(source: Source, where: Path) -> str:
    """Returns the command that prepares a data set."""
    return f"run: python -m jaxcl.experiments.prepare {source.tfds_name} --data-dir {where}"


def prepared(name: str, where: Path) -> bool:
    """Returns whether some version of a data set lies in a TFDS folder."""
    return any((where / SOURCES[name].tfds_name).glob("*/dataset_info.json"))


def builder_of(source: Source, **settings: Any) -> Any:
    """Returns the TFDS builder of a data set."""
    import tensorflow_datasets as tfds

    if source.module:
        importlib.import_module(source.module)
    return tfds.builder(source.tfds_name, **settings)


def read(
    name: str, where: Path, progress: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Returns all images and labels of a data set.

    Args:
      name: a key of :data:`SOURCES`.
      where: the TFDS folder.
      progress: told what is being read, when that takes a while.

    Returns:
      What a task has but its name: ``train_inputs, train_labels, test_inputs, test_labels``,
      bytes ``[n, height, width, channels]``, upright, and int32 ``[n]`` from 0; ``classes``; and
      ``groups``, where there are any.

    Raises:
      DataError: the data set is missing, damaged or in another format; names the file and the
        command that mends it.
    """
    source = SOURCES[name]
    if not prepared(name, where):
        raise DataError(f"data set {name!r} is not in {where}; {remedy(source, where)}")
    try:
        builder = builder_of(source, data_dir=where)
        files = [Path(f) for s in ("train", "test") for f in builder.info.splits[s].filepaths]
        stamp = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    except Exception as error:  # whatever is wrong with the folder, the remedy is the same
        raise _damaged(source, where, error) from error
    if (form := builder.info.file_format.value) != "array_record":
        raise DataError(
            f"{where / source.tfds_name} has the format {form}, and array_record is read; leave it,"
            f" and give another --data-dir: {remedy(source, Path('DIR'))}"
        )
    tag = zlib.crc32(repr((LAYOUT, stamp)).encode())
    path = folder() / "tfds" / f"{name.replace('/', '-')}-{builder.info.version}-{tag:08x}.npz"

    def make() -> Arrays:
        progress(f"reading {name} from {where} (once; kept in {path.parent})")
        arrays: Arrays = {}
        for split in ("train", "test"):
            try:
                found = _read(builder, split, source.group)
            except Exception as error:
                raise _damaged(source, where, error) from error
            arrays |= {f"{split}_{name}": array for name, array in found.items()}
        return arrays

    arrays = cached(path, make)
    if not source.group:
        return {**_part(arrays, source), "classes": source.classes}
    both = {x: np.concatenate([arrays[f"train_{x}"], arrays[f"test_{x}"]]) for x in GROUPED}
    names = builder.info.features[source.group].names
    return by_class(both["inputs"], both["labels"], both["groups"], names)


def _damaged(source: Source, where: Path, error: Exception) -> DataError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return DataError(
        f"{where / source.tfds_name} is damaged ({reason}); {remedy(source, where)} --overwrite"
    )


def _read(builder: Any, split: str, group: str) -> Arrays:
    """All images (bytes), raw labels (int32) and, where there are any, groups of a split."""
    from tensorflow_datasets.core import decode

    records = builder.as_data_source(split, decoders={"image": decode.SkipDecoding()})
    n = builder.info.splits[split].num_examples
    if len(records) != n:
        raise DataError(f"{split}: {len(records)} records, {n} expected")
    shape = (SIDE, SIDE, 1) if group else builder.info.features["image"].shape
    images = np.empty((n, *shape), np.uint8)
    labels, groups = np.empty((2, n), np.int32)
    for start in range(0, n, READ):
        rows = range(start, min(start + READ, n))
        for row, record in zip(rows, records.__getitems__(list(rows)), strict=True):
            with Image.open(io.BytesIO(record["image"])) as picture:
                pixels = drawing(picture) if group else np.asarray(picture)
                images[row] = pixels.reshape(shape)
            labels[row] = record["label"]
            groups[row] = record[group] if group else 0
    return dict(zip(GROUPED if group else GROUPED[:2], (images, labels, groups), strict=False))


def _part(arrays: Arrays, source: Source) -> dict[str, Any]:
    """The classes that are wanted, numbered from 0, with upright images."""
    part = {}
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_inputs"], arrays[f"{split}_labels"]
        labels = labels - source.first_label
        if source.partial:
            wanted = (labels >= 0) & (labels < source.classes)
            images, labels = images[wanted], labels[wanted]
        if source.transposed:
            images = np.ascontiguousarray(images.transpose(0, 2, 1, 3))
        part |= {f"{split}_inputs": images, f"{split}_labels": labels}
    return part
