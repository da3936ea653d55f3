"""The methods against forgetting, each in a file of its own that has its name.

A method is a frozen dataclass of settings, such as ``EWC(strength=1e4)``; `jaxcl.fit` takes it, or
its name at its usual settings.  Its ``losses`` names the transform (`jaxcl.transforms`) that it is
made of, where the equation, the shapes and the paper's section stand; ``summary`` is a line for a
person, and ``paper`` says where the method comes from.

A file in this folder that defines a subclass of ``Method`` with a summary is a method: the
commands know it, with its settings, and nothing else has to be told. Light to import (no JAX).
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from jaxcl.methods.base import Method, StreamInfo

__docformat__ = "google"
__all__ = ["METHODS", "Method", "StreamInfo"]


def _found() -> dict[str, type[Method]]:
    methods: dict[str, type[Method]] = {}
    for each in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{each.name}")
        for kind in vars(module).values():
            own = isinstance(kind, type) and kind.__module__ == module.__name__
            if own and issubclass(kind, Method) and "summary" in vars(kind) and kind.summary:
                methods[each.name] = kind
    return methods


METHODS: dict[str, type[Method]] = _found()
"""Every method by its name."""

globals().update({kind.__name__: kind for kind in METHODS.values()})
__all__ += [kind.__name__ for kind in METHODS.values()]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:  # the classes of the files, such as ``jaxcl.methods.EWC``

    def __getattr__(name: str) -> Any: ...
