"""Pictures of runs, as a paper prints them.

Each function returns a :class:`matplotlib.figure.Figure`; ``style.rendered`` makes a PNG, an SVG or
a PDF of it.
"""

from typing import TYPE_CHECKING, Literal

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.reporting.pictures.curves import learning_curves
    from jaxcl.reporting.pictures.forgetting import forgetting_bars
    from jaxcl.reporting.pictures.matrix import accuracy_matrix
    from jaxcl.reporting.pictures.methods import average_curves
    from jaxcl.reporting.pictures.panels import Panel, accuracy_panels
    from jaxcl.reporting.pictures.routes import route_diagram
    from jaxcl.reporting.pictures.style import rendered
    from jaxcl.reporting.pictures.sweep import value_curves, value_map

Form = Literal["png", "svg", "pdf"]
"""Pixels on white; lines and text without a background, for a page; the same for a paper."""

__all__ = [
    "Form",
    "Panel",
    "accuracy_matrix",
    "accuracy_panels",
    "average_curves",
    "forgetting_bars",
    "learning_curves",
    "rendered",
    "route_diagram",
    "value_curves",
    "value_map",
]

__getattr__ = public(
    __name__,
    {
        "Panel": "panels",
        "accuracy_matrix": "matrix",
        "accuracy_panels": "panels",
        "average_curves": "methods",
        "forgetting_bars": "forgetting",
        "learning_curves": "curves",
        "rendered": "style",
        "route_diagram": "routes",
        "value_curves": "sweep",
        "value_map": "sweep",
    },
)
