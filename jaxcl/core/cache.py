"""Decoded images in the user's cache folder, safe against crashes.

A file is written under another name, flushed, and renamed when it is whole, so
a name that exists is a whole file.  An ``npz`` is a zip archive: each member
carries a CRC-32 that is checked as its last byte is read, and the archive ends with
the number of its members.
"""

import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy import ndarray

END = struct.Struct("<10sH10s")
"""The end of a zip archive: its mark and numbers of disks, members in all, and places."""


def folder() -> Path:
    """Returns ``$XDG_CACHE_HOME/jaxcl``, by default ``~/.cache/jaxcl``, or a temporary folder."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "jaxcl"
    try:
        return Path.home() / ".cache" / "jaxcl"
    except RuntimeError:  # a user that has none, as in a container
        return Path(tempfile.gettempdir()) / f"jaxcl-cache-{os.getuid()}"


def cached(path: Path, make: Callable[[], Mapping[str, ndarray]]) -> dict[str, ndarray]:
    """Returns the arrays stored at a path, made and stored there if they are not.

    A file that is damaged is made again.  A cache that cannot be written (read
    only, full, a folder in its place) is not needed for the result and is left out with
    a warning.

    Args:
      path: an ``.npz`` file.
      make: gives the arrays; nothing but numbers, never objects.
    """
    if path.exists():
        try:
            return _read(path)
        except Exception:  # a changed bit can make an archive, or a header in it, wrong in any way
            if path.is_file():
                path.unlink(missing_ok=True)
    arrays = dict(make())
    try:
        store(path, arrays)
    except OSError as error:
        import warnings

        remedy = "remove it" if path.is_dir() else "make room there, or set XDG_CACHE_HOME"
        warnings.warn(
            f"cache {path} is not written ({error.strerror or error}); {remedy}", stacklevel=2
        )
    return arrays


def _read(path: Path) -> dict[str, ndarray]:
    """The arrays at a path; any error if the file is damaged."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        file.seek(-END.size, os.SEEK_END)  # no comment follows it
        _, members, _ = END.unpack(file.read())
        found = archive.infolist()
        if len(found) != members:
            raise ValueError(f"{path}: {len(found)} of {members} members are found")
        return {each.filename.removesuffix(".npy"): _member(archive, each) for each in found}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> ndarray:
    with archive.open(member) as file:  # its name is compared with that before its bytes
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read():  # a shape that was changed; at the end the CRC-32 is checked
            raise ValueError(f"{member.filename}: it goes on after its array")
    return array


def store(path: Path, arrays: Mapping[str, ndarray]) -> None:
    """Writes arrays so that the path holds all of them or what it held before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
