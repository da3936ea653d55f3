"""Modules of others that register methods, networks, scenarios and data sets."""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxcl.core.errors import UsageError

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


def _told(name: str, load) -> None:
    try:
        load()
    except UsageError:
        raise
    except Exception:
        sys.stderr.write(f"error: plugin {name} cannot be imported; this is what it raised:\n")
        raise


def _load(name: str) -> None:
    if not name.endswith(".py"):
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise UsageError(
                f"plugin: no module {name!r} is installed; give a file, such as ./{name}.py"
            )
        importlib.import_module(name)
        return
    path = Path(name).resolve()
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
