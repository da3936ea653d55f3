"""The folder of a run: every file whole, nothing overwritten unasked."""

import hashlib
import json
import os
import shutil
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

from jaxcl.checkpointing.config_file import to_toml
from jaxcl.core.errors import OutputError, UsageError

FILES = (
    CONFIG, METRICS, SUMMARY, PLOT, PICTURES, REPORT, SAMPLES, PARAMS, STATS, GENERATOR, PREDICTOR,
    CHECKPOINTS, *LOGS,
) = (
    "config.toml", "metrics.jsonl", "summary.json", "accuracy.png", "pictures", "report.html",
    "samples", "params", "stats", "generator", "predictor", "checkpoints", "csv", "tensorboard",
    "wandb",
)  # fmt: skip
COMPARISON, SWEEP = "comparison.json", "sweep.json"
"""Tables of several runs, in the folder that holds theirs."""


def new(*parts: str) -> Path:
    """Returns a folder under ``runs`` that is named after the moment; it is not made.

    The milliseconds keep runs apart that a loop of the shell starts at once.
    """
    return Path("runs", *parts, datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3])


def holds_run(folder: Path) -> bool:
    """Returns whether a run was begun in a folder.

    Raises:
      OutputError: no folder can have that name, or it cannot be read.
    """
    try:
        return any((folder / name).exists() for name in FILES)
    except OSError as error:
        text = f"out: {folder} cannot be a folder ({error.strerror}); name another"
        raise OutputError(text) from error


def finished(folder: Path) -> bool:
    """Returns whether the run in a folder is done: its summary is written last."""
    return (folder / SUMMARY).exists()


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raises a UsageError if a folder holds a run that is not to be replaced."""
    begun = holds_run(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"out: {folder} is a file; name a folder")
    if not begun:
        return
    held = ", ".join(name for name in FILES if (folder / name).exists())
    if not _by_run(folder):
        text = f"{folder} holds files that no run wrote ({held}); name another folder"
        raise UsageError(f"out: {text}")
    if overwrite:
        return
    raise UsageError(
        f"out: {folder} already holds a run ({held}); name another folder, or give --overwrite,"
        " or --resume to go on with it"
    )


def _by_run(folder: Path) -> bool:
    """Whether a run wrote what a folder holds: its settings say what was learned, and how."""
    try:
        return {"scenario", "method"} <= tomllib.loads((folder / CONFIG).read_text()).keys()
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):  # damaged
        return (folder / METRICS).exists()


def create(folder: Path, config: Any) -> None:
    """Empties the folder of what an earlier run wrote, and writes the configuration.

    The summary goes first, so that what is left of a run is not finished.  Settings stay until
    those of the new run take their place, and the metrics until then: they say that a run wrote
    the rest, should this be stopped.

    Raises:
      OutputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [name for name in FILES if name not in (CONFIG, METRICS, SUMMARY)]
        for name in (SUMMARY, *others, METRICS):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        write_bytes(folder / CONFIG, to_toml(config).encode())
    except OSError as error:
        reason = f"cannot be written ({error.strerror}); name another"
        raise OutputError(f"out: {folder} {reason}") from error


def cut_metrics(folder: Path, size: int) -> str:
    """Cuts ``metrics.jsonl`` to what a checkpoint knew of it; returns what is left."""
    path = folder / METRICS
    if not path.exists():
        return ""
    with path.open("rb+") as file:
        file.truncate(size)
    return path.read_text()


def metrics_mark(folder: Path, size: int | None = None) -> dict[str, Any]:
    """Returns what tells whether ``metrics.jsonl`` is as it was: its size and its SHA-256.

    Args:
      folder: of the run.
      size: bytes that are looked at, from the first on; by default all.
    """
    path = folder / METRICS
    content = path.read_bytes()[:size] if path.exists() else b""
    return {"metrics_bytes": len(content), "metrics_sha256": hashlib.sha256(content).hexdigest()}


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
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _full(path, error) from error
