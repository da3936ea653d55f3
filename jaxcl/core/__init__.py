"""Types, errors, random streams, pytrees, sharding, batching and processes."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.core.errors import DataError, NonFiniteLoss, OutputError, UsageError
    from jaxcl.core.random import stream
    from jaxcl.core.sharding import on_mesh

__all__ = ["DataError", "NonFiniteLoss", "OutputError", "UsageError", "on_mesh", "stream"]

__getattr__ = public(
    __name__,
    {
        "DataError": "errors",
        "NonFiniteLoss": "errors",
        "OutputError": "errors",
        "UsageError": "errors",
        "on_mesh": "sharding",
        "stream": "random",
    },
)
