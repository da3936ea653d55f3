"""The folder of a run: every file whole, nothing overwritten unasked."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from jaxcl.config import Config, to_toml
from jaxcl.errors import OutputError, UsageError

CONFIG, METRICS, SUMMARY, PLOT, PARAMS = (
    "config.toml", "metrics.jsonl", "summary.json", "accuracy.png", "params",
)  # fmt: skip
FILES = (CONFIG, METRICS, SUMMARY, PLOT, PARAMS)


def create(folder: Path, config: Config, *, overwrite: bool) -> None:
    """Makes the folder of a run and writes its configuration.

    Raises:
      UsageError: the folder holds a run and ``overwrite`` is off, or is a file.
      OutputError: it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"out: {folder} is a file; name a folder")
    held = [name for name in FILES if (folder / name).exists()]
    if held and not overwrite:
        raise UsageError(
            f"out: {folder} already holds a run ({', '.join(held)});"
            " name another folder or give --overwrite"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in held:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_bytes(folder / CONFIG, to_toml(config).encode())
    except OSError as error:
        reason = f"cannot be written ({error.strerror}); name another"
        raise OutputError(f"out: {folder} {reason}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file under another name and renames it when it is whole."""
    aside = path.with_name(f".{path.name}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise _full(path, error) from error


def _full(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path} cannot be written: {error.strerror}; what was written is kept")


def append(folder: Path, record: dict[str, Any]) -> None:
    """Adds a line to ``metrics.jsonl``."""
    path = folder / METRICS
    try:
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise _full(path, error) from error
