"""Networks as pure functions over nested dictionaries of arrays.

What is named here is imported when it is asked for: the names of the networks that can be
chosen are known without JAX.
"""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.networks.base import Net, Pathway, Route, Routes
    from jaxcl.networks.convolutional import cnn
    from jaxcl.networks.dense import mlp
    from jaxcl.networks.progressive import columns

__all__ = ["Net", "Pathway", "Route", "Routes", "cnn", "columns", "mlp"]

__getattr__ = public(
    __name__,
    {
        **dict.fromkeys(("Net", "Pathway", "Route", "Routes"), "base"),
        "cnn": "convolutional",
        "columns": "progressive",
        "mlp": "dense",
    },
)
