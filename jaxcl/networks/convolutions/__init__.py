"""Convolutions in the formulation that suits the platform."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.networks.convolutions.conv import conv2d, max_pool
    from jaxcl.networks.convolutions.loop_convolution import with_loop_convolutions

__all__ = ["conv2d", "max_pool", "with_loop_convolutions"]

__getattr__ = public(
    __name__,
    {"conv2d": "conv", "max_pool": "conv", "with_loop_convolutions": "loop_convolution"},
)
