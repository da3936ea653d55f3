"""The matrix of accuracies as a table whose cells are coloured."""

from html import escape
from typing import Any

from matplotlib import colormaps

from jaxcl.reporting.html.document import frame
from jaxcl.reporting.report import accuracy_cells, mean_text

MAP = "cividis"
"""From dark blue to yellow; looks nearly the same to those who tell red and green apart or do not
(Nuñez, Anderton & Renslow, Optimizing colormaps with consideration for color vision deficiency,
2018)."""


def colours(percent: float) -> tuple[str, str]:
    """Returns the colour of a cell, and the one of black and white that is easier to read on it.

    >>> colours(0.0), colours(100.0)
    (('#00224e', '#ffffff'), ('#fee838', '#000000'))
    """
    red, green, blue, _ = colormaps[MAP](percent / 100)
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Contrast to black is (luminance + 0.05) / 0.05, to white 1.05 / (luminance + 0.05) (WCAG 2).
    ink = "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"
    return "#" + "".join(f"{round(255 * c):02x}" for c in (red, green, blue)), ink


def heat_table(summary: dict[str, Any]) -> str:
    """Returns a table of tasks against accuracy after each task, means over seeds, 0 to 100 %."""
    columns, rows = accuracy_cells(summary)
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("task", *columns))
    lines = []
    for task, means in rows:
        cells = "".join(_cell(mean) for mean in means) or "<td></td>" * len(columns)
        lines.append(f'<tr><th scope="row">{escape(task)}</th>{cells}</tr>')
    return frame(f"<thead><tr>{names}</tr></thead>", lines, "numbers heat") + _scale()


def _cell(mean: dict[str, float | None]) -> str:
    if mean["mean"] is None:
        return "<td></td>"
    back, ink = colours(mean["mean"])
    return f'<td style="background:{back};color:{ink}">{mean_text(mean)}</td>'


def _scale() -> str:
    stops = ",".join(colours(10.0 * tenth)[0] for tenth in range(11))
    bar = f'<i style="background:linear-gradient(90deg,{stops})"></i>'
    return f'<div class="scale quiet">0 % {bar} 100 %</div>'
