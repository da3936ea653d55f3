"""Networks of other libraries: Flax Linen, Flax NNX, Equinox, plain functions."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.networks.adapters.backbone import Backbone
    from jaxcl.networks.adapters.equinox import from_equinox
    from jaxcl.networks.adapters.functions import from_functions
    from jaxcl.networks.adapters.linen import from_linen
    from jaxcl.networks.adapters.nnx import from_nnx

__all__ = ["Backbone", "from_equinox", "from_functions", "from_linen", "from_nnx"]

__getattr__ = public(
    __name__,
    {
        "Backbone": "backbone",
        "from_equinox": "equinox",
        "from_functions": "functions",
        "from_linen": "linen",
        "from_nnx": "nnx",
    },
)
