"""Images of one size, from a folder for each class or from Pillow's own objects."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from jaxcl.core.errors import DataError
from jaxcl.scenarios.readers.arrays import Part

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

Named = tuple[str, UInt8[ndarray, "height width channels"]]
"""Where an image is from, and its pixels."""


def read_folder(path: Path) -> tuple[Part, Part | None]:
    """Reads ``class/name.png``, or ``train/class/name.png`` and ``test/class/name.png``.

    Classes and files follow in the order of their names, as text.  Hidden files, files of other
    kinds, and folders beside ``train`` and ``test`` are left out; ``train`` without folders in it
    is a class like others.  Images are turned upright where they say how.

    Returns:
      The training and test examples; None for these where there is no folder ``test``.

    Raises:
      DataError: no class folders, one without images, an image that is damaged, or one of
        another size or other channels than the first; ``train`` beside a folder that is not
        ``test``.
    """
    if not (path.joinpath("train").is_dir() and _folders(path / "train")):
        return _read_classes(path, None), None
    train = _read_classes(path / "train", None)
    if not path.joinpath("test").is_dir():
        others = [folder for folder in _folders(path) if folder.name != "train"]
        if others:
            raise DataError(f"{others[0]}: beside train; name it test, or move it away")
        return train, None
    return train, _read_classes(path / "test", (f"the first in {train.where}", train.inputs[0]))


def _read_classes(path: Path, first: Named | None) -> Part:
    files: list[Path] = []
    labels: list[str] = []
    for folder in _folders(path):
        found = [file for file in _visible(folder) if file.suffix.lower() in SUFFIXES]
        found = [file for file in found if file.is_file()]
        if not found:
            raise DataError(
                f"{folder}: a class of 0 images; add some ({', '.join(SUFFIXES)}), or remove the"
                " folder"
            )
        files += found
        labels += [folder.name] * len(found)
    if not files:
        raise DataError(
            f"{path}: 0 folders in it; give one for each class, with its images, or train and test"
            " with such folders"
        )
    images = stack(((str(file), _read_image(file)) for file in files), len(files), first)
    return Part(str(path), images, np.array(labels))


def _visible(path: Path) -> Iterator[Path]:
    entries = (entry for entry in path.iterdir() if not entry.name.startswith("."))
    return iter(sorted(entries, key=lambda entry: entry.name))


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _visible(path) if entry.is_dir()]


def _read_image(path: Path) -> UInt8[ndarray, "height width channels"]:
    try:
        with path.open("rb") as file:
            image = Image.open(file)
            image.load()
    except Exception as error:  # Pillow's decoders have errors of many kinds for damaged files
        raise DataError(
            f"{path}: damaged, or no image ({_line(error)}); replace it, or remove it"
        ) from error
    return pixels(str(path), image)


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def pixels(where: str, image: Image.Image) -> UInt8[ndarray, "height width channels"]:
    """Returns the bytes of an image: one channel of a grey one, else red, green and blue.

    What is transparent is left out.

    Raises:
      DataError: more than 8 bits for a channel.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # Pillow would clip these to 255, which is white
        raise DataError(
            f"{where}: more than 8 bits for a channel (mode {image.mode}); save it with 8 bits"
        )
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))[..., None]
    if image.mode in ("P", "PA"):  # Pillow warns where a palette's transparency is left out at once
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def stack(
    images: Iterable[Named], count: int, first: Named | None = None
) -> UInt8[ndarray, "n height width channels"]:
    """Returns images of one shape as one array, with one image at a time beside it.

    Args:
      images: ``count`` of them, at least one.
      count: n.
      first: an image that all must be like; None takes the first of them.

    Raises:
      DataError: names the first image that differs.
    """
    stacked: ndarray | None = None
    for i, (name, image) in enumerate(images):
        first = first or (name, image)
        if image.shape != first[1].shape:
            raise DataError(
                f"{name}: {_describe(image.shape)}, but {first[0]} is"
                f" {_describe(first[1].shape)}; resize all images to one size, and save all in"
                " grey or all in colour"
            )
        if stacked is None:
            stacked = np.empty((count, *image.shape), np.uint8)
        stacked[i] = image
    assert stacked is not None
    return stacked


def _describe(shape: Sequence[int]) -> str:
    height, width, channels = shape
    return f"{width} wide, {height} high and {'grey' if channels == 1 else 'in colour'}"
