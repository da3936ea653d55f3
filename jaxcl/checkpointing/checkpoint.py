"""Checkpoints of a run: arrays, and what else there is to know, each whole or not at all.

A checkpoint is a folder that Orbax wrote and, beside it, a manifest ``NNNNNN.json``
that is written last: it holds what is not an array, and the SHA-256 of every file.
A folder without a manifest was cut off in the middle; a file that does not fit its
checksum is damaged; in both cases the checkpoint before is used.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from jaxcl.checkpointing import storage
from jaxcl.checkpointing.run_folder import write_bytes
from jaxcl.core.errors import UsageError

FORMAT = 8
OURS = re.compile(r"[0-9]{6}(\.json)?")
CUT_OFF = re.compile(r"\.?[0-9]{6}\..*tmp.*")
Arrays = Mapping[str, ndarray]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def write(folder: Path, number: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
    """Writes a checkpoint; it counts from the moment its manifest is there.

    Args:
      folder: of all checkpoints of a run.
      number: of this one; larger is newer.
      arrays: on the host, under names.
      meta: what else there is to know, as JSON.
    """
    path = folder / f"{number:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    # Orbax stores no array without elements; its shape and dtype say all there is.
    storage.save_params(path, {name: x for name, x in arrays.items() if x.size})
    files = {
        str(file.relative_to(path)): _digest(file.read_bytes())
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
    kinds = {name: [list(x.shape), x.dtype.name] for name, x in arrays.items()}
    content = {"format": FORMAT, "meta": dict(meta), "arrays": kinds, "files": files}
    manifest = {**content, "sha256": _digest(_text(content))}
    write_bytes(folder / f"{number:06d}.json", _text(manifest))


class Checkpoint(NamedTuple):
    """A checkpoint that was read.

    Attributes:
      number: of the checkpoint.
      arrays: on the host, under names.
      meta: what else was written.
    """

    number: int
    arrays: dict[str, ndarray]
    meta: dict[str, Any]


def read(folder: Path, number: int) -> Checkpoint:
    """Reads a checkpoint and compares every checksum.

    Raises:
      UsageError: it was written by another version of the format.
      ValueError: it is damaged; says which file.
      OSError: it cannot be read.
    """
    path, manifest = folder / f"{number:06d}", folder / f"{number:06d}.json"
    try:
        stored = json.loads(manifest.read_bytes())
        checksum = stored.pop("sha256")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{manifest.name} is not whole") from error
    if _digest(_text(stored)) != checksum:
        raise ValueError(f"{manifest.name} was changed")
    if stored.get("format") != FORMAT:
        raise UsageError(
            f"resume: {manifest} has format {stored.get('format')}, this version of jaxcl reads"
            f" format {FORMAT}; go on with the version that wrote it"
        )
    for name, digest in stored["files"].items():
        if not (path / name).is_file():
            raise ValueError(f"{path.name}/{name} is missing")
        if _digest((path / name).read_bytes()) != digest:
            raise ValueError(f"{path.name}/{name} was changed")
    kinds = {name: np.zeros(shape, dtype) for name, (shape, dtype) in stored["arrays"].items()}
    full = {name: x for name, x in kinds.items() if x.size}
    arrays = {**kinds, **storage.load_onto_host(path, full)}
    return Checkpoint(number, arrays, stored["meta"])


def numbers(folder: Path) -> list[int]:
    """Returns the numbers of the checkpoints that have a manifest, oldest first."""
    return sorted(int(path.stem) for path in folder.glob("*.json") if OURS.fullmatch(path.name))


def newest(
    folder: Path,
    usable: Callable[[dict[str, Any]], str | None],
    say: Callable[[str], None],
    most: int | None = None,
) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole and usable; None if there is none.

    Args:
      folder: of all checkpoints of a run.
      usable: gives a reason why a checkpoint's meta cannot be used, or None.
      say: told about every checkpoint that is passed over.
      most: a number; newer ones are left out.
    """
    for number in reversed(numbers(folder)):
        if most is not None and number > most:
            continue
        try:
            found = read(folder, number)
            reason = usable(found.meta)
        except (ValueError, OSError) as error:
            if isinstance(error, UsageError):
                raise
            reason = str(error)
        else:
            if reason is None:
                return found
        say(f"checkpoint {number} is passed over: {reason}")
    return None


def clean(folder: Path, keep: set[int]) -> None:
    """Removes every checkpoint but those to keep, whole or cut off, and nothing else."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if not (OURS.fullmatch(path.name) or CUT_OFF.fullmatch(path.name)):
            continue
        if OURS.fullmatch(path.name) and int(path.stem) in keep:
            continue
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
