"""Continual learning in JAX: composable loss transforms and growing networks."""

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "Interrupted", "Result", "Task", "Training", "fit", "from_equinox", "from_functions",
    "from_huggingface", "from_linen", "from_nnx", "load", "methods", "networks", "read_data",
    "register_dataset", "register_logger", "register_method", "register_network",
    "register_scenario", "split_classes", "transforms",
]  # fmt: skip


def public(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes a package's ``__getattr__``: its names are imported when they are asked for (PEP 562).

    So a room can name what it offers, and one of its files be imported without JAX.

    Args:
      package: its name.
      names: public name -> file of the package that has it, which has another name.

    A name whose file needs an extra that is not installed raises a
    :class:`jaxcl.extras.MissingExtra`, an ImportError of one line.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        except ModuleNotFoundError as error:
            from jaxcl import extras

            raise extras.explained(f"{package}.{name}", error) from None

    return find


if TYPE_CHECKING:
    from jaxcl import methods, networks, transforms
    from jaxcl.front.fitting import fit
    from jaxcl.front.own_data import from_huggingface, read_data, split_classes
    from jaxcl.front.registry import (
        register_dataset,
        register_logger,
        register_method,
        register_network,
        register_scenario,
    )
    from jaxcl.front.results import Result, load
    from jaxcl.networks import from_equinox, from_functions, from_linen, from_nnx
    from jaxcl.runner.interrupt import Interrupted
    from jaxcl.scenarios.task import Task
    from jaxcl.training.settings import Training

_ROOMS = "methods", "networks", "transforms"
_NAMES = public(
    __name__,
    {
        "Interrupted": "runner.interrupt",
        "Result": "front.results",
        "Task": "scenarios.task",
        "Training": "training.settings",
        "fit": "front.fitting",
        "from_huggingface": "front.own_data",
        "read_data": "front.own_data",
        "split_classes": "front.own_data",
        "from_equinox": "networks.adapters.equinox",
        "from_functions": "networks.adapters.functions",
        "from_linen": "networks.adapters.linen",
        "from_nnx": "networks.adapters.nnx",
        "load": "front.results",
        "register_dataset": "front.registry",
        "register_logger": "front.registry",
        "register_method": "front.registry",
        "register_network": "front.registry",
        "register_scenario": "front.registry",
    },
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:  # ``import jaxcl`` is enough to say ``jaxcl.methods.EWC``
        return importlib.import_module(f"{__name__}.{name}")
    return _NAMES(name)
