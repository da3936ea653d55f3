"""Modules of others that register methods, networks, scenarios and data sets."""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxcl.core.errors import UsageError
from jaxcl.core.paths import expanded

GROUP = "jaxcl.plugins"
"""Entry points of this group are loaded whenever a command or :func:`jaxcl.fit` starts."""


def load_plugins(named: Sequence[str] = ()) -> None:
    """Imports what is installed as a plug-in, and what is named.

    Args:
      named: modules (``my.module``) or files (``my_module.py``).

    Raises:
      UsageError: a module that there is not.  What a plug-in itself raises while it is imported
        is raised as it is, after a line that names the plug-in.
    """
    for entry in importlib.metadata.entry_points(group=GROUP):
        _told(f"{entry.value} (installed)", entry.load)
    for name in named:
        _told(name, lambda name=name: _load(name))


def kept(named: Sequence[str]) -> tuple[str, ...]:
    """Returns plug-ins as a run keeps them: files with their whole paths.

    >>> kept(["my.module", "/here/mine.py"])
    ('my.module', '/here/mine.py')
    """
    return tuple(os.path.abspath(_file(name)) if name.endswith(".py") else name for name in named)


def _file(name: str) -> Path:
    return expanded("plugin", name)


def _told(name: str, load) -> None:
    try:
        load()
    except UsageError as error:
        own = str(error).startswith("plugin: ")
        raise error if own else UsageError(f"plugin {name}: {error}") from error
    except Exception:
        sys.stderr.write(f"error: plugin {name} cannot be imported; this is what it raised:\n")
        raise


def _installed(name: str) -> bool:
    """Whether there is a module; what the packages around it raise is raised."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        return False
    except ValueError:  # a module that was not found as others are
        return name in sys.modules


def _load(name: str) -> None:
    if not name.endswith(".py"):
        if Path(name).is_file():
            raise UsageError(f"plugin: {name} is no Python file; give one, mine.py")
        if not _installed(name):
            raise UsageError(
                f"plugin: no module {name!r} is installed; give one that is, or a file, mine.py"
            )
        importlib.import_module(name)
        return
    path = _file(name).resolve()
    if not path.is_file():
        raise UsageError(f"plugin: {name} is no file; give one that is there")
    module_name = f"jaxcl_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if module_name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
