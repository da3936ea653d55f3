"""Networks as pure functions over nested dictionaries of arrays."""

from jaxcl.nets.base import Net, Route, Routes
from jaxcl.nets.cnn import cnn

__all__ = ["Net", "Route", "Routes", "cnn"]
