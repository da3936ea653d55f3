"""Generators: how they are trained, and how good what they make is."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.training.generative.generator import GanProgram, GanState, new_gan_state

__all__ = ["GanProgram", "GanState", "new_gan_state"]

__getattr__ = public(__name__, dict.fromkeys(__all__, "generator"))
