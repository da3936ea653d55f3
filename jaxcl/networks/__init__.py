"""Networks as pure functions over nested dictionaries of arrays.

What is named here is imported when it is asked for: the names of the networks that can be
chosen are known without JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcl.networks.base import Net, Pathway, Route, Routes
    from jaxcl.networks.convolutional import cnn
    from jaxcl.networks.dense import mlp
    from jaxcl.networks.progressive import columns

__all__ = ["Net", "Pathway", "Route", "Routes", "cnn", "columns", "mlp"]

_WHERE = {
    **dict.fromkeys(("Net", "Pathway", "Route", "Routes"), "base"),
    "cnn": "convolutional",
    "columns": "progressive",
    "mlp": "dense",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
