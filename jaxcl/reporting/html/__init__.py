"""What runs found, as one file that a browser shows: no script, nothing from elsewhere."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.reporting.html.comparison import comparison_page
    from jaxcl.reporting.html.run import RunShown, run_page

__all__ = ["RunShown", "comparison_page", "run_page"]

__getattr__ = public(
    __name__, {"RunShown": "run", "comparison_page": "comparison", "run_page": "run"}
)
