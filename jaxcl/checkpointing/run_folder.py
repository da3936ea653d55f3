"""The folder of a run: every file whole, nothing overwritten unasked."""

import hashlib
import json
import os
import shlex
import shutil
import tomllib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from jaxcl.checkpointing.config_file import Settings, from_toml, to_toml
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
PLACE = "data_dir"
"""The setting that says where images lie: elsewhere they are the same, and they are compared."""


def holds_run(folder: Path) -> bool:
    """Returns whether a run was begun in a folder."""
    return any((folder / name).exists() for name in FILES)


def finished(folder: Path) -> bool:
    """Returns whether the run in a folder is done: its summary is written last."""
    return (folder / SUMMARY).exists()


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raises a UsageError if a folder holds a run that is not to be replaced."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"out: {folder} is a file; name a folder")
    if overwrite and holds_run(folder) and not (folder / CONFIG).exists():
        raise UsageError(f"out: {folder} holds files that no run wrote; name another folder")
    if overwrite or not holds_run(folder):
        return
    held = ", ".join(name for name in FILES if (folder / name).exists())
    raise UsageError(
        f"out: {folder} already holds a run ({held}); name another folder, or give --overwrite,"
        " or --resume to go on with it"
    )


def create(folder: Path, config: Any) -> None:
    """Empties the folder of what an earlier run wrote, and writes the configuration.

    Raises:
      OutputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        write_bytes(folder / CONFIG, to_toml(config).encode())
    except OSError as error:
        reason = f"cannot be written ({error.strerror}); name another"
        raise OutputError(f"out: {folder} {reason}") from error


def by_option(plugins: Sequence[str]) -> str:
    """Returns how plug-ins are given to a command.

    >>> by_option(["my.module"])
    '--plugin my.module'
    """
    return " ".join(f"--plugin {shlex.quote(name)}" for name in plugins)


def by_argument(plugins: Sequence[str]) -> str:
    """Returns how plug-ins are given in a program.

    >>> by_argument(["my.module"])
    'plugins=["my.module"]'
    """
    return f"plugins={json.dumps(list(plugins))}"


def saved_config(
    kind: type[Settings],
    folder: Path,
    plugins: Collection[str] = (),
    remedy: Callable[[Sequence[str]], str] = by_option,
) -> Settings:
    """Reads the settings of the run in a folder.

    Args:
      kind: the dataclass that they are settings of.
      folder: of the run.
      plugins: that are given: others may be what is missing.
      remedy: how those that are missing are given.

    Raises:
      UsageError: there is none, or it cannot be used.
    """
    try:
        text = (folder / CONFIG).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"resume: {folder} holds no run that can be resumed") from error
    try:
        return from_toml(kind, text)
    except UsageError as error:
        raise unusable(folder, error, plugins, remedy) from None


def plugins(folder: Path) -> tuple[str, ...]:
    """Returns the plug-ins that the run in a folder was begun with, as far as it says so."""
    try:
        named = tomllib.loads((folder / CONFIG).read_text()).get("plugins", [])
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(map(str, named)) if isinstance(named, list) else ()


def unusable(
    folder: Path,
    error: UsageError,
    given: Collection[str] = (),
    remedy: Callable[[Sequence[str]], str] = by_option,
) -> UsageError:
    """Returns what to do about settings that cannot be used.

    A folder never has a plug-in imported by itself: where a name is unknown, those of the run
    that are not given are to be.

    Args:
      folder: of the run.
      error: what is wrong with them.
      given: plug-ins that are.
      remedy: how those that are missing are given.
    """
    missing = [name for name in plugins(folder) if name not in given]
    text = str(error)
    if missing and " is unknown" in text:
        text = f"{text.partition(';')[0]}; give {remedy(missing)}"
    return UsageError(f"resume: {folder / CONFIG}: {text}")


def check_same(folder: Path, config: Any) -> None:
    """Raises a UsageError that names the settings in which a run differs from a saved one.

    Its images may lie elsewhere now.
    """
    saved, given = saved_config(type(config), folder).flat(), config.flat()
    names = [name for name in saved | given if name != PLACE]
    differ = [name for name in names if saved.get(name) != given.get(name)]
    if differ:
        parts = (f"{n} is {text_of(saved.get(n))}, not {text_of(given.get(n))}" for n in differ)
        raise UsageError(f"resume: in {folder}, {'; '.join(parts)}; leave these options out")


def note_place(folder: Path, config: Any) -> None:
    """Writes down where the images of a run lie now, if that is elsewhere.

    Raises:
      OutputError: it cannot be written.
    """
    if saved_config(type(config), folder).flat()[PLACE] != config.flat()[PLACE]:
        try:
            write_bytes(folder / CONFIG, to_toml(config).encode())
        except OSError as error:
            reason = f"cannot be written ({error.strerror}); make room or allow it"
            raise OutputError(f"out: {folder} {reason}") from error


def without_place(text: str) -> list[str]:
    """Returns the lines of a configuration, but for where images lie.

    >>> without_place('epochs = 2\\ndata_dir = "/data"')
    ['epochs = 2']
    """
    return [line for line in text.splitlines() if not line.startswith(f"{PLACE} = ")]


def text_of(value: Any) -> str:
    """Writes a setting as a person would.

    >>> text_of(None), text_of((0, 1)), text_of(0.5)
    ('not set', '0 1', '0.5')
    """
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "not set" if value is None else str(value)


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
