"""Continual learning in JAX: composable loss transforms and growing networks."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__version__ = "0.1.0"


def public(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes a package's ``__getattr__``: its names are imported when they are asked for (PEP 562).

    So a room can name what it offers, and one of its files be imported without JAX.

    Args:
      package: its name.
      names: public name -> file of the package that has it, which has another name.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{names[name]}"), name)

    return find
