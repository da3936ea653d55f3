"""Runs in their folders: begun, resumed, several at once, and searches over settings."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.runner.commands import How, Place, RunCommand
    from jaxcl.runner.several import run_each

__all__ = ["How", "Place", "RunCommand", "run_each"]

__getattr__ = public(
    __name__,
    {"How": "commands", "Place": "commands", "RunCommand": "commands", "run_each": "several"},
)
