"""Data sets, tasks, and how tasks are made from them."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.scenarios.datasets.sources import load
    from jaxcl.scenarios.settings import DataSettings
    from jaxcl.scenarios.task import Task

__all__ = ["DataSettings", "Task", "load"]

__getattr__ = public(
    __name__, {"DataSettings": "settings", "Task": "task", "load": "datasets.sources"}
)
