"""Data sets by name: built in, or prepared by TensorFlow Datasets."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.scenarios.datasets.sources import available, load

__all__ = ["available", "load"]

__getattr__ = public(__name__, {"available": "sources", "load": "sources"})
