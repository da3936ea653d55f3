"""The settings in the folder of a run: read, compared with others, and what is said of them."""

import json
import shlex
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcl.checkpointing.config_file import Settings, from_toml, to_toml
from jaxcl.checkpointing.run_folder import CONFIG, write_bytes
from jaxcl.core.errors import OutputError, UsageError

PLACE = "data_dir"
"""The setting that says where images lie: elsewhere they are the same, and they are compared."""
MOST_NAMED = 3  # settings in which two runs differ


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


def check_same(folder: Path, config: Any, what: str = "resume") -> None:
    """Raises a UsageError that names the settings in which a run differs from a saved one.

    Its images may lie elsewhere now.

    Args:
      folder: of the saved run.
      config: of the run that is to go on.
      what: the argument that names the folder.
    """
    saved, given = saved_config(type(config), folder).flat(), config.flat()
    names = [name for name in saved | given if name != PLACE]
    differ = {n: (saved.get(n), given.get(n)) for n in names if saved.get(n) != given.get(n)}
    if differ:
        raise others(what, folder, differ)


def others(what: str, folder: Path, differ: Mapping[str, tuple[Any, Any]]) -> UsageError:
    """Returns what to do where the run in a folder has other settings.

    Args:
      what: the argument that names the folder.
      folder: of the run.
      differ: setting -> the value that it has there, and the one that is given.
    """
    texts = [f"{name} is {text_of(a)} and not {text_of(b)}" for name, (a, b) in differ.items()]
    more = [f"{len(texts) - MOST_NAMED} more differ"] if len(texts) > MOST_NAMED else []
    found = "; ".join([*texts[:MOST_NAMED], *more])
    remedy = "give the same, another folder, or remove this one"
    return UsageError(f"{what}: in {folder}, {found}; {remedy}")


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
    ('unset', '0 1', '0.5')
    """
    if value is None or value == ():
        return "unset"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
