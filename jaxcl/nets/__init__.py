"""Networks as pure functions over nested dictionaries of arrays."""

from jaxcl.nets.base import Net, Pathway, Route, Routes
from jaxcl.nets.cnn import cnn
from jaxcl.nets.columns import columns
from jaxcl.nets.mlp import mlp

__all__ = ["Net", "Pathway", "Route", "Routes", "cnn", "columns", "mlp"]
