"""Networks as pure functions over nested dictionaries of arrays."""

from jaxcl.networks.base import Net, Pathway, Route, Routes
from jaxcl.networks.cnn import cnn
from jaxcl.networks.mlp import mlp
from jaxcl.networks.progressive import columns

__all__ = ["Net", "Pathway", "Route", "Routes", "cnn", "columns", "mlp"]
