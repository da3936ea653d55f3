"""The folder of a run: its files, its lock, its configuration and its checkpoints."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.checkpointing.config_file import from_toml, to_toml
    from jaxcl.checkpointing.storage import load_params, save_params

__all__ = ["from_toml", "load_params", "save_params", "to_toml"]

__getattr__ = public(
    __name__,
    {
        "from_toml": "config_file",
        "load_params": "storage",
        "save_params": "storage",
        "to_toml": "config_file",
    },
)
