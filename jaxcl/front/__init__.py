"""What a program uses: fit, load, results, and what it registers."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.front.fitting import fit
    from jaxcl.front.plugins import load_plugins
    from jaxcl.front.results import Result, load

__all__ = ["Result", "fit", "load", "load_plugins"]

__getattr__ = public(
    __name__,
    {"Result": "results", "fit": "fitting", "load": "results", "load_plugins": "plugins"},
)
