"""Networks as pure functions over nested dictionaries of arrays.

`jaxcl.fit` takes

- settings of a network that jaxcl has: `CNN`, `MLP`, `Linear`, `ResNet18`, `ResNet32` and
  `EfficientNetLite0`;
- a network of another library: `from_linen`, `from_nnx`, `from_equinox`, `from_functions`.

Either makes a `Net`: pure functions that return features, and grow branches and heads. `cnn`,
`mlp`, `columns`, `residual` and `pretrained` make one directly, for a loop of one's own.

What is named here is imported when it is asked for: the names of the networks that can be
chosen are known without JAX.
"""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.networks.adapters.equinox import from_equinox
    from jaxcl.networks.adapters.functions import from_functions
    from jaxcl.networks.adapters.linen import from_linen
    from jaxcl.networks.adapters.nnx import from_nnx
    from jaxcl.networks.base import Net, Pathway, Variables
    from jaxcl.networks.choices import CNN, MLP, EfficientNetLite0, Linear, ResNet18, ResNet32
    from jaxcl.networks.convolutional import cnn
    from jaxcl.networks.dense import mlp
    from jaxcl.networks.named_backbones import pretrained, residual
    from jaxcl.networks.network import Network
    from jaxcl.networks.progressive import columns

__docformat__ = "google"
__all__ = [
    "CNN", "MLP", "EfficientNetLite0", "Linear", "Net", "Network", "Pathway", "ResNet18",
    "ResNet32", "Variables", "cnn", "columns", "from_equinox", "from_functions", "from_linen",
    "from_nnx", "mlp", "pretrained", "residual",
]  # fmt: skip

__getattr__ = public(
    __name__,
    {
        **dict.fromkeys(("Net", "Pathway", "Variables"), "base"),
        **dict.fromkeys(
            ("CNN", "EfficientNetLite0", "MLP", "Linear", "ResNet18", "ResNet32"), "choices"
        ),
        **dict.fromkeys(("pretrained", "residual"), "named_backbones"),
        "from_equinox": "adapters.equinox",
        "from_functions": "adapters.functions",
        "from_linen": "adapters.linen",
        "from_nnx": "adapters.nnx",
        "Network": "network",
        "cnn": "convolutional",
        "columns": "progressive",
        "mlp": "dense",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # for help() and for completion
