"""Downloading and preparing data sets with TFDS's own builders, without TensorFlow.

A builder knows the addresses, the checksums and the parsing of its data set.  Of
TensorFlow, the builders used here need three functions, to open a file, to list a folder and
to make text of bytes; and TFDS encodes images with it.  These four are replaced while a
builder works, and the folder that results is the one that TFDS would have made.
"""

import contextlib
import fcntl
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

from jaxcl.core.errors import DataError, check_name
from jaxcl.scenarios.datasets.tfds import SOURCES, builder_of, prepared

WANTED = tuple(dict.fromkeys(source.tfds_name for source in SOURCES.values()))


def prepare(name: str, where: Path, *, overwrite: bool = False) -> Path:
    """Downloads a data set and writes it as array_record files.

    Args:
      name: of a TFDS builder, one of :data:`WANTED`.
      where: the TFDS folder.
      overwrite: make it anew where it exists; the old one is kept until then.

    Returns:
      The folder of the data set.

    Raises:
      UsageError: an unknown name.
      DataError: the data set exists already, is being prepared, or could not be had.
    """
    check_name("data set", name, WANTED)
    with _alone(name, where):
        return _prepared(name, where, overwrite=overwrite)


@contextlib.contextmanager
def _alone(name: str, where: Path) -> Iterator[None]:
    """Holds a lock, without which two processes would clear each other's folder away."""
    where.mkdir(parents=True, exist_ok=True)
    with (where / f".{name.replace('/', '-')}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"{name} is being prepared in {where}; wait for that") from error
        yield


def _prepared(name: str, where: Path, *, overwrite: bool) -> Path:
    folder = where / name
    if folder.exists() and not overwrite and _complete(name, where):
        raise DataError(f"{folder} exists already; give --overwrite to make it anew")
    aside = folder.with_name(f"{folder.name}.old")
    if aside.exists():  # left by an earlier try that was stopped: it is the good one
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        folder.rename(aside)
    try:
        _build(name, where)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if aside.exists():
            aside.rename(folder)
        if not isinstance(error, Exception):
            raise
        reason = str(error).strip().split("\n")[0][:300] or type(error).__name__
        raise DataError(
            f"{name} could not be prepared ({reason}); check the network and the space in"
            f" {where}, or copy the folder {name} from a machine that has it"
        ) from error
    shutil.rmtree(aside, ignore_errors=True)
    return folder


def _complete(name: str, where: Path) -> bool:
    return any(prepared(key, where) for key, s in SOURCES.items() if s.tfds_name == name)


def _build(name: str, where: Path) -> None:
    import tensorflow_datasets as tfds

    source = next(source for source in SOURCES.values() if source.tfds_name == name)
    builder: Any = builder_of(source, data_dir=where, file_format="array_record")
    generate = builder._generate_examples

    def generate_encoded(*args: Any, **kwargs: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
        for key, example in generate(*args, **kwargs):
            yield key, {**example, "image": _encoded(example["image"])}

    builder._generate_examples = generate_encoded
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    with _without_tensorflow(sys.modules[type(builder).__module__]):
        builder.download_and_prepare(download_config=config, file_format="array_record")


def _encoded(image: Any) -> io.BytesIO | str:
    """An image as a PNG file, which TFDS stores as it is; a file's name stays."""
    if isinstance(image, str):
        return image
    buffer = io.BytesIO()
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    Image.fromarray(pixels).save(buffer, "PNG")
    buffer.seek(0)
    return buffer


@contextlib.contextmanager
def _without_tensorflow(module: Any) -> Iterator[None]:
    """Puts Python's own functions in TensorFlow's place, in a builder and the extractor."""
    from tensorflow_datasets.core.download import extractor

    stand_in = SimpleNamespace(
        io=SimpleNamespace(gfile=SimpleNamespace(GFile=open, listdir=os.listdir)),
        compat=SimpleNamespace(as_text=lambda x: x.decode() if isinstance(x, bytes) else x),
    )
    places: list[Any] = [place for place in (module, extractor) if hasattr(place, "tf")]
    before = [place.tf for place in places]
    for place in places:
        place.tf = stand_in
    try:
        yield
    finally:
        for place, tensorflow in zip(places, before, strict=True):
            place.tf = tensorflow
